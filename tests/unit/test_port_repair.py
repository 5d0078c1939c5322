"""Lost packets: towards viewers from the cache, from publishers by retransmission, and the figures."""

from __future__ import annotations

import pytest
from path_rig import Remote, Rig, Rtp, rtp, vp8

from sfu.path.python.cache import REPAIR_AGE_US
from sfu.wire import header, rtx
from sfu.wire.sequence import REACH

PUBLISHER, PUBLISHER_RTX = 1000, 1001
OTHER = 2000
PLENTY = 1_000_000


class Watch:
    """One publisher to one viewer, video, begun with a keyframe of sequence number 10."""

    def __init__(self, rig: Rig, *, rtx: bool) -> None:
        self.rig, self.rtx = rig, rtx
        self.publisher, self.viewer = rig.remote(), rig.remote()
        self.track = rig.track(self.publisher, PUBLISHER, rtx_ssrc=PUBLISHER_RTX)
        self.leg = rig.leg(self.viewer, rtx_ssrc=9999 if rtx else None, rtx={120: 121})
        rig.feed(self.leg, self.track, {96: 120}, {4: 5})
        self.show(10, keyframe=True)

    def packet(self, number: int, *, keyframe: bool = False) -> bytes:
        return rtp(
            number,
            number * 3000,
            PUBLISHER,
            vp8(number, number, keyframe=keyframe),
            marker=True,
            elements=b"\x40\xaa",
        )

    def show(self, *numbers: int, keyframe: bool = False) -> None:
        for number in numbers:
            self.publisher.send(self.packet(number, keyframe=keyframe))
            self.rig.drain(33_000)

    def show_again(self, number: int, rtx_sequence: int) -> None:
        """By the publisher's retransmission stream."""
        self.publisher.send(rtx.wrap(self.packet(number), 20, 97, PUBLISHER_RTX, rtx_sequence))
        self.rig.drain(1_000)


@pytest.fixture(params=[True, False], ids=["rtx", "same-ssrc"])
def watch(rig: Rig, request: pytest.FixtureRequest) -> Watch:
    return Watch(rig, rtx=request.param)


def unwrapped(viewer: Remote, ssrc: int, payload_at: int = 20) -> list[bytes]:
    """Retransmissions as the packets that they repeat."""
    found = []
    for data in viewer.receive_repeated():
        if data[8:12] == (9999).to_bytes(4, "big"):
            assert data[1] & 0x7F == 121
            packet = header.parse(data)
            assert packet.payload_at == payload_at
            data = rtx.unwrap(packet, 120, ssrc) or b""
        found.append(data)
    return found


def test_what_is_sent_again_is_what_was_sent(watch: Watch) -> None:
    watch.show(11, 12)
    sent = watch.viewer.receive_bytes()
    assert watch.rig.path.retransmit(watch.leg, [3, 1], PLENTY).packets == 2
    assert unwrapped(watch.viewer, 0x5000) == [sent[2], sent[0]]
    stats = watch.rig.path.send_stats(watch.leg)
    assert (stats.retransmitted, stats.missed) == (2, 0)


def test_retransmissions_have_their_own_numbers(rig: Rig) -> None:
    watch = Watch(rig, rtx=True)
    watch.viewer.receive()
    rig.path.retransmit(watch.leg, [1, 1], PLENTY)
    assert [(p.ssrc, p.sequence) for p in watch.viewer.receive()] == [(9999, 1), (9999, 2)]


def test_it_is_still_so_after_a_switch(watch: Watch) -> None:
    watch.show(11)
    other = watch.rig.remote()
    track = watch.rig.track(other, OTHER)
    watch.rig.feed(watch.leg, track, {96: 120})
    for number in (5, 6):
        other.send(rtp(number, number * 3000, OTHER, vp8(900 + number, keyframe=number == 5)))
        watch.rig.drain(5_000)
    sent = watch.viewer.receive_bytes()
    assert len(sent) == 4
    assert watch.rig.path.retransmit(watch.leg, [2], PLENTY).packets == 1
    assert unwrapped(watch.viewer, 0x5000) == [sent[1]]
    assert watch.rig.path.retransmit(watch.leg, [3], PLENTY).packets == 1
    assert unwrapped(watch.viewer, 0x5000, payload_at=12) == [sent[2]]


