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

from hermes.actors import ActorClosed, Intensity, Mailbox, MailboxFull
from hermes.actors.session.messages import (
    Cancel,
    CancelPrompt,
    Close,
    Committed,
    Inspect,
    Interrupt,
    Message,
    Offer,
    Release,
)
from hermes.actors.session.refusal import refuse
from hermes.actors.session.seams import Carried, SessionSeams
from hermes.actors.session.session import Session
from hermes.errors import Draining, UnknownSession
from hermes.ports.client import PromptSink
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
        self.recovering: set[str] = set()
        self._ending = False
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
            Draining: it would have to be woken, and the daemon stops; nothing was sent.
        """
        if session in self._buried:
            raise UnknownSession(session)
        life = self._lives.get(session)
        if life is None and self._ending:
            raise Draining("the daemon stops, no session is woken any more")
        if life is None:
            life = self._lives[session] = _Life(self._mailbox())
            self._put(life, message)
            self._nursery.start_soon(self._live, session, life, name=f"session {session}")
        else:
            self._put(life, message)

    def tell_live(self, session: str, message: Message) -> bool:
        """Send a message only where the session has an actor; whether it was sent.

        One that only looks or asks does not wake an actor to follow one that goes.
        """
        life = self._lives.get(session)
        if life is None:
            return False
        if life.mailbox.closed is not None and isinstance(message, Inspect | Release | Interrupt):
            return False
        self._put(life, message)
        return True

    def reroute(self, session: str, message: Message) -> None:
        """Send a message of an actor that has gone to the next one; never raises.

        Where there is none to follow, its sender is told, except at the end of the
        daemon: what is on disk is taken up at the next start, aloud.
        """
        try:
            self.tell(session, message)
        except Draining:
            log.info("session %s: what is on disk waits for the next start", session)
        except (UnknownSession, MailboxFull) as error:
            refuse([message], error)

    def end(self) -> None:
        """Wake no session any more: the daemon is about to take all of them down."""
        self._ending = True

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
                    refuse(carried.messages, UnknownSession(session))
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
            gone = UnknownSession(session) if session in self._buried else Draining("stopping")
            for mailbox in (life.mailbox, life.successor):
                if mailbox is not None:
                    refuse(_unwritten(mailbox.close("gone")), gone)
            self._ended(session)

    def _crashed(self, session: str, carried: Carried, crash: Exception) -> Carried:
        # Its successor takes up what is on disk by itself: the grants went with the actor.
        self.recovering.discard(session)
        now = self._seams.world.now()
        self._crashes = {name: one for name, one in self._crashes.items() if one.counts(now)}
        intensity = self._crashes.pop(session, Intensity()).crashed(now)
        if not intensity.exceeded:
            self._crashes[session] = intensity
            return carried
        log.error("session %s crashed too often and is quarantined", session)
        self._quarantined(session, repr(crash))
        suspended = carried.suspended

        def kept(result: object) -> None:
            log.debug("session %s: quarantine kept: %r", session, result)

        self._seams.store.submit(SetSuspended(session, suspended, True), kept)
        return evolve(carried, quarantine=True)


def _deliver(mailbox: Mailbox[Message], message: Message) -> None:
    if isinstance(message, Offer):
        mailbox.put_nowait(message)
        return
    if mailbox.closed is None:
        # What a cancel overtakes is decided here and now: it must not reach a prompt
        # that is sent after it, in the same network read perhaps.
        if isinstance(message, Cancel):
            _withdraw(mailbox, None)
        elif isinstance(message, CancelPrompt):
            _withdraw(mailbox, message.sink)
    mailbox.control(message)


def _withdraw(mailbox: Mailbox[Message], sink: PromptSink | None) -> None:
    """Take the offer of one prompt, or all of them, out of a mailbox: they are cancelled."""
    taken = mailbox.withdraw(
        lambda waiting: isinstance(waiting, Offer) and sink in (None, waiting.sink)
    )
    for offer in taken:
        if isinstance(offer, Offer):
            offer.sink.answer("cancelled")


def _unwritten(messages: list[Message]) -> list[Message]:
    """Those whose sender has to be told: what is on disk is answered at the next start."""
    return [message for message in messages if not isinstance(message, Committed)]
