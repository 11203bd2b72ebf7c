"""Strict structuring: what a peer sends becomes attrs classes, or one clear error.

cattrs coerces by default (`"5"` becomes 5, a string becomes a list of letters) and
ignores what it does not know.  Here neither happens: each type accepts exactly its
JSON form, and an unknown property is an error.  Classes are written in snake_case
and are camelCase on the wire; `meta` is `_meta`.

The first problem is reported with its dotted path, since cattrs' own report names
Python attributes and lists them all.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable, Mapping
from types import GenericAlias, NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin

import attrs
import cattrs
from cattrs import AttributeValidationNote, ForbiddenExtraKeysError, IterableValidationNote
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

ON_NULL: Final = "on_null"
"""Metadata of a field that may be null on the wire, and what it is then."""

OPEN: Final = "__hermes_open__"
"""A class attribute: unknown properties are ignored in this class (`_meta` and below)."""


class Unset(enum.Enum):
    """What a property is that was not there, where null means something else."""

    UNSET = enum.auto()


UNSET: Final = Unset.UNSET


class Expected(ValueError):
    """A value is not what it has to be; `at` is the path from where the value was found."""

    def __init__(self, expected: str, at: str = "") -> None:
        super().__init__(f"expected {expected}")
        self.expected = expected
        self.at = at


def camel(name: str) -> str:
    """The wire's name for an attribute: `session_id` is `sessionId`, `meta` is `_meta`."""
    if name == "meta":
        return "_meta"
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


# -- validators for attrs fields ----------------------------------------------


