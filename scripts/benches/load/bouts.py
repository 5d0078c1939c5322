"""One server with one load on it: set up, warmed up, measured, taken down."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field

from load import kernel, report, shapes
from load.dtls import Identity
from load.measuring import Meter, Window
from load.peer import PeerFailed
from load.stage import Server, ServerFailed, Stage

_SET_UP_WITHIN = 240.0


@dataclass(frozen=True)
class Plan:
    loads: list[shapes.Load]
    servers: list[type[Server]]
    seconds: float
    latency_seconds: float
    runs: int
    warm_up: float


@dataclass
class Bout:
    """Made by `set_up`; `close` it in the end."""

    server: Server
    stage: Stage
    meter: Meter
    resident_before: float
    windows: list[Window] = field(default_factory=list)
    counted_before: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.stage.load.name}: {self.server.name}"

    async def warm_up(self, within: float) -> None:
        """Until everything that is due arrives; said aloud when it does not in time."""
        if not await self.meter.warm_up(within):
            say(f"{self.name} does not deliver everything after {within:g} s")
        await self.meter.rest()
        self.counted_before = await self.server.counters(fresh=False)

    def pace(self, share: float) -> None:
        """Send the same packets at this share of the load's rate."""
        for stream in self.stage.streams:
            stream.slow_to(share)

    async def row(self, windows: list[Window], share: float = 1.0) -> report.Row:
        """Of these windows, and of what the server counted since the last row or warm-up."""
        counted = await self.server.counters(fresh=True)
        grown = {name: count - self.counted_before.get(name, 0) for name, count in counted.items()}
        self.counted_before = counted
        return report.row(
            self.server.name,
            self.stage,
            windows,
            resident_before=self.resident_before,
            counted={name: count for name, count in grown.items() if count},
            share=share,
        )

    async def forget_counts(self) -> None:
        """What the server has counted so far belongs to no row."""
        self.counted_before = await self.server.counters(fresh=True)

    async def close(self) -> None:
        await _take_down(self.stage, self.server)


async def set_up(
    kind: type[Server], load: shapes.Load, identity: Identity, pace: float = 1.0
) -> Bout | None:
    """Everyone connected while publishers send at `pace`; None, said aloud, when the server can't have it."""
    if reason := kind.refuses(load):
        say(f"{load.name}: {kind.name} left out: {reason}")
        return None
    server = kind()
    stage = Stage(load, pace)
    try:
        stage.upkeep.start()
        await server.start()
        resident = kernel.process_figures(server.pid).resident_mib
        async with asyncio.timeout(_SET_UP_WITHIN):
            await server.set_up(stage, identity)
    except TimeoutError:
        connected = sum(peer.connected for peer in stage.peers)
        say(
            f"{load.name}: {server.name} left out: not set up within {_SET_UP_WITHIN:.0f} s"
            f" ({connected} transports were)"
        )
        await _take_down(stage, server)
        return None
    except (ServerFailed, PeerFailed) as failure:
        say(f"{load.name}: {server.name} left out: {failure}")
        await _take_down(stage, server)
        return None
    except BaseException:
        await _take_down(stage, server)
        raise
    return Bout(server, stage, Meter(stage, server.pid), resident)


def say(text: str) -> None:
    """Progress, apart from the result."""
    print(text, file=sys.stderr, flush=True)


async def _take_down(stage: Stage, server: Server) -> None:
    await stage.close()
    await server.stop()
