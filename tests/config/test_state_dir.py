import os
import stat
from pathlib import Path

import pytest

from hermes.config import find_state_dir, prepare_state_dir
from hermes.errors import StartError

HOME = Path("/home/ann")


def test_made_private(tmp_path: Path) -> None:
    """Z7: the directory is made with mode 0700, whatever the umask is, parents included."""
    old = os.umask(0)
    try:
        prepare_state_dir(tmp_path / "a" / "state")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a" / "state").stat().st_mode) == 0o700


def test_private_one_is_taken_again(tmp_path: Path) -> None:
    """Z7: what the daemon leaves there is taken again, and what is deeper is not looked at."""
    state = tmp_path / "state"
    prepare_state_dir(state)
    (state / "tokens.json").touch(mode=0o600)
    (state / "scratch").mkdir(mode=0o755)
    (state / "scratch" / "page.html").touch(mode=0o644)
    prepare_state_dir(state)


@pytest.mark.parametrize("mode", [0o750, 0o701, 0o777])
def test_looser_directory_is_refused(tmp_path: Path, mode: int) -> None:
    """Z7: a looser directory is refused with the command that mends it, and is left as it is."""
    state = tmp_path / "my state"
    state.mkdir()
    state.chmod(mode)
    with pytest.raises(StartError, match=rf"run: chmod 700 '{state}'$"):
        prepare_state_dir(state)
    assert stat.S_IMODE(state.stat().st_mode) == mode


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o700])
def test_looser_file_is_refused(tmp_path: Path, mode: int) -> None:
    """Z7: a looser file in it is refused with the command that mends it."""
    state = tmp_path / "state"
    prepare_state_dir(state)
    tokens = state / "tokens.json"
    tokens.touch()
    tokens.chmod(mode)
    with pytest.raises(StartError, match=rf"run: chmod 600 {tokens}$"):
        prepare_state_dir(state)


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    """Z7: a file where the directory should be, or above it, is a clear error."""
    (tmp_path / "state").touch(mode=0o600)
    with pytest.raises(StartError, match="not a directory"):
        prepare_state_dir(tmp_path / "state")
    with pytest.raises(StartError, match="--state-dir"):
        prepare_state_dir(tmp_path / "state" / "inner")


def test_found_by_flag_then_variable_then_xdg() -> None:
    """The state directory is the flag's, else the variable's, else below XDG_STATE_HOME."""
    environ = {"HERMES_STATE_DIR": "/v", "XDG_STATE_HOME": "/x"}
    assert find_state_dir("/f", environ, HOME) == Path("/f")
    assert find_state_dir(None, environ, HOME) == Path("/v")
    assert find_state_dir(None, {"XDG_STATE_HOME": "/x"}, HOME) == Path("/x/hermes")
    assert find_state_dir(None, {"XDG_STATE_HOME": "x"}, HOME) == HOME / ".local/state/hermes"
    assert find_state_dir(None, {}, HOME) == HOME / ".local/state/hermes"