def test_what_the_cache_has_not_is_missed(watch: Watch) -> None:
    watch.show(12)
    assert watch.rig.path.retransmit(watch.leg, [2, 500, 65_000], PLENTY).packets == 0
    assert watch.rig.path.send_stats(watch.leg).missed == 3
    watch.rig.drain(REPAIR_AGE_US)
    assert watch.rig.path.retransmit(watch.leg, [3], PLENTY).packets == 1
    watch.rig.drain(1)
    assert watch.rig.path.retransmit(watch.leg, [3], PLENTY).packets == 0


def test_what_the_viewer_would_refuse_as_too_old_is_not_sent_again_under_its_number(
    watch: Watch,
) -> None:
    watch.show(11)
    # Both packets are in the cache still, the numbers in between were lost; the first is one too far behind.
    watch.publisher.send(watch.packet(10 + REACH))
    watch.rig.drain(1)
    watch.viewer.receive()
    assert watch.rig.path.retransmit(watch.leg, [1, 2], PLENTY).packets == 1 + watch.rtx
    assert len(watch.viewer.receive_repeated()) == 1 + watch.rtx
    assert watch.rig.path.send_stats(watch.leg).missed == 1 - watch.rtx
    assert watch.rig.path.counters()["send_failed"] == 0


@pytest.mark.parametrize(("behind", "comes"), [(REACH - 1, 1), (REACH, 0)])
def test_what_the_viewer_would_refuse_as_too_old_is_not_forwarded(
    watch: Watch, behind: int, comes: int
) -> None:
    watch.show(3000)
    watch.viewer.receive()
    watch.show(3000 - behind)
    assert len(watch.viewer.receive()) == comes
    assert watch.rig.path.counters()["send_failed"] == 0


def test_a_late_packet_can_be_sent_again(watch: Watch) -> None:
    watch.show(12, 11)
    watch.viewer.receive()
    assert watch.rig.path.retransmit(watch.leg, [2], PLENTY).packets == 1


def test_holes_are_told_until_they_are_filled_or_old(watch: Watch) -> None:
    watch.show(14, 12)
    assert watch.rig.path.missing() == [(watch.track, [11, 13])]
    watch.show_again(11, 1)
    assert watch.rig.path.missing() == [(watch.track, [13])]
    watch.rig.drain(1_000_000)
    assert watch.rig.path.missing() == []


def test_a_muted_track_misses_nothing(watch: Watch) -> None:
    watch.show(14)
    watch.rig.path.mute_track(watch.track, True)
    assert watch.rig.path.missing() == []


def test_an_outage_is_not_asked_for(watch: Watch) -> None:
    watch.show(12)
    watch.show(1000)
    assert watch.rig.path.missing() == []


def test_a_retransmission_counts_as_the_packet(watch: Watch) -> None:
    watch.show(12)
    watch.viewer.receive()
    watch.show_again(11, 50)
    assert watch.viewer.receive() == [
        Rtp(
            120,
            True,
            2,
            33_000,
            0x5000,
            bytes.fromhex("bede000150aa0000") + vp8(11, 11),
            first=0x90,
        )
    ]
    watch.show(11)
    assert watch.viewer.receive() == []
    stats = watch.rig.path.receive_stats(watch.track)
    assert (stats.rtx_recovered, stats.packets, stats.lost) == (1, 3, 0)
    assert watch.rig.count("drop_duplicate") == 1


def test_a_needless_retransmission_is_a_duplicate(watch: Watch) -> None:
    watch.show(11)
    watch.viewer.receive()
    watch.show_again(11, 50)
    assert watch.viewer.receive() == []
    assert watch.rig.path.receive_stats(watch.track).rtx_recovered == 0


