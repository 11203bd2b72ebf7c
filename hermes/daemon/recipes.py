"""From the settings to the recipe of an agent: which model, which prompt, which tools."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from attrs import asdict

from hermes.agent.factory import Recipe
from hermes.config import Model, Settings
from hermes.errors import ConfigError
from hermes.ports.model import Runtime, Secret

#: The system message where the settings have none.
SYSTEM = (
    "You are an agent hosted by Hermes. You talk to one person or team in a session that "
    "may last for weeks. Be brief and exact, use the tools that you have, and say so plainly "
    "when something failed."
)


def runtime(model: Model, environ: Mapping[str, str]) -> Runtime:
    """The runtime of a configured model.

    Raises:
        ConfigError: the key's file cannot be read.
    """
    return Runtime(
        provider=model.provider,
        model=model.name or model.provider,
        base_url=model.endpoint or "",
        api_mode=model.api_mode,
        credential=_credential(model, environ),
        context_length=model.context_length,
        max_tokens=model.max_tokens,
        request_timeout=model.request_timeout,
    )


def recipe(settings: Settings, runtime: Runtime) -> Recipe:
    """The recipe that these settings give.

    Raises:
        ConfigError: the file of the system prompt cannot be read.
    """
    return Recipe(
        runtime=runtime,
        system=_system(settings),
        ephemeral=settings.prompt.ephemeral,
        toolsets=settings.tools.toolsets,
        model_calls=settings.limits.model_calls,
        counted={
            "model.context_length": runtime.context_length,
            "compression": asdict(settings.compression),
        },
    )


def _credential(model: Model, environ: Mapping[str, str]) -> Secret | None:
    if model.api_key_file is not None:
        path = Path(model.api_key_file).expanduser()
        try:
            return Secret(path.read_text("utf-8").strip())
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"model.api_key_file: {path} cannot be read: {error}") from error
    value = environ.get(model.key_variable) if model.key_variable else None
    return Secret(value) if value else None


def _system(settings: Settings) -> str:
    if settings.prompt.system_file is None:
        return settings.prompt.system or SYSTEM
    path = Path(settings.prompt.system_file).expanduser()
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"prompt.system_file: {path} cannot be read: {error}") from error


def resident_bytes() -> int:
    """The resident set of this process in bytes; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
