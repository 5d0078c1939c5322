"""What happens on a connection before there is a request: a head that comes slowly, and one that is none.

aiohttp reads heads and answers by itself what it can't read, in its own form and with a traceback in the log; and
it gives a head all the time in the world.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import structlog
from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError, HttpProcessingError, LineTooLong
from multidict import CIMultiDict
from yarl import URL

from conference.errors import BadRequest, DomainError, TooLarge, UnsupportedMediaType

KEEPALIVE = 75.0
"""Seconds for which a connection may wait for a request: longer than proxies keep theirs, which is 60."""
READ_WITHIN = 30.0
"""Seconds that a client may take for a head, and as long again for a body."""

Refuse = Callable[[web.BaseRequest, Exception], web.Response]
REFUSE: web.AppKey[Refuse] = web.AppKey("refuse")
"""Renders a refusal of a request that never reached a handler, in the form of the family whose path it has."""

_LINE = re.compile(rb"[A-Z]{1,20} (/[!-~]{0,400})")
_LINE_LONGEST = 450
_TOO_LATE = (
    b"HTTP/1.1 408 Request Timeout\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b"Content-Length: 72\r\n\r\n"
    b'{"code":"request_timeout","message":"the request did not come in time"}\n'
)

_log = structlog.get_logger(__name__)


class Runner(web.AppRunner):
    """Serves an application over connections of ours. `read_within`: seconds for a head."""

    def __init__(
        self, app: web.Application, *, read_within: float = READ_WITHIN, shutdown_timeout: float
    ) -> None:
        super().__init__(
            app,
            access_log=None,
            shutdown_timeout=shutdown_timeout,
            keepalive_timeout=KEEPALIVE,
        )
        self._read_within = read_within

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(made, self.app, self._read_within)


class _Server(web.Server):
    def __init__(self, made: web.Server, app: web.Application, read_within: float) -> None:
        super().__init__(self._handle, request_factory=made.request_factory, **made._kwargs)
        self._inner = made.request_handler
        self._app = app
        self._read_within = read_within

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._inner(request)
        except web.HTTPException as error:  # an expectation that nobody has: no middleware saw it
            return self._app[REFUSE](request, error)

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, self._app[REFUSE], self._read_within, self._kwargs)


class _Connection(web.RequestHandler):
    __slots__ = ("_head_timer", "_line", "_read_within", "_refuse")

    def __init__(
        self, server: web.Server, refuse: Refuse, read_within: float, options: dict[str, object]
    ) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **options)  # type: ignore[arg-type]
        self._refuse = refuse
        self._read_within = read_within
        self._line = b""
        self._head_timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        if self._head_timer is None:
            self._line = data[:_LINE_LONGEST]
        super().data_received(data)
        waits = self._waiter is not None and not self._waiter.done()
        if not waits:
            self._stop_timer()
        elif data and self._head_timer is None:
            self._head_timer = self._loop.call_later(self._read_within, self._too_late)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def log_exception(self, *args: object, exc_info: BaseException | None = None) -> None:
        """aiohttp reads what is left of a body once more after the answer. That it can't has been answered, and is no
        defect of ours; the connection ends either way."""
        if not isinstance(exc_info, web.RequestPayloadError):
            super().log_exception(*args, exc_info=exc_info)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_late(self) -> None:
        self._head_timer = None
        if self.transport is not None:
            self.transport.write(_TOO_LATE)
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Of what is no HTTP; bugs stay aiohttp's, which logs them."""
        if not isinstance(exc, HttpProcessingError) or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        refusal = _refusal(exc)
        _log.info("request_not_understood", client=request.remote, why=refusal.message)
        named = _LINE.match(self._line)
        url = URL(named[1].decode() if named else "/", encoded=True)
        response = self._refuse(request.clone(rel_url=url, headers=CIMultiDict()), refusal)
        response.force_close()
        return response


def _refusal(error: HttpProcessingError) -> DomainError:
    if isinstance(error, ContentEncodingError):
        return unknown_coding()
    if isinstance(error, LineTooLong):
        return TooLarge(
            "the request line or a header is longer than is read", code="head_too_large"
        )
    return BadRequest("that is not HTTP as RFC 9112 has it", code="not_http")


def unknown_coding() -> UnsupportedMediaType:
    return UnsupportedMediaType(
        "the body is in a coding that is not read here, or not in the one it says: send it as it is, or in gzip",
        code="content_coding",
    )
