"""Figures of a row that are worked out rather than read."""

from __future__ import annotations

import math

import pytest
from load import report

COUNTED = {
    "forward_us_count": 1000,
    "forward_us_le_50": 400,
    "forward_us_le_100": 900,
    "forward_us_le_1000": 995,
}


@pytest.mark.parametrize(
    ("share", "bound"), [(0.4, 0.05), (0.5, 0.1), (0.9, 0.1), (0.99, 1.0), (0.999, math.inf)]
)
def test_a_percentile_is_the_bound_of_its_bucket(share: float, bound: float) -> None:
    assert report.histogram_percentile(COUNTED, share) == bound


def test_a_server_that_counts_nothing_has_none() -> None:
    assert report.histogram_percentile({"datagrams_in": 5}, 0.5) is None
