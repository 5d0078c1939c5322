"""Senders that browsers are not: without audio levels, and with an SSRC that changes in mid-stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import aioice.ice
import pytest
import webrtc
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from media_rig import Controller, Participant, both_paths, until
from test_aiortc_client import Picture, without_candidates

from schemas import sfu as wire
from schemas.sfu import AudioConnected, Talking, VideoLive
from sfu.worker.worker import Worker

Join = Callable[[], Participant]


class WithoutLevels(Participant):
    """Its offers say nothing of ssrc-audio-level, so that its packets carry none."""

    async def _offer(
        self, connection: webrtc.RTCPeerConnection, body: Callable[[str], wire.Body]
    ) -> None:
        def plain(sdp: str) -> wire.Body:
            lines = [line for line in sdp.split("\r\n") if "ssrc-audio-level" not in line]
            return body("\r\n".join(lines))

        await super()._offer(connection, plain)


@both_paths
async def test_who_tells_no_level_is_heard_when_it_speaks(
    worker: Worker, controller: Controller
) -> None:
    """Three with one m-line each: the first is silent, the second talks, the third hears the second."""
    alice, bob, carol = (WithoutLevels(controller) for _ in range(3))
    try:
        for person in (alice, bob, carol):
            await person.join_audio(loud=person is bob)
            await controller.notice(AudioConnected, user=person.user)
        await controller.notice(Talking, user=bob.user, talking=True)
        (session,) = worker.meetings
        slot = session._audio[carol.user].slots[0]
        await until(lambda: slot.speaker == bob.user, what="carol hears bob")
        await carol.hears()
        assert not controller.seen(Talking, user=alice.user)
        assert bob.microphone
        assert alice.microphone
        bob.microphone.loud = False
        await controller.notice(Talking, user=bob.user, talking=False)
        alice.microphone.loud = True
        await controller.notice(Talking, user=alice.user, talking=True)
        await until(lambda: slot.speaker == alice.user, what="carol hears alice")
    finally:
        for person in (alice, bob, carol):
            await person.close()


@pytest.fixture
async def publisher(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RTCPeerConnection]:
    """aioice leaves loopback out by itself."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1"])
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    yield connection
    async with asyncio.timeout(10):
        await connection.close()


@both_paths
async def test_a_picture_goes_on_under_another_ssrc(
    worker: Worker, controller: Controller, join: Join, publisher: RTCPeerConnection
) -> None:
    alice, bob = join(), join()
    sender: RTCRtpSender = publisher.addTrack(Picture())
    await publisher.setLocalDescription(await publisher.createOffer())
    body = wire.OfferVideo(
        user=alice.user, kind="video", sdp=without_candidates(publisher.localDescription.sdp)
    )
    answer = await controller.answered(body)
    await publisher.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
    await controller.notice(VideoLive, user=alice.user)
    await bob.subscribe(alice.feed())
    await bob.sees(alice.feed())

    for step in (1, 2):
        sender._ssrc += step
        ssrc = sender._ssrc
        sender.transport._rtp_router.register_sender(sender, ssrc=ssrc)  # else it hears no PLI
        await until(
            lambda ssrc=ssrc: [t.ssrc for t in worker.streams._tracks.values()] == [ssrc]  # type: ignore[misc]
        )
        await bob.sees(alice.feed(), 20)
    assert len(controller.seen(VideoLive)) == 1
    assert worker.counters()["drop_unknown_ssrc"] > 0
