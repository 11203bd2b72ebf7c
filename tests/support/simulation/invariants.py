"""The invariants that every seed must keep, each with the conformance row that it is from.

They are checked on what was seen from outside: frames, events, the rows of the store
and the logs of the task resources.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from attrs import define, field
from support.simulation.disk import TERMINAL, Disk
from support.simulation.faults import Crashes
from support.simulation.record import Asked, Connection, Frame, Record
from support.simulation.story import KINDS

from hermes.messages.joined import Joined
from hermes.messages.notifications import session_update_params
from hermes.messages.updates import TurnEnded, TurnRestarted, Update, UserMessage

#: The steps of every close, in the one order of row R3.
STEPS = ["turn", "children", "memory", "model", "browser", "terminal", "processes", "scratch",
         "actor"]  # fmt: skip

#: Seconds: a step's and a ladder's deadline (row R3), and room for rounding.
STEP, LADDER, ROUNDING = 5.0, 20.0, 0.001

#: Errors that say that a prompt was not accepted.
REFUSALS = frozenset({-31001, -31002, -31003, -31004})


def check_all(
    record: Record, disk: Disk, logs: Mapping[str, Sequence[str]], crashes: Crashes
) -> None:
    """Check everything that can be checked once all is over."""
    for connection in record.connections:
        check_answers(record, connection, disk, crashes)
        check_order(record, connection)
        check_numbers(record, connection)
    check_content(record, disk)
    check_prompts(record, disk)
    for session in disk.sessions():
        if not disk.floor(session):
            cut = session in record.crashed or session in crashes.happened
            _check_turns(record, session, disk, cut=cut)
    for task, log in logs.items():
        check_resources(record, task, log)
    check_events(record, crashes)


# -- prompts ------------------------------------------------------------------


def check_answers(record: Record, connection: Connection, disk: Disk, crashes: Crashes) -> None:
    """K2, D1: every prompt has exactly one answer or error, and it is the one on disk."""
    for asked in connection.asked:
        answers = connection.answers(asked.request)
        where = f"{asked.identity} {asked.text!r} on {connection.name}"
        record.hold(len(answers) < 2, f"D1: {where} was answered {len(answers)} times")
        if not answers:
            record.hold(connection.gone is not None, f"K2: {where} was never answered")
        elif asked.identity is not None:
            _check_answer(record, asked, answers[0], disk, crashes)


def _check_answer(
    record: Record, asked: Asked, answer: Frame, disk: Disk, crashes: Crashes
) -> None:
    row = disk.prompt(asked.session, asked.identity or "")
    state = row[1] if row is not None else None
    kept = json.loads(row[3]) if row is not None and row[3] is not None else {}
    code = answer.get("error", {}).get("code")
    what = f"{asked.identity} {asked.text!r}: {answer.get('result') or answer['error']}"
    if code is None:
        reason = answer["result"]["stopReason"]
        # A prompt that was taken back before it was accepted has no row.
        fits = row is None and reason == "cancelled"
        joined = reason == "cancelled" and state in TERMINAL
        record.hold(
            fits or joined or kept.get("stopReason") == reason,
            f"D1: answered otherwise than on disk ({state}, {kept}): {what}",
        )
    elif code == -31006:
        record.hold(state == "failed", f"D1: failed, on disk {state}: {what}")
    elif code == -31007:
        record.hold(state == "interrupted", f"D1: interrupted, on disk {state}: {what}")
    else:
        # An offer that met its actor's crash is refused with a failure of ours.
        crashed = code == -32603 and asked.session in crashes.happened
        known = code in REFUSALS or code == -31008 or crashed
        record.hold(known, f"an error nobody expected: {what}")


def check_prompts(record: Record, disk: Disk) -> None:
    """D1, D2: every accepted prompt is in one terminal state, after at most two attempts."""
    for number, session, identity, state, attempts in disk.prompts():
        name = f"prompt {number} ({identity}) of {session}"
        record.hold(state in TERMINAL, f"D1: {name} is {state} at the end")
        record.hold(attempts <= 2, f"D2: {name} had {attempts} attempts")


def check_order(record: Record, connection: Connection) -> None:
    """D1: accepted, then the turn's first update; the turn's last update, then the answer."""
    # Only the first of each id: a repeat that is taken back before it joined ends at once.
    identities: dict[int, tuple[str, str | None]] = {}
    for one in connection.asked:
        if (one.session, one.identity) not in identities.values():
            identities[one.request] = (one.session, one.identity)
    accepted: set[tuple[str, str]] = set()
    running: set[tuple[str, str]] = set()
    for _, frame in connection.frames:
        if frame.get("method") != "session/update":
            asked = identities.get(frame.get("id", -1)) if "method" not in frame else None
            record.hold(
                asked not in running, f"D1: {connection.name}: {asked} was answered before its end"
            )
            continue
        session = frame["params"]["sessionId"]
        hermes = frame["params"].get("_meta", {}).get("hermes", {})
        if "accepted" in hermes:
            accepted.add((session, hermes["accepted"].get("id")))
        mark = (session, hermes.get("id", ""))
        match hermes.get("turn"):
            case "started" if mark[1]:
                record.hold(
                    mark in accepted, f"D1: {connection.name}: {mark} began before it was accepted"
                )
                running.add(mark)
            case "ended":
                running.discard(mark)


# -- updates ------------------------------------------------------------------


def check_numbers(record: Record, connection: Connection) -> None:
    """D4: on one attach numbers have no gap and none comes twice."""
    last: dict[str, int] = {}
    loose: set[str] = set()
    for _, frame in connection.frames:
        result = frame.get("result")
        if isinstance(result, dict) and "sessionId" in result:
            last[result["sessionId"]] = result["_meta"]["hermes"]["lastSeq"]
        if frame.get("method") != "session/update":
            continue
        session = frame["params"]["sessionId"]
        hermes = frame["params"].get("_meta", {}).get("hermes", {})
        if "closed" in hermes:
            loose.add(session)  # the next attach is not told where it begins
        if "seq" not in hermes:
            continue
        first, before = hermes.get("firstSeq", hermes["seq"]), last.get(session, 0)
        fits = first > before if session in loose else first == before + 1
        record.hold(fits, f"D4: {connection.name}: {first} came after {before} in {session}")
        loose.discard(session)
        last[session] = hermes["seq"]


def check_content(record: Record, disk: Disk) -> None:
    """D1, D2: what a client saw is on disk under its number, and no number meant two things."""
    stored = {session: _parts(disk, session) for session in disk.sessions()}
    for connection in record.connections:
        for _, frame in connection.frames:
            if frame.get("method") == "session/update":
                _check_update(record, connection, frame["params"], stored)


def _parts(disk: Disk, session: str) -> dict[int, Update]:
    parts: dict[int, Update] = {}
    for joined in disk.updates(session):
        parts.update(enumerate(joined.parts, start=joined.first_seq))
    return parts


def _check_update(
    record: Record,
    connection: Connection,
    params: Frame,
    stored: Mapping[str, Mapping[int, Update]],
) -> None:
    hermes = params.get("_meta", {}).get("hermes", {})
    if "seq" not in hermes:
        return
    session, last = params["sessionId"], hermes["seq"]
    first = hermes.get("firstSeq", last)
    there = stored.get(session, {})
    if any(number not in there for number in range(first, last + 1)):
        record.hold(record.lost_power, f"D1: {connection.name} saw {last}, it is not on disk")
        return
    joined = Joined(first, last, tuple(there[number] for number in range(first, last + 1)))
    shapes = [session_update_params(session, joined, sender=sender) for sender in (True, False)]
    record.hold(params in shapes, f"D4: {connection.name}: {last} on disk is not what was sent")


def _check_turns(record: Record, session: str, disk: Disk, *, cut: bool) -> None:
    """K1, D1: a turn's updates lie between its beginning and its end, whole and in order."""
    inside, last = False, 0
    begun: set[str] = set()
    for joined in disk.updates(session):
        record.hold(joined.first_seq == last + 1, f"D4: {session}: a gap before {joined.first_seq}")
        last = joined.seq
        update = joined.parts[0]
        if isinstance(update, UserMessage):
            record.hold(cut or not inside, f"D1: {session}: {last} began inside another turn")
            inside = True
            identity = update.client_id or str(last)
            record.hold(identity not in begun, f"D2: {session}: {identity} began twice, unmarked")
            begun.add(identity)
        elif isinstance(update, TurnRestarted):
            record.hold(cut, f"D2: {session}: {last} restarted, and nothing had been cut")
            inside = True
        elif isinstance(update, TurnEnded):
            record.hold(inside or cut, f"D1: {session}: {last} ended a turn twice")
            inside = False
        else:
            record.hold(inside or cut, f"D1: {session}: {last} came after the end of its turn")
    record.hold(not inside or cut, f"D1: {session}: its last turn has no end")


