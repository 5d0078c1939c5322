"""One client's DTLS association: the handshake, the SRTP keys that come out of it, and its end.

The only module that knows aiortc's private names: `RTCDtlsTransport` calls `_recv`, `_send` and `role` of the
transport it is given, and `_set_role`, `_rx_srtp` and `_tx_srtp` are the way to its role and its keys; `_role`,
`_ssl` and `_srtp_profiles` to the master key behind `_tx_srtp`; `_ssl` and `_task` to what is taken over from it. It
takes its OpenSSL context from the certificate's `_create_ssl_context`, and asks its `_validate_peer_identity`, which
says no by `_set_state`.
`tests/unit/test_aiortc_contract.py` holds each of them to the pinned version.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Literal, cast

import msgspec
from aiortc.rtcdtlstransport import (
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
    SRTPProtectionProfile,
    State,
    certificate_digest,
)
from aiortc.rtcicetransport import RTCIceTransport
from OpenSSL import SSL
from pylibsrtp import Session as SrtpSession

from schemas.sfu import Loss
from sfu.path.interface import SrtpKeys
from sfu.sdp.remote import Fingerprint
from sfu.wire import dtls_records
from sfu.wire.dtls_records import RecordKeys

QUEUE = 32
"""Datagrams that wait for the handshake; a flight has fewer than ten."""
MAX_REPEATS = 32
"""Our last flight is not sent more often; in four minutes, which it may be asked for, timers run out less often."""
MISTAKEN = Loss.WRONG_CERTIFICATE
_LARGEST = 1 << 14

Role = Literal["client", "server"]
Taken = Literal["taken", "full", "ended"]


class MediaKeys(msgspec.Struct, frozen=True):
    """What a handshake is for: sessions for either direction, and what `send` was made of, where that is known."""

    receive: SrtpSession
    send: SrtpSession
    master: SrtpKeys | None


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


class _Transport(RTCDtlsTransport):
    """Takes a certificate that any of the fingerprints names; aiortc's own wants all of them to."""

    mistaken = False
    """The client's certificate is none of those that its description names."""

    def _validate_peer_identity(self, remoteParameters: RTCDtlsParameters) -> None:
        # RFC 8122 section 5: of one hash function there may be several, for one certificate each.
        shown = self._ssl.get_peer_certificate(as_cryptography=True) if self._ssl else None
        named = {(item.algorithm, item.value) for item in remoteParameters.fingerprints}
        hashes = {algorithm for algorithm, _ in named}
        if shown is None or not any((h, certificate_digest(shown, h)) in named for h in hashes):
            self.mistaken = True
            self._set_state(State.FAILED)


class _Wire:
    """What aiortc's DTLS transport takes for an ICE transport: datagrams in, datagrams out."""

    role = "controlled"

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self.last_flight = b""
        self._datagrams: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE + 1)
        self._write = send

    async def _recv(self) -> bytes:
        data = await self._datagrams.get()
        if data is None:
            raise ConnectionError("closed")
        return data

    async def _send(self, data: bytes) -> None:
        self.last_flight = data
        self._write(data)

    def put(self, data: bytes) -> bool:
        """False when the queue is full; DTLS repeats what is lost."""
        if self._datagrams.qsize() >= QUEUE:
            return False
        self._datagrams.put_nowait(data)
        return True

    def rest(self) -> list[bytes]:
        """What nobody has read."""
        found = [self._datagrams.get_nowait() for _ in range(self._datagrams.qsize())]
        return [data for data in found if data is not None]

    def end(self) -> None:
        if not self._datagrams.full():
            self._datagrams.put_nowait(None)


class Certificate:
    """The worker's certificate, shown to every client."""

    def __init__(self) -> None:
        self._certificate = _OneContext.generateCertificate()
        fingerprints = {f.algorithm: f.value for f in self._certificate.getFingerprints()}
        self.fingerprint = fingerprints["sha-256"]

    def dtls(self, wire: _Wire, role: Role) -> _Transport:
        transport = _Transport(cast(RTCIceTransport, wire), [self._certificate])
        transport._set_role(role)
        return transport


