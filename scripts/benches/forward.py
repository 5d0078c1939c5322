"""CPU per forwarded packet, share delivered and delay of SFUs under the same loads: scripts/bench forward."""

from __future__ import annotations

import argparse
import asyncio
import math
import signal
import sys
from dataclasses import dataclass

from load import kernel, namespace, report, shapes
from load.dtls import Identity
from load.janus import Janus
from load.measuring import Meter, Window
from load.parley import ParleyNative, ParleyPython
from load.peer import PeerFailed
from load.relay import AiortcRelay
from load.stage import Server, ServerFailed, Stage

RELAY = "relay-3"
_SET_UP_WITHIN = 240.0
_CLIMB_STEPS = 10
_FIRST_SHARE = 1 / 16
_LEAST_SHARE = 1 / 1024
_WITHOUT_LOSS = 0.9995
_SHORT_BACKLOG = 0.5
SERVERS: dict[str, type[Server]] = {
    server.name: server for server in (Janus, ParleyNative, ParleyPython, AiortcRelay)
}


@dataclass(frozen=True)
class Plan:
    loads: list[shapes.Load]
    servers: list[str]
    seconds: float
    latency_seconds: float
    runs: int
    warm_up: float


@dataclass
class Bout:
    """One server with one load on it."""

    server: Server
    stage: Stage
    meter: Meter
    resident_before: float
    windows: list[Window]
    counted_before: dict[str, int]

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


async def compare(load: shapes.Load, plan: Plan, identity: Identity) -> list[report.Row]:
    """Set the load up on every server, then let them take turns."""
    found = await asyncio.gather(*(_set_up(name, load, identity) for name in plan.servers))
    bouts = [bout for bout in found if bout is not None]
    try:
        for bout in bouts:
            await _warm_up(bout, plan)
        for _ in range(plan.runs):
            for bout in bouts:
                bout.windows.append(await bout.meter.window(plan.seconds, plan.latency_seconds))
                await bout.meter.rest()
        return list(await asyncio.gather(*(bout.row(bout.windows) for bout in bouts)))
    finally:
        for bout in bouts:
            await _take_down(bout.stage, bout.server)


async def climb(load: shapes.Load, plan: Plan, identity: Identity) -> list[report.Row]:
    """For each server alone: the highest share of the load's rate that it carries without loss or backlog."""
    rows: list[report.Row] = []
    for name in plan.servers:
        bout = await _set_up(name, load, identity)
        if bout is None:
            continue
        try:
            for stream in bout.stage.streams:
                stream.slow_to(_FIRST_SHARE)
            await _warm_up(bout, plan)
            rows.append(await _highest_share(bout, plan))
        finally:
            await _take_down(bout.stage, bout.server)
    return rows


async def _highest_share(bout: Bout, plan: Plan) -> report.Row:
    """From little upwards, by what its CPU seems to allow, then halving what is left.

    Never far above what it can: a server with seconds of backlog would spoil the next window.
    """
    held, lost = 0.0, math.inf
    share = _FIRST_SHARE
    best: report.Row | None = None
    for _ in range(_CLIMB_STEPS):
        found = await _at_share(bout, plan, share)
        if (found.delivered or 0.0) >= _WITHOUT_LOSS and found.backlog_s < _SHORT_BACKLOG:
            best, held = found, share
        else:
            lost = share
        if held == 1.0 or lost < 1.1 * held or (not held and lost < _LEAST_SHARE):
            break
        share = (held + lost) / 2 if lost < math.inf else min(1.0, share * _step(found))
    return best or found


def _step(row: report.Row) -> float:
    """How much more to try: to 85 % of a core, at least a third and at most eight times."""
    return max(1.33, min(8.0, 85 / max(row.cpu_percent, 1.0)))


async def _at_share(bout: Bout, plan: Plan, share: float) -> report.Row:
    for stream in bout.stage.streams:
        stream.slow_to(share)
    window = await bout.meter.window(plan.seconds, plan.latency_seconds)
    name, load = bout.server.name, bout.stage.load.name
    row = await bout.row([window], round(share, 4))
    say(
        f"{load}: {name} at {share:.3f} of the rate: {row.delivered} delivered, backlog {row.backlog_s} s"
    )
    return row


async def _take_down(stage: Stage, server: Server) -> None:
    await stage.close()
    await server.stop()


