"""The decisions of a session: `step(state, message, facts) -> (state, effects)`.

No await, no clock, no I/O: this is what the property tests and the simulation
drive, and what must be read to know what a session does.

Theory of operation.  A session is in one phase.  IDLE takes the next prompt:
an agent that fits today's configuration RUNs it at once, one of another
signature is RELEASEd first, none is BUILDing first.  A turn that is over is
ENDING until its terminal state is on disk; only then is the session IDLE again,
so no prompt ever overtakes the end of the one before.  CLOSING is entered from
any phase and left only by the end of the actor: the ladder stops what runs, in
order, while the loop still answers.  `settle` follows every step and is the only
place that begins a turn or lets the actor go.

    IDLE -> BUILDING -> RUNNING -> ENDING -> IDLE
    IDLE -> RELEASING -> IDLE
    any  -> CLOSING -> GONE        IDLE -> GONE (dormant: nothing needs it)
"""

from __future__ import annotations

from attrs import evolve

from hermes.actors.session import effects as do
from hermes.actors.session import messages as msg
from hermes.actors.session import notices
from hermes.actors.session.cancels import cancelled, on_cancel, on_cancel_prompt, stop, stoppable
from hermes.actors.session.closing import on_close, on_ladder_ended, settle_closing
from hermes.actors.session.effects import Effect
from hermes.actors.session.offers import on_committed, on_offer
from hermes.actors.session.state import Facts, Phase, Releasing, State, Waiting
from hermes.errors import Interrupted
from hermes.ports.store import PromptState

#: Turns that are begun for one prompt: the first, and one more after a crash (row D2).
ATTEMPTS = 2

Effects = list[Effect]


def step(session: str, state: State, message: msg.Message, facts: Facts) -> tuple[State, Effects]:
    """Decide what a message means for the session named `session`."""
    effects: Effects = []
    state = _decide(session, state, message, facts, effects)
    ended = {effect.prompt.number for effect in effects if isinstance(effect, do.End)}
    if ended:
        state = evolve(state, ending=state.ending | ended)
    if state.phase is Phase.CLOSING:
        return settle_closing(session, state, effects), effects
    return settle(session, state, facts, effects), effects


def settle(session: str, state: State, facts: Facts, effects: Effects) -> State:
    """Begin the next turn if there is one; let the actor go if nothing needs it."""
    if state.grants:
        state = _answer_grants(state, effects)
    if state.phase is not Phase.IDLE:
        return state
    if state.queue and not (state.paused or facts.held) and _granted(state):
        return _begin(session, state, facts, effects)
    waiting = state.queue or state.accepting or state.ending
    if not (waiting or state.resident or state.clients or state.resources) and facts.empty:
        effects.append(do.Retire("dormant"))
        return evolve(state, phase=Phase.GONE)
    return state


def _granted(state: State) -> bool:
    return state.granted is None or state.queue[0].number <= state.granted


def _answer_grants(state: State, effects: Effects) -> State:
    """Answer those whose prompt has its end; while paused nobody is kept waiting."""
    unanswered = () if state.paused else {prompt.number for prompt in state.unanswered}
    for number, reply in state.grants:
        if number not in unanswered:
            effects.append(do.Answer(reply, None))
    return evolve(state, grants=tuple(one for one in state.grants if one[0] in unanswered))


def _begin(session: str, state: State, facts: Facts, effects: Effects) -> State:
    if state.resident is not None and state.resident != facts.signature:
        effects.append(do.GiveBack())
        return evolve(state, phase=Phase.RELEASING, release=Releasing("rebuild"))
    prompt, *rest = state.queue
    state = evolve(state, current=prompt, queue=tuple(rest), stopping=None)
    if prompt.attempts >= ATTEMPTS:
        cut = Interrupted("the turn was cut twice and is not run again")
        effects.append(do.End(prompt, PromptState.INTERRUPTED, error=cut, current=True))
        return evolve(state, phase=Phase.ENDING, ending=state.ending | {prompt.number})
    cached = state.resident is not None
    effects.append(do.Tell(notices.TurnBegan(session, cached, prompt.attempts > 0)))
    if not cached:
        effects.append(do.Build())
        return evolve(state, phase=Phase.BUILDING)
    return _run(state, effects, cached=True)


