"""A UCWA participant and one of the Meeting API see and hear each other, through a real worker.

alice knows only what her application links to, and what its event channel brings.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import webrtc
from media_rig import Camera, Microphone, inbound_stats, running_worker
from rig_meetings import Api, Json, Person
from ucwa_meeting import program, started
from ucwa_rig import Program, events_of, running_ucwa

from conference.tokens import user_named
from config.tasks import end

Sdp = Callable[[str], Awaitable[None]]


class Peer:
    """libwebrtc's side of one participant. How offers and answers travel is the family's."""

    def __init__(self) -> None:
        self.audio = webrtc.RTCPeerConnection()
        self.camera = webrtc.RTCPeerConnection()
        self.inbound = webrtc.RTCPeerConnection()
        self._microphone = Microphone()
        self._picture = Camera()
        self.audio.add_transceiver(self._microphone.track)
        self.camera.add_transceiver(
            self._picture.track, webrtc.RTCRtpTransceiverInit(direction="sendonly")
        )

    async def offer(self, connection: webrtc.RTCPeerConnection) -> str:
        offered = await connection.create_offer()
        await connection.set_local_description(offered)
        return str(offered.sdp)

    async def answered(self, connection: webrtc.RTCPeerConnection, sdp: str) -> None:
        await connection.set_remote_description(
            webrtc.RTCSessionDescriptionInit(type="answer", sdp=sdp)
        )

    async def answer(self, sdp: str) -> str:
        await self.inbound.set_remote_description(
            webrtc.RTCSessionDescriptionInit(type="offer", sdp=sdp)
        )
        answer = await self.inbound.create_answer()
        await self.inbound.set_local_description(answer)
        return str(answer.sdp)

    async def receives(self) -> None:
        """Frames that are decoded, and audio packets."""
        await _grows(self.audio, "audio", lambda stats: stats.packets_received or 0, 20)
        await _grows(self.inbound, "video", lambda stats: stats.frames_decoded or 0, 5)

    async def close(self) -> None:
        await self._microphone.stop()
        await self._picture.stop()
        for connection in (self.audio, self.camera, self.inbound):
            connection.close()


async def _grows(
    connection: webrtc.RTCPeerConnection,
    kind: str,
    count: Callable[[webrtc.RTCInboundRtpStreamStats], int],
    by: int,
) -> None:
    async def total() -> int:
        return sum(count(stats) for stats in await inbound_stats(connection, kind))

    start = await total()
    async with asyncio.timeout(20):
        while await total() < start + by:
            await asyncio.sleep(0.05)


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with (
        running_worker(redis_url),
        running_ucwa(database_url, redis_url, tmp_path, command_timeout=10.0) as api,
    ):
        yield api


@pytest.fixture
async def peers() -> AsyncIterator[tuple[Peer, Peer]]:
    both = Peer(), Peer()
    yield both
    for peer in both:
        await peer.close()


async def test_each_family_sees_and_hears_the_other(api: Api, peers: tuple[Peer, Peer]) -> None:
    alice = await program(api, "alice")
    conversation = await started(alice)
    (bob,) = await api.people("bob")
    path = f"/meetings/{conversation.href.rpartition('/')[2]}"
    assert await bob.join(path) == "ACCEPTED", "of the same company"

    hers, his = peers
    reading = [
        asyncio.create_task(_ucwa(alice, conversation.link("mediaNegotiation"), hers)),
        asyncio.create_task(_meeting_api(bob, path, his)),
    ]
    try:
        await asyncio.gather(hers.receives(), his.receives())
        assert not any(task.done() for task in reading), [task for task in reading if task.done()]
    finally:
        await end(reading)


async def _ucwa(alice: Program, negotiation: str, peer: Peer) -> None:
    """Publishes what she has, subscribes to whoever shows a camera, and answers, until cancelled."""
    media = await alice.get(negotiation)
    calls = {item["channel"]: item["_links"] for item in media.embedded("mediaChannel")}
    offer = await peer.offer(peer.audio)
    await _put(alice, calls["audio"]["offer"], {"sdp": offer})
    await _put(alice, calls["audio"]["switch"], {"enabled": True})
    offer = await peer.offer(peer.camera)
    body = {"type": "video", "enabled": True, "sdp": offer}
    await _put(alice, calls["video"]["switch"], body)
    connections = {"audio": peer.audio, "video": peer.camera}
    own = str(user_named(alice.name).id)
    while True:
        for event in events_of(await alice.poll(5)):
            rel = event["link"]["rel"]
            if rel == "participantVideo" and event["type"] == "added":
                source = event["_embedded"]["participantVideo"]["videoSourceId"]
                if source != own:
                    stream = {"userId": source, "type": "video"}
                    wanted = {"subscribe": [stream], "unsubscribe": []}
                    await _put(alice, calls["subscriptions"]["subscribe"], wanted)
            elif rel == "mediaChannel":
                channel = event["_embedded"]["mediaChannel"]
                if channel["channel"] == "inbound":
                    answer = await peer.answer(channel["sdp"])
                    await _put(alice, calls["inbound"]["answer"], {"sdp": answer})
                elif channel["channel"] in connections:
                    assert channel["sdpType"] == "answer"
                    await peer.answered(connections[channel["channel"]], channel["sdp"])


async def _put(program: Program, link: Json, body: Json) -> None:
    answer = await program.put(link["href"], body)
    assert answer.status == 204, answer


async def _meeting_api(bob: Person, path: str, peer: Peer) -> None:
    offer = await peer.offer(peer.audio)
    assert (await bob.put(f"{path}/audio/offer", {"sdp": offer})).status == 204
    await peer.answered(peer.audio, (await bob.until("MEETING_AUDIO_ANSWERED"))["sdp"])
    assert (await bob.put(f"{path}/audio", {"enabled": True})).status == 204
    offer = await peer.offer(peer.camera)
    body = {"type": "video", "enabled": True, "sdp": offer}
    assert (await bob.put(f"{path}/media", body)).status == 204
    await peer.answered(peer.camera, (await bob.until("MEETING_SDP_ANSWERED"))["sdp"])
    (her,) = [
        item["userId"]
        for item in (await bob.state(path))["participants"]
        if item["userId"] != bob.id
    ]
    wanted = {"subscribe": [{"userId": her, "type": "video"}], "unsubscribe": []}
    assert (await bob.put(f"{path}/media/subscribe", wanted)).status == 204
    while True:
        offered = await bob.until("MEETING_SDP_OFFERED")
        answer = await peer.answer(offered["sdp"])
        assert (await bob.put(f"{path}/media/answer", {"sdp": answer})).status == 204
