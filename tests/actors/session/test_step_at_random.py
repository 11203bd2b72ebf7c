"""The decisions of a session under any messages in any order; `StepWorld` checks each step."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.session_parts import RecordingClient
from support.step_world import How, StepWorld

from hermes.actors.session import messages as msg


class Messages(RuleBasedStateMachine):
    """D1, R3, R5, R6, B12, K2: any message at any time; the invariants are `StepWorld`'s."""

    def __init__(self) -> None:
        super().__init__()
        self.clients = [RecordingClient(), RecordingClient()]
        self.world = StepWorld()

    @rule(
        when_busy=st.sampled_from([msg.QUEUE, msg.QUEUE, msg.INTERRUPT, msg.STEER, msg.REJECT]),
        client_id=st.sampled_from([None, None, "a", "b"]),
    )
    def offer(self, when_busy: str, client_id: str | None) -> None:
        """A client prompts."""
        self.world.offer(when_busy, client_id)

    @precondition(lambda self: self.world.disk)
    @rule(full=st.sampled_from([False, False, False, True]))
    def sync(self, full: bool) -> None:
        """The disk answers."""
        self.world.sync(full=full)

    @precondition(lambda self: self.world.working)
    @rule(how=st.sampled_from(["done", "cancelled", "crashed"]))
    def end_work(self, how: How) -> None:
        """The build or the turn ends."""
        self.world.end_work(how)

    @precondition(lambda self: self.world.releasing)
    @rule()
    def end_release(self) -> None:
        """A release is over."""
        self.world.end_release()

    @precondition(lambda self: self.world.descending)
    @rule()
    def end_ladder(self) -> None:
        """A close is down."""
        self.world.end_ladder()

    @rule()
    def release(self) -> None:
        """The supervisor or an operator asks."""
        self.world.release()

    @rule()
    def close(self) -> None:
        """Somebody closes."""
        self.world.close()

    @rule()
    def cancel(self) -> None:
        """A client cancels everything."""
        self.world.send(msg.Cancel())

    @precondition(lambda self: self.world.offers)
    @rule(data=st.data())
    def cancel_prompt(self, data: st.DataObject) -> None:
        """A client cancels one of its prompts, however old."""
        offer = data.draw(st.sampled_from(self.world.offers))
        self.world.send(msg.CancelPrompt(offer.sink))

    @rule()
    def interrupt(self) -> None:
        """An operator interrupts."""
        interrupt = msg.Interrupt()
        self.world.send(interrupt)
        assert interrupt.reply.done

    @rule(suspended=st.booleans())
    def suspend(self, suspended: bool) -> None:
        """An operator suspends or resumes."""
        self.world.send(msg.Suspend(suspended))

    @rule(held=st.booleans())
    def drain(self, held: bool) -> None:
        """The daemon drains, or goes on."""
        self.world.held = held
        self.world.send(msg.GoOn())

    @rule(signature=st.sampled_from(["today", "tomorrow"]))
    def configure(self, signature: str) -> None:
        """The configuration changes."""
        self.world.signature = signature

    @rule(which=st.integers(0, 1), attach=st.booleans())
    def client(self, which: int, attach: bool) -> None:
        """A connection comes or goes."""
        client = self.clients[which]
        self.world.send(msg.Attach(client) if attach else msg.Detach(client))

    @precondition(lambda self: self.world.working == "turn")
    @rule(kind=st.sampled_from(["browser", "terminal"]))
    def need(self, kind: str) -> None:
        """A turn needs a resource."""
        self.world.send(msg.NeedResource(kind))

    @precondition(lambda self: self.world.resources)
    @rule(data=st.data())
    def end_resource(self, data: st.DataObject) -> None:
        """A resource dies."""
        self.world.end_resource(data.draw(st.sampled_from(sorted(self.world.resources))))

    @rule()
    def settle_message(self) -> None:
        """The recovery grants a prompt."""
        self.world.send(msg.Grant(1))

    @invariant()
    def once(self) -> None:
        """Each prompt was given at most one end; there was at most one ladder."""
        assert all(count == 1 for count in self.world.ended.values())
        assert self.world.ladders <= 1

    @invariant()
    def revived(self) -> None:
        """A gone actor is checked for what it owes; the next messages go to a new one."""
        if self.world.gone:
            self.check_debts()
            self.world = StepWorld(signature=self.world.signature, held=self.world.held)

    def teardown(self) -> None:
        """Whatever happened: resumed and left alone, the session settles, and all are answered."""
        self.world.held = False
        if not self.world.gone:
            self.world.send(msg.Suspend(False))
        self.world.settle()
        self.check_debts()
        if not self.world.gone:
            self.world.close()
            self.world.settle()
            assert self.world.gone

    def check_debts(self) -> None:
        """Every offer has its fate, every release its answer."""
        assert all(self.world.fates[id(offer.sink)] == 1 for offer in self.world.offers)
        assert all(release.reply.done for release in self.world.releases)


TestMessages = Messages.TestCase
TestMessages.settings = settings(stateful_step_count=40, max_examples=200)
