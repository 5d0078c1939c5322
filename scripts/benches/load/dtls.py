"""The client side of DTLS-SRTP (RFC 5764), thousands of times over: one certificate, no thread, no timer task."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL
from pylibsrtp import Policy, Session

_MTU = 1200
_RECORD_HEADER = 13
_EXPORTER = b"EXTRACTOR-dtls_srtp"


@dataclass(frozen=True)
class _Profile:
    policy: int
    key: int
    salt: int


_PROFILES = {
    b"SRTP_AEAD_AES_256_GCM": _Profile(Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 32, 12),
    b"SRTP_AEAD_AES_128_GCM": _Profile(Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12),
    b"SRTP_AES128_CM_SHA1_80": _Profile(Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14),
}


@dataclass(frozen=True)
class Keys:
    """What a handshake leaves: sessions to protect what we send and open what we receive."""

    profile: str
    send: Session
    receive: Session


class Identity:
    """One certificate for all peers, and the TLS context that offers it."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _self_signed(key)
        self.fingerprint = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
        self.context = SSL.Context(SSL.DTLS_METHOD)
        self.context.use_certificate(certificate)
        self.context.use_privatekey(key)
        self.context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
        self.context.set_tlsext_use_srtp(b":".join(_PROFILES))


class Handshake:
    """One handshake. Give it datagrams, send what it returns, stop once `keys` is set."""

    def __init__(self, identity: Identity) -> None:
        self.keys: Keys | None = None
        self._hello: list[bytes] = []
        self._answered = False
        self._connection = SSL.Connection(identity.context, None)
        self._connection.set_ciphertext_mtu(_MTU)
        self._connection.set_connect_state()

    def step(self, received: bytes | None = None) -> list[bytes]:
        """Datagrams to send now. Raises OpenSSL.SSL.Error when the other side refuses."""
        if received is not None:
            self._answered = True
            self._connection.bio_write(received)
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            flight = self._flight()
            self._hello = self._hello or flight
            return flight
        self.keys = self._exported()
        return self._flight()

    def repeat(self) -> list[bytes]:
        """The last flight again if its timer ran out (RFC 6347 section 4.2.4).

        The very first one at once: a server that is still busy with ICE drops it, and a second is long.
        """
        if not self._answered:
            return self._hello
        self._connection.DTLSv1_handle_timeout()
        return self._flight()

    def _flight(self) -> list[bytes]:
        try:
            octets = self._connection.bio_read(1 << 16)
        except SSL.WantReadError:
            return []
        return list(_datagrams(octets))

    def _exported(self) -> Keys:
        name = self._connection.get_selected_srtp_profile()
        profile = _PROFILES[name]
        length = profile.key + profile.salt
        material = self._connection.export_keying_material(_EXPORTER, 2 * length)
        keys, salts = material[: 2 * profile.key], material[2 * profile.key :]
        ours = keys[: profile.key] + salts[: profile.salt]
        theirs = keys[profile.key :] + salts[profile.salt :]
        return Keys(
            profile=name.decode(),
            send=Session(_policy(profile, ours, Policy.SSRC_ANY_OUTBOUND)),
            receive=Session(_policy(profile, theirs, Policy.SSRC_ANY_INBOUND)),
        )


def _policy(profile: _Profile, key: bytes, direction: int) -> Policy:
    policy = Policy(key=key, ssrc_type=direction, srtp_profile=profile.policy)
    policy.window_size = 1024
    policy.allow_repeat_tx = True
    return policy


def _datagrams(octets: bytes) -> Iterator[bytes]:
    """Whole DTLS records, packed into datagrams: a memory BIO forgets where one ended."""
    start = at = 0
    while at < len(octets):
        end = at + _RECORD_HEADER + int.from_bytes(octets[at + 11 : at + 13], "big")
        if end - start > _MTU and at > start:
            yield octets[start:at]
            start = at
        at = end
    if start < len(octets):
        yield octets[start:]


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bench")])
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
