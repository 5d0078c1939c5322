"""Each private name of aiortc that sfu/transport/dtls.py relies on, and what for, on the pinned version."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Any, cast

import pytest
from aioice.ice import get_host_addresses
from aiortc.rtcdtlstransport import (
    SRTP_AES128_CM_SHA1_80,
    RTCCertificate,
    RTCDtlsParameters,
    RTCDtlsTransport,
)
from aiortc.rtcicetransport import RTCIceTransport
from pylibsrtp import Policy, Session

from sfu.transport.dtls import Certificate, send_keys

RTP = bytes.fromhex("8060000100000001deadbeef") + b"payload"


class Wire:
    """Only what sfu.transport.peer gives to RTCDtlsTransport in place of an ICE transport."""

    role = "controlled"

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.other: Wire

    async def _recv(self) -> bytes:
        data = await self.inbox.get()
        if data is None:
            raise ConnectionError
        return data

    async def _send(self, data: bytes) -> None:
        self.other.inbox.put_nowait(data)


def pair() -> tuple[RTCDtlsTransport, RTCDtlsTransport]:
    wires = Wire(), Wire()
    wires[0].other, wires[1].other = wires[1], wires[0]
    certificates = RTCCertificate.generateCertificate(), RTCCertificate.generateCertificate()
    server, client = (
        RTCDtlsTransport(cast(RTCIceTransport, wire), [certificate])
        for wire, certificate in zip(wires, certificates, strict=True)
    )
    server._set_role("server")
    client._set_role("client")
    return server, client


async def connected() -> tuple[RTCDtlsTransport, RTCDtlsTransport]:
    server, client = pair()
    async with asyncio.timeout(10):
        await asyncio.gather(
            server.start(client.getLocalParameters()), client.start(server.getLocalParameters())
        )
    return server, client


def test_the_pinned_versions() -> None:
    assert version("aiortc") == "1.16.0"
    assert version("aioice") == "0.13.0"
    assert version("pylibsrtp") == "1.0.0"


async def test_a_wire_is_enough_of_a_transport_and_the_roles_are_kept() -> None:
    server, client = await connected()
    assert (server.state, client.state) == ("connected", "connected")
    assert (server._role, client._role) == ("server", "client")
    await server.stop()
    await client.stop()


async def test_the_keys_are_libsrtp_sessions_that_match() -> None:
    server, client = await connected()
    for transport in (server, client):
        assert isinstance(transport._rx_srtp, Session)
        assert isinstance(transport._tx_srtp, Session)
    assert server._rx_srtp.unprotect(client._tx_srtp.protect(RTP)) == RTP
    assert client._rx_srtp.unprotect(server._tx_srtp.protect(RTP)) == RTP
    await server.stop()
    await client.stop()


async def test_between_two_aiortc_the_profile_is_aes_256_gcm() -> None:
    server, client = await connected()
    connection = cast(Any, server)._ssl
    assert connection.get_selected_srtp_profile() == b"SRTP_AEAD_AES_256_GCM"
    await server.stop()
    await client.stop()


async def test_a_remote_close_is_told_as_a_change_of_state() -> None:
    server, client = await connected()
    closed = asyncio.Event()
    server.on("statechange", lambda: server.state == "closed" and closed.set())
    await client.stop()
    await asyncio.wait_for(closed.wait(), 5)
    await server.stop()


async def test_a_connection_error_out_of_recv_ends_the_transport() -> None:
    server, client = await connected()
    closed = asyncio.Event()
    server.on("statechange", lambda: server.state == "closed" and closed.set())
    cast(Wire, server.transport).inbox.put_nowait(None)
    await asyncio.wait_for(closed.wait(), 5)
    await server.stop()
    await client.stop()


async def test_another_certificate_fails_the_handshake() -> None:
    server, client = pair()
    stranger = RTCCertificate.generateCertificate()
    expected = RTCDtlsParameters(fingerprints=stranger.getFingerprints())
    async with asyncio.timeout(10):
        await asyncio.gather(server.start(expected), client.start(server.getLocalParameters()))
    assert server.state == "failed"
    assert server._rx_srtp is None
    await server.stop()
    await client.stop()


async def test_start_can_be_cancelled_and_stopped() -> None:
    server, _ = pair()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await server.start(
                RTCDtlsParameters(
                    fingerprints=RTCCertificate.generateCertificate().getFingerprints()
                )
            )
    assert server.state == "connecting"
    await server.stop()


async def test_transports_take_their_context_from_the_certificate() -> None:
    """Ours gives all of them the same one, and no handshake suffers by it."""
    certificate = Certificate()
    made = []
    for _ in range(2):
        wires = Wire(), Wire()
        wires[0].other, wires[1].other = wires[1], wires[0]
        ours = certificate.dtls(cast(Any, wires[0]), "server")
        client = RTCDtlsTransport(
            cast(RTCIceTransport, wires[1]), [RTCCertificate.generateCertificate()]
        )
        client._set_role("client")
        async with asyncio.timeout(10):
            await asyncio.gather(
                ours.start(client.getLocalParameters()), client.start(ours.getLocalParameters())
            )
        assert ours.state == client.state == "connected"
        made.append(cast(Any, ours._ssl).get_context())
        await client.stop()
        await ours.stop()
    assert made[0] is made[1]


def test_a_certificate_has_a_sha_256_fingerprint() -> None:
    fingerprints = RTCCertificate.generateCertificate().getFingerprints()
    values = {item.algorithm: item.value for item in fingerprints}
    assert len(values["sha-256"].split(":")) == 32


def test_host_addresses_leave_loopback_out() -> None:
    found = get_host_addresses(use_ipv4=True, use_ipv6=False)
    assert "127.0.0.1" not in found


async def test_the_master_key_is_that_of_the_session_that_sends() -> None:
    server, client = await connected()
    for sender, receiver in ((server, client), (client, server)):
        keys = send_keys(sender)
        assert keys is not None
        policy = Policy(
            key=keys.key + keys.salt,
            ssrc_type=Policy.SSRC_ANY_OUTBOUND,
            srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
        )
        assert receiver._rx_srtp.unprotect(Session(policy).protect(RTP)) == RTP
    await server.stop()
    await client.stop()


async def test_no_master_key_is_told_of_ciphers_other_than_gcm() -> None:
    server, client = pair()
    client._srtp_profiles = [SRTP_AES128_CM_SHA1_80]
    async with asyncio.timeout(10):
        await asyncio.gather(
            server.start(client.getLocalParameters()), client.start(server.getLocalParameters())
        )
    assert send_keys(server) is None
    await server.stop()
    await client.stop()
