import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hermes.config import Loaded, Model, Settings, find_config, load_settings
from hermes.config.loader import ConfigPlace
from hermes.config.structuring import known_keys
from hermes.errors import ConfigError

HOME = Path("/home/ann")


def load(tmp_path: Path, text: str, **environ: str) -> Loaded:
    """Load a file with that text."""
    file = tmp_path / "hermes.toml"
    file.write_text(text, encoding="utf-8", newline="")
    return load_settings(flags={}, environ=environ, path=file)


def failure(tmp_path: Path, text: str, **environ: str) -> str:
    """The error of a file with that text, without the folder that it is in."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, **environ)
    assert str(caught.value).isprintable()
    return str(caught.value).replace(f"{tmp_path}/", "")


ERRORS = [
    ("[limits]\ncap = 'lots'", '2: limits.cap: expected a whole number of 0 or more, or "none"'),
    ("[limits]\ncap = 1.0", '2: limits.cap: expected a whole number of 0 or more, or "none"'),
    ("[limits]\ncap = true", '2: limits.cap: expected a whole number of 0 or more, or "none"'),
    ("[limits]\ncap = -1", '2: limits.cap: expected a whole number of 0 or more, or "none"'),
    ("[limits]\nmailbox = 'none'", "2: limits.mailbox: expected a whole number of 1 or more"),
    ("[limits]\nidle_ttl = nan", '2: limits.idle_ttl: expected a number above 0, or "none"'),
    ("[limits]\nidle_ttl = inf", '2: limits.idle_ttl: expected a number above 0, or "none"'),
    (
        "[limits]\ndrain = 1" + "0" * 400,
        "2: limits.drain: expected a number of 0 or more",
    ),
    ("[server]\n\nport = 70000", "3: server.port: expected a whole number from 0 to 65535"),
    ("server.port = '1'", "1: server.port: expected a whole number from 0 to 65535"),
    ("[server]\nhost = 1", "2: server.host: expected a string that is not empty"),
    ("[server]\nhost = ''", "2: server.host: expected a string that is not empty"),
    ("[server]\nallowed_hosts = 'a'", "2: server.allowed_hosts: expected a list of strings"),
    ("[server]\nallowed_hosts = [1]", "2: server.allowed_hosts[0]: expected a list of strings"),
    ("[compression]\nthreshold = 1.5", "2: compression.threshold: expected a number from 0 to 1"),
    ("[compression]\nenabled = 1", "2: compression.enabled: expected true or false"),
    ("[tools]\nsandbox = 1", '2: tools.sandbox: expected "auto", "required" or "off"'),
    (
        "[tools]\napprovals = 'alow'",
        '2: tools.approvals: expected "ask", "allow" or "deny"; did you mean "allow"?',
    ),
    ("[limits]\ncapp = 1", "2: limits.capp: expected a known key; did you mean limits.cap?"),
    ("[limit]\ncap = 1", "1: limit: expected a known key; did you mean limits?"),
    ("cap = 1", "1: cap: expected a known key; did you mean limits.cap?"),
    ("[store]\nzzz = 1", "2: store.zzz: expected one of the keys keep_updates"),
    ("'a\\nb' = 1", '1: "a\\nb": expected one of the keys'),
    ("limits = 3", "1: limits: expected a table"),
    ("limits = ''", "1: limits: expected a table"),
    ("[[limits]]", "1: limits: expected a table"),
    ("prices = 3", "1: prices: expected a table"),
    ("[prices]\n'a-b' = 3", "2: prices.a-b: expected a table"),
    ("[prices.'x 1']\ninput = -1", '2: prices."x 1".input: expected a number of 0 or more'),
    ("[prices.x]\ninptu = 1", "2: prices.x.inptu: expected a known key; did you mean"),
    ("[model]\nname = 'm'", "1: model.provider: expected a string that is not empty; this key is"),
    ("[model]\nprovider = 'openai'", "1: model.name: expected the name of a model; this key"),
    ("[model]\nprovider = 'zai'\nname = 'm'", "1: model.base_url: expected a base_url, since"),
    (
        "[model]\nprovider = 'openai'\nname = 'm'\nbase_url = 'h:1'",
        "4: model.base_url: expected a string that begins with http:// or https://",
    ),
    (
        "[model]\nprovider='openai'\nname='m'\napi_key_env='A'\napi_key_file='f'",
        "5: model.api_key_file: expected one of api_key_env and api_key_file, not both",
    ),
    ("[fallback]\nprovider = 1", "2: fallback[0].provider: expected a string"),
    (
        "[[fallback]]\nprovider='openai'\nname='m'\n[[fallback]]\nprovider='openai'\nnaem='m'",
        "6: fallback[1].naem: expected a known key; did you mean fallback[1].name?",
    ),
    ("fallback = 3", "1: fallback: expected a list of tables"),
    ("fallback = [3]", "1: fallback[0]: expected a table"),
    ("[[mcp]]\nname = 'a'", "1: mcp[0].url: expected exactly one of command and url"),
    ("[prompt]\nsystem='a'\nsystem_file='b'", "3: prompt.system_file: expected one of system and"),
    ("[platforms.irc]\n", "1: platforms.irc: expected one of the keys discord, slack or telegram"),
    ("[platforms.slack]\n", "1: platforms.slack.token_env: expected a string that is not empty;"),
    ("[server]\nhost = '0.0.0.0'", "2: server.host: expected a loopback address"),
]


@pytest.mark.parametrize(("text", "message"), ERRORS, ids=[error[1][:40] for error in ERRORS])
def test_mistakes(tmp_path: Path, text: str, message: str) -> None:
    """Each mistake is one line: file, line, dotted path, what was expected, what was meant."""
    assert failure(tmp_path, text).startswith(f"hermes.toml:{message}")


def test_documented_file_is_taken(tmp_path: Path) -> None:
    """A file in the documented form loads, numbers without a point included."""
    settings = load(
        tmp_path,
        """
