"""The readers of this process: who is parked, who is streaming, and how wakeups reach them.

A reader is in Redis under its name (this process's name, then a token) and here under its token. A wakeup
says the token and no more; the reader reads again and finds out what happened.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from typing import Protocol

import structlog

from conference.bus import keys, scripts
from conference.bus.link import RedisLink
from conference.bus.redis import CommandRefused
from conference.errors import Unavailable
from config.tasks import end

TOUCH_INTERVAL = 5.0
"""How often readers are marked as present, and checked for wakeups that were lost."""
_TOUCHED_AT_ONCE = 250  # keeps the script under a millisecond or two

_log = structlog.get_logger(__name__)


class ChannelMissing(Exception):
    """Redis does not have this channel: it was closed, or Redis was emptied."""


class Reader(Protocol):
    """Something that waits here for events of a channel."""

    queue: bytes
    name: bytes

    def wake(self) -> None:
        """There may be something to read."""

    def end(self) -> None:
        """Stop waiting: the process shuts down, or the client went away."""

    def is_gone(self) -> bool:
        """The client disconnected."""


class Readers:
    """Registry and owner of the task that keeps readers present."""

    def __init__(self, link: RedisLink, *, touch_interval: float = TOUCH_INTERVAL) -> None:
        self._lane = link.lane
        self._process = link.process.encode()
        self._touch_interval = touch_interval
        self._tokens = itertools.count(1)
        self._readers: dict[bytes, Reader] = {}
        self._task: asyncio.Task[None] | None = None
        self.ended = False
        link.subscriber.subscribe(
            keys.wake_channel(link.process), self._on_wake_message, on_subscribed=self._wake_all
        )

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep_present(), name="channel readers")

    async def close(self) -> None:
        """Idempotent. `end_all` comes first, when readers should still be answered."""
        if self._task:
            await end([self._task])

    def __len__(self) -> int:
        return len(self._readers)

    def new_name(self) -> bytes:
        return b"%s%d" % (self._process, next(self._tokens))

    def add(self, reader: Reader) -> None:
        self._readers[_token(reader.name)] = reader

    def remove(self, reader: Reader) -> None:
        self._readers.pop(_token(reader.name), None)

    def wake(self, tokens: Iterable[bytes]) -> None:
        """Unknown tokens are of readers that have gone meanwhile."""
        for token in tokens:
            if reader := self._readers.get(token):
                # one whose client is gone must not read on: that would pass for the client's presence.
                if reader.is_gone():
                    reader.end()
                else:
                    reader.wake()

    def end_all(self) -> None:
        """Answer every reader, now and from now on, as if its time were over."""
        self.ended = True
        for reader in list(self._readers.values()):
            reader.end()

    def _on_wake_message(self, data: bytes) -> None:
        self.wake(data.split(b" "))

    def _wake_all(self) -> None:
        """After a time without a subscription anybody may have missed a wakeup."""
        self.wake(list(self._readers))

    async def _keep_present(self) -> None:
        while True:
            await asyncio.sleep(self._touch_interval)
            waiting: list[Reader] = []
            for reader in list(self._readers.values()):
                if reader.is_gone():
                    reader.end()  # it goes by itself, in a moment, and is not present meanwhile
                else:
                    waiting.append(reader)
            for start in range(0, len(waiting), _TOUCHED_AT_ONCE):
                await self._touch(waiting[start : start + _TOUCHED_AT_ONCE])

    async def _touch(self, readers: Sequence[Reader]) -> None:
        arguments = [part for reader in readers for part in (reader.queue, reader.name)]
        try:
            stale = await self._lane.call(b"EVALSHA", scripts.TOUCH, 0, *arguments)
        except Unavailable:
            return  # readers are woken once the subscription is back
        except CommandRefused:
            _log.exception("channel_touch_refused")
            return
        assert isinstance(stale, list)
        self.wake(stale)


def _token(name: bytes) -> bytes:
    return name[keys.PROCESS_LENGTH :]
