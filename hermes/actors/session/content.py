"""A prompt as it is kept on disk: what it takes to run it again after a restart."""

from __future__ import annotations

import json

from hermes.actors.session.state import Waiting
from hermes.errors import StoreCorrupt
from hermes.ports.store import PromptRow


def dump_content(text: str, reasoning: str | None = None) -> bytes:
    """What is kept of a prompt, and compared when its id comes again."""
    kept = {"text": text} if reasoning is None else {"text": text, "reasoning": reasoning}
    return json.dumps(kept, sort_keys=True, ensure_ascii=False).encode()


def waiting(row: PromptRow) -> Waiting:
    """A prompt that is on disk, as one that waits.

    Raises:
        StoreCorrupt: its content cannot be read.
    """
    try:
        kept = json.loads(row.content)
        text, reasoning = kept["text"], kept.get("reasoning")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreCorrupt(f"prompt {row.number} on disk cannot be read: {error}") from error
    return Waiting(row.number, text, row.client_id, attempts=row.attempts, reasoning=reasoning)
