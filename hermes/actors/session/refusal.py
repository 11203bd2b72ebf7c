"""Tells everyone who wanted something of a session that they cannot have it (row K2)."""

from __future__ import annotations

from collections.abc import Iterable

from hermes.actors.session.messages import Attach, Committed, Message, Offer


def refuse(messages: Iterable[Message], error: Exception) -> None:
    """Fail the prompts and the joins among these messages; other questions fail by themselves.

    What was accepted is on disk all the same, and is taken up when the session can
    live again.
    """
    for message in messages:
        match message:
            case Offer():
                message.sink.fail(error)
            case Committed():
                message.offer.sink.fail(error)
            case Attach():
                message.reply.fail(error)
            case _:
                continue
