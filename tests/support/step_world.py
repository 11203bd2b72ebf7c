"""A session's world for `step`, decided by a test: it holds every effect until told how it ends.

It plays the performer, the store and the parts of one session, and checks, at every
step, what must always hold.  Property tests drive it with random messages.
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from typing import Literal

import outcome
from attrs import define, evolve, field
from support.session_parts import RecordingClient, RecordingSink

from hermes.actors import PartReport, Reply, StepReport
from hermes.actors.session import effects as do
from hermes.actors.session import messages as msg
from hermes.actors.session import notices
from hermes.actors.session.results import dump_answer
from hermes.actors.session.state import Facts, Phase, State
from hermes.actors.session.step import Effects, step
from hermes.errors import StoreFull
from hermes.ports.store import Accepted, PromptRow, PromptState

How = Literal["done", "cancelled", "crashed"]

STEPS = (StepReport("turn", 0.0, "done"),)


def report(how: How, value: object = None) -> PartReport:
    """How a part ended."""
    error = OSError("broken") if how == "crashed" else None
    return PartReport(how, value if how == "done" else None, error)


@define(eq=False)
class StepWorld:
    """One session.

    `working` is the part under way ("build" or "turn"), `fates` what became of each
    offer, `ended` the prompts that were given a terminal state.
    """

    capacity: int = 3
    signature: str = "today"
    held: bool = False
    state: State = field(factory=State)
    working: str | None = None
    releasing: bool = False
    descending: bool = False
    gone: bool = False
    disk: deque[msg.Offer | do.End] = field(factory=deque)
    opening: list[msg.NeedResource] = field(factory=list)
    resources: set[str] = field(factory=set)
    offers: list[msg.Offer] = field(factory=list)
    fates: Counter[int] = field(factory=Counter)
    ended: Counter[int] = field(factory=Counter)
    ladders: int = 0
    turns: list[do.Run] = field(factory=list)
    releases: list[msg.Release] = field(factory=list)
    closes: list[msg.Close] = field(factory=list)
    told: list[notices.Notice] = field(factory=list)
    rows: dict[str, PromptRow] = field(factory=dict)
    numbers: itertools.count[int] = field(factory=lambda: itertools.count(1))

    def send(self, message: msg.Message) -> Effects:
        """Let the session decide, check that it may, and note what it wants done."""
        before = self.state
        facts = Facts(self.capacity, self.signature, empty=True, held=self.held)
        self.state, effects = step("ses_1", before, message, facts)
        for effect in effects:
            self._note(effect, message)
        assert not self.gone or (
            self.state.phase is Phase.GONE and isinstance(effects[-1], do.Retire)
        )
        if isinstance(message, msg.Release) and before.busy:
            assert message.reply.done, "a busy session answers at once"
        return effects

    def _note(self, effect: do.Effect, message: msg.Message) -> None:
        assert not self.gone, "nothing comes after the end of the actor"
        idle = self.working is None and not self.releasing
        match effect:
            case do.Accept():
                self.disk.append(effect.offer)
            case do.Refuse() | do.AnswerKept() | do.AnswerCancelled():
                self._fate(effect.sink)
            case do.CarryOver():
                if isinstance(effect.message, msg.Offer):
                    self._fate(effect.message.sink)
            case do.Build() | do.Run():
                assert idle or isinstance(message, msg.BuildEnded), "one thing at a time"
                assert not any(end.turn for end in self.ending), "the last turn is not on disk"
                assert self.state.close is None
                self.working = "build" if isinstance(effect, do.Build) else "turn"
                if isinstance(effect, do.Run):
                    self.turns.append(effect)
            case do.GiveBack():
                assert idle, "a release never meets a turn"
                self.releasing = True
            case do.Stop():
                assert self.working is not None
            case do.End():
                self.ended[effect.prompt.number] += 1
                self.disk.append(effect)
                for sink in effect.prompt.sinks:
                    self._fate(sink)
            case do.Open():
                self._open(effect.need)
            case do.Descend():
                self.ladders += 1
                self.descending = True
            case do.Tell():
                self._told(effect.notice)
            case do.Retire():
                self._retire()
            case do.Answer():
                effect.give()
            case _:
                pass

    def _fate(self, sink: object) -> None:
        assert isinstance(sink, RecordingSink)
        self.fates[id(sink)] += 1
        assert self.fates[id(sink)] == 1, "a prompt has one fate"

    def _open(self, need: msg.NeedResource) -> None:
        if need.kind not in self.resources:
            self.resources.add(need.kind)
        self.opening.append(need)

    def _told(self, notice: notices.Notice) -> None:
        self.told.append(notice)
        if isinstance(notice, notices.TurnBegan):
            assert not self.state.paused, "nothing begins while suspended"
            assert not self.held, "nothing begins while the daemon drains"

    def _retire(self) -> None:
        self.gone = True
        assert self.working is None or self.state.close is not None
        assert not self.disk, "nothing of it is on its way to the disk"
        assert not self.state.queue
        assert self.state.resident is None
        assert all(close.reply.done for close in self.closes)
        assert all(release.reply.done for release in self.releases)

    @property
    def ending(self) -> list[do.End]:
        """The terminal states on their way to the disk."""
        return [one for one in self.disk if isinstance(one, do.End)]

    # -- what a test may let happen -------------------------------------------

    def offer(self, when_busy: str = msg.QUEUE, client_id: str | None = None) -> msg.Offer:
        """A client prompts."""
        offer = msg.Offer("hello", b"{}", RecordingSink(RecordingClient()), client_id, when_busy)
        self.offers.append(offer)
        self.send(offer)
        return offer

    def sync(self, *, full: bool = False) -> None:
        """The oldest thing that was given to the store is on disk, or the disk is full."""
        oldest = self.disk.popleft()
        if isinstance(oldest, do.End):
            self._written(oldest)
        else:
            self._accepted(oldest, full=full)

    def commit(self) -> None:
        """An offer, the oldest thing that was given to the store, is on disk."""
        assert isinstance(self.disk[0], msg.Offer)
        self.sync()

    def end_prompt(self) -> None:
        """An end, the oldest thing that was given to the store, is on disk."""
        assert isinstance(self.disk[0], do.End)
        self.sync()

    def _accepted(self, offer: msg.Offer, *, full: bool) -> None:
        known = self.rows.get(offer.client_id) if offer.client_id else None
        if full:
            self.send(msg.Committed(offer, outcome.Error(StoreFull("full"))))
        elif known is not None:
            self.send(msg.Committed(offer, outcome.Value(Accepted(known, True))))
        else:
            row = PromptRow(
                next(self.numbers), "ses_1", offer.client_id, b"{}", PromptState.WAITING
            )
            if offer.client_id:
                self.rows[offer.client_id] = row
            self.send(msg.Committed(offer, outcome.Value(Accepted(row, False))))

    def _written(self, end: do.End) -> None:
        known = self.rows.get(end.prompt.client_id) if end.prompt.client_id else None
        if known is not None and end.prompt.client_id:
            kept = evolve(known, state=end.state, result=dump_answer("x"))
            self.rows[end.prompt.client_id] = kept
        self.send(msg.PromptEnded(end.prompt.number))

    def end_work(self, how: How = "done") -> None:
        """The build or the turn ends."""
        working, self.working = self.working, None
        if working == "build":
            self.send(msg.BuildEnded(report(how, self.signature)))
        else:
            self.send(msg.TurnPartEnded(report(how, "end_turn")))

    def end_release(self) -> None:
        """The agent has given its handle back."""
        self.releasing = False
        self.send(msg.ReleaseEnded(report("done")))

    def end_resource(self, kind: str, how: How = "crashed") -> None:
        """A resource dies."""
        self.resources.discard(kind)
        self.send(msg.ResourceEnded(kind, report(how)))

    def end_ladder(self) -> None:
        """The close is down: what it stops has ended before, each with its message."""
        if self.working is not None:
            self.end_work("cancelled")
        if self.releasing:
            self.end_release()
        for kind in sorted(self.resources):
            self.end_resource(kind, "cancelled")
        self.descending = False
        self.send(msg.LadderEnded(STEPS))

    def release(self) -> msg.Release:
        """Somebody asks for a release."""
        release = msg.Release("operator")
        self.releases.append(release)
        self.send(release)
        return release

    def close(self) -> msg.Close:
        """Somebody closes."""
        close = msg.Close("operator")
        self.closes.append(close)
        self.send(close)
        return close

    def settle(self) -> None:
        """Let everything that is under way end, until nothing is."""
        while not self.gone:
            if self.disk:
                self.sync()
            elif self.descending:
                self.end_ladder()
            elif self.working is not None:
                self.end_work()
            elif self.releasing:
                self.end_release()
            else:
                return

    def running(self, prompts: int = 1) -> StepWorld:
        """Go to where a turn runs, with more prompts waiting."""
        for _ in range(prompts):
            self.offer()
        while self.disk:
            self.sync()
        if self.working == "build":
            self.end_work()
        assert self.state.phase is Phase.RUNNING
        return self


def given(reply: Reply[str]) -> str | None:
    """The answer that is there, None where there is none yet."""
    seen: list[outcome.Maybe[str]] = []
    reply.on_done(seen.append)
    assert not seen or isinstance(seen[0], outcome.Value)
    return seen[0].value if seen and isinstance(seen[0], outcome.Value) else None