class Association:
    """What a client's association needs at the time.

    Until the handshake is over, aiortc's transport; then the keys of its records, and our last flight in case
    the client has lost it. A cipher or version that `dtls_records` does not know keeps OpenSSL's connection.
    """

    __slots__ = (
        "_certificate",
        "_connection",
        "_last_flight",
        "_records",
        "_repeats",
        "_send",
        "_wire",
        "failure",
    )

    def __init__(self, certificate: Certificate, send: Callable[[bytes], None]) -> None:
        self.failure = Loss.HANDSHAKE_REFUSED
        self._certificate = certificate
        self._send: Callable[[bytes], None] | None = send
        self._wire: _Wire | None = _Wire(send)
        self._connection: SSL.Connection | None = None
        self._records: RecordKeys | None = None
        self._last_flight = b""
        self._repeats = 0

    async def shake_hands(
        self, role: Role, fingerprints: Iterable[Fingerprint]
    ) -> MediaKeys | None:
        """None when it failed, or the client's certificate is another: `failure` says which. To be called once; may
        be cancelled.
        """
        assert self._wire is not None
        dtls = self._certificate.dtls(self._wire, role)
        await dtls.start(_parameters(fingerprints))
        reading, dtls._task = dtls._task, None
        if dtls.mistaken:
            # It takes itself for connected: `close` tells it.
            self.failure, self._connection = MISTAKEN, dtls._ssl
        if dtls.state != "connected" or reading is None:
            return None
        # It would go on reading, with a task for each client. Held by nobody, it goes with all that it holds.
        reading.cancel()
        self._records = _record_keys(dtls._ssl, is_server=role == "server")
        if self._records is None:
            self._connection = dtls._ssl
        elif role == "server":
            # The last flight of the handshake is the server's.
            self._last_flight = self._wire.last_flight
        return MediaKeys(dtls._rx_srtp, dtls._tx_srtp, send_keys(dtls))

    def backlog(self) -> list[bytes]:
        """Datagrams that came as the handshake ended, and were meant for what comes after. To be called once."""
        wire, self._wire = self._wire, None
        return wire.rest() if wire else []

    def received(self, data: bytes) -> Taken:
        """`full`: there was no room for it. `ended`: the client has closed the association."""
        if self._wire is not None:
            return "taken" if self._wire.put(data) else "full"
        if self._connection is not None:
            return "ended" if self._feed(self._connection, data) else "taken"
        return self._read(data)

    def close(self, *, farewell: bool = True) -> None:
        """Say goodbye, if there is anything to say it with, and let go of who sends it, who holds this.

        No farewell to a client that has begun anew: it has let go of this association itself.
        """
        connection, records = self._connection, self._records
        if self._wire is not None:
            self._wire.end()
        if not farewell:
            pass
        elif records is not None:
            self._write(dtls_records.close_notify(records))
        elif connection is not None:
            self._shut_down(connection)
        self._connection = self._records = self._send = None

    def _shut_down(self, connection: SSL.Connection) -> None:
        try:
            connection.shutdown()
        except SSL.Error:
            return  # broken already
        self._flush(connection)

    def _write(self, data: bytes) -> None:
        if self._send is not None:
            self._send(data)

    def _read(self, data: bytes) -> Taken:
        if self._records is None:
            return "taken"
        if dtls_records.ends(self._records, data):
            return "ended"
        if dtls_records.repeats_finished(self._records, data):
            self._repeat()
        return "taken"

    def _repeat(self) -> None:
        """Byte for byte: whoever has got it drops it as replayed (RFC 6347 section 4.1.2.6)."""
        if self._last_flight and self._repeats < MAX_REPEATS:
            self._repeats += 1
            self._write(self._last_flight)

    def _feed(self, connection: SSL.Connection, data: bytes) -> bool:
        """Whether the client has closed, be it by a fatal alert."""
        connection.bio_write(data)
        # Nothing to read, or not authentic: what there is to know is in the state.
        with suppress(SSL.Error):
            connection.recv(_LARGEST)
        self._flush(connection)
        return bool(connection.get_shutdown() & SSL.RECEIVED_SHUTDOWN)

    def _flush(self, connection: SSL.Connection) -> None:
        try:
            data = connection.bio_read(_LARGEST)
        except SSL.Error:
            return  # nothing to send
        self._write(data)


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


def _record_keys(connection: SSL.Connection | None, *, is_server: bool) -> RecordKeys | None:
    if connection is None or connection.get_protocol_version_name() != dtls_records.VERSION:
        return None
    cipher, secret = connection.get_cipher_name(), connection.master_key()
    client, server = connection.client_random(), connection.server_random()
    if cipher not in dtls_records.CIPHERS or secret is None or client is None or server is None:
        return None
    return RecordKeys.derive(cipher, secret, client, server, is_server=is_server)


def _parameters(fingerprints: Iterable[Fingerprint]) -> RTCDtlsParameters:
    return RTCDtlsParameters(
        fingerprints=[
            RTCDtlsFingerprint(algorithm=item.algorithm, value=item.value) for item in fingerprints
        ]
    )
