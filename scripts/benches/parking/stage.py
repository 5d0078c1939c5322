"""One server with its parked polls: what parking, bursts and a steady rate cost it."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from parking import procfs
from parking.clients import Publisher, Subscriber, publishers, subscribers
from parking.targets import Target

_PUBLISHERS = 16
_PARKED_AT_ONCE = 500
_QUIET_STEP = 0.1
_QUIET_CPU = 0.02  # share of a core
_QUIET_WITHIN = 20.0
_DELIVERED_WITHIN = 30.0
_PACE = 0.001  # seconds between looks at what is due


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """CPU in microseconds of the server per cycle; `helper` is that of the processes behind it."""

    cycles: int
    seconds: float
    server: float
    helper: float
    load: float
    latencies: list[float]
    lost: int
    doubled: int


class Stage:
    """Sets up once, measures as often as asked."""

    def __init__(self, target: Target, polls: int) -> None:
        self.target = target
        self._polls = polls
        self._subscribers: list[Subscriber] = []
        self._publishers: list[Publisher] = []
        self._numbers = itertools.count(1)
        self._sent: dict[int, float] = {}
        self._latencies: list[float] = []
        self._unexpected = 0
        self.kib_per_poll = 0.0
        self.park_us = 0.0

    async def set_up(self) -> None:
        """Start the server and park the polls."""
        await self.target.start()
        await self._warm_up()
        resident = procfs.resident_kib(self.target.pid)
        await self.target.open_channels(self._polls)
        self._subscribers = await subscribers(self.target, self._polls, self._on_event)
        self._publishers = await publishers(self.target, _PUBLISHERS)
        await self._quiet()
        cpu = procfs.cpu_seconds(self.target.pid)
        for start in range(0, self._polls, _PARKED_AT_ONCE):
            for subscriber in self._subscribers[start : start + _PARKED_AT_ONCE]:
                subscriber.poll()
            await asyncio.sleep(0.05)
        await self._quiet()
        self.park_us = (procfs.cpu_seconds(self.target.pid) - cpu) / self._polls * 1e6
        self.kib_per_poll = (procfs.resident_kib(self.target.pid) - resident) / self._polls
        for subscriber in self._subscribers:
            subscriber.repoll = True

    async def burst(self) -> Figures:
        """One event to each poll, as fast as the server takes them; each polls again at once."""
        return await self._measure(self._send_burst)

    async def steady(self, rate: float, seconds: float) -> Figures:
        """Events at a rate, to one poll after another."""

        async def send() -> None:
            started = time.perf_counter()
            total = int(rate * seconds)
            done = 0
            while done < total:
                await asyncio.sleep(_PACE)
                due = min(total, int((time.perf_counter() - started) * rate))
                for number in range(done, due):
                    self._publish(number % self._polls)
                done = due

        return await self._measure(send)

    async def idle(self, seconds: float) -> tuple[float, float]:
        """CPU while nothing happens, as shares of a core: the server's, and that of what is behind it."""
        await self._quiet()
        before = self._cpu()
        await asyncio.sleep(seconds)
        server, helper, _ = (after - b for after, b in zip(self._cpu(), before, strict=True))
        return server / seconds, helper / seconds

    async def close(self) -> None:
        for each in [*self._subscribers, *self._publishers]:
            each.transport.abort()
        await self.target.stop()

    def failures(self) -> list[bytes]:
        """Answers that were no success."""
        everybody = [*self._subscribers, *self._publishers]
        return [failure for each in everybody for failure in each.failures]

    async def _warm_up(self) -> None:
        """What a server allocates once is not what a poll costs."""
        some = await subscribers(self.target, 1, lambda *_: None)
        some[0].transport.write(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        await self._quiet()
        some[0].transport.abort()

    async def _send_burst(self) -> None:
        for channel in range(self._polls):
            self._publish(channel)

    async def _measure(self, send: Callable[[], Awaitable[None]]) -> Figures:
        await self._quiet()
        self._latencies, self._unexpected = [], 0
        first = next(self._numbers)
        before = self._cpu()
        started = time.perf_counter()
        await send()
        await self._all_delivered()
        await self._quiet()
        server, helper, own = (after - b for after, b in zip(self._cpu(), before, strict=True))
        cycles = next(self._numbers) - first - 1
        lost, self._sent = len(self._sent), {}
        return Figures(
            cycles=cycles,
            seconds=time.perf_counter() - started,
            server=server / cycles * 1e6,
            helper=helper / cycles * 1e6,
            load=own / cycles * 1e6,
            latencies=sorted(self._latencies),
            lost=lost,
            doubled=self._unexpected,
        )

    def _publish(self, channel: int) -> None:
        number = next(self._numbers)
        self._sent[number] = time.perf_counter()
        publisher = self._publishers[number % _PUBLISHERS]
        publisher.send(self.target.publish_request(channel, self.target.event(number)))

    def _on_event(self, number: int, now: float) -> None:
        sent = self._sent.pop(number, None)
        if sent is None:
            self._unexpected += 1
        else:
            self._latencies.append(now - sent)

    def _cpu(self) -> tuple[float, float, float]:
        helpers = sum(procfs.cpu_seconds(pid) for pid in self.target.helpers())
        return procfs.cpu_seconds(self.target.pid), helpers, procfs.cpu_seconds(os.getpid())

    async def _all_delivered(self) -> None:
        deadline = time.monotonic() + _DELIVERED_WITHIN
        # an Event would cost on each delivery
        while self._sent and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def _quiet(self) -> None:
        """Until the server has nothing to do any more."""
        deadline = time.monotonic() + _QUIET_WITHIN
        before = procfs.cpu_seconds(self.target.pid)
        while time.monotonic() < deadline:
            await asyncio.sleep(_QUIET_STEP)
            now = procfs.cpu_seconds(self.target.pid)
            if now - before < _QUIET_CPU * _QUIET_STEP:
                return
            before = now


def folder_of(root: Path, target: str) -> Path:
    folder = root / target
    folder.mkdir()
    return folder
