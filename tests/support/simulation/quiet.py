"""The quiet phase: one prompt at a time, held exactly to a plain model of rows B1 to B7."""

from __future__ import annotations

import random
from collections import OrderedDict

import trio
from attrs import define, field
from support.simulation.actors import SimulatedClient, SimulatedOperator, Stage
from support.simulation.record import Frame

#: Seconds after which a release that nothing holds up is over.
SETTLED = 0.9

#: Prompts of the quiet phase.
PROMPTS = 9


@define(eq=False)
class LeastRecent:
    """What should be resident: the `cap` most recently used sessions, and since when idle."""

    cap: int
    idle_ttl: float | None = None
    used: OrderedDict[str, float] = field(factory=OrderedDict)

    def prompted(self, session: str, ended: float) -> None:
        """A turn of that session ended."""
        self.used[session] = ended
        self.used.move_to_end(session)
        while len(self.used) > self.cap:
            self.used.popitem(last=False)

    def now(self, at: float) -> set[str]:
        """Who is resident at a time."""
        ttl = self.idle_ttl
        for session, ended in tuple(self.used.items()):
            if ttl is not None and at >= ended + ttl:
                del self.used[session]
        return set(self.used)


class QuietPhase:
    """Sequential prompts on every session, by one client, with one operator watching."""

    def __init__(self, stage: Stage, client: SimulatedClient, operator: SimulatedOperator) -> None:
        self._stage = stage
        self._client = client
        self._operator = operator
        self._chance = random.Random(stage.record.seed + 7)
        self._sessions = [stage.record.sessions[key] for key in stage.keys]

    async def run(self) -> None:
        """All of it."""
        limits = {"cap": None, "idleTtl": None, "inactivityLimit": None}
        await self._operator.ask("supervisor/configure", limits)
        await self._operator.ask("supervisor/sweep", {"olderThan": 0})
        busy = self._count("busy")
        model = LeastRecent(self._chance.randint(0, len(self._sessions)))
        await self._operator.ask("supervisor/configure", {"cap": model.cap})
        for _ in range(PROMPTS):
            session = self._chance.choice(self._sessions)
            await self._prompt(session, self._chance.choice(("hello", "how many messages")), model)
            await self._compare(model)
        await self._change_cap(model)
        await self._expire(model)
        record = self._stage.record
        record.hold(self._count("busy") == busy, "B7: one in mid-turn was asked to release")

    async def _prompt(self, session: str, text: str, model: LeastRecent) -> None:
        stage = self._stage
        history = stage.disk.messages(session)
        asked = await self._client.prompt(
            session, text, identity=f"quiet{stage.runtime.events[-1].seq}"
        )
        answer = await self._client.wait(asked)
        stage.record.hold(answer == "end_turn", f"the quiet {text!r} was answered {answer}")
        model.prompted(session, trio.current_time())
        if text == "how many messages":
            said = self._client.said(session, asked)
            stage.record.hold(
                f"There are {history + 2} messages." == said,
                f"R4: {session} has {history} messages on disk, and its agent says: {said}",
            )

    async def _change_cap(self, model: LeastRecent) -> None:
        """B11: a lower cap is in force at once."""
        model.cap = max(model.cap - 1, 0)
        while len(model.used) > model.cap:
            model.used.popitem(last=False)
        await self._operator.ask("supervisor/configure", {"cap": model.cap})
        await self._compare(model)

    async def _expire(self, model: LeastRecent) -> None:
        """B7: the idle are released by time, a turn that runs is not, however old its session."""
        model.cap, model.idle_ttl = 10, 5.0
        await self._operator.ask("supervisor/configure", {"cap": 10, "idleTtl": 5.0})
        first, last = self._sessions[0], self._sessions[-1]
        await self._prompt(first, "hello", model)
        await trio.sleep(2)
        await self._prompt(last, "hello", model)
        await trio.sleep(1)
        # It runs past the time at which its session was last active, and the other expires.
        slow = await self._client.prompt(last, 'call wait {"seconds": 7}', identity="quiet slow")
        answer = await self._client.wait(slow)
        self._stage.record.hold(answer == "end_turn", f"the slow prompt was answered {answer}")
        model.prompted(last, trio.current_time())
        await self._compare(model)
        await trio.sleep(4.5)
        await self._compare(model)

    async def _compare(self, model: LeastRecent) -> None:
        await trio.sleep(SETTLED)
        listed = await self._operator.ask("sessions/list")
        resident = {one["id"] for one in listed.get("sessions", ()) if one["resident"]}
        expected = model.now(trio.current_time())
        self._stage.record.hold(
            resident == expected,
            f"B1, B2, B7: resident are {sorted(resident)}, not {sorted(expected)}"
            f" (cap {model.cap}, idle {model.idle_ttl})",
        )
        handles = self._stage.runtime.models.open_handles
        self._stage.record.hold(
            handles == len(expected), f"R1: {handles} handles for {len(expected)} residents"
        )

    def _count(self, kind: str) -> int:
        return len(self._stage.runtime.kinds_of(kind))


async def close_all(stage: Stage, operator: SimulatedOperator) -> Frame:
    """Close every session; returns the status after it."""
    for session in stage.record.sessions.values():
        await operator.ask("sessions/close", {"session": session})
    await trio.sleep(SETTLED)
    return await operator.ask("supervisor/status")
