from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.adapters.websocket.gate import (
    ACP_SUBPROTOCOL,
    BEARER_SUBPROTOCOL,
    Admission,
    Grant,
    Grants,
    Refusal,
    check_host,
    digest,
    doors,
    judge,
    redact,
)
from hermes.adapters.websocket.head import Head

SESSION, OPERATOR = "s" * 43, "o" * 43
GRANTS = Grants(
    {
        digest(SESSION): Grant("local", "session"),
        digest(OPERATOR): Grant("local", "operator"),
    }
)
DOORS = doors("127.0.0.1", 8765, ("agents.example",), ("https://console.example",))
HOST = "127.0.0.1:8765"


def ask(
    *headers: tuple[str, str],
    target: str = "/acp",
    host: str | None = HOST,
    upgrade: bool = True,
    token: str | None = SESSION,
    throttled: bool = False,
) -> Refusal | Admission:
    """What the gate says to a request with these headers."""
    given: list[tuple[str, str]] = [*headers]
    if host is not None:
        given.append(("host", host))
    if upgrade:
        given += [("upgrade", "websocket"), ("connection", "Upgrade")]
    if token is not None:
        given.append(("authorization", f"Bearer {token}"))
    return judge(Head("GET", target, tuple(given)), DOORS, GRANTS, throttled=throttled)


def status(verdict: Refusal | Admission) -> int:
    """The HTTP status of a verdict; 101 lets in."""
    return verdict.status if isinstance(verdict, Refusal) else 101


def test_a_valid_token_is_let_in_as_its_principal() -> None:
    """Z3: who the client is comes from the server's grant."""
    assert ask() == Admission("/acp", Grant("local", "session"), None)


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "LocalHost:8765",
                                  "[::1]:8765", "agents.example"])  # fmt: skip
def test_hosts_that_name_the_listener(host: str) -> None:
    """Z4: the names of the listener, of loopback and of a proxy in front are let in."""
    assert status(ask(host=host)) == 101


@pytest.mark.parametrize("host", [None, "", "evil.example", "evil.example:8765", "127.0.0.1",
                                  "127.0.0.1:80", "localhost:8765.evil.example",
                                  "agents.example:8765"])  # fmt: skip
def test_hosts_that_do_not(host: str | None) -> None:
    """Z4: any other Host is refused, on loopback too, so that rebinding a name is no use."""
    assert status(ask(host=host)) == 403


def test_two_hosts() -> None:
    """Z4: a request with two Hosts is refused, whatever they are."""
    assert status(ask(("host", HOST))) == 403


def test_a_bare_host_names_the_default_port() -> None:
    """Z4: on port 80 a browser sends no port."""
    listener = doors("127.0.0.1", 80, (), ())
    assert {"localhost", "127.0.0.1", "[::1]", "localhost:80"} <= listener.names
    assert "localhost" not in DOORS.names


def test_an_ipv6_listener_is_named_in_brackets() -> None:
    """Z4: a Host header has an IPv6 address in brackets."""
    assert "[fd00::1]:8765" in doors("fd00::1", 8765, (), ()).names


@pytest.mark.parametrize("origin", ["http://localhost:8765", "http://127.0.0.1:8765",
                                    "http://[::1]:8765", "HTTP://LOCALHOST:8765",
                                    "https://console.example"])  # fmt: skip
def test_origins_that_are_let_in(origin: str) -> None:
    """Z4: this port's loopback origins and the configured ones are let in."""
    assert status(ask(("origin", origin))) == 101


@pytest.mark.parametrize("origin", ["null", "", "http://evil.example", "http://localhost",
                                    "http://localhost:8766", "http://localhost:8765.evil.example",
                                    "http://agents.example", "file://"])  # fmt: skip
def test_origins_that_are_not(origin: str) -> None:
    """Z4: a foreign Origin is refused before its token is looked at, `null` too."""
    assert status(ask(("origin", origin))) == 403


def test_a_second_origin_is_checked_too() -> None:
    """Z4: one good Origin does not carry a bad one with it."""
    headers = [("origin", "http://localhost:8765"), ("origin", "null")]
    assert status(ask(*headers)) == 403


def test_plain_pages_check_host_and_origin() -> None:
    """Z4: health pages are not readable from a foreign page either."""
    good = Head("GET", "/healthz", (("host", HOST),))
    assert check_host(good, DOORS) is None
    foreign = Head("GET", "/healthz", (("host", HOST), ("origin", "null")))
    refusal = check_host(foreign, DOORS)
    assert refusal is not None
    assert refusal.status == 403


def test_the_order_of_the_checks() -> None:
    """Z4: Host, then Origin, then the upgrade, then the token, then its scope."""
    origin = ("origin", "null")
    first = ask(origin, target="/control", host="evil", upgrade=False, token="wrong")
    second = ask(origin, target="/control", upgrade=False, token="wrong")
    third = ask(target="/control", upgrade=False, token="wrong")
    fourth = ask(target="/control", token="wrong")
    fifth = ask(target="/control")
    assert [status(verdict) for verdict in (first, second, third, fourth, fifth)] == [
        403, 403, 426, 401, 403,
    ]  # fmt: skip
    whys = [verdict.why for verdict in (first, second, fifth) if isinstance(verdict, Refusal)]
    assert [word in why for word, why in zip(("Host", "Origin", "scope"), whys, strict=True)] == [
        True
    ] * 3


