from __future__ import annotations

import pytest
from support.acp_schema import FrameValidator


@pytest.fixture(scope="session")
def schema() -> FrameValidator:
    """The published schema, closed; compiled once."""
    return FrameValidator()
