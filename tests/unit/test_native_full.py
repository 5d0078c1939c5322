"""The compiled path when the socket is full. It learns so only after it has written everything that came together,
and must then be where the pure path is, which asks the socket for every packet."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from native_twins import Client, Twins
from path_rig import Rig, rtp, vp8
from twin_call import AUDIO, VIDEO

from sfu.path.choice import native_available
from sfu.path.interface import Kind, LegSpec, Source, TrackSpec

pytestmark = pytest.mark.skipif(not native_available(), reason="no compiled path")

PUBLISHER = 1000


@pytest.fixture
def twins() -> Iterator[Twins]:
    twins = Twins()
    yield twins
    twins.close()


def publish(twins: Twins, client: Client, kind: Kind, ssrc: int = PUBLISHER) -> int:
    codecs = VIDEO if kind == "video" else AUDIO
    spec = TrackSpec(transport=client.transport, kind=kind, ssrc=ssrc, codecs=codecs)
    return twins.same(lambda path: path.add_track(spec))


def view(twins: Twins, client: Client, track: int, kind: Kind, ssrc: int = 77) -> int:
    spec = LegSpec(
        transport=client.transport, kind=kind, ssrc=ssrc, rtx_ssrc=ssrc + 1, rtx={96: 97}
    )
    leg = twins.same(lambda path: path.add_leg(spec))
    source = Source(track=track, payload_types={96: 96, 111: 111})
    twins.same(lambda path: path.set_source(leg, source, twins.now_us))
    return leg


def send_frames(client: Client, first: int, frames: list[int], *, probe: bool = False) -> None:
    """Frames of so many packets each, the first one a keyframe when it is the stream's first."""
    number = first
    for index, packets in enumerate(frames):
        for place in range(packets):
            body = vp8(first + index, keyframe=number == 1, start=not place, body=bytes(place))
            if probe and place == 1:
                body = b""
            packet = rtp(number, (first + index) * 3000, PUBLISHER, body, padding=9 * (not body))
            client.send(client.protects.protect(packet))
            number += 1


@pytest.mark.parametrize("probe", [False, True])
@pytest.mark.parametrize("room", range(9))
def test_full_in_the_middle_of_a_batch(twins: Twins, room: int, probe: bool) -> None:
    """Several frames in one batch, to one viewer; after `room` packets the socket takes no more."""
    twins.native._use_segmentation(False)
    publisher, viewer = twins.client(), twins.client()
    leg = view(twins, viewer, publish(twins, publisher, "video"), "video")
    send_frames(publisher, 1, [1])
    twins.drain()
    twins.choke(room)
    send_frames(publisher, 2, [3, 2, 3], probe=probe)
    twins.drain(1_000)
    twins.choke(-1)
    send_frames(publisher, 10, [2])
    twins.drain(1_000)
    twins.same(lambda path: path.waiting_for_keyframe())
    twins.same(lambda path: path.send_stats(leg))
    asked = twins.same(lambda path: path.retransmit(leg, list(range(12)), 1_000_000))
    assert asked.packets >= 3
    twins.compare_received()
    counters = twins.compare_counters()
    assert bool(counters["send_full_video"]) == (room < 8 - 3 * probe)


def test_a_cut_frame_ends_with_its_source(twins: Twins) -> None:
    """Another source's first frame may have the same timestamp as the one that was cut short."""
    publisher, viewer = twins.client(), twins.client()
    first = publish(twins, publisher, "video")
    leg = view(twins, viewer, first, "video")
    send_frames(publisher, 1, [1])
    twins.drain()
    twins.choke(0)
    send_frames(publisher, 2, [1])
    twins.drain(1_000)
    twins.choke(-1)
    second = publish(twins, publisher, "video", 2000)
    source = Source(track=second, payload_types={96: 96})
    twins.same(lambda path: path.set_source(leg, source, twins.now_us))
    before = twins.received
    publisher.send(publisher.protects.protect(rtp(9, 2 * 3000, 2000, vp8(5, keyframe=True))))
    twins.drain(1_000)
    assert twins.received == before + 1


@pytest.mark.parametrize("room", [0, 1, 2, 3])
def test_audio_that_waits(twins: Twins, room: int) -> None:
    publisher, viewers = twins.client(), [twins.client() for _ in range(3)]
    track = publish(twins, publisher, "audio")
    for viewer in viewers:
        view(twins, viewer, track, "audio")
    for number in range(5):
        twins.choke(room if number == 2 else -1)
        packet = rtp(number, 960 * number, PUBLISHER, payload_type=111)
        publisher.send(publisher.protects.protect(packet))
        twins.drain(20_000)
    assert twins.compare_counters()["send_retried_audio"] == 3 - room


def test_audio_waits_before_video_goes(twins: Twins) -> None:
    publisher, viewer = twins.client(), twins.client()
    view(twins, viewer, publish(twins, publisher, "video"), "video")
    view(twins, viewer, publish(twins, publisher, "audio", 2000), "audio", 88)
    send_frames(publisher, 1, [1])
    twins.drain()
    twins.choke(0)
    for number in range(3):
        packet = rtp(number, 0, 2000, payload_type=111)
        publisher.send(publisher.protects.protect(packet))
        twins.drain()
    twins.choke(2)
    send_frames(publisher, 2, [2])
    twins.drain()
    twins.choke(-1)
    send_frames(publisher, 4, [2])
    twins.drain()
    assert twins.compare_counters()["send_retried_audio"] == 3


def test_rtcp_is_dropped(twins: Twins) -> None:
    client = twins.client()
    twins.choke(0)
    twins.same(lambda path: path.send_rtcp(client.transport, bytes([0x80, 201, 0, 1]) + bytes(4)))
    twins.same(lambda path: path.send(b"\x16", client.socket.getsockname()))
    assert twins.compare_counters()["send_full_control"] == 2


@pytest.mark.parametrize("room", range(7))
def test_no_viewer_gets_a_gap(room: int) -> None:
    """Many viewers and runs that leave as one message: whoever misses packets misses no number."""
    rig = Rig(_native)
    publisher, viewers = rig.remote(), [rig.remote() for _ in range(6)]
    track = rig.track(publisher, PUBLISHER)
    for viewer in viewers:
        rig.feed(rig.leg(viewer), track)
    publisher.send(rtp(1, 0, PUBLISHER, vp8(0, keyframe=True)))
    rig.drain()
    rig.path._limit_sends(room)  # type: ignore[attr-defined]
    for number in range(2, 12):
        publisher.send(rtp(number, number // 5 * 3000, PUBLISHER, vp8(number)))
    rig.drain(1_000)
    rig.path._limit_sends(-1)  # type: ignore[attr-defined]
    publisher.send(rtp(12, 9_000, PUBLISHER, vp8(12)))
    rig.drain(1_000)
    got = [[packet.sequence for packet in viewer.receive()] for viewer in viewers]
    assert sorted(map(len, got)) == [2] * (6 - room) + [12] * room
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in got)
    assert rig.count("forwarded") == sum(map(len, got)) == rig.count("datagrams_out")
    assert rig.path.waiting_for_keyframe() == ([track] if room < 6 else [])
    rig.close()


def _native(sock):  # type: ignore[no-untyped-def]
    from sfu.native.path import NativePath

    return NativePath(sock)
