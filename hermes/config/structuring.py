"""From a plain table to `Settings`, strictly, with the first mistake as plain data.

cattrs walks the classes and keeps where it was when something failed; the hooks
here take away its leniency (`int("3")`, a string as a list of letters).  The one
coercion that is left is from a whole number to a float.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterator, Mapping

import attrs
from attrs import frozen
from cattrs import Converter
from cattrs.errors import (
    AttributeValidationNote,
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn

from hermes.config.lines import Path
from hermes.config.rules import Misfit, alternatives, element_of, expectation, table_of
from hermes.config.settings import Settings
from hermes.config.spelling import dotted, nearest

Structure = Callable[[typing.Any, typing.Any], typing.Any]


@frozen
class Problem(Exception):
    """The first thing that is wrong: where, what was expected, which key was meant."""

    path: Path
    expected: str
    meant: str | None = None

    def __str__(self) -> str:
        hint = f"; did you mean {self.meant}?" if self.meant else ""
        return f"{dotted(self.path)}: expected {self.expected}{hint}"


def structure(values: Mapping[str, object]) -> Settings:
    """Check everything and build the settings.

    Raises:
        Problem: the first mistake.
    """
    try:
        return strict_converter().structure(values, Settings)
    except ClassValidationError as error:
        raise first_problem(error, Settings) from error


def strict_converter() -> Converter:
    """A converter that takes TOML's types as they are and no unknown key."""
    converter = Converter(forbid_extra_keys=True)
    for type_ in (bool, int, float, str):
        converter.register_structure_hook(type_, _exact)
    for limit in (int | None, float | None):
        converter.register_structure_hook(limit, _exact_or_none)
    converter.register_structure_hook_factory(
        lambda type_: _is_of(type_, typing.Literal), lambda _: _choice
    )
    converter.register_structure_hook_factory(
        lambda type_: _is_of(type_, tuple),
        lambda type_: _list_of(converter, typing.get_args(type_)[0]),
    )
    converter.register_structure_hook_factory(
        attrs.has, lambda class_: _table(make_dict_structure_fn(class_, converter))
    )
    return converter


def _is_of(type_: object, origin: object) -> bool:
    return typing.get_origin(type_) is origin


def _exact(value: object, type_: type) -> object:
    if type_ is float and type(value) is int:
        return float(value)
    if type(value) is not type_:
        raise TypeError(type_.__name__)
    return value


def _exact_or_none(value: object, type_: types.UnionType) -> object:
    return None if value == "none" else _exact(value, typing.get_args(type_)[0])


def _choice(value: object, type_: object) -> object:
    if not isinstance(value, str) or value not in typing.get_args(type_):
        raise ValueError(value)
    return value


def _table(inner: Structure) -> Structure:
    def structure_table(value: object, class_: type) -> object:
        if not isinstance(value, Mapping):
            raise TypeError(class_.__name__)
        return inner(value, class_)

    return structure_table


def _list_of(converter: Converter, element: type) -> Structure:
    def structure_list(value: object, _: object) -> tuple[object, ...]:
        if not isinstance(value, (list, tuple)):
            raise TypeError("list")
        return tuple(_elements(converter, value, element))

    return structure_list


def _elements(
    converter: Converter, values: typing.Iterable[object], element: type
) -> Iterator[object]:
    for at, value in enumerate(values):
        try:
            yield converter.structure(value, element)
        except (TypeError, ValueError, ClassValidationError) as error:
            error.add_note(IterableValidationNote("", at, element))
            raise IterableValidationError("", [error], element) from None


# -- from cattrs' tree of errors to the first mistake -----------------------------


def first_problem(
    error: ClassValidationError, class_: type[attrs.AttrsInstance], path: Path = ()
) -> Problem:
    """The first mistake in a table of that class, unknown keys before wrong values."""
    for inner in error.exceptions:
        if isinstance(inner, ForbiddenExtraKeysError):
            return _unknown_key(min(inner.extra_fields), class_, path)
    inner = error.exceptions[0]
    if isinstance(inner, Misfit):
        return Problem((*path, inner.key), inner.expected)
    key = _note(inner, AttributeValidationNote).name
    attribute = attrs.fields_dict(class_)[key]
    here = (*path, key)
    if isinstance(inner, IterableValidationError):
        return _in_list(inner, attribute, here)
    table = table_of(attribute.type)
    if isinstance(inner, ClassValidationError) and table is not None:
        return first_problem(inner, table, here)
    if isinstance(inner, KeyError):
        return Problem(here, f"{expectation(attribute)}; this key is needed")
    return Problem(here, expectation(attribute), _meant_choice(inner, attribute.type))


def _in_list(
    error: IterableValidationError, attribute: attrs.Attribute[typing.Any], path: Path
) -> Problem:
    """The first mistake in a list, or in a table whose keys are free (`[prices]`)."""
    inner = error.exceptions[0]
    here = (*path, _note(inner, IterableValidationNote).index)
    element = element_of(attribute.type)
    if element is None:
        return Problem(here, expectation(attribute))
    if isinstance(inner, ClassValidationError):
        return first_problem(inner, element, here)
    return Problem(here, "a table")


def _unknown_key(key: str, class_: type[attrs.AttrsInstance], path: Path) -> Problem:
    """Name the same key in another table, else the nearest key of this one."""
    elsewhere = [home for home in known_keys(Settings) if home[-1] == key]
    if elsewhere:
        return Problem((*path, key), "a known key", dotted(elsewhere[0]))
    known = [attribute.name for attribute in attrs.fields(class_)]
    meant = nearest(key, known)
    if meant is not None:
        return Problem((*path, key), "a known key", dotted((*path, meant)))
    return Problem((*path, key), f"one of the keys {alternatives(sorted(known))}")


def known_keys(class_: type[attrs.AttrsInstance], path: Path = ()) -> Iterator[tuple[str, ...]]:
    """The path of every key in tables of a fixed name."""
    for attribute in attrs.fields(class_):
        here = typing.cast("tuple[str, ...]", (*path, attribute.name))
        table = table_of(attribute.type)
        if table is None:
            yield here
        else:
            yield from known_keys(table, here)


def _meant_choice(error: BaseException, type_: object) -> str | None:
    """The nearest of a setting's words, where a word was given that is none of them."""
    choices = typing.get_args(type_) if typing.get_origin(type_) is typing.Literal else ()
    if not choices or not error.args or not isinstance(error.args[0], str):
        return None
    meant = nearest(error.args[0], choices)
    return f'"{meant}"' if meant else None


N = typing.TypeVar("N", AttributeValidationNote, IterableValidationNote)


def _note(error: BaseException, kind: type[N]) -> N:
    """The outermost note of a kind that cattrs left on an error."""
    return next(note for note in reversed(error.__notes__) if isinstance(note, kind))
