"""What meets a close: it waits for the next actor, and is not lost."""

from __future__ import annotations

from support.runtime import open_runtime


async def test_a_join_and_a_prompt_meet_a_close(autojump_clock: object) -> None:
    """R9: a join and a prompt that meet a close are served after it, by a fresh actor."""
    async with (
        open_runtime() as runtime,
        runtime.client() as client,
        runtime.client() as other,
        runtime.operator() as operator,
    ):
        session = await client.new("cli:one")
        await client.prompt(session, "hello")
        runtime.models.close_seconds = 3.0
        closing = await operator.send("sessions/close", {"session": session})
        await operator.call("sessions/inspect", {"session": session})
        prompt = await client.begin_prompt(session, "how many messages")
        assert await other.new("cli:one") == session
        steps = (await operator.answer(closing))["steps"]
        assert next(s for s in steps if s["step"] == "model")["seconds"] == 3.0
        assert (await client.answer(prompt))["stopReason"] == "end_turn"
        assert client.text(session).endswith("There are 4 messages.")
