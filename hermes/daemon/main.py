"""The composition root: the real parts, plugged into a `Daemon`."""

from __future__ import annotations

import errno
import gc
import json
import logging
import os
import platform
import signal
import ssl
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import trio
from attrs import frozen

import hermes
from hermes.actors import Deadline, open_service_nursery
from hermes.adapters.models.pool import ModelPools
from hermes.adapters.offline.server import OfflineModel, serve_offline
from hermes.adapters.store import (
    STORE_NAME,
    SqliteStore,
    StateLock,
    ThreadExecutor,
    open_file,
)
from hermes.adapters.websocket.desk import Process
from hermes.adapters.websocket.gate import doors
from hermes.agent.factory import ChatAgentFactory, Recipe
from hermes.config import Loaded, Settings
from hermes.daemon.daemon import Bounds, Daemon, Parts
from hermes.daemon.notify import notify_ready
from hermes.daemon.recipes import recipe, resident_bytes, runtime
from hermes.daemon.signals import end_within, watch_signals
from hermes.daemon.tokens import load_tokens, write_private
from hermes.errors import StartError
from hermes.ports.model import Runtime
from hermes.ports.world import World
from hermes.supervisor.residency import Limits
from hermes.tools.builtin import builtin_registry
from hermes.tools.scratch import ScratchKind

log = logging.getLogger(__name__)

DAEMON_NAME = "daemon.json"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

#: Collections run this often once everything is loaded: frozen start-up objects and
#: a tenfold threshold halve the cost of many actors, a hundredfold one quadruples
#: the memory of a session (measured, design.md).
GC_THRESHOLD = (10_000, 10, 10)


@frozen
class DaemonOptions:
    """What a daemon is started with.

    `chat` leaves Ctrl-C to the chat in the same terminal.
    """

    state_dir: Path
    loaded: Loaded
    environ: Mapping[str, str]
    chat: bool = False


async def run_daemon(
    options: DaemonOptions, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
) -> None:
    """Run a daemon until a signal or an operator stops it; reports its port.

    Raises:
        StartError: it cannot start; the text says what to do.
        StoreError: the store cannot be opened, or failed underneath.

    **Cancellation**: sessions are taken down their ladders, what is on disk stays.
    """
    deadline = Deadline()
    with StateLock.acquire(options.state_dir):
        async with open_service_nursery(deadline) as services:
            chosen = options.loaded.settings.model
            if chosen is None or chosen.provider == "offline":
                offline: OfflineModel = await services.start(serve_offline, "offline model")
                primary = _offline_runtime(offline)
            else:
                primary = runtime(chosen, options.environ)
            await _run(options, primary, deadline, task_status)


async def _run(
    options: DaemonOptions, primary: Runtime, deadline: Deadline, task_status: trio.TaskStatus[int]
) -> None:
    settings = options.loaded.settings
    listeners = await _listen(settings)
    port = _port(listeners)
    daemon = Daemon(await _parts(options, primary, deadline), deadline)
    signals = [signal.SIGTERM] if options.chat else [signal.SIGTERM, signal.SIGINT]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_signals, signals, daemon.stop, daemon.hurry)
        try:
            await nursery.start(daemon.serve)
            server = settings.server
            daemon.open(doors(server.host, port, server.allowed_hosts, server.allowed_origins))
            daemon.listen(_secured(listeners, settings))
            _announce(options.state_dir, server.host, port)
            notify_ready(options.environ)
            gc.collect()
            gc.freeze()
            gc.set_threshold(*GC_THRESHOLD)
            task_status.started(port)
            await daemon.ended.wait()
            nursery.cancel_scope.cancel()
        finally:
            (options.state_dir / DAEMON_NAME).unlink(missing_ok=True)


