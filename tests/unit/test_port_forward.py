"""What a viewer gets of what a publisher sends, through real sockets and real SRTP."""

from __future__ import annotations

import pytest
from path_rig import Remote, Rig, Rtp, rtp, vp8

from sfu.path.interface import Codec, UnknownStream

PUBLISHER = 1000
OTHER = 2000


def sequences(packets: list[Rtp]) -> list[int]:
    return [packet.sequence for packet in packets]


class Call:
    """One publisher to one viewer, audio, already flowing."""

    def __init__(self, rig: Rig, first_sequence: int = 1, level_id: int = 0) -> None:
        self.rig = rig
        self.publisher, self.viewer = rig.remote(), rig.remote()
        self.track = rig.track(self.publisher, PUBLISHER, "audio", audio_level_id=level_id)
        self.leg = rig.leg(self.viewer, "audio", first_sequence=first_sequence)
        rig.feed(self.leg, self.track)

    def say(self, *numbers: int) -> list[Rtp]:
        """Packets of these sequence numbers, 20 ms each; what the viewer gets of them."""
        for number in numbers:
            self.publisher.send(rtp(number, number * 960, PUBLISHER, payload_type=111))
            self.rig.drain(20_000)
        return self.viewer.receive()


@pytest.fixture
def call(rig: Rig) -> Call:
    return Call(rig)


def test_video_begins_at_a_keyframe(rig: Rig) -> None:
    publisher, viewer = rig.remote(), rig.remote()
    track, leg = rig.track(publisher, PUBLISHER), rig.leg(viewer, ssrc=77)
    rig.feed(leg, track, {96: 120})
    publisher.send(rtp(10, 900, PUBLISHER, vp8(1)))
    assert rig.drain().started == [track]
    assert viewer.receive() == []
    assert rig.path.waiting_for_keyframe() == [track]

    publisher.send(rtp(11, 1800, PUBLISHER, vp8(2, keyframe=True)))
    publisher.send(rtp(12, 1800, PUBLISHER, vp8(2, start=False), marker=True))
    assert rig.drain().keyframes == [track]
    first, second = viewer.receive()
    assert (first.sequence, second.sequence) == (1, 2)
    assert {first.payload_type, second.payload_type} == {120}
    assert {first.ssrc, second.ssrc} == {77}
    assert first.timestamp == second.timestamp
    assert (first.marker, second.marker) == (False, True)
    assert first.body == vp8(2, keyframe=True)
    assert rig.path.waiting_for_keyframe() == []


def test_audio_begins_at_once(call: Call) -> None:
    (packet,) = call.say(500)
    assert (packet.sequence, packet.payload_type) == (1, 111)


def test_loss_is_told_and_late_packets_fit_their_gap(call: Call) -> None:
    assert sequences(call.say(10, 11, 14, 13, 15)) == [1, 2, 5, 4, 6]


def test_numbers_wrap_on_both_sides(rig: Rig) -> None:
    call = Call(rig, first_sequence=0x7FFF)
    got = call.say(*range(0xFFF0, 0x10010))
    assert sequences(got) == list(range(0x7FFF, 0x7FFF + 32))
    call.say(*range(0x10, 0x8010, 16))  # so that the viewer's numbers come near their end
    assert sequences(call.say(0x8011, 0x8012))[-1] == (0x7FFF + 0x10012 - 0xFFF0 + 0x8000) & 0xFFFF


def test_the_same_packet_twice_goes_out_once(call: Call) -> None:
    data = call.publisher.protects.protect(rtp(5, 0, PUBLISHER, payload_type=111))
    call.publisher.send_raw(data)
    call.publisher.send_raw(data)
    call.rig.drain()
    assert sequences(call.viewer.receive()) == [1]
    assert call.rig.count("drop_replayed") == 1


def test_probes_leave_no_gap(call: Call) -> None:
    call.say(10)
    call.publisher.send(rtp(11, 0, PUBLISHER, b"", payload_type=111, padding=250))
    call.rig.drain()
    assert sequences(call.say(12)) == [2]
    assert call.rig.count("drop_probe") == 1


