"""When to ask again: for packets, for keyframes."""

from __future__ import annotations

from sfu.path.python.cache import REPAIR_AGE_US, PacketCache
from sfu.path.python.loss import MAX_MISSING, Missing
from sfu.rtcp.keyframe_requests import (
    INTERVAL_US,
    PATIENT_AFTER,
    PATIENT_INTERVAL_US,
    KeyframeRequests,
)
from sfu.rtcp.nack import GIVE_UP_US, MAX_TRIES, NackScheduler
from sfu.wire.header import parse

MS = 1_000


def test_a_hole_is_asked_for_at_once_and_then_every_round_trip() -> None:
    scheduler = NackScheduler()
    asked = [now for now in range(0, 400 * MS, 10 * MS) if scheduler.due([7], now, rtt_us=100 * MS)]
    assert asked == [0, 100 * MS, 200 * MS, 300 * MS]


def test_a_short_round_trip_does_not_hurry() -> None:
    scheduler = NackScheduler()
    asked = [now for now in range(0, 100 * MS, 10 * MS) if scheduler.due([7], now, rtt_us=MS)]
    assert asked == [0, 40 * MS, 80 * MS]


def test_asking_ends() -> None:
    scheduler = NackScheduler()
    asked = [now for now in range(0, 2_000 * MS, 10 * MS) if scheduler.due([7], now)]
    assert len(asked) == MAX_TRIES
    slow = NackScheduler()
    assert slow.due([7], 0, rtt_us=GIVE_UP_US)
    assert not slow.due([7], GIVE_UP_US + 1, rtt_us=GIVE_UP_US)


def test_what_has_come_is_forgotten_and_new_if_lost_again() -> None:
    scheduler = NackScheduler()
    assert scheduler.due([7, 8], 0) == [7, 8]
    assert scheduler.due([8], 10 * MS) == []
    assert scheduler.due([7, 8], 20 * MS) == [7]
    assert scheduler.asked == 3


def test_reordered_packets_get_their_time() -> None:
    scheduler = NackScheduler(reorder_wait_us=15 * MS)
    assert scheduler.due([7], 0) == []
    assert scheduler.due([7], 10 * MS) == []
    assert scheduler.due([7], 20 * MS) == [7]


def test_keyframe_wishes_are_merged_and_throttled() -> None:
    requests = KeyframeRequests()
    for _ in range(5):
        requests.want(1)
    assert requests.due([], 0) == [1]
    requests.want(1)
    assert requests.due([1], 100 * MS) == []
    assert requests.due([], INTERVAL_US) == [1]
    assert (requests.sent, requests.merged) == (2, 4)


def test_a_seen_keyframe_meets_every_wish() -> None:
    requests = KeyframeRequests()
    requests.want(1)
    requests.due([], 0)
    requests.seen(1)
    assert requests.due([], INTERVAL_US) == []
    requests.want(1)
    assert requests.due([], INTERVAL_US) == [1]


def test_a_wish_right_after_a_keyframe_waits_for_the_throttle() -> None:
    requests = KeyframeRequests()
    requests.want(1)
    requests.due([], 0)
    requests.seen(1)
    requests.want(1)
    assert requests.due([], 300 * MS) == []
    assert requests.due([], 500 * MS) == [1]


def test_waiting_legs_are_repeated_for_with_patience() -> None:
    requests = KeyframeRequests()
    asked = [now for now in range(0, 8_000 * MS, 50 * MS) if requests.due([1], now)]
    assert asked[:PATIENT_AFTER] == [n * INTERVAL_US for n in range(PATIENT_AFTER)]
    assert asked[PATIENT_AFTER] - asked[PATIENT_AFTER - 1] == PATIENT_INTERVAL_US


def test_tracks_do_not_wait_for_each_other_and_can_go() -> None:
    requests = KeyframeRequests()
    assert requests.due([1, 2], 0) == [1, 2]
    requests.forget(1)
    assert requests.due([], INTERVAL_US) == [2]


# --- what the path keeps --------------------------------------------------------------------


def cached(cache: PacketCache, sequence: int, now_us: int) -> None:
    packet = parse(b"\x80\x60" + bytes(10))
    packet.sequence, packet.arrived_us = sequence, now_us
    cache.put(packet)


def test_the_cache_is_bounded_by_its_span() -> None:
    cache = PacketCache(4)
    for sequence in (100, 101, 103, 104, 106):
        cached(cache, sequence, 0)
    assert cache.floor == 103
    assert [s for s in range(95, 110) if cache.get(s, 0)] == [103, 104, 106]
    assert len(cache) == 3


def test_a_late_packet_leaves_with_its_numbers_not_with_its_arrival() -> None:
    cache = PacketCache(4)
    for sequence in (104, 101, 105):
        cached(cache, sequence, 0)
    assert cache.get(101, 0) is None
    assert cache.get(104, 0) is not None


def test_the_cache_is_bounded_by_age() -> None:
    cache = PacketCache(100)
    cached(cache, 100, 0)
    cached(cache, 101, 1_500_000)
    cached(cache, 102, 2_500_000)
    assert (cache.floor, len(cache)) == (101, 2)


def test_what_is_older_than_a_second_helps_nobody() -> None:
    cache = PacketCache(100)
    cached(cache, 100, 0)
    assert cache.get(100, REPAIR_AGE_US) is not None
    assert cache.get(100, REPAIR_AGE_US + 1) is None
    assert 100 in cache, "it is still known to have come"


def test_holes_are_bounded_by_number() -> None:
    missing = Missing()
    for start in range(0, 1_000_000, 1_000):
        missing.gap(start, start + 100, 0)
    assert len(missing) == MAX_MISSING
    missing.gap(1, MAX_MISSING + 1, 0)
    assert len(missing) == 0
