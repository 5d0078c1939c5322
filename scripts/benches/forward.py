"""CPU per forwarded packet, share delivered and delay of SFUs under the same loads: scripts/bench forward."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterable
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


@dataclass
class Bout:
    """One server with one load on it."""

    server: Server
    stage: Stage
    meter: Meter
    resident_before: float
    windows: list[Window]


async def compare(load: shapes.Load, plan: Plan, identity: Identity) -> list[report.Row]:
    """Set the load up on every server, then let them take turns."""
    bouts: list[Bout] = []
    try:
        for name in plan.servers:
            if (bout := await _set_up(name, load, identity)) is not None:
                bouts.append(bout)
        for _ in range(plan.runs):
            for bout in bouts:
                bout.windows.append(await bout.meter.window(plan.seconds, plan.latency_seconds))
                await bout.meter.rest()
        return [
            report.row(bout.server.name, bout.stage, bout.windows, bout.resident_before)
            for bout in bouts
        ]
    finally:
        for bout in bouts:
            await bout.stage.close()
            await bout.server.stop()


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
        await server.set_up(stage, identity)
        meter = Meter(stage, server.pid)
        if not await meter.warm_up():
            say(f"{load.name}: {name} does not deliver everything after 10 s")
        await meter.rest()
    except (ServerFailed, PeerFailed) as failure:
        say(f"{load.name}: {name} left out: {failure}")
        await stage.close()
        await server.stop()
        return None
    return Bout(server, stage, meter, resident, [])


async def run(plan: Plan) -> list[report.Row]:
    identity = Identity()
    rows: list[report.Row] = []
    for load in plan.loads:
        say(f"{load.name}: {load.title}, {load.legs} legs")
        rows += await compare(load, plan, identity)
    return rows


def say(text: str) -> None:
    """Progress, apart from the result."""
    print(text, file=sys.stderr, flush=True)


def plan_from(arguments: argparse.Namespace) -> Plan:
    chosen = arguments.loads.split(",") if arguments.loads else [*shapes.TARGETS, RELAY]
    if arguments.quick and not arguments.loads:
        chosen = list(shapes.QUICK)
    servers = arguments.servers.split(",") if arguments.servers else list(SERVERS)
    _refuse_unknown("load", chosen, shapes.LOADS)
    _refuse_unknown("server", servers, SERVERS)
    usable = []
    for name in servers:
        reason = SERVERS[name].missing()
        if reason:
            say(f"skipped {name}: {reason}")
        else:
            usable.append(name)
    return Plan(
        loads=[shapes.LOADS[name]() for name in chosen],
        servers=usable,
        seconds=arguments.seconds or (1.2 if arguments.quick else 5.0),
        latency_seconds=0.5 if arguments.quick else 2.0,
        runs=arguments.runs or (1 if arguments.quick else 3),
    )


def _refuse_unknown(what: str, names: list[str], known: Iterable[str]) -> None:
    for name in names:
        if name not in known:
            raise SystemExit(f"no {what} named {name!r}; there are: {', '.join(known)}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench forward", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document of rows")
    parser.add_argument(
        "--quick", action="store_true", help="under a minute: fewer loads, one short window"
    )
    parser.add_argument("--loads", help=f"of {', '.join(shapes.LOADS)}")
    parser.add_argument("--servers", help=f"of {', '.join(SERVERS)}")
    parser.add_argument("--seconds", type=float, help="length of a window (5)")
    parser.add_argument("--runs", type=int, help="windows for each server, in turns (3)")
    return parser.parse_args()


def main() -> None:
    chosen = arguments()
    namespace.enter()
    plan = plan_from(chosen)
    kernel.allow_open_files(65_536)
    rows = asyncio.run(run(plan))
    print(report.as_json(rows) if chosen.json else report.as_table(rows))


if __name__ == "__main__":
    main()