WRONG_TOKENS = {
    "absent": [],
    "empty": [("authorization", "Bearer ")],
    "no scheme": [("authorization", SESSION)],
    "another scheme": [("authorization", f"Basic {SESSION}")],
    "truncated": [("authorization", f"Bearer {SESSION[:-1]}")],
    "extended": [("authorization", f"Bearer {SESSION}s")],
    "another case": [("authorization", f"Bearer {SESSION.upper()}")],
    "wrong": [("authorization", f"Bearer {'w' * 43}")],
    "not ascii": [("authorization", "Bearer \xfftoken")],
    "twice": [("authorization", f"Bearer {SESSION}")] * 2,
    "empty subprotocol": [("sec-websocket-protocol", BEARER_SUBPROTOCOL)],
    "truncated subprotocol": [("sec-websocket-protocol", BEARER_SUBPROTOCOL + SESSION[:-1])],
    "wrong header, right subprotocol": [
        ("authorization", "Bearer wrong"),
        ("sec-websocket-protocol", BEARER_SUBPROTOCOL + SESSION),
    ],
}


@pytest.mark.parametrize("headers", WRONG_TOKENS.values(), ids=WRONG_TOKENS)
def test_every_wrong_token_gets_the_same_answer(headers: list[tuple[str, str]]) -> None:
    """Z2: wrong, empty, truncated and absent tokens cannot be told apart."""
    verdict = ask(*headers, token=None)
    assert verdict == ask(token="wrong")
    assert isinstance(verdict, Refusal)
    assert verdict.status == 401
    assert verdict.counts


@pytest.mark.parametrize("name", ["token", "access_token", "Token", "api_key", "bearer"])
@pytest.mark.parametrize("token", [None, SESSION])
def test_a_token_in_the_url(name: str, token: str | None) -> None:
    """Z2: a token in a URL gets the same 401, even beside a good one in the header."""
    assert ask(target=f"/acp?{name}={SESSION}", token=token) == ask(token="wrong")


def test_a_harmless_query() -> None:
    """Z2: a query without a token does no harm."""
    assert status(ask(target="/acp?editor=vi")) == 101


@given(st.text(max_size=60))
def test_no_guess_is_let_in(guess: str) -> None:
    """Z2: whatever is sent as a token, only a kept one finds a grant."""
    assert (GRANTS.find(guess) is None) == (guess not in (SESSION, OPERATOR))


def test_grants_do_not_show_tokens() -> None:
    """Z2: only digests are kept, and not even these are printed."""
    assert SESSION not in repr(GRANTS)
    assert SESSION.encode() not in b"".join(GRANTS.by_digest)


SCOPES = [
    ("/acp", SESSION, 101),
    ("/acp", OPERATOR, 101),
    ("/control", SESSION, 403),
    ("/control", OPERATOR, 101),
]


@pytest.mark.parametrize(("path", "token", "expected"), SCOPES)
def test_scopes(path: str, token: str, expected: int) -> None:
    """Z3: a session token does not reach /control, and that is no failed log-in."""
    verdict = ask(target=path, token=token)
    assert status(verdict) == expected
    assert not (isinstance(verdict, Refusal) and verdict.counts)


def test_plain_http_on_a_websocket_path() -> None:
    """426 says that the path speaks websocket."""
    verdict = ask(upgrade=False)
    assert isinstance(verdict, Refusal)
    assert verdict.status == 426
    assert ("Upgrade", "websocket") in verdict.headers


def test_throttled_addresses() -> None:
    """A throttled address gets 429 and a time to wait; a valid token passes anyway."""
    verdict = ask(token="wrong", throttled=True)
    assert isinstance(verdict, Refusal)
    assert verdict.status == 429
    assert ("Retry-After", "60") in verdict.headers
    assert not verdict.counts
    assert status(ask(throttled=True)) == 101


BEARER = BEARER_SUBPROTOCOL + SESSION
OFFERS = [
    ([BEARER], BEARER),
    ([f"{ACP_SUBPROTOCOL}, {BEARER}"], ACP_SUBPROTOCOL),
    ([f"{BEARER},{ACP_SUBPROTOCOL}"], ACP_SUBPROTOCOL),
    ([BEARER, ACP_SUBPROTOCOL], ACP_SUBPROTOCOL),
    (["chat", f"superchat, {BEARER}"], BEARER),
]


@pytest.mark.parametrize(("offers", "selected"), OFFERS)
def test_subprotocols(offers: list[str], selected: str) -> None:
    """Exactly one offered subprotocol is selected: ours before the one with the token."""
    verdict = ask(*[("sec-websocket-protocol", offer) for offer in offers], token=None)
    assert isinstance(verdict, Admission)
    assert verdict.subprotocol == selected


def test_no_subprotocol_of_ours() -> None:
    """What was not offered, or is not ours, is not selected."""
    assert ask(("sec-websocket-protocol", "chat")) == Admission(
        "/acp", Grant("local", "session"), None
    )


def test_redacted_targets() -> None:
    """Z2: the log gets no value of a query."""
    assert redact(f"/acp?token={SESSION}") == "/acp?..."
    assert redact("/acp") == "/acp"
