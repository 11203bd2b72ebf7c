from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from attrs import evolve, fields
from hypothesis import given
from hypothesis import strategies as st

from hermes.agent.signature import SignatureInput, signature
from hermes.ports.model import Secret

BASE = SignatureInput(
    model="m",
    provider="p",
    base_url="http://h/v1",
    api_mode="chat_completions",
    toolsets=("web", "files"),
    ephemeral="be brief",
    credential=Secret("header.payload.one"),
    user="alice",
    cache_keys={"a": "1", "b": "2"},
    counted={"model.context_length": 1000, "compression.enabled": True, "absent": None},
)

IN_ANOTHER_PROCESS = """
from hermes.agent.signature import SignatureInput, signature
from hermes.ports.model import Secret
print(signature(SignatureInput(
    model="m", provider="p", base_url="http://h/v1", api_mode="chat_completions",
    toolsets=("files", "web"), ephemeral="be brief", credential=Secret("header.payload.one"),
    user="alice", cache_keys={"b": "2", "a": "1"},
    counted={"absent": None, "compression.enabled": True, "model.context_length": 1000},
)))
"""

NAMES = st.text(max_size=8)
PAIRS = st.dictionaries(NAMES, NAMES, max_size=4)


@pytest.mark.parametrize("seed", ["0", "12345"])
def test_another_process_agrees(seed: str) -> None:
    """S1: the same input gives the same signature in a process with another hash seed."""
    printed = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS],
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout.strip() == signature(BASE)


@pytest.mark.parametrize(
    "change",
    [
        {"model": "n"},
        {"provider": "q"},
        {"base_url": "http://i/v1"},
        {"api_mode": "responses"},
        {"toolsets": ("web",)},
        {"ephemeral": "be long"},
        {"credential": None},
        {"user": "bob"},
        {"cache_keys": {"a": "1"}},
        {"counted": {}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_each_part_counts(change: dict[str, Any]) -> None:
    """S2: another value of any part gives another signature."""
    assert signature(evolve(BASE, **change)) != signature(BASE)


@given(st.lists(NAMES, max_size=5).flatmap(lambda x: st.tuples(st.just(x), st.permutations(x))))
def test_order_of_toolsets(lists: tuple[list[str], list[str]]) -> None:
    """S2: the order in which toolsets are listed does not matter."""
    one, other = (signature(evolve(BASE, toolsets=tuple(names))) for names in lists)
    assert one == other


@given(st.text(), st.text(), st.text())
def test_credentials_count_whole(prefix: str, one: str, other: str) -> None:
    """S3: tokens that share a prefix sign alike only where they are the same whole."""
    signed = [signature(evolve(BASE, credential=Secret(prefix + end))) for end in (one, other)]
    assert (signed[0] == signed[1]) == (one == other)


def test_no_credential_inside() -> None:
    """S3: the signature is a hash of fixed length and holds no part of a credential."""
    signed = signature(evolve(BASE, credential=Secret("deadbeef" * 20)))
    assert len(signed) == 64
    assert "deadbeef" not in signed


def test_reasoning_does_not_count() -> None:
    """S4: there is no place for reasoning in what is signed."""
    assert not [name for name in fields(SignatureInput) if "reasoning" in str(name.name)]


@given(PAIRS, PAIRS)
def test_cache_keys_by_name_and_value(one: dict[str, str], other: dict[str, str]) -> None:
    """S5: cache keys count by name and value, in any order."""
    backwards = dict(reversed(one.items()))
    signed = signature(evolve(BASE, cache_keys=one))
    assert signature(evolve(BASE, cache_keys=backwards)) == signed
    assert (signature(evolve(BASE, cache_keys=other)) == signed) == (one == other)


def test_no_cache_keys() -> None:
    """S5: none, an empty set and an omitted one are the same."""
    bare = SignatureInput("m", "p", "u", "a")
    assert signature(bare) == signature(evolve(bare, cache_keys={}))
    assert signature(bare) == signature(evolve(bare, cache_keys=None))


@given(st.tuples(NAMES, NAMES), st.tuples(NAMES, NAMES))
def test_parts_do_not_run_together(one: tuple[str, str], other: tuple[str, str]) -> None:
    """S1: model and provider are told apart, however their texts are split."""
    signed = [signature(SignatureInput(m, p, "u", "a")) for m, p in (one, other)]
    assert (signed[0] == signed[1]) == (one == other)
