"""Params of the ACP methods that clients call, as attrs classes, strictly structured.

Written by hand from the published schema: the classes that come with the PyPI
package are pydantic, coerce, ignore unknown properties and cost 0.2 s to import.
What is ours lies under `_meta.hermes`, one class for each method that has some.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, ClassVar

import cattrs
from attrs import field, frozen

from hermes.messages.acp_content import ContentBlock, McpServer, Meta, register_content
from hermes.messages.jsonrpc import RequestId, invalid_params, method_not_found
from hermes.messages.structure import (
    ON_NULL,
    Expected,
    absolute_path,
    at_least,
    between,
    first_problem,
    make_converter,
    matching,
)

KEY_PATTERN = r"[a-z0-9_-]+:[A-Za-z0-9._:@+-]{1,200}"
"""A session key (`telegram:12345`); ids hold no colon, so the two are never mixed up."""

_MAX_PROTOCOL_VERSION = 65535  # the schema's uint16


# -- what is ours, under _meta.hermes ------------------------------------------------


class WhenBusy(enum.StrEnum):
    """What a prompt does that finds a turn running."""

    QUEUE = "queue"
    STEER = "steer"
    INTERRUPT = "interrupt"
    REJECT = "reject"


@frozen
class HermesNew:
    """`session/new`: `key` names the session; an existing one of the same owner is joined."""

    __hermes_open__: ClassVar[bool] = True
    key: str | None = field(default=None, validator=matching(KEY_PATTERN))


@frozen
class HermesPrompt:
    """`session/prompt`: the idempotency `id`, and what to do where a turn runs."""

    __hermes_open__: ClassVar[bool] = True
    id: str | None = None
    when_busy: WhenBusy = WhenBusy.QUEUE


@frozen
class HermesResume:
    """`session/resume`: replay what is numbered above `after_seq`; None replays nothing."""

    __hermes_open__: ClassVar[bool] = True
    after_seq: int | None = field(default=None, validator=at_least(0))


@frozen
class NewMeta:
    """The `_meta` of `session/new`."""

    __hermes_open__: ClassVar[bool] = True
    hermes: HermesNew = HermesNew()


@frozen
class PromptMeta:
    """The `_meta` of `session/prompt`."""

    __hermes_open__: ClassVar[bool] = True
    hermes: HermesPrompt = HermesPrompt()


@frozen
class ResumeMeta:
    """The `_meta` of `session/resume`."""

    __hermes_open__: ClassVar[bool] = True
    hermes: HermesResume = HermesResume()


# -- initialize ----------------------------------------------------------------------


@frozen
class Implementation:
    """Who the client says it is."""

    name: str
    version: str
    title: str | None = None
    meta: Meta = None


@frozen
class FileSystemCapabilities:
    """Whether the client serves files."""

    read_text_file: bool = False
    write_text_file: bool = False
    meta: Meta = None


@frozen
class ConfigOptionsCapabilities:
    """Kinds of options that the client shows besides `select`."""

    boolean: Meta = None
    meta: Meta = None


@frozen
class ClientSessionCapabilities:
    """Updates that are sent only to clients that ask for them; None is not asked for."""

    compaction: Meta = None
    config_options: ConfigOptionsCapabilities | None = None
    notices: Meta = None
    meta: Meta = None


@frozen
class AuthCapabilities:
    """How the client can authenticate; never used here."""

    terminal: bool = False
    meta: Meta = None


@frozen
class EmptyCapability:
    """A capability that says no more than that it is there."""

    meta: Meta = None


@frozen
class ElicitationCapabilities:
    """How the client can ask its user."""

    form: EmptyCapability | None = None
    url: EmptyCapability | None = None
    meta: Meta = None


@frozen
class ClientCapabilities:
    """What the client can do."""

    fs: FileSystemCapabilities = FileSystemCapabilities()
    terminal: bool = False
    session: ClientSessionCapabilities | None = None
    auth: AuthCapabilities = AuthCapabilities()
    elicitation: ElicitationCapabilities | None = None
    meta: Meta = None


@frozen
class InitializeParams:
    """`initialize`."""

    protocol_version: int = field(validator=between(0, _MAX_PROTOCOL_VERSION))
    client_capabilities: ClientCapabilities = ClientCapabilities()
    client_info: Implementation | None = None
    meta: Meta = None


# -- sessions ------------------------------------------------------------------------


@frozen
class NewParams:
    """`session/new`; `cwd` is absolute, whether it exists is checked where it is used."""

    cwd: str = field(validator=absolute_path)
    mcp_servers: tuple[McpServer, ...] = field(metadata={ON_NULL: ()})
    additional_directories: tuple[str, ...] = field(default=(), metadata={ON_NULL: ()})
    meta: NewMeta = field(default=NewMeta(), metadata={ON_NULL: NewMeta()})


@frozen
class LoadParams:
    """`session/load`."""

    session_id: str
    cwd: str = field(validator=absolute_path)
    mcp_servers: tuple[McpServer, ...] = field(metadata={ON_NULL: ()})
    additional_directories: tuple[str, ...] = field(default=(), metadata={ON_NULL: ()})
    meta: Meta = None


@frozen
class ResumeParams:
    """`session/resume`; the one of the three in which `mcpServers` may be absent."""

    session_id: str
    cwd: str = field(validator=absolute_path)
    mcp_servers: tuple[McpServer, ...] = field(default=(), metadata={ON_NULL: ()})
    additional_directories: tuple[str, ...] = field(default=(), metadata={ON_NULL: ()})
    meta: ResumeMeta = field(default=ResumeMeta(), metadata={ON_NULL: ResumeMeta()})


@frozen
class ListParams:
    """`session/list`; `cwd` keeps only the sessions of that directory."""

    cwd: str | None = None
    cursor: str | None = None
    meta: Meta = None


@frozen
class DeleteParams:
    """`session/delete`."""

    session_id: str
    meta: Meta = None


@frozen
class CloseParams:
    """`session/close`."""

    session_id: str
    meta: Meta = None


@frozen
class PromptParams:
    """`session/prompt`."""

    session_id: str
    prompt: tuple[ContentBlock, ...]
    meta: PromptMeta = field(default=PromptMeta(), metadata={ON_NULL: PromptMeta()})


@frozen
class CancelParams:
    """`session/cancel`, a notification."""

    session_id: str
    meta: Meta = None


@frozen
class CancelRequestParams:
    """`$/cancel_request`, a notification; a null id matches no request."""

    request_id: RequestId | None
    meta: Meta = None


@frozen
class SetModeParams:
    """`session/set_mode`."""

    session_id: str
    mode_id: str
    meta: Meta = None


@frozen
class SetConfigOptionParams:
    """`session/set_config_option`: a bool under `type: "boolean"`, else the id of a value."""

    session_id: str
    config_id: str
    value: str | bool
    type: str | None = None
    meta: Meta = None

    def __attrs_post_init__(self) -> None:
        """Hold `type` and `value` together."""
        if self.type not in (None, "boolean"):
            raise Expected("boolean, or no type at all", "type")
        if self.type is None and isinstance(self.value, bool):
            raise Expected("a string, or type boolean with it", "value")
        if self.type == "boolean" and not isinstance(self.value, bool):
            raise Expected("true or false", "value")


AcpParams = (
    InitializeParams
    | NewParams
    | LoadParams
    | ResumeParams
    | ListParams
    | DeleteParams
    | CloseParams
    | PromptParams
    | CancelParams
    | CancelRequestParams
    | SetModeParams
    | SetConfigOptionParams
)

METHODS: Mapping[str, type[Any]] = {
    "initialize": InitializeParams,
    "session/new": NewParams,
    "session/load": LoadParams,
    "session/resume": ResumeParams,
    "session/list": ListParams,
    "session/delete": DeleteParams,
    "session/close": CloseParams,
    "session/prompt": PromptParams,
    "session/cancel": CancelParams,
    "$/cancel_request": CancelRequestParams,
    "session/set_mode": SetModeParams,
    "session/set_config_option": SetConfigOptionParams,
}


_NAMES = {int: "an integer", str: "a string", bool: "true or false", type(None): "null"}


def _scalar(*kinds: type[Any]) -> Any:
    """A hook for a union of JSON scalars; by exact type, since a bool is an int."""

    def hook(value: object, _: object) -> object:
        if type(value) not in kinds:
            raise Expected(" or ".join(_NAMES[kind] for kind in kinds))
        return value

    return hook


def _make_converter() -> cattrs.Converter:
    converter = make_converter()
    register_content(converter)
    converter.register_structure_hook_func(
        lambda t: t == int | str | None, _scalar(int, str, type(None))
    )
    converter.register_structure_hook_func(lambda t: t == str | bool, _scalar(str, bool))
    return converter


_CONVERTER = _make_converter()


def structure_params(method: str, params: Mapping[str, object] | None) -> AcpParams:
    """The params of a method as its class; absent params count as `{}`.

    Raises:
        RpcError: -32601 for a method that is not in `METHODS`, -32602 with the path
            of the first problem.
    """
    kind = METHODS.get(method)
    if kind is None:
        raise method_not_found(method)
    try:
        value: AcpParams = _CONVERTER.structure(params or {}, kind)
    except (cattrs.BaseValidationError, Expected) as error:
        raise invalid_params(*first_problem(error)) from None
    return value
