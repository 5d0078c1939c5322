"""A pending GET while it lasts. What each step does is in poll.lua; this says when to take the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

from conference.bus import scripts
from conference.bus.redis import Argument, RedisLane
from conference.errors import Unavailable

WAIT, BATCH, RESYNC, REPLACED, MISSING, EMPTY = range(6)

Reply = list[int | bytes]
"""A script's: a code, then what belongs to it."""


class ParkedPoll:
    """Gives up after what the script says: what this poll or an earlier one asked for."""

    __slots__ = (
        "_ack",
        "_answer",
        "_client",
        "_ended",
        "_hold",
        "_lane",
        "_terms",
        "_woken",
        "name",
        "queue",
    )

    def __init__(
        self,
        lane: RedisLane,
        queue: bytes,
        name: bytes,
        ack: Argument,
        terms: Sequence[Argument],
        client: asyncio.BaseTransport | None,
    ) -> None:
        """`terms`: the script's arguments after the step."""
        self.queue = queue
        self.name = name
        self._lane = lane
        self._ack = ack
        self._terms = terms
        self._client = client
        self._woken = False
        self._ended = False
        self._answer: asyncio.Future[Reply | None] | None = None
        self._hold: asyncio.TimerHandle | None = None

    async def run(self, wanted: Callable[[list[bytes]], bool] | None = None) -> Reply:
        """The reply that ends it. A batch that is not `wanted` is dropped, and the next one waited for."""
        reply = await self._step(b"first")
        until = self._until(reply)
        while True:
            if reply[0] == BATCH and wanted and not wanted(cast("list[bytes]", reply[3:])):
                reply = await self._step(b"drop", reply[2])
                until = until or self._until(reply)
                continue
            if reply[0] != WAIT:
                return reply
            answer = await self._wait(reply, until)
            if answer is not None:
                reply = answer
                continue
            if self.is_gone():
                # Nobody hears an answer: the position stays, and the next poll of it waits.
                self.leave()
                return reply
            try:
                reply = await self._step(b"last")
            except Unavailable:
                return reply  # nothing that was sent got lost: the next poll repeats this position
            if reply[0] == WAIT:
                return reply

    def leave(self) -> None:
        """Wait no longer, without an answer."""
        self._lane.submit(b"EVALSHA", scripts.LEAVE, 0, self.queue, self.name)

    def wake(self) -> None:
        if self._answer is None:
            self._woken = True  # before the first step's reply
        elif not self._answer.done():
            self._step(b"again").add_done_callback(self._read_again)

    def end(self) -> None:
        self._ended = True
        if self._answer and not self._answer.done():
            self._answer.set_result(None)

    def is_gone(self) -> bool:
        return self._client is not None and self._client.is_closing()

    def _until(self, reply: Reply) -> float:
        """When to give up; 0 while that is not known."""
        if reply[0] != WAIT:
            return 0.0
        return asyncio.get_running_loop().time() + cast(int, reply[1]) / 1000

    async def _wait(self, reply: Reply, until: float) -> Reply | None:
        if self._ended:
            return None
        loop = asyncio.get_running_loop()
        self._answer = loop.create_future()
        timer = loop.call_at(until, self.end)
        self._hold_back(reply)
        if self._woken:
            self.wake()
        try:
            return await self._answer
        finally:
            timer.cancel()
            if self._hold:
                self._hold.cancel()
            self._answer, self._woken = None, False

    def _hold_back(self, reply: Reply) -> None:
        """Look again when what is held back may be told."""
        if self._hold:
            self._hold.cancel()
            self._hold = None
        if (hold := cast(int, reply[2])) >= 0:
            loop = asyncio.get_running_loop()
            self._hold = loop.call_later((hold + 1) / 1000, self.wake)

    def _step(self, step: bytes, dropped: int | bytes | None = None) -> asyncio.Future[Reply]:
        terms = self._terms if dropped is None else (*self._terms, dropped)
        future = self._lane.submit(
            b"EVALSHA", scripts.POLL, 0, self.queue, self._ack, self.name, step, *terms
        )
        return cast("asyncio.Future[Reply]", future)

    def _read_again(self, step: asyncio.Future[Reply]) -> None:
        if step.cancelled() or step.exception():
            self.end()  # what Redis did is not known: answer, and let the client ask again
        elif self._answer is None or self._answer.done():
            return
        elif step.result()[0] != WAIT:
            self._answer.set_result(step.result())
        else:
            self._hold_back(step.result())
