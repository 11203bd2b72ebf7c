"""Replays what a client missed, from the disk, without a gap and without a double.

While a replay runs, what happens live is not sent and not kept: it is on disk
before anyone would send it, so the replay only remembers how far it has to read.
When it has read that far, between two awaits, the client goes on live.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define

from hermes.adapters.websocket.outbox import Outbox
from hermes.errors import CannotReplay, UnknownSession
from hermes.messages.joined import Joined, cut, load_joined
from hermes.ports.store import ReadUpdates, Store

#: Items that may wait in the outbox before more is read: a client that reads
#: slowly is replayed to slowly, and never loses its connection by it.
AHEAD = 64

#: Rows read at once.
PAGE = 128


@define(eq=False)
class Replay:
    """One replay under way.

    `cursor` is the last number sent, `latest` the last one that there is to send.
    """

    session: str
    cursor: int
    latest: int

    def missed(self, update: Joined) -> None:
        """Something happened live: it is on disk, and will be read there."""
        self.latest = max(self.latest, update.seq)

    async def run(
        self, store: Store, outbox: Outbox, until: int, reached: Callable[[], None]
    ) -> None:
        """Send all that is missed; `reached` is called once, when `until` is sent.

        When this returns nothing is missed, and no await has come since.

        Raises:
            StoreError: the store cannot be read.
            CannotReplay: what comes next was trimmed meanwhile: the client is too slow.
            UnknownSession: the session was deleted meanwhile.

        **Cancellation**: the client has got some of it, in order.
        """
        if self.cursor >= until:
            reached()
        while self.cursor < self.latest:
            await outbox.room(AHEAD)
            rows = await store.run(ReadUpdates(self.session, self.cursor, PAGE))
            if not rows:
                raise UnknownSession(self.session)
            before = self.cursor
            for row in rows:
                if row.first_seq > self.cursor + 1:
                    raise CannotReplay(row.first_seq, self.latest)
                joined = cut(load_joined(row.first_seq, row.seq, row.body), self.cursor)
                if joined is not None:
                    outbox.put_update(self.session, joined, sender=False)
                    self.cursor = joined.seq
                if before < until <= self.cursor:
                    before = until
                    reached()
