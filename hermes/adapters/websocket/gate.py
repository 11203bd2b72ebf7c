"""Who is let in: one pure function over the head of a request.

In the order of protocol.md: Host, Origin, then the token, then its scope (rows
Z3, Z4).  A wrong, an empty and a truncated token all get the same 401.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from attrs import field, frozen

from hermes.adapters.websocket.head import Head

#: Subprotocols: ours, and the one that carries a browser's token.
ACP_SUBPROTOCOL = "hermes.acp"
BEARER_SUBPROTOCOL = "hermes.bearer."

SESSION, OPERATOR = "session", "operator"

#: What each websocket path wants: any of these scopes.
SCOPES: Mapping[str, frozenset[str]] = {
    "/acp": frozenset({SESSION, OPERATOR}),
    "/control": frozenset({OPERATOR}),
}

#: Names under which people put tokens into URLs, where logs keep them for ever.
_URL_TOKENS = frozenset({"token", "access_token", "bearer", "auth", "authorization", "api_key"})


@frozen
class Grant:
    """What a token allows: its principal and its scope, given by the server (row Z3)."""

    principal: str
    scope: str

    @property
    def sees_all(self) -> bool:
        """Whether it reaches every principal's sessions."""
        return self.scope == OPERATOR


def digest(token: str) -> bytes:
    """What is kept of a token: 256 random bits need no salt and no slow hash."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


@frozen
class Grants:
    """The tokens in force, hashed."""

    by_digest: Mapping[bytes, Grant] = field(repr=False)

    def find(self, token: str) -> Grant | None:
        """The grant of a token; every one is compared, in constant time."""
        wanted = digest(token)
        found = None
        for kept, grant in self.by_digest.items():
            if hmac.compare_digest(kept, wanted):
                found = grant
        return found


@frozen
class Doors:
    """What the listener is called: `names` are Host values, `origins` those let in."""

    names: frozenset[str]
    origins: frozenset[str]


def doors(
    host: str, port: int, allowed_hosts: tuple[str, ...], allowed_origins: tuple[str, ...]
) -> Doors:
    """The names of a listener: its own, loopback's, and what a proxy in front may send."""
    bare = {"localhost", "127.0.0.1", "[::1]", f"[{host}]" if ":" in host else host}
    names = {f"{name}:{port}" for name in bare} | set(allowed_hosts)
    if port in (80, 443):
        names |= bare
    loopback = {"localhost", "127.0.0.1", "[::1]"}
    origins = {f"{scheme}://{name}:{port}" for name in loopback for scheme in ("http", "https")}
    return Doors(
        frozenset(name.lower() for name in names),
        frozenset(origin.lower() for origin in (*origins, *allowed_origins)),
    )


@frozen
class Refusal:
    """An HTTP answer instead of what was asked for.  `counts` as a failed log-in."""

    status: int
    why: str
    headers: tuple[tuple[str, str], ...] = ()
    counts: bool = False


@frozen
class Admission:
    """Let in: what for, as whom, and the subprotocol to select."""

    path: str
    grant: Grant
    subprotocol: str | None


def check_host(head: Head, doors: Doors) -> Refusal | None:
    """Host and Origin, for plain pages too; None lets in (row Z4)."""
    hosts = head.values("host")
    if len(hosts) != 1 or hosts[0].strip().lower() not in doors.names:
        return Refusal(403, "the Host header does not name this daemon")
    for origin in head.values("origin"):
        if origin.strip().lower() not in doors.origins:
            return Refusal(403, "this Origin is not allowed; see server.allowed_origins")
    return None


def judge(head: Head, doors: Doors, grants: Grants, *, throttled: bool) -> Refusal | Admission:
    """Decide about a request for a websocket path.

    Args:
        head: the request.
        doors: what the listener is called.
        grants: the tokens in force.
        throttled: whether its address failed too often; a valid token passes anyway.
    """
    refusal = check_host(head, doors)
    if refusal is not None:
        return refusal
    if not head.upgrade:
        return Refusal(426, "this path speaks websocket", (("Upgrade", "websocket"),))
    offered = [
        name.strip() for value in head.values("sec-websocket-protocol") for name in value.split(",")
    ]
    token = None if _in_url(head, grants) else _token(head, offered)
    grant = grants.find(token) if token else None
    if grant is None:
        if throttled:
            return Refusal(429, "too many failures; wait a minute", (("Retry-After", "60"),))
        return Refusal(
            401,
            "a valid token is needed, in the Authorization header",
            (("WWW-Authenticate", "Bearer"),),
            counts=True,
        )
    if grant.scope not in SCOPES[head.path]:
        return Refusal(403, f"the scope {grant.scope} does not reach {head.path}")
    return Admission(head.path, grant, _select(offered))


def _in_url(head: Head, grants: Grants) -> bool:
    """Whether there is a token in the URL, by the name of its parameter or by itself."""
    for name, value in parse_qsl(head.query, keep_blank_values=True):
        if name.lower() in _URL_TOKENS or grants.find(name) or grants.find(value):
            return True
    return False


def _token(head: Head, offered: list[str]) -> str | None:
    """The one token that was sent in a way that we take; None for none."""
    values = head.values("authorization")
    if values:
        scheme, _, token = values[0].partition(" ")
        return token.strip() if len(values) == 1 and scheme.lower() == "bearer" else None
    for name in offered:
        if name.startswith(BEARER_SUBPROTOCOL):
            return name.removeprefix(BEARER_SUBPROTOCOL)
    return None


def _select(offered: list[str]) -> str | None:
    if ACP_SUBPROTOCOL in offered:
        return ACP_SUBPROTOCOL
    return next((name for name in offered if name.startswith(BEARER_SUBPROTOCOL)), None)


def redact(target: str) -> str:
    """A request's target for the log: the path, and no value of its query."""
    parts = urlsplit(target)
    return parts.path + ("?..." if parts.query else "")
