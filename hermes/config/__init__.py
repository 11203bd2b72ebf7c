"""The configuration: hermes.toml, the environment and flags, checked strictly.

Read with `load_settings`; everything after that works on the frozen `Settings`
and never looks at a file or a variable itself.
"""

from hermes.config.describing import Entry, describe
from hermes.config.layers import Source
from hermes.config.loader import ConfigPlace, Loaded, find_config, load_settings
from hermes.config.settings import (
    PROVIDERS,
    Compression,
    Limits,
    Mcp,
    Model,
    Platform,
    Platforms,
    Price,
    Prompt,
    Provider,
    Server,
    Settings,
    Store,
    Tools,
    check_exposure,
    is_loopback,
)
from hermes.config.state_dir import find_state_dir, prepare_state_dir

__all__ = [
    "PROVIDERS",
    "Compression",
    "ConfigPlace",
    "Entry",
    "Limits",
    "Loaded",
    "Mcp",
    "Model",
    "Platform",
    "Platforms",
    "Price",
    "Prompt",
    "Provider",
    "Server",
    "Settings",
    "Source",
    "Store",
    "Tools",
    "check_exposure",
    "describe",
    "find_config",
    "find_state_dir",
    "is_loopback",
    "load_settings",
    "prepare_state_dir",
]
