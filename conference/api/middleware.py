"""What happens to every request: a request id, figures, the caller, and errors in the family's own form."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from secrets import token_hex

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from conference import errors
from conference.api.auth import CALLER, Authenticator
from conference.api.body import answer
from conference.api.metrics import Metrics
from conference.downtime import SERVER_DOWN
from schemas.errors import Problem

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Render = Callable[[int, Problem], web.Response]
"""A family's form of an error, given its status."""

REQUEST_ID = web.RequestKey("request_id", str)
_REQUEST_ID_HEADER = "X-Request-Id"
_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")

_log = structlog.get_logger(__name__)

STATUS: dict[type[errors.DomainError], int] = {
    errors.BadRequest: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.PreconditionFailed: 412,
    errors.MediaFailed: 424,
    errors.TooManyRequests: 429,
    errors.Unavailable: 503,
}

_OPEN_PATHS = frozenset(
    ("/", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/favicon.ico")
)
_OPEN_PREFIXES = ("/public/", "/join/", "/web/", "/docs/")


def status_of(error: errors.DomainError) -> int:
    """By the nearest base class that the table has."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def plain(status: int, problem: Problem) -> web.Response:
    """The form of the meetings and channels families, and of what belongs to none."""
    return answer(problem, status)


def is_open(path: str) -> bool:
    """Whether the path needs no token: everything else does, also what does not exist."""
    return path in _OPEN_PATHS or path.startswith(_OPEN_PREFIXES)


class Gate:
    """The middlewares, in the order in which a request passes them."""

    def __init__(
        self,
        authenticate: Authenticator,
        metrics: Metrics,
        renderers: Sequence[tuple[str, Render]] = (),
    ) -> None:
        """`renderers` pairs a path prefix with the error form of the family that lives there."""
        self._authenticate = authenticate
        self._metrics = metrics
        self._renderers = tuple(renderers)

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
        """401 comes before every other refusal; a token that does not hold is refused on open paths too."""
        caller = await self._authenticate(request)
        if caller is not None:
            request[CALLER] = caller
        elif not is_open(request.path):
            raise errors.Unauthenticated("this needs a bearer token", code="no_token")
        return await handler(request)

    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except errors.DomainError as error:
            return self._refusal(request, error)
        except web.HTTPException as error:
            return self._http_error(request, error)
        except SERVER_DOWN as error:
            if request.transport is None or request.transport.is_closing():
                raise
            _log.warning("server_down", error=repr(error))
            return self._refusal(request, errors.Unavailable("a server that we need is down"))
        except (
            Exception
        ):  # the last resort: a bug must be answered and logged, not hang up on the client
            _log.exception("request_failed")
            problem = Problem(code="internal", message="this should not have happened")
            return self._form(request)(500, problem)

    def _refusal(self, request: web.Request, error: errors.DomainError) -> web.Response:
        problem = Problem(
            code=error.code,
            message=error.message,
            details=dict(error.details) if error.details else None,
        )
        response = self._form(request)(status_of(error), problem)
        if isinstance(error, errors.Unavailable):
            response.headers["Retry-After"] = str(error.retry_after)
        if isinstance(error, errors.Unauthenticated):
            response.headers["WWW-Authenticate"] = "Bearer"
        return response

    def _http_error(self, request: web.Request, error: web.HTTPException) -> web.StreamResponse:
        """aiohttp's own: no such route, wrong method, body too large."""
        if error.status < 400:
            return error
        phrase = HTTPStatus(error.status).phrase
        problem = Problem(code=phrase.lower().replace(" ", "_"), message=error.text or phrase)
        response = self._form(request)(error.status, problem)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response

    def _form(self, request: web.Request) -> Render:
        for prefix, render in self._renderers:
            if request.path.startswith(prefix):
                return render
        return plain


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
