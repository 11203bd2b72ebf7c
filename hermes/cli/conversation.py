"""A conversation with one session: prompts in, the stream out, Ctrl-C, approvals.

It knows the terminal as a `Console` and the wire as an `Rpc`, so that the tests
drive both.  A turn is stopped by asking the daemon, never by dropping the call:
the answer that comes then (`cancelled`) is the proof that it stopped.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import trio
from attrs import frozen

import hermes
from hermes.cli.console import Console
from hermes.cli.exits import CommandFailed, ExitCode, WrongUsage, unwrapped
from hermes.cli.rpc import ConnectionLost, Rpc, RpcFailed, open_rpc, refuse_all
from hermes.cli.transcript import Transcript
from hermes.messages.jsonrpc import Notification, Request, RequestId

PROTOCOL_VERSION = 1
PROMPT = "> "
LEAVE = frozenset({"/quit", "/exit"})
YES = frozenset({"y", "yes"})

# initialize and session/new take milliseconds; a store on a slow disk takes some seconds.
BEGIN_SECONDS = 30.0

# Tool calls of one turn that ask at the same time; what is more is refused at once.
QUESTIONS = 16

T = TypeVar("T")


@frozen
class Question:
    """One approval that the daemon waits for; `scope` is cancelled when it is withdrawn."""

    request: Request
    scope: trio.CancelScope


class Conversation:
    """One attached session; `receive` is the callback of its connection."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._transcript = Transcript(interactive=console.interactive, colour=console.colour)
        self._session = ""
        # There only while a turn of ours runs: a refusal of anybody else decides nothing.
        self._asked: trio.MemorySendChannel[Question] | None = None
        self._open: dict[RequestId, trio.CancelScope] = {}

    async def receive(self, rpc: Rpc, incoming: Request | Notification) -> None:
        """Take what the daemon sends by itself."""
        params = incoming.params or {}
        match incoming:
            case Notification(method="session/update"):
                await self._console.write(self._transcript.render(params))
            case Notification(method="$/cancel_request"):
                self._withdraw(params.get("requestId"))
            case Request(method="session/request_permission"):
                await self._question(rpc, incoming)
            case _:
                await refuse_all(rpc, incoming)

    async def begin(self, rpc: Rpc, key: str, cwd: str) -> None:
        """Attach to the session of that key, made where there is none.

        Raises:
            RpcFailed: the daemon refused.
            CommandFailed: it does not answer.
        """
        with trio.move_on_after(BEGIN_SECONDS) as scope:
            client = {"name": "hermes", "version": hermes.__version__}
            await rpc.call(
                "initialize", {"protocolVersion": PROTOCOL_VERSION, "clientInfo": client}
            )
            answer = await rpc.call(
                "session/new",
                {"cwd": cwd, "mcpServers": [], "_meta": {"hermes": {"key": key}}},
            )
            self._session = str(answer.get("sessionId"))
            self._transcript.attached(_state(answer))
        if scope.cancelled_caught:
            raise CommandFailed(
                f"the daemon has not answered for {BEGIN_SECONDS:g} s; see: hermes ctl status"
            )

    async def interact(self, rpc: Rpc) -> ExitCode:
        """Prompts from a person, until they leave."""
        while True:
            line = await self._next_line(rpc)
            if line is None or line.strip() in LEAVE:
                return ExitCode.DONE
            if line.strip() and not await self._shown_turn(rpc, line):
                return ExitCode.DONE

    async def answer(self, rpc: Rpc, prompt: str) -> ExitCode:
        """One prompt, its answer on standard output."""
        try:
            stop_reason = await self._turn(rpc, prompt)
        finally:
            await self._console.write(self._transcript.end_line())
        if stop_reason == "end_turn":
            return ExitCode.DONE
        await self._console.error(_stopped(stop_reason))
        return ExitCode.FAILED if stop_reason in (None, "cancelled") else ExitCode.DONE

    async def _next_line(self, rpc: Rpc) -> str | None:
        """The next line; None at its end or at Ctrl-C.

        Raises:
            ConnectionLost: the daemon went away meanwhile.
        """

        async def line_or_loss() -> str | None:
            async with trio.open_nursery() as nursery:

                async def watch() -> None:
                    raise await rpc.wait_lost()

                nursery.start_soon(watch)
                line = await self._console.read_line(PROMPT)
                nursery.cancel_scope.cancel()
            return line

        line = await until_interrupt(self._console, line_or_loss)
        if line is None:
            await self._console.write("\n")
        return line

    async def _shown_turn(self, rpc: Rpc, prompt: str) -> bool:
        """Run a turn; returns whether the person stays."""
        try:
            stop_reason = await self._turn(rpc, prompt)
        except RpcFailed as failed:
            await self._console.write(self._transcript.end_line())
            await self._console.error(str(failed))
            return True
        await self._console.write(self._transcript.end_line())
        if stop_reason not in ("end_turn", None):
            await self._console.error(_stopped(stop_reason))
        return stop_reason is not None

    async def _turn(self, rpc: Rpc, prompt: str) -> str | None:
        """The stop reason of a turn, None where a second Ctrl-C left it.

        Raises:
            RpcFailed: the prompt was refused, or its turn failed.
        """
        content = [{"type": "text", "text": prompt}]
        stop_reason: str | None = None
        self._asked, questions = trio.open_memory_channel[Question](QUESTIONS)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._stop_turn, rpc, nursery.cancel_scope)
                nursery.start_soon(self._ask_questions, rpc, questions)
                answer = await rpc.call(
                    "session/prompt", {"sessionId": self._session, "prompt": content}
                )
                stop_reason = str(answer.get("stopReason"))
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise unwrapped(group) from None
        finally:
            self._asked = None
            self._open.clear()
        return stop_reason

    async def _stop_turn(self, rpc: Rpc, turn: trio.CancelScope) -> None:
        """The first Ctrl-C asks the daemon to stop the turn, the second leaves."""
        await self._console.wait_interrupt()
        for scope in self._open.values():
            scope.cancel()
        try:
            await rpc.notify("session/cancel", {"sessionId": self._session})
        except ConnectionLost:
            return  # the call of the turn says so itself
        await self._console.wait_interrupt()
        turn.cancel()

    async def _question(self, rpc: Rpc, request: Request) -> None:
        """Queue an approval for the person; where nobody can be asked, it is refused."""
        question = Question(request, trio.CancelScope())
        try:
            if self._asked is None or not self._console.interactive:
                raise trio.WouldBlock
            self._asked.send_nowait(question)
            self._open[request.id] = question.scope
        except trio.WouldBlock:
            await rpc.answer(request, choice(request.params or {}, "reject"))

    async def _ask_questions(
        self, rpc: Rpc, questions: trio.MemoryReceiveChannel[Question]
    ) -> None:
        async for question in questions:
            try:
                await rpc.answer(question.request, await self._ask(question))
            except ConnectionLost:
                return  # the call of the turn says so itself
            finally:
                del self._open[question.request.id]

    async def _ask(self, question: Question) -> Mapping[str, object]:
        params = question.request.params or {}
        tool = params.get("toolCall")
        title = tool.get("title") if isinstance(tool, Mapping) else None
        with question.scope:
            await self._console.write(self._transcript.end_line())
            line = await self._console.read_line(f"allow {self._clean(title)}? [y/N] ")
            allowed = line is not None and line.strip().lower() in YES
            return choice(params, "allow" if allowed else "reject")
        return {"outcome": {"outcome": "cancelled"}}

    def _withdraw(self, identity: object) -> None:
        scope = self._open.get(identity) if isinstance(identity, int | str) else None
        if scope is not None:
            scope.cancel()

    @staticmethod
    def _clean(title: object) -> str:
        return "".join(c for c in str(title or "this tool call") if c.isprintable())


