"""After a restart: takes up the prompts that were accepted and have no answer (row D9).

Sessions are woken in the order in which their oldest prompt was accepted, a few
at a time, so that new clients are served meanwhile.  A session whose client
speaks first is simply awake already.
"""

from __future__ import annotations

import logging

import trio

from hermes.actors import ActorClosed
from hermes.actors.session.messages import Settle
from hermes.ports.store import Store, Unanswered
from hermes.supervisor.directory import Directory

log = logging.getLogger(__name__)

#: Rows read at once: a thousand pending prompts are one page.
PAGE = 1000


async def recover(store: Store, directory: Directory, at_once: int) -> None:
    """Wake every session that has unanswered prompts, at most `at_once` of them busy.

    **Cancellation**: what was not taken up stays on disk for the next start.
    """
    places = trio.CapacityLimiter(at_once)
    seen: set[str] = set()
    after = 0
    async with trio.open_nursery() as nursery:
        while True:
            rows = await store.run(Unanswered(limit=PAGE, after=after))
            for row in rows:
                after = row.number
                if row.session not in seen:
                    seen.add(row.session)
                    await places.acquire_on_behalf_of(row.session)
                    nursery.start_soon(_settle, directory, row.session, places)
            if len(rows) < PAGE:
                break
    if seen:
        log.info("took up the unanswered prompts of %d sessions", len(seen))


async def _settle(directory: Directory, session: str, places: trio.CapacityLimiter) -> None:
    settle = Settle()
    try:
        directory.tell(session, settle)
        await settle.reply.wait()
    except ActorClosed as closed:
        log.info("session %s went before its prompts were answered: %s", session, closed.reason)
    finally:
        places.release_on_behalf_of(session)
