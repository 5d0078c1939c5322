"""libsrtp's functions as pylibsrtp has them: their addresses, so that nothing else needs to be linked."""

from __future__ import annotations

from pylibsrtp import Session
from pylibsrtp._binding import ffi, lib

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


def context_address(session: Session) -> int:
    """Good as long as the session is."""
    return int(ffi.cast("uintptr_t", session._srtp[0]))