async def talk(url: str, token: str, key: str, cwd: str, console: Console) -> ExitCode:
    """Hold a conversation on a console: many prompts from a person, one from a pipe.

    Raises:
        WrongUsage: the pipe holds no prompt.
        NoDaemon: nothing listens at `url`.
        RpcFailed, CommandFailed: the one line for standard error.

    **Cancellation**: the connection closes; the session and its turn go on.
    """
    prompt = None if console.interactive else await _piped_prompt(console)
    conversation = Conversation(console)
    async with open_rpc(url, token, conversation.receive) as rpc:
        await conversation.begin(rpc, key, cwd)
        if prompt is None:
            return await conversation.interact(rpc)
        return await conversation.answer(rpc, prompt)


async def _piped_prompt(console: Console) -> str:
    text = await until_interrupt(console, console.read_all)
    if text is None:
        raise CommandFailed("interrupted before the prompt was read")
    if not text.strip():
        raise WrongUsage("standard input is empty: pipe a prompt in, or run it in a terminal")
    return text.rstrip("\r\n")


async def until_interrupt(console: Console, job: Callable[[], Awaitable[T]]) -> T | None:
    """What the job returns; None where Ctrl-C came first, and the job is cancelled."""
    result: T | None = None
    try:
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                await console.wait_interrupt()
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            result = await job()
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise unwrapped(group) from None
    return result


def choice(params: Mapping[str, object], wish: str) -> Mapping[str, object]:
    """The answer to a permission request: the option of that kind, once before always.

    `wish` is `allow` or `reject`; where no option fits, nothing is selected.
    """
    options = params.get("options")
    for kind in (f"{wish}_once", f"{wish}_always"):
        for option in options if isinstance(options, Sequence) else ():
            if isinstance(option, Mapping) and option.get("kind") == kind:
                return {"outcome": {"outcome": "selected", "optionId": option.get("optionId")}}
    return {"outcome": {"outcome": "cancelled"}}


def _state(answer: Mapping[str, object]) -> object:
    meta = answer.get("_meta")
    ours = meta.get("hermes") if isinstance(meta, Mapping) else None
    return ours.get("state") if isinstance(ours, Mapping) else None


def _stopped(stop_reason: str | None) -> str:
    reasons = {
        None: "left; the turn goes on in the session",
        "cancelled": "the turn was cancelled",
        "max_tokens": "the answer was cut: it reached the limit of tokens (model.max_tokens)",
        "max_turn_requests": "the turn reached its limit of model calls (limits.model_calls)",
        "refusal": "the model refused to answer",
    }
    return reasons.get(stop_reason, f"the turn stopped: {stop_reason}")
