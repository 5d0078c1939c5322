"""A reader that stays: what an SSE response or a WebSocket reads a channel with.

It holds a position, the number of the last event that it was handed, instead of a poll's batch number. What was
handed is kept until it is confirmed, so that a client which lost its connection goes on where it was.
"""

from __future__ import annotations

import asyncio
from typing import cast

import msgspec

from conference.bus import scripts
from conference.bus.readers import ChannelMissing, Readers
from conference.bus.redis import RedisLane
from conference.errors import PollReplaced

MOST_EVENTS = 256
"""Handed at once."""

_HANDED, _RESTART, _REPLACED, _MISSING = 1, 2, 3, 4


class Handed(msgspec.Struct, frozen=True):
    """The events up to and with `position`; none, when nothing came in time. Each is a JSON object, encoded."""

    position: int
    events: list[bytes]


class Restart(msgspec.Struct, frozen=True):
    """The position does not hold: events may be missing. It goes on after `position`."""

    position: int


class Stream:
    """Raises, from `open` and `read`: PollReplaced, ChannelMissing, and Unavailable."""

    def __init__(
        self,
        lane: RedisLane,
        readers: Readers,
        queue: bytes,
        name: bytes,
        client: asyncio.BaseTransport | None,
    ) -> None:
        self.queue = queue
        self.name = name
        self.ended = False
        """The process shuts down, or the client is gone: stop reading."""
        self.position = 0
        self._lane = lane
        self._readers = readers
        self._client = client
        self._confirmed: int | None = None
        self._woken = asyncio.Event()

    async def open(self, position: int | None) -> bool:
        """Take the channel over, after `position` or after what is acknowledged; whether that position holds."""
        self._readers.add(self)
        self.ended = self._readers.ended
        begun = await self._step(b"first", b"" if position is None else position)
        return isinstance(begun, Handed)

    async def read(self, wait: float) -> Handed | Restart:
        """The next events, waiting `wait` seconds at most."""
        while True:
            self._woken.clear()
            found = await self._step(b"again", self.position)
            if self.ended or isinstance(found, Restart) or found.events:
                return found
            try:
                async with asyncio.timeout(wait):
                    await self._woken.wait()
            except TimeoutError:
                return found
            if self.is_gone():
                return found

    def confirm(self, position: int) -> None:
        """The client has everything up to `position`. Redis hears of it with the next read, soon."""
        self._confirmed = position
        self._woken.set()

    def close(self) -> None:
        """Idempotent."""
        self._readers.remove(self)
        self._lane.submit(b"EVALSHA", scripts.LEAVE, 0, self.queue, self.name)

    def wake(self) -> None:
        self._woken.set()

    def end(self) -> None:
        self.ended = True
        self._woken.set()

    def is_gone(self) -> bool:
        return self._client is not None and self._client.is_closing()

    async def _step(self, mode: bytes, position: int | bytes) -> Handed | Restart:
        confirmed = b"" if self._confirmed is None else self._confirmed
        reply = await self._lane.call(
            b"EVALSHA", scripts.STREAM, 0, self.queue, self.name, mode, position, confirmed, MOST_EVENTS
        )  # fmt: skip
        code, *rest = cast("list[int | bytes]", reply)
        if code == _REPLACED:
            raise PollReplaced("a newer reader of this channel took its place")
        if code == _MISSING:
            raise ChannelMissing
        self.position = cast(int, rest[0])
        if code == _RESTART:
            self._confirmed = None
            return Restart(self.position)
        return Handed(self.position, cast("list[bytes]", rest[1:]))
