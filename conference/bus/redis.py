"""Commands to Redis: one connection, shared round trips, every wait bounded.

Commands that tasks issue while an exchange is under way travel together in the next one. At a few thousand
commands a second this takes about half the CPU of a pooled connection and a round trip for each. Commands run
in the order in which they were issued.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Sequence

import hiredis
import structlog
from redis import exceptions
from redis.asyncio.connection import AbstractConnection, ConnectionPool

from conference.errors import Unavailable
from config.tasks import end

Argument = bytes | str | int | float
Reply = None | int | bytes | Sequence["Reply"]

OPERATION_TIMEOUT = 2.0
_RETRY_DELAYS = (0.05, 0.1, 0.25, 0.5, 1.0)
_MOST_PER_EXCHANGE = 1000
_CANNOT_WRITE = (exceptions.ReadOnlyError, exceptions.OutOfMemoryError)

_log = structlog.get_logger(__name__)


class CommandRefused(Exception):
    """Redis answered with an error: the command was wrong, not the connection."""


def connection_to(url: str) -> AbstractConnection:
    """An unconnected connection of the library's, without its own time-outs, retries and health checks."""
    pool = ConnectionPool.from_url(
        url,
        protocol=2,
        socket_timeout=None,
        socket_connect_timeout=OPERATION_TIMEOUT,
        health_check_interval=0,
    )
    connection: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]
    return connection


async def close_quietly(connection: AbstractConnection | None) -> None:
    """Let go of a connection whatever state it is in."""
    if connection is None:
        return
    with contextlib.suppress(exceptions.RedisError, OSError, TimeoutError):
        await connection.disconnect(nowait=True)


class RedisLane:
    """One ordered lane of commands. It connects when needed, and again after a loss.

    `prepare` runs on each new connection before any command.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = OPERATION_TIMEOUT,
        prepare: Callable[[AbstractConnection], Awaitable[None]] | None = None,
    ) -> None:
        self._url = url
        self._timeout = timeout
        self._prepare = prepare
        self._queue: list[tuple[bytes, asyncio.Future[Reply]]] = []
        self._wanted = asyncio.Event()
        self._connection: AbstractConnection | None = None
        self._failures = 0
        self._retry_at = 0.0
        self._closed = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to serve. Redis need not be there yet."""
        self._task = asyncio.create_task(self._run(), name="redis lane")

    async def close(self) -> None:
        """Fail what waits and what comes later, and disconnect. Idempotent."""
        self._closed = True
        if self._task:
            await end([self._task])
        self._fail(self._take_all())
        await close_quietly(self._connection)
        self._connection = None

    def submit(self, *command: Argument) -> asyncio.Future[Reply]:
        """Issue a command. The future raises Unavailable (no connection, or no reply in time) or CommandRefused.

        After Unavailable the command may have run or not.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Reply] = loop.create_future()
        if self._closed or (self._retry_at and loop.time() < self._retry_at):
            _set_error(future, _unavailable())
            return future
        packed = hiredis.pack_command(command)  # type: ignore[arg-type]  # its stub knows one-tuples only
        self._queue.append((packed, future))
        self._wanted.set()
        return future

    async def call(self, *command: Argument) -> Reply:
        """`submit`, awaited."""
        return await self.submit(*command)

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while self._queue:
                batch = self._queue[:_MOST_PER_EXCHANGE]
                del self._queue[:_MOST_PER_EXCHANGE]
                await self._exchange(batch)

    async def _exchange(self, batch: list[tuple[bytes, asyncio.Future[Reply]]]) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                connection = await self._connected()
                await connection.send_packed_command(
                    b"".join(command for command, _ in batch), check_health=False
                )
                for _, future in batch:
                    reply = await _read(connection)
                    if future.done():
                        continue
                    if isinstance(reply, Exception):
                        _set_error(future, reply)
                    else:
                        future.set_result(reply)
        except (exceptions.RedisError, OSError, TimeoutError) as error:
            await self._lost(error, batch)
        except asyncio.CancelledError:
            self._fail(batch)
            raise
        except (
            Exception
        ) as error:  # a bug, here or in the library, must not leave callers waiting for ever
            _log.exception("redis_exchange_failed")
            await self._lost(error, batch)

    async def _connected(self) -> AbstractConnection:
        """The connection, known to be open a moment ago: so a server's restart costs no command."""
        if self._connection and not await self._connection.can_read():
            return self._connection
        await close_quietly(self._connection)
        self._connection = None
        connection = connection_to(self._url)
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            if self._prepare:
                await self._prepare(connection)
        except BaseException:  # also when cancelled: nobody else knows of this connection yet
            await close_quietly(connection)
            raise
        if self._failures:
            _log.info("redis_back", after_failures=self._failures)
        self._failures, self._retry_at = 0, 0.0
        self._connection = connection
        return connection

    async def _lost(
        self, error: Exception, batch: list[tuple[bytes, asyncio.Future[Reply]]]
    ) -> None:
        await close_quietly(self._connection)
        self._connection = None
        if not self._failures:
            _log.warning("redis_lost", error=str(error) or type(error).__name__)
        delay = _RETRY_DELAYS[min(self._failures, len(_RETRY_DELAYS) - 1)]
        self._failures += 1
        self._retry_at = asyncio.get_running_loop().time() + delay
        self._fail(batch + self._take_all())

    def _take_all(self) -> list[tuple[bytes, asyncio.Future[Reply]]]:
        taken, self._queue = self._queue, []
        return taken

    @staticmethod
    def _fail(batch: list[tuple[bytes, asyncio.Future[Reply]]]) -> None:
        for _, future in batch:
            if not future.done():
                _set_error(future, _unavailable())


async def _read(connection: AbstractConnection) -> Reply | Exception:
    """One reply; an error reply is returned, a broken connection raises."""
    try:
        reply: Reply = await connection.read_response(disable_decoding=True, timeout=math.inf)
    except exceptions.NoScriptError as error:
        # Somebody flushed the scripts: a new connection loads them again.
        raise exceptions.ConnectionError("scripts are gone") from error
    except exceptions.ResponseError as error:
        if isinstance(error, _CANNOT_WRITE) or str(error).startswith("MISCONF"):
            return _unavailable()
        return CommandRefused(str(error))
    return reply


def _set_error(future: asyncio.Future[Reply], error: Exception) -> None:
    future.set_exception(error)
    future.exception()  # who went away, or never waited, must not leave "never retrieved" in the log


def _unavailable() -> Unavailable:
    return Unavailable("Redis does not answer; try again")
