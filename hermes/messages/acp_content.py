"""Content blocks of ACP prompts, a union told apart by `type`.

They are kept whole, since a prompt goes to disk and a repeat under the same
idempotency id is compared with it.  The union of MCP servers is here too, being told
apart in the same way.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence
from typing import Any

import cattrs
from attrs import field, frozen

from hermes.messages import strict_json
from hermes.messages.structure import ON_NULL, Expected, make_converter

Meta = Mapping[str, object] | None
"""Somebody's `_meta`, of which we read nothing."""


class Role(enum.StrEnum):
    """Whom a block is meant for."""

    ASSISTANT = "assistant"
    USER = "user"


@frozen
class Annotations:
    """Hints of the client about a block."""

    audience: tuple[Role, ...] | None = None
    last_modified: str | None = None
    priority: float | None = None
    meta: Meta = None


@frozen
class TextBlock:
    """Plain text or Markdown."""

    text: str
    annotations: Annotations | None = None
    meta: Meta = None


@frozen
class ImageBlock:
    """An image; `data` is base64."""

    data: str
    mime_type: str
    uri: str | None = None
    annotations: Annotations | None = None
    meta: Meta = None


@frozen
class AudioBlock:
    """A sound; `data` is base64."""

    data: str
    mime_type: str
    annotations: Annotations | None = None
    meta: Meta = None


@frozen
class ResourceLink:
    """Something that the agent may fetch; `size` in bytes."""

    name: str
    uri: str
    description: str | None = None
    mime_type: str | None = None
    size: int | None = None
    title: str | None = None
    annotations: Annotations | None = None
    meta: Meta = None


@frozen
class TextResource:
    """The text of an embedded resource."""

    text: str
    uri: str
    mime_type: str | None = None
    meta: Meta = None


@frozen
class BlobResource:
    """The bytes of an embedded resource, base64."""

    blob: str
    uri: str
    mime_type: str | None = None
    meta: Meta = None


@frozen
class EmbeddedResource:
    """A resource that came along whole."""

    resource: TextResource | BlobResource
    annotations: Annotations | None = None
    meta: Meta = None


ContentBlock = TextBlock | ImageBlock | AudioBlock | ResourceLink | EmbeddedResource

_BLOCKS: Mapping[str, type[Any]] = {
    "text": TextBlock,
    "image": ImageBlock,
    "audio": AudioBlock,
    "resource_link": ResourceLink,
    "resource": EmbeddedResource,
}
_TAGS = {kind: tag for tag, kind in _BLOCKS.items()}


# -- MCP servers: another union told apart by `type`, here optional ---------------


@frozen
class HttpHeader:
    """A header that goes with each request to an MCP server."""

    name: str
    value: str
    meta: Meta = None


@frozen
class EnvVariable:
    """A variable in the environment of an MCP server."""

    name: str
    value: str
    meta: Meta = None


@frozen
class McpServerHttp:
    """An MCP server over HTTP."""

    name: str
    url: str
    headers: tuple[HttpHeader, ...] = field(metadata={ON_NULL: ()})
    meta: Meta = None


@frozen
class McpServerSse:
    """An MCP server over server-sent events."""

    name: str
    url: str
    headers: tuple[HttpHeader, ...] = field(metadata={ON_NULL: ()})
    meta: Meta = None


@frozen
class McpServerStdio:
    """An MCP server that is a child process; it is the one without a `type`."""

    name: str
    command: str
    args: tuple[str, ...] = field(metadata={ON_NULL: ()})
    env: tuple[EnvVariable, ...] = field(metadata={ON_NULL: ()})
    meta: Meta = None


McpServer = McpServerHttp | McpServerSse | McpServerStdio


def _tagged(value: object, kinds: Mapping[str, type[Any]]) -> tuple[type[Any], dict[str, Any]]:
    """Split a tagged object into its class and the rest of its properties."""
    if not isinstance(value, Mapping):
        raise Expected("an object")
    tag = value.get("type")
    if not isinstance(tag, str) or tag not in kinds:
        raise Expected("one of " + ", ".join(kinds), "type")
    return kinds[tag], {name: item for name, item in value.items() if name != "type"}


def register_content(converter: cattrs.Converter) -> None:
    """Teach a converter the unions of this file."""

    def block(value: object, _: object) -> object:
        kind, rest = _tagged(value, _BLOCKS)
        return converter.structure(rest, kind)

    def resource(value: object, _: object) -> object:
        if not isinstance(value, Mapping):
            raise Expected("an object")
        return converter.structure(value, TextResource if "text" in value else BlobResource)

    def server(value: object, _: object) -> object:
        if isinstance(value, Mapping) and "type" not in value:
            return converter.structure(value, McpServerStdio)
        kind, rest = _tagged(value, {"http": McpServerHttp, "sse": McpServerSse})
        return converter.structure(rest, kind)

    def dump_block(value: Any) -> dict[str, object]:
        return {"type": _TAGS[type(value)], **converter.unstructure(value)}

    converter.register_structure_hook_func(lambda t: t == ContentBlock, block)
    converter.register_structure_hook_func(lambda t: t == TextResource | BlobResource, resource)
    converter.register_structure_hook_func(lambda t: t == McpServer, server)
    converter.register_unstructure_hook_func(lambda t: t == ContentBlock, dump_block)


_CONVERTER = make_converter()
register_content(_CONVERTER)


def dump_prompt(blocks: Sequence[ContentBlock]) -> bytes:
    """A prompt as JSON for the store; equal prompts give equal bytes."""
    plain = _CONVERTER.unstructure(tuple(blocks), tuple[ContentBlock, ...])
    return strict_json.encode(plain).encode()


def load_prompt(body: bytes) -> tuple[ContentBlock, ...]:
    """What `dump_prompt` wrote."""
    plain: object = json.loads(body.decode())
    return _CONVERTER.structure(plain, tuple[ContentBlock, ...])


def prompt_text(blocks: Sequence[ContentBlock]) -> str:
    """A prompt as a person would read it: texts whole, other blocks named in brackets."""
    return "\n".join(_block_text(block) for block in blocks)


def _block_text(block: ContentBlock) -> str:
    match block:
        case TextBlock():
            return block.text
        case ResourceLink():
            return f"[{block.name}]({block.uri})"
        case EmbeddedResource():
            resource = block.resource
            return resource.text if isinstance(resource, TextResource) else f"[{resource.uri}]"
        case ImageBlock() | AudioBlock():
            return f"[{block.mime_type}]"
