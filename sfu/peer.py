"""One client transport: ICE-lite state, the DTLS handshake, and the SRTP keys that come out of it.

The only module that knows aiortc's private names: `RTCDtlsTransport` calls `_recv`, `_send` and `role` of
the transport it is given, and `_set_role`, `_rx_srtp` and `_tx_srtp` are the way to its role and its keys;
`_role`, `_ssl` and `_srtp_profiles` to the master key behind `_tx_srtp`. It takes its OpenSSL context from the
certificate's `_create_ssl_context`.
`tests/unit/test_aiortc_contract.py` holds each of them to the pinned version.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Literal, Protocol, cast

import structlog
from aiortc.rtcdtlstransport import (
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
    SRTPProtectionProfile,
)
from aiortc.rtcicetransport import RTCIceTransport
from OpenSSL import SSL
from pylibsrtp import Session as SrtpSession

from sfu.path import Address, PacketPath, SrtpKeys
from sfu.sdp.remote import Fingerprint

HANDSHAKE_TIMEOUT = 15.0
CLOSE_TIMEOUT = 1.0
MAX_ADDRESSES = 8
"""Checked addresses of one client that are remembered; browsers try a few per interface."""
_DTLS_QUEUE = 32
"""Datagrams that wait for the handshake task; a flight has fewer than ten."""

CLOSED_BY_CLIENT = "closed by the client"

PeerState = Literal["new", "connecting", "connected", "closed"]

log = structlog.get_logger(__name__)


class _OneContext(RTCCertificate):
    """Gives every transport the same OpenSSL context; aiortc makes one for each, of 23 KiB."""

    _context: SSL.Context | None = None

    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        if self._context is None:
            context = super()._create_ssl_context(srtp_profiles)
            # Nobody resumes a session, and shared contexts would collect them all.
            context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
            context.set_mode(SSL.MODE_RELEASE_BUFFERS)
            self._context = context
        return self._context


class Certificate:
    """The worker's certificate, shown to every client."""

    def __init__(self) -> None:
        self._certificate = _OneContext.generateCertificate()
        fingerprints = {f.algorithm: f.value for f in self._certificate.getFingerprints()}
        self.fingerprint = fingerprints["sha-256"]

    def dtls(self, wire: _Wire, role: Literal["client", "server"]) -> RTCDtlsTransport:
        transport = RTCDtlsTransport(cast(RTCIceTransport, wire), [self._certificate])
        transport._set_role(role)
        return transport


def send_keys(dtls: RTCDtlsTransport) -> SrtpKeys | None:
    """What `_tx_srtp` was made of (RFC 5764 section 4.2); None when the client did not agree to AES-GCM."""
    connection = dtls._ssl
    if connection is None:
        return None
    agreed = connection.get_selected_srtp_profile()
    for profile in dtls._srtp_profiles:
        if profile.openssl_profile != agreed or b"GCM" not in agreed:
            continue
        length = 2 * (profile.key_length + profile.salt_length)
        exported = connection.export_keying_material(b"EXTRACTOR-dtls_srtp", length)
        ours = profile.get_key_and_salt(exported, 1 if dtls._role == "server" else 0)
        return SrtpKeys(ours[: profile.key_length], ours[profile.key_length :])
    return None


class PeerOwner(Protocol):
    """Who is told what becomes of a peer."""

    def peer_connected(self, peer: Peer) -> None: ...

    def peer_lost(self, peer: Peer, reason: str) -> None:
        """Called once, never after `close`; the peer is closed already."""
        ...

    def unknown_ssrc(self, peer: Peer, ssrc: int, payload_type: int) -> None:
        """RTP that no track claims came over the peer's transport."""
        ...


class PeerRegistry(Protocol):
    """What a peer needs of the endpoint it lives on."""

    path: PacketPath
    certificate: Certificate

    def credentials_added(self, peer: Peer, ufrag: str) -> None: ...

    def credentials_dropped(self, ufrag: str) -> None: ...

    def address_dropped(self, peer: Peer, address: Address) -> None: ...

    def transport_opened(self, peer: Peer, transport: int) -> None: ...

    def peer_closed(self, peer: Peer) -> None: ...

    def keep(self, task: asyncio.Task[None]) -> None:
        """Own a task until it ends."""
        ...


class _Wire:
    """What aiortc's DTLS transport takes for an ICE transport: datagrams in, datagrams out."""

    role = "controlled"

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._datagrams: asyncio.Queue[bytes | None] = asyncio.Queue(_DTLS_QUEUE + 1)
        self._write = send

    async def _recv(self) -> bytes:
        data = await self._datagrams.get()
        if data is None:
            raise ConnectionError("closed")
        return data

    async def _send(self, data: bytes) -> None:
        self._write(data)

    def put(self, data: bytes) -> bool:
        """False when the queue is full; DTLS repeats what is lost."""
        if self._datagrams.qsize() >= _DTLS_QUEUE:
            return False
        self._datagrams.put_nowait(data)
        return True

    def end(self) -> None:
        if not self._datagrams.full():
            self._datagrams.put_nowait(None)