async def _set_up(name: str, load: shapes.Load, identity: Identity) -> Bout | None:
    if reason := SERVERS[name].refuses(load):
        say(f"{load.name}: {name} left out: {reason}")
        return None
    server = SERVERS[name]()
    stage = Stage(load)
    try:
        stage.upkeep.start()
        await server.start()
        resident = kernel.process_figures(server.pid).resident_mib
        async with asyncio.timeout(_SET_UP_WITHIN):
            await server.set_up(stage, identity)
    except TimeoutError:
        say(f"{load.name}: {name} left out: not set up within {_SET_UP_WITHIN:.0f} s")
        await _take_down(stage, server)
        return None
    except (ServerFailed, PeerFailed) as failure:
        say(f"{load.name}: {name} left out: {failure}")
        await _take_down(stage, server)
        return None
    except BaseException:
        await _take_down(stage, server)
        raise
    return Bout(server, stage, Meter(stage, server.pid), resident, [], {})


async def _warm_up(bout: Bout, plan: Plan) -> None:
    if not await bout.meter.warm_up(plan.warm_up):
        name, load = bout.server.name, bout.stage.load.name
        say(f"{load}: {name} does not deliver everything after {plan.warm_up:g} s")
    await bout.meter.rest()
    bout.counted_before = await bout.server.counters(fresh=False)


async def run(plan: Plan, rows: list[report.Row]) -> None:
    """Adds to `rows` as they are found, so that an interrupted run keeps what it has."""
    _end_in_order_on_sigterm()
    identity = Identity()
    for load in plan.loads:
        say(f"{load.name}: {load.title}, {load.legs} legs")
        measure = climb if load.moonshot else compare
        rows += await measure(load, plan, identity)


def _end_in_order_on_sigterm() -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def say(text: str) -> None:
    """Progress, apart from the result."""
    print(text, file=sys.stderr, flush=True)


def plan_from(arguments: argparse.Namespace) -> Plan:
    chosen = _expanded(arguments.loads) if arguments.loads else [*shapes.TARGETS, RELAY]
    if arguments.quick and not arguments.loads:
        chosen = list(shapes.QUICK)
    servers = arguments.servers.split(",") if arguments.servers else list(SERVERS)
    try:
        loads = [shapes.named(name) for name in chosen]
    except ValueError as error:
        raise SystemExit(str(error)) from None
    usable = []
    for name in servers:
        if name not in SERVERS:
            raise SystemExit(f"no server named {name!r}; there are: {', '.join(SERVERS)}")
        reason = SERVERS[name].missing()
        if reason:
            say(f"skipped {name}: {reason}")
        else:
            usable.append(name)
    return Plan(
        loads=loads,
        servers=usable,
        seconds=arguments.seconds or (1.2 if arguments.quick else 5.0),
        latency_seconds=0.5 if arguments.quick else 2.0,
        runs=arguments.runs or (1 if arguments.quick else 3),
        warm_up=1.5 if arguments.quick else 5.0,
    )


def _expanded(names: str) -> list[str]:
    together = {"moonshots": shapes.MOONSHOTS, "extras": shapes.EXTRAS}
    return [load for name in names.split(",") for load in together.get(name, (name,))]


_LOADS_HELP = (
    f"of {', '.join(shapes.LOADS)}; in any size: {', '.join(shapes.SIZED)} (as in width@50); "
    f"together: moonshots = {', '.join(shapes.MOONSHOTS)}; extras = {', '.join(shapes.EXTRAS)}"
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench forward", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document of rows")
    parser.add_argument(
        "--quick", action="store_true", help="under a minute: fewer loads, one short window"
    )
    parser.add_argument("--loads", help=_LOADS_HELP)
    parser.add_argument("--servers", help=f"of {', '.join(SERVERS)}")
    parser.add_argument("--seconds", type=float, help="length of a window (5)")
    parser.add_argument("--runs", type=int, help="windows for each server, in turns (3)")
    return parser.parse_args()


def main() -> None:
    chosen = arguments()
    namespace.enter()
    plan = plan_from(chosen)
    kernel.allow_open_files(65_536)
    rows: list[report.Row] = []
    interrupted = False
    try:
        asyncio.run(run(plan, rows))
    except (KeyboardInterrupt, asyncio.CancelledError):
        say("interrupted")
        interrupted = True
    print(report.as_json(rows) if chosen.json else report.as_table(rows))
    sys.exit(130 if interrupted else 0)


if __name__ == "__main__":
    main()
