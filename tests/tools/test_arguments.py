from __future__ import annotations

import pytest

from hermes.ports.tools import ToolError
from hermes.tools.arguments import seconds_of, text_of


def test_reads_what_fits() -> None:
    """Arguments of the right type are returned as they are."""
    assert text_of({"a": ""}, "a") == ""
    assert seconds_of({"a": 0}, "a", 1.0) == 0.0


@pytest.mark.parametrize("value", [None, 1, ["x"]])
def test_says_what_was_expected(value: object) -> None:
    """A wrong or missing text is refused by its name."""
    with pytest.raises(ToolError, match="name must be a string"):
        text_of({"name": value}, "name")
