from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.messages.jsonrpc import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    UNKNOWN_SESSION,
    Notification,
    Refused,
    Request,
    Response,
    RpcError,
    error_frame,
    method_not_found,
    notification_frame,
    parse,
    request_frame,
    result_frame,
    unknown_session,
)


def refused(text: str) -> tuple[object, int]:
    incoming = parse(text)
    assert isinstance(incoming, Refused)
    return incoming.id, incoming.error.code


@pytest.mark.parametrize("text", ["", "{", "nope", '{"a":NaN}', "[" * 100_000, '["\\ud800"]'])
def test_unparsable(text: str) -> None:
    """Z6: text that is not JSON gets -32700 with id null."""
    assert refused(text) == (None, PARSE_ERROR)


@pytest.mark.parametrize("text", ["[]", '[{"jsonrpc":"2.0","id":1,"method":"a"},{}]'])
def test_a_batch_gets_one_error(text: str) -> None:
    """A batch gets one -32600 with id null."""
    assert refused(text) == (None, INVALID_REQUEST)


@pytest.mark.parametrize(
    ("frame", "identity"),
    [
        (5, None),
        (None, None),
        ("method", None),
        ({}, None),
        ({"jsonrpc": "2.0"}, None),
        ({"jsonrpc": "2.0", "id": 1}, 1),
        ({"id": 1, "method": "a"}, 1),
        ({"jsonrpc": "1.0", "id": "x", "method": "a"}, "x"),
        ({"jsonrpc": 2.0, "id": 0, "method": "a"}, 0),
        ({"jsonrpc": "2.0", "id": 1, "method": 5}, 1),
        ({"jsonrpc": "2.0", "id": None, "method": "a"}, None),
        ({"jsonrpc": "2.0", "id": True, "method": "a"}, None),
        ({"jsonrpc": "2.0", "id": 1.5, "method": "a"}, None),
        ({"jsonrpc": "2.0", "id": {}, "method": "a"}, None),
        ({"jsonrpc": "2.0", "id": 2**63, "method": "a"}, None),
        ({"method": "a"}, None),
    ],
)
def test_not_a_request(frame: object, identity: object) -> None:
    """What is no request gets -32600, under its id where that can be used, else null."""
    assert refused(json.dumps(frame)) == (identity, INVALID_REQUEST)


@pytest.mark.parametrize("params", [[], [1], "x", 5, False])
def test_params_that_are_no_object(params: object) -> None:
    """Params of a request that are not an object get -32602 with a path."""
    incoming = parse(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "a", "params": params}))
    assert isinstance(incoming, Refused)
    assert incoming.id == 1
    assert incoming.error.code == INVALID_PARAMS
    assert incoming.error.data == {"path": "params", "expected": "an object"}


@pytest.mark.parametrize("identity", [0, 1, -5, "", "abc", 2**63 - 1])
def test_requests(identity: int | str) -> None:
    """A string or an integer is an id, 0 and the empty string too."""
    frame = {"jsonrpc": "2.0", "id": identity, "method": "a", "params": {"b": 1}}
    assert parse(json.dumps(frame)) == Request(identity, "a", {"b": 1})


@pytest.mark.parametrize("extra", [{}, {"params": None}])
def test_absent_params(extra: dict[str, Any]) -> None:
    """Params may be absent or null."""
    assert parse(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "a", **extra})) == Request(1, "a")


def test_notifications_are_never_refused_for_params() -> None:
    """A notification is one whatever its method, and bad params of one count as absent."""
    assert parse('{"jsonrpc":"2.0","method":"any"}') == Notification("any")
    assert parse('{"jsonrpc":"2.0","method":"any","params":[1]}') == Notification("any")


@pytest.mark.parametrize(
    ("frame", "response"),
    [
        ({"jsonrpc": "2.0", "id": 1, "result": {"a": 1}}, Response(1, {"a": 1})),
        ({"jsonrpc": "2.0", "id": 1, "error": {"code": 1}}, Response(1, None, {"code": 1})),
        ({"jsonrpc": "2.0", "id": None, "result": None}, Response(None)),
        ({"id": 1, "result": {}}, Response(1, {})),
    ],
)
def test_responses_are_never_answered(frame: object, response: Response) -> None:
    """A response is classified as one, even a broken one: an error would echo a foreign id."""
    assert parse(json.dumps(frame)) == response


def test_a_malformed_error_is_still_an_error() -> None:
    """An error that is not an object is never taken for a result."""
    incoming = parse('{"jsonrpc":"2.0","id":1,"error":null}')
    assert isinstance(incoming, Response)
    assert incoming.error is not None


@given(st.text(st.characters()))
def test_parse_never_raises(text: str) -> None:
    """Z6: whatever the text, parse gives a value."""
    parse(text)


@given(
    st.dictionaries(
        st.sampled_from(["jsonrpc", "id", "method", "params", "result", "error"]),
        st.sampled_from(["2.0", 0, None, [], {}, True, 1.5, "a"]),
    )
)
def test_parse_never_raises_on_objects(frame: dict[str, Any]) -> None:
    """Z6: whatever the members of the object, parse gives a value."""
    parse(json.dumps(frame))


@given(st.integers(-(2**63), 2**63 - 1) | st.text())
def test_request_round_trip(identity: int | str) -> None:
    """Frames of ours parse as what they were made of."""
    assert parse(request_frame(identity, "m", {"a": 1})) == Request(identity, "m", {"a": 1})
    assert parse(notification_frame("m", {})) == Notification("m", {})
    assert parse(result_frame(identity, {})) == Response(identity, {})


def test_error_frames() -> None:
    """An error frame has data only where there is some, and id null where none was readable."""
    assert json.loads(error_frame(None, RpcError(-31003, "draining"))) == {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": -31003, "message": "draining"},
    }
    frame = json.loads(error_frame(0, unknown_session("s")))
    assert frame["id"] == 0
    assert frame["error"]["code"] == UNKNOWN_SESSION
    assert frame["error"]["data"] == {"sessionId": "s"}
    assert method_not_found("x").code == METHOD_NOT_FOUND


def test_an_rpc_error_can_be_raised() -> None:
    """A frozen error keeps its fields through raise, and says its code in a log."""
    with pytest.raises(RpcError, match=r"session busy \(-31001\)") as caught:
        raise RpcError(-31001, "session busy", {"retryAfterSeconds": 1})
    assert caught.value.data == {"retryAfterSeconds": 1}
