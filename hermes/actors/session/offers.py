"""The decisions about an offered prompt: refuse, write down, queue, steer, join."""

from __future__ import annotations

import outcome
from attrs import evolve

from hermes.actors import MailboxFull
from hermes.actors.session import effects as do
from hermes.actors.session import messages as msg
from hermes.actors.session import notices
from hermes.actors.session.cancels import cancelled, stop
from hermes.actors.session.state import Facts, Phase, State, Waiting
from hermes.errors import SessionBusy
from hermes.ports.client import PromptSink
from hermes.ports.store import PromptRow

Effects = list[do.Effect]


def on_offer(session: str, state: State, offer: msg.Offer, facts: Facts, effects: Effects) -> State:
    """Have it written down, or refuse it aloud; nothing else is done about it yet."""
    if state.phase is Phase.CLOSING:
        effects.append(do.CarryOver(offer))
        return state
    # A session whose client speaks waits for no recovery (row D9).
    state = evolve(state, granted=None)
    client = offer.sink.client
    if client not in state.clients:
        effects.append(do.Enroll(client))
        state = evolve(state, clients=state.clients | {client})
    repeated = offer.client_id is not None and offer.client_id in state.knows
    if not repeated:
        if offer.when_busy == msg.REJECT and (state.busy or state.depth):
            effects.append(do.Refuse(offer.sink, SessionBusy("a turn is running")))
            return state
        # The one that runs next without waiting takes no place.
        waiting = state.depth - (0 if state.busy or state.paused else 1)
        if waiting >= facts.capacity:
            effects.append(do.Refuse(offer.sink, MailboxFull(facts.capacity)))
            return state
    effects.append(do.Tell(notices.Touched(session)))
    effects.append(do.Accept(offer))
    return evolve(state, accepting=(*state.accepting, offer))


def on_committed(state: State, message: msg.Committed, effects: Effects) -> State:
    """It is on disk, or it cannot be: acknowledge it and give it its place, or refuse it."""
    offer = message.offer
    state = evolve(state, granted=None)
    doomed = offer in state.doomed
    state = evolve(
        state,
        accepting=tuple(other for other in state.accepting if other is not offer),
        doomed=state.doomed - {offer},
    )
    if isinstance(message.outcome, outcome.Error):
        error = message.outcome.error
        assert isinstance(error, Exception)
        effects.append(do.Refuse(offer.sink, error))
        return state
    accepted = message.outcome.value
    row = accepted.row
    if accepted.existing or _known(state, row.number):
        if doomed:
            effects.append(do.AnswerCancelled(offer.sink))
            return state
        return _join(state, offer, row, effects)
    prompt = Waiting(
        row.number, offer.text, offer.client_id, (offer.sink,), reasoning=offer.reasoning
    )
    if state.close is not None or doomed:
        effects.append(do.Acknowledge(offer.sink, 0))
        effects.append(cancelled(prompt))
        return state
    return _place(state, prompt, offer, effects)


def _place(state: State, prompt: Waiting, offer: msg.Offer, effects: Effects) -> State:
    """Where a new prompt goes: into the turn that runs, before the queue, or behind it."""
    running = state.phase is Phase.RUNNING and state.stopping is None
    if offer.when_busy == msg.STEER and running:
        effects.append(do.Acknowledge(offer.sink, 0))
        effects.append(do.Steer(prompt))
        return evolve(state, steering=(*state.steering, prompt))
    if offer.when_busy == msg.INTERRUPT and state.busy:
        effects.append(do.Acknowledge(offer.sink, 0))
        # What interrupts an interruption that has not begun still inherits the stuck clock;
        # a build has none to inherit (rows A1, A2).
        interrupting = state.interrupting or state.phase is Phase.RUNNING
        state = evolve(state, queue=(prompt, *state.queue), interrupting=interrupting)
        return stop(state, "interrupt", effects)
    position = len(state.queue) + (1 if state.busy else 0)
    effects.append(do.Acknowledge(offer.sink, position))
    return evolve(state, queue=(*state.queue, prompt))


def _known(state: State, number: int) -> bool:
    """Whether this actor found the prompt on disk before it was told of its commit."""
    return number in state.ending or any(one.number == number for one in state.unanswered)


def _join(state: State, offer: msg.Offer, row: PromptRow, effects: Effects) -> State:
    """A repeated id: the same answer, now or when it comes (row D5)."""
    sink = offer.sink
    if row.result is not None:
        effects.append(do.AnswerKept(sink, row))
        return state
    if row.number in state.ending:
        if offer.client_id is None:
            effects.append(do.AnswerCancelled(sink))
            return state
        # Its end is before us in the store's queue: asked again, the store knows the answer.
        effects.append(do.Accept(offer))
        return evolve(state, accepting=(*state.accepting, offer))
    if state.current is not None and state.current.number == row.number:
        effects.append(do.Acknowledge(sink, 0))
        return evolve(state, current=state.current.joined(sink))
    for place, prompt in enumerate(state.steering):
        if prompt.number == row.number:
            effects.append(do.Acknowledge(sink, 0))
            return evolve(state, steering=_joined(state.steering, place, sink))
    for place, prompt in enumerate(state.queue):
        if prompt.number == row.number:
            effects.append(do.Acknowledge(sink, place + (1 if state.busy else 0)))
            return evolve(state, queue=_joined(state.queue, place, sink))
    # It is on disk and this actor does not know it: it was accepted, and this
    # very message belongs to an actor that crashed.  Take it up at its place.
    prompt = Waiting(row.number, offer.text, row.client_id, (sink,), row.attempts, offer.reasoning)
    effects.append(do.Acknowledge(sink, len(state.queue)))
    queue = sorted((*state.queue, prompt), key=lambda waiting: waiting.number)
    return evolve(state, queue=tuple(queue))


def _joined(prompts: tuple[Waiting, ...], place: int, sink: PromptSink) -> tuple[Waiting, ...]:
    joined = prompts[place].joined(sink)
    return (*prompts[:place], joined, *prompts[place + 1 :])