[model]
provider = "openai"
name = "gpt-5-mini"
[[fallback]]
provider = "own"
name = "a"
base_url = "http://127.0.0.1:9/v1"
[limits]
cap = "none"
idle_ttl = 600
[prices."gpt-5-mini"]
input = 0.25
[[mcp]]
name = "m"
command = ["a", "b"]
[platforms.telegram]
token_env = "T"
toolsets = ["web"]
""",
    ).settings
    assert settings.model == Model(provider="openai", name="gpt-5-mini")
    assert settings.fallback[0].endpoint == "http://127.0.0.1:9/v1"
    assert settings.limits.cap is None
    assert (settings.limits.idle_ttl, type(settings.limits.idle_ttl)) == (600.0, float)
    assert settings.prices["gpt-5-mini"].input == 0.25
    assert settings.mcp[0].command == ("a", "b")
    assert settings.platforms.telegram is not None
    assert settings.platforms.telegram.toolsets == ("web",)


def test_nothing_at_all_gives_the_defaults() -> None:
    """Without a file, a variable or a flag the settings are the defaults, and say so."""
    loaded = load_settings(flags={}, environ={}, path=None)
    assert loaded.settings == Settings()
    assert set(loaded.sources.values()) == {"default"}
    assert loaded.raw == {}


def test_cap_of_zero_is_not_none(tmp_path: Path) -> None:
    """B8: a cap of 0 keeps none warm, and only "none" lifts it."""
    assert load(tmp_path, "[limits]\ncap = 0").settings.limits.cap == 0


def test_single_fallback_table_is_a_list_of_one(tmp_path: Path) -> None:
    """F2: a chain of one entry may be written as one table."""
    one = load(tmp_path, "[fallback]\nprovider='openai'\nname='m'")
    many = load(tmp_path, "[[fallback]]\nprovider='openai'\nname='m'")
    assert one.settings.fallback == many.settings.fallback == (Model("openai", "m"),)
    assert one.sources["fallback[0].name"] == "file"


def test_precedence(tmp_path: Path) -> None:
    """A flag wins over the environment, that over the file, and that over the default."""
    file = tmp_path / "hermes.toml"
    file.write_text("[server]\nport = 1\nhost = '::1'\n[limits]\ncap = 1\nmailbox = 1\n")
    loaded = load_settings(
        flags={"server.port": 3, "server.host": None},
        environ={"HERMES_SERVER__PORT": "2", "HERMES_LIMITS__CAP": "none"},
        path=file,
    )
    assert loaded.settings.server.port == 3
    assert loaded.settings.server.host == "::1"
    assert loaded.settings.limits.cap is None
    assert loaded.settings.limits.mailbox == 1
    assert {key: loaded.sources[key] for key in ("server.port", "limits.cap")} == {
        "server.port": "flag",
        "limits.cap": "environment",
    }
    assert loaded.sources["limits.mailbox"] == "file"
    assert loaded.sources["limits.drain"] == "default"
    assert loaded.path == file
    assert loaded.raw["limits"] == {"cap": "none", "mailbox": 1}


def test_mistake_in_the_environment_names_the_variable(tmp_path: Path) -> None:
    """A wrong variable is named itself, with the nearest key where there is none of its name."""
    text = "[limits]\ncap = 1"
    assert failure(tmp_path, text, HERMES_LIMITS__CAP="lots").startswith(
        "HERMES_LIMITS__CAP: limits.cap: expected a whole number"
    )
    assert failure(tmp_path, text, HERMES_LIMITS__CPA="1") == (
        "HERMES_LIMITS__CPA: limits.cpa: expected a known key; did you mean limits.cap?"
    )
    assert failure(tmp_path, text, HERMES_SECTION__KEY="1").startswith("HERMES_SECTION: section: ")


def test_mistake_in_a_flag_names_the_flag() -> None:
    """A wrong flag is named itself."""
    with pytest.raises(ConfigError, match=r"^--port: server\.port: expected a whole number from"):
        load_settings(flags={"server.port": -1}, environ={}, path=None)
    with pytest.raises(ConfigError, match=r"^--host: server\.host: expected a loopback address"):
        load_settings(flags={"server.host": "0.0.0.0"}, environ={}, path=None)


def test_a_file_that_need_not_be_there(tmp_path: Path) -> None:
    """The default file may be absent, and is then not in the answer."""
    path = tmp_path / "hermes.toml"
    assert load_settings(flags={}, environ={}, path=path, required=False).path is None
    with pytest.raises(ConfigError, match="no such file"):
        load_settings(flags={}, environ={}, path=path)


def test_found_by_flag_then_variable_then_xdg() -> None:
    """The file is the flag's, else the variable's, else the one below XDG_CONFIG_HOME."""
    environ = {"HERMES_CONFIG": "/v.toml", "XDG_CONFIG_HOME": "/x"}
    assert find_config("/f.toml", environ, HOME) == ConfigPlace(Path("/f.toml"), required=True)
    assert find_config(None, environ, HOME) == ConfigPlace(Path("/v.toml"), required=True)
    xdg = find_config(None, {"XDG_CONFIG_HOME": "/x"}, HOME)
    assert xdg == ConfigPlace(Path("/x/hermes/hermes.toml"), required=False)
    assert find_config(None, {}, HOME).path == HOME / ".config/hermes/hermes.toml"


# -- arbitrary files ---------------------------------------------------------------

WORDS = st.sampled_from(sorted({step for path in known_keys(Settings) for step in path}))
VALUES = st.sampled_from(["1", "-1", "1e999", "'none'", "''", "[]", "{}", "[{}]", "1979-05-27"])
STATEMENTS = st.one_of(
    st.builds("[{}]".format, WORDS),
    st.builds("[[{}]]".format, WORDS),
    st.builds("[{}.{}]".format, WORDS, WORDS),
    st.builds("{} = {}".format, WORDS, VALUES),
    st.builds("{}.{} = {}".format, WORDS, WORDS, VALUES),
    st.text(),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples."""
    return tmp_path_factory.mktemp("files")


@settings(deadline=None)  # it writes and reads a file
@given(text=st.one_of(st.text(), st.lists(STATEMENTS, max_size=8).map("\n".join)))
@example(text="a" + ".a" * 500 + " = 1")
@example(text="[a" + ".a" * 500 + "]")
@example(text="limits.cap." + "a." * 500 + "a = 1")
def test_any_file_loads_or_is_one_line_of_error(folder: Path, text: str) -> None:
    """Whatever the file holds, the loader raises nothing but a ConfigError of one line."""
    message = None
    try:
        load(folder, text)
    except ConfigError as error:
        message = str(error)
    if message is not None:
        assert message.isprintable()
        assert re.search(r"hermes\.toml(:\d+)?: ", message)


@settings(deadline=None)  # it makes a converter each time
@given(st.dictionaries(st.text(), st.text(), max_size=4))
def test_any_environment_loads_or_is_one_line_of_error(environ: dict[str, str]) -> None:
    """Whatever the variables hold, the loader raises nothing but a ConfigError of one line."""
    named = {f"HERMES_LIMITS__{name}": value for name, value in environ.items()}
    message = ""
    try:
        load_settings(flags={}, environ=named, path=None)
    except ConfigError as error:
        message = str(error)
    assert message.isprintable()