def _run(state: State, effects: Effects, *, cached: bool) -> State:
    assert state.current is not None
    effects.append(do.Run(state.current, cached, state.interrupting))
    return evolve(state, phase=Phase.RUNNING, interrupting=False)


def _decide(
    session: str, state: State, message: msg.Message, facts: Facts, effects: Effects
) -> State:
    match message:
        case msg.Offer():
            return on_offer(session, state, message, facts, effects)
        case msg.Committed():
            return on_committed(state, message, effects)
        case msg.Attach() | msg.Detach():
            return _on_client(state, message, effects)
        case msg.Cancel():
            return on_cancel(state, message, effects)
        case msg.CancelPrompt():
            return on_cancel_prompt(state, message, effects)
        case msg.Interrupt():
            effects.append(do.Answer(message.reply, stoppable(state)))
            return stop(state, "cancel", effects)
        case msg.Release():
            return _on_release(state, message, effects)
        case msg.ReleaseEnded():
            return _on_release_ended(session, state, effects)
        case msg.Close():
            return on_close(state, message, effects)
        case msg.LadderEnded():
            return on_ladder_ended(state, message, effects)
        case msg.Suspend():
            return _on_suspend(state, message, effects)
        case msg.Inspect():
            effects.append(do.Look(message))
            return state
        case msg.Grant():
            granted = None if state.granted is None else max(state.granted, message.number)
            grants = (*state.grants, (message.number, message.reply))
            return evolve(state, granted=granted, grants=grants)
        case msg.GoOn():
            return state
        case msg.CutTurn():
            return stop(state, "drain", effects)
        case msg.NeedResource():
            effects.append(do.Open(message))
            return evolve(state, resources=state.resources | {message.kind})
        case msg.ResourceEnded():
            return _on_resource_ended(session, state, message, effects)
        case msg.BuildEnded():
            return _on_build_ended(session, state, message, effects)
        case msg.TurnPartEnded():
            return _on_turn_ended(session, state, message, effects)
        case msg.PromptEnded():
            return _on_prompt_ended(session, state, message, effects)


# -- clients ----------------------------------------------------------------


def _on_client(state: State, message: msg.Attach | msg.Detach, effects: Effects) -> State:
    if isinstance(message, msg.Detach):
        effects.append(do.Dismiss(message.client))
        if state.phase is Phase.CLOSING:
            effects.append(do.CarryOver(message))
        return evolve(state, clients=state.clients - {message.client})
    if state.phase is Phase.CLOSING:
        effects.append(do.CarryOver(message))
        return state
    effects.append(do.Admit(message))
    return evolve(state, clients=state.clients | {message.client})


# -- release, suspension, resources -------------------------------------------


def _on_release(state: State, message: msg.Release, effects: Effects) -> State:
    if state.busy:
        effects.append(do.Answer(message.reply, "busy"))
        return state
    if state.release is not None:
        replies = (*state.release.replies, message.reply)
        return evolve(state, release=evolve(state.release, replies=replies))
    if state.resident is None or state.phase is Phase.CLOSING:
        effects.append(do.Answer(message.reply, "already released"))
        return state
    effects.append(do.GiveBack())
    return evolve(state, phase=Phase.RELEASING, release=Releasing(message.cause, (message.reply,)))


def _on_release_ended(session: str, state: State, effects: Effects) -> State:
    if state.release is None:
        return state  # a close did it meanwhile
    cause = state.release.cause
    effects.append(do.Forget(cause))
    effects.append(do.Tell(notices.Released(session, cause)))
    effects.extend(do.Answer(reply, "released") for reply in state.release.replies)
    phase = Phase.CLOSING if state.phase is Phase.CLOSING else Phase.IDLE
    return evolve(state, phase=phase, resident=None, release=None, released_for=cause)


def _on_suspend(state: State, message: msg.Suspend, effects: Effects) -> State:
    state = evolve(
        state,
        suspended=message.suspended,
        quarantined=state.quarantined and message.suspended,
    )
    effects.append(do.KeepSuspended(state.suspended, state.quarantined))
    effects.append(do.Answer(message.reply, state.name))
    return state


