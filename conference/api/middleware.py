"""What happens to every request: a request id, figures, the caller, and errors in the family's own form."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from functools import lru_cache
from http import HTTPStatus
from secrets import token_hex
from typing import cast

import structlog
from aiohttp import HttpVersion11, hdrs, web
from aiohttp.typedefs import Middleware
from yarl import URL

from conference import errors
from conference.api.auth import CALLER, Authenticator, Caller
from conference.api.body import answer
from conference.api.family import Families
from conference.api.metrics import Metrics
from conference.api.refusal import refusal
from conference.downtime import SERVER_DOWN
from schemas.errors import Problem

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Render = Callable[[web.Request, int, Problem], web.Response]
"""A family's form of an error, given what was asked and the status."""

REQUEST_ID = web.RequestKey("request_id", str)
_REQUEST_ID_HEADER = "X-Request-Id"
_HOST = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:\[\]-]{1,300}")
"""Of RFC 3986 section 3.2.2, without percent signs, and with a port."""
_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")

_log = structlog.get_logger(__name__)

_OPEN_PATHS = frozenset(
    ("/", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/favicon.ico")
)
_OPERATORS = ("/readyz", "/metrics")
"""Their token is none of a user's."""
_OPEN_PREFIXES = ("/public/", "/join/", "/web/", "/docs/")


def plain(request: web.Request, status: int, problem: Problem) -> web.Response:
    """The form of the meetings and channels families, and of what belongs to none."""
    return answer(problem, status)


class Gate:
    """The middlewares, in the order in which a request passes them."""

    def __init__(
        self,
        authenticate: Authenticator,
        metrics: Metrics,
        families: Families | None = None,
    ) -> None:
        self._authenticate = authenticate
        self._metrics = metrics
        self._families = families or Families()
        self._open_paths = _OPEN_PATHS.union(*(family.open_paths for family in self._families))
        self._unasked = frozenset(_OPERATORS).union(
            *(family.sign_in_paths for family in self._families)
        )

    def middlewares(self) -> list[Middleware]:
        return [self.observe, self.admit]

    @web.middleware
    async def observe(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        request[REQUEST_ID] = request_id = _request_id(request)
        # a connection's requests share one context: each binds both names anew
        structlog.contextvars.bind_contextvars(request_id=request_id, path=request.path)
        route = _route(request)
        begun = time.perf_counter()
        status = 499  # the client went away; nobody reads this status
        try:
            response = await self._answered(request, handler)
            status = response.status
            return response
        finally:
            self._metrics.request(request.method, route, status, time.perf_counter() - begun)

    @web.middleware
    async def admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """401 comes before every other refusal. On open paths too a token that does not hold is refused, but no
        cookie is looked at: it may be old, and whoever opens a page did not add it."""
        path = self._families.spelled(request.path)
        _require_host(request, alone=path in self._open_paths)
        if path in self._unasked:
            return await handler(request)
        is_open = self._is_open(path)
        caller = await self._authenticate(request, cookies=not is_open)
        if caller is not None:
            if not is_open:
                self._keep_within_meeting(caller, path)
            request[CALLER] = caller
        elif not is_open:
            raise errors.Unauthenticated("this needs a bearer token", code="no_token")
        return await handler(request)

    def _is_open(self, path: str) -> bool:
        """Whether the path needs no token: everything else does, also what does not exist."""
        return path in self._open_paths or path.startswith(_OPEN_PREFIXES)

    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            return error if error.status < 400 else self._refused(request, error)
        except (
            Exception
        ) as error:  # a bug too must be answered and logged, not hang up on the client
            gone = request.transport is None or request.transport.is_closing()
            if (
                gone
                and isinstance(error, SERVER_DOWN)
                and not isinstance(error, errors.DomainError)
            ):
                raise
            return self._refused(request, error)

    def refuse(self, request: web.BaseRequest, error: Exception) -> web.Response:
        """For a request that never came as far as here."""
        return self._refused(cast(web.Request, request), error)

    def _refused(self, request: web.Request, error: Exception) -> web.Response:
        found = refusal(error)
        response = self._form(request)(request, found.status, found.problem)
        response.headers.update(found.headers)
        if found.status == HTTPStatus.UNAUTHORIZED:
            response.headers.setdefault("WWW-Authenticate", "Bearer")
        if found.status == HTTPStatus.REQUEST_TIMEOUT or request.content.exception() is not None:
            response.force_close()  # what may still come is no request
        return response

    def _form(self, request: web.Request) -> Render:
        family = self._families.at(self._families.spelled(request.path))
        return family.render if family is not None else plain

    def _keep_within_meeting(self, caller: Caller, path: str) -> None:
        """A token for one meeting opens that one's media, and a family that takes such; which meeting is joined there,
        that family looks at. Raises Forbidden."""
        if caller.meeting is None:
            return
        family = self._families.at(path)
        if family is not None and family.admits_guests(path):
            return
        media = f"/meetings/{caller.meeting}/"
        if path.lower().startswith((f"{media}media", f"{media}audio")):
            return
        ways = [each.guests_join_at for each in self._families if each.guests_join_at]
        advice = f": join it through {' or '.join(ways)}" if ways else ""
        raise errors.Forbidden(
            f"this token is for one meeting only{advice}", code="AnonymousNotAllowed"
        )


def _require_host(request: web.Request, *, alone: bool) -> None:
    """One, and one that a URL can be made of (RFC 9112 section 3.2). `alone`: a client from before there was this
    header may do without. Raises BadRequest: whoever asks for the address later would get no answer but an error."""
    hosts = request.headers.getall(hdrs.HOST, [])
    if not hosts and alone and request.version < HttpVersion11:
        return
    if len(hosts) != 1 or not _is_host(hosts[0]):
        raise errors.BadRequest("the request needs one header Host, with a host", code="bad_host")


@lru_cache(maxsize=256)
def _is_host(text: str) -> bool:
    try:
        return bool(_HOST.fullmatch(text)) and bool(URL(f"http://{text}").host)
    except ValueError:
        return False


async def stamp(request: web.Request, response: web.StreamResponse) -> None:
    """Signal `on_response_prepare`: also streams and WebSockets carry these headers."""
    if REQUEST_ID in request:
        response.headers[_REQUEST_ID_HEADER] = request[REQUEST_ID]
    response.headers.setdefault("X-Content-Type-Options", "nosniff")


def _request_id(request: web.Request) -> str:
    given = request.headers.get(_REQUEST_ID_HEADER)
    return given if given and _SANE_ID.fullmatch(given) else token_hex(16)


def _route(request: web.Request) -> str:
    """The route's pattern, so that figures don't grow with ids."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none"
