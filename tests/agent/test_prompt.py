from __future__ import annotations

import json

from attrs import evolve

from hermes.agent.prompt import Prompt, canonical, render, same_content, with_ephemeral
from hermes.ports.tools import Tool


def test_rendered_in_canonical_form(echo: Tool) -> None:
    """L6: a prompt renders to the same bytes, whatever order a schema's keys came in."""
    backwards = evolve(echo, parameters=dict(reversed(list(echo.parameters.items()))))
    assert render("hi", [echo]) == render("hi", [backwards])
    assert json.loads(render("hi", [echo]).tools)[0]["function"]["name"] == "echo"
    assert render("hi", []).tools == b"[]"


def test_spelling_is_no_difference(echo: Tool) -> None:
    """L6: other white space in the kept bytes is no difference, another word is one."""
    prompt = render("hi", [echo])
    spaced = Prompt(json.dumps(json.loads(prompt.system)).encode(), prompt.tools)
    assert spaced != prompt
    assert same_content(spaced, prompt)
    assert not same_content(render("ho", [echo]), prompt)
    assert not same_content(render("hi", []), prompt)
    assert not same_content(Prompt(b"damaged", b"[]"), prompt)


def test_ephemeral_is_appended() -> None:
    """L6: no ephemeral text leaves the bytes as they are; one is appended to the system text."""
    system = render("hi", []).system
    assert with_ephemeral(system, "") is system
    assert json.loads(with_ephemeral(system, "now")) == {"role": "system", "content": "hi\n\nnow"}


def test_lone_surrogates_are_sent() -> None:
    """L6: a text that UTF-8 cannot say is rendered all the same."""
    assert json.loads(canonical("a\ud800")) == "a\ufffd"