def _on_resource_ended(
    session: str, state: State, message: msg.ResourceEnded, effects: Effects
) -> State:
    if message.report.error is not None:
        what = f"resource {message.kind}"
        effects.append(do.Tell(notices.Crashed(session, what, repr(message.report.error))))
    return evolve(state, resources=state.resources - {message.kind})


# -- the ends of parts --------------------------------------------------------


def _on_build_ended(session: str, state: State, message: msg.BuildEnded, effects: Effects) -> State:
    report = message.report
    if report.how == "done":
        signature = report.value
        assert isinstance(signature, str)
        reason = _rebuild_reason(state)
        effects.append(do.Tell(notices.Built(session, reason)))
        state = evolve(state, resident=signature, built_before=True, released_for=None)
        if state.phase is Phase.BUILDING and state.stopping is None:
            return _run(state, effects, cached=False)
    return _end_current(session, state, effects, report.error, turn=False)


def _rebuild_reason(state: State) -> str | None:
    if not state.built_before:
        return None
    return "configuration" if state.released_for == "rebuild" else "released"


def _on_turn_ended(
    session: str, state: State, message: msg.TurnPartEnded, effects: Effects
) -> State:
    report = message.report
    stop_reason = report.value if report.how == "done" else None
    assert stop_reason is None or isinstance(stop_reason, str)
    return _end_current(
        session,
        state,
        effects,
        report.error,
        turn=True,
        stop_reason=stop_reason,
        taken=message.taken,
    )


def _end_current(
    session: str,
    state: State,
    effects: Effects,
    error: Exception | None,
    *,
    turn: bool,
    stop_reason: str | None = None,
    taken: frozenset[int] = frozenset(),
) -> State:
    """End the current prompt, and those that joined its turn, in the same way."""
    prompt = state.current
    if prompt is None:
        return state
    if state.stopping == "drain" and stop_reason is None:
        return _cut_current(session, state, prompt, effects, turn=turn)
    if stop_reason is not None:
        end = do.End(prompt, PromptState.ANSWERED, stop_reason=stop_reason, turn=turn, current=True)
    elif error is not None and state.stopping is None:
        end = do.End(prompt, PromptState.FAILED, error=error, turn=turn, current=True)
    else:
        end = do.End(
            prompt, PromptState.CANCELLED, stop_reason="cancelled", turn=turn, current=True
        )
    effects.append(end)
    closing = state.close is not None
    joined = [other for other in state.steering if other.number in taken]
    gone = state.dropped if not closing else frozenset(one.number for one in state.steering)
    late = [other for other in state.steering if other.number not in taken]
    effects.extend(evolve(end, prompt=other, turn=False, current=False) for other in joined)
    effects.extend(cancelled(other) for other in late if other.number in gone)
    rest = [other for other in late if other.number not in gone]
    state = evolve(state, queue=(*rest, *state.queue), steering=(), dropped=frozenset())
    if state.close is not None:
        return evolve(state, current=None)
    return evolve(state, phase=Phase.ENDING)


def _cut_current(
    session: str, state: State, prompt: Waiting, effects: Effects, *, turn: bool
) -> State:
    """Put the prompt back, with what steered it: it runs once more after the drain."""
    effects.extend((do.Drop(), do.Tell(notices.Idle(session))))
    again = evolve(prompt, attempts=prompt.attempts + 1) if turn else prompt
    gone = [other for other in state.steering if other.number in state.dropped]
    effects.extend(cancelled(other) for other in gone)
    rest = [other for other in state.steering if other not in gone]
    return evolve(
        state,
        phase=Phase.IDLE,
        current=None,
        stopping=None,
        queue=(again, *rest, *state.queue),
        steering=(),
        dropped=frozenset(),
    )


def _on_prompt_ended(
    session: str, state: State, message: msg.PromptEnded, effects: Effects
) -> State:
    state = evolve(state, ending=state.ending - {message.number})
    if state.current is not None and state.current.number == message.number:
        effects.append(do.Tell(notices.Idle(session)))
        phase = Phase.IDLE if state.phase is Phase.ENDING else state.phase
        interrupting = state.interrupting and bool(state.queue)
        return evolve(state, phase=phase, current=None, stopping=None, interrupting=interrupting)
    return state
