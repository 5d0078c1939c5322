"""The socket is full: video gives up to the end of the frame, audio waits, control is dropped; all counted.

A real socket on loopback never fills, so this one is told to. Only the pure path sends through it.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest
from path_rig import Rig, rtp, vp8

from sfu.path.interface import PacketPath
from sfu.path.python.path import PythonPath
from sfu.path.python.udp import MAX_WAITING_AUDIO

PUBLISHER = 1000


class Choked(socket.socket):
    """Takes `room` datagrams and then says why not."""

    room = 1_000_000
    error = errno.EAGAIN

    def sendto(self, data: bytes, address: object) -> int:  # type: ignore[override]
        if self.room <= 0:
            raise OSError(self.error, "no room")
        self.room -= 1
        return super().sendto(data, address)


class FullRig(Rig):
    choked: Choked

    def __init__(self) -> None:
        super().__init__(self._open)

    def _open(self, sock: socket.socket) -> PacketPath:
        self.choked = Choked(fileno=sock.detach())
        return PythonPath(self.choked)


@pytest.fixture
def rig() -> Iterator[FullRig]:
    rig = FullRig()
    yield rig
    rig.close()


@pytest.mark.parametrize("error", [errno.EAGAIN, errno.ENOBUFS])
def test_video_is_given_up_to_the_end_of_the_frame(rig: FullRig, error: int) -> None:
    publisher, viewer = rig.remote(), rig.remote()
    track, leg = rig.track(publisher, PUBLISHER), rig.leg(viewer)
    rig.feed(leg, track)
    publisher.send(rtp(1, 0, PUBLISHER, vp8(1, 1, keyframe=True), marker=True))
    publisher.send(rtp(2, 3000, PUBLISHER, vp8(2, 2)))
    rig.drain()
    assert rig.path.waiting_for_keyframe() == []

    rig.choked.room, rig.choked.error = 0, error
    publisher.send(rtp(3, 3000, PUBLISHER, vp8(2, 2, start=False)))
    rig.drain()
    rig.choked.room = 100
    publisher.send(rtp(4, 3000, PUBLISHER, vp8(2, 2, start=False), marker=True))
    publisher.send(rtp(5, 6000, PUBLISHER, vp8(3, 3)))
    rig.drain()
    packets = viewer.receive()
    assert [(p.sequence, p.timestamp) for p in packets] == [(1, 0), (2, 3000), (3, 6000)]
    assert packets[-1].body == vp8(3, 3)  # the picture id tells the decoder what it lacks
    assert rig.count("send_full_video") == 1
    assert rig.path.waiting_for_keyframe() == [track]  # and the torn frame is mended by a new one

    publisher.send(rtp(6, 9000, PUBLISHER, vp8(4, 4, keyframe=True)))
    rig.drain()
    assert rig.path.waiting_for_keyframe() == []


def test_one_viewers_full_socket_is_no_other_viewers_loss(rig: FullRig) -> None:
    publisher, viewers = rig.remote(), [rig.remote() for _ in range(3)]
    track = rig.track(publisher, PUBLISHER)
    for viewer in viewers:
        rig.feed(rig.leg(viewer), track)
    publisher.send(rtp(1, 0, PUBLISHER, vp8(1, keyframe=True)))
    rig.drain()
    rig.choked.room = 2
    publisher.send(rtp(2, 3000, PUBLISHER, vp8(2)))
    rig.drain()
    rig.choked.room = 100
    publisher.send(rtp(3, 6000, PUBLISHER, vp8(3)))
    rig.drain()
    got = [[p.sequence for p in viewer.receive()] for viewer in viewers]
    assert got == [[1, 2, 3], [1, 2, 3], [1, 2]]


def test_audio_waits_and_keeps_its_order(rig: FullRig) -> None:
    publisher, viewer = rig.remote(), rig.remote()
    rig.feed(rig.leg(viewer, "audio"), rig.track(publisher, PUBLISHER, "audio"))
    rig.choked.room = 0
    for number in range(3):
        publisher.send(rtp(number, 0, PUBLISHER, payload_type=111))
    rig.drain()
    assert viewer.receive() == []
    rig.choked.room = 100
    publisher.send(rtp(3, 0, PUBLISHER, payload_type=111))
    rig.drain()
    assert [packet.sequence for packet in viewer.receive()] == [1, 2, 3, 4]
    assert rig.count("send_retried_audio") == 3
    assert rig.count("send_full_audio") == 0


def test_nothing_overtakes_the_audio_that_waits(rig: FullRig) -> None:
    publisher, viewer = rig.remote(), rig.remote()
    rig.feed(rig.leg(viewer, "audio"), rig.track(publisher, PUBLISHER, "audio"))
    rig.choked.room = 0
    publisher.send(rtp(1, 0, PUBLISHER, payload_type=111))
    rig.drain()
    rig.choked.room = 100
    rig.path.send(b"\x16hello", viewer.address)
    audio, control = viewer.receive_raw()
    assert (audio[0], control) == (0x80, b"\x16hello")


def test_audio_does_not_wait_without_end(rig: FullRig) -> None:
    publisher, viewer = rig.remote(), rig.remote()
    rig.feed(rig.leg(viewer, "audio"), rig.track(publisher, PUBLISHER, "audio"))
    rig.choked.room = 0
    for number in range(MAX_WAITING_AUDIO + 7):
        publisher.send(rtp(number, 0, PUBLISHER, payload_type=111))
        rig.drain()
    assert rig.count("send_full_audio") == 7
    rig.choked.room = 1_000
    rig.drain()
    assert [packet.sequence for packet in viewer.receive()][:1] == [8]  # the oldest went


def test_control_is_dropped(rig: FullRig) -> None:
    remote = rig.remote()
    rig.choked.room = 0
    rig.path.send(b"\x16", remote.address)
    rig.path.send_rtcp(remote.transport, bytes([0x80, 201, 0, 1]) + bytes(4))
    assert rig.count("send_full_control") == 2


def test_an_unreachable_viewer_is_loss_on_the_way(rig: FullRig) -> None:
    publisher, viewer = rig.remote(), rig.remote()
    rig.feed(rig.leg(viewer), rig.track(publisher, PUBLISHER))
    rig.choked.room, rig.choked.error = 0, errno.ENETUNREACH
    publisher.send(rtp(1, 0, PUBLISHER, vp8(1, keyframe=True)))
    rig.drain()
    rig.choked.room = 10
    publisher.send(rtp(2, 3000, PUBLISHER, vp8(2)))
    rig.drain()
    assert [packet.sequence for packet in viewer.receive()] == [2]
    assert rig.count("send_failed") == 1
    assert rig.path.waiting_for_keyframe() == []
