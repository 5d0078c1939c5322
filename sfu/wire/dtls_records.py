"""DTLS records: what begins an association, and DTLS 1.2 after the handshake, as much of it as DTLS-SRTP needs. Pure.

Media goes by SRTP (RFC 5764), so what may still come are alerts, and a Finished of a client that has not got ours.
The keys of these records are a hundred bytes; the OpenSSL object that also holds them is 80 KiB.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from struct import Struct
from sys import intern

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

VERSION = "DTLSv1.2"
"""As OpenSSL names it. Version 1.3 (RFC 9147) has other records and is not read here."""

_HEADER = Struct("!BHQH")
"""Type, version, epoch and sequence number as one, length (RFC 6347 section 4.1)."""
_DATA = Struct("!QBHH")
"""What the tag covers beside the plaintext (RFC 5246 section 6.2.3.3), in the order of TLS."""
_WIRE_VERSION = 0xFEFD
_ALERT, _HANDSHAKE = 21, 22
_CLIENT_HELLO = 1
_FRAGMENT = Struct("!BxxxxxBHxxx")
"""Of a handshake message's header: its type, and where in it the fragment begins (RFC 6347 section 4.2.2)."""
_RANDOM = slice(_HEADER.size + 14, _HEADER.size + 46)
"""Of a ClientHello: behind the two headers and the version (RFC 6347 section 4.2.1)."""
_WARNING, _FATAL = 1, 2
_CLOSE_NOTIFY = 0
_TAG = 16
_EXPLICIT = 8
"""Of AES-GCM's nonce these come with the record (RFC 5288 section 3)."""
_EPOCH = 1
_SEQUENCE = _EPOCH << 48 | 1 << 32
"""Of the one record that is written here: far above whatever the handshake has used, so that no nonce repeats."""


class Cipher(msgspec.Struct, frozen=True):
    """Lengths in bytes. `explicit`: a part of the nonce comes with each record."""

    key: int
    iv: int
    explicit: bool
    aead: type[AESGCM] | type[ChaCha20Poly1305]


CIPHERS = {
    "ECDHE-ECDSA-AES128-GCM-SHA256": Cipher(16, 4, True, AESGCM),
    "ECDHE-ECDSA-CHACHA20-POLY1305": Cipher(32, 12, False, ChaCha20Poly1305),
}
"""By OpenSSL's names. Both derive their keys with SHA-256."""


class RecordKeys(msgspec.Struct, frozen=True):
    """The key block of an association (RFC 5246 section 6.3), and which half of it is ours."""

    cipher: str
    block: bytes
    is_server: bool

    @classmethod
    def derive(
        cls,
        cipher: str,
        master_secret: bytes,
        client_random: bytes,
        server_random: bytes,
        *,
        is_server: bool,
    ) -> RecordKeys:
        """Raises ValueError for a cipher other than CIPHERS."""
        lengths = CIPHERS.get(cipher)
        if lengths is None:
            raise ValueError(f"records of {cipher} are not read here")
        seed = b"key expansion" + server_random + client_random
        length = 2 * (lengths.key + lengths.iv)
        # Thousands of associations have one cipher's name.
        return cls(intern(cipher), _expand(master_secret, seed, length), is_server)

    def half(self, *, of_server: bool) -> tuple[bytes, bytes]:
        """Key and IV of what one side writes."""
        lengths = CIPHERS[self.cipher]
        key_at = of_server * lengths.key
        iv_at = 2 * lengths.key + of_server * lengths.iv
        return self.block[key_at : key_at + lengths.key], self.block[iv_at : iv_at + lengths.iv]


def client_random(datagram: bytes) -> bytes | None:
    """Of the ClientHello that it begins with, in the clear (epoch 0); None: it begins with something else.

    It tells one handshake from another: a hello that is sent again, or that brings a cookie, has the same one.
    """
    random = datagram[_RANDOM]
    if len(random) < 32:
        return None
    kind, _, number, _ = _HEADER.unpack_from(datagram)
    message, high, low = _FRAGMENT.unpack_from(datagram, _HEADER.size)
    if kind != _HANDSHAKE or number >> 48 or message != _CLIENT_HELLO or high or low:
        return None
    return random


