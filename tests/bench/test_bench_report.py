"""Figures of a row that are worked out rather than read."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from load import report

from sfu.path.counters import ForwardTime

COUNTED = {
    "forward_us_count": 1000,
    "forward_us_le_50": 400,
    "forward_us_in_50": 400,
    "forward_us_in_100": 500,
    "forward_us_in_1000": 95,
    "forward_us_in_1100": 5,
}


@pytest.mark.parametrize(
    ("share", "milliseconds"),
    [(0.2, 0.0495), (0.4, 0.05), (0.65, 0.0995), (0.9, 0.1), (0.995, 1.0), (1.0, 1.1)],
)
def test_a_percentile_is_interpolated_within_its_bucket(share: float, milliseconds: float) -> None:
    assert report.histogram_percentile(COUNTED, share) == pytest.approx(milliseconds)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_a_percentile_is_that_of_the_times_to_a_few_percent(share: float) -> None:
    chance = random.Random(7)
    times = sorted(chance.lognormvariate(-0.5, 1) for _ in range(20_000))  # ms
    counted = ForwardTime()
    for milliseconds in times:
        counted.add(int(milliseconds * 1e6))
    found = report.histogram_percentile(counted.fine(), share)
    assert found == pytest.approx(times[int(share * len(times))], rel=0.03)


def test_a_server_that_counts_nothing_has_none() -> None:
    assert report.histogram_percentile({"datagrams_in": 5}, 0.5) is None


def row(load: str, server: str, us_per_packet: float | None, **other: Any) -> report.Row:
    plain = {
        field.name: 0 if field.name not in ("title", "srtp") else "x"
        for field in msgspec.structs.fields(report.Row)
    }
    named = {"load": load, "server": server, "us_per_packet": us_per_packet, "counted": {}}
    return report.Row(**(plain | named | other))


def test_the_table_compares_with_janus_and_says_what_was_meant_to_be_reached() -> None:
    lines = report.as_table(
        [
            row("fan-60", "janus", 5.0),
            row("fan-60", "parley-native", 1.0, worker_p50_ms=0.4, worker_p99_ms=1.234),
            row("fan-60", "parley-python", 8.0),
            row("width@10", "parley-native", 2.0, p99_ms=None, packets_out=180_000),
        ]
    ).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    head, _, *rows = cells
    column = head.index("of Janus")
    assert [cells[column] for cells in rows] == ["", "0.20 (≤ 0.25)", "1.60", ""]
    assert [cells[0] for cells in rows] == ["fan-60: x", "", "", "width@10: x"]
    assert rows[1][head.index("worker p99 ms")] == "1.23"
    assert rows[3][head.index("p99 ms")] == "–"
    assert rows[3][head.index("out/s")] == "180,000"
    assert len({len(line) for line in lines}) == 1