# -- resources ----------------------------------------------------------------


@define
class _Life:
    kind: str
    stops: int = 0
    kills: int = 0
    ended: int = 0


def check_resources(record: Record, task: str, log: Sequence[str]) -> None:
    """R3, K5: resources end in the order of the ladder, each once."""
    lives: dict[str, _Life] = {}
    for entry in log:
        what, name = entry.split(" ")
        kind = name.partition("#")[0]
        life = lives.setdefault(name, _Life(kind))
        if what in ("stop", "kill"):
            _check_rung(record, task, name, KINDS.index(kind), lives)
        match what:
            case "stop":
                life.stops += 1
                record.hold(not life.ended, f"R3: {task}: {name} was stopped after its end")
            case "kill":
                life.kills += 1
            case "ended":
                life.ended += 1
    for name, life in lives.items():
        record.hold(life.stops <= 1, f"K5: {task}: {name} was stopped {life.stops} times")
        record.hold(life.kills <= 1, f"K5: {task}: {name} was killed {life.kills} times")
        record.hold(life.ended == 1, f"K5: {task}: {name} ended {life.ended} times")


def _check_rung(
    record: Record, task: str, name: str, rung: int, lives: Mapping[str, _Life]
) -> None:
    for other, life in lives.items():
        over = life.ended or life.kills or KINDS.index(life.kind) >= rung
        record.hold(bool(over), f"R3: {task}: {name} was ended before {other}")