def is_sealed_alert(datagram: bytes) -> bool:
    """Whether it begins with an alert under keys: of which association, only those can tell."""
    return datagram[:1] == bytes([_ALERT]) and datagram[3:5] not in (b"", b"\0\0")


def ends(keys: RecordKeys, datagram: bytes) -> bool:
    """Whether the other side says in it that the association is over: close_notify, or any fatal alert.

    What is not authentic, or anything else, says nothing.
    """
    return any(
        len(alert) == 2 and (alert[0] == _FATAL or alert[1] == _CLOSE_NOTIFY)
        for alert in _authentic(keys, datagram, _ALERT)
    )


def repeats_finished(keys: RecordKeys, datagram: bytes) -> bool:
    """Whether the other side sends its Finished again: it has not got our last flight (RFC 6347 section 4.2.4)."""
    return any(True for _ in _authentic(keys, datagram, _HANDSHAKE))


def close_notify(keys: RecordKeys) -> bytes:
    """The datagram that ends the association (RFC 5246 section 7.2.1). The same one however often it is asked."""
    cipher = CIPHERS[keys.cipher]
    key, iv = keys.half(of_server=keys.is_server)
    alert = bytes([_WARNING, _CLOSE_NOTIFY])
    explicit = _SEQUENCE.to_bytes(_EXPLICIT, "big") if cipher.explicit else b""
    body = explicit + cipher.aead(key).encrypt(
        _nonce(cipher, iv, _SEQUENCE, explicit), alert, _covered(_ALERT, _SEQUENCE, len(alert))
    )
    return _HEADER.pack(_ALERT, _WIRE_VERSION, _SEQUENCE, len(body)) + body


def _authentic(keys: RecordKeys, datagram: bytes, wanted: int) -> Iterator[bytes]:
    """The contents of its records of this type that the other side has sealed."""
    for kind, number, body in _records(datagram):
        if kind != wanted or number >> 48 != _EPOCH:
            continue
        content = _open(keys, kind, number, body)
        if content is not None:
            yield content


def _open(keys: RecordKeys, kind: int, number: int, body: bytes) -> bytes | None:
    cipher = CIPHERS[keys.cipher]
    key, iv = keys.half(of_server=not keys.is_server)
    explicit, sealed = (body[:_EXPLICIT], body[_EXPLICIT:]) if cipher.explicit else (b"", body)
    length = len(sealed) - _TAG
    if length < 0:
        return None
    try:
        return cipher.aead(key).decrypt(
            _nonce(cipher, iv, number, explicit), sealed, _covered(kind, number, length)
        )
    except InvalidTag:
        return None


def _nonce(cipher: Cipher, iv: bytes, number: int, explicit: bytes) -> bytes:
    if cipher.explicit:
        return iv + explicit
    # RFC 7905 section 2.
    return (int.from_bytes(iv, "big") ^ number).to_bytes(cipher.iv, "big")


def _covered(kind: int, number: int, length: int) -> bytes:
    return _DATA.pack(number, kind, _WIRE_VERSION, length)


def _records(datagram: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, numbers and body of each record; a datagram may have several (RFC 6347 section 4.1.1)."""
    at = 0
    while at + _HEADER.size <= len(datagram):
        kind, version, number, length = _HEADER.unpack_from(datagram, at)
        at += _HEADER.size
        body = datagram[at : at + length]
        at += length
        if version != _WIRE_VERSION or len(body) < length:
            return
        yield kind, number, body


def _expand(secret: bytes, seed: bytes, length: int) -> bytes:
    """P_SHA256 (RFC 5246 section 5)."""
    chained, out = seed, b""
    while len(out) < length:
        chained = hmac.digest(secret, chained, "sha256")
        out += hmac.digest(secret, chained + seed, "sha256")
    return out[:length]
