"""The published ACP schema as a judge of frames.

The schema's root accepts anything and its objects are open, so it is first closed:
compositions (`allOf` next to `properties`, tagged `oneOf`s) are flattened into plain
objects that forbid every other property.  Flattening was chosen over
`unevaluatedProperties: false`, which validates each composition twice.

A simulation sends some 100,000 frames of a few dozen shapes, so verdicts of valid
values are remembered by shape: of free strings and numbers only the type counts, and whether
they are empty.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

SCHEMA_PATH = Path(__file__).parents[2] / "vendor" / "acp" / "schema.v1.json"

MAX_SHAPES = 10_000
"""Shapes that are remembered; raw tool input could make endlessly many."""

Schema = dict[str, Any]


class SchemaViolation(AssertionError):
    """A frame that the schema forbids; the text has the path, the reason and the frame."""


class FrameValidator:
    """Checks whole frames on `/acp`, in both directions."""

    def __init__(self, path: Path = SCHEMA_PATH) -> None:
        definitions: dict[str, Schema] = json.loads(path.read_text())["$defs"]
        closed = {name: _close(schema, definitions) for name, schema in definitions.items()}
        self._entries = {
            _entry_key(name, schema): Draft202012Validator(
                {"$ref": f"#/$defs/{name}", "$defs": closed}
            )
            for name, schema in definitions.items()
            if "x-method" in schema
        }
        self._error = Draft202012Validator({"$ref": "#/$defs/Error", "$defs": closed})
        self._plain = _plain_properties(definitions)
        self._seen: set[Hashable] = set()

    def validate_outgoing(self, frame: Mapping[str, Any], pending: Mapping[int | str, str]) -> None:
        """Check a frame of the daemon; `pending` has the method of each unanswered request.

        Raises:
            SchemaViolation: it is not a frame, or its content is not the schema's.
        """
        _check_envelope(frame)
        if "method" in frame:
            kind = "Request" if "id" in frame else "Notification"
            side = "protocol" if frame["method"].startswith("$/") else "client"
            self._check((kind, side, frame["method"]), frame.get("params"), frame)
        elif "error" in frame:
            self._check_with(("Error",), self._error, frame["error"], frame)
        else:
            method = pending.get(frame["id"])
            if method is None:
                raise SchemaViolation(f"a result for no pending request: {frame}")
            self._check(("Response", "agent", method), frame["result"], frame)

    def validate_incoming_params(self, method: str, params: Mapping[str, Any] | None) -> None:
        """Check the params that a client sends with a request or a notification.

        Raises:
            SchemaViolation: the schema forbids them, or knows no such method.
        """
        for kind, side in (
            ("Request", "agent"),
            ("Notification", "agent"),
            ("Notification", "protocol"),
        ):
            if (kind, side, method) in self._entries:
                self._check((kind, side, method), {} if params is None else params, params)
                return
        raise SchemaViolation(f"the schema has no method {method!r} for clients to call")

    def validate_incoming_result(self, method: str, result: Mapping[str, Any]) -> None:
        """Check what a client answers to a request of the daemon.

        Raises:
            SchemaViolation: the schema forbids it, or knows no such method.
        """
        self._check(("Response", "client", method), result, result)

    def _check(self, key: tuple[str, str, str], value: object, frame: object) -> None:
        validator = self._entries.get(key)
        if validator is None:
            raise SchemaViolation(f"the schema has no {' '.join(key)}: {frame}")
        self._check_with(key, validator, value, frame)

    def _check_with(
        self, key: Hashable, validator: Draft202012Validator, value: object, frame: object
    ) -> None:
        shape = (key, self._shape("", value))
        if shape in self._seen:
            return
        for error in validator.iter_errors(value):
            raise SchemaViolation(f"{error.json_path}: {error.message} in {frame}")
        if len(self._seen) < MAX_SHAPES:
            self._seen.add(shape)

    def _shape(self, name: str, value: object) -> Hashable:
        if isinstance(value, dict):
            if name == "_meta":
                return "_meta"
            return tuple((key, self._shape(key, item)) for key, item in value.items())
        if isinstance(value, list):
            return ("[]", *(self._shape(name, item) for item in value))
        known: Hashable = bool(value) if name in self._plain else value
        return (type(value), known)


def _entry_key(name: str, schema: Schema) -> tuple[str, str, str]:
    """(Request, Response or Notification; who handles it; the method)."""
    kind = next(k for k in ("Request", "Response", "Notification") if name.endswith(k))
    return kind, schema["x-side"], schema["x-method"]


def _check_envelope(frame: Mapping[str, Any]) -> None:
    if frame.get("jsonrpc") != "2.0":
        raise SchemaViolation(f"not JSON-RPC 2.0: {frame}")
    members = set(frame) - {"jsonrpc"}
    shapes: tuple[set[str], ...] = (
        {"id", "method", "params"},
        {"method", "params"},
        {"id", "result"},
        {"id", "error"},
    )
    if members not in shapes:
        raise SchemaViolation(f"members {sorted(members)}: {frame}")
    identity = frame.get("id")
    null_is_fine = "error" in frame or "id" not in frame
    if isinstance(identity, bool) or not isinstance(identity, int | str | None):
        raise SchemaViolation(f"the id is neither a string nor an integer: {frame}")
    if identity is None and not null_is_fine:
        raise SchemaViolation(f"the id is null: {frame}")


# -- closing the schema ---------------------------------------------------------------


def _close(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """The schema with every object that declares properties closed, at any depth."""
    if "properties" not in schema:
        return _map_subschemas(schema, definitions)
    branches = [_finish(flat, definitions) for flat in _flatten(schema, definitions)]
    return branches[0] if len(branches) == 1 else {"anyOf": branches}


def _flatten(schema: Schema, definitions: Mapping[str, Schema]) -> Iterator[Schema]:
    """A composition as alternatives without composition, their properties united."""
    if "$ref" in schema:
        yield from _flatten(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
        return
    own = {key: item for key, item in schema.items() if key not in ("allOf", "anyOf", "oneOf")}
    results = [own]
    for member in schema.get("allOf", ()):
        flat = list(_flatten(member, definitions))
        results = [_unite(left, right) for left in results for right in flat]
    for word in ("anyOf", "oneOf"):
        if word in schema:
            flat = [one for member in schema[word] for one in _flatten(member, definitions)]
            results = [_unite(left, right) for left in results for right in flat]
    yield from results


def _unite(left: Schema, right: Schema) -> Schema:
    return {
        **left,
        **right,
        "properties": {**left.get("properties", {}), **right.get("properties", {})},
        "required": [*left.get("required", ()), *right.get("required", ())],
    }


def _finish(flat: Schema, definitions: Mapping[str, Schema]) -> Schema:
    properties = {name: _close(item, definitions) for name, item in flat["properties"].items()}
    finished = {**flat, "properties": properties}
    if "additionalProperties" not in flat and "unevaluatedProperties" not in flat:
        finished["additionalProperties"] = False
    return finished


def _map_subschemas(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    mapped = dict(schema)
    for word in ("allOf", "anyOf", "oneOf"):
        if word in schema:
            mapped[word] = [_close(member, definitions) for member in schema[word]]
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            mapped[word] = _close(schema[word], definitions)
    return mapped


# -- shapes ---------------------------------------------------------------------------


def _plain_properties(definitions: Mapping[str, Schema]) -> frozenset[str]:
    """Names of properties that are, wherever they occur, a string or number of any value."""
    plain: dict[str, bool] = {}
    for name, schema in _properties(definitions):
        plain[name] = plain.get(name, True) and _is_plain(schema, definitions)
    return frozenset(name for name, is_plain in plain.items() if is_plain)


def _properties(schema: object) -> Iterator[tuple[str, Schema]]:
    if isinstance(schema, dict):
        if isinstance(properties := schema.get("properties"), dict):
            for name, item in properties.items():
                if isinstance(item, dict):
                    yield name, item
        for item in schema.values():
            yield from _properties(item)
    elif isinstance(schema, list):
        for item in schema:
            yield from _properties(item)


_CONSTRAINTS = {
    "const", "enum", "pattern", "minimum", "maximum", "maxLength", "oneOf",
    "properties", "items", "additionalProperties",
}  # fmt: skip


_SCALARS = {"string", "integer", "number", "boolean", "null"}


def _is_plain(schema: Schema, definitions: Mapping[str, Schema]) -> bool:
    if _CONSTRAINTS & set(schema) or schema.get("minLength", 0) > 1:
        return False
    if "$ref" in schema:
        return _is_plain(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    members = [*schema.get("allOf", ()), *schema.get("anyOf", ())]
    if members:
        return all(_is_plain(member, definitions) for member in members)
    kinds = schema.get("type", ())
    return bool(kinds) and set([kinds] if isinstance(kinds, str) else kinds) <= _SCALARS