def test_a_late_probe_fills_the_gap_that_was_promised(call: Call) -> None:
    call.say(10, 12)
    call.publisher.send(rtp(11, 0, PUBLISHER, b"", payload_type=111, padding=250))
    call.rig.drain()
    (probe,) = call.viewer.receive()
    assert (probe.sequence, probe.first & 0x20) == (2, 0x20)


def test_padding_behind_media_is_kept(call: Call) -> None:
    call.publisher.send(rtp(10, 0, PUBLISHER, b"media", payload_type=111, padding=3))
    call.rig.drain()
    (packet,) = call.viewer.receive()
    assert (packet.first & 0x20, packet.body) == (0x20, b"media\x00\x00\x03")


def test_payload_types_that_the_viewer_lacks_leave_no_gap(rig: Rig) -> None:
    publisher, viewer = rig.remote(), rig.remote()
    codecs = {
        111: Codec(name="opus", clock_rate=48_000),
        13: Codec(name="CN", clock_rate=48_000),
    }
    track = rig.track(publisher, PUBLISHER, "audio", codecs=codecs)
    leg = rig.leg(viewer, "audio")
    rig.feed(leg, track, {111: 109})
    for number, payload_type in ((1, 111), (2, 13), (3, 111), (4, 77), (5, 111)):
        publisher.send(rtp(number, 960 * number, PUBLISHER, payload_type=payload_type))
    rig.drain()
    assert [(p.sequence, p.payload_type) for p in viewer.receive()] == [
        (1, 109),
        (2, 109),
        (3, 109),
    ]
    assert rig.count("drop_unknown_payload_type") == 1


def test_extension_ids_are_the_viewers(rig: Rig) -> None:
    publisher, viewer = rig.remote(), rig.remote()
    track = rig.track(publisher, PUBLISHER, "audio", audio_level_id=1, transport_cc_id=3)
    leg = rig.leg(viewer, "audio")
    # Even when told to, the publisher's transport-wide number (3) goes to nobody.
    rig.feed(leg, track, extensions={1: 9, 3: 3})
    elements = b"\x10\x94" + b"\x22abc" + b"\x31\x00\x07"
    data = rtp(1, 0, PUBLISHER, payload_type=111, elements=elements, csrcs=(5, 6))
    publisher.send(data)
    rig.drain()
    (packet,) = viewer.receive()
    assert packet.first == data[0]
    assert packet.body == (
        bytes.fromhex("0000000500000006bede0003") + b"\x90\x94" + bytes(10) + b"media"
    )


# --- changes of source ----------------------------------------------------------------------


def test_a_paused_leg_goes_on_without_a_gap(call: Call) -> None:
    call.say(1, 2)
    call.rig.feed(call.leg, None)
    assert call.say(3, 4, 5) == []
    call.rig.feed(call.leg, call.track)
    packets = call.say(6, 7)
    assert sequences(packets) == [3, 4]
    assert [packet.marker for packet in packets] == [True, False]
    assert packets[0].timestamp == 6 * 960  # the same source: its own clock still holds


def test_a_muted_track_reaches_nobody(call: Call) -> None:
    call.say(1, 2)
    call.rig.path.mute_track(call.track, True)
    assert call.say(3, 4, 5) == []
    assert call.rig.path.receive_stats(call.track).packets == 5
    assert call.rig.path.retransmit(call.leg, [3, 4], 1_000_000).packets == 0
    call.rig.path.mute_track(call.track, False)
    packets = call.say(4, 6, 7)  # 4: sent again by somebody, from before
    assert sequences(packets) == [3, 4]
    assert packets[0].marker
    assert call.rig.count("drop_muted") == 3


def test_an_unmuted_video_waits_for_a_keyframe(rig: Rig) -> None:
    publisher, viewer = rig.remote(), rig.remote()
    track, leg = rig.track(publisher, PUBLISHER), rig.leg(viewer)
    rig.feed(leg, track)
    publisher.send(rtp(1, 0, PUBLISHER, vp8(10, 5, keyframe=True)))
    rig.drain()
    rig.path.mute_track(track, True)
    publisher.send(rtp(2, 3000, PUBLISHER, vp8(11, 6, keyframe=True)))
    rig.drain()
    assert rig.path.waiting_for_keyframe() == []  # nothing to ask for while it is muted
    rig.path.mute_track(track, False)
    assert rig.path.waiting_for_keyframe() == [track]
    publisher.send(rtp(3, 6000, PUBLISHER, vp8(12, 7)))
    publisher.send(rtp(4, 9000, PUBLISHER, vp8(13, 8, keyframe=True)))
    rig.drain()
    packets = viewer.receive()
    assert [(p.sequence, p.timestamp) for p in packets] == [(1, 0), (2, 9000)]
    assert packets[1].body == vp8(11, 6, keyframe=True)


