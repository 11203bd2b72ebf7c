"""Finds the actor of a session, or starts one: the address book of all sessions.

A message to a session that is dormant wakes it; one that meets an actor on its
way out waits for the next.  So no sender ever needs to know whether a session
lives, and two senders can never start it twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import trio
from attrs import define, evolve, field

from hermes.actors import ActorClosed, Intensity, Mailbox
from hermes.actors.session.messages import Attach, Close, Message, Offer
from hermes.actors.session.seams import Carried, SessionSeams
from hermes.actors.session.session import Session
from hermes.errors import UnknownSession
from hermes.ports.store import DeleteSession, SetSuspended

log = logging.getLogger(__name__)

#: Offers that may arrive in one burst beside those that may wait: the loop takes
#: them within a few milliseconds and decides by the configured bound.
BURST = 64


@define(eq=False)
class _Life:
    """One session that lives: the mailbox of its actor, and of the next where there is one."""

    mailbox: Mailbox[Message]
    successor: Mailbox[Message] | None = None
    over: trio.Event = field(factory=trio.Event)


class Directory:
    """Every live session of the daemon.

    Args:
        seams: the world of the sessions.
        nursery: where their actors run; cancelling it takes each down its ladder.
        quarantined: told when a session has crashed too often.
        ended: told when an actor is gone, though another may follow.

    `recovering` are the sessions whose prompts on disk wait to be granted.
    """

    def __init__(
        self,
        seams: Callable[[Directory], SessionSeams],
        nursery: trio.Nursery,
        *,
        quarantined: Callable[[str, str], None],
        ended: Callable[[str], None],
    ) -> None:
        self._seams = seams(self)
        self._nursery = nursery
        self._quarantined = quarantined
        self._ended = ended
        self._lives: dict[str, _Life] = {}
        self._buried: set[str] = set()
        self.recovering: frozenset[str] = frozenset()
        # Of those that crashed lately: a session that nobody waits for is dormant after a
        # crash, and its next message may crash it again.
        self._crashes: dict[str, Intensity] = {}

    @property
    def live(self) -> tuple[str, ...]:
        """The ids of all sessions that have an actor."""
        return tuple(self._lives)

    def tell(self, session: str, message: Message) -> None:
        """Send a message to a session, waking it if it is dormant.

        Offers are work, everything else is control.

        Raises:
            MailboxFull: an offer found no room; nothing was sent.
            UnknownSession: the session is being deleted; nothing was sent.
        """
        if session in self._buried:
            raise UnknownSession(session)
        life = self._lives.get(session)
        if life is None:
            life = self._lives[session] = _Life(self._mailbox())
            self._put(life, message)
            self._nursery.start_soon(self._live, session, life, name=f"session {session}")
        else:
            self._put(life, message)

    def tell_live(self, session: str, message: Message) -> bool:
        """Send a message only where the session has an actor; whether it was sent."""
        life = self._lives.get(session)
        if life is None:
            return False
        self._put(life, message)
        return True

    async def bury(self, session: str) -> None:
        """Close a session and forget it, for good.

        Raises:
            UnknownSession: it is being deleted already, or there is none.
            StoreError: it is closed, and still there.

        **Cancellation**: it is closed, or being closed, and still there.
        """
        if session in self._buried:
            raise UnknownSession(session)
        self._buried.add(session)
        try:
            life = self._lives.get(session)
            if life is not None:
                self._put(life, Close("delete"))
                await life.over.wait()
            await self._seams.store.run(DeleteSession(session))
        finally:
            self._buried.discard(session)

    def _put(self, life: _Life, message: Message) -> None:
        try:
            _deliver(life.mailbox, message)
        except ActorClosed:
            if life.successor is None:
                life.successor = self._mailbox()
            _deliver(life.successor, message)

    def _mailbox(self) -> Mailbox[Message]:
        return Mailbox(self._seams.capacity + BURST)

    async def _live(self, session: str, life: _Life) -> None:
        """Run a session's actors, one after another, until nothing needs it."""
        carried = Carried()
        try:
            while True:
                recovering = session in self.recovering
                actor = Session(session, life.mailbox, self._seams, carried, recovering=recovering)
                carried = await actor.run()
                if carried.crash is not None:
                    carried = self._crashed(session, carried, carried.crash)
                if session in self._buried:
                    _refuse(carried, UnknownSession(session))
                    return
                if life.successor is None and not carried.nonempty:
                    return
                # The next actor begins with no agent and no turn, whatever this one had.
                self._ended(session)
                life.mailbox = life.successor or self._mailbox()
                life.successor = None
        finally:
            del self._lives[session]
            life.over.set()
            for mailbox in (life.mailbox, life.successor):
                if mailbox is not None:
                    mailbox.close("shutdown")
            self._ended(session)

    def _crashed(self, session: str, carried: Carried, crash: Exception) -> Carried:
        now = self._seams.world.now()
        self._crashes = {name: one for name, one in self._crashes.items() if one.counts(now)}
        intensity = self._crashes.pop(session, Intensity()).crashed(now)
        if not intensity.exceeded:
            self._crashes[session] = intensity
            return carried
        log.error("session %s crashed too often and is quarantined", session)
        self._quarantined(session, repr(crash))

        def kept(result: object) -> None:
            log.debug("session %s: quarantine kept: %r", session, result)

        self._seams.store.submit(SetSuspended(session, False, True), kept)
        return evolve(carried, quarantine=True)


def _deliver(mailbox: Mailbox[Message], message: Message) -> None:
    if isinstance(message, Offer):
        mailbox.put_nowait(message)
    else:
        mailbox.control(message)


def _refuse(carried: Carried, error: Exception) -> None:
    """Tell everyone who wanted something of a session that is gone for good."""
    for message in carried.messages:
        if isinstance(message, Offer):
            message.sink.fail(error)
        elif isinstance(message, Attach):
            message.reply.fail(error)
