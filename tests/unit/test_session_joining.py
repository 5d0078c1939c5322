"""What somebody's joining, muting or leaving costs the others, and that everybody hears whom they should."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sfu_stubs import StubPath

from schemas import sfu as wire
from sfu.path.interface import Codec, LegSpec, Levels, Source, TrackSpec
from sfu.path.streams import Leg, Streams, Track
from sfu.session.audio import AudioConnection
from sfu.session.connection import Media
from sfu.session.listeners import Listeners
from sfu.session.session import FILL_AT_ONCE_US, NoticeBody, Session
from sfu.transport.dtls import Certificate
from sfu.transport.endpoint import Endpoint

CERTIFICATE = Certificate()
LOOK_US = 100_000


class Slot:
    def __init__(self) -> None:
        self.speaker: UUID | None = None


class Audio:
    """As much of an AudioConnection as a session looks at, and how often it was told whom to hear."""

    def __init__(self, number: int, slots: int, *, speaks: bool) -> None:
        self.user = UUID(int=number)
        self.enabled = speaks
        self.track = cast(Track, type("T", (), {"number": number})())
        self.slots = [Slot() for _ in range(slots)]
        self.told = 0
        self.costs: Callable[[], None] = lambda: None

    def hear(self, slot: Slot, speaker: Audio | None) -> None:
        slot.speaker = speaker.user if speaker else None
        self.told += 1
        self.costs()

    def close(self) -> None:
        self.slots = []

    @property
    def hears(self) -> set[UUID]:
        return {slot.speaker for slot in self.slots if slot.speaker}


class Hall:
    """A session whose audio connections are not connected to anything."""

    def __init__(self) -> None:
        path = StubPath()
        media = Media(
            endpoint=Endpoint(path, CERTIFICATE, []),
            streams=Streams(path),
            cname="worker",
            now_us=lambda: self.now_us,
        )
        self.now_us = 0
        self.notices: list[NoticeBody] = []
        self.session = Session(UUID(int=0), 1, media, self.notices.append)
        self.people: dict[int, Audio] = {}

    def join(self, number: int, slots: int, *, speaks: bool = False) -> Audio:
        audio = self.people[number] = Audio(number, slots, speaks=speaks)
        self.session._audio[audio.user] = cast(AudioConnection, audio)
        self.changed(audio)
        return audio

    def changed(self, audio: Audio) -> None:
        self.session.slots_changed(cast(AudioConnection, audio))

    def leave(self, number: int) -> None:
        self.session._remove(self.people.pop(number).user)

    def look(self, **levels: int) -> None:
        """A tick with these levels (-dBov) of `a1`, `a2` and so on."""
        self.now_us += LOOK_US
        heard = {int(name[1:]): level for name, level in levels.items()}
        self.session.heard(
            {
                number: Levels(track=number, count=5, total=5 * level, loudest=level)
                for number, level in heard.items()
            },
            self.now_us,
        )

    def told(self) -> int:
        """How often anybody was told since the last time this was asked."""
        total = sum(audio.told for audio in self.people.values())
        for audio in self.people.values():
            audio.told = 0
        return total


@pytest.mark.parametrize("before", [0, 10, 1000])
def test_a_listener_costs_its_own_slots_however_many_there_are(before: int) -> None:
    hall = Hall()
    for number in range(1, 6):
        hall.join(number, 3, speaks=True)
    for number in range(before):
        hall.join(100 + number, 3)
    hall.told()
    hall.join(50_000, 3)
    assert hall.told() == 3
    hall.changed(hall.people[50_000])
    assert hall.told() == 3
    hall.leave(50_000)
    assert hall.told() == 0


def test_a_speaker_is_brought_to_everybody_and_taken_away_again() -> None:
    hall = Hall()
    for number in range(1, 21):
        hall.join(number, 2)
    hall.join(30, 2, speaks=True)
    assert all(UUID(int=30) in hall.people[number].hears for number in range(1, 21))
    hall.leave(30)
    assert all(hall.people[number].hears == set() for number in range(1, 21))


def test_a_new_size_hears_at_once() -> None:
    hall = Hall()
    hall.join(1, 1, speaks=True)
    assert hall.join(2, 5).hears == {UUID(int=1)}
    grown = hall.people[2]
    grown.slots += [Slot(), Slot()]
    hall.changed(grown)
    assert len(grown.slots) == 7
    assert grown.hears == {UUID(int=1)}


def test_who_is_heard_is_fed_anew_when_its_track_is_another() -> None:
    hall = Hall()
    speaker = hall.join(1, 1, speaks=True)
    for number in range(2, 12):
        hall.join(number, 1)
    hall.told()
    hall.changed(speaker)
    assert hall.told() == 11, "everybody, since the track may be another now"


def test_a_speaker_comes_to_thousands_a_little_at_a_time() -> None:
    hall = Hall()

    def costs() -> None:
        hall.now_us += 10

    for number in range(1, 3001):
        hall.join(number, 1).costs = costs
    hall.told()
    hall.join(5000, 0, speaks=True)
    fed = hall.told()
    assert 0 < fed <= FILL_AT_ONCE_US // 10 + 1
    assert hall.session.catch_up(hall.now_us + 5_000)
    assert 0 < hall.told() <= 501
    hall.leave(1)
    hall.leave(3000)
    hall.join(5001, 0, speaks=True)
    while hall.session.catch_up(hall.now_us + 5_000):
        pass
    assert all(hall.people[number].hears == {UUID(int=5000)} for number in range(2, 3000))


def test_muting_ends_a_talk() -> None:
    hall = Hall()
    talker = hall.join(1, 1, speaks=True)
    for _ in range(5):
        hall.look(a1=20)
    talker.enabled = False
    hall.changed(talker)
    hall.changed(talker)
    assert [n.talking for n in hall.notices if isinstance(n, wire.Talking)] == [True, False]


def test_an_offer_that_is_not_adopted_yet_is_nobodys() -> None:
    """The first answer is written before the session knows of the connection."""
    hall = Hall()
    early = Audio(1, 2, speaks=True)
    hall.changed(early)
    assert hall.join(2, 2).hears == set()
    assert early.told == 0


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("join"), st.integers(1, 12), st.integers(0, 4), st.booleans()),
        st.tuples(st.just("leave"), st.integers(1, 12)),
        st.tuples(st.just("mute"), st.integers(1, 12)),
        st.tuples(st.just("look"), st.integers(1, 12), st.integers(0, 127)),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_whatever_happened_everybody_hears_as_many_as_can_be_heard(
    steps: list[tuple[str, int, int, bool]],
) -> None:
    hall = Hall()
    for name, number, *more in steps:
        known = hall.people.get(number)
        if name == "join" and known is None:
            hall.join(number, int(more[0]), speaks=bool(more[1]))
        elif name == "leave" and known is not None:
            hall.leave(number)
        elif name == "mute" and known is not None:
            known.enabled = not known.enabled
            hall.changed(known)
        elif name == "look":
            hall.look(**{f"a{number}": int(more[0])})
    speaking = {audio.user for audio in hall.people.values() if audio.enabled}
    for audio in hall.people.values():
        others = speaking - {audio.user}
        assert audio.hears <= others
        assert len(audio.hears) == min(len(audio.slots), len(others))
    for slots in range(5):
        # Who does not speak hears the same as everybody else with as many slots.
        alike = [
            a for a in hall.people.values() if len(a.slots) == slots and a.user not in speaking
        ]
        assert len({frozenset(audio.hears) for audio in alike}) <= 1


# the tables


def test_listeners_by_size() -> None:
    alice, bob = (cast(AudioConnection, Audio(number, 2, speaks=False)) for number in (1, 2))
    listeners = Listeners()
    assert listeners.put(alice) is True
    assert listeners.put(bob) is False
    assert listeners.put(bob) is False
    assert list(listeners.of({2, 9})) == [alice, bob]
    bob.slots.clear()
    assert listeners.put(bob) is True
    assert listeners.sizes == {0, 2}
    listeners.drop(alice)
    listeners.drop(alice)
    assert listeners.sizes == {0}


class Started:
    def track_started(self) -> None: ...


def test_a_track_that_goes_is_forgotten_by_those_it_fed_and_by_no_others() -> None:
    path = StubPath()
    streams = Streams(path)
    opus = {111: Codec(name="opus", clock_rate=48_000)}
    tracks = [
        streams.add_track(TrackSpec(transport=1, kind="audio", ssrc=ssrc, codecs=opus), Started())
        for ssrc in (1, 2)
    ]
    legs: list[Leg] = [
        streams.add_leg(LegSpec(transport=2, kind="audio", ssrc=ssrc)) for ssrc in (10, 11, 12)
    ]
    sources = [Source(track=track.number, payload_types={111: 111}) for track in tracks]
    streams.set_source(legs[0], sources[0], 0)
    streams.set_source(legs[1], sources[1], 0)
    streams.set_source(legs[2], sources[0], 0)
    streams.set_source(legs[2], sources[1], 0)
    streams.remove_track(tracks[0])
    assert [leg.source for leg in legs] == [None, sources[1], sources[1]]
    streams.remove_leg(legs[1])
    streams.transport_closed(2)
    streams.transport_closed(1)
    assert not any(streams.leftovers().values())
