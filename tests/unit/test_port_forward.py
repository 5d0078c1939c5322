"""What a viewer gets of what a publisher sends, through real sockets and real SRTP."""

from __future__ import annotations

from path_rig import Rig, rtp, vp8


def test_video_begins_at_a_keyframe(rig: Rig) -> None:
    publisher, viewer = rig.remote(), rig.remote()
    track, leg = rig.track(publisher, 1000), rig.leg(viewer, ssrc=77)
    rig.feed(leg, track, {96: 120})
    publisher.send(rtp(10, 900, 1000, vp8(1)))
    assert rig.drain().started == [track]
    assert viewer.receive() == []
    assert rig.path.waiting_for_keyframe() == [track]

    publisher.send(rtp(11, 1800, 1000, vp8(2, keyframe=True)))
    publisher.send(rtp(12, 1800, 1000, vp8(2, start=False), marker=True))
    assert rig.drain().keyframes == [track]
    first, second = viewer.receive()
    assert (first.sequence, second.sequence) == (1, 2)
    assert {first.payload_type, second.payload_type} == {120}
    assert {first.ssrc, second.ssrc} == {77}
    assert first.timestamp == second.timestamp
    assert (first.marker, second.marker) == (False, True)
    assert first.body == vp8(2, keyframe=True)
    assert rig.path.waiting_for_keyframe() == []
