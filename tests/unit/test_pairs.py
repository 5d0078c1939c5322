"""Where a client's media goes: proof, what may be sent before it, silence, and pairs that are nominated by turns."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from sfu.transport.pairs import (
    AMPLIFICATION,
    ASK_AGAIN_US,
    ASKED_A_MINUTE,
    MAX_ASKED,
    MAX_MOVES,
    PROOF_HOLDS_US,
    SILENCE_US,
    Pairs,
)
from sfu.wire.address import Address

HOME: Address = ("192.0.2.10", 5000)
AWAY: Address = ("198.51.100.7", 6000)
THIRD: Address = ("203.0.113.5", 7000)
SECOND = 1_000_000


class Client:
    """One that is connected by way of HOME, which it has nominated."""

    def __init__(self, era: int = 1) -> None:
        self.now_us = 100 * SECOND
        self.media: dict[Address, int] = {}
        self.pairs = Pairs(lambda address: self.media.get(address, 0), lambda: 0)
        self.check(HOME, era)
        self.prove(HOME)
        self.pairs.settle(HOME)

    def check(self, address: Address, era: int = 0) -> None:
        self.pairs.checked(address, era, self.now_us)
        self.pairs.move(self.now_us)

    def prove(self, address: Address) -> None:
        self.pairs.prove(address, self.now_us)
        self.pairs.move(self.now_us)

    def wait(self, seconds: float) -> None:
        self.now_us += int(seconds * SECOND)
        self.pairs.move(self.now_us)


def test_what_is_not_proven_gets_three_times_what_came() -> None:
    pairs = Pairs(lambda _: 0, lambda: 0)
    assert not pairs.spend(HOME, 1), "nobody knows it"
    pairs.checked(HOME, 0, 1)
    assert not pairs.spend(HOME, 1)
    pairs.received(HOME, 100)
    assert pairs.spend(HOME, 200)
    assert not pairs.spend(HOME, 101)
    assert pairs.spend(HOME, AMPLIFICATION * 100 - 200)
    pairs.prove(HOME, 2)
    assert pairs.spend(HOME, 1_000_000)


def test_the_same_question_is_repeated_and_not_without_end() -> None:
    pairs = Pairs(lambda _: 0, lambda: 0)
    pairs.checked(HOME, 0, SECOND)
    now, asked = SECOND, []
    for number in range(200):
        now += ASK_AGAIN_US // 5
        if transaction := pairs.ask(HOME, number.to_bytes(12, "big"), now):
            asked.append((now, transaction))
    assert len(asked) == MAX_ASKED
    assert len({transaction for _, transaction in asked}) == 1
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(asked)]
    assert min(gaps) >= ASK_AGAIN_US


def test_addresses_without_end_are_not_asked_without_end() -> None:
    pairs = Pairs(lambda _: 0, lambda: 0)
    now, asked = SECOND, 0
    for number in range(59 * 20):
        now += SECOND // 20
        address = ("203.0.113.1", 1024 + number)
        pairs.checked(address, 0, now)
        asked += bool(pairs.ask(address, bytes(12), now))
        pairs.forget(address)
    assert asked == ASKED_A_MINUTE


def test_a_nominated_pair_is_followed_once_it_is_proven() -> None:
    client = Client(era=0)
    client.check(AWAY, era=1)
    assert client.pairs.selected == HOME
    client.prove(AWAY)
    assert client.pairs.selected == AWAY, "HOME was never nominated"


def test_a_restart_is_followed_at_once() -> None:
    client = Client()
    client.check(AWAY, era=2)
    client.prove(AWAY)
    client.check(HOME, era=1)
    assert client.pairs.selected == AWAY


def test_a_client_that_nominates_another_pair_is_followed() -> None:
    client = Client()
    client.wait(0.1)
    client.check(AWAY, era=1)
    assert client.pairs.selected == HOME
    client.prove(AWAY)
    assert client.pairs.selected == AWAY
    for number in range(3):
        client.check(AWAY)
        client.wait(0.1)
        client.check(HOME, era=1)
        assert client.pairs.selected == (HOME if number else AWAY), "twice in a row, the next time"


def test_another_pair_takes_over_when_the_old_one_is_silent() -> None:
    client = Client()
    client.wait(0.1)
    client.check(AWAY)
    client.prove(AWAY)
    client.wait(SILENCE_US / SECOND - 0.2)
    client.check(AWAY)
    assert client.pairs.selected == HOME
    client.wait(0.2)
    assert client.pairs.selected == AWAY, "with the clock, not with the next check"


def test_whoever_was_left_for_its_silence_does_not_come_back_by_what_it_once_was() -> None:
    client = Client()
    client.wait(0.1)
    client.check(AWAY)
    client.prove(AWAY)
    for _ in range(60):
        client.wait(1)
        client.check(AWAY)
        assert client.pairs.selected == (HOME if client.now_us < 102 * SECOND else AWAY)
    client.check(HOME, era=1)
    client.prove(HOME)
    assert client.pairs.selected == HOME


def test_each_move_doubles_the_silence_that_the_next_one_needs() -> None:
    client = Client(era=0)
    there, here = AWAY, HOME
    for silence in (2, 4, 8):
        client.check(here)
        client.wait(0.1)
        client.check(there)
        client.prove(there)
        client.wait(silence - 0.2)
        client.check(there)
        assert client.pairs.selected == here
        client.wait(0.2)
        assert client.pairs.selected == there
        there, here = here, there


def test_media_counts_as_a_sign_of_life() -> None:
    client = Client()
    client.check(AWAY)
    client.prove(AWAY)
    for _ in range(10):
        client.wait(1)
        client.media[HOME] = client.now_us
        client.check(AWAY)
        assert client.pairs.selected == HOME
    client.wait(1)
    client.media[AWAY] = client.now_us
    client.check(AWAY)
    client.wait(2)
    assert client.pairs.selected == AWAY


def test_without_proof_nothing_moves_whatever_comes() -> None:
    client = Client()
    for _ in range(100):
        client.wait(1)
        client.check(AWAY, era=9)
        client.media[AWAY] = client.now_us
    assert client.pairs.selected == HOME


def test_a_proof_does_not_hold_for_ever() -> None:
    client = Client()
    client.check(AWAY)
    client.prove(AWAY)
    for _ in range(PROOF_HOLDS_US // SECOND):
        client.wait(1)
        client.check(HOME, era=1)
    client.check(AWAY, era=2)
    assert client.pairs.selected == HOME
    assert client.pairs.ask(AWAY, bytes(12), client.now_us)
    client.prove(AWAY)
    assert client.pairs.selected == AWAY


def test_a_backup_pair_does_not_take_over_between_two_checks_of_the_other() -> None:
    """Browsers check what they send by every 2.5 s, and what they might send by every 25 s."""
    client = Client()
    client.check(AWAY)
    client.prove(AWAY)
    for _ in range(20):
        for _ in range(10):
            client.wait(2.5)
            client.check(HOME, era=1)
        client.wait(2.4)
        client.check(AWAY)
        if client.pairs.ask(AWAY, bytes(12), client.now_us):
            client.prove(AWAY)
        assert client.pairs.selected == HOME
        client.wait(0.1)
        client.check(HOME, era=1)


@pytest.mark.parametrize("interval", [0.05, 0.5, 1, 2.5, 4, 5, 6])
def test_two_nominated_pairs_do_not_make_it_flap(interval: float) -> None:
    client = Client()
    client.check(AWAY, era=1)
    client.prove(AWAY)
    chance = random.Random(7)
    moves, selected = 0, client.pairs.selected
    for _ in range(int(600 / interval)):
        for address in (HOME, AWAY):
            client.wait(interval / 2 * chance.uniform(0.8, 1.2))
            client.check(address, era=1)
            if client.pairs.ask(address, bytes(12), client.now_us):
                client.prove(address)
            moves += client.pairs.selected != selected
            selected = client.pairs.selected
    assert moves <= 10 * 2, "in ten minutes"


def test_whoever_jumps_about_is_not_followed_more_than_a_few_times_a_minute() -> None:
    client = Client()
    moves, selected = 0, client.pairs.selected
    for number in range(240):
        client.wait(0.25)
        address = ("203.0.113.1", 1024 + number)
        client.check(address, era=2 + number)
        client.prove(address)
        moves += client.pairs.selected != selected
        selected = client.pairs.selected
    assert moves == MAX_MOVES


def test_when_the_selected_address_is_taken_away_a_proven_one_follows() -> None:
    client = Client()
    client.check(AWAY)
    client.check(THIRD)
    client.prove(THIRD)
    client.pairs.forget(HOME)
    assert client.pairs.selected is None
    client.wait(0)
    assert client.pairs.selected == THIRD


def test_before_there_is_an_association_the_last_nomination_counts() -> None:
    pairs = Pairs(lambda _: 0, lambda: 0)
    pairs.checked(HOME, 0, 1)
    assert pairs.selected == HOME
    pairs.checked(AWAY, 0, 2)
    assert pairs.selected == HOME
    pairs.checked(AWAY, 1, 3)
    assert pairs.selected == AWAY
