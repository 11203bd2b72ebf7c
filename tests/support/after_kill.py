"""Rows D1 to D5 after a kill and a restart, as one list of what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from attrs import frozen
from support.evidence import Disk, Frame, acknowledged, numbered, on_disk, span

TERMINAL = {"answered", "cancelled", "failed", "interrupted"}
INTERRUPTED = -31007

#: Turns that may be begun for one prompt: row D2.
ATTEMPTS = 2


@frozen
class AfterKill:
    """What was found after the restart that followed the last kill.

    `told` are all frames that had left the daemon before, `before` and `after` the
    store before and after the restart.  `resumed_after` is the last number that the
    client had, `resumed` what it got then, `loaded` what a load gave.  `answers` are
    what the repeated prompts answered, `runs` the runs of each tool call.
    """

    told: Sequence[Frame]
    before: Disk
    after: Disk
    resumed_after: int
    resumed: Sequence[Frame]
    loaded: Sequence[Frame]
    answers: Mapping[str, str | int]
    runs: Mapping[str, int]

    def faults(self) -> list[str]:
        """What contradicts the rows; nothing, if all is well."""
        return [*self._prompts(), *self._tools(), *self._numbers(), *self._answers()]

    def _prompts(self) -> Iterator[str]:
        """D1, D2: nothing acknowledged is lost, everything ends once."""
        for disk in (self.before, self.after):
            if disk.integrity != "ok":
                yield f"integrity: {disk.integrity}"
        for name in acknowledged(self.told):
            if name not in self.before.prompts:
                yield f"D1: {name} was acknowledged and is not on disk"
        for name, (state, attempts, result) in self.after.prompts.items():
            if state not in TERMINAL or result is None:
                yield f"D1: {name} has no terminal state: {state}"
            if attempts > ATTEMPTS:
                yield f"D2: {name} had {attempts} attempts"
        for name, kept in self.before.prompts.items():
            if kept[0] in TERMINAL and self.after.prompts[name] != kept:
                yield f"D1: {name} has left its terminal state"
        if self.after.turns > len(self.after.prompts):
            yield f"D1: {self.after.turns} turns ended for {len(self.after.prompts)} prompts"

    def _tools(self) -> Iterator[str]:
        """D3: at most once; exactly once where its end is on disk; told where it is not."""
        said = "".join(str(m.get("content")) for m in self.after.messages if m["role"] == "tool")
        for arguments, count in self.runs.items():
            if count > 1:
                yield f"D3: {arguments} ran {count} times"
        for arguments, result in self.after.calls.items():
            if result is not None and self.runs.get(arguments) != 1:
                yield f"D3: {arguments} has a result and did not run"
            if result is None and "interrupted by a restart" not in said and not self._given_up:
                yield f"D3: {arguments} was cut and the model was not told"
        unjournaled = set(self.runs) - set(self.after.calls)
        if unjournaled:
            yield f"D3: {unjournaled} ran and left no start on disk"

    @property
    def _given_up(self) -> bool:
        return any(state == "interrupted" for state in self.after.states.values())

    def _numbers(self) -> Iterator[str]:
        """D1, D4: what was sent is on disk; no gap, no double, and a resume is exact."""
        for disk in (self.before, self.after):
            for params in numbered(self.told):
                if not on_disk(params, disk.updates):
                    yield f"D4: {params} was sent and is not on disk like that"
        expected = 1
        for row in self.after.updates:
            if row.first_seq != expected:
                yield f"D4: {row.first_seq} follows {expected - 1}"
            expected = row.seq + 1
        yield from _exact("resume", self.resumed, self.resumed_after, expected - 1)
        yield from _exact("load", self.loaded, 0, expected - 1)
        yield from (
            f"D4: {params} is not what is on disk"
            for params in (*self.resumed, *self.loaded)
            if not on_disk(params, self.after.updates)
        )

    def _answers(self) -> Iterator[str]:
        """D5: one turn for each id, one answer, and the one that was given before."""
        for name, answer in self.answers.items():
            state = self.after.states[name]
            if (state, answer) not in (("answered", "end_turn"), ("interrupted", INTERRUPTED)):
                yield f"D5: {name} is {state} and answered {answer}"
            ends = [p["_meta"]["hermes"] for p in self.loaded if _mark(p, "turn") == "ended"]
            if sum(end.get("id") == name for end in ends) != 1:
                yield f"D5: the turn of {name} did not end once: {ends}"
        given = [frame["result"]["stopReason"] for frame in self.told if _answers(frame)]
        if len(given) > len([s for s in self.before.states.values() if s in TERMINAL]):
            yield "D1: an answer was given whose prompt had no end on disk"


def _exact(what: str, updates: Sequence[Frame], after: int, last: int) -> Iterator[str]:
    spans = [(after, after), *map(span, updates)]
    gaps = [pair for pair in pairwise(spans) if pair[1][0] != pair[0][1] + 1]
    if gaps or spans[-1][1] != last:
        yield f"D4: {what} above {after} gave {spans[1:]}, there are numbers to {last}"


def _mark(params: Frame, name: str) -> object:
    return params["_meta"]["hermes"].get(name)


def _answers(frame: Frame) -> bool:
    return isinstance(frame.get("result"), dict) and "stopReason" in frame["result"]
