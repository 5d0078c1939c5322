"""The one pub/sub connection of an API process: wakeups and workers' replies."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import structlog
from redis import exceptions
from redis.asyncio.connection import AbstractConnection

from conference.bus.redis import OPERATION_TIMEOUT, close_quietly, connection_to
from conference.errors import Unavailable
from config.tasks import end

Handler = Callable[[bytes], None]

_RETRY_DELAYS = (0.05, 0.1, 0.25, 0.5, 1.0)
_PING_INTERVAL = 5.0  # a connection that is silent for longer than this is taken for dead

_log = structlog.get_logger(__name__)


class Subscriber:
    """Keeps a set of channels subscribed, through losses of the connection.

    Messages of the time without a connection are lost, so `on_subscribed` runs each time that all channels
    are subscribed (anew), and `on_lost` each time that they no longer are.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._handlers: dict[bytes, Handler] = {}
        self._on_subscribed: list[Callable[[], None]] = []
        self._on_lost: list[Callable[[], None]] = []
        self._subscribed = asyncio.Event()
        self._heard_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def subscribe(
        self,
        channel: str,
        handler: Handler,
        *,
        on_subscribed: Callable[[], None] | None = None,
        on_lost: Callable[[], None] | None = None,
    ) -> None:
        """Add a channel; before `start` only."""
        assert self._task is None
        self._handlers[channel.encode()] = handler
        if on_subscribed:
            self._on_subscribed.append(on_subscribed)
        if on_lost:
            self._on_lost.append(on_lost)

    def start(self) -> None:
        """Begin to listen. Redis need not be there yet."""
        self._task = asyncio.create_task(self._run(), name="redis subscriber")

    async def close(self) -> None:
        """Idempotent."""
        if self._task:
            await end([self._task])

    async def ready(self, timeout: float = OPERATION_TIMEOUT) -> None:
        """Wait until the channels are subscribed. Raises Unavailable."""
        try:
            async with asyncio.timeout(timeout):
                await self._subscribed.wait()
        except TimeoutError:
            raise Unavailable("Redis does not answer; try again") from None

    async def _run(self) -> None:
        failures = 0
        while True:
            connection = connection_to(self._url)
            try:
                async with asyncio.timeout(OPERATION_TIMEOUT):
                    await self._subscribe(connection)
                failures = 0
                await self._listen(connection)
            except (exceptions.RedisError, OSError, TimeoutError) as error:
                if not failures:
                    _log.warning(
                        "redis_subscription_lost", error=str(error) or type(error).__name__
                    )
            finally:
                was_subscribed = self._subscribed.is_set()
                self._subscribed.clear()
                await close_quietly(connection)
            if was_subscribed:
                for callback in self._on_lost:
                    callback()
            await asyncio.sleep(_RETRY_DELAYS[min(failures, len(_RETRY_DELAYS) - 1)])
            failures += 1

    async def _subscribe(self, connection: AbstractConnection) -> None:
        await connection.connect()  # type: ignore[no-untyped-call]
        await connection.send_command("SUBSCRIBE", *self._handlers)
        for _ in self._handlers:
            await connection.read_response(disable_decoding=True)
        self._subscribed.set()
        for callback in self._on_subscribed:
            callback()

    async def _listen(self, connection: AbstractConnection) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        pinger = asyncio.create_task(self._ping(connection), name="redis subscriber ping")
        try:
            while True:
                message = await connection.read_response(disable_decoding=True, timeout=math.inf)
                self._heard_at = asyncio.get_running_loop().time()
                if message[0] == b"message":
                    self._handle(message[1], message[2])
        finally:
            await end([pinger])

    def _handle(self, channel: bytes, data: bytes) -> None:
        try:
            self._handlers[channel](data)
        except Exception:  # one bad message must not end the subscription of all
            _log.exception("redis_message_failed", channel=channel.decode())

    async def _ping(self, connection: AbstractConnection) -> None:
        """Ends the read of a connection that went away without a word."""
        loop = asyncio.get_running_loop()
        while True:
            asked_at = loop.time()
            await connection.send_command("PING", check_health=False)
            await asyncio.sleep(_PING_INTERVAL)
            if self._heard_at < asked_at:
                await connection.disconnect(nowait=True)
                return
