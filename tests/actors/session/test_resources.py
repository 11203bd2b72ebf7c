"""Task resources by themselves, in a nursery of the test's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from attrs import define, field
from support.scripted import ScriptedKind, ScriptedResource, scripted_kinds
from trio.testing import wait_all_tasks_blocked

from hermes.actors import Deadline, PartReport, Reply
from hermes.actors.session.resources import Resources
from hermes.errors import ResourceUnavailable
from hermes.ports.resource import Rung, TaskResource

KINDS = {"terminal": Rung.TERMINAL, "browser": Rung.BROWSER, "tabs": Rung.BROWSER}


@define(eq=False)
class Rig:
    """The resources of a session, and what happened to them."""

    nursery: trio.Nursery
    log: list[str] = field(factory=list)
    ended: list[tuple[str, str]] = field(factory=list)
    kinds: dict[str, ScriptedKind] = field(init=False)
    resources: Resources = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.kinds = scripted_kinds(self.log, KINDS)
        self.resources = Resources("task_1", self.kinds, Deadline(), self._ended)

    def _ended(self, kind: str, report: PartReport) -> None:
        self.ended.append((kind, report.how))

    def need(self, kind: str) -> Reply[TaskResource]:
        """Ask for a resource."""
        reply: Reply[TaskResource] = Reply()
        self.resources.need(kind, reply, self.nursery)
        return reply

    def script(self, kind: str, **what: object) -> None:
        """Have the next resource of a kind do something."""

        def change(resource: ScriptedResource) -> None:
            for name, value in what.items():
                setattr(resource, name, value)

        self.kinds[kind].script = change


@asynccontextmanager
async def open_rig() -> AsyncIterator[Rig]:
    """Resources that are gone when the body is left."""
    async with trio.open_nursery() as nursery:
        rig = Rig(nursery)
        yield rig
        rig.resources.kill(rig.resources.kinds)


async def test_opened_once_for_everybody(autojump_clock: object) -> None:
    """R8: whoever needs a kind gets the same resource, opened once, for the session's task."""
    async with open_rig() as rig:
        rig.script("terminal", open_seconds=5)
        replies = [rig.need("terminal"), rig.need("terminal")]
        first = await replies[0].wait()
        assert await replies[1].wait() is first
        assert await rig.need("terminal").wait() is first
        assert rig.log == ["open terminal", "opened terminal"]
        assert rig.kinds["terminal"].made[0].task_id == "task_1"


async def test_an_unknown_kind() -> None:
    """A kind that this daemon does not have is told at once, and nothing is live."""
    async with open_rig() as rig:
        with pytest.raises(LookupError, match="submarine"):
            await rig.need("submarine").wait()
        assert rig.resources.kinds == ()


async def test_one_that_does_not_open() -> None:
    """R8: all who wait are told why; the next one who asks gets a fresh try."""
    async with open_rig() as rig:
        rig.script("terminal", fail_open=True)
        for reply in (rig.need("terminal"), rig.need("terminal")):
            with pytest.raises(ResourceUnavailable, match="does not open"):
                await reply.wait()
        assert rig.ended == [("terminal", "crashed")]
        rig.script("terminal")
        await rig.need("terminal").wait()


async def test_a_crash_is_told() -> None:
    """R8: a resource that dies is gone and told; its siblings are not touched."""
    async with open_rig() as rig:
        await rig.need("browser").wait()
        await rig.need("terminal").wait()
        rig.kinds["terminal"].made[0].crash.set()
        await wait_all_tasks_blocked()
        assert rig.ended == [("terminal", "crashed")]
        assert rig.resources.kinds == ("browser",)


async def test_stop_waits_for_the_end(autojump_clock: object) -> None:
    """R3: resources of one rung are stopped side by side; who asks meanwhile is told."""
    async with open_rig() as rig:
        for kind in ("browser", "tabs"):
            rig.script(kind, stop_seconds=2)
            await rig.need(kind).wait()
        assert rig.resources.on(Rung.BROWSER) == ("browser", "tabs")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.resources.stop, rig.resources.on(Rung.BROWSER))
            await trio.sleep(1)
            with pytest.raises(ResourceUnavailable, match="being closed"):
                await rig.need("browser").wait()
        assert trio.current_time() == 2
        assert rig.resources.kinds == ()
        assert not [line for line in rig.log if line.startswith("kill")]


@pytest.mark.parametrize("fault", ["fail_stop", "hang_stop"])
async def test_one_that_does_not_stop_is_still_there_to_be_killed(
    autojump_clock: object, fault: str
) -> None:
    """R3: a `stop` that fails or is cut leaves the resource to `kill`, which reaches it."""
    async with open_rig() as rig:
        rig.script("terminal", **{fault: True})
        await rig.need("terminal").wait()
        with trio.move_on_after(5):
            with pytest.raises(ExceptionGroup):
                await rig.resources.stop(("terminal",))
        rig.resources.kill(("terminal",))
        await wait_all_tasks_blocked()
        assert rig.log[-2:] == ["kill terminal", "ended terminal"]
        assert rig.resources.kinds == ()


async def test_one_that_cannot_be_killed(caplog: pytest.LogCaptureFixture) -> None:
    """R3: a kill that fails is logged and does not save the others."""
    async with open_rig() as rig:
        rig.script("browser", fail_kill=True)
        for kind in ("browser", "tabs"):
            await rig.need(kind).wait()
        rig.resources.kill(("browser", "tabs"))
        await wait_all_tasks_blocked()
        assert rig.resources.kinds == ()
        assert "kill tabs" in rig.log
        assert "browser" in caplog.text
