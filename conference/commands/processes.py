"""`parley api` and `parley sfu`: one process each, for operators and for the supervisor."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import resource
import signal
import socket
from collections.abc import Callable, Coroutine

import structlog
import uvloop
from aiohttp import web

from conference.commands import CommandError
from conference.commands.servers import connected, redis_url, with_servers
from conference.machine import reach
from conference.machine.ports import refused
from conference.machine.reach import UnreachableError
from config import logging as logs
from config.settings import Settings, load

log = structlog.get_logger(__name__)

# Requests that are being answered get this long; parked polls are answered by the app's own shutdown.
_HTTP_GRACE = 5.0
_CLEANUP_WITHIN = 10.0
_BACKLOG = 1024
_CANNOT_LISTEN = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES)
# Objects more than before, and how many collections of a generation make one of the next. The interpreter's are
# 700, 10, 10.
_API_COLLECTS = 50_000, 20, 20
_WORKER_COLLECTS = 2_000, 5, 50


def api() -> int:
    """Run one API process in the foreground.

    Address: PARLEY_HTTP_HOST, PARLEY_HTTP_PORT. Database and Redis: PARLEY_DATABASE_URL, PARLEY_REDIS_URL,
    else the embedded ones of a `parley up` in the same data directory. SIGTERM and Ctrl-C end it in order.
    """
    settings = with_servers(load(os.environ))
    return _run(settings, f"api:{settings.http_port}", lambda: _serve_api(settings))


def sfu() -> int:
    """Run one SFU worker in the foreground.

    Media: PARLEY_MEDIA_HOST, PARLEY_MEDIA_PORT (UDP), PARLEY_MEDIA_ANNOUNCED. Redis as for `parley api`.
    SIGTERM drains it: no new meeting, and it ends once nobody is connected. Ctrl-C, or a second SIGTERM,
    ends it at once.
    """
    from sfu.worker import worker  # an API process carries nothing of the media side

    settings = load(os.environ)
    url = redis_url(settings)
    return _run(
        settings,
        f"sfu:{settings.media_port}",
        lambda: _serve_media(settings, url, lambda: worker.run(settings, url, settings.media_port)),
    )


def _run(settings: Settings, name: str, main: Callable[[], Coroutine[None, None, None]]) -> int:
    logs.configure(settings.log_format, settings.log_level, process=name)
    _raise_file_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(main())
        except OSError as error:
            if not isinstance(error, socket.gaierror) and error.errno not in _CANNOT_LISTEN:
                raise
            raise CommandError(_address_advice(settings, name, error)) from None
    return 0


async def _serve_api(settings: Settings) -> None:
    from conference.api.connection import Runner
    from conference.app import create_app

    async with connected(settings):
        pass  # what is wrong with it is said in words before anything else begins
    await _say_when_redis_is_away(settings, redis_url(settings))
    runner = Runner(
        create_app(settings), read_within=settings.read_timeout, shutdown_timeout=_HTTP_GRACE
    )
    stop = _stop_event()
    try:
        await runner.setup()
        # Parked polls are thousands of objects that stay; a walk over them all takes tens of milliseconds. With the
        # default a walk comes twice a second under load (scripts/bench channels shows it in the worst delays).
        _collect_rarely(*_API_COLLECTS)
        site = web.TCPSite(runner, settings.http_host, settings.http_port, backlog=_BACKLOG)
        await site.start()
        log.info("listening", host=settings.http_host, port=settings.http_port)
        await stop.wait()
        log.info("stopping")
    finally:
        await asyncio.wait_for(runner.cleanup(), _CLEANUP_WITHIN)


async def _serve_media(
    settings: Settings, url: str, serve: Callable[[], Coroutine[None, None, None]]
) -> None:
    # A walk over everything holds up every packet: 30 ms for what an empty worker has imported, 140 ms with 500
    # viewers, and each hundred that join bring one. What closes is held by cycles, so walks can't be left out.
    _collect_rarely(*_WORKER_COLLECTS)
    await _say_when_redis_is_away(settings, url)
    await serve()


async def _say_when_redis_is_away(settings: Settings, url: str) -> None:
    """It may come yet; until then the process is there, and not ready."""
    try:
        await reach.redis(settings, url)
    except UnreachableError as error:
        log.warning("not_ready", why=str(error))


def _collect_rarely(young: int, middle: int, old: int) -> None:
    """What is there now is never walked again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(young, middle, old)


def _stop_event() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, stop.set)
    return stop


def _raise_file_limit() -> None:
    """Every parked poll is an open file; the soft limit is there for programs that use select()."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _address_advice(settings: Settings, name: str, error: OSError) -> str:
    if name.startswith("api"):
        return refused("tcp", settings.http_host, settings.http_port, error)
    return refused("udp", settings.media_host, settings.media_port, error)
