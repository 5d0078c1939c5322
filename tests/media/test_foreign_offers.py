"""libwebrtc takes our answers to offers that browsers do not write by themselves, and media comes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import pytest
import webrtc
from media_rig import Camera, Controller, Microphone, until

from schemas.sfu import AudioConnected, ConnectionLost, OfferAudio, OfferVideo, VideoLive
from sfu.worker.worker import Worker

Edit = Callable[[str], str]


def without(pattern: str) -> Edit:
    return lambda sdp: re.sub(rf"^{pattern}\r\n", "", sdp, flags=re.MULTILINE)


def extensions_one_way(sdp: str) -> str:
    return re.sub(r"^a=extmap:(\d+) ", r"a=extmap:\1/sendonly ", sdp, flags=re.MULTILINE)


def session_level(sdp: str) -> str:
    """Fingerprint, credentials and role move to where they count for all m-lines."""
    moved = re.findall(r"^a=(?:fingerprint|ice-ufrag|ice-pwd|setup):.*\r\n", sdp, re.MULTILINE)
    for line in moved:
        sdp = sdp.replace(line, "")
    return sdp.replace("t=0 0\r\n", "t=0 0\r\n" + "".join(dict.fromkeys(moved)))


def odd(sdp: str) -> str:
    lines = "a=fmtp:55 x=1\r\na=rtcp-fb:111\r\na=ssrc:1 x\r\na=extmap:x urn:foo\r\na=fmtp:96 max-fr=29.97\r\n"
    head, *sections = re.split(r"(?=^m=)", sdp, flags=re.MULTILINE)
    return head + "b=AS:none\r\n" + "".join(section + lines for section in sections)


def without_reduced_size(sdp: str) -> str:
    return without("a=rtcp-rsize")(sdp)


OWN = {
    "no group": without("a=group:.*"),
    "no reduced-size RTCP": without_reduced_size,
    "no mixed extensions": without("a=extmap-allow-mixed"),
    "no feedback": without("a=rtcp-fb:.*"),
}
"""What the client itself takes for its offer."""
SENT = {
    "one-way extensions": extensions_one_way,
    "session-level transport": session_level,
    "odd lines": odd,
    "bare newlines": lambda sdp: sdp.replace("\r\n", "\n"),
}
"""What only the worker gets to see."""


class Client:
    """One connection whose offers are edited."""

    def __init__(self, controller: Controller) -> None:
        self.user = uuid4()
        self.connection = webrtc.RTCPeerConnection()
        self.answer = ""
        self._controller = controller
        self._sources: list[Camera | Microphone] = []

    async def publish(self, own: Edit = str, sent: Edit = str) -> None:
        camera = Camera()
        self._sources.append(camera)
        self.connection.add_transceiver(
            camera.track, webrtc.RTCRtpTransceiverInit(direction="sendonly")
        )
        await self.offer(own, sent)

    async def offer(self, own: Edit = str, sent: Edit = str, audio: bool = False) -> None:
        offer = own((await self.connection.create_offer()).sdp)
        await self.connection.set_local_description(
            webrtc.RTCSessionDescriptionInit(type="offer", sdp=offer)
        )
        body = (
            OfferAudio(user=self.user, sdp=sent(offer), enabled=True)
            if audio
            else OfferVideo(user=self.user, kind="video", sdp=sent(offer))
        )
        self.answer = await self._controller.answered(body)
        await self.connection.set_remote_description(
            webrtc.RTCSessionDescriptionInit(type="answer", sdp=self.answer)
        )

    async def speak(self, slots: int, own: Edit = str) -> None:
        microphone = Microphone()
        self._sources.append(microphone)
        self.connection.add_transceiver(microphone.track)
        for _ in range(slots):
            self.connection.add_transceiver(
                "audio", webrtc.RTCRtpTransceiverInit(direction="recvonly")
            )
        await self.offer(own, audio=True)

    async def close(self) -> None:
        self.connection.close()
        for source in self._sources:
            await source.stop()


@pytest.fixture
async def client(controller: Controller) -> AsyncIterator[Client]:
    made = Client(controller)
    yield made
    await made.close()


@pytest.mark.parametrize("name", [*OWN, *SENT])
async def test_a_camera_with_an_odd_offer_is_live(
    controller: Controller, client: Client, name: str
) -> None:
    await client.publish(OWN.get(name, str), SENT.get(name, str))
    await controller.notice(VideoLive, user=client.user)
    assert ("a=group" in client.answer) is (name != "no group")
    assert ("a=rtcp-rsize" in client.answer) is (name != "no reduced-size RTCP")
    assert ("a=extmap-allow-mixed" in client.answer) is (name != "no mixed extensions")


async def test_slots_without_a_group_are_refused_and_the_microphone_is_not(
    controller: Controller, client: Client
) -> None:
    await client.speak(2, without("a=group:.*"))
    await controller.notice(AudioConnected, user=client.user)
    assert client.answer.count("m=audio 0 ") == 2


async def test_a_camera_that_was_held_goes_on(
    worker: Worker, controller: Controller, client: Client
) -> None:
    """RFC 3264 section 8.4: inactive, and later not."""
    await client.publish()
    await controller.notice(VideoLive, user=client.user)
    (transceiver,) = client.connection.get_transceivers()
    transceiver.direction = "inactive"
    await client.offer()
    assert "a=inactive" in client.answer
    before = worker.path.media_in()
    transceiver.direction = "sendonly"
    await client.offer()
    assert "a=recvonly" in client.answer
    await until(lambda: worker.path.media_in() > before + 20, what="packets again")
    assert not controller.seen(ConnectionLost)


async def test_a_microphone_that_was_stopped_leaves_its_m_line_to_the_others(
    controller: Controller, client: Client
) -> None:
    """stop() makes an m-line of port 0, which the client keeps (RFC 8829 section 5.2.2)."""
    await client.speak(1)
    await controller.notice(AudioConnected, user=client.user)
    client.connection.get_transceivers()[0].stop()
    await client.offer(audio=True)
    first, second = re.findall(r"^m=.*", client.answer, re.MULTILINE)
    assert first.startswith("m=audio 0 ")
    assert not second.startswith("m=audio 0 ")
    assert "a=group:BUNDLE 1\r\n" in client.answer
    await client.offer(audio=True)
