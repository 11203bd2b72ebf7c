"""Task resources that do what a test says, and log what was done to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import trio
from attrs import define, field

from hermes.ports.resource import Rung, TaskResource


@define(eq=False)
class ScriptedResource:
    """Logs `open KIND`, `opened KIND`, `stop KIND`, `stopped KIND`, `kill KIND`, `ended KIND`.

    The `*_seconds` are how long a step takes; `crash` set makes `serve` raise.
    """

    kind: str
    log: list[str]
    task_id: str = ""
    open_seconds: float = 0.0
    stop_seconds: float = 0.0
    fail_open: bool = False
    hang_open: bool = False
    fail_stop: bool = False
    hang_stop: bool = False
    fail_kill: bool = False
    crash: trio.Event = field(factory=trio.Event)

    async def serve(self, ready: Callable[[], None]) -> None:
        """Open and run until cancelled or crashed."""
        self.log.append(f"open {self.kind}")
        try:
            await trio.sleep(self.open_seconds)
            if self.hang_open:
                await trio.sleep_forever()
            if self.fail_open:
                raise OSError(f"{self.kind} does not open")
            self.log.append(f"opened {self.kind}")
            ready()
            await self.crash.wait()
            raise OSError(f"{self.kind} crashed")
        finally:
            self.log.append(f"ended {self.kind}")

    async def stop(self) -> None:
        """End, as the script says."""
        self.log.append(f"stop {self.kind}")
        await trio.sleep(self.stop_seconds)
        if self.hang_stop:
            await trio.sleep_forever()
        if self.fail_stop:
            raise OSError(f"{self.kind} does not stop")
        self.log.append(f"stopped {self.kind}")

    def kill(self) -> None:
        """End at once."""
        self.log.append(f"kill {self.kind}")
        if self.fail_kill:
            raise OSError(f"{self.kind} cannot be killed")


@define(eq=False)
class ScriptedKind:
    """Makes resources of one kind; `script` changes each one before it is used."""

    kind: str
    rung: Rung
    log: list[str]
    script: Callable[[ScriptedResource], None] = lambda resource: None
    made: list[ScriptedResource] = field(factory=list)

    def make(self, task_id: str) -> TaskResource:
        """Make one, and keep it in `made`."""
        resource = ScriptedResource(self.kind, self.log, task_id)
        self.script(resource)
        self.made.append(resource)
        return resource


def scripted_kinds(log: list[str], rungs: Mapping[str, Rung]) -> dict[str, ScriptedKind]:
    """`ResourceKinds` with one scripted kind for each name, all on the same log."""
    return {name: ScriptedKind(name, rung, log) for name, rung in rungs.items()}
