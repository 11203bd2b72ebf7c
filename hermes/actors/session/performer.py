"""Performs what `step` decides, without ever awaiting.

Everything that takes time is started as a part, or submitted to the store; its
end comes back as a message.  So the loop answers an inspection or a cancel while
a model talks, a disk syncs or a release drags.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import trio
from attrs import evolve

from hermes.actors import TOTAL_SECONDS, Part, PartReport, StepReport, descend
from hermes.actors.session import effects as do
from hermes.actors.session import messages as msg
from hermes.actors.session import notices
from hermes.actors.session.inspection import Inspection
from hermes.actors.session.publisher import Publisher
from hermes.actors.session.residence import Residence
from hermes.actors.session.resources import Resources
from hermes.actors.session.results import dump_answer, dump_failure, tell, turn_failure
from hermes.actors.session.rungs import rungs
from hermes.actors.session.seams import Post, SessionSeams
from hermes.actors.session.state import State
from hermes.actors.session.turn import TurnSeams
from hermes.errors import Interrupted, ModelError, TurnFailed
from hermes.messages.updates import TurnEnded
from hermes.ports.client import Attached, SessionClient
from hermes.ports.resource import TaskResource
from hermes.ports.store import (
    AcceptPrompt,
    EndPrompt,
    PromptState,
    SessionRow,
    SetSuspended,
    UpdateRow,
)

log = logging.getLogger(__name__)


class Performer:
    """The hands of one session actor.

    Args:
        row: the session as it was loaded.
        seams: its world.
        post: puts a message into the session's own mailbox, or its successor's.
        disown: takes a question out of this actor's responsibility.
        nursery: where its parts run.
    """

    def __init__(
        self,
        row: SessionRow,
        seams: SessionSeams,
        post: Post,
        disown: Callable[[msg.Attach], None],
        nursery: trio.Nursery,
    ) -> None:
        self.retired: do.Retire | None = None
        self.carried: list[msg.Message] = []
        self._row = row
        self._seams = seams
        self._post = post
        self._disown = disown
        self._nursery = nursery
        self._last_active: float | None = None
        self._ladder: Part | None = None
        self.publisher = Publisher(row.id, seams.store, row.last_seq, row.reserved, seams.fatal)
        self.resources = Resources(row.task_id, seams.kinds, seams.deadline, self._resource_gone)
        turns = TurnSeams(
            store=seams.store,
            world=seams.world,
            notify=seams.notify,
            resource=self._need,
            inactivity=seams.inactivity,
            reasoning=seams.reasoning,
            watchdog=seams.watchdog,
            slots=seams.slots,
        )
        self.residence = Residence(seams, turns, post, self.publisher, nursery)

    def gone(self) -> bool:
        """Whether the actor was let go."""
        return self.retired is not None

    def perform(self, effect: do.Effect, state: State) -> None:
        """Do one thing; `state` is the one after the step."""
        match effect:
            case do.Accept():
                self._accept(effect.offer)
            case do.Refuse():
                effect.sink.fail(effect.error)
            case do.Acknowledge():
                effect.sink.accepted(effect.position)
            case do.AnswerKept():
                tell(effect.sink, effect.row.result or b"{}")
            case do.AnswerCancelled():
                effect.sink.answer("cancelled")
            case do.Admit():
                self._admit(effect.attach, state)
            case do.Enroll():
                self._enroll(effect.client)
            case do.Dismiss():
                self.publisher.detach(effect.client)
            case do.Build():
                self.residence.build(self._row)
            case do.Run():
                self._run(effect)
            case do.Steer() | do.Unsteer() | do.Stop() | do.Drop():
                self._change_turn(effect)
            case do.End():
                self._end(effect)
            case do.GiveBack():
                self.residence.give_back()
            case do.Forget():
                self.residence.forget(effect.cause)
            case do.Answer():
                effect.give()
            case do.Look():
                effect.inspect.reply.set(self._inspect(state))
            case do.Open():
                self._open(effect.need)
            case do.Descend():
                self._descend()
            case do.KeepSuspended():
                self._keep_suspended(effect)
            case do.Tell():
                self._tell(effect.notice)
            case do.CarryOver():
                self._carry_over(effect.message)
            case do.Retire():
                self._retire(effect)

    async def tear_down(self) -> list[StepReport]:
        """Go down the ladder from here: after a crash, or a cancel from outside.

        A close that is on its way down is joined: nothing is torn down twice.
        """
        if self._ladder is not None:
            with self._seams.deadline.shield(TOTAL_SECONDS):
                await self._ladder.wait()
            return []
        return await self._go_down()

    async def _go_down(self) -> list[StepReport]:
        return await descend(rungs(self.residence, self.resources), self._seams.deadline)

    # -- prompts ------------------------------------------------------------

    def _change_turn(self, effect: do.Steer | do.Unsteer | do.Stop | do.Drop) -> None:
        match effect:
            case do.Steer():
                self.residence.steer(effect.prompt)
            case do.Unsteer():
                self.residence.unsteer(effect.number)
            case do.Stop():
                self.residence.stop()
            case do.Drop():
                self.residence.ended()

    def _accept(self, offer: msg.Offer) -> None:
        at = self._seams.world.wall()
        self._seams.store.submit(
            AcceptPrompt(self._row.id, offer.client_id, offer.content, at),
            lambda outcome: self._post(msg.Committed(offer, outcome)),
        )

    def _run(self, run: do.Run) -> None:
        self.residence.run(
            self._row.id, run.prompt, cached=run.cached, interrupting=run.interrupting
        )

    def _end(self, end: do.End) -> None:
        """Write the end of a prompt and of its turn; then, and only then, tell."""
        turn = self.residence.turn if end.turn else None
        messages = tuple(turn.messages) if turn is not None else ()
        if end.turn:
            self.residence.ended()
        state, stop_reason, result = self._verdict(end)
        agent = self.residence.agent

        def make(updates: Sequence[UpdateRow], reserve: int | None) -> EndPrompt:
            return EndPrompt(
                self._row.id,
                end.prompt.number,
                state,
                result,
                turn=end.turn,
                conversation=self._row.conversation,
                messages=messages,
                updates=updates,
                reserve=reserve,
            )

        def ended(written: bool) -> None:
            if not written:
                log.error("prompt %d of %s had an end already", end.prompt.number, self._row.id)
            if end.turn:
                self._row = evolve(self._row, turns=self._row.turns + 1)
                self._last_active = self._seams.world.now()
                if agent is not None:
                    agent.keep(messages)
            # The client comes last: whoever asks after an answer finds its turn ended.
            self._post(msg.PromptEnded(end.prompt.number))
            if end.current:
                self._seams.notify(notices.TurnEnded(self._row.id, state.value, stop_reason))
            for sink in end.prompt.sinks:
                tell(sink, result)

        # A turn that still waited for its slot has not begun.
        began = (turn is not None and not turn.queued) or end.prompt.attempts > 0
        last = (TurnEnded(stop_reason, end.prompt.client_id),) if began else ()
        self.publisher.commit(make, ended, *last)

    def _verdict(self, end: do.End) -> tuple[PromptState, str, bytes]:
        """A prompt's terminal state, its stop reason for those who watch, its kept result."""
        error = end.error
        if error is None:
            stop_reason = end.stop_reason or "cancelled"
            return end.state, stop_reason, dump_answer(stop_reason)
        if isinstance(error, Interrupted):
            return end.state, "interrupted", dump_failure(error)
        if not isinstance(error, ModelError | TurnFailed):
            log.error("session %s: a turn crashed", self._row.id, exc_info=error)
        return end.state, "failed", dump_failure(turn_failure(error))

    # -- clients, operators ---------------------------------------------------

    def _admit(self, attach: msg.Attach, state: State) -> None:
        attach.reply.set(Attached(self.publisher.last_sent, self._name(state)))
        self._enroll(attach.client)

    def _enroll(self, client: SessionClient) -> None:
        self.publisher.attach(client)
        client.attached(self._row.id)

    def _name(self, state: State) -> str:
        if state.name == "running" and self.residence.turn and self.residence.turn.queued:
            return "queued"
        return state.name

    def _inspect(self, state: State) -> Inspection:
        row, now = self._row, self._seams.world.now()
        agent = self.residence.agent if state.resident is not None else None
        idle = None if state.busy or self._last_active is None else now - self._last_active
        return Inspection(
            id=row.id,
            key=row.key,
            owner=row.owner,
            state=self._name(state),
            resident=agent is not None,
            busy=state.busy,
            mailbox_depth=state.depth,
            idle=idle,
            turns=row.turns,
            last_seq=self.publisher.last_sent,
            created_at=row.created_at,
            model=agent.model if agent is not None else None,
            signature=state.resident,
            resources=self.resources.kinds,
            clients=len(state.clients),
            turn=self.residence.look(now),
            model_requests=agent.requests if agent is not None else 0,
            prompt_hash=agent.prompt_hash if agent is not None else None,
            messages=agent.messages if agent is not None else None,
            last_release=self.residence.last_release,
            last_rebuild=self.residence.last_rebuild,
        )

    def _keep_suspended(self, keep: do.KeepSuspended) -> None:
        def kept(result: object) -> None:
            log.debug("session %s: suspension kept: %r", self._row.id, result)

        self._seams.store.submit(SetSuspended(self._row.id, keep.suspended, keep.quarantined), kept)

    def _tell(self, notice: notices.Notice) -> None:
        if isinstance(notice, notices.Built) and notice.reason is not None:
            self.residence.rebuilt(notice.reason)
        self._seams.notify(notice)

    # -- resources, the end ---------------------------------------------------

    async def _need(self, kind: str) -> TaskResource:
        need = msg.NeedResource(kind)
        self._post(need)
        return await need.reply.wait()

    def _open(self, need: msg.NeedResource) -> None:
        if not self.resources.need(need.kind, need.reply, self._nursery):
            self._resource_gone(need.kind, PartReport("done"))

    def _resource_gone(self, kind: str, report: PartReport) -> None:
        self._post(msg.ResourceEnded(kind, report))

    def _descend(self) -> None:
        self._ladder = Part("ladder", self._seams.deadline, self._go_down, self._descended)
        self._ladder.start(self._nursery)

    def _descended(self, report: PartReport) -> None:
        reports = report.value if isinstance(report.value, list) else []
        self._post(msg.LadderEnded(tuple(reports)))

    def _carry_over(self, message: msg.Message) -> None:
        """Keep it for the next actor; what takes something back, only if there is something."""
        if isinstance(message, msg.Attach):
            self._disown(message)
        if self.carried or isinstance(message, msg.Offer | msg.Attach):
            self.carried.append(message)

    def _retire(self, retire: do.Retire) -> None:
        self.retired = retire
        if retire.reason != "dormant":
            for client in tuple(self.publisher.clients):
                client.detached(self._row.id, retire.reason)
