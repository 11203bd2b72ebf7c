"""After a restart: takes up the prompts that were accepted and have no answer (row D9).

They are granted one by one, in the order in which they were accepted over all
sessions, a few at a time, so that new clients are served meanwhile.  A session
whose client speaks does not wait for its turn; one that has nothing to answer is
not woken.
"""

from __future__ import annotations

import logging

import trio

from hermes.actors import ActorClosed
from hermes.actors.session.messages import Grant
from hermes.errors import Draining, UnknownSession
from hermes.ports.store import Store, Unanswered
from hermes.supervisor.directory import Directory

log = logging.getLogger(__name__)

#: Rows read at once: a thousand pending prompts are one page.
PAGE = 1000


async def recover(store: Store, directory: Directory, at_once: int) -> None:
    """Grant every unanswered prompt, at most `at_once` of them under way.

    **Cancellation**: what was not taken up stays on disk for the next start.
    """
    pending = await _pending(store)
    if not pending:
        return
    log.info("taking up %d prompts that have no answer", len(pending))
    directory.recovering.update(session for _, session in pending)
    places = trio.Semaphore(at_once)
    async with trio.open_nursery() as nursery:
        for number, session in pending:
            await places.acquire()
            nursery.start_soon(_grant, directory, session, number, places)
    directory.recovering.clear()


async def _pending(store: Store) -> list[tuple[int, str]]:
    """Number and session of every unanswered prompt, in order of acceptance."""
    pending: list[tuple[int, str]] = []
    after = 0
    while True:
        rows = await store.run(Unanswered(limit=PAGE, after=after))
        pending.extend((row.number, row.session) for row in rows)
        if len(rows) < PAGE:
            return pending
        after = rows[-1].number


async def _grant(directory: Directory, session: str, number: int, places: trio.Semaphore) -> None:
    grant = Grant(number)
    try:
        directory.tell(session, grant)
        await grant.reply.wait()
    except (ActorClosed, Draining, UnknownSession) as gone:
        log.info("session %s went before its prompt %d was answered: %s", session, number, gone)
    finally:
        places.release()
