"""How long packets are in the worker: the histogram, and what it takes for a packet's coming."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from path_rig import Rig, rtp

from sfu.path.choice import native_available
from sfu.path.counters import FORWARD_BOUNDS_US, Counters, ForwardTime

LONGEST_US = 10_000_000
SSRC = 1000
WAITED_US = 20_000


def bound_us(nanoseconds: int) -> int:
    """Of the bucket that counts this time."""
    times = ForwardTime()
    times.add(nanoseconds)
    [name] = times.fine()
    return int(name.removeprefix("forward_us_in_"))


@pytest.mark.parametrize(
    ("nanoseconds", "bound"),
    [
        (-5, 1),
        (0, 1),
        (1, 1),
        (1_000, 1),
        (1_001, 2),
        (99_001, 100),
        (100_001, 110),
        (110_000, 110),
        (990_001, 1_000),
        (1_000_001, 1_100),
        (4_321_000, 4_400),
        (20_000_000, 20_000),
        (9_999_999_999, LONGEST_US),
        (3_600_000_000_000, LONGEST_US),
    ],
)
def test_a_time_is_counted_under_two_digits(nanoseconds: int, bound: int) -> None:
    assert bound_us(nanoseconds) == bound


@given(st.integers(1, LONGEST_US))
def test_no_bucket_is_wider_than_a_tenth(microseconds: int) -> None:
    bound = bound_us(1_000 * microseconds)
    assert microseconds <= bound
    assert bound - microseconds < max(1, microseconds / 10)


@given(st.lists(st.integers(-10, 30_000_000_000), max_size=30))
def test_coarse_bounds_count_exactly_what_is_below_them(nanoseconds: list[int]) -> None:
    counters, times = Counters(), ForwardTime()
    for each in nanoseconds:
        times.add(each)
    times.write(counters)
    assert counters.forward_us_count == sum(times.fine().values()) == len(nanoseconds)
    for bound in FORWARD_BOUNDS_US:
        within = sum(each <= 1_000 * bound for each in nanoseconds)
        assert getattr(counters, f"forward_us_le_{bound}") == within


@pytest.mark.skipif(not native_available(), reason="no compiled path")
@given(st.integers(-10, 2 * LONGEST_US))
def test_the_compiled_buckets_are_the_same(microseconds: int) -> None:
    from sfu.native.path import NativePath

    assert NativePath._forward_bound(microseconds) == bound_us(1_000 * microseconds)


def test_waiting_in_the_socket_counts(rig: Rig) -> None:
    publisher, viewer = rig.remote(), rig.remote()
    track, leg = rig.track(publisher, SSRC, "audio"), rig.leg(viewer, "audio")
    rig.feed(leg, track)
    for number in range(1, 100):  # the kernel starts stamping a little after it is asked to
        before_us = rig.count("forward_us_sum")
        publisher.send(rtp(number, 960 * number, SSRC, payload_type=111))
        time.sleep(WAITED_US / 1e6)
        rig.drain()
        assert rig.count("forward_us_count") == number
        if rig.count("forward_us_sum") - before_us >= WAITED_US:
            return
    pytest.fail("the time in the socket was not counted")