def test_audio_changes_its_source_at_once(call: Call) -> None:
    call.say(1, 2)
    other = call.rig.remote()
    track = call.rig.track(other, OTHER, "audio")
    call.rig.feed(call.leg, track)
    other.send(rtp(900, 123_456, OTHER, payload_type=111))
    call.rig.drain(60_000)
    assert call.say(3) == [
        Rtp(111, True, 3, 2 * 960 + 60 * 48, 0x5000, b"media"),
    ]


def test_the_former_voice_is_heard_no_more(call: Call) -> None:
    call.say(1, 2)
    track = call.rig.track(call.rig.remote(), OTHER, "audio")
    call.rig.feed(call.leg, track)
    assert call.say(3, 4) == []
    assert sequences(call.viewer.receive()) == []


def test_audio_does_not_begin_with_a_late_packet(call: Call) -> None:
    call.rig.feed(call.leg, None)
    assert call.say(10, 12) == []
    call.rig.feed(call.leg, call.track)
    assert sequences(call.say(11, 13, 14)) == [1, 2]


def test_parameter_sets_and_picture_are_one_keyframe(rig: Rig) -> None:
    publisher, viewer = rig.remote(), rig.remote()
    track = rig.track(publisher, PUBLISHER, codecs={96: Codec(name="H264", clock_rate=90_000)})
    rig.feed(rig.leg(viewer), track)
    for number, (timestamp, payload) in enumerate(
        [(0, b"\x67sps"), (0, b"\x68pps"), (0, b"\x65idr"), (3000, b"\x41"), (6000, b"\x65idr")]
    ):
        publisher.send(rtp(number, timestamp, PUBLISHER, payload))
    assert rig.drain().keyframes == [track, track]
    assert len(viewer.receive()) == 5
    late = rig.leg(viewer)
    rig.feed(late, track)
    publisher.send(rtp(9, 6000, PUBLISHER, b"\x65rest"))
    rig.drain()
    assert len(viewer.receive()) == 1  # no beginning in the middle of a keyframe


def switching(rig: Rig) -> tuple[Remote, Remote, Remote, int, int]:
    first, second, viewer = rig.remote(), rig.remote(), rig.remote()
    before, after = rig.track(first, PUBLISHER), rig.track(second, OTHER)
    leg = rig.leg(viewer)
    rig.feed(leg, before)
    first.send(rtp(10, 90_000, PUBLISHER, vp8(0x7FFE, 254, keyframe=True)))
    first.send(rtp(11, 93_000, PUBLISHER, vp8(0x7FFF, 255)))
    rig.drain()
    rig.feed(leg, after)
    return first, second, viewer, leg, after


def test_video_stays_with_the_old_source_until_the_new_ones_keyframe(rig: Rig) -> None:
    first, second, viewer, _, after = switching(rig)
    second.send(rtp(4000, 50, OTHER, vp8(70, 7)))
    first.send(rtp(12, 96_000, PUBLISHER, vp8(0, 0)))
    rig.drain()
    assert sequences(viewer.receive()) == [1, 2, 3]
    assert rig.path.waiting_for_keyframe() == [after]

    second.send(rtp(4001, 3050, OTHER, vp8(71, 8, keyframe=True)))
    rig.drain(100_000)
    first.send(rtp(13, 99_000, PUBLISHER, vp8(1, 1)))
    second.send(rtp(4002, 6050, OTHER, vp8(72, 9)))
    second.send(rtp(3999, 50, OTHER, vp8(69, 6)))  # late, from before the switch
    rig.drain()
    assert viewer.receive() == [
        Rtp(96, False, 4, 96_000 + 9_000, 0x5000, vp8(1, 1, keyframe=True)),
        Rtp(96, False, 5, 96_000 + 12_000, 0x5000, vp8(2, 2)),
    ]


