"""At which packet rate: a server alone, brought to its limit or to a share of a core."""

from __future__ import annotations

import math

from load import shapes
from load.bouts import Bout, Plan, say, set_up
from load.dtls import Identity
from load.report import Row

_CLIMB_STEPS = 12
_FIRST_SHARE = 1 / 16
_LEAST_SHARE = 1 / 1024
_JOINING_SHARE = 1 / 64
"""While people join: a server that already forwards everything has no time for them."""
_WITHOUT_LOSS = 0.9995
_SHORT_BACKLOG = 0.5
_GOAL_STEPS = 8
_NEAR_GOAL = 3.0
_TRIAL_SECONDS = 1.5


async def climb(load: shapes.Load, plan: Plan, identity: Identity) -> list[Row]:
    """For each server: the highest share of the load's rate that it carries without loss or backlog."""
    rows: list[Row] = []
    for kind in plan.servers:
        bout = await set_up(kind, load, identity, _JOINING_SHARE)
        if bout is None:
            continue
        try:
            bout.pace(_FIRST_SHARE)
            await bout.warm_up(plan.warm_up)
            rows.append(await highest_share(bout, plan))
        finally:
            await bout.close()
    return rows


async def occupy(load: shapes.Load, plan: Plan, identity: Identity) -> list[Row]:
    """For each server: the load at the rate at which it takes `load.cpu_goal` percent of a core."""
    assert load.cpu_goal is not None
    rows: list[Row] = []
    for kind in plan.servers:
        bout = await set_up(kind, load, identity)
        if bout is None:
            continue
        try:
            await bout.warm_up(plan.warm_up)
            share = await share_for(load.cpu_goal, bout)
            for _ in range(plan.runs):
                bout.windows.append(await bout.meter.window(plan.seconds, plan.latency_seconds))
            rows.append(await bout.row(bout.windows, round(share, 4)))
        finally:
            await bout.close()
    return rows


async def share_for(goal: float, bout: Bout) -> float:
    """By trial windows, each as much more or less as the last one was off."""
    share = 1.0
    for _ in range(_GOAL_STEPS):
        bout.pace(share)
        window = await bout.meter.window(_TRIAL_SECONDS, 0.0)
        percent = 100 * window.cpu_seconds / window.span
        say(f"{bout.name} at {share:.3f} of the rate: {percent:.0f} % of a core")
        if abs(percent - goal) <= _NEAR_GOAL:
            break
        share *= max(0.25, min(2.0, goal / max(percent, 1.0)))
    await bout.forget_counts()
    return share


async def highest_share(bout: Bout, plan: Plan) -> Row:
    """From little upwards, by what its CPU seems to allow, then halving what is left.

    Never far above what it can: a server with seconds of backlog would spoil the next window.
    """
    held, lost = 0.0, math.inf
    share = _FIRST_SHARE
    best: Row | None = None
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


def _step(row: Row) -> float:
    """How much more to try: to 85 % of a core, at least half as much again (more in a batch costs less) and at most
    eight times.
    """
    return max(1.5, min(8.0, 85 / max(row.cpu_percent, 1.0)))


async def _at_share(bout: Bout, plan: Plan, share: float) -> Row:
    bout.pace(share)
    window = await bout.meter.window(plan.seconds, plan.latency_seconds)
    row = await bout.row([window], round(share, 4))
    say(
        f"{bout.name} at {share:.3f} of the rate: {row.delivered} delivered,"
        f" backlog {row.backlog_s} s, {row.cpu_percent} % of a core"
    )
    return row
