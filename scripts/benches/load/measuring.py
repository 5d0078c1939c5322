"""Windows of load on a stage: CPU per forwarded packet, what arrived, and how late."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from typing import NamedTuple

from pylibsrtp import Error as SrtpError

from load import kernel, rtp
from load.peer import Peer
from load.stage import Stage, Viewer

_SAMPLES = 5
_SAMPLE_BUFFER = 256 << 20
"""Everything that a viewer gets in the shorter window stays in its socket until that is over."""
_WARM_UP_SLICE = 0.5
_QUIET_EVERY = 0.05
_QUIET_READINGS = 10
_QUIET_WITHIN = 20.0
_WARM = 0.98
_STAMPING_STARTS = 0.05
"""The kernel begins to stamp a little after it is asked to (a static branch that a work item flips)."""


@dataclass(frozen=True)
class Window:
    """What one window found."""

    seconds: float
    """Of sending."""
    span: float
    """Until the last packet had arrived."""
    packets_in: int
    packets_due: int
    packets_delivered: int
    """Of those due."""
    packets_arrived: int
    """What the server sent, which is not the same where it encodes anew."""
    cpu_seconds: float
    softirq_seconds: float
    load_cpu_seconds: float
    other_cpu_seconds: float
    """Of everything else on the machine."""
    resident_mib: float
    late_ms: float
    latencies_ms: list[float]
    unopened: int
    """Sampled packets that could not be opened or were not ours."""


class _Counts(NamedTuple):
    sent: int
    due: int
    delivered: int
    arrived: int


class Meter:
    """Measures one stage on one server, as often as asked."""

    def __init__(self, stage: Stage, pid: int) -> None:
        self._stage = stage
        self._pid = pid
        self._missing: int | None = None
        """Packets that will never come: how many at the last quiet moment."""
        self._samples = _evenly(stage.viewers, _SAMPLES)
        for viewer in self._samples:
            for peer in viewer.peers:
                peer.sampled = True

    async def warm_up(self, within: float) -> bool:
        """Run until everything that is due arrives; False when it does not in time."""
        self._stage.upkeep.reporting = True
        self._stage.pump.resume()
        if not self._stage.streams:
            return True
        for _ in range(math.ceil(within / _WARM_UP_SLICE)):
            before = self._counts()
            await asyncio.sleep(_WARM_UP_SLICE)
            now = self._counts()
            due = now.due - before.due
            if due and now.delivered - before.delivered >= _WARM * due:
                return True
        return False

    async def rest(self) -> None:
        """Send nothing and stay connected, while another server has its turn."""
        self._stage.pump.pause()
        self._stage.upkeep.reporting = False

    async def window(self, seconds: float, latency_seconds: float) -> Window:
        """From quiet to quiet, so that every packet sent can be accounted for."""
        self._stage.upkeep.reporting = True
        self._stage.pump.pause()
        await self._quiet()
        before = self._counts()
        softirq, figures, own = kernel.softirq_seconds(), self._figures(), time.process_time()
        busy = kernel.busy_seconds()
        started = time.perf_counter()
        if self._stage.streams:
            self._stage.pump.resume()
        await asyncio.sleep(seconds)
        elapsed = time.perf_counter() - started
        late = self._stage.pump.worst_delay_ms
        self._stage.pump.pause()
        await self._quiet()
        span = time.perf_counter() - started
        self._stage.upkeep.check()
        after, counts = self._figures(), self._counts()
        busy = kernel.busy_seconds() - busy
        softirq = kernel.softirq_seconds() - softirq
        own = time.process_time() - own
        used = after.cpu_seconds - figures.cpu_seconds
        latencies, unopened = await self._latencies(latency_seconds)
        late = max(late, self._stage.pump.worst_delay_ms)
        return Window(
            seconds=elapsed,
            span=span,
            packets_in=counts.sent - before.sent,
            packets_due=counts.due - before.due,
            packets_delivered=counts.delivered - before.delivered,
            packets_arrived=counts.arrived - before.arrived,
            cpu_seconds=used,
            softirq_seconds=softirq,
            load_cpu_seconds=own,
            other_cpu_seconds=max(busy - own - used - softirq, 0.0),
            resident_mib=after.resident_mib,
            late_ms=late,
            latencies_ms=latencies,
            unopened=unopened,
        )

    async def _latencies(self, seconds: float) -> tuple[list[float], int]:
        """Let a few viewers see everything for a while, with the kernel's arrival times."""
        if not self._samples or not self._stage.streams or seconds <= 0:
            return [], 0
        sampling = Sampling([peer for viewer in self._samples for peer in viewer.peers])
        sampling.begin()
        await asyncio.sleep(_STAMPING_STARTS)
        self._stage.pump.resume()
        await asyncio.sleep(
            seconds
        )  # reading meanwhile would hold up the pump, and frames would leave in bunches
        self._stage.pump.pause()
        await self._quiet(sampling)
        sampling.end()
        return sampling.latencies_ms(self._stage)

    async def _quiet(self, sampling: Sampling | None = None) -> None:
        """Until all that was sent has arrived, or nothing has arrived for a while."""
        deadline = time.monotonic() + _QUIET_WITHIN
        still, arrived = 0, -1
        while time.monotonic() < deadline:
            if sampling is not None:
                sampling.drain()
            counts = self._counts()
            missing = counts.due - counts.delivered
            still = still + 1 if counts.arrived == arrived else 0
            if missing == self._missing or still == _QUIET_READINGS:
                break
            arrived = counts.arrived
            await asyncio.sleep(_QUIET_EVERY)
        self._missing = missing

    def _counts(self) -> _Counts:
        viewers = self._stage.viewers
        return _Counts(
            sent=sum(stream.sent for stream in self._stage.streams),
            due=sum(viewer.due() for viewer in viewers),
            delivered=sum(viewer.delivered() for viewer in viewers),
            arrived=sum(viewer.arrived() for viewer in viewers),
        )

    def _figures(self) -> kernel.ProcessFigures:
        return kernel.process_figures(self._pid)


