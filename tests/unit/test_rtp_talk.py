"""Who is talking, and whose voice gets a slot."""

from __future__ import annotations

import pytest

from sfu.path.interface import Levels
from sfu.session.talk import (
    ASSUMED,
    SILENT,
    THRESHOLD,
    Loudness,
    TalkingDetector,
    assumed,
    choose,
    heard,
    rank,
)

MS = 1_000


def edges(detector: TalkingDetector, levels: list[int | None]) -> list[tuple[int, bool]]:
    """(window, edge) when each of these levels holds for 200 ms; None is no packet at all."""
    found = []
    now_us = 0
    for window, level in enumerate(levels):
        for _ in range(10):
            now_us += 20 * MS
            edge = detector.hear(*((1, level) if level is not None else (0, 0)), now_us)
            if edge is not None:
                found.append((window, edge))
    return found


def test_both_edges() -> None:
    levels = [90, 40, 40, 90, 90, 90, 90, 30]
    assert edges(TalkingDetector(), levels) == [(1, True), (5, False), (7, True)]


def test_pauses_between_words_do_not_end_it() -> None:
    assert edges(TalkingDetector(), [40, 90, 90, 40, 90, 90, 40]) == [(0, True)]


def test_around_the_threshold_nothing_flickers() -> None:
    levels = [THRESHOLD - 1, THRESHOLD + 2, THRESHOLD - 1, THRESHOLD + 4, THRESHOLD + 1] * 4
    assert edges(TalkingDetector(), levels) == [(0, True)]


def test_the_mean_counts_not_the_peak() -> None:
    detector = TalkingDetector()
    assert detector.hear(10, 9 * 90 + 10, 1) is None
    assert detector.hear(10, 10 * 40, 2) is True


def test_silence_by_sending_nothing_ends_it() -> None:
    assert edges(TalkingDetector(), [40, None, None, None, None])[-1][1] is False


def test_muting_ends_it_at_once() -> None:
    detector = TalkingDetector()
    assert detector.stop() is None
    detector.hear(10, 400, 1)
    assert detector.stop() is False
    assert not detector.talking


def settled(**levels: int) -> dict[str, float]:
    loudness = {}
    for name, level in levels.items():
        smooth = Loudness()
        for _ in range(20):
            smooth.hear(10, level * 10)
        loudness[name] = smooth.value
    return loudness


def slots(current: list[str | None], loudness: dict[str, float], *without: str) -> list[str | None]:
    return choose(current, rank(loudness, len(current) + len(without) + 1), loudness, without)


def test_the_loudest_get_the_slots_and_nobody_hears_themselves() -> None:
    loudness = settled(alice=30, bob=40, carol=90, dave=100)
    assert slots([None, None], loudness, "alice") == ["bob", "carol"]
    assert slots([None, None], loudness, "dave") == ["alice", "bob"]
    assert slots([None], {}) == [None]


def test_a_voice_is_moved_only_by_a_clearly_louder_one() -> None:
    loudness = settled(alice=50, bob=45, carol=44)
    assert slots(["alice", "carol"], loudness) == ["alice", "carol"]
    loudness = settled(alice=70, bob=45, carol=44)
    assert slots(["alice", "carol"], loudness) == ["bob", "carol"]


def test_slots_keep_their_places_when_somebody_leaves() -> None:
    loudness = settled(alice=50, carol=44, dave=80)
    assert slots(["bob", "carol", "alice"], loudness) == ["dave", "carol", "alice"]


def test_a_pause_does_not_lose_the_slot() -> None:
    talker, noise = Loudness(), Loudness()
    for _ in range(10):
        talker.hear(10, 300)
        noise.hear(10, 700)
    for _ in range(5):  # a second of silence
        talker.hear(0, 0)
        noise.hear(10, 700)
    loudness = {"talker": talker.value, "noise": noise.value}
    assert slots(["talker"], loudness) == ["talker"]


@pytest.mark.parametrize(
    ("count", "total", "bare", "bare_octets", "expected"),
    [
        (5, 200, 0, 0, (5, 200)),
        (5, 200, 5, 500, (5, 200)),  # what is told holds
        (0, 0, 5, 400, (5, 5 * ASSUMED)),  # speech
        (0, 0, 5, 175, (5, 5 * 85)),  # a silent room, as libwebrtc sends it
        (0, 0, 5, 15, (5, 5 * SILENT)),  # silence, in three bytes each
        (0, 0, 1, 1, (1, SILENT)),
        (0, 0, 0, 0, (0, 0)),
    ],
)
def test_sound_without_a_level_counts_as_something(
    count: int, total: int, bare: int, bare_octets: int, expected: tuple[int, int]
) -> None:
    levels = Levels(
        track=1, count=count, total=total, loudest=0, bare=bare, bare_octets=bare_octets
    )
    assert heard(levels) == expected
    assert heard(None) == (0, 0)


def test_the_larger_the_louder() -> None:
    levels = [assumed(octets) for octets in range(1_500)]
    assert levels == sorted(levels, reverse=True)
    assert set(levels[:11]) == {SILENT}
    assert next(octets for octets, level in enumerate(levels) if level <= THRESHOLD) == 57
    assert min(levels) == ASSUMED


def test_what_is_assumed_is_speech_and_gives_way_to_a_voice() -> None:
    detector, bare, voice, silence = TalkingDetector(), Loudness(), Loudness(), Loudness()
    assert detector.hear(10, 10 * ASSUMED, 1) is True
    for _ in range(50):
        bare.hear(5, 5 * ASSUMED)
        voice.hear(5, 5 * 35)
        silence.hear(5, 5 * 100)
    values = {"assumed": bare.value, "voice": voice.value, "silence": silence.value}
    assert choose(["assumed"], rank(values, 3), values) == ["voice"]
    assert choose(["silence"], ["assumed"], values) == ["assumed"]
