"""A light peer connects to a full WebRTC implementation and its media arrives: aiortc is the other side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import aioice.ice
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.rtp import RtpPacket
from load import kernel, rtp, sdp
from load.dtls import Identity
from load.measuring import Sampling, percentile
from load.peer import Peer, PeerFailed, Upkeep
from load.publishing import Pump, Stream
from load.shapes import Media

HOST = "127.0.0.1"
WITHIN = 20.0


@pytest.fixture(autouse=True)
def loopback_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """aioice gathers no loopback addresses by itself."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [HOST])


@pytest.fixture
async def other_side() -> AsyncIterator[RTCPeerConnection]:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    yield connection
    await connection.close()


async def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WITHIN
    while not condition():
        assert time.monotonic() < deadline, f"not within {WITHIN} s: {what}"
        await asyncio.sleep(0.01)


async def answer(connection: RTCPeerConnection, offer: str) -> sdp.Remote:
    await connection.setRemoteDescription(RTCSessionDescription(sdp=offer, type="offer"))
    await connection.setLocalDescription(await connection.createAnswer())
    return sdp.parse(connection.localDescription.sdp)


def arriving(connection: RTCPeerConnection, monkeypatch: pytest.MonkeyPatch) -> list[RtpPacket]:
    """What the receiver gets before it would decode."""
    found: list[RtpPacket] = []

    async def take(packet: RtpPacket, arrival_time_ms: int) -> None:
        found.append(packet)

    receiver = connection.getTransceivers()[0].receiver
    monkeypatch.setattr(receiver, "_handle_rtp_packet", take)
    return found


async def test_published_packets_arrive_in_order_with_tags(
    other_side: RTCPeerConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = Peer(Identity(), HOST, "publisher")
    pump = Pump()
    try:
        sending = sdp.sending("video")
        remote = await answer(other_side, sdp.offer(peer.local, [sending]))
        packets = arriving(other_side, monkeypatch)
        await peer.connect(remote, controlling=True)
        assert peer.keys.profile == "SRTP_AEAD_AES_256_GCM"
        wire = sdp.negotiated(sending, remote.media[0])
        stream = Stream(0, peer, Media(50, (4, 6), (200, 900)), wire)
        pump.add(stream)
        await until(lambda: other_side.connectionState == "connected", "the other side connected")
        pump.resume()
        await until(lambda: len(packets) >= 60, "60 packets")
        pump.pause()
        numbers = [rtp.read_tag(packet.payload)[1] for packet in packets]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert {packet.ssrc for packet in packets} == {sending.ssrc}
        assert all(200 <= 12 + len(packet.payload) <= 900 for packet in packets)
        markers = sum(packet.marker for packet in packets)
        assert 4 <= len(packets) / markers <= 6.5
    finally:
        pump.close()
        peer.close()


async def test_the_pump_keeps_its_rate_and_pauses_between_frames(
    other_side: RTCPeerConnection,
) -> None:
    peer = Peer(Identity(), HOST, "publisher")
    pump = Pump()
    try:
        sending = sdp.sending("audio")
        remote = await answer(other_side, sdp.offer(peer.local, [sending]))
        await peer.connect(remote, controlling=True)
        wire = sdp.negotiated(sending, remote.media[0])
        stream = Stream(0, peer, Media(100, (1, 1), (100, 100), 20), wire)
        pump.add(stream)
        pump.resume()
        started = time.monotonic()
        await until(lambda: stream.sent >= 100, "100 packets")
        assert time.monotonic() - started >= 0.95
        pump.pause()
        sent = stream.sent
        pump.resume()
        await until(lambda: stream.sent > sent, "going on")
        gap = (stream.sent_at[sent] - stream.sent_at[sent - 1]) / 1e9
        assert gap > 0
        assert list(stream.sent_at) == sorted(stream.sent_at)
    finally:
        pump.close()
        peer.close()


async def test_a_viewer_is_filtered_and_can_be_sampled(other_side: RTCPeerConnection) -> None:
    """The other side publishes our tagged packets, as an SFU would."""
    peer = Peer(Identity(), HOST, "viewer")
    peer.sampled = True
    try:
        other_side.addTransceiver("video", direction="sendonly")
        await other_side.setLocalDescription(await other_side.createOffer())
        offered = other_side.localDescription.sdp
        text = sdp.answer(peer.local, offered)
        await other_side.setRemoteDescription(RTCSessionDescription(sdp=text, type="answer"))
        kernel.drop_rtp(peer.socket)
        await peer.connect(sdp.parse(offered), controlling=False)
        await until(lambda: other_side.connectionState == "connected", "the other side connected")
        transport = other_side.getTransceivers()[0].sender.transport
        before = kernel.drops(peer.socket)
        for number in range(1, 21):
            await transport._send_rtp(_tagged(number, 1))
        await until(lambda: kernel.drops(peer.socket) == before + 20, "20 packets dropped")
        sampling = Sampling([peer])
        sampling.begin()
        for number in range(21, 31):
            await transport._send_rtp(_tagged(number, 1))
        await until(lambda: _taken(sampling) >= 10, "10 packets sampled")
        sampling.end()
        plain = [peer.keys.receive.unprotect(data) for _, data, _ in sampling.taken]
        assert [rtp.read_tag(packet)[1] for packet in plain] == list(range(21, 31))
    finally:
        peer.close()


async def test_upkeep_reports_until_told_to_rest(
    other_side: RTCPeerConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = Peer(Identity(), HOST, "viewer")
    reports: list[bytes] = []
    consents: list[float] = []
    upkeep = Upkeep([peer], report_every=0.1, consent_every=0.1)
    try:
        sending = sdp.sending("audio")
        remote = await answer(other_side, sdp.offer(peer.local, [sending]))
        await peer.connect(remote, controlling=True)
        monkeypatch.setattr(peer, "send_rtcp", reports.append)
        monkeypatch.setattr(peer, "consent", lambda: consents.append(time.monotonic()))
        upkeep.start()
        await until(lambda: len(reports) >= 3, "three reports")
        upkeep.reporting = False
        count, consented = len(reports), len(consents)
        await until(lambda: len(consents) >= consented + 3, "consent without reports")
        assert len(reports) == count
    finally:
        await upkeep.stop()
        peer.close()


async def test_nobody_there_is_told_as_such() -> None:
    peer = Peer(Identity(), HOST, "lonely")
    nobody = Peer(Identity(), HOST, "nobody")
    port = nobody.local.address[1]
    nobody.close()
    remote = sdp.Remote(ufrag="u", password="p" * 22, candidates=[(HOST, port)])
    try:
        with pytest.raises(PeerFailed, match="no ICE within"):
            await peer.connect(remote, controlling=True, within=0.3)
    finally:
        peer.close()


def test_percentiles() -> None:
    values = [float(value) for value in range(100)]
    assert percentile(values, 0.5) == 50
    assert percentile(values, 0.99) == 99
    assert percentile(values, 1.0) == 99
    assert percentile([], 0.5) is None


def _tagged(number: int, ssrc: int) -> bytes:
    return rtp.packet(
        payload_type=96,
        marker=False,
        sequence=number,
        timestamp=0,
        ssrc=ssrc,
        header_extension=b"",
        payload=rtp.tagged(b"", 100, 0, number),
    )


def _taken(sampling: Sampling) -> int:
    sampling.drain()
    return len(sampling.taken)
