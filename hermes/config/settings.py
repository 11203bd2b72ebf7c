"""Every key of hermes.toml, with its type, its default, its rule and its line of help.

The classes are the one list of settings: the loader's errors, the nearest known
key and `hermes config` are all derived from them, so that a new setting is one
new line here.  `None` stands for `"none"` (no limit) or for an absent key.
"""

import ipaddress
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from attrs import Attribute, Factory, field, frozen

from hermes.config.rules import NOT_EMPTY, WEB_ADDRESS, Misfit, above, at_least, between, doc
from hermes.errors import ConfigError

# Below this not even the smallest answer of `initialize` fits in a frame.
LEAST_FRAME_BYTES = 4096


@frozen
class Server:
    """`[server]`: where the daemon listens, and to whom."""

    host: str = field(
        default="127.0.0.1", validator=NOT_EMPTY, metadata=doc("address to listen on")
    )
    port: int = field(
        default=8765, validator=between(0, 65535), metadata=doc("TCP port; 0 takes a free one")
    )
    allowed_origins: tuple[str, ...] = field(
        default=(), metadata=doc("web origins allowed beside this port's own loopback ones")
    )
    allowed_hosts: tuple[str, ...] = field(
        default=(), metadata=doc("host names that a proxy in front may send")
    )
    tls_cert: str | None = field(
        default=None, metadata=doc("certificate file; needed for any address but loopback")
    )
    tls_key: str | None = field(default=None, metadata=doc("key file that belongs to tls_cert"))
    max_frame_bytes: int = field(
        default=1_048_576,
        validator=at_least(LEAST_FRAME_BYTES),
        metadata=doc("largest websocket frame taken, in bytes"),
    )


@frozen
class Provider:
    """What a known provider's name stands for; a None means that there is no such thing."""

    base_url: str | None
    api_key_env: str | None


