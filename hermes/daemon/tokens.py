"""The tokens of this machine: made on the first start, hashed as soon as they are read.

`tokens.json` is for the daemon's own command line, which finds it in the state
directory; the daemon keeps only digests (row Z2).
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from hermes.adapters.websocket.gate import OPERATOR, SESSION, Grant, Grants, digest
from hermes.errors import StartError

TOKENS_NAME = "tokens.json"

#: Bytes of randomness in a token: 256 bits, row Z2.
TOKEN_BYTES = 32

#: Whom this machine's own tokens belong to.
LOCAL = "local"


def load_tokens(state_dir: Path) -> Grants:
    """Read the tokens, making them on the first start.

    Raises:
        StartError: the file is there and cannot be used.
    """
    path = state_dir / TOKENS_NAME
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        text = _make(path)
    except OSError as error:
        raise StartError(f"{path} cannot be read: {error.strerror}") from error
    try:
        kept = json.loads(text)
        tokens = {scope: kept[scope] for scope in (SESSION, OPERATOR)}
        if not all(isinstance(token, str) and len(token) >= 20 for token in tokens.values()):
            raise ValueError("a token is not a string, or too short")
    except (ValueError, KeyError, TypeError) as error:
        raise StartError(
            f"{path} does not hold two tokens ({error}); delete it and start again to make new ones"
        ) from error
    return Grants({digest(token): Grant(LOCAL, scope) for scope, token in tokens.items()})


def _make(path: Path) -> str:
    tokens = {scope: secrets.token_urlsafe(TOKEN_BYTES) for scope in (SESSION, OPERATOR)}
    text = json.dumps(tokens, indent=2) + "\n"
    write_private(path, text)
    return text


def write_private(path: Path, text: str) -> None:
    """Write a whole file that only its owner reads: all of it is there, or nothing new.

    Raises:
        StartError: it cannot be written.
    """
    fresh = path.with_suffix(path.suffix + ".new")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise StartError(f"{path} cannot be written: {error.strerror}") from error
