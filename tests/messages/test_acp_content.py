from __future__ import annotations

import json

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from hermes.messages.acp_content import (
    Annotations,
    AudioBlock,
    BlobResource,
    ContentBlock,
    EmbeddedResource,
    ImageBlock,
    ResourceLink,
    Role,
    TextBlock,
    TextResource,
    dump_prompt,
    load_prompt,
    prompt_text,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
BLOCK: st.SearchStrategy[ContentBlock] = st.one_of(
    st.builds(TextBlock, TEXT, st.none() | st.builds(Annotations, st.just((Role.USER,)))),
    st.builds(ImageBlock, TEXT, TEXT, st.none() | TEXT),
    st.builds(AudioBlock, TEXT, TEXT, meta=st.none() | st.just({"a": [1]})),
    st.builds(ResourceLink, TEXT, TEXT, size=st.none() | st.integers()),
    st.builds(EmbeddedResource, st.builds(TextResource, TEXT, TEXT)),
    st.builds(EmbeddedResource, st.builds(BlobResource, TEXT, TEXT)),
)


@given(st.lists(BLOCK))
def test_round_trip(blocks: list[ContentBlock]) -> None:
    """D1: a prompt comes back from disk as it was accepted."""
    assert load_prompt(dump_prompt(blocks)) == tuple(blocks)


def test_dumps_differ_only_where_prompts_do() -> None:
    """D5: equal prompts have equal bytes, other content has others."""
    block = TextBlock("a")
    assert dump_prompt([block]) == dump_prompt([evolve(block)])
    assert dump_prompt([block]) != dump_prompt([evolve(block, text="b")])
    assert json.loads(dump_prompt([block])) == [{"type": "text", "text": "a"}]


@pytest.mark.parametrize(
    ("block", "text"),
    [
        (TextBlock("hi"), "hi"),
        (ImageBlock("AA==", "image/png"), "[image/png]"),
        (AudioBlock("AA==", "audio/wav"), "[audio/wav]"),
        (ResourceLink("notes", "file:///n"), "[notes](file:///n)"),
        (EmbeddedResource(TextResource("inside", "file:///n")), "inside"),
        (EmbeddedResource(BlobResource("AA==", "file:///n")), "[file:///n]"),
    ],
)
def test_every_block_has_a_text(block: ContentBlock, text: str) -> None:
    """A prompt reads as text, with a mark for what is none."""
    assert prompt_text([TextBlock("first"), block]) == f"first\n{text}"
