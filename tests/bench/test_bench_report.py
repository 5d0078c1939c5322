"""Figures of a row that are worked out rather than read."""

from __future__ import annotations

import random

import pytest
from load import report

from sfu.counters import ForwardTime

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
