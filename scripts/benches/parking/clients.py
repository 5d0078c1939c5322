"""The load: long polls that are asked again at once, and publishers. Spare with CPU, as the server's core is near."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import cast

from parking.targets import Target

_CONNECT_AT_ONCE = 200


class _Http(asyncio.Protocol):
    """One connection; whole answers with a Content-Length."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.failures: list[bytes] = []
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        while self._buffer:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._buffer[:end]
            at = head.lower().find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            body = self._buffer[end + 4 : end + 4 + length]
            self._buffer = self._buffer[end + 4 + length :]
            self.answered(head, body)

    def answered(self, head: bytes, body: bytes) -> None:
        raise NotImplementedError


class Subscriber(_Http):
    """Polls one channel; keeps what came and when."""

    def __init__(
        self, target: Target, channel: int, on_event: Callable[[int, float], None]
    ) -> None:
        super().__init__()
        self._target = target
        self._channel = channel
        self._on_event = on_event
        self._head = b""
        self.events = 0
        self.repoll = False

    def poll(self) -> None:
        self.transport.write(self._target.poll_request(self._channel, self.events, self._head))

    def answered(self, head: bytes, body: bytes) -> None:
        now = time.perf_counter()
        if b" 200 " not in head[:16]:
            self.failures.append(head[:40])
            return
        self._head = head
        self.events += 1
        for number in self._target.numbers(body):
            self._on_event(number, now)
        if self.repoll:
            self.poll()


class Publisher(_Http):
    """Sends one request after another; what must wait, waits here."""

    def __init__(self) -> None:
        super().__init__()
        self._queue: deque[bytes] = deque()
        self._busy = False

    def send(self, request: bytes) -> None:
        if self._busy:
            self._queue.append(request)
            return
        self._busy = True
        self.transport.write(request)

    def answered(self, head: bytes, body: bytes) -> None:
        if b" 20" not in head[:16]:
            self.failures.append(head[:40])
        if self._queue:
            self.transport.write(self._queue.popleft())
        else:
            self._busy = False


async def subscribers(
    target: Target, count: int, on_event: Callable[[int, float], None]
) -> list[Subscriber]:
    """Connected, not polling yet."""
    loop = asyncio.get_running_loop()
    made: list[Subscriber] = []

    async def connect(channel: int) -> None:
        _, protocol = await loop.create_connection(
            lambda: Subscriber(target, channel, on_event), "127.0.0.1", target.port
        )
        made.append(protocol)

    for start in range(0, count, _CONNECT_AT_ONCE):
        channels = range(start, min(count, start + _CONNECT_AT_ONCE))
        await asyncio.gather(*[connect(channel) for channel in channels])
    return sorted(made, key=lambda each: each._channel)


async def publishers(target: Target, count: int) -> list[Publisher]:
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(Publisher, "127.0.0.1", target.port) for _ in range(count)]
    return [protocol for _, protocol in made]
