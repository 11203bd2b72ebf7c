"""The session actor: a mailbox, a state, a loop that never waits for its work.

The loop takes a message, lets `step` decide, has the effects performed, and takes
the next; so a session answers at once whatever it is doing.  Its parts (a build,
a turn, a release, a resource) run in its one nursery, shielded: a crash of the
loop and a cancel from outside go down the same ladder as a close (row R3).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence

import trio
from attrs import evolve

from hermes.actors import BATCH, ActorClosed, Mailbox
from hermes.actors.session import messages as msg
from hermes.actors.session.content import waiting
from hermes.actors.session.notices import Started
from hermes.actors.session.performer import Performer
from hermes.actors.session.refusal import refuse
from hermes.actors.session.seams import Carried, SessionSeams
from hermes.actors.session.state import Facts, State, Waiting
from hermes.actors.session.step import Effects, settle, step
from hermes.errors import StoreError, UnknownSession
from hermes.ports.client import PromptSink
from hermes.ports.store import LoadSession, Unanswered

log = logging.getLogger(__name__)


class Session:
    """One actor of one session; when it is gone, another may follow.

    Args:
        session: the session's id.
        mailbox: where its messages come; closed when the actor goes.
        seams: its world.
        carried: what the actor before it left.
        recovering: whether what is on disk waits for the recovery to grant it.
    """

    def __init__(
        self,
        session: str,
        mailbox: Mailbox[msg.Message],
        seams: SessionSeams,
        carried: Carried | None = None,
        *,
        recovering: bool = False,
    ) -> None:
        self._session = session
        self._mailbox = mailbox
        self._seams = seams
        self._carried = carried or Carried()
        self._recovering = recovering
        self._state = State()
        self._left: list[msg.Message] = []
        self._handling: msg.Message | None = None
        self._inherited = deque(self._carried.messages)

    async def run(self) -> Carried:
        """Live until nothing needs this actor; returns what is left to the next.

        A crash does not escape: it is in `Carried.crash`.

        **Cancellation**: the ladder is taken, in order and under its deadline;
        prompts keep the state they have on disk and are taken up at the next start.
        """
        try:
            row = await self._seams.store.run(LoadSession(self._session))
            if row is None:
                return self._refuse_all(UnknownSession(self._session))
            unanswered = await self._seams.store.run(Unanswered(row.id))
            on_disk = [waiting(prompt) for prompt in unanswered]
        except StoreError as error:
            log.exception("session %s cannot be read", self._session)
            return self._refuse_all(error)
        self._row = row
        prompts = _merge(on_disk, self._carried.prompts)
        async with trio.open_nursery() as nursery:
            performer = Performer(row, self._seams, self._post, self._mailbox.disown, nursery)
            crash = await self._live(prompts, performer)
        # Before the next actor reads the session's numbers: the store keeps this order.
        performer.publisher.flush()
        return self._leave(performer, crash)

    async def _live(self, prompts: tuple[Waiting, ...], performer: Performer) -> Exception | None:
        """Run the loop; whatever ends it, nothing of the session is left running."""
        try:
            self._begin(prompts, performer)
            await self._loop(performer)
        except Exception as error:
            log.exception("session %s: its actor crashed", self._session)
            self._left = self._mailbox.close(f"crashed: {error!r}")
            return error
        else:
            assert performer.retired is not None
            self._left = self._mailbox.close(performer.retired.reason)
            return None
        finally:
            self._seams.gauge.add(-self._state.depth)
            if not performer.gone():
                self._mailbox.close("shutdown")
                await performer.tear_down()

    def _begin(self, prompts: tuple[Waiting, ...], performer: Performer) -> None:
        carried = self._carried
        self._seams.notify(Started(self._session))
        self._state = State(
            queue=prompts,
            clients=frozenset(carried.clients),
            suspended=self._row.suspended,
            quarantined=self._row.quarantined or carried.quarantine,
            granted=0 if self._recovering else None,
        )
        self._seams.gauge.add(self._state.depth)
        for client in carried.clients:
            performer.publisher.attach(client)
        while self._inherited:
            self._handle(self._inherited.popleft(), performer)
        effects: Effects = []
        before = self._state.depth
        self._state = settle(self._session, self._state, self._facts(), effects)
        self._seams.gauge.add(self._state.depth - before)
        self._perform(effects, performer)

    async def _loop(self, performer: Performer) -> None:
        while not performer.gone():
            await self._mailbox.wait_ready()
            for _ in range(BATCH):
                try:
                    message = self._mailbox.get_nowait()
                except trio.WouldBlock:
                    break
                self._handle(message, performer)
                if performer.gone():
                    return

    def _handle(self, message: msg.Message, performer: Performer) -> None:
        self._handling = message
        before = self._state.depth
        self._state, effects = step(self._session, self._state, message, self._facts())
        if self._state.depth != before:
            self._seams.gauge.add(self._state.depth - before)
        self._perform(effects, performer)
        self._handling = None

    def _perform(self, effects: Effects, performer: Performer) -> None:
        for effect in effects:
            performer.perform(effect, self._state)

    def _facts(self) -> Facts:
        # A quarantined session has no agent and begins nothing: what made it crash is
        # not called again before an operator resumes it.
        quarantined = self._state.quarantined
        return Facts(
            capacity=self._seams.capacity,
            signature="" if quarantined else self._seams.agents.signature(self._row),
            empty=self._mailbox.empty and not self._inherited,
            held=self._seams.held(),
        )

    def _post(self, message: msg.Message) -> None:
        """Put a message into the own mailbox; for a gone actor, where it still matters."""
        try:
            self._mailbox.control(message)
        except ActorClosed as closed:
            if isinstance(message, msg.Committed):
                self._seams.reroute(self._session, message)
            elif isinstance(message, msg.NeedResource):
                message.reply.fail(closed)

    def _refuse_all(self, error: Exception) -> Carried:
        """The session cannot live: everyone who wants something of it is told."""
        left: list[msg.Message] = list(self._carried.messages)
        while not self._mailbox.empty:
            left.append(self._mailbox.get_nowait())
        refuse(left, error)
        self._mailbox.close(f"cannot start: {error}")
        for prompt in self._carried.prompts:
            for sink in prompt.sinks:
                sink.fail(error)
        return Carried()

    def _leave(self, performer: Performer, crash: Exception | None) -> Carried:
        left = [message for message in (*self._inherited, *self._left) if _lasts(message)]
        if crash is None:
            return Carried(messages=(*performer.carried, *left))
        return Carried(
            messages=(*performer.carried, *self._unhandled(crash), *left),
            prompts=self._state.unanswered,
            clients=tuple(performer.publisher.clients),
            crash=crash,
            suspended=self._state.suspended,
        )

    def _unhandled(self, crash: Exception) -> tuple[msg.Message, ...]:
        """The message that crashed the actor: its sender is told, or the next one handles it."""
        message = self._handling
        if isinstance(message, msg.Offer):
            message.sink.fail(crash)
            return ()
        return (message,) if message is not None and _lasts(message) else ()


def _lasts(message: msg.Message) -> bool:
    """Whether a message is meant for the session, and not for this one actor of it."""
    if isinstance(message, msg.Attach):
        return not message.reply.done
    lasting = msg.Offer | msg.Committed | msg.Cancel | msg.CancelPrompt | msg.Detach
    return isinstance(message, lasting)


def _merge(on_disk: Sequence[Waiting], carried: Sequence[Waiting]) -> tuple[Waiting, ...]:
    """The prompts that are on disk, with those who still wait for them."""
    sinks: dict[int, tuple[PromptSink, ...]] = {}
    for prompt in carried:
        sinks[prompt.number] = (*sinks.get(prompt.number, ()), *prompt.sinks)
    return tuple(evolve(prompt, sinks=sinks.get(prompt.number, ())) for prompt in on_disk)
