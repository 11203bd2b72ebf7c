"""The signature of an agent: when today's is another one, the agent is rebuilt (rows S1 to S5).

It is a hash over canonical JSON, and not Python's `hash`, so that it is the same
in every process and on every machine.  A credential counts whole and is in it
only as a strong hash.  Reasoning is not part of it: it may change with every
message.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from attrs import field, frozen

from hermes.ports.model import Secret

# Keeps the hash of a credential here from equalling a plain one kept elsewhere.
_DOMAIN = b"hermes signature credential\0"


@frozen
class SignatureInput:
    """All that counts.

    The order of `toolsets` does not matter, nor that of the mappings; `cache_keys`
    None and empty are the same.  `user` counts where a session is shared between
    users.  `counted` are the configuration values that count, by dotted path, plain
    JSON data, with the generation of the tool registry.
    """

    model: str
    provider: str
    base_url: str
    api_mode: str
    toolsets: Sequence[str] = ()
    ephemeral: str = ""
    credential: Secret | None = None
    user: str | None = None
    cache_keys: Mapping[str, str] | None = None
    counted: Mapping[str, object] = field(factory=dict)


def signature(counts: SignatureInput) -> str:
    """The signature, in 64 hexadecimal digits.

    Raises:
        ValueError, TypeError: a counted value is not plain JSON data.
    """
    whole = {
        "model": counts.model,
        "runtime": {
            "provider": counts.provider,
            "base_url": counts.base_url,
            "api_mode": counts.api_mode,
        },
        "toolsets": sorted(set(counts.toolsets)),
        "ephemeral": counts.ephemeral,
        "credential": _hashed(counts.credential),
        "user": counts.user,
        "cache_keys": dict(counts.cache_keys or {}),
        "counted": dict(counts.counted),
    }
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _hashed(credential: Secret | None) -> str | None:
    if credential is None:
        return None
    whole = _DOMAIN + credential.value.encode(errors="surrogatepass")
    return hashlib.sha256(whole).hexdigest()