def test_nothing_is_recovered_before_the_first_packet(rig: Rig) -> None:
    publisher = rig.remote()
    track = rig.track(publisher, PUBLISHER, rtx_ssrc=PUBLISHER_RTX)
    publisher.send(rtp(1, 0, PUBLISHER_RTX, b"\x00\x05" + vp8(1), payload_type=97))
    publisher.send(rtp(0xFFFF, 0, PUBLISHER, vp8(1)))
    publisher.send(rtp(0, 0, PUBLISHER, vp8(1)))
    assert rig.drain().started == [track]
    assert rig.path.missing() == []
    assert rig.path.receive_stats(track).rtx_recovered == 0


def test_probes_on_the_retransmission_stream_go_nowhere(watch: Watch) -> None:
    watch.viewer.receive()
    for payload in (b"", b"\x00"):
        watch.publisher.send(
            rtp(len(payload), 0, PUBLISHER_RTX, payload, payload_type=97, padding=255)
        )
    watch.publisher.send(rtp(2, 0, PUBLISHER_RTX, b"\x00\x0bxx", payload_type=55))
    watch.rig.drain()
    assert watch.viewer.receive() == []
    assert watch.rig.count("drop_probe") == 2
    assert watch.rig.count("drop_unknown_payload_type") == 1


def test_a_keyframe_whose_start_comes_late_still_begins(rig: Rig) -> None:
    publisher, viewer = rig.remote(), rig.remote()
    track, leg = rig.track(publisher, PUBLISHER), rig.leg(viewer)
    rig.feed(leg, track)
    publisher.send(rtp(10, 0, PUBLISHER, vp8(1)))
    publisher.send(rtp(12, 3000, PUBLISHER, vp8(2, start=False), marker=True))
    publisher.send(rtp(11, 3000, PUBLISHER, vp8(2, keyframe=True)))
    publisher.send(rtp(13, 6000, PUBLISHER, vp8(3)))
    rig.drain()
    assert [packet.sequence for packet in viewer.receive()] == [1, 3]
    assert (
        rig.path.retransmit(leg, [2], PLENTY).packets == 1
    )  # what had passed meanwhile is asked for
    assert viewer.receive()[0].timestamp == 3000


# --- figures --------------------------------------------------------------------------------


def test_reception_figures(watch: Watch) -> None:
    watch.show(11, 14, 12)
    stats = watch.rig.path.receive_stats(watch.track)
    assert (stats.packets, stats.expected, stats.lost) == (4, 5, 1)
    assert stats.highest_sequence == 14
    assert stats.octets == 4 * len(vp8(1))
    assert stats.keyframes == 1


def test_jitter_is_the_mean_deviation(rig: Rig) -> None:
    publisher = rig.remote()
    track = rig.track(publisher, PUBLISHER, "audio")
    for number in range(200):
        publisher.send(rtp(number, number * 960, PUBLISHER, payload_type=111))
        rig.drain(15_000 if number % 2 else 25_000)  # always 5 ms off: 240 units of 48 kHz
    assert rig.path.receive_stats(track).jitter == pytest.approx(240, abs=2)


def test_the_extended_sequence_counts_cycles(rig: Rig) -> None:
    publisher = rig.remote()
    track = rig.track(publisher, PUBLISHER, "audio")
    for number in (0xFFFE, 0xFFFF, 0, 1):
        publisher.send(rtp(number, 0, PUBLISHER, payload_type=111))
    rig.drain()
    stats = rig.path.receive_stats(track)
    assert (stats.highest_sequence, stats.expected) == (0x10001, 4)


def test_send_figures_pair_the_clocks_at_a_frames_first_packet(watch: Watch) -> None:
    watch.show(11)
    sent_us = watch.rig.now_us
    watch.publisher.send(rtp(12, 33_000, PUBLISHER, vp8(11, start=False), marker=True))
    watch.rig.drain(4_000)
    stats = watch.rig.path.send_stats(watch.leg)
    assert (stats.packets, stats.octets) == (3, 3 * len(vp8(1)))
    assert (stats.last_timestamp, stats.last_sent_us) == (33_000, sent_us)
    assert stats.clock_rate == 90_000


