"""The decisions of a session, driven with chosen and with random messages."""

from __future__ import annotations

from support.session_parts import RecordingClient, RecordingSink
from support.step_world import STEPS, StepWorld, given

from hermes.actors import MailboxFull, PartReport
from hermes.actors.session import effects as do
from hermes.actors.session import messages as msg
from hermes.actors.session import notices
from hermes.actors.session.state import Facts, Phase, State, Waiting
from hermes.actors.session.step import settle
from hermes.errors import Interrupted, SessionBusy
from hermes.ports.store import PromptState


def ends(effects: list[do.Effect]) -> list[do.End]:
    """The terminal states among effects."""
    return [effect for effect in effects if isinstance(effect, do.End)]


def refusal(effects: list[do.Effect]) -> Exception:
    """Why the one offer was refused."""
    (refused,) = [effect for effect in effects if isinstance(effect, do.Refuse)]
    return refused.error


# -- turns ----------------------------------------------------------------------


def test_a_prompt_is_committed_before_it_is_acknowledged() -> None:
    """D1: an offer goes to the disk first; its acknowledgement and its turn follow the commit."""
    world = StepWorld()
    offer = msg.Offer("hello", b"{}", RecordingSink())
    effects = world.send(offer)
    assert [type(effect) for effect in effects] == [do.Enroll, do.Tell, do.Accept]
    world.commit()
    assert world.working == "build"


def test_a_resident_agent_is_used_again() -> None:
    """L1: the next prompt under the same signature runs on the very same agent."""
    world = StepWorld().running()
    world.settle()
    world.offer()
    world.commit()
    assert world.working == "turn"
    assert [run.cached for run in world.turns] == [False, True]


def test_a_changed_signature_rebuilds() -> None:
    """S7, L2: an agent of another signature is given back before the next turn, then built."""
    world = StepWorld().running()
    world.settle()
    world.signature = "tomorrow"
    world.offer()
    world.commit()
    assert world.releasing
    world.end_release()
    assert world.working == "build"
    world.end_work()
    assert notices.Released("ses_1", "rebuild") in world.told
    assert notices.Built("ses_1", "configuration") in world.told


def test_a_failed_build_fails_its_prompt_only() -> None:
    """K4: where no agent can be built, the prompt fails and the next one is tried."""
    world = StepWorld()
    world.offer()
    world.offer()
    world.commit()
    world.commit()
    world.end_work("crashed")
    assert [end.state for end in world.ending] == [PromptState.FAILED]
    world.end_prompt()
    assert world.working == "build"


def test_the_next_turn_waits_for_the_last_ones_end_on_disk() -> None:
    """D1: no turn begins before the terminal state of the one before is on disk."""
    world = StepWorld().running(2)
    world.end_work()
    assert world.state.phase is Phase.ENDING
    assert world.working is None
    world.end_prompt()
    assert world.working == "turn"


def test_twice_cut_is_not_run_again() -> None:
    """D2: a prompt whose turn was cut twice ends as interrupted, and no turn is begun for it."""
    sink = RecordingSink()
    world = StepWorld(state=State(queue=(Waiting(7, "x", sinks=(sink,), attempts=2),)))
    effects = world.send(msg.GoOn())
    (end,) = ends(effects)
    assert end.state is PromptState.INTERRUPTED
    assert isinstance(end.error, Interrupted)
    assert world.turns == []


# -- busy -----------------------------------------------------------------------


def test_a_full_session_refuses() -> None:
    """K2: one runs, `capacity` wait, the next one is told that the mailbox is full."""
    world = StepWorld(capacity=2)
    for _ in range(3):
        world.offer()
        world.commit()
    effects = world.send(msg.Offer("x", b"{}", RecordingSink()))
    assert isinstance(refusal(effects), MailboxFull)
    assert len(world.state.queue) == 2


def test_offers_on_their_way_to_the_disk_count() -> None:
    """K2: a burst is bounded too: what the disk has not answered takes its place."""
    world = StepWorld(capacity=2)
    for _ in range(3):
        world.offer()
    assert isinstance(refusal(world.send(msg.Offer("x", b"{}", RecordingSink()))), MailboxFull)


