from __future__ import annotations

import pytest

import hermes.ports.store as port
from hermes.adapters.store.database import Database
from hermes.adapters.store.operations import is_read, perform
from hermes.ports.store import LoadSession, Operation, SetSuspended


class Unheard(Operation[None]):
    """An operation that is not of the port."""


def test_every_operation_of_the_port_is_known(db: Database) -> None:
    """No operation of the port is forgotten: each has a function of its own."""
    kinds = [
        kind
        for kind in vars(port).values()
        if isinstance(kind, type) and issubclass(kind, Operation) and kind is not Operation
    ]
    assert len(kinds) >= 17
    for kind in kinds:
        # Without its fields an operation fails in its own function, or succeeds.
        bare = object.__new__(kind)
        try:
            perform(db, bare)
        except AttributeError:
            continue
        except TypeError as error:
            pytest.fail(f"{kind.__name__}: {error}")


def test_a_foreign_operation_is_refused(db: Database) -> None:
    """An operation that the store does not know is refused by name."""
    with pytest.raises(TypeError, match="Unheard"):
        perform(db, Unheard())


def test_reads_are_told_from_writes() -> None:
    """A read needs no transaction that writes; a write that is not synced still does."""
    assert is_read(LoadSession("ses_1"))
    assert not is_read(SetSuspended("ses_1", suspended=True, quarantined=False))