# -- events -------------------------------------------------------------------


@define
class _Turns:
    running: set[str] = field(factory=set)


def check_events(record: Record, crashes: Crashes) -> None:
    """R3, R5, R9: the steps of closes; no release in the midst of a turn."""
    turns: dict[int, _Turns] = {}
    for happened in record.events:
        running = turns.setdefault(happened.era, _Turns()).running
        session = happened.session or ""
        match happened.kind:
            case "turn_started":
                record.hold(
                    session not in running or session in crashes.happened,
                    f"{session}: a turn began before the one before had ended",
                )
                running.add(session)
            case "turn_ended":
                running.discard(session)
            case "released":
                record.hold(
                    session not in running or session in crashes.happened,
                    f"R5: {session} was released in the midst of a turn",
                )
            case "closed":
                running.discard(session)
                _check_steps(record, session, happened.data["steps"])


def _check_steps(record: Record, session: str, steps: object) -> None:
    assert isinstance(steps, list)
    names = [step["step"] for step in steps]
    record.hold(names == STEPS, f"R3: {session} was closed in the steps {names}")
    total = 0.0
    for step in steps:
        total += step["seconds"]
        record.hold(
            step["seconds"] <= STEP + ROUNDING, f"R3: {session}: {step['step']} took {step}"
        )
    record.hold(total <= LADDER + ROUNDING, f"R3: {session}: a close took {total:g} s")


def check_counters(record: Record, era: int, status: Frame) -> None:
    """The status agrees with the events: turns, and evictions by cause."""
    events = [happened for happened in record.events if happened.era == era]
    kinds = Counter(happened.kind for happened in events)
    causes = Counter(str(one.data["cause"]) for one in events if one.kind == "released")
    states = Counter(str(one.data["state"]) for one in events if one.kind == "turn_ended")
    turns = status["turns"]
    seen = (states["answered"], states["cancelled"], states["failed"] + states["interrupted"])
    told = (turns["completed"], turns["cancelled"], turns["failed"])
    record.hold(turns["started"] == kinds["turn_started"], f"status: {turns}, events: {kinds}")
    record.hold(told == seen, f"status: {turns}, events: {states}")
    for cause, count in status["evictions"].items():
        record.hold(count == causes[cause], f"status: {count} evictions by {cause}: {causes}")


def check_idle(record: Record, status: Frame, listed: Sequence[Frame]) -> None:
    """B1, B5: nothing runs or waits, and residency is within the cap."""
    sessions, cap = status["sessions"], status["cap"]
    residents = sum(one["resident"] for one in listed)
    record.hold(sessions["busy"] == 0, f"status: busy {sessions['busy']} where nothing runs")
    record.hold(status["mailboxDepth"] == 0, f"status: mailboxDepth {status['mailboxDepth']}")
    record.hold(
        sessions["resident"] == residents, f"B: {sessions['resident']} resident, seen {residents}"
    )
    record.hold(cap is None or residents <= cap, f"B1: {residents} resident, the cap is {cap}")
    for one in listed:
        record.hold(not one["busy"], f"{one['key']} is busy where nothing runs: {one['state']}")