def test_levels_are_summed_up_between_looks(rig: Rig) -> None:
    publisher = rig.remote()
    track = rig.track(publisher, PUBLISHER, "audio", audio_level_id=1)
    for number, element in enumerate([b"\x10\x94", b"\x10\x28", b"\x20\x01", b"\x10\x7f"]):
        publisher.send(rtp(number, 0, PUBLISHER, payload_type=111, elements=element))
    rig.drain()
    (levels,) = rig.path.levels()
    assert (levels.track, levels.count, levels.total, levels.loudest) == (
        track,
        3,
        20 + 40 + 127,
        20,
    )
    assert rig.path.levels() == []
    rig.path.mute_track(track, True)
    publisher.send(rtp(9, 0, PUBLISHER, payload_type=111, elements=b"\x10\x05"))
    rig.drain()
    assert rig.path.levels() == []


def test_arrivals_are_logged_for_every_stream_of_the_transport(rig: Rig) -> None:
    publisher = rig.remote()
    rig.track(publisher, PUBLISHER, rtx_ssrc=PUBLISHER_RTX, transport_cc_id=3)
    expected = []
    for number, ssrc in enumerate([PUBLISHER, PUBLISHER_RTX, 4242, PUBLISHER]):
        element = b"\x31" + (0xFFFE + number & 0xFFFF).to_bytes(2, "big")
        publisher.send(rtp(number, 0, ssrc, b"", elements=element, padding=9))
        rig.drain(10_000)
        expected.append((0xFFFE + number & 0xFFFF, rig.now_us))
    assert rig.path.arrivals(publisher.transport) == expected
    assert rig.path.arrivals(publisher.transport) == []


def test_sound_without_a_level_is_counted_by_its_size(rig: Rig) -> None:
    publisher = rig.remote()
    told = rig.track(publisher, PUBLISHER, "audio", audio_level_id=1)
    bare = rig.track(publisher, OTHER, "audio")
    for number in range(3):
        publisher.send(rtp(number, 0, OTHER, bytes(80), payload_type=111, elements=b"\x10\x05"))
        publisher.send(rtp(number, 0, PUBLISHER, bytes(70), payload_type=111))
    publisher.send(
        rtp(8, 0, OTHER, bytes(50), payload_type=13)
    )  # not negotiated: comfort noise, say
    publisher.send(rtp(9, 0, OTHER, b"", payload_type=111, padding=9))
    rig.drain()
    found = {item.track: (item.count, item.bare, item.bare_octets) for item in rig.path.levels()}
    assert found == {told: (0, 3, 210), bare: (0, 3, 240)}
    assert rig.path.levels() == []
    rig.path.mute_track(bare, True)
    publisher.send(rtp(10, 0, OTHER, bytes(80), payload_type=111))
    rig.drain()
    assert rig.path.levels() == []


def test_what_was_sent_of_late_is_known(watch: Watch) -> None:
    size = len(vp8(1))
    recent = []
    for number in range(11, 90):
        watch.show(number)
        recent.append(watch.rig.path.send_stats(watch.leg).recent_octets)
    assert recent[-1] == pytest.approx(size * 1_000_000 / 33_000, rel=0.07)
    assert max(recent) <= size * (1_000_000 / 33_000 + 2)
    watch.rig.drain(500_000)
    assert 0 < watch.rig.path.send_stats(watch.leg).recent_octets < recent[-1]
    watch.rig.drain(1_500_000)
    assert watch.rig.path.send_stats(watch.leg).recent_octets == 0


def test_so_much_is_sent_again_as_there_is_room_for(watch: Watch) -> None:
    watch.show(11, 12, 13)
    watch.viewer.receive()
    size = len(watch.packet(11))
    for room, packets in ((0, 0), (size - 1, 0), (size, 1), (3 * size - 1, 2), (9 * size, 4)):
        repaired = watch.rig.path.retransmit(watch.leg, [1, 2, 3, 4], room)
        assert (repaired.packets, repaired.octets) == (packets, packets * size)
        assert len(watch.viewer.receive_raw()) == packets
    assert watch.rig.path.send_stats(watch.leg).missed == 0
