"""What a parked poll and a delivered event cost an API process: scripts/bench channels.

Against a bare aiohttp long poll and, where it is installed, nginx's nchan: same machine, same load, turns taken
in one run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

import msgspec
from parking.command import run
from parking.stage import Figures, Stage, folder_of
from parking.targets import TARGETS

BASE = "aiohttp"


class Row(msgspec.Struct, kw_only=True):
    """One server. A cycle is: an event is published, delivered to a parked poll, and the client polls again.

    CPU is the server process's own, user and system, in microseconds; medians over the rounds.
    """

    server: str
    polls: int
    park_us: float
    """To take and park one poll."""
    burst_us: float
    """A cycle, all published at once."""
    steady_us: float
    """A cycle at the steady rate."""
    times_base: float | None
    """steady_us over that of bare aiohttp."""
    helper_us: float
    """A cycle at the steady rate, in the processes behind the server (Valkey)."""
    kib_per_poll: float
    rate: float
    p50_ms: float
    p99_ms: float
    worst_p99_ms: float
    """Of the rounds; p99_ms is their median."""
    lost: int
    doubled: int
    failed: int
    load_us: float
    rounds: int


class Plan(msgspec.Struct, frozen=True):
    servers: list[str]
    polls: int
    rate: float
    seconds: float
    rounds: int


async def measure(plan: Plan, root: Path) -> list[Row]:
    stages: dict[str, Stage] = {}
    bursts: dict[str, list[Figures]] = {}
    steady: dict[str, list[Figures]] = {}
    try:
        for name in plan.servers:
            stage = Stage(TARGETS[name](folder_of(root, name)), plan.polls)
            stages[name] = stage
            say(f"{name}: parking {plan.polls} polls")
            await stage.set_up()
        for turn in range(plan.rounds):
            for name, stage in stages.items():
                bursts.setdefault(name, []).append(await stage.burst())
                figures = await stage.steady(plan.rate, plan.seconds)
                steady.setdefault(name, []).append(figures)
                say(f"{name}, round {turn + 1}: {figures.server:.0f} µs a cycle")
        rows = [row(stages[name], plan, bursts[name], steady[name]) for name in stages]
    finally:
        for stage in stages.values():
            await stage.close()
    return compared(rows)


def row(stage: Stage, plan: Plan, bursts: list[Figures], steady: list[Figures]) -> Row:
    everything = [*bursts, *steady]
    p99s = [percentile(figures.latencies, 0.99) for figures in steady]
    return Row(
        server=stage.target.name,
        polls=plan.polls,
        park_us=round(stage.park_us, 1),
        burst_us=round(statistics.median(figures.server for figures in bursts), 1),
        steady_us=round(statistics.median(figures.server for figures in steady), 1),
        times_base=None,
        helper_us=round(statistics.median(figures.helper for figures in steady), 1),
        kib_per_poll=round(stage.kib_per_poll, 1),
        rate=plan.rate,
        p50_ms=round(statistics.median(percentile(each.latencies, 0.5) for each in steady), 2),
        p99_ms=round(statistics.median(p99s), 2),
        worst_p99_ms=round(max(p99s), 2),
        lost=sum(figures.lost for figures in everything),
        doubled=sum(figures.doubled for figures in everything),
        failed=len(stage.failures()),
        load_us=round(statistics.median(figures.load for figures in steady), 1),
        rounds=len(steady),
    )


def compared(rows: list[Row]) -> list[Row]:
    base = next((row.steady_us for row in rows if row.server == BASE), None)
    if base:
        for each in rows:
            each.times_base = round(each.steady_us / base, 2)
    return rows


def percentile(ordered: list[float], share: float) -> float:
    """In milliseconds."""
    if not ordered:
        return float("nan")
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1e3


def as_table(rows: list[Row]) -> str:
    head = (
        "server", "park µs", "burst µs", "steady µs", "times", "Valkey µs", "KiB/poll",
        "p50 ms", "p99 ms", "lost", "doubled",
    )  # fmt: skip
    lines = [
        (
            each.server,
            f"{each.park_us:.0f}",
            f"{each.burst_us:.0f}",
            f"{each.steady_us:.0f}",
            f"{each.times_base:.2f}" if each.times_base else "–",
            f"{each.helper_us:.0f}" if each.helper_us else "–",
            f"{each.kib_per_poll:.1f}",
            f"{each.p50_ms:.2f}",
            f"{each.p99_ms:.2f}",
            str(each.lost + each.failed),
            str(each.doubled),
        )
        for each in rows
    ]
    widths = [max(len(line[n]) for line in [head, *lines]) for n in range(len(head))]
    rule = tuple("-" * (width - 1) + (":" if n else "-") for n, width in enumerate(widths))
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in [head, rule, *lines]
    )


def say(text: str) -> None:
    """Progress, apart from the result."""
    print(text, file=sys.stderr, flush=True)


def plan_from(arguments: argparse.Namespace) -> Plan:
    chosen = arguments.servers.split(",") if arguments.servers else list(TARGETS)
    for name in chosen:
        if name not in TARGETS:
            raise SystemExit(f"no server named {name!r}; there are: {', '.join(TARGETS)}")
    usable = []
    for name in chosen:
        if reason := TARGETS[name].missing():
            say(f"skipped {name}: {reason}")
        else:
            usable.append(name)
    return Plan(
        servers=usable,
        polls=arguments.polls,
        rate=arguments.rate,
        seconds=arguments.seconds or (3.0 if arguments.quick else 10.0),
        rounds=arguments.rounds or (1 if arguments.quick else 5),
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench channels", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document of rows")
    parser.add_argument("--quick", action="store_true", help="under a minute: one short round")
    parser.add_argument("--servers", help=f"of {', '.join(TARGETS)}")
    parser.add_argument("--polls", type=int, default=5000, help="parked polls (5000)")
    parser.add_argument("--rate", type=float, default=2000.0, help="events a second (2000)")
    parser.add_argument("--seconds", type=float, help="length of a steady round (10)")
    parser.add_argument("--rounds", type=int, help="for each server, in turns (5)")
    return parser.parse_args()


def main() -> None:
    chosen = arguments()
    plan = plan_from(chosen)
    rows = run(lambda root: measure(plan, root))
    print(json.dumps(msgspec.to_builtins(rows), indent=1) if chosen.json else as_table(rows))


if __name__ == "__main__":
    main()
