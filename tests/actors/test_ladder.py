"""The one teardown, with steps that do what a test says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from support.virtual import run_virtual

from hermes.actors import Deadline, Step, StepReport, descend


@frozen
class Script:
    """One step: how long it takes, whether it fails then, whether killing it fails."""

    seconds: float = 0.0
    fails: bool = False
    kill_fails: bool = False
    absent: bool = False

    def step(self, name: str, log: list[str]) -> Step:
        """The step that does this."""

        async def stop() -> None:
            log.append(f"stop {name}")
            await trio.sleep(self.seconds)
            if self.fails:
                raise OSError(name)
            log.append(f"stopped {name}")

        def kill() -> None:
            log.append(f"kill {name}")
            if self.kill_fails:
                raise OSError(name)

        return Step(name) if self.absent else Step(name, stop, kill)


def steps(log: list[str], *scripts: Script) -> list[Step]:
    """Steps named a, b, c ..."""
    return [script.step(name, log) for name, script in zip("abcdefghij", scripts, strict=False)]


async def test_in_order(autojump_clock: object) -> None:
    """R3: the steps are taken one after another; times and outcomes are reported."""
    log: list[str] = []
    scripts = steps(log, Script(1), Script(absent=True), Script(2))
    assert await descend(scripts, Deadline()) == [
        StepReport("a", 1, "done"),
        StepReport("b", 0, "none"),
        StepReport("c", 2, "done"),
    ]
    assert log == ["stop a", "stopped a", "stop c", "stopped c"]


async def test_an_overrun_is_killed(autojump_clock: object) -> None:
    """R3: a step that hangs is killed after 5 s, and the next one is taken."""
    log: list[str] = []
    reports = await descend(steps(log, Script(100), Script(1)), Deadline())
    assert reports == [StepReport("a", 5, "killed"), StepReport("b", 1, "done")]
    assert log == ["stop a", "kill a", "stop b", "stopped b"]


async def test_a_failure_is_killed(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    """R3: a step that fails is killed, a kill that fails too stops nothing; both are logged."""
    log: list[str] = []
    script = Script(1, fails=True, kill_fails=True)
    reports = await descend(steps(log, script, Script(1)), Deadline())
    assert reports == [StepReport("a", 1, "failed"), StepReport("b", 1, "done")]
    assert log == ["stop a", "kill a", "stop b", "stopped b"]
    assert "a failed" in caplog.text
    assert "a could not even be killed" in caplog.text


async def test_all_together_have_one_deadline(autojump_clock: object) -> None:
    """R3: hanging steps share 20 s; those after it are killed at once, each."""
    log: list[str] = []
    reports = await descend(steps(log, *[Script(100)] * 7), Deadline())
    assert [report.seconds for report in reports] == [5, 5, 5, 5, 0, 0, 0]
    assert {report.outcome for report in reports} == {"killed"}
    assert trio.current_time() == 20


async def test_the_process_may_be_in_a_hurry(autojump_clock: object) -> None:
    """R3: no step outlives the process's deadline, and every step is still taken."""
    deadline = Deadline()
    deadline.shorten(3)
    log: list[str] = []
    reports = await descend(steps(log, Script(100), Script(100)), deadline)
    assert [report.seconds for report in reports] == [3, 0]
    assert log[-1] == "kill b"


async def test_a_cancel_does_not_reach_it(autojump_clock: object) -> None:
    """R3: a cancel from outside changes neither order nor outcome."""
    log: list[str] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        reports = await descend(steps(log, Script(1), Script(2)), Deadline())
    assert [report.outcome for report in reports] == ["done", "done"]
    assert log == ["stop a", "stopped a", "stop b", "stopped b"]


async def test_steps_are_asked_for_late(autojump_clock: object) -> None:
    """R3: a generator of steps sees what the steps before have left."""
    log: list[str] = []

    def late() -> Iterator[Step]:
        yield Script(1).step("a", log)
        yield Script(absent="stopped a" not in log).step("b", log)

    reports = await descend(late(), Deadline())
    assert [report.outcome for report in reports] == ["done", "done"]


@given(
    st.lists(
        st.builds(Script, st.floats(0, 9), st.booleans(), st.booleans(), st.booleans()), max_size=9
    ),
    st.floats(0, 30),
)
def test_whatever_happens(scripts: list[Script], cancel_at: float) -> None:
    """R3: every step is taken in order and reported, none over 5 s, all within 20 s, and each
    that did not end by itself is killed, once.
    """
    log: list[str] = []

    async def main() -> list[StepReport]:
        reports: list[StepReport] = []
        with trio.CancelScope(deadline=trio.current_time() + cancel_at):
            reports = await descend(steps(log, *scripts), Deadline())
        return reports

    reports = run_virtual(main)
    assert [report.step for report in reports] == list("abcdefghi"[: len(scripts)])
    assert all(report.seconds <= 5 + 1e-6 for report in reports)
    assert sum(report.seconds for report in reports) <= 20 + 1e-6
    expected = []
    for report in reports:
        last = {"done": "stopped", "failed": "kill", "killed": "kill"}.get(report.outcome)
        if last is not None:
            expected += [f"stop {report.step}", f"{last} {report.step}"]
    assert [line for line in log if line in expected] == expected
    assert len([line for line in log if line.startswith("kill")]) == sum(
        report.outcome in ("failed", "killed") for report in reports
    )
