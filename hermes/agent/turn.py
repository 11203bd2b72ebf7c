"""One turn: ask the model, run the tools that it calls, ask again, until it is done.

Whatever ends a turn (an answer, an error, a cancel), the conversation stays one
that a provider takes: what was said is recorded, and every tool call has a
result.  All recording is synchronous, so that a cancel finds no gap in it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import groupby

from attrs import frozen

from hermes.agent.history import (
    History,
    assistant_message,
    close_calls,
    tool_message,
    user_message,
)
from hermes.agent.reply import Call, Reply, read_call
from hermes.errors import StreamTruncated
from hermes.messages.updates import (
    TextChunk,
    ThoughtChunk,
    ToolCallChanged,
    ToolCallStarted,
    Update,
    cut_raw,
    cut_text,
    split_text,
)
from hermes.ports.agent import TurnInput, TurnIO
from hermes.ports.model import ModelHandle, ModelRequest, TextDelta, ThoughtDelta
from hermes.ports.resource import TaskResource
from hermes.ports.store import ToolRow
from hermes.ports.tools import Tool, ToolError

_log = logging.getLogger(__name__)

# About 65,000 tokens: one result must not fill a model's context by itself.
MAX_RESULT_BYTES = 256 * 1024

CUT = "[the answer was cut here]"
CALL_CUT = "[a tool call was cut here; it was not run]"
NOT_RUN = "interrupted: it was not run"
MAYBE_RUN = "interrupted: it may have done a part of its work"
RESTARTED = "was interrupted by a restart; it may or may not have happened"
RESTARTED_HARMLESS = f"{RESTARTED}; calling it again does no harm"

# ACP's stop reason for a provider's finish reason; any other one ends a turn as it should.
_STOP_REASONS = {"length": "max_tokens", "content_filter": "refusal"}


@frozen
class TurnPlan:
    """What a turn runs on: the same for every turn of an agent.

    `system` and `tool_schemas` are the bytes that each request begins with.
    `model_calls` is the limit in one turn.
    """

    handle: ModelHandle
    system: bytes
    tool_schemas: bytes
    tools: Mapping[str, Tool]
    history: History
    model_calls: int


class Turn:
    """One turn under way.

    Args:
        plan: what it runs on.
        turn: what its message brought.
        io: its world.
    """

    def __init__(self, plan: TurnPlan, turn: TurnInput, io: TurnIO) -> None:
        self._plan = plan
        self._turn = turn
        self._io = io
        self._said: list[bytes] = []
        self._call_ids = set(plan.history.call_ids)

    async def run(self) -> str:
        """Run to the end; returns ACP's stop reason.

        Raises:
            ModelError: the provider gave no whole answer.
            StoreError: a tool call could not be journaled, so it was not run.

        **Cancellation**: what was said is recorded, calls without an end as interrupted.
        """
        self._record(user_message(self._turn.text))
        await self._tell_interrupted(self._turn.interrupted_tools)
        for _ in range(self._plan.model_calls):
            self._io.model_called()
            reply = await self._ask_model()
            stop_reason = _STOP_REASONS.get(reply.finish or "")
            if stop_reason is not None or not reply.called:
                self._record_answer(reply)
                return stop_reason or "end_turn"
            await self._use_tools(reply)
            for text in self._io.steered():
                self._record(user_message(text))
        return "max_turn_requests"

    # -- the model ------------------------------------------------------------

    async def _ask_model(self) -> Reply:
        """One request, shown while it streams; a cut one is recorded with a mark."""
        plan = self._plan
        request = ModelRequest(
            messages=(plan.system, *plan.history.messages, *self._said),
            tools=plan.tool_schemas,
            reasoning=self._turn.reasoning,
        )
        reply = Reply()
        try:
            async with plan.handle.stream(request) as batches:
                async for batch in batches:
                    self._io.alive("receiving from the model")
                    await self._show(reply.add(batch))
            if reply.finish is None:
                raise StreamTruncated("the model's answer ended with no finish reason")
        except BaseException:
            if reply.text:
                self._record(assistant_message(f"{reply.text}\n{CUT}"))
            raise
        return reply

    async def _show(self, deltas: Sequence[TextDelta | ThoughtDelta]) -> None:
        answer_id = self._turn.answer_id
        updates: list[Update] = []
        for delta in deltas:
            kind = TextChunk if isinstance(delta, TextDelta) else ThoughtChunk
            updates.extend(kind(answer_id, piece) for piece in split_text(delta.text))
        if updates:
            await self._io.emit(*updates)

    def _record_answer(self, reply: Reply) -> None:
        """The last answer of a turn; a call in it was cut by a limit or a filter."""
        parts = [reply.text] if reply.text else []
        if reply.called:
            parts.append(CALL_CUT)
        if parts:
            self._record(assistant_message("\n".join(parts)))

    # -- tools ----------------------------------------------------------------

    async def _use_tools(self, reply: Reply) -> None:
        """Run the calls in order; if that is cut, those without a result get one."""
        waiting = deque(reply.calls(self._call_ids))
        self._call_ids.update(call.kept.call_id for call in waiting)
        self._record(assistant_message(reply.text, [call.kept for call in waiting]))
        try:
            while waiting:
                await self._use_tool(waiting[0])
                waiting.popleft()
        except BaseException:
            # `_use_tool` has given the first one its result, whatever happened.
            rest = [call.kept for call in list(waiting)[1:]]
            for message in close_calls(rest, NOT_RUN):
                self._record(message)
            raise

    async def _use_tool(self, call: Call) -> None:
        """Run one call and record its result, synchronously, on every way out."""
        tool = self._plan.tools.get(call.name)
        if tool is None or call.arguments is None:
            problem = call.problem or f"there is no tool {call.kept.name!r}"
            await self._refuse(call, f"error: {problem}")
            return
        kept = call.kept
        result = NOT_RUN
        try:
            await self._io.tool_started(kept.call_id, kept.name, kept.arguments)
            result = MAYBE_RUN
            await self._io.emit(_started(call, tool.kind))
            self._io.alive(f"running {tool.name}")
            result, status = await self._run(tool, call.arguments)
        except BaseException:
            self._record(tool_message(kept.call_id, result))
            if result is not NOT_RUN:
                # By its contract `emit` numbers an update even where it is cancelled at once.
                await self._io.emit(ToolCallChanged(kept.call_id, "failed", result))
            raise
        self._record(tool_message(kept.call_id, result))
        try:
            await self._io.tool_ended(kept.call_id, result)
        finally:
            await self._io.emit(ToolCallChanged(kept.call_id, status, cut_text(result)))

    async def _refuse(self, call: Call, why: str) -> None:
        """Tell the model and the user that a call cannot be run."""
        self._record(tool_message(call.kept.call_id, why))
        await self._io.emit(
            _started(call, "other"), ToolCallChanged(call.kept.call_id, "failed", cut_text(why))
        )

    async def _run(self, tool: Tool, arguments: Mapping[str, object]) -> tuple[str, str]:
        """The result and ACP's status; a tool's exception ends here."""
        try:
            result = await tool.run(arguments, _Context(tool.name, self._io))
        except ToolError as error:
            result, status = f"error: {error}", "failed"
        except Exception as error:  # noqa: BLE001 - a broken tool never ends a turn
            _log.warning("tool %s failed", tool.name, exc_info=error)
            result, status = f"error: the tool failed: {type(error).__name__}: {error}", "failed"
        else:
            status = "completed"
        self._io.alive(f"{tool.name} ended")
        return cut_text(result, MAX_RESULT_BYTES), status

    async def _tell_interrupted(self, rows: Sequence[ToolRow]) -> None:
        """Tell the model what an attempt before a restart has done (row D3).

        Round by round, as it came: a model that finds its rounds run together may take
        the last one for not asked yet, and ask for it again.
        """
        self._call_ids.update(row.call_id for row in rows)
        for _, calls in groupby(rows, lambda row: row.round):
            done = list(calls)
            kept = [read_call(row.call_id, row.name, row.arguments).kept for row in done]
            self._record(assistant_message("", kept))
            for row in done:
                result = row.result if row.result is not None else self._unknown_end(row)
                self._record(tool_message(row.call_id, result))
        open_calls = [row for row in rows if row.result is None]
        if open_calls:
            await self._io.emit(
                *(ToolCallChanged(row.call_id, "failed", RESTARTED) for row in open_calls)
            )

    def _unknown_end(self, row: ToolRow) -> str:
        tool = self._plan.tools.get(row.name)
        harmless = tool is not None and tool.idempotent
        return f"{row.name} {RESTARTED_HARMLESS if harmless else RESTARTED}"

    def _record(self, message: bytes) -> None:
        self._said.append(message)
        self._io.record(message)


class _Context:
    """The `ToolContext` of one call."""

    def __init__(self, name: str, io: TurnIO) -> None:
        self._name = name
        self._io = io

    def progress(self, text: str) -> None:
        """A sign of life."""
        self._io.alive(f"{self._name}: {text}")

    async def resource(self, kind: str) -> TaskResource:
        """The session's resource of that kind."""
        return await self._io.resource(kind)


def _started(call: Call, kind: str) -> ToolCallStarted:
    kept = call.kept
    arguments = call.arguments if call.arguments is not None else {}
    return ToolCallStarted(kept.call_id, kept.name, kept.name, kind, cut_raw(arguments))
