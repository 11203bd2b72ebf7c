"""The decisions of a close, which may begin in any phase (rows R3, R6, R9).

What runs is stopped by the ladder; what waits is ended here, at once.  The actor
goes only when the ladder is down and every terminal state is on disk.
"""

from __future__ import annotations

from attrs import evolve

from hermes.actors.session import effects as do
from hermes.actors.session import messages as msg
from hermes.actors.session import notices
from hermes.actors.session.cancels import cancelled
from hermes.actors.session.state import Closing, Phase, State
from hermes.ports.store import PromptState


def on_close(state: State, message: msg.Close, effects: list[do.Effect]) -> State:
    """Begin a close; a second one joins the first."""
    if state.close is not None:
        replies = (*state.close.replies, message.reply)
        return evolve(state, close=evolve(state.close, replies=replies))
    effects.extend(cancelled(prompt) for prompt in state.queue)
    current = state.current
    if state.phase is Phase.ENDING and current is not None:
        # Its end is on its way to the disk already.
        current = None
    effects.append(do.Descend())
    return evolve(
        state,
        phase=Phase.CLOSING,
        queue=(),
        current=current,
        stopping="close" if current is not None else state.stopping,
        close=Closing(message.reason, (message.reply,)),
    )


def on_ladder_ended(state: State, message: msg.LadderEnded, effects: list[do.Effect]) -> State:
    """All steps are taken: a turn that would not end is ended for it."""
    assert state.close is not None
    close = evolve(state.close, reports=message.reports)
    if state.current is not None:
        effects.append(
            do.End(
                state.current,
                PromptState.CANCELLED,
                stop_reason="cancelled",
                turn=True,
                current=True,
            )
        )
        effects.extend(cancelled(prompt) for prompt in state.steering)
    replies = state.release.replies if state.release is not None else ()
    effects.extend(do.Answer(reply, "released") for reply in replies)
    return evolve(state, current=None, steering=(), resident=None, release=None, close=close)


def settle_closing(session: str, state: State, effects: list[do.Effect]) -> State:
    """Let the actor go once nothing of the close is left to do."""
    close = state.close
    assert close is not None
    if close.reports is None or state.ending or state.accepting:
        return state
    effects.extend(do.Answer(reply, close.reports) for reply in close.replies)
    effects.append(do.Tell(notices.Closed(session, close.reason, close.reports)))
    effects.append(do.Retire(close.reason))
    return evolve(state, phase=Phase.GONE)
