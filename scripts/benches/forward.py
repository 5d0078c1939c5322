"""CPU per forwarded packet, share delivered and delay of SFUs under the same loads: scripts/bench forward."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence

from load import kernel, namespace, report, shapes
from load.bouts import Plan, say, set_up
from load.dtls import Identity
from load.janus import Janus
from load.parley import ParleyNative, ParleyPython
from load.rates import climb, occupy
from load.relay import AiortcRelay
from load.stage import Server

RELAY = "relay-3"
_GROUPS: dict[str, Sequence[str]] = {
    "targets": (*shapes.TARGETS, RELAY),
    "half": shapes.HALF,
    "moonshots": shapes.MOONSHOTS,
    "extras": shapes.EXTRAS,
}
_LOADS_HELP = (
    f"of {', '.join(shapes.LOADS)}; in any size: {', '.join(shapes.SIZED)} (as in width@50); together: "
    + "; ".join(f"{group} = {', '.join(loads)}" for group, loads in _GROUPS.items())
)
Measure = Callable[[shapes.Load, Plan, Identity], Awaitable[list[report.Row]]]
SERVERS: dict[str, type[Server]] = {
    server.name: server for server in (Janus, ParleyNative, ParleyPython, AiortcRelay)
}


async def compare(load: shapes.Load, plan: Plan, identity: Identity) -> list[report.Row]:
    """Set the load up on every server, then let them take turns."""
    found = await asyncio.gather(*(set_up(kind, load, identity) for kind in plan.servers))
    bouts = [bout for bout in found if bout is not None]
    try:
        for bout in bouts:
            await bout.warm_up(plan.warm_up)
        for _ in range(plan.runs):
            for bout in bouts:
                bout.windows.append(await bout.meter.window(plan.seconds, plan.latency_seconds))
                await bout.meter.rest()
        return list(await asyncio.gather(*(bout.row(bout.windows) for bout in bouts)))
    finally:
        for bout in bouts:
            await bout.close()


async def run(plan: Plan, rows: list[report.Row]) -> None:
    """Adds to `rows` as they are found, so that an interrupted run keeps what it has."""
    _end_in_order_on_sigterm()
    identity = Identity()
    for load in plan.loads:
        say(f"{load.name}: {load.title}, {load.legs} legs")
        rows += await _measure(load)(load, plan, identity)


def _measure(load: shapes.Load) -> Measure:
    if load.moonshot:
        return climb
    return compare if load.cpu_goal is None else occupy


def _end_in_order_on_sigterm() -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def plan_from(arguments: argparse.Namespace) -> Plan:
    chosen = _expanded(arguments.loads) if arguments.loads else _GROUPS["targets"]
    if arguments.quick and not arguments.loads:
        chosen = shapes.QUICK
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
            usable.append(SERVERS[name])
    return Plan(
        loads=loads,
        servers=usable,
        seconds=arguments.seconds or (1.2 if arguments.quick else 5.0),
        latency_seconds=0.5 if arguments.quick else 2.0,
        runs=arguments.runs or (1 if arguments.quick else 3),
        warm_up=1.5 if arguments.quick else 5.0,
    )


def _expanded(names: str) -> Sequence[str]:
    return [load for name in names.split(",") for load in _GROUPS.get(name, (name,))]


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
