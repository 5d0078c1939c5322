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
    found_in, found_out = in_and_out(shapes.named(name))
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
    assert shapes.named("legs").legs == 10_000
    assert shapes.named("meeting-12").legs == 12 * (11 + 3)
    assert shapes.named("idle").legs == 0


def test_groups_name_loads_that_exist() -> None:
    for name in (*shapes.QUICK, *shapes.TARGETS, *shapes.HALF, *shapes.MOONSHOTS, *shapes.EXTRAS):
        assert shapes.named(name).people
    assert all(shapes.named(name).moonshot for name in shapes.MOONSHOTS)
    assert not any(shapes.named(name).moonshot for name in shapes.TARGETS)


def test_a_load_for_half_a_core_is_another_one_at_another_rate() -> None:
    half, whole = shapes.named("fan-60-half"), shapes.named("fan-60")
    assert (half.people, half.cpu_goal) == (whole.people, 50)
    assert (half.name, whole.cpu_goal) == ("fan-60-half", None)


def test_a_size_is_taken_from_the_name() -> None:
    load = shapes.named("width@50")
    assert (load.name, len(load.people)) == ("width@50", 51)


@pytest.mark.parametrize("name", ["nonesuch", "width@many", "fan-60@5", "@5"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no load named"):
        shapes.named(name)
