"""The whole runtime in memory: real actors, store SQL, wire and agents, no I/O.

Virtual time needs pytest-trio's `autojump_clock` in the test's own arguments.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache

import apsw
import trio
from attrs import define, field
from support.acp_schema import FrameValidator
from support.rule_models import RuleModels
from support.wire import WireClient, speaking
from trio_websocket import wrap_client_stream

from hermes.actors import Deadline
from hermes.adapters.store import Executor, InlineExecutor, SqliteStore, open_memory
from hermes.adapters.websocket.desk import Process
from hermes.adapters.websocket.gate import Doors, Grant, Grants, digest
from hermes.agent.factory import ChatAgentFactory, Recipe
from hermes.daemon.daemon import Bounds, Daemon, Parts
from hermes.ports.agent import AgentFactory
from hermes.ports.model import Models, Runtime
from hermes.ports.resource import ResourceKinds
from hermes.ports.tools import Tool
from hermes.ports.world import World
from hermes.supervisor.events import Event
from hermes.tools.builtin import builtin_registry
from hermes.tools.registry import Registry

#: Tokens of the in-memory daemon, by what they allow.
TOKENS = {"session": "s" * 43, "operator": "o" * 43, "other": "x" * 43}
HOST = "hermes.test"


@cache
def validator() -> FrameValidator:
    """The one validator: compiling the schema takes a moment."""
    return FrameValidator()


def seeded_world(seed: int) -> World:
    """Ids, jitter and the wall clock, all from one seed and virtual time."""
    ids = random.Random(seed)
    return World(
        wall=lambda: 1_700_000_000.0 + trio.current_time(),
        new_id=lambda prefix: f"{prefix}_{ids.getrandbits(96):024x}",
    )


async def _any_directory(path: str) -> bool:
    return not path.startswith("/missing")


def _chat_agents(
    models: Models, registry: Registry, store: SqliteStore, recipe: Recipe
) -> AgentFactory:
    return ChatAgentFactory(models, registry, store, lambda _: recipe)


def _no_delay() -> float:
    return 0.0


def _unobserved(event: str) -> None:
    """Nobody watches the commits."""


def _bare(stream: trio.abc.Stream) -> trio.abc.Stream:
    return stream


#: What is put around the daemon's side of each connection.
Wire = Callable[[trio.abc.Stream], trio.abc.Stream]


@define(eq=False)
class LiveRuntime:
    """A running daemon in memory."""

    daemon: Daemon
    store: SqliteStore
    connection: apsw.Connection
    models: RuleModels
    registry: Registry
    deadline: Deadline
    nursery: trio.Nursery
    wire: Wire = _bare
    events: list[Event] = field(factory=list)

    @asynccontextmanager
    async def connect(
        self, path: str = "/acp", token: str = "session", *, validate: bool = True
    ) -> AsyncIterator[WireClient]:
        """A client on an in-memory websocket; on `/acp` every frame is validated."""
        ours, theirs = trio.testing.memory_stream_pair()
        self.daemon.connect(self.wire(theirs))
        async with trio.open_nursery() as nursery:
            socket = await wrap_client_stream(
                nursery,
                ours,  # type: ignore[arg-type]
                HOST,
                path,
                extra_headers=[(b"Authorization", f"Bearer {TOKENS[token]}".encode())],
                message_queue_size=1000,
            )
            checked = validator() if validate and path == "/acp" else None
            async with speaking(socket, checked) as client:
                yield client
            # Like a process that ends: the connection is gone, without a goodbye.
            await trio.aclose_forcefully(ours)
            nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def client(self, token: str = "session") -> AsyncIterator[WireClient]:
        """An initialized `/acp` client."""
        async with self.connect(token=token) as client:
            await client.initialize()
            yield client

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[WireClient]:
        """A `/control` client."""
        async with self.connect("/control", "operator") as client:
            yield client

    def kinds_of(self, *kinds: str) -> list[Event]:
        """The events of these kinds so far."""
        return [event for event in self.events if event.kind in kinds]

    def crash(self) -> None:
        """End it like a SIGKILL: nothing waits for anything, the open commit is dropped."""
        self.deadline.shorten(trio.current_time())
        self.nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_runtime(
    *,
    seed: int = 0,
    bounds: Bounds | None = None,
    models: RuleModels | None = None,
    kinds: ResourceKinds | None = None,
    connection: apsw.Connection | None = None,
    store_delay: Callable[[], float] = _no_delay,
    factory: Callable[[Models, Registry, SqliteStore, Recipe], AgentFactory] | None = None,
    world: World | None = None,
    boot_id: str = "boot",
    toolsets: tuple[str, ...] = (),
    tools: Sequence[Tool] = (),
    executor: Executor | None = None,
    observe: Callable[[str], None] = _unobserved,
    wire: Wire = _bare,
) -> AsyncIterator[LiveRuntime]:
    """Run a daemon in memory for as long as the body runs, then stop it without a drain.

    Pass the `connection` of one runtime to the next to restart on the same store.
    `tools` are there beside the built-in ones, where `toolsets` names theirs.
    `observe` is called around each commit, `wire` put around each connection.
    """
    deadline = Deadline()
    models = models or RuleModels()
    world = world or seeded_world(seed)
    connection = connection or open_memory()
    store = SqliteStore(
        connection,
        executor=executor or InlineExecutor(store_delay),
        boot_id=boot_id,
        observe=observe,
    )
    registry = builtin_registry(world.wall)
    for tool in tools:
        registry.register(tool)
    recipe = Recipe(
        runtime=Runtime("rules", "rules-1", "http://rules.test/v1"),
        system="You follow rules.",
        toolsets=toolsets,
        model_calls=20,
    )
    make = factory or _chat_agents
    grants = Grants(
        {
            digest(TOKENS["session"]): Grant("local", "session"),
            digest(TOKENS["operator"]): Grant("local", "operator"),
            digest(TOKENS["other"]): Grant("other", "session"),
        }
    )
    daemon = Daemon(
        Parts(
            store=store,
            world=world,
            agents=make(models, registry, store, recipe),
            kinds=kinds or {},
            pools=models.statistics,
            grants=lambda: grants,
            process=Process("test", "0", 1, trio.current_time, lambda: 0),
            is_directory=_any_directory,
            bounds=bounds or Bounds(),
        ),
        deadline,
    )
    async with AsyncExitStack() as stack:
        nursery = await stack.enter_async_context(trio.open_nursery())
        runtime = LiveRuntime(daemon, store, connection, models, registry, deadline, nursery, wire)
        daemon.events.listen(runtime.events.append)
        await nursery.start(daemon.serve)
        daemon.open(Doors(frozenset({HOST}), frozenset({f"https://{HOST}"})))
        yield runtime
        daemon.stop(drain=0.0)
        await daemon.ended.wait()
        nursery.cancel_scope.cancel()
