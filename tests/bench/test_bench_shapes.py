"""The loads are the ones their names promise."""

from __future__ import annotations

import pytest
from load import shapes


def packets_a_second(media: shapes.Media | None) -> float:
    return 0.0 if media is None else media.frames * sum(media.packets) / 2


def in_and_out(load: shapes.Load) -> tuple[float, float]:
    into = sum(packets_a_second(media) for person in load.people for _, media in person.sends())
    out = sum(
        sum(packets_a_second(load.people[other].video) for other in person.sees)
        + sum(packets_a_second(load.people[other].audio) for other in load.heard_by(index))
        for index, person in enumerate(load.people)
    )
    return into, out


@pytest.mark.parametrize(
    ("name", "into", "out"),
    [
        ("fan-60", 3000, 180_000),
        ("fan-20", 1000, 20_000),
        ("fan-500", 300, 150_000),
        ("meeting-12", 12 * (50 + 150), 12 * (11 * 150 + 3 * 50)),
        ("audio-100", 250, 100 * 3 * 50),
        ("livekit-audio", 305, 959_156),
        ("livekit-meeting", 51_068, 762_749),
        ("livekit-livestream", 246, 560_962),
    ],
)
def test_packet_rates(name: str, into: float, out: float) -> None:
    found_in, found_out = in_and_out(shapes.LOADS[name]())
    assert found_in == pytest.approx(into, rel=0.05)
    assert found_out == pytest.approx(out, rel=0.01)


def test_everyone_hears_the_loudest_others() -> None:
    load = shapes.meeting("m", count=6, speaking=4, slots=3)
    assert [load.heard_by(listener) for listener in range(6)] == [
        (1, 2, 3),
        (0, 2, 3),
        (0, 1, 3),
        (0, 1, 2),
        (0, 1, 2),
        (0, 1, 2),
    ]


def test_legs_are_counted_once_each() -> None:
    assert shapes.LOADS["legs-10000"]().legs == 10_000
    assert shapes.LOADS["meeting-12"]().legs == 12 * (11 + 3)
    assert shapes.LOADS["idle-200"]().legs == 0


def test_quick_loads_and_targets_exist() -> None:
    assert set(shapes.QUICK) | set(shapes.TARGETS) | set(shapes.MOONSHOTS) <= set(shapes.LOADS)
