"""Who calls: bearer tokens, checked once and remembered for a while.

A token is a JWT (RFC 7519), signed HS256 with this domain's secret or RS256/ES256 with a key of the JWKS at a
configured address. The algorithm decides which keys are looked at, never the other way round, so that a public key
can't be passed off as an HS256 secret.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar
from uuid import UUID

import msgspec
import structlog
from aiohttp import web
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey

from conference.api.family import Families
from conference.api.jwks import JwksKeys
from conference.api.origin import OwnPages
from conference.api.repeats import repeated
from conference.errors import Unauthenticated

COOKIE = "ZM_AUTH_TOKEN"
LEEWAY = 30.0
"""Seconds by which other clocks may differ from ours."""
LONGEST_LIFE = 2_592_000.0
"""Seconds: 30 days."""

_REMEMBER = 300.0
"""A verified token is checked anew after this long, so that a withdrawn key stops to count."""
_REMEMBER_MOST = 20_000
_TOKEN_LONGEST = 8192
_STREAMS = re.compile(r"/events|/channels/[^/]+/stream")
_SUBPROTOCOL = "bearer."

_log = structlog.get_logger(__name__)


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Whom the token speaks for, and what it lets them do."""

    user_id: UUID
    email: str = ""
    name: str = ""
    org: str = ""
    permissions: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    meeting: UUID | None = None
    """The only meeting that this token is for: its holder is anonymous."""


CALLER = web.RequestKey("caller", Caller)


def caller(request: web.Request) -> Caller:
    """The authenticated caller of this request. Only a public route has none."""
    return request[CALLER]


# --- tokens -----------------------------------------------------------------------------------


class _Header(msgspec.Struct):
    alg: str
    kid: str | None = None


class _Claims(msgspec.Struct, kw_only=True):
    sub: UUID
    exp: float | None = None
    nbf: float | None = None
    iat: float | None = None
    email: str = ""
    name: str = ""
    org: str = ""
    permissions: list[str] | str = []
    scope: list[str] | str = []
    meeting: UUID | None = None


_Part = TypeVar("_Part", _Header, _Claims)


class TokenVerifier:
    """Turns a token into a Caller. `secret` None: HS256 is refused; `jwks` None: RS256 and ES256 are."""

    def __init__(
        self,
        secret: str | None,
        jwks: JwksKeys | None = None,
        clock: Callable[[], float] = time.time,
        *,
        longest_life: float = LONGEST_LIFE,
    ) -> None:
        """`longest_life`: seconds from when a token was issued, whatever it says itself."""
        self._secret = OctKey.import_key(secret) if secret else None
        self._jwks = jwks
        self._clock = clock
        self._longest_life = longest_life

    async def verify(self, token: str) -> tuple[Caller, float]:
        """The caller and when the token expires (Unix time). Raises Unauthenticated, Unavailable."""
        if len(token) > _TOKEN_LONGEST:
            raise Unauthenticated("the token is too long")
        header = _header(token)
        key, algorithm = await self._key_for(header)
        try:
            verified = jws.deserialize_compact(token, key, algorithms=[algorithm])
            claims = _json(verified.payload or b"", _Claims)
        except (JoseError, *_UNREADABLE) as error:
            _log.debug("token_refused", error=repr(error))
            raise Unauthenticated("the token does not hold") from None
        return _caller(claims), self._end(claims)

    async def _key_for(self, header: _Header) -> tuple[OctKey | KeySet, str]:
        if header.alg == "HS256" and self._secret is not None:
            return self._secret, "HS256"
        if header.alg in ("RS256", "ES256") and self._jwks is not None:
            return await self._jwks.get(header.kid), header.alg
        raise Unauthenticated("the token's algorithm is not accepted here")

    def _end(self, claims: _Claims) -> float:
        """When it ends: by itself, or after its longest life. Without `exp` that needs to know when it began."""
        now = self._clock()
        if any(at is not None and now < at - LEEWAY for at in (claims.nbf, claims.iat)):
            raise Unauthenticated("the token is not valid yet")
        latest = (now if claims.iat is None else claims.iat) + self._longest_life
        if claims.exp is None and claims.iat is None:
            raise Unauthenticated("the token says neither when it ends nor when it was issued")
        if claims.exp is not None and claims.exp > latest + LEEWAY:
            raise Unauthenticated(
                f"the token would hold for longer than {self._longest_life:g} s, which is the most here "
                "(PARLEY_TOKEN_LIFETIME_MAX)"
            )
        end = latest if claims.exp is None else claims.exp
        if now >= end + LEEWAY:
            raise Unauthenticated("the token has expired", code="token_expired")
        return end


