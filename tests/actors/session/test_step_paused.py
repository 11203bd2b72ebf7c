"""The decisions of a session that may begin nothing: suspended, quarantined, held by a drain."""

from __future__ import annotations

from support.step_world import StepWorld

from hermes.actors.session import effects as do
from hermes.actors.session import messages as msg
from hermes.actors.session.state import State, Waiting


def test_suspended() -> None:
    """A suspended session keeps what comes and begins nothing until it is resumed."""
    world = StepWorld(state=State(suspended=True))
    world.offer()
    world.commit()
    assert world.working is None
    assert world.state.name == "suspended"
    suspend = msg.Suspend(False)
    world.send(suspend)
    assert world.working == "build"


def test_resume_lifts_a_quarantine() -> None:
    """K4: a quarantined session begins nothing until it is resumed."""
    world = StepWorld(state=State(quarantined=True, queue=(Waiting(1, "x"),)))
    world.send(msg.GoOn())
    assert world.working is None
    assert world.state.name == "quarantined"
    effects = world.send(msg.Suspend(False))
    kept = next(effect for effect in effects if isinstance(effect, do.KeepSuspended))
    assert (kept.suspended, kept.quarantined) == (False, False)
    assert world.working == "build"


def test_held() -> None:
    """D8: while the daemon drains nothing begins; what waits stays for the next start."""
    world = StepWorld(held=True)
    world.offer()
    world.commit()
    assert world.working is None
    assert not world.gone
    world.held = False
    world.send(msg.GoOn())
    assert world.working == "build"


def test_a_grant_is_answered_at_the_end_of_its_prompt() -> None:
    """D9: who granted a prompt is answered when it has its end, and not before."""
    world = StepWorld().running(2)
    assert world.state.current is not None
    waiting = msg.Grant(world.state.current.number)
    world.send(waiting)
    world.end_work()
    assert not waiting.reply.done
    world.end_prompt()
    assert waiting.reply.done