def test_reject() -> None:
    """`whenBusy: reject` is refused where a turn runs or waits, and runs where none does."""
    world = StepWorld()
    world.offer(msg.REJECT)
    effects = world.send(msg.Offer("x", b"{}", RecordingSink(), when_busy=msg.REJECT))
    assert isinstance(refusal(effects), SessionBusy)
    world.commit()
    assert world.working == "build"


def test_interrupt_runs_before_the_queue() -> None:
    """`whenBusy: interrupt` cancels the running prompt and runs before those that wait."""
    world = StepWorld().running(2)
    world.offer(msg.INTERRUPT)
    world.commit()
    assert world.state.stopping == "interrupt"
    world.end_work("cancelled")
    (end,) = world.ending
    assert (end.prompt.number, end.state) == (1, PromptState.CANCELLED)
    world.end_prompt()
    assert [run.prompt.number for run in world.turns] == [1, 3]
    assert world.turns[-1].interrupting


def test_an_interruption_is_one_at_any_depth() -> None:
    """A2: a second interruption, while the first one's turn has not begun, still inherits."""
    world = StepWorld().running()
    world.offer(msg.INTERRUPT)
    world.commit()
    world.offer(msg.INTERRUPT)
    world.end_work("cancelled")
    assert world.state.phase is Phase.ENDING
    world.commit()
    world.end_prompt()
    assert world.turns[-1].prompt.number == 3
    assert world.turns[-1].interrupting


def test_an_interruption_of_a_build_inherits_nothing() -> None:
    """A1: where no turn was stuck, the one that comes first has a clock of its own."""
    world = StepWorld()
    world.offer()
    world.commit()
    assert world.working == "build"
    world.offer(msg.INTERRUPT)
    world.commit()
    world.end_work("cancelled")
    world.settle()
    assert [(run.prompt.number, run.interrupting) for run in world.turns] == [(2, False)]


def test_a_withdrawn_interruption_is_none() -> None:
    """A1: a turn that begins after an interruption was taken back has a clock of its own."""
    world = StepWorld().running()
    offer = world.offer(msg.INTERRUPT)
    world.commit()
    world.send(msg.CancelPrompt(offer.sink))
    world.end_work("cancelled")
    world.settle()
    world.offer()
    world.settle()
    assert [run.interrupting for run in world.turns] == [False, False]


# -- cancels ---------------------------------------------------------------------


def test_cancel_ends_what_runs_and_what_waits() -> None:
    """`session/cancel` cancels the turn, the queue, and the offers that are not on disk yet."""
    world = StepWorld().running(2)
    world.offer()
    world.send(msg.Cancel())
    world.end_work("cancelled")
    world.settle()
    assert all(world.fates[id(offer.sink)] == 1 for offer in world.offers)
    assert [run.prompt.number for run in world.turns] == [1]


def test_cancel_of_one_prompt() -> None:
    """`$/cancel_request` ends that prompt only, wherever it is."""
    world = StepWorld(capacity=9).running(3)
    world.offer()
    running, waiting, kept, unwritten = world.offers
    for offer in (waiting, unwritten, running):
        world.send(msg.CancelPrompt(offer.sink))
    world.end_work("cancelled")
    world.settle()
    assert [run.prompt.number for run in world.turns] == [1, 3]
    assert world.fates[id(kept.sink)] == 1


def test_a_repeated_id_joins() -> None:
    """D5: a repeat joins the prompt that waits or runs; one turn runs and answers all."""
    world = StepWorld()
    for _ in range(50):
        world.offer(client_id="once")
    world.settle()
    assert len(world.turns) == 1
    assert all(world.fates[id(offer.sink)] == 1 for offer in world.offers)
    late = world.offer(client_id="once")
    world.settle()
    assert len(world.turns) == 1
    assert world.fates[id(late.sink)] == 1


