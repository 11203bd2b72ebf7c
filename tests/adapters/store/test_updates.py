from __future__ import annotations

import apsw
import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from hermes.adapters.store import open_memory
from hermes.adapters.store.database import Database
from hermes.adapters.store.marks import prepare
from hermes.adapters.store.operations import perform
from hermes.adapters.store.updates import TRIM_EVERY
from hermes.errors import UnknownSession
from hermes.ports.store import (
    AppendUpdates,
    LoadSession,
    OpenSession,
    ReadUpdates,
    SessionRow,
    UpdateRow,
)


def load(db: Database) -> SessionRow:
    row = perform(db, LoadSession("ses_1"))
    assert row is not None
    return row


def test_appended_updates_are_read_back(db: Database) -> None:
    """D4: reading after N gives exactly the rows that carry a number above N, in order."""
    rows = [UpdateRow(1, 1, b"a"), UpdateRow(2, 5, b"joined"), UpdateRow(6, 6, b"c")]
    perform(db, AppendUpdates("ses_1", rows[:2]))
    perform(db, AppendUpdates("ses_1", rows[2:]))

    assert perform(db, ReadUpdates("ses_1", 0)) == tuple(rows)
    assert perform(db, ReadUpdates("ses_1", 1)) == tuple(rows[1:])
    assert perform(db, ReadUpdates("ses_1", 3)) == tuple(rows[1:])
    assert perform(db, ReadUpdates("ses_1", 0, limit=1)) == tuple(rows[:1])
    assert perform(db, ReadUpdates("ses_1", 6)) == ()
    assert (load(db).first_seq, load(db).last_seq) == (1, 6)


@pytest.mark.parametrize(
    "rows",
    [
        [UpdateRow(5, 5, b"gap")],
        [UpdateRow(3, 4, b"repeated")],
        [UpdateRow(4, 3, b"backwards")],
        [UpdateRow(4, 4, b"fine"), UpdateRow(6, 6, b"gap")],
    ],
)
def test_numbers_have_no_gap(db: Database, rows: list[UpdateRow]) -> None:
    """D4: a gap or a repetition of numbers is refused."""
    perform(db, AppendUpdates("ses_1", [UpdateRow(1, 3, b"")]))
    with pytest.raises(ValueError, match="go on at number"):
        perform(db, AppendUpdates("ses_1", rows))
    assert load(db).last_seq == 3


def test_a_reservation_only_grows(db: Database) -> None:
    """The reservation is the highest that was made, and it needs a session."""
    perform(db, AppendUpdates("ses_1", [], reserve=100))
    perform(db, AppendUpdates("ses_1", [], reserve=50))
    assert load(db).reserved == 100
    with pytest.raises(UnknownSession):
        perform(db, AppendUpdates("ses_9", [], reserve=1))


def test_only_a_reservation_is_synced() -> None:
    """D1: updates alone are not synced; a reservation of numbers is."""
    assert not AppendUpdates("ses_1", []).sync
    assert AppendUpdates("ses_1", [], reserve=1).sync


def test_old_updates_are_trimmed(connection: apsw.Connection) -> None:
    """D4: past the bound the oldest go, and the row says which are there."""
    db = Database(connection, keep_updates=100)
    perform(db, OpenSession("ses_1", "key:1", "ann", "/", "task", 1.0))
    for number in range(1, 1001):
        perform(db, AppendUpdates("ses_1", [UpdateRow(number, number, b"")]))

    stored = [row.seq for row in perform(db, ReadUpdates("ses_1", 0, limit=2000))]
    assert stored == list(range(stored[0], 1001))
    assert 100 <= len(stored) <= 100 + TRIM_EVERY
    assert (load(db).first_seq, load(db).last_seq) == (901, 1000)


def test_something_is_always_kept(connection: apsw.Connection) -> None:
    """The last number of a session is known by its last update, so one is the least."""
    with pytest.raises(ValueError, match="keep_updates"):
        Database(connection, keep_updates=0)


@define
class Model:
    """The store's updates in plain Python: rows, reservation, and the floor of a power cut."""

    keep: int
    rows: list[UpdateRow] = field(factory=list)
    reserved: int = 0
    floor: int = 0

    @property
    def last(self) -> int:
        return max(self.floor, self.rows[-1].seq if self.rows else 0)

    @property
    def first(self) -> int:
        stored = next((row.first_seq for row in self.rows if row.seq > self.floor), None)
        return self.last + 1 if stored is None else max(stored, self.last - self.keep + 1)

    def append(self, spans: list[int], reserve: bool) -> AppendUpdates:
        old = self.last
        new = []
        for span in spans:
            new.append(UpdateRow(self.last + 1, self.last + span, b"%d" % span))
            self.rows.append(new[-1])
        if old // TRIM_EVERY != self.last // TRIM_EVERY:
            self.rows = [row for row in self.rows if row.seq > self.last - self.keep]
        if reserve or self.last > self.reserved:
            self.reserved = self.last + 50
            return AppendUpdates("ses_1", new, self.reserved)
        return AppendUpdates("ses_1", new)

    def cut(self) -> None:
        if self.reserved > (self.rows[-1].seq if self.rows else 0):
            self.floor = max(self.floor, self.reserved)


APPEND = st.tuples(st.lists(st.integers(1, 150), min_size=1, max_size=4), st.booleans())
READ = st.tuples(st.integers(0, 3000), st.integers(1, 10))
STEPS = st.lists(st.one_of(APPEND, READ, st.none()), max_size=40)


@given(steps=STEPS, keep=st.integers(1, 600))
def test_it_agrees_with_a_model(
    steps: list[tuple[list[int], bool] | tuple[int, int] | None], keep: int
) -> None:
    """D4: any order of appends, trims, power cuts and reads agrees with a plain model."""
    connection = open_memory()
    db, model = Database(connection, keep), Model(keep)
    perform(db, OpenSession("ses_1", "key:1", "ann", "/", "task", 1.0))
    for number, step in enumerate(steps):
        if step is None:
            prepare(connection, f"boot {number}")
            model.cut()
        elif isinstance(step[0], list):
            perform(db, model.append(step[0], bool(step[1])))
        else:
            after, limit = step
            expected = [row for row in model.rows if row.seq > after][:limit]
            assert perform(db, ReadUpdates("ses_1", after, limit)) == tuple(expected)
        row = load(db)
        assert (row.first_seq, row.last_seq, row.reserved) == (
            model.first,
            model.last,
            model.reserved,
        )
        replay = perform(db, ReadUpdates("ses_1", row.first_seq - 1, limit=10_000))
        numbers = [n for stored in replay for n in range(stored.first_seq, stored.seq + 1)]
        assert [n for n in numbers if n >= row.first_seq] == list(
            range(row.first_seq, row.last_seq + 1)
        )
    connection.close()
