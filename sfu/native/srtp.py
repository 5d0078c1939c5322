"""libsrtp's functions as pylibsrtp has them: their addresses, so that nothing else needs to be linked. And keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from pylibsrtp import Session
from pylibsrtp._binding import ffi, lib

from sfu.path.interface import SrtpKeys

_PACKET_CALL = "srtp_err_status_t(*)(struct srtp_ctx_t_ *, void *, int *)"
_SIGNATURES = {
    "srtp_protect": _PACKET_CALL,
    "srtp_protect_rtcp": _PACKET_CALL,
    "srtp_unprotect": _PACKET_CALL,
    "srtp_unprotect_rtcp": _PACKET_CALL,
    "srtp_remove_stream": "srtp_err_status_t(*)(struct srtp_ctx_t_ *, unsigned int)",
}


def function_addresses() -> dict[str, int]:
    """Raises ImportError when they are not what the compiled module would call."""
    found = {}
    for name, signature in _SIGNATURES.items():
        try:
            function = ffi.addressof(lib, name)
        except AttributeError as error:
            raise ImportError(f"pylibsrtp has no {name}") from error
        if ffi.typeof(function).cname != signature:
            raise ImportError(f"pylibsrtp's {name} is {ffi.typeof(function).cname}")
        found[name] = int(ffi.cast("uintptr_t", function))
    return found


def context(session: Session) -> object:
    """What keeps libsrtp's context: the session without its buffer, of 1500 bytes."""
    return session._srtp


def context_address(kept: object) -> int:
    """Good as long as the context is kept."""
    return int(ffi.cast("uintptr_t", cast(Sequence[object], kept)[0]))


def session_key(keys: SrtpKeys) -> tuple[bytes, bytes]:
    """The key and salt that RTP is sealed with (RFC 3711 section 4.3, RFC 7714 section 11)."""
    return _derive(keys, 0x00, len(keys.key)), _derive(keys, 0x02, len(keys.salt))


def _derive(keys: SrtpKeys, label: int, length: int) -> bytes:
    start = bytearray(keys.salt.ljust(16, b"\0"))
    start[7] ^= label
    return Cipher(AES(keys.key), CTR(bytes(start))).encryptor().update(bytes(length))
