import attrs
import pytest

from hermes.config import Limits, Model, Server, Settings, check_exposure, is_loopback
from hermes.config.loader import leaves
from hermes.config.rules import HELP
from hermes.errors import ConfigError


def test_defaults_are_the_documented_ones() -> None:
    """An empty file gives the values that the documentation names."""
    settings = Settings()
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8765)
    assert settings.model is None
    assert settings.limits == Limits(
        cap=128,
        idle_ttl=3600.0,
        inactivity=1800.0,
        mailbox=100,
        concurrent_turns=None,
        recovery_turns=8,
        memory=None,
        spend_per_session=None,
        spend_per_day=None,
        model_calls=90,
        drain=30.0,
    )
    assert settings.compression.threshold == 0.5
    assert settings.store.keep_updates == 10_000
    assert settings.prompt.context_files == ("AGENTS.md",)
    assert settings.tools.toolsets == ("terminal", "files", "web", "browser", "delegate")


def test_every_key_has_help() -> None:
    """Each setting carries a line of help for `hermes config`."""
    for _, attribute in leaves(Settings()):
        assert attribute.metadata[HELP]


def test_settings_are_frozen() -> None:
    """Nobody changes settings in place; a reload makes new ones."""
    settings = Settings()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        settings.limits = Limits(cap=1)  # type: ignore[misc]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_tls(host: str) -> None:
    """Z1: an address that only this machine reaches is taken without TLS."""
    assert is_loopback(host)
    check_exposure(Server(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "localhost.example.org", "h"])
def test_exposed_without_tls_is_refused(host: str) -> None:
    """Z1: any other address is refused without TLS, names included."""
    with pytest.raises(ConfigError, match=r"^server\.host: expected a loopback address"):
        check_exposure(Server(host=host))


def test_exposed_with_tls_is_taken() -> None:
    """Z1: with a certificate and its key any address is taken."""
    check_exposure(Server(host="0.0.0.0", tls_cert="c.pem", tls_key="k.pem"))


@pytest.mark.parametrize(
    ("server", "missing"),
    [(Server(tls_cert="c.pem"), "tls_key"), (Server(tls_key="k.pem"), "tls_cert")],
)
def test_half_of_a_tls_pair_is_refused(server: Server, missing: str) -> None:
    """Z1: a certificate without its key, or a key alone, is a mistake even on loopback."""
    with pytest.raises(ConfigError, match=rf"^server\.{missing}: "):
        check_exposure(server)


def test_known_provider_brings_address_and_variable() -> None:
    """A known provider needs no base_url and has its usual variable for the key."""
    model = Model(provider="openai", name="gpt-5-mini")
    assert model.endpoint == "https://api.openai.com/v1"
    assert model.key_variable == "OPENAI_API_KEY"


def test_own_address_and_key_win() -> None:
    """What the file says wins over what the provider's name stands for."""
    model = Model(provider="openai", name="m", base_url="http://localhost:1/v1", api_key_file="f")
    assert model.endpoint == "http://localhost:1/v1"
    assert model.key_variable is None
