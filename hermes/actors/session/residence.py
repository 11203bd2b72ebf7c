"""The agent's place in a session: built, run and given back, each as a part.

The session's loop starts these and goes on; how they end comes back to it as a
message.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from hermes.actors import STEP_SECONDS, Part, PartReport
from hermes.actors.session import messages as msg
from hermes.actors.session.activity import Activity
from hermes.actors.session.inspection import Marked, TurnInspection
from hermes.actors.session.publisher import Publisher
from hermes.actors.session.seams import Post, SessionSeams
from hermes.actors.session.state import Waiting
from hermes.actors.session.turn import Turn, TurnSeams
from hermes.ports.agent import Agent
from hermes.ports.store import SessionRow


class Residence:
    """What there is of an agent, and what it is doing.

    Args:
        seams: the session's world.
        turn_seams: the world of its turns.
        post: puts a message into the session's mailbox.
        publisher: the way of its updates.
        nursery: where the parts run.
    """

    def __init__(
        self,
        seams: SessionSeams,
        turn_seams: TurnSeams,
        post: Post,
        publisher: Publisher,
        nursery: trio.Nursery,
    ) -> None:
        self.agent: Agent | None = None
        self.turn: Turn | None = None
        self.last_release: Marked | None = None
        self.last_rebuild: Marked | None = None
        self._seams = seams
        self._turn_seams = turn_seams
        self._post = post
        self._publisher = publisher
        self._nursery = nursery
        self._work: Part | None = None
        self._release: Part | None = None
        self._interrupted: Activity | None = None

    # -- what the loop starts -------------------------------------------------

    def build(self, row: SessionRow) -> None:
        """Build an agent; posts `BuildEnded`."""

        async def work() -> str:
            self.agent = await self._seams.agents.build(row)
            return self.agent.signature

        self._work = self._start("build", work, msg.BuildEnded)

    def run(self, session: str, prompt: Waiting, *, cached: bool, interrupting: bool) -> None:
        """Run a turn on the resident agent; posts `TurnPartEnded`."""
        agent = self.agent
        assert agent is not None
        turn = Turn(
            session,
            prompt,
            self._publisher,
            self._turn_seams,
            cached=cached,
            interrupted=self._interrupted if interrupting else None,
        )
        self.turn = turn

        def ended(report: PartReport) -> msg.TurnPartEnded:
            return msg.TurnPartEnded(report, frozenset(turn.taken))

        self._work = self._start("turn", lambda: turn.run(agent), ended)

    def steer(self, prompt: Waiting) -> None:
        """Give a prompt to the running turn."""
        if self.turn is not None:
            self.turn.steer(prompt)

    def unsteer(self, number: int) -> None:
        """Take a prompt back, if its model has not got it."""
        if self.turn is not None:
            self.turn.unsteer(number)

    def stop(self) -> None:
        """Ask the build or the turn to end."""
        if self._work is not None:
            self._work.cancel()

    def ended(self) -> None:
        """The turn is over and written down; its clock is kept for an interruption."""
        if self.turn is not None:
            self._interrupted = self.turn.activity
        self.turn = None

    def give_back(self) -> None:
        """Have the agent give its handle back, within a step's time; posts `ReleaseEnded`."""
        agent = self.agent
        assert agent is not None

        async def work() -> None:
            whole = False
            try:
                with self._seams.deadline.shield(STEP_SECONDS) as scope:
                    await agent.aclose()
                whole = not scope.cancelled_caught
            finally:
                if not whole:
                    agent.kill()

        self._release = self._start("release", work, msg.ReleaseEnded)

    def forget(self, cause: str) -> None:
        """Drop the agent: it has given its handle back.

        The parts that served it go too: each holds the agent, or its last turn.
        """
        self.agent = self._work = self._release = None
        self.last_release = Marked(cause, self._seams.world.wall())

    def rebuilt(self, reason: str) -> None:
        """Note why the agent was built again."""
        self.last_rebuild = Marked(reason, self._seams.world.wall())

    # -- what the ladder stops ------------------------------------------------

    @property
    def working(self) -> bool:
        """Whether a build or a turn is under way."""
        return self._work is not None and not self._work.done

    @property
    def holds(self) -> bool:
        """Whether an agent holds a handle, or is giving it back."""
        return self.agent is not None

    async def stop_work(self) -> None:
        """End the build or the turn, and wait for it."""
        if self._work is not None:
            await self._work.stop()

    async def close_agent(self) -> None:
        """Give the handle back, joining a release under way (row R6)."""
        if self._release is not None and not self._release.done:
            await self._release.wait()
        elif self.agent is not None:
            await self.agent.aclose()
        self.agent = None

    def kill_agent(self) -> None:
        """Take the handle back at once."""
        if self.agent is not None:
            self.agent.kill()
            self.agent = None
        if self._release is not None:
            self._release.cancel()

    # -- what an operator sees ------------------------------------------------

    def look(self, now: float) -> TurnInspection | None:
        """The running turn, None without one."""
        if self.turn is None:
            return None
        activity = self.turn.activity
        return TurnInspection(
            age=now - activity.began,
            depth=activity.depth,
            activity=activity.what,
            silent=activity.silent(now),
            model_calls=activity.model_calls,
        )

    def _start(
        self,
        name: str,
        work: Callable[[], Awaitable[object]],
        message: Callable[[PartReport], msg.Message],
    ) -> Part:
        def ended(report: PartReport) -> None:
            self._post(message(report))

        part = Part(name, self._seams.deadline, work, ended)
        part.start(self._nursery)
        return part
