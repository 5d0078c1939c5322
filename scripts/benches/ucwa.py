"""What ten thousand UCWA applications with parked polls cost an API process: scripts/bench ucwa.

Beside the same number of plain channels of the same process, where each poll is parked and woken the same way.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

import msgspec
from channels import percentile
from parking.command import run
from parking.stage import Figures, Stage, folder_of
from parking.targets import Parley, Target, Ucwa

KINDS: dict[str, type[Target]] = {"ucwa": Ucwa, "channels": Parley}
_IDLE_SECONDS = 20.0


class Row(msgspec.Struct, kw_only=True):
    """One kind of poll. A cycle is: an event is published, rendered, delivered to a parked poll, and the client polls
    again. CPU is the API process's own, user and system."""

    kind: str
    polls: int
    park_us: float
    """To take and park one poll."""
    kib_per_poll: float
    """Resident memory that creating and parking added, over the polls."""
    idle_percent: float
    """Of one core, with all parked and nothing happening."""
    idle_helper_percent: float
    """The same of Valkey."""
    burst_us: float
    """A cycle, all published at once."""
    steady_us: float
    """A cycle at the steady rate."""
    helper_us: float
    """Valkey's part of it."""
    rate: float
    p50_ms: float
    p99_ms: float
    lost: int
    doubled: int
    failed: int


class Plan(msgspec.Struct, frozen=True):
    kinds: list[str]
    polls: int
    rate: float
    seconds: float
    idle: float
    rounds: int


async def measure(plan: Plan, root: Path) -> list[Row]:
    """One kind after the other: each with the machine to itself."""
    return [await _measured(kind, plan, root) for kind in plan.kinds]


async def _measured(kind: str, plan: Plan, root: Path) -> Row:
    stage = Stage(KINDS[kind](folder_of(root, kind)), plan.polls)
    try:
        say(f"{kind}: creating and parking {plan.polls}")
        await stage.set_up()
        idle = await stage.idle(plan.idle)
        bursts = [await stage.burst() for _ in range(plan.rounds)]
        steady = [await stage.steady(plan.rate, plan.seconds) for _ in range(plan.rounds)]
        return _row(kind, plan, stage, idle, bursts, steady)
    finally:
        await stage.close()


def _row(
    kind: str,
    plan: Plan,
    stage: Stage,
    idle: tuple[float, float],
    bursts: list[Figures],
    steady: list[Figures],
) -> Row:
    everything = [*bursts, *steady]
    return Row(
        kind=kind,
        polls=plan.polls,
        park_us=round(stage.park_us, 1),
        kib_per_poll=round(stage.kib_per_poll, 1),
        idle_percent=round(idle[0] * 100, 2),
        idle_helper_percent=round(idle[1] * 100, 2),
        burst_us=round(statistics.median(each.server for each in bursts), 1),
        steady_us=round(statistics.median(each.server for each in steady), 1),
        helper_us=round(statistics.median(each.helper for each in steady), 1),
        rate=plan.rate,
        p50_ms=round(statistics.median(percentile(each.latencies, 0.5) for each in steady), 2),
        p99_ms=round(statistics.median(percentile(each.latencies, 0.99) for each in steady), 2),
        lost=sum(each.lost for each in everything),
        doubled=sum(each.doubled for each in everything),
        failed=len(stage.failures()),
    )


def as_table(rows: list[Row]) -> str:
    names = list(Row.__struct_fields__)
    columns = [[name, *(str(getattr(row, name)) for row in rows)] for name in names]
    widths = [max(len(line[n]) for line in columns) for n in range(len(rows) + 1)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in columns
    )


def say(text: str) -> None:
    """Progress, apart from the result."""
    print(text, file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench ucwa", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document of rows")
    parser.add_argument(
        "--quick", action="store_true", help="under a minute: fewer, one short round"
    )
    parser.add_argument("--kinds", default=",".join(KINDS), help=f"of {', '.join(KINDS)}")
    parser.add_argument("--polls", type=int, help="parked polls (10000)")
    parser.add_argument("--rate", type=float, default=1000.0, help="events a second (1000)")
    parser.add_argument("--seconds", type=float, help="length of a steady round (10)")
    parser.add_argument("--rounds", type=int, help="of each kind (3)")
    return parser.parse_args()


def plan_from(chosen: argparse.Namespace) -> Plan:
    kinds = chosen.kinds.split(",")
    for kind in kinds:
        if kind not in KINDS:
            raise SystemExit(f"no kind named {kind!r}; there are: {', '.join(KINDS)}")
    return Plan(
        kinds=kinds,
        polls=chosen.polls or (1000 if chosen.quick else 10_000),
        rate=chosen.rate,
        seconds=chosen.seconds or (2.0 if chosen.quick else 10.0),
        idle=3.0 if chosen.quick else _IDLE_SECONDS,
        rounds=chosen.rounds or (1 if chosen.quick else 3),
    )


def main() -> None:
    chosen = arguments()
    plan = plan_from(chosen)
    rows = run(lambda root: measure(plan, root))
    print(json.dumps(msgspec.to_builtins(rows), indent=1) if chosen.json else as_table(rows))


if __name__ == "__main__":
    main()