def at_least(minimum: float) -> Callable[[object, attrs.Attribute[Any], Any], None]:
    """A number that is `minimum` or more; None and UNSET pass."""

    def check(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value is not None and value is not UNSET and value < minimum:
            raise Expected(f"{minimum} or more", camel(attribute.name))

    return check


def between(minimum: int, maximum: int) -> Callable[[object, attrs.Attribute[Any], Any], None]:
    """An integer in the closed interval; None passes."""

    def check(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value is not None and not minimum <= value <= maximum:
            raise Expected(f"an integer from {minimum} to {maximum}", camel(attribute.name))

    return check


def matching(pattern: str) -> Callable[[object, attrs.Attribute[Any], Any], None]:
    """A string that matches `pattern` from its first to its last character; None passes."""
    compiled = re.compile(pattern)

    def check(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value is not None and not compiled.fullmatch(value):
            raise Expected(f"a string that matches {pattern}", camel(attribute.name))

    return check


def absolute_path(_: object, attribute: attrs.Attribute[Any], value: str) -> None:
    """A POSIX path from the root; whether it exists is for others to see."""
    if not value.startswith("/") or "\0" in value:
        raise Expected("an absolute path", camel(attribute.name))


# -- the converter --------------------------------------------------------------


def make_converter(*, rename: bool = True) -> cattrs.Converter:
    """A strict converter; without `rename` the attributes' own names are on the wire."""
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)
    converter.register_structure_hook(str, _str)
    converter.register_structure_hook(int, _int)
    converter.register_structure_hook(float, _float)
    converter.register_structure_hook(bool, _bool)
    converter.register_structure_hook_func(lambda t: t is object, lambda value, _: value)
    converter.register_structure_hook(enum.StrEnum, _enum)
    converter.register_structure_hook_func(_is_mapping, _mapping)
    converter.register_structure_hook_factory(_is_tuple, lambda t: _tuple_hook(converter, t))
    converter.register_structure_hook_factory(_is_settable, lambda t: _settable_hook(converter, t))
    converter.register_structure_hook_factory(
        attrs.has, lambda cls: _object_hook(converter, cls, rename)
    )
    converter.register_unstructure_hook_factory(
        attrs.has, lambda cls: _dump_hook(converter, cls, rename)
    )
    return converter


def _str(value: object, _: object) -> str:
    if not isinstance(value, str):
        raise Expected("a string")
    return value


def _int(value: object, _: object) -> int:
    if type(value) is not int:
        raise Expected("an integer")
    return value


def _float(value: object, _: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Expected("a number")
    try:
        number = float(value)
    except OverflowError:
        raise Expected("a number that is not so large") from None
    if not math.isfinite(number):
        raise Expected("a finite number")
    return number


def _bool(value: object, _: object) -> bool:
    if not isinstance(value, bool):
        raise Expected("true or false")
    return value


def _mapping(value: object, _: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise Expected("an object")
    return value


def _is_mapping(kind: Any) -> bool:
    return get_origin(kind) is Mapping


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _enum(value: object, kind: type[enum.StrEnum]) -> enum.StrEnum:
    for member in kind:
        if isinstance(value, str) and member == value:
            return member
    raise Expected("one of " + ", ".join(kind))


def _tuple_hook(
    converter: cattrs.Converter, kind: Any
) -> Callable[[object, object], tuple[object, ...]]:
    items: Any = GenericAlias(list, (get_args(kind)[0],))
    structure = converter.get_structure_hook(items)

    def hook(value: object, _: object) -> tuple[object, ...]:
        if not isinstance(value, list):
            raise Expected("an array")
        return tuple(structure(value, items))

    return hook


def _is_settable(kind: object) -> bool:
    return get_origin(kind) in (Union, UnionType) and Unset in get_args(kind)


def _settable_hook(converter: cattrs.Converter, kind: Any) -> Callable[[object, object], object]:
    """`X | None | Unset`: the value is an X or null; UNSET is only ever the default."""
    (wanted,) = set(get_args(kind)) - {Unset, NoneType}
    structure = converter.get_structure_hook(wanted)
    return lambda value, _: None if value is None else structure(value, wanted)


def _null_hook(
    converter: cattrs.Converter, kind: Any, on_null: object
) -> Callable[[object, object], object]:
    structure = converter.get_structure_hook(kind)
    return lambda value, _: on_null if value is None else structure(value, kind)


def _object_hook(
    converter: cattrs.Converter, cls: type[Any], rename: bool
) -> Callable[[object, object], object]:
    attrs.resolve_types(cls)
    overrides: dict[str, Any] = {}
    for attribute in attrs.fields(cls):
        wire = camel(attribute.name) if rename else attribute.name
        if ON_NULL in attribute.metadata:
            nullable = _null_hook(converter, attribute.type, attribute.metadata[ON_NULL])
            overrides[attribute.name] = override(rename=wire, struct_hook=nullable)
        else:
            overrides[attribute.name] = override(rename=wire)
    structure = make_dict_structure_fn(
        cls, converter, _cattrs_forbid_extra_keys=not getattr(cls, OPEN, False), **overrides
    )

    def hook(value: object, _: object) -> object:
        if not isinstance(value, Mapping):
            raise Expected("an object")
        return structure(value, cls)

    return hook


def _dump_hook(
    converter: cattrs.Converter, cls: type[Any], rename: bool
) -> Callable[[Any], dict[str, Any]]:
    attrs.resolve_types(cls)
    overrides: dict[str, Any] = {
        attribute.name: override(rename=camel(attribute.name) if rename else attribute.name)
        for attribute in attrs.fields(cls)
    }
    return make_dict_unstructure_fn(cls, converter, _cattrs_omit_if_default=True, **overrides)


# -- the first problem -----------------------------------------------------------


def first_problem(error: BaseException) -> tuple[str, str]:
    """The (path, expected) of the first thing that is wrong, for `error.data`."""
    path = ""
    while isinstance(error, cattrs.BaseValidationError):
        error = error.exceptions[0]
        path = _join(path, _step(error))
    if isinstance(error, ForbiddenExtraKeysError):
        return _join(path, min(error.extra_fields)), "nothing: the property is unknown"
    if isinstance(error, KeyError):
        return path, "a value: the property is required"
    if isinstance(error, Expected):
        return _join(path, error.at), error.expected
    raise error


def _step(error: BaseException) -> str:
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            return camel(note.name)
        if isinstance(note, IterableValidationNote):
            return f"[{note.index}]"
    return ""


def _join(path: str, step: str) -> str:
    if not path or not step or step.startswith("["):
        return path + step
    return f"{path}.{step}"
