from __future__ import annotations

import pytest

from hermes.adapters.store.database import Database
from hermes.adapters.store.operations import perform
from hermes.errors import IdReused, UnknownSession
from hermes.ports.store import (
    AcceptPrompt,
    BeginTurn,
    DeleteSession,
    EndPrompt,
    LoadConversation,
    LoadSession,
    OpenSession,
    PromptRow,
    PromptState,
    ReadUpdates,
    Unanswered,
    UpdateRow,
)


def accept(db: Database, client_id: str | None = None, session: str = "ses_1") -> PromptRow:
    return perform(db, AcceptPrompt(session, client_id, b"{}", 1.0)).row


def test_accept_puts_a_waiting_prompt(db: Database) -> None:
    """D1: an accepted prompt waits, with its content to the byte."""
    accepted = perform(db, AcceptPrompt("ses_1", "c1", b'{"a": 1}', 1.0))

    assert not accepted.existing
    assert accepted.row == PromptRow(1, "ses_1", "c1", b'{"a": 1}', PromptState.WAITING)
    assert perform(db, Unanswered()) == (accepted.row,)


def test_the_same_id_is_one_prompt(db: Database) -> None:
    """D5: an idempotency id that comes again finds the prompt, in the state it has now."""
    first = accept(db, "c1")
    perform(db, EndPrompt("ses_1", first.number, PromptState.ANSWERED, b"done"))

    again = perform(db, AcceptPrompt("ses_1", "c1", b"{}", 9.0))

    assert again.existing
    assert again.row.number == first.number
    assert (again.row.state, again.row.result) == (PromptState.ANSWERED, b"done")


def test_an_id_holds_for_one_content(db: Database) -> None:
    """An idempotency id with another content is refused."""
    accept(db, "c1")
    with pytest.raises(IdReused):
        perform(db, AcceptPrompt("ses_1", "c1", b"other", 1.0))


def test_ids_are_of_a_session(db: Database) -> None:
    """The same idempotency id in two sessions, and no id twice, are different prompts."""
    perform(db, OpenSession("ses_2", "key:2", "ann", "/", "task_2", 1.0))
    numbers = {
        accept(db, "c1").number,
        accept(db, "c1", "ses_2").number,
        accept(db).number,
        accept(db).number,
    }
    assert len(numbers) == 4


def test_accept_needs_a_session(db: Database) -> None:
    """A prompt for no session is refused, with an id and without."""
    for client_id in (None, "c1"):
        with pytest.raises(UnknownSession):
            accept(db, client_id, "ses_9")


def test_numbers_are_never_used_again(db: Database) -> None:
    """A deleted session's prompt numbers are not given to later prompts."""
    perform(db, OpenSession("ses_2", "key:2", "ann", "/", "task_2", 1.0))
    last = accept(db, None, "ses_2").number
    perform(db, DeleteSession("ses_2"))

    assert accept(db).number > last


def test_begin_counts_the_attempts(db: Database) -> None:
    """D2: each turn that is begun for a prompt is counted, and its updates are written."""
    number = accept(db).number
    perform(db, BeginTurn("ses_1", number, [UpdateRow(1, 1, b"u")], reserve=100))
    perform(db, BeginTurn("ses_1", number))

    [row] = perform(db, Unanswered())
    assert (row.state, row.attempts) == (PromptState.RUNNING, 2)
    session = perform(db, LoadSession("ses_1"))
    assert session is not None
    assert (session.last_seq, session.reserved) == (1, 100)


def test_end_leaves_all_of_a_turn(db: Database) -> None:
    """D1: the end of a turn is one step: state, result, messages, updates, count."""
    number = accept(db).number
    ended = perform(
        db,
        EndPrompt(
            "ses_1",
            number,
            PromptState.ANSWERED,
            b"result",
            turn=True,
            messages=[b"m1", b"m2"],
            updates=[UpdateRow(1, 3, b"u")],
            reserve=50,
        ),
    )

    assert ended is True
    assert perform(db, Unanswered()) == ()
    assert perform(db, LoadConversation("ses_1", 1)).messages == (b"m1", b"m2")
    row = perform(db, LoadSession("ses_1"))
    assert row is not None
    assert (row.turns, row.first_seq, row.last_seq, row.reserved) == (1, 1, 3, 50)


@pytest.mark.parametrize("state", [s for s in PromptState if s not in ("waiting", "running")])
def test_a_prompt_ends_once(db: Database, state: PromptState) -> None:
    """D1: a prompt that has ended stays as it is, and a second end writes nothing at all."""
    number = accept(db, "c1").number
    perform(db, EndPrompt("ses_1", number, state, b"first"))

    second = perform(
        db,
        EndPrompt(
            "ses_1",
            number,
            PromptState.FAILED,
            b"second",
            turn=True,
            messages=[b"m"],
            updates=[UpdateRow(1, 1, b"u")],
            reserve=9,
        ),
    )

    assert second is False
    row = perform(db, AcceptPrompt("ses_1", "c1", b"{}", 1.0)).row
    assert (row.state, row.result) == (state, b"first")
    assert perform(db, LoadConversation("ses_1", 1)).messages == ()
    assert perform(db, ReadUpdates("ses_1", 0)) == ()
    session = perform(db, LoadSession("ses_1"))
    assert session is not None
    assert (session.turns, session.reserved) == (0, 0)
    with pytest.raises(ValueError, match="has ended"):
        perform(db, BeginTurn("ses_1", number))


def test_an_end_is_terminal(db: Database) -> None:
    """A prompt does not end in a state that is not an end."""
    number = accept(db).number
    with pytest.raises(ValueError, match="waiting"):
        perform(db, EndPrompt("ses_1", number, PromptState.WAITING, b""))


def test_a_prompt_of_another_session_is_not_ended(db: Database) -> None:
    """A session ends its own prompts only."""
    perform(db, OpenSession("ses_2", "key:2", "ann", "/", "task_2", 1.0))
    number = accept(db).number
    with pytest.raises(ValueError, match="no prompt"):
        perform(db, EndPrompt("ses_2", number, PromptState.FAILED, b""))
    assert [row.number for row in perform(db, Unanswered())] == [number]


def test_unanswered_come_in_order_of_acceptance(db: Database) -> None:
    """D9: waiting and running prompts come in order, page by page, of all or of one session."""
    perform(db, OpenSession("ses_2", "key:2", "ann", "/", "task_2", 1.0))
    numbers = [accept(db, None, f"ses_{1 + n % 2}").number for n in range(6)]
    perform(db, BeginTurn("ses_1", numbers[2]))
    perform(db, EndPrompt("ses_2", numbers[1], PromptState.CANCELLED, b""))

    def found(operation: Unanswered) -> list[int]:
        return [row.number for row in perform(db, operation)]

    rest = [numbers[n] for n in (0, 2, 3, 4, 5)]
    assert found(Unanswered()) == rest
    assert found(Unanswered(limit=2)) == rest[:2]
    assert found(Unanswered(after=rest[1])) == rest[2:]
    assert found(Unanswered(session="ses_1")) == [numbers[0], numbers[2], numbers[4]]
