"""Transport-wide feedback: what is built from arrivals, and its chunks."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.wire import twcc
from sfu.wire.twcc import FeedbackBuilder, TransportFeedback

Told = dict[int, int | None]


def told(feedback: list[TransportFeedback]) -> Told:
    """16-bit number -> arrival in µs, as the publisher reads it back from the bytes."""
    found: Told = {}
    for packet in feedback:
        read = twcc.parse(1, 2, twcc.write(packet))
        assert read == packet
        for index, ticks in enumerate(read.arrivals):
            at = None if ticks is None else read.reference_time * 64_000 + ticks * 250
            found[(read.base_sequence + index) & 0xFFFF] = at
    return found


def test_every_number_is_told_once() -> None:
    builder = FeedbackBuilder()
    assert told(builder.build([(5, 1_000), (6, 2_000), (8, 3_000)], 1, 2)) == {
        5: 1_000,
        6: 2_000,
        7: None,
        8: 3_000,
    }
    assert told(builder.build([(9, 4_000)], 1, 2)) == {9: 4_000}
    assert builder.build([], 1, 2) == []
    assert told(builder.build([(12, 9_000)], 1, 2)) == {10: None, 11: None, 12: 9_000}


def test_a_late_packet_is_told_again_with_what_followed() -> None:
    builder = FeedbackBuilder()
    builder.build([(5, 1_000), (7, 2_000)], 1, 2)
    assert told(builder.build([(6, 3_000)], 1, 2)) == {6: 3_000, 7: 2_000}


def test_the_same_packet_twice_is_nothing_new() -> None:
    builder = FeedbackBuilder()
    builder.build([(5, 1_000)], 1, 2)
    assert builder.build([(5, 9_000)], 1, 2) == []


def test_numbers_and_the_feedback_count_wrap() -> None:
    builder = FeedbackBuilder()
    assert list(told(builder.build([(0xFFFF, 0), (1, 250)], 1, 2))) == [0xFFFF, 0, 1]
    counts = [builder.build([(2 + n, 0)], 1, 2)[0].feedback_count for n in range(256)]
    assert counts[254:] == [255, 0]


def test_the_reference_time_has_24_bits() -> None:
    beyond = (1 << 24) * 64_000
    (packet,) = FeedbackBuilder().build([(1, beyond + 128_000 + 500)], 1, 2)
    assert (packet.reference_time, packet.arrivals) == (2, [2])


def test_a_long_silence_begins_a_new_packet() -> None:
    packets = FeedbackBuilder().build([(1, 0), (2, 20_000_000)], 1, 2)
    assert len(packets) == 2
    assert told(packets) == {1: 0, 2: 20_000_000}


def test_a_burst_after_an_outage_is_bounded() -> None:
    builder = FeedbackBuilder()
    builder.build([(1, 0)], 1, 2)
    packets = builder.build([(20_000, 1_000)], 1, 2)
    assert sum(len(packet.arrivals) for packet in packets) == 1024
    assert all(len(twcc.write(packet)) < 1200 for packet in packets)


def test_the_chunks_are_the_short_ones() -> None:
    def chunks(arrivals: list[int | None]) -> bytes:
        packet = TransportFeedback(
            sender_ssrc=1,
            media_ssrc=2,
            base_sequence=0,
            reference_time=0,
            feedback_count=0,
            arrivals=arrivals,
        )
        deltas = sum(1 for ticks in arrivals if ticks is not None)
        return twcc.write(packet)[8:][: -deltas or None]

    assert chunks([0] * 100) == struct.pack("!H", 1 << 13 | 100)
    assert chunks([None] * 100) == struct.pack("!H", 100)
    assert chunks([0, None, 0]) == struct.pack("!H", 0x8000 | 0b101 << 11)
    packet = [0, 400, 400]  # the second is large: two bits for each
    assert chunks(packet)[:2] == struct.pack("!H", 0xC000 | 0b011001 << 8)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 200_000)), min_size=1, max_size=300),
    st.integers(0, 0xFFFF),
    st.integers(0, 2**40),
)
def test_publishers_read_back_what_arrived(
    steps: list[tuple[int, int]], first: int, start_us: int
) -> None:
    builder, expected = FeedbackBuilder(), {}
    number, now_us, batch = first, start_us, []
    for index, (skip, wait) in enumerate(steps):
        number, now_us = number + 1 + skip, now_us + wait
        batch.append((number & 0xFFFF, now_us))
        expected[number & 0xFFFF] = now_us // 250 * 250 % (64_000 << 24)
        if index % 7 == 6:
            found = told(builder.build(batch, 1, 2))
            assert {n: at for n, at in found.items() if at is not None} == {
                n: expected[n] for n, _ in batch
            }
            batch = []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        bytes(7),
        struct.pack("!HHI", 0, 1, 0),  # no chunk
        struct.pack("!HHIH", 0, 1, 0, 0),  # an empty run
        struct.pack("!HHIH", 0, 1, 0, 1 << 13 | 1),  # no delta
        struct.pack("!HHIH", 0, 1, 0, 2 << 13 | 1) + b"\x00",  # half a delta
        struct.pack("!HHIH", 0, 1, 0, 3 << 13 | 1) + bytes(4),  # the reserved symbol
    ],
)
def test_feedback_that_does_not_fit_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="transport feedback"):
        twcc.parse(1, 2, body)


@pytest.mark.parametrize("apart_us", [250, 300 * 250])
def test_one_packet_tells_of_four_hundred_and_stays_below_a_path_mtu(apart_us: int) -> None:
    arrivals = [(number, number * apart_us) for number in range(1_000)]
    told = FeedbackBuilder().build(arrivals, 1, 2)
    counts = [len(feedback.arrivals) for feedback in told]
    assert sum(counts) == 1_000
    assert max(counts) == twcc.MAX_STATUSES == 400
    assert max(len(twcc.write(feedback)) for feedback in told) <= 1_200
