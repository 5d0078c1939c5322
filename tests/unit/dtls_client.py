"""OpenSSL's own DTLS client without a network: datagrams are handed over."""

from __future__ import annotations

import asyncio

import pytest
from aiortc.rtcdtlstransport import SRTP_PROFILES, RTCCertificate
from OpenSSL import SSL

from sfu.sdp.remote import Fingerprint
from sfu.transport.dtls import Role

GCM, CHACHA, CBC = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-SHA",
)
THEIRS = RTCCertificate.generateCertificate()


class Client:
    """With a certificate that it keeps, however often it begins anew."""

    def __init__(
        self, cipher: str = GCM, role: Role = "client", certificate: RTCCertificate = THEIRS
    ) -> None:
        context = certificate._create_ssl_context(SRTP_PROFILES)
        context.set_cipher_list(cipher.encode())
        self.connection = SSL.Connection(context, None)
        if role == "client":
            self.connection.set_connect_state()
        else:
            self.connection.set_accept_state()
        self.finished = False

    def takes(self, datagrams: list[bytes]) -> bytes:
        """What it answers, if anything."""
        for data in datagrams:
            self.connection.bio_write(data)
        if not self.finished:
            try:
                self.connection.do_handshake()
                self.finished = True
            except SSL.WantReadError:
                pass
        return self.output()

    def output(self) -> bytes:
        try:
            return self.connection.bio_read(1 << 14)
        except SSL.WantReadError:
            return b""

    def close(self) -> bytes:
        self.connection.shutdown()
        return self.output()

    @property
    def told_of_the_end(self) -> bool:
        with pytest.raises(SSL.Error) as refused:
            self.connection.recv(1500)
        return isinstance(refused.value, SSL.ZeroReturnError)

    async def repeats(self) -> bytes:
        """Its flight once more, when its timer has run out."""
        async with asyncio.timeout(10):
            while not (flight := self.output()):
                await asyncio.sleep(self.connection.DTLSv1_get_timeout() or 0.001)
                self.connection.DTLSv1_handle_timeout()
        return flight


def fingerprints(certificate: RTCCertificate = THEIRS) -> frozenset[Fingerprint]:
    return frozenset(Fingerprint(f.algorithm, f.value) for f in certificate.getFingerprints())
