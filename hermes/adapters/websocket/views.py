"""What operators see, as protocol.md writes it: every field, null where it does not apply."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hermes.actors import StepReport
from hermes.actors.session.inspection import Inspection
from hermes.adapters.websocket.desk import Desk
from hermes.ports.store import SessionRow, SetSuspended, Store
from hermes.supervisor.events import Event
from hermes.supervisor.residency import Limits
from hermes.supervisor.supervisor import Status

View = dict[str, object]


def limits(bounds: Limits, inactivity: float | None) -> View:
    """The limits in force."""
    return {"cap": bounds.cap, "idleTtl": bounds.idle_ttl, "inactivityLimit": inactivity}


def status(desk: Desk, status: Status, known: int) -> View:
    """`supervisor/status`."""
    process, counters = desk.process, status.counters
    evictions: Mapping[str, int] = dict(counters.evictions)
    return {
        "version": process.version,
        "node": process.node,
        "uptime": process.uptime(),
        "pid": process.pid,
        "rss": process.rss(),
        "draining": desk.lifecycle.draining(),
        **limits(status.limits, desk.inactivity.get()),
        "sessions": {
            "known": known,
            "live": status.live,
            "resident": status.resident,
            "busy": status.busy,
            "waiting": 0,
        },
        "turns": {
            "started": counters.started,
            "completed": counters.completed,
            "failed": counters.failed,
            "cancelled": counters.cancelled,
        },
        "evictions": evictions,
        "pools": {
            name: {"sockets": pool.sockets, "inFlight": pool.in_flight}
            for name, pool in desk.pools().items()
        },
        "mailboxDepth": desk.gauge.value,
    }


def row(seen: Inspection) -> View:
    """One row of `sessions/list`."""
    return {
        "id": seen.id,
        "key": seen.key,
        "state": seen.state,
        "resident": seen.resident,
        "busy": seen.busy,
        "mailboxDepth": seen.mailbox_depth,
        "idle": seen.idle,
        "turns": seen.turns,
        "lastSeq": seen.last_seq,
        "model": seen.model,
        "fallback": None,
        "createdAt": seen.created_at,
    }


def inspection(seen: Inspection) -> View:
    """`sessions/inspect`."""
    turn: View | None = None
    if seen.turn is not None:
        turn = {
            "age": seen.turn.age,
            "depth": seen.turn.depth,
            "activity": seen.turn.activity,
            "silent": seen.turn.silent,
            "modelCalls": seen.turn.model_calls,
        }
    release, rebuild = seen.last_release, seen.last_rebuild
    return {
        **row(seen),
        "signature": seen.signature,
        "promptHash": seen.prompt_hash,
        "messages": seen.messages,
        "tokens": None,
        "cacheRead": None,
        "resources": list(seen.resources),
        "children": [],
        "clients": seen.clients,
        "turn": turn,
        "modelRequests": seen.model_requests,
        "lastRelease": {"cause": release.what, "at": release.at} if release else None,
        "lastRebuild": {"reason": rebuild.what, "at": rebuild.at} if rebuild else None,
    }


def event(event: Event) -> View:
    """One event, as `events/subscribe` sends it."""
    return {
        "seq": event.seq,
        "at": event.at,
        "kind": event.kind,
        "session": event.session,
        "data": dict(event.data),
    }


def dormant(row: SessionRow) -> Inspection:
    """What there is to see of a session that has no actor."""
    state = "quarantined" if row.quarantined else "suspended" if row.suspended else "dormant"
    return Inspection(
        id=row.id,
        key=row.key,
        owner=row.owner,
        state=state,
        resident=False,
        busy=False,
        mailbox_depth=0,
        idle=None,
        turns=row.turns,
        last_seq=row.last_seq,
        created_at=row.created_at,
    )


def steps(reports: Iterable[StepReport]) -> list[View]:
    """The steps of a close."""
    return [
        {"step": report.step, "seconds": report.seconds, "outcome": report.outcome}
        for report in reports
    ]


async def keep_suspended(store: Store, row: SessionRow, suspended: bool) -> None:
    """Write on a dormant session's row whether it takes prompts; going on lifts a quarantine."""
    await store.run(SetSuspended(row.id, suspended, row.quarantined and suspended))
