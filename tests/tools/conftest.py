"""Fixtures of the tools' tests."""

from __future__ import annotations

import pytest
from support.tool_context import KeptContext


@pytest.fixture
def context() -> KeptContext:
    """A context with no resources yet."""
    return KeptContext()
