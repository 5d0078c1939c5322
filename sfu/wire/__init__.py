"""Bytes in, bytes out: headers, RTCP, STUN, DTLS records. Pure."""