def test_a_repeat_meets_the_end_of_its_turn() -> None:
    """D5: a repeat that comes while the end is on its way to the disk asks the disk once more,
    and gets the kept answer.
    """
    world = StepWorld()
    world.offer(client_id="once")
    world.commit()
    world.end_work()
    repeat = world.offer(client_id="once")
    world.end_work()
    world.commit()
    assert world.state.phase is Phase.ENDING
    world.settle()
    assert world.fates[id(repeat.sink)] == 1
    assert len(world.turns) == 1


def test_a_repeat_meets_its_cancel() -> None:
    """D5: a repeat of a prompt that was cancelled before it ran is answered, and runs nothing."""
    world = StepWorld()
    world.offer(client_id="once")
    world.send(msg.Cancel())
    repeat = world.offer(client_id="once")
    world.settle()
    assert world.fates[id(repeat.sink)] == 1
    assert world.turns == []
    assert list(world.ended.values()) == [1]


# -- release, close --------------------------------------------------------------


def test_release_meets_a_turn() -> None:
    """R5: a session that is building, running or ending answers busy at once."""
    world = StepWorld()
    world.offer()
    world.commit()
    assert given(world.release().reply) == "busy"
    world.end_work()
    assert given(world.release().reply) == "busy"
    world.end_work()
    assert given(world.release().reply) == "busy"
    world.end_prompt()
    assert given(world.release().reply) is None


def test_release_is_idempotent() -> None:
    """R6: releases join the one under way, and a released session says so."""
    world = StepWorld().running()
    world.settle()
    # With a client attached, a released session is not dormant.
    world.send(msg.Attach(RecordingClient()))
    first, second = world.release(), world.release()
    assert given(first.reply) is given(second.reply) is None
    world.end_release()
    assert given(first.reply) == given(second.reply) == "released"
    assert given(world.release().reply) == "already released"


def test_a_prompt_meets_a_release() -> None:
    """R6: a prompt that comes while the agent is released is served by a fresh one."""
    world = StepWorld().running()
    world.settle()
    world.release()
    world.offer()
    world.commit()
    assert world.working is None
    world.end_release()
    assert world.working == "build"


def test_a_second_close_joins() -> None:
    """R6: there is one ladder, and every close is answered with its steps."""
    world = StepWorld().running(2)
    first = world.close()
    second = world.close()
    world.settle()
    assert world.gone
    assert world.ladders == 1
    answers: list[object] = []
    for close in (first, second):
        close.reply.on_done(lambda result: answers.append(result.unwrap()))
    assert answers == [STEPS, STEPS]
    assert list(world.ended.values()) == [1, 1]


def test_a_close_meets_a_release() -> None:
    """R6: a release that a close has overtaken is answered as released."""
    world = StepWorld().running()
    world.settle()
    release = world.release()
    world.close()
    world.settle()
    assert world.gone
    assert given(release.reply) == "released"


def test_a_turn_that_does_not_end_is_ended() -> None:
    """R3: a close whose ladder had to kill the turn ends its prompt all the same, once."""
    world = StepWorld().running()
    world.close()
    world.descending = False
    world.send(msg.LadderEnded(STEPS))
    assert [end.state for end in world.ending] == [PromptState.CANCELLED]
    world.working = None
    world.send(msg.TurnPartEnded(PartReport("cancelled")))
    assert len(world.ending) == 1
    world.end_prompt()
    assert world.gone


def test_a_prompt_meets_a_close() -> None:
    """R9: a prompt that comes while the session closes is left to its next actor."""
    world = StepWorld().running()
    world.close()
    effects = world.send(offer := msg.Offer("x", b"{}", RecordingSink()))
    (carried,) = effects
    assert isinstance(carried, do.CarryOver)
    assert carried.message is offer


def test_a_gone_actor_does_nothing() -> None:
    """B12: an actor that nothing needs goes at once, and begins nothing after that."""
    world = StepWorld()
    effects = world.send(msg.GoOn())
    assert [type(effect) for effect in effects] == [do.Retire]
    late: list[do.Effect] = []
    waiting = State(phase=Phase.GONE, queue=(Waiting(1, "x"),))
    assert settle("ses_1", waiting, Facts(capacity=1, signature="today"), late) is waiting
    assert late == []