class Sampling:
    """Reads everything that some peers receive, with arrival times; opened afterwards, not while it runs."""

    def __init__(self, peers: list[Peer]) -> None:
        self._peers = peers
        self.taken: list[tuple[Peer, bytes, int]] = []

    def begin(self) -> None:
        for peer in self._peers:
            peer.pause_reading()
            kernel.large_receive_buffer(peer.socket, _SAMPLE_BUFFER)
            kernel.stamp_arrivals(peer.socket, True)
            kernel.keep_rtp(peer.socket)

    def drain(self) -> None:
        for peer in self._peers:
            while (received := kernel.receive_stamped(peer.socket)) is not None:
                self.taken.append((peer, *received))
                peer.rtp_received += rtp.is_media(received[0])

    def end(self) -> None:
        self.drain()
        for peer in self._peers:
            kernel.drop_rtp(peer.socket)
            kernel.stamp_arrivals(peer.socket, False)
            peer.resume_reading()

    def latencies_ms(self, stage: Stage) -> tuple[list[float], int]:
        """Sorted times from send to receive, and how many packets could not be read."""
        found: list[float] = []
        unopened = 0
        for peer, data, arrival in self.taken:
            if not rtp.is_media(data):
                continue
            try:
                stream, number = rtp.read_tag(peer.keys.receive.unprotect(data))
                sent = stage.streams[stream].sent_at[number]
            except (SrtpError, IndexError):
                unopened += 1
                continue
            found.append((arrival - sent) / 1e6)
        return sorted(found), unopened


def percentile(ordered: list[float], share: float) -> float | None:
    """Of sorted values; None of none."""
    if not ordered:
        return None
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def _evenly(viewers: list[Viewer], count: int) -> list[Viewer]:
    """First, last and between: who is served last waits longest."""
    receiving = [viewer for viewer in viewers if viewer.watches and viewer.traceable]
    if len(receiving) <= count:
        return receiving
    return [receiving[place * (len(receiving) - 1) // (count - 1)] for place in range(count)]