class Peer:
    """A client's transport, from its first description until it is closed.

    Opened with our credentials; `expect` says whom the handshake has to prove; checks bring addresses; with
    both, the handshake runs, and the packet path gets the keys.
    """

    def __init__(self, registry: PeerRegistry, owner: PeerOwner, now_us: int) -> None:
        self.state: PeerState = "new"
        self.transport: int | None = None
        self.remote_ufrag: str | None = None
        self.fingerprints: frozenset[Fingerprint] = frozenset()
        self.selected: Address | None = None
        self.addresses: dict[Address, int] = {}
        """Checked addresses, with the time of the last check (µs)."""
        self.opened_us = now_us
        self.last_check_us = 0
        self._registry = registry
        self.owner = owner
        self._passwords: dict[str, str] = {}
        self._wire = _Wire(self._send)
        self._role: Literal["client", "server"] = "server"
        self._dtls: RTCDtlsTransport | None = None
        self._task: asyncio.Task[None] | None = None
        self.ufrag = ""
        self.password = ""
        self.renew_credentials()

    # credentials

    def renew_credentials(self) -> None:
        """An ICE restart (RFC 8445 section 9): the former ones stay good until the client nominates with the new."""
        self.ufrag, self.password = secrets.token_hex(4), secrets.token_hex(12)
        self._passwords[self.ufrag] = self.password
        self._registry.credentials_added(self, self.ufrag)

    def adopt_credentials(self, other: Peer) -> None:
        """Take over the credentials of a peer that this one replaces: its offer is what the client answered."""
        for ufrag in list(self._passwords):
            self._registry.credentials_dropped(ufrag)
        self.ufrag, self.password = other.ufrag, other.password
        self._passwords = {self.ufrag: self.password}
        self._registry.credentials_added(self, self.ufrag)

    def password_of(self, ufrag: str) -> str | None:
        return self._passwords.get(ufrag)

    @property
    def ufrags(self) -> list[str]:
        return list(self._passwords)

    # what comes in

    def expect(self, fingerprints: frozenset[Fingerprint], *, active: bool) -> None:
        """The client's certificate must match; `active`: we send the first flight."""
        self.fingerprints = fingerprints
        self._role = "client" if active else "server"
        self._connect_when_ready()

    def checked(self, address: Address, ufrag: str, *, nominated: bool, now_us: int) -> None:
        """An authentic connectivity check came from this address."""
        self.last_check_us = now_us
        known = address in self.addresses
        self.addresses[address] = now_us
        if not known:
            self._remember(address)
        if nominated or self.selected is None:
            self._select(address)
        if nominated and ufrag == self.ufrag:
            self._drop_former_credentials()
        self._connect_when_ready()

    def dtls_received(self, data: bytes) -> bool:
        """False when there is no room for it."""
        return self.state != "closed" and self._wire.put(data)

    # end

    def close(self) -> None:
        """Idempotent. The client is told by a DTLS alert; the owner is not told."""
        if self.state == "closed":
            return
        self.state = "closed"
        if self.transport is not None:
            self._registry.path.close_transport(self.transport)
        self._registry.peer_closed(self)
        if self._dtls is not None:
            self._registry.keep(asyncio.create_task(self._shut_down(self._dtls)))

    def lose(self, reason: str) -> None:
        """Close and tell the owner."""
        if self.state == "closed":
            return
        self.close()
        self.owner.peer_lost(self, reason)

    # inside

    def _remember(self, address: Address) -> None:
        if self.transport is not None:
            self._registry.path.accept(self.transport, address)
        if len(self.addresses) > MAX_ADDRESSES:
            others = [known for known in self.addresses if known not in (address, self.selected)]
            oldest = min(others, key=self.addresses.__getitem__)
            self.forget(oldest)

    def forget(self, address: Address) -> None:
        """The address is somebody else's now, or one too many."""
        self.addresses.pop(address, None)
        if self.selected == address:
            self.selected = None
        self._registry.address_dropped(self, address)

    def _select(self, address: Address) -> None:
        if self.selected == address:
            return
        self.selected = address
        if self.transport is not None:
            self._registry.path.select(self.transport, address)

    def _drop_former_credentials(self) -> None:
        for ufrag in list(self._passwords):
            if ufrag != self.ufrag:
                del self._passwords[ufrag]
                self._registry.credentials_dropped(ufrag)

    def _connect_when_ready(self) -> None:
        if self.state != "new" or not self.fingerprints or self.selected is None:
            return
        self.state = "connecting"
        self._task = asyncio.create_task(self._connect())
        self._registry.keep(self._task)

    async def _connect(self) -> None:
        dtls = self._registry.certificate.dtls(self._wire, self._role)
        self._dtls = dtls
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT):
                await dtls.start(self._remote_parameters())
        except TimeoutError:
            self.lose("DTLS handshake timed out")
            return
        if self.state == "closed":
            return
        if dtls.state != "connected":
            self.lose("DTLS handshake failed")
            return
        dtls.on("statechange", self._dtls_changed)
        self._open(dtls._rx_srtp, dtls._tx_srtp, send_keys(dtls))

    def _remote_parameters(self) -> RTCDtlsParameters:
        return RTCDtlsParameters(
            fingerprints=[
                RTCDtlsFingerprint(algorithm=item.algorithm, value=item.value)
                for item in self.fingerprints
            ]
        )

    def _open(self, receive: SrtpSession, send: SrtpSession, keys: SrtpKeys | None) -> None:
        path = self._registry.path
        address = self.selected
        if address is None:
            # Its only address was claimed by another peer while the handshake ran.
            self.lose("address lost")
            return
        self.transport = path.open_transport(receive, send, address, keys)
        for known in self.addresses:
            if known != address:
                path.accept(self.transport, known)
        self.state = "connected"
        self._registry.transport_opened(self, self.transport)
        self.owner.peer_connected(self)

    def _dtls_changed(self) -> None:
        if self._dtls is not None and self._dtls.state == "closed":
            self.lose(CLOSED_BY_CLIENT)

    def _send(self, data: bytes) -> None:
        if self.selected is not None:
            self._registry.path.send(data, self.selected)

    async def _shut_down(self, dtls: RTCDtlsTransport) -> None:
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await dtls.stop()
        except TimeoutError:
            log.warning("dtls_stop_timed_out")
        self._wire.end()
