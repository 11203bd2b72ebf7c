from __future__ import annotations

import pytest
from support.foreign import NPM_CLIENT, PYPI_CLIENT, ClientKind, need_npm


@pytest.fixture
def npm() -> None:
    need_npm()


@pytest.fixture(params=["npm", "pypi"])
def kind(request: pytest.FixtureRequest) -> ClientKind:
    if request.param == "pypi":
        return PYPI_CLIENT
    need_npm()
    return NPM_CLIENT
