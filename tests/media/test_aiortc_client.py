"""aiortc as the client: another implementation's SDP, ICE (no candidates from us but in the SDP) and RTCP."""

from __future__ import annotations

import asyncio
import fractions
from collections.abc import AsyncIterator

import aioice.ice
import av
import pytest
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from media_rig import Controller, until

from schemas.sfu import (
    AnswerInbound,
    AudioConnected,
    Feed,
    OfferAudio,
    Offered,
    OfferVideo,
    Subscribe,
    VideoLive,
)
from sfu.worker.worker import Worker


class Picture(MediaStreamTrack):
    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self._number = 0

    async def recv(self) -> av.VideoFrame:
        await asyncio.sleep(1 / 15)
        self._number += 1
        frame = av.VideoFrame(160, 96, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([self._number * 3 % 256]) * plane.buffer_size)
        frame.pts, frame.time_base = self._number * 6000, fractions.Fraction(1, 90000)
        return frame


class Sound(MediaStreamTrack):
    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._number = 0

    async def recv(self) -> av.AudioFrame:
        await asyncio.sleep(0.02)
        frame = av.AudioFrame("s16", "mono", 960)
        frame.planes[0].update(bytes([0, 32]) * 960)
        frame.sample_rate, frame.pts = 48000, self._number * 960
        frame.time_base = fractions.Fraction(1, 48000)
        self._number += 1
        return frame


@pytest.fixture
async def connect(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[RTCPeerConnection]]:
    """Connections put into this list are closed at the end. aioice leaves loopback out by itself."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1"])
    opened: list[RTCPeerConnection] = []
    yield opened
    async with asyncio.timeout(10):
        await asyncio.gather(*(connection.close() for connection in opened))


def new(opened: list[RTCPeerConnection]) -> RTCPeerConnection:
    opened.append(RTCPeerConnection(RTCConfiguration(iceServers=[])))
    return opened[-1]


def without_candidates(sdp: str) -> str:
    """As the meetings client posts it: straight from createOffer."""
    kept = [line for line in sdp.splitlines() if not line.startswith(("a=candidate", "a=end-of"))]
    return "\r\n".join(kept) + "\r\n"


async def test_audio_and_video_both_ways(
    worker: Worker, controller: Controller, connect: list[RTCPeerConnection]
) -> None:
    from uuid import uuid4

    alice, bob = uuid4(), uuid4()
    for user in (alice, bob):
        audio = new(connect)
        audio.addTrack(Sound())
        await audio.setLocalDescription(await audio.createOffer())
        sdp = without_candidates(audio.localDescription.sdp)
        answer = await controller.answered(OfferAudio(user=user, sdp=sdp, enabled=True))
        await audio.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await controller.notice(AudioConnected, user=user)

    outgoing = new(connect)
    outgoing.addTrack(Picture())
    await outgoing.setLocalDescription(await outgoing.createOffer())
    sdp = without_candidates(outgoing.localDescription.sdp)
    answer = await controller.answered(OfferVideo(user=alice, kind="video", sdp=sdp))
    await outgoing.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await controller.notice(VideoLive, user=alice)

    await controller.done(Subscribe(user=bob, subscribe=[Feed(alice, "video")], unsubscribe=[]))
    offered = await controller.notice(Offered, user=bob)
    inbound = new(connect)
    tracks: list[MediaStreamTrack] = []
    inbound.on("track", tracks.append)
    await inbound.setRemoteDescription(RTCSessionDescription(offered.sdp, "offer"))
    await inbound.setLocalDescription(await inbound.createAnswer())
    sdp = without_candidates(inbound.localDescription.sdp)
    await controller.done(AnswerInbound(user=bob, sdp=sdp))

    await until(lambda: tracks)
    async with asyncio.timeout(10):
        for _ in range(5):
            frame = await tracks[0].recv()
            assert isinstance(frame, av.VideoFrame)
            assert (frame.width, frame.height) == (160, 96)
        heard = connect[1].getReceivers()[0].track
        for _ in range(5):
            assert isinstance(await heard.recv(), av.AudioFrame)
    assert worker.counters()["addresses_proven"] >= 4, "it answers the checks that we send"
    assert "unproven_held_back" not in worker.counters()
