"""What every connection needs of the daemon, in one place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from attrs import frozen

from hermes.actors import Ref
from hermes.actors.session.seams import Gauge
from hermes.ports.model import PoolStatistics
from hermes.ports.store import Store
from hermes.ports.world import World
from hermes.supervisor.directory import Directory
from hermes.supervisor.events import Events
from hermes.supervisor.supervisor import Message


@frozen
class Process:
    """Facts about the daemon's process: its name, version, pid; seconds up, bytes resident."""

    node: str
    version: str
    pid: int
    uptime: Callable[[], float]
    rss: Callable[[], int]


@frozen
class InactivityLimit:
    """Today's limit of silence in a turn, in seconds, and how to change it."""

    get: Callable[[], float | None]
    set: Callable[[float | None], None]


@frozen
class Drained:
    """What became of the turns that ran when a drain began."""

    drained: int
    interrupted: int


@frozen
class Lifecycle:
    """What an operator can do with the whole daemon.

    `drain` refuses prompts and waits at most that many seconds (None: as
    configured) for turns; `resume` takes prompts again; `stop` ends the daemon.
    """

    draining: Callable[[], bool]
    drain: Callable[[float | None], Awaitable[Drained]]
    resume: Callable[[], None]
    stop: Callable[[float | None], None]


@frozen
class Desk:
    """The daemon, as its connections see it.

    `is_directory` looks at the file system without blocking the loop.
    """

    store: Store
    world: World
    directory: Directory
    supervisor: Ref[Message]
    events: Events
    pools: Callable[[], Mapping[str, PoolStatistics]]
    gauge: Gauge
    process: Process
    inactivity: InactivityLimit
    lifecycle: Lifecycle
    is_directory: Callable[[str], Awaitable[bool]]