def test_time_moves_on_even_within_one_microsecond(rig: Rig) -> None:
    _, second, viewer, _, _ = switching(rig)
    second.send(rtp(4001, 3050, OTHER, vp8(71, 8, keyframe=True)))
    rig.drain()
    assert viewer.receive()[-1].timestamp == 93_001


def test_going_back_before_the_keyframe_cancels_the_change(rig: Rig) -> None:
    first, second, viewer, leg, _ = switching(rig)
    rig.feed(leg, 1)
    assert rig.path.waiting_for_keyframe() == []
    second.send(rtp(4001, 3050, OTHER, vp8(71, keyframe=True)))
    first.send(rtp(12, 96_000, PUBLISHER, vp8(0, 0)))
    rig.drain()
    assert sequences(viewer.receive()) == [1, 2, 3]


def test_a_new_mapping_of_the_same_source_needs_no_keyframe(rig: Rig) -> None:
    publisher, viewer = rig.remote(), rig.remote()
    track, leg = rig.track(publisher, PUBLISHER), rig.leg(viewer)
    rig.feed(leg, track, {96: 96})
    publisher.send(rtp(1, 0, PUBLISHER, vp8(1, keyframe=True)))
    rig.drain()
    rig.feed(leg, track, {96: 101})
    publisher.send(rtp(3, 6000, PUBLISHER, vp8(3)))
    rig.drain()
    assert [(p.sequence, p.payload_type, p.timestamp) for p in viewer.receive()] == [
        (1, 96, 0),
        (3, 101, 6000),  # the second was really lost
    ]


def test_a_removed_track_leaves_its_legs_without_a_source(rig: Rig) -> None:
    _, second, viewer, _, after = switching(rig)
    viewer.receive()
    rig.path.remove_track(after)
    assert rig.path.waiting_for_keyframe() == []
    second.send(rtp(4001, 3050, OTHER, vp8(71, keyframe=True)))
    assert rig.drain().unknown == [UnknownStream(second.transport, OTHER, 96)]
    assert viewer.receive() == []


def test_kinds_do_not_mix(rig: Rig) -> None:
    remote = rig.remote()
    track, leg = rig.track(remote, PUBLISHER, "audio"), rig.leg(remote, "video")
    with pytest.raises(ValueError, match="audio"):
        rig.feed(leg, track)


def test_payload_types_have_seven_bits(rig: Rig) -> None:
    remote = rig.remote()
    track, leg = rig.track(remote, PUBLISHER), rig.leg(remote)
    with pytest.raises(ValueError, match="payload type"):
        rig.feed(leg, track, {96: 128})
    with pytest.raises(ValueError, match="payload type"):
        rig.leg(remote, rtx={96: -1})


def test_an_ssrc_is_never_sent_from_twice(rig: Rig) -> None:
    remote = rig.remote()
    rig.path.remove_leg(rig.leg(remote, ssrc=5, rtx_ssrc=6))
    for ssrc in (5, 6):
        with pytest.raises(ValueError, match="SSRC"):
            rig.leg(remote, ssrc=ssrc)


def test_everybody_gets_the_same_media_under_their_own_names(rig: Rig) -> None:
    publisher = rig.remote()
    track = rig.track(publisher, PUBLISHER)
    viewers = [rig.remote() for _ in range(5)]
    for index, viewer in enumerate(viewers):
        rig.feed(rig.leg(viewer, ssrc=100 + index), track, {96: 96 + index}, {4: index + 1})
    element = b"\x40\xaa\x00\x00"
    publisher.send(rtp(1, 0, PUBLISHER, vp8(1, keyframe=True), elements=element))
    rig.drain()
    for index, viewer in enumerate(viewers):
        (packet,) = viewer.receive()
        assert (packet.ssrc, packet.payload_type) == (100 + index, 96 + index)
        assert packet.body[4:6] == bytes([(index + 1) << 4, 0xAA])
        assert packet.body[8:] == vp8(1, keyframe=True)
