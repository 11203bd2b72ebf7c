"""The decisions of a cancel: what runs is asked to end, what waits is ended at once."""

from __future__ import annotations

from attrs import evolve

from hermes.actors.session import effects as do
from hermes.actors.session import messages as msg
from hermes.actors.session.state import Phase, State, Waiting
from hermes.ports.store import PromptState


def cancelled(prompt: Waiting) -> do.End:
    """The end of a prompt that no turn was run for."""
    return do.End(prompt, PromptState.CANCELLED, stop_reason="cancelled")


def stoppable(state: State) -> bool:
    """Whether there is a build or a turn that can be asked to end."""
    return state.phase in (Phase.BUILDING, Phase.RUNNING)


def stop(state: State, why: str, effects: list[do.Effect]) -> State:
    """Ask the build or turn to end; the first reason stands."""
    if not stoppable(state) or state.stopping is not None:
        return state
    effects.append(do.Stop())
    return evolve(state, stopping=why)


def on_cancel(state: State, message: msg.Cancel, effects: list[do.Effect]) -> State:
    """Everything of the session: the turn, what steers it, what waits, what is not written."""
    if state.phase is Phase.CLOSING:
        # What came during the close waits for the next actor.
        effects.append(do.CarryOver(message))
    effects.extend(cancelled(prompt) for prompt in state.queue)
    state = evolve(
        state,
        queue=(),
        interrupting=False,
        doomed=frozenset(state.accepting),
        dropped=frozenset(prompt.number for prompt in state.steering),
    )
    return stop(state, "cancel", effects)


def on_cancel_prompt(state: State, message: msg.CancelPrompt, effects: list[do.Effect]) -> State:
    """One prompt only, wherever it is."""
    sink = message.sink
    if state.phase is Phase.CLOSING:
        effects.append(do.CarryOver(message))
    if state.current is not None and sink in state.current.sinks:
        return stop(state, "cancel", effects)
    steering = [prompt for prompt in state.steering if sink in prompt.sinks]
    if steering:
        # It may have reached the model already: its client has its answer now, and
        # its end is written with the end of the turn that it joined.
        effects.append(do.Unsteer(steering[0].number))
        effects.append(do.AnswerCancelled(sink))
        others = tuple(
            evolve(prompt, sinks=()) if prompt in steering else prompt for prompt in state.steering
        )
        dropped = state.dropped | {steering[0].number}
        return evolve(state, steering=others, dropped=dropped)
    unwritten = {offer for offer in state.accepting if offer.sink is sink}
    gone = [prompt for prompt in state.queue if sink in prompt.sinks]
    effects.extend(cancelled(prompt) for prompt in gone)
    queue = tuple(prompt for prompt in state.queue if prompt not in gone)
    return evolve(state, queue=queue, doomed=state.doomed | unwritten)
