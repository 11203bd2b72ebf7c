"""What a setting may be, in one place for the check, the error text and the help.

attrs' own validators would do the check, but their errors speak of Python and
cannot say in one phrase what was expected.  A rule here is a predicate and that
phrase, so that "expected a whole number from 0 to 65535" is written once.
"""

import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence

import attrs
from attrs import Attribute, frozen

HELP = "help"


class Misfit(ValueError):
    """A value of the right type that breaks the rule of its setting.

    `key` is the setting's name in its table, `expected` the phrase for the error.
    """

    def __init__(self, key: str, expected: str) -> None:
        super().__init__(expected)
        self.key = key
        self.expected = expected


@frozen
class Rule:
    """An attrs validator that knows its own wording; `what` follows the type's name.

    None always fits: it stands for "none" or for an absent key.
    """

    what: str
    fits: Callable[[typing.Any], bool]

    def __call__(self, _: object, attribute: "Attribute[typing.Any]", value: object) -> None:
        """Check one value.

        Raises:
            Misfit: it does not fit.
        """
        if value is not None and not self.fits(value):
            raise Misfit(attribute.name, expectation(attribute, self))


def between(low: float, high: float) -> Rule:
    """A number from `low` to `high`, both included."""
    return Rule(f"from {low:g} to {high:g}", lambda value: low <= value <= high)


def at_least(low: float) -> Rule:
    """A finite number that is `low` or more."""
    return Rule(f"of {low:g} or more", lambda value: low <= value < math.inf)


def above(low: float) -> Rule:
    """A finite number greater than `low`."""
    return Rule(f"above {low:g}", lambda value: low < value < math.inf)


NOT_EMPTY = Rule("that is not empty", lambda value: len(value) > 0)

WEB_ADDRESS = Rule(
    "that begins with http:// or https://",
    lambda value: value.startswith(("http://", "https://")) and value.isprintable(),
)


def doc(text: str) -> Mapping[str, str]:
    """The metadata of a setting: its line in `hermes config`."""
    return {HELP: text}


def expectation(attribute: "Attribute[typing.Any]", rule: object = None) -> str:
    """What a setting takes by its type and its rule, as the error words it."""
    rule = rule or attribute.validator
    what = f" {rule.what}" if isinstance(rule, Rule) else ""
    phrase = f"{type_phrase(_members(attribute.type)[0])}{what}"
    return f'{phrase}, or "none"' if takes_none(attribute.type) else phrase


def takes_none(type_: object) -> bool:
    """Whether the word "none" stands for None: in limits, which are numbers."""
    members = _members(type_)
    return types.NoneType in members and members[0] in (int, float)


def type_phrase(type_: object) -> str:
    """A type of a setting in TOML's words."""
    origin = typing.get_origin(type_)
    if origin is typing.Literal:
        return alternatives([f'"{choice}"' for choice in typing.get_args(type_)])
    if origin is tuple:
        of_tables = attrs.has(typing.get_args(type_)[0])
        return "a list of tables" if of_tables else "a list of strings"
    if origin is not None or (isinstance(type_, type) and attrs.has(type_)):
        return "a table"
    names: Mapping[object, str] = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "a string",
    }
    return names[type_]


def alternatives(words: Sequence[str]) -> str:
    """Words in a row: `a`, `a or b`, `a, b or c`."""
    head, last = ", ".join(words[:-1]), words[-1]
    return f"{head} or {last}" if head else last


def table_of(type_: object) -> type[attrs.AttrsInstance] | None:
    """The attrs class behind a setting's type (`Model`, `Model | None`), if there is one."""
    return next((t for t in _members(type_) if isinstance(t, type) and attrs.has(t)), None)


def element_of(type_: object) -> type[attrs.AttrsInstance] | None:
    """The attrs class of the elements of a list or table of tables, if it is one."""
    arguments = typing.get_args(type_)
    if typing.get_origin(type_) is tuple:
        return table_of(arguments[0])
    return table_of(arguments[1]) if typing.get_origin(type_) is Mapping else None


def _members(type_: object) -> Sequence[object]:
    return typing.get_args(type_) if isinstance(type_, types.UnionType) else (type_,)
