"""Who talks, and who is heard in whose slots."""

from __future__ import annotations

from uuid import UUID

import pytest

from sfu.path.interface import Levels
from sfu.session.speakers import Speakers

ALICE, BOB, CAROL, DAVE = (UUID(int=n) for n in range(1, 5))
STEP_US = 100_000


class Room:
    def __init__(self, *users: UUID) -> None:
        self.speakers = Speakers()
        for user in users:
            self.speakers.open(user)
        self.now_us = 0

    def hear(self, looks: int, **levels: int) -> list[tuple[UUID, bool]]:
        """So many looks with these levels (-dBov) by name; the edges."""
        names = {"alice": ALICE, "bob": BOB, "carol": CAROL, "dave": DAVE}
        edges = []
        for _ in range(looks):
            self.now_us += STEP_US
            heard = {
                names[name]: Levels(track=1, count=5, total=5 * level, loudest=level)
                for name, level in levels.items()
            }
            edges += self.speakers.hear(heard, self.now_us)
        return edges

    def hear_bare(self, looks: int, **sizes: int) -> list[tuple[UUID, bool]]:
        """The same of people whose clients tell no levels, by the size of their payloads."""
        names = {"alice": ALICE, "bob": BOB, "carol": CAROL, "dave": DAVE}
        edges = []
        for _ in range(looks):
            self.now_us += STEP_US
            heard = {
                names[name]: Levels(
                    track=1, count=0, total=0, loudest=127, bare=5, bare_octets=5 * size
                )
                for name, size in sizes.items()
            }
            edges += self.speakers.hear(heard, self.now_us)
        return edges

    def slots(self, listener: UUID, present: list[UUID | None]) -> list[UUID | None]:
        self.speakers.select({len(present)})
        return self.speakers.slots_for(listener, present)


def test_both_edges() -> None:
    room = Room(ALICE, BOB)
    assert room.hear(5, alice=127, bob=127) == []
    assert room.hear(5, alice=30, bob=127) == [(ALICE, True)]
    assert room.hear(20, alice=127, bob=127) == [(ALICE, False)]


def test_a_microphone_that_closes_stops_talking() -> None:
    room = Room(ALICE, BOB)
    room.hear(5, alice=30, bob=127)
    assert room.speakers.close(ALICE) is True
    assert room.speakers.close(BOB) is False
    assert not room.speakers.microphones
    assert room.hear(5) == []


def test_nobody_hears_oneself() -> None:
    room = Room(ALICE, BOB)
    room.hear(5, alice=30, bob=127)
    assert room.slots(ALICE, [None]) == [BOB]
    assert room.slots(BOB, [None]) == [ALICE]


def test_silent_ones_fill_free_slots() -> None:
    room = Room(ALICE, BOB, CAROL)
    assert set(room.slots(ALICE, [None, None, None])) == {BOB, CAROL, None}


@pytest.mark.parametrize("slots", [1, 2])
def test_the_loudest_get_in_and_stay_through_a_pause(slots: int) -> None:
    room = Room(ALICE, BOB, CAROL, DAVE)
    heard: list[UUID | None] = [None] * slots
    for _ in range(10):
        room.hear(1, alice=127, bob=127, carol=127, dave=20)
        heard = room.slots(ALICE, heard)
    assert DAVE in heard
    place = heard.index(DAVE)
    for _ in range(5):
        room.hear(1, alice=127, bob=60, carol=127, dave=127)
        heard = room.slots(ALICE, heard)
        assert heard[place] == DAVE


def test_who_is_muted_leaves_the_slots() -> None:
    room = Room(ALICE, BOB, CAROL)
    heard = room.slots(ALICE, [None, None])
    room.speakers.close(BOB)
    assert set(room.slots(ALICE, heard)) == {CAROL, None}


def test_the_loudest_ones_hear_another_in_their_own_place() -> None:
    room = Room(ALICE, BOB, CAROL, DAVE)
    for _ in range(20):
        room.hear(1, alice=20, bob=25, carol=60, dave=127)
        room.speakers.select({2})
    assert set(room.slots(DAVE, [None, None])) == {ALICE, BOB}
    assert set(room.slots(ALICE, [None, None])) == {BOB, CAROL}
    assert set(room.slots(BOB, [None, None])) == {ALICE, CAROL}


def test_the_choice_is_told_to_have_changed_only_when_it_has() -> None:
    room = Room(ALICE, BOB, CAROL, DAVE)
    assert room.speakers.select({1, 2}) == {1, 2}
    for _ in range(5):
        room.hear(1, alice=30, bob=30, carol=127, dave=127)
        room.speakers.select({1, 2})
    room.hear(1, alice=31, bob=29, carol=127, dave=127)
    assert room.speakers.select({1, 2}) == set()
    room.speakers.close(ALICE)
    assert room.speakers.select({1, 2}) == {1, 2}


def test_listeners_without_slots() -> None:
    room = Room(ALICE, BOB)
    assert room.slots(ALICE, []) == []


@pytest.mark.parametrize("quiet", [3, 35])
def test_who_tells_no_level_is_heard_when_it_speaks(quiet: int) -> None:
    """Three with one slot each: the first is silent, the second talks, the third hears the second."""
    room = Room(ALICE, BOB, CAROL)
    assert room.slots(CAROL, [None]) == [ALICE]
    assert room.hear_bare(5, alice=quiet, bob=80, carol=quiet) == [(BOB, True)]
    assert room.slots(CAROL, [ALICE]) == [BOB]
    assert room.slots(ALICE, [BOB]) == [BOB]
    assert room.hear_bare(40, alice=80, bob=quiet, carol=quiet) == [(ALICE, True), (BOB, False)]
    assert room.slots(CAROL, [BOB]) == [ALICE]
