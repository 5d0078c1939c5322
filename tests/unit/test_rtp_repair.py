"""What is sent again of what a viewer asks for, when that has no sense, and what pauses then."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.rtcp.link import FIRST_WAIT_US, LONGEST_WAIT_US, SETTLE_US, TRIAL_US, Link
from sfu.rtcp.repair import (
    FORGET_US,
    LOSSY_FOR_US,
    MAX_AT_ONCE,
    MAX_TIMES,
    REPORTS_WITHIN_US,
    SECOND_US,
    SHARE,
    WISHES,
    Repair,
)
from sfu.wire.bucket import Bucket

MS = 1_000
PLENTY = 10_000_000


def ask(repair: Repair, sequences: list[int], now_us: int, rtt_us: int = 0) -> list[int]:
    repair.asks(sequences, 10_000, now_us)
    return repair.admit(sequences, now_us, rtt_us)


# --- what is sent again -----------------------------------------------------------------------


def test_the_same_packet_is_not_sent_twice_within_a_round_trip() -> None:
    repair = Repair()
    assert ask(repair, [1, 2, 1], 0, rtt_us=50 * MS) == [1, 2]
    assert ask(repair, [1, 3], 40 * MS, rtt_us=50 * MS) == [3]
    assert ask(repair, [1], 50 * MS, rtt_us=50 * MS) == [1]


def test_a_packet_is_sent_three_times_and_no_more() -> None:
    repair = Repair()
    sent = [now for now in range(0, 1_000 * MS, 50 * MS) if ask(repair, [7], now)]
    assert len(sent) == MAX_TIMES == 3


def test_the_same_number_much_later_is_another_packet() -> None:
    repair = Repair()
    for now in range(0, 200 * MS, 50 * MS):
        ask(repair, [7], now)
    assert ask(repair, [7], 150 * MS + FORGET_US) == []
    assert ask(repair, [7], 150 * MS + 2 * FORGET_US + 1) == [7]


def test_one_nack_can_not_fetch_everything() -> None:
    assert len(ask(Repair(), list(range(6_000)), 0)) <= MAX_AT_ONCE


def test_a_quarter_of_what_was_sent_goes_into_repair() -> None:
    repair = Repair()
    assert repair.room(100_000, 0) == 25_000
    repair.spend(20_000, 0)
    assert repair.room(100_000, 500 * MS) == 5_000
    repair.spend(5_000, 500 * MS)
    assert repair.room(100_000, 999 * MS) == 0
    assert repair.room(100_000, 1_000 * MS) == 20_000
    assert repair.room(10_000, 1_000 * MS) == 0, "less is sent now than then"
    assert repair.room(0, 10_000 * MS) == 0


@given(st.lists(st.tuples(st.integers(0, 300 * MS), st.integers(0, 40_000)), max_size=60))
def test_in_no_second_more_than_a_quarter_is_spent(wishes: list[tuple[int, int]]) -> None:
    repair, now, spent = Repair(), 0, []
    for passed, wish in wishes:
        now += passed
        octets = min(wish, repair.room(100_000, now))
        repair.spend(octets, now)
        spent.append((now, octets))
        assert sum(o for at, o in spent if at > now - SECOND_US) <= 100_000 // SHARE


def test_nothing_is_sent_again_while_a_tenth_is_lost_all_the_same() -> None:
    repair = Repair()
    assert ask(repair, [1], 0) == [1]
    repair.reports_loss(100 * MS)
    assert ask(repair, [2], 200 * MS) == [2], "by chance, perhaps"
    repair.reports_loss(1_100 * MS)
    assert ask(repair, [3], 1_200 * MS) == []
    assert ask(repair, [4], 1_100 * MS + LOSSY_FOR_US) == [4]
    repair.reports_loss(1_100 * MS + LOSSY_FOR_US + 1)
    assert ask(repair, [5], 1_200 * MS + LOSSY_FOR_US) == [5], "the last is too long ago"


# --- when it has no sense -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reports_ms", "at_last"),
    [
        ([0, 1_000, 2_000], True),
        ([0, 1_000], False),
        ([0, 0, 0, 0], False),  # blocks of one packet, or a flood
        ([0, 1_000, REPORTS_WITHIN_US // MS + 1], False),
        ([0, 9_000, 10_000, 11_000], True),
    ],
)
def test_reports_of_much_loss_in_a_row_say_that_it_is_too_much(
    reports_ms: list[int], at_last: bool
) -> None:
    repair = Repair()
    said = [repair.reports_loss(ms * MS) for ms in reports_ms]
    assert said == [False] * (len(said) - 1) + [at_last]


def strained_at(
    loss: float, seconds: float = 10, rate: int = 150, outage_ms: tuple[int, int] = (0, 0)
) -> float | None:
    """When a stream of so many packets a second, of which so many get lost, is found to be too much; in seconds.

    The viewer asks every 20 ms for what is new, and each 100 ms again for what has not come.
    """
    repair, chance = Repair(), random.Random(7)
    sent, unheard = 0, [0]
    missing: dict[int, int] = {}
    for now in range(0, int(seconds * SECOND_US), 20 * MS):
        arrived = False
        while sent < rate * now // SECOND_US:
            sent += 1
            out = outage_ms[0] * MS <= now < outage_ms[1] * MS
            if out or chance.random() < loss:
                unheard.append(sent)
            else:
                arrived = True
        if arrived:
            missing |= dict.fromkeys(unheard[1:], 0)
            unheard = [0]
        due = [number for number, asked in missing.items() if not asked or now - asked >= 100 * MS]
        missing |= dict.fromkeys(due, now)
        if due and repair.asks(due, sent, now):
            return now / SECOND_US
    return None


@pytest.mark.parametrize("loss", [0.0, 0.02, 0.05, 0.1, 0.15])
def test_loss_that_repair_can_mend_is_not_too_much(loss: float) -> None:
    assert strained_at(loss) is None


@pytest.mark.parametrize("loss", [0.33, 0.5, 0.7])
def test_a_link_that_carries_two_thirds_is_found_out_within_a_second_or_so(loss: float) -> None:
    found = strained_at(loss)
    assert found is not None
    assert found <= 1.3


@pytest.mark.parametrize("milliseconds", [200, 500, 1_000, 3_000])
def test_an_outage_however_long_is_no_full_link(milliseconds: int) -> None:
    assert strained_at(0.01, outage_ms=(2_000, 2_000 + milliseconds)) is None


def test_what_is_asked_for_again_and_again_counts_once() -> None:
    repair = Repair()
    for now in range(0, 9_000 * MS, 20 * MS):
        assert not repair.asks(list(range(40)), now // (10 * MS), now)


def test_what_was_lost_before_does_not_count_after() -> None:
    repair = Repair()
    for now in (0, 1_000 * MS):
        repair.reports_loss(now)
    repair.start_over()
    assert not repair.reports_loss(2_000 * MS)


def test_a_viewer_gets_some_keyframes_at_once_and_then_one_every_three_seconds() -> None:
    repair = Repair()
    granted = [now for now in range(0, 30_000 * MS, 10 * MS) if repair.may_wish(now)]
    assert granted[:WISHES] == [0, 10 * MS, 20 * MS]
    assert len(granted) <= WISHES + 10


def test_a_bucket_holds_so_much_and_fills_again() -> None:
    bucket = Bucket(rate=10, most=20)
    assert bucket.take(5_000 * MS, 20)
    assert not bucket.take(5_000 * MS)
    assert bucket.take(5_100 * MS)
    assert not bucket.take(5_150 * MS)
    assert bucket.take(60_000 * MS, 20)
    assert not bucket.take(60_000 * MS, 1)


# --- pauses -------------------------------------------------------------------------------------


def test_the_picture_that_costs_most_pauses_and_then_one_waits() -> None:
    link = Link()
    assert link.strain({1: 10, 2: 30, 3: 20}, 0) == 2
    assert link.strain({1: 10, 3: 20}, SETTLE_US - 1) is None
    assert link.strain({1: 10, 3: 20}, SETTLE_US) == 3
    assert link.strain({}, 5 * SETTLE_US) is None


def test_the_one_that_paused_last_is_tried_first_and_one_at_a_time() -> None:
    link = Link()
    link.strain({1: 10, 2: 30}, 0)
    link.strain({1: 10}, SETTLE_US)
    began = SETTLE_US + FIRST_WAIT_US
    assert link.due(began - 1) is None
    assert link.due(began) == 1
    assert link.due(began + TRIAL_US - 1) is None
    assert link.due(began + TRIAL_US) == 2
    assert not link.paused


def test_a_trial_in_vain_ends_itself_and_makes_the_next_one_rarer() -> None:
    link, now, waits = Link(), 0, []
    link.strain({1: 10, 2: 30}, now)
    for _ in range(4):
        began = now
        while link.due(now) != 2:
            now += 100 * MS
        waits.append(now - began)
        now += 800 * MS
        assert link.strain({1: 10, 2: 5}, now) == 2, "it, though it costs less"
    seconds = [round(wait / SECOND_US) for wait in waits]
    assert seconds == [4, 16, 64, 64]
    assert waits[-1] == LONGEST_WAIT_US


def test_who_is_gone_is_not_tried() -> None:
    link = Link()
    link.strain({1: 10, 2: 30}, 0)
    link.forget(2)
    assert link.due(10 * FIRST_WAIT_US) is None
    link.forget(3)