async def _parts(options: DaemonOptions, primary: Runtime, deadline: Deadline) -> Parts:
    settings, state_dir = options.loaded.settings, options.state_dir
    world, started = World(), time.monotonic()
    connection = await trio.to_thread.run_sync(open_file, state_dir / STORE_NAME)
    store = SqliteStore(
        connection,
        executor=ThreadExecutor(),
        boot_id=_boot_id(),
        keep_updates=settings.store.keep_updates,
    )
    pools = ModelPools(deadline=deadline)
    today: Recipe = recipe(settings, primary)
    grants = load_tokens(state_dir)
    return Parts(
        store=store,
        world=world,
        agents=ChatAgentFactory(pools, builtin_registry(world.wall), store, lambda _: today),
        kinds={"scratch": ScratchKind(state_dir / "scratch")},
        pools=pools.statistics,
        grants=lambda: grants,
        process=Process(
            node=platform.node(),
            version=hermes.__version__,
            pid=os.getpid(),
            uptime=lambda: time.monotonic() - started,
            rss=resident_bytes,
        ),
        is_directory=_is_directory,
        backstop=end_within,
        bounds=_bounds(options.loaded),
        services=(pools.serve,),
    )


def _bounds(loaded: Loaded) -> Bounds:
    limits, model = loaded.settings.limits, loaded.settings.model
    # A model that cannot reason refuses the parameter, so the default is not sent.
    asked = model is not None and loaded.sources.get("model.reasoning") != "default"
    return Bounds(
        residency=Limits(limits.cap, limits.idle_ttl),
        inactivity=limits.inactivity,
        mailbox=limits.mailbox,
        concurrent_turns=limits.concurrent_turns,
        recovery_turns=limits.recovery_turns,
        drain=limits.drain,
        max_frame=loaded.settings.server.max_frame_bytes,
        reasoning=model.reasoning if model is not None and asked else None,
    )


def _offline_runtime(offline: OfflineModel) -> Runtime:
    return Runtime(
        provider="offline",
        model="offline",
        base_url=offline.base_url,
        credential=offline.credential,
        context_length=200_000,
    )


async def _listen(settings: Settings) -> list[trio.SocketListener]:
    server = settings.server
    try:
        return await trio.open_tcp_listeners(server.port, host=server.host)
    except OSError as error:
        where = f"{server.host}:{server.port}"
        if _is_taken(error):
            raise StartError(
                f"{where} is in use; stop what listens there, or choose another port with --port"
            ) from error
        raise StartError(f"cannot listen on {where}: {error.strerror or error}") from error


def _is_taken(error: OSError) -> bool:
    return error.errno == errno.EADDRINUSE


def _port(listeners: Sequence[trio.SocketListener]) -> int:
    return int(listeners[0].socket.getsockname()[1])


def _secured(
    listeners: Sequence[trio.SocketListener], settings: Settings
) -> Sequence[trio.SocketListener | trio.SSLListener[trio.SocketStream]]:
    server = settings.server
    if server.tls_cert is None or server.tls_key is None:
        return listeners
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(server.tls_cert, server.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise StartError(f"server.tls_cert and server.tls_key cannot be used: {error}") from error
    return [trio.SSLListener(listener, context, https_compatible=True) for listener in listeners]


def _announce(state_dir: Path, host: str, port: int) -> None:
    """Say where the daemon is: to its command line by file, to people on standard error."""
    facts = {"pid": os.getpid(), "host": host, "port": port, "version": hermes.__version__}
    write_private(state_dir / DAEMON_NAME, json.dumps(facts) + "\n")
    shown = f"[{host}]" if ":" in host else host
    print(f"hermes: listening on ws://{shown}:{port}/acp", file=sys.stderr, flush=True)


def _boot_id() -> str:
    """Which start of the machine this is: after another one, the power may have been cut."""
    try:
        return BOOT_ID.read_text("ascii").strip()
    except OSError:
        return "unknown"


async def _is_directory(path: str) -> bool:
    return await trio.to_thread.run_sync(os.path.isdir, path, abandon_on_cancel=True)
