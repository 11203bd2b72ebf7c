"""A client that is all `agent-client-protocol` (`acp.ws`), driven by a test over stdin.

It runs on asyncio, so it is a program of its own; see `support.line_process`.  Every
update that the library gives goes to stdout.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any, cast

import acp
from acp.ws import create_websocket_stream
from attrs import define
from pydantic import BaseModel

Message = dict[str, Any]


def say(message: Message) -> None:
    print(json.dumps(message), flush=True)


def plain(model: BaseModel) -> Message:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


class Told:
    """As much of `acp.Client` as an agent without files and terminals calls."""

    async def session_update(self, session_id: str, update: BaseModel, **meta: object) -> None:
        say({"update": {"sessionId": session_id, "update": plain(update), "_meta": meta}})


@define
class Driver:
    """What each command does."""

    connection: Any = None

    async def connect(self, url: str, token: str) -> BaseModel:
        headers = {"Authorization": f"Bearer {token}"}
        stream = await create_websocket_stream(url, headers=headers)
        self.connection = acp.connect_to_agent(cast(acp.Client, Told()), stream)
        result: BaseModel = await self.connection.initialize(protocol_version=1)
        return result

    async def new(self, cwd: str, meta: Message) -> BaseModel:
        result: BaseModel = await self.connection.new_session(cwd=cwd, mcp_servers=[], **meta)
        return result

    async def resume(self, session: str, cwd: str, meta: Message) -> BaseModel:
        result: BaseModel = await self.connection.resume_session(session, cwd, **meta)
        return result

    async def prompt(self, session: str, text: str) -> BaseModel:
        result: BaseModel = await self.connection.prompt(session, [acp.text_block(text)])
        return result

    async def cancel(self, session: str) -> None:
        await self.connection.cancel(session)

    async def drop(self) -> None:
        await self.connection.close()

    async def obey(self, identity: int, do: str, arguments: Mapping[str, object]) -> None:
        try:
            result = await getattr(self, do)(**arguments)
        except acp.RequestError as error:
            say({"id": identity, "error": error.to_error_obj()})
        except ConnectionError as error:
            say({"id": identity, "error": {"code": 0, "message": str(error)}})
        else:
            say({"id": identity, "result": {} if result is None else plain(result)})


async def main() -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    driver = Driver()
    async with asyncio.TaskGroup() as tasks:
        while line := await reader.readline():
            command = json.loads(line)
            identity, do = command.pop("id"), command.pop("do")
            tasks.create_task(driver.obey(identity, do, command))


if __name__ == "__main__":
    asyncio.run(main())
