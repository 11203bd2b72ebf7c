"""The settings in force: flag, then environment, then file, then default.

The loader is strict and pure but for reading one file: the same arguments and
the same file give the same `Loaded`.  A daemon that reads its file again calls
it again and keeps the old `Loaded` where it raises.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any

import attrs
from attrs import frozen

from hermes.config.layers import Layer, Source, merge, read_environment, read_file, read_flags
from hermes.config.lines import Path
from hermes.config.rules import table_of
from hermes.config.settings import Settings, check_exposure
from hermes.config.spelling import dotted
from hermes.config.structuring import Problem, structure
from hermes.errors import ConfigError

FILE_NAME = "hermes.toml"


@frozen
class ConfigPlace:
    """Where the file is looked for; `required` is whether a person named it."""

    path: FilePath
    required: bool


@frozen
class Loaded:
    """The settings, and where each came from.

    `path` is the file that was read, None where there was none.  `sources` has
    every key in force by its dotted path.  `raw` is the sum of the layers before
    defaults were filled in, as plain TOML values: an absent key is absent there.
    """

    settings: Settings
    path: FilePath | None
    sources: Mapping[str, Source]
    raw: Mapping[str, object]


def find_config(flag: str | None, environ: Mapping[str, str], home: FilePath) -> ConfigPlace:
    """`--config`, else HERMES_CONFIG, else the XDG place, which need not exist."""
    named = flag or environ.get("HERMES_CONFIG")
    if named:
        return ConfigPlace(FilePath(named).absolute(), required=True)
    base = xdg_directory(environ, "XDG_CONFIG_HOME", home / ".config")
    return ConfigPlace(base / "hermes" / FILE_NAME, required=False)


def xdg_directory(environ: Mapping[str, str], variable: str, default: FilePath) -> FilePath:
    """One of the XDG base directories; a relative one is ignored, as its standard demands."""
    path = FilePath(environ.get(variable, ""))
    return path if path.is_absolute() else default


def load_settings(
    *,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    path: FilePath | None,
    required: bool = True,
) -> Loaded:
    """Read the file, lay environment and flags over it, and check the sum.

    `flags` has dotted keys (`server.port`); a None there is a flag not given.
    Where `required` is false, a file that is not there is an empty one.

    Raises:
        ConfigError: one line that says where, what was expected, and the nearest key.
    """
    file = read_file(path, required=required) if path is not None else None
    layers = [read_flags(flags), read_environment(environ), *([_with_lists(file)] if file else [])]
    values: dict[str, object] = {}
    settings = Settings()
    # From the file up, checked at each layer: a mistake in the file is one, even where
    # a flag or a variable stands over it.
    for number in range(len(layers) - 1, -1, -1):
        values = merge(values, layers[number].values)
        try:
            settings = structure(values)
        except Problem as problem:
            raise ConfigError(_told(problem.path, str(problem), layers[number:])) from problem
    try:
        check_exposure(settings.server)
    except ConfigError as error:
        raise ConfigError(_told(("server", "host"), str(error), layers)) from error
    sources = {dotted(key): _source(key, layers) for key, _ in leaves(settings)}
    return Loaded(settings, path if file else None, sources, values)


def leaves(settings: Settings) -> Iterator[tuple[Path, attrs.Attribute[object]]]:
    """Every key in force and its attribute: in tables, lists of tables, and `[prices]`.

    The keys of an absent table are there; an empty list of tables is one key.
    """
    yield from _leaves_of(settings, ())


def _leaves_of(
    table: attrs.AttrsInstance | type[attrs.AttrsInstance], path: Path
) -> Iterator[tuple[Path, attrs.Attribute[object]]]:
    """The keys of a table, or of an absent one, which is given as its class."""
    class_ = table if isinstance(table, type) else type(table)
    for attribute in attrs.fields(class_):
        here = (*path, attribute.name)
        value = None if isinstance(table, type) else getattr(table, attribute.name)
        inner = list(_tables_in(value, here))
        absent = table_of(attribute.type)
        if value is None and absent is not None:
            yield from _leaves_of(absent, here)
        elif not inner:
            yield here, attribute
        for at, element in inner:
            yield from _leaves_of(element, at)


def _tables_in(value: Any, path: Path) -> Iterator[tuple[Path, attrs.AttrsInstance]]:
    if attrs.has(type(value)):
        yield path, value
    elif isinstance(value, Mapping):
        yield from (((*path, key), inner) for key, inner in value.items())
    elif isinstance(value, tuple):
        yield from (((*path, at), v) for at, v in enumerate(value) if attrs.has(type(v)))


def _with_lists(file: Layer) -> Layer:
    """A single `[fallback]` table is a list of one."""
    fallback = file.values.get("fallback")
    if not isinstance(fallback, dict):
        return file
    return attrs.evolve(file, values={**file.values, "fallback": [fallback]})


def _source(path: Path, layers: list[Layer]) -> Source:
    return next((layer.source for layer in layers if layer.has(path)), "default")


def _told(path: Path, problem: str, layers: list[Layer]) -> str:
    """The problem with its place: the first layer that has the key, or a table around it."""
    for length in range(len(path), 0, -1):
        for layer in layers:
            if layer.has(path[:length]):
                return f"{layer.place(path)}: {problem}"
    return problem
