"""The search for a rate: half a core is found, and the highest rate without loss, on servers that are formulas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import msgspec
import pytest
from load import rates, report
from load.bouts import Bout, Plan
from load.measuring import Window

PLAN = Plan(loads=[], servers=[], seconds=1, latency_seconds=0, runs=1, warm_up=0)


class Formula:
    """A server whose CPU time and losses follow from the rate."""

    name = "load: formula"

    def __init__(self, cpu: Callable[[float], float], carries: float = 1000.0) -> None:
        self.meter = self
        self.share = 1.0
        self.tried: list[float] = []
        self.forgotten = 0
        self._cpu = cpu
        self._carries = carries

    def pace(self, share: float) -> None:
        self.share = share

    async def window(self, seconds: float, latency_seconds: float) -> Window:
        self.tried.append(self.share)
        sent = int(1_000_000 * self.share)
        arrived = min(sent, int(1_000_000 * self._carries))
        return Window(
            seconds=seconds,
            span=seconds,
            packets_in=sent,
            packets_due=sent,
            packets_delivered=arrived,
            packets_arrived=arrived,
            cpu_seconds=self._cpu(self.share) * seconds,
            softirq_seconds=0,
            load_cpu_seconds=0,
            other_cpu_seconds=0,
            resident_mib=0,
            late_ms=0,
            latencies_ms=[],
            unopened=0,
        )

    async def row(self, windows: list[Window], share: float) -> report.Row:
        [window] = windows
        values = {
            "delivered": window.packets_delivered / window.packets_due,
            "cpu_percent": 100 * window.cpu_seconds / window.span,
            "backlog_s": 0.0,
            "share": share,
        }
        fields: dict[str, Any] = {field.name: 0 for field in msgspec.structs.fields(report.Row)}
        return report.Row(**(fields | values))

    async def forget_counts(self) -> None:
        self.forgotten += 1


@pytest.mark.parametrize(
    "cpu",
    [
        lambda share: 0.18 * share,
        lambda share: 0.9 * share,
        lambda share: 0.05 + 0.1 * share**0.6,
        lambda share: min(1.0, 3 * share),
    ],
)
async def test_the_rate_that_takes_half_a_core_is_found(cpu: Callable[[float], float]) -> None:
    server = Formula(cpu)
    share = await rates.share_for(50, cast(Bout, server))
    assert 45 <= 100 * cpu(share) <= 55
    assert server.forgotten == 1, "trials are not what the row tells of"


@pytest.mark.parametrize("carries", [0.02, 0.3, 0.73, 1.0, 5.0])
async def test_the_highest_rate_without_loss_is_climbed_to(carries: float) -> None:
    server = Formula(lambda share: min(1.0, 0.9 * share / carries), carries)
    row = await rates.highest_share(cast(Bout, server), PLAN)
    assert row.delivered == 1.0
    assert min(carries, 1.0) / 1.2 <= row.share <= min(carries, 1.0)
    assert max(server.tried) <= 4 * carries, "never far above what it can"