# Any other name is taken too, with a base_url of its own.
PROVIDERS: Mapping[str, Provider] = MappingProxyType(
    {
        "openai": Provider("https://api.openai.com/v1", "OPENAI_API_KEY"),
        "anthropic": Provider("https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
        "openrouter": Provider("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
        "nous": Provider("https://inference-api.nousresearch.com/v1", "NOUS_API_KEY"),
        "ollama": Provider("http://127.0.0.1:11434/v1", None),
        "offline": Provider(None, None),
    }
)


def _reachable(model: "Model", attribute: "Attribute[Any]", value: str | None) -> None:
    if value is None and model.provider not in PROVIDERS:
        known = ", ".join(PROVIDERS)
        raise Misfit(attribute.name, f"a base_url, since the provider is none of {known}")
    if value is not None:
        WEB_ADDRESS(model, attribute, value)


def _named(model: "Model", attribute: "Attribute[Any]", value: str | None) -> None:
    if not value and model.provider != "offline":
        raise Misfit(attribute.name, "the name of a model; this key is needed")


def _one_key(model: "Model", attribute: "Attribute[Any]", value: str | None) -> None:
    if value is not None and model.api_key_env is not None:
        raise Misfit(attribute.name, "one of api_key_env and api_key_file, not both")


@frozen
class Model:
    """`[model]` or one `[[fallback]]`: which model answers, and how to reach it."""

    provider: str = field(
        validator=NOT_EMPTY, metadata=doc(f"{', '.join(PROVIDERS)}; any other needs base_url")
    )
    name: str | None = field(
        default=None, validator=_named, metadata=doc("the provider's name of the model")
    )
    base_url: str | None = field(
        default=None, validator=_reachable, metadata=doc("where the provider's API is")
    )
    api_key_env: str | None = field(
        default=None, metadata=doc("environment variable that holds the key")
    )
    api_key_file: str | None = field(
        default=None,
        validator=_one_key,
        metadata=doc("file that holds the key, read again when it changes"),
    )
    api_mode: Literal["chat_completions", "responses", "anthropic_messages"] = field(
        default="chat_completions", metadata=doc("which API is spoken")
    )
    context_length: int = field(
        default=200_000, validator=at_least(1), metadata=doc("tokens that the model can read")
    )
    max_tokens: int = field(
        default=8_192, validator=at_least(1), metadata=doc("tokens in one answer at most")
    )
    reasoning: Literal["none", "low", "medium", "high"] = field(
        default="medium", metadata=doc("how much the model thinks before it answers")
    )
    request_timeout: float = field(
        default=600.0, validator=above(0), metadata=doc("seconds for one request")
    )
    max_retries: int = field(
        default=3, validator=between(0, 100), metadata=doc("retries after a transient error")
    )

    @property
    def endpoint(self) -> str | None:
        """`base_url`, or the known provider's; None for the offline model."""
        return self.base_url or PROVIDERS[self.provider].base_url

    @property
    def key_variable(self) -> str | None:
        """The variable with the key; a known provider has its usual one, unless a file is named."""
        if self.api_key_env is not None or self.api_key_file is not None:
            return self.api_key_env
        known = PROVIDERS.get(self.provider)
        return known.api_key_env if known else None


@frozen
class Limits:
    """`[limits]`: what bounds residency, turns and spending; None lifts a limit."""

    cap: int | None = field(
        default=128, validator=at_least(0), metadata=doc("resident agents; 0 keeps none warm")
    )
    idle_ttl: float | None = field(
        default=3600.0,
        validator=above(0),
        metadata=doc("seconds after which an idle agent is released"),
    )
    inactivity: float | None = field(
        default=1800.0,
        validator=above(0),
        metadata=doc("seconds without a sign of life that stop a turn"),
    )
    mailbox: int = field(
        default=100, validator=at_least(1), metadata=doc("prompts waiting in one session")
    )
    concurrent_turns: int | None = field(
        default=None, validator=at_least(1), metadata=doc("turns that run at once")
    )
    recovery_turns: int = field(
        default=8, validator=at_least(1), metadata=doc("cut turns taken up at once at a restart")
    )
    memory: int | None = field(
        default=None, validator=at_least(1), metadata=doc("bytes; above, idle agents are released")
    )
    spend_per_session: float | None = field(
        default=None, validator=at_least(0), metadata=doc("in the currency of [prices]")
    )
    spend_per_day: float | None = field(
        default=None, validator=at_least(0), metadata=doc("in the currency of [prices]")
    )
    model_calls: int = field(
        default=90, validator=at_least(1), metadata=doc("model calls in one turn")
    )
    drain: float = field(
        default=30.0, validator=at_least(0), metadata=doc("seconds for turns to finish at a stop")
    )


@frozen
class Compression:
    """`[compression]`: when and how a long conversation is summed up."""

    enabled: bool = field(default=True, metadata=doc("whether long conversations are compacted"))
    threshold: float = field(
        default=0.5, validator=between(0, 1), metadata=doc("part of context_length that starts it")
    )
    target_ratio: float = field(
        default=0.2, validator=between(0, 1), metadata=doc("part that is left of what is summed up")
    )
    protect_last_n: int = field(
        default=20, validator=at_least(0), metadata=doc("newest messages that are kept whole")
    )
    provider: str | None = field(
        default=None, validator=NOT_EMPTY, metadata=doc("another provider for the summaries")
    )
    name: str | None = field(
        default=None, validator=NOT_EMPTY, metadata=doc("another model for the summaries")
    )


@frozen
class Store:
    """`[store]`: what is kept on disk."""

    keep_updates: int = field(
        default=10_000, validator=at_least(1), metadata=doc("updates kept for replay, each session")
    )


@frozen
class Price:
    """`[prices.NAME]`: what a model costs, per million tokens."""

    input: float = field(
        default=0.0, validator=at_least(0), metadata=doc("per million tokens read")
    )
    cached_input: float | None = field(
        default=None, validator=at_least(0), metadata=doc("per million read from cache; else input")
    )
    output: float = field(
        default=0.0, validator=at_least(0), metadata=doc("per million tokens written")
    )


def _one_system(prompt: "Prompt", attribute: "Attribute[Any]", value: str | None) -> None:
    if value is not None and prompt.system is not None:
        raise Misfit(attribute.name, "one of system and system_file, not both")


@frozen
class Prompt:
    """`[prompt]`: what every conversation begins with."""

    system: str | None = field(default=None, metadata=doc("text of the system message"))
    system_file: str | None = field(
        default=None, validator=_one_system, metadata=doc("file with that text, instead of system")
    )
    ephemeral: str = field(default="", metadata=doc("appended to the system message, never stored"))
    context_files: tuple[str, ...] = field(
        default=("AGENTS.md",), metadata=doc("files of the working directory put in the prompt")
    )


@frozen
class Tools:
    """`[tools]`: what an agent can do, and whether it must ask."""

    toolsets: tuple[str, ...] = field(
        default=("terminal", "files", "web", "browser", "delegate"),
        metadata=doc("toolsets that an agent is given"),
    )
    approvals: Literal["ask", "allow", "deny"] = field(
        default="ask", metadata=doc("what a dangerous call meets")
    )
    approval_timeout: float = field(
        default=900.0, validator=above(0), metadata=doc("seconds before no answer means no")
    )
    sandbox: Literal["auto", "required", "off"] = field(
        default="auto", metadata=doc("whether terminals run inside bubblewrap")
    )


def _one_way(mcp: "Mcp", attribute: "Attribute[Any]", value: str | None) -> None:
    if (value is None) == (mcp.command is None):
        raise Misfit(attribute.name, "exactly one of command and url")
    if value is not None:
        WEB_ADDRESS(mcp, attribute, value)


@frozen
class Mcp:
    """One `[[mcp]]`: a server of tools, started by command or reached by URL."""

    name: str = field(validator=NOT_EMPTY, metadata=doc("its name in tool names and logs"))
    command: tuple[str, ...] | None = field(
        default=None, validator=NOT_EMPTY, metadata=doc("program and arguments that start it")
    )
    url: str | None = field(default=None, validator=_one_way, metadata=doc("where it is reached"))


@frozen
class Platform:
    """`[platforms.NAME]`: one chat platform."""

    token_env: str = field(
        validator=NOT_EMPTY, metadata=doc("environment variable that holds the bot's token")
    )
    base_url: str | None = field(
        default=None, validator=WEB_ADDRESS, metadata=doc("another address of the platform's API")
    )
    allow: tuple[str, ...] = field(
        default=(), metadata=doc("user ids that are answered; empty means nobody")
    )
    toolsets: tuple[str, ...] | None = field(
        default=None, metadata=doc("instead of [tools] toolsets")
    )


@frozen
class Platforms:
    """`[platforms]`: an absent platform is not started."""

    telegram: Platform | None = field(default=None, metadata=doc("absent: no Telegram"))
    discord: Platform | None = field(default=None, metadata=doc("absent: no Discord"))
    slack: Platform | None = field(default=None, metadata=doc("absent: no Slack"))


@frozen
class Settings:
    """All of hermes.toml; `Settings()` is what an empty file gives."""

    server: Server = Factory(Server)
    model: Model | None = field(default=None, metadata=doc("absent: the offline model"))
    fallback: tuple[Model, ...] = field(default=(), metadata=doc("models tried in order"))
    limits: Limits = Factory(Limits)
    compression: Compression = Factory(Compression)
    store: Store = Factory(Store)
    prices: Mapping[str, Price] = field(
        factory=dict, metadata=doc("what models cost, by name, per million tokens")
    )
    prompt: Prompt = Factory(Prompt)
    tools: Tools = Factory(Tools)
    mcp: tuple[Mcp, ...] = field(default=(), metadata=doc("servers of tools"))
    platforms: Platforms = Factory(Platforms)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on `host`; a name is not looked up."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_exposure(server: Server) -> None:
    """Refuse to listen in the open without TLS (row Z1).

    Raises:
        ConfigError: half of the TLS pair is missing, or the host needs it and has none.
    """
    if (server.tls_cert is None) != (server.tls_key is None):
        missing = "tls_cert" if server.tls_cert is None else "tls_key"
        raise ConfigError(f"server.{missing}: expected both tls_cert and tls_key, or neither")
    if server.tls_cert is None and not is_loopback(server.host):
        raise ConfigError(
            "server.host: expected a loopback address such as 127.0.0.1; "
            "any other needs tls_cert and tls_key"
        )