_UNREADABLE = (msgspec.MsgspecError, ValueError, TypeError, RecursionError)


def _json(raw: bytes, kind: type[_Part]) -> _Part:
    """Raises one of _UNREADABLE; also for what another reader might read otherwise."""
    read = msgspec.json.decode(raw, type=kind)
    if (name := repeated(raw)) is not None:
        raise ValueError(f"{name} is there twice")
    return read


def _header(token: str) -> _Header:
    encoded = token.partition(".")[0]
    try:
        return _json(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)), _Header)
    except _UNREADABLE:
        raise Unauthenticated("that is not a token") from None


def _caller(claims: _Claims) -> Caller:
    return Caller(
        user_id=claims.sub,
        email=_storable(claims.email),
        name=_storable(claims.name),
        org=_storable(claims.org),
        permissions=frozenset(_words(claims.permissions)),
        scopes=frozenset(_words(claims.scope)),
        meeting=claims.meeting,
    )


def _words(claim: list[str] | str) -> list[str]:
    return claim.split() if isinstance(claim, str) else claim


def _storable(text: str) -> str:
    """PostgreSQL has no NUL in text; nor has an honest name."""
    return text.replace("\x00", "")


# --- requests ---------------------------------------------------------------------------------


class Authenticator:
    """The caller of a request, at the price of one dictionary look-up once a token is known."""

    def __init__(
        self,
        verifier: TokenVerifier,
        seen: Callable[[Caller], Awaitable[None]],
        families: Families | None = None,
        *,
        public_url: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`seen` is told of each caller whose token was verified anew."""
        self._verifier = verifier
        self._seen = seen
        self._families = families or Families()
        self._marks = self._families.token_marks
        self._pages = OwnPages(public_url)
        self._clock = clock
        self._known: dict[str, tuple[Caller, float]] = {}

    async def __call__(self, request: web.Request, *, cookies: bool = True) -> Caller | None:
        """None when the request carries no token. Raises Unauthenticated, Forbidden, Unavailable.

        `cookies`: whether one counts, which a browser adds by itself.
        """
        token = bearer(request, self._marks)
        if token is not None:
            return await self._caller(token)
        token = self._in_cookie(request) if cookies else None
        if not token:
            return None
        self._pages.require(request)
        return await self._caller(token)

    def _in_cookie(self, request: web.Request) -> str | None:
        return request.cookies.get(COOKIE) or self._families.cookie_token(request)

    async def _caller(self, token: str) -> Caller:
        known = self._known.get(token)
        if known is not None and self._clock() < known[1]:
            return known[0]
        found, expires = await self._verifier.verify(token)
        await self._seen(found)
        self._remember(token, found, expires)
        return found

    def _remember(self, token: str, found: Caller, expires: float) -> None:
        if len(self._known) >= _REMEMBER_MOST:
            self._known.pop(next(iter(self._known)))
        self._known[token] = (found, min(expires + LEEWAY, self._clock() + _REMEMBER))


def bearer(request: web.Request, marks: Iterable[str] = ()) -> str | None:
    """The token that the request carries on purpose; a browser adds a cookie by itself. `marks`: what families write
    before a token."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return unmarked(token, marks) or None
    return _stream_token(request) if _STREAMS.fullmatch(request.path) else None


def unmarked(text: str, marks: Iterable[str]) -> str:
    """A token without the mark before it, if it has one."""
    token = text.strip()
    mark = next((mark for mark in marks if token.startswith(mark)), "")
    return token.removeprefix(mark)


def is_token(subprotocol: str) -> bool:
    return subprotocol.startswith(_SUBPROTOCOL)


def _stream_token(request: web.Request) -> str | None:
    """A page can't set headers on an EventSource or a WebSocket.

    It offers the subprotocol `bearer.<token>`, or puts `access_token` into the query (RFC 6750, section 2.3).
    """
    for offered in request.headers.get("Sec-WebSocket-Protocol", "").split(","):
        if is_token(offered.strip()):
            return offered.strip().removeprefix(_SUBPROTOCOL) or None
    return request.query.get("access_token") or None
