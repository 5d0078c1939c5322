"""What is forwarded, and how two sides' payload types are matched: by what they decode, not by their numbers.

Nothing is transcoded, so a codec here is a name and the format parameters that decide whether a decoder
understands the bytes (`CodecKey`). Parameters that only tune an encoder are left out of the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

Parameters = Mapping[str, str]
"""Of a=fmtp, by name in lower case."""


class CodecKey(NamedTuple):
    """Two payload types with equal keys carry bytes that the same decoder reads."""

    name: str
    variant: str = ""


OPUS = CodecKey("opus")
VP8 = CodecKey("VP8")

_CLOCK_RATES = {"opus": 48000, "VP8": 90000, "VP9": 90000, "H264": 90000, "AV1": 90000}
ENCODINGS = {
    "opus/48000/2": "opus",  # RFC 7587 section 7: always so, whatever is sent
    "vp8/90000": "VP8",
    "vp9/90000": "VP9",
    "h264/90000": "H264",
    "av1/90000": "AV1",
}
"""What we know by the encoding of a=rtpmap, in lower case: names there have no case (RFC 4855 section 3)."""

_H264_PROFILES = (
    (0x42, 0x4F, 0x40, "42e01f"),  # Constrained Baseline, three spellings
    (0x4D, 0x8F, 0x80, "42e01f"),
    (0x58, 0xCF, 0xC0, "42e01f"),
    (0x42, 0x4F, 0x00, "42001f"),  # Baseline
    (0x58, 0xCF, 0x80, "42001f"),
    (0x4D, 0xAF, 0x00, "4d001f"),  # Main
    (0x64, 0xFF, 0x0C, "640c1f"),  # Constrained High
    (0x64, 0xFF, 0x00, "64001f"),  # High
    (0xF4, 0xFF, 0x00, "f4001f"),  # High 4:4:4 Predictive
)
"""profile_idc, the bits of profile-iop that count and their value, and the profile-level-id of our offers.

RFC 6184 section 8.1, table 5. With level-asymmetry-allowed the level binds nobody, so none is looked at.
"""
_H264_OFFERED = tuple(dict.fromkeys(written for *_, written in _H264_PROFILES))
_PROFILE_LEVEL_ID = re.compile(r"([0-9a-f]{2})([0-9a-f]{2})[0-9a-f]{2}")
_PAYLOAD_TYPES = [*range(96, 128), *range(35, 64)]
"""Dynamic payload types that can't be taken for RTCP when multiplexed (RFC 5761 section 4)."""


def key_of(encoding: str, parameters: Parameters) -> CodecKey | None:
    """What decodes this payload type, or None when we don't forward it. `encoding`: as in ENCODINGS."""
    name = ENCODINGS.get(encoding)
    if name is None:
        return None
    key = _key(name, parameters)
    return key if key == OPUS or key in VIDEO_OFFER else None


def _key(name: str, parameters: Parameters) -> CodecKey:
    if name == "H264":
        return _h264_key(parameters)
    if name == "VP9":
        return CodecKey(name, parameters.get("profile-id", "0"))
    if name == "AV1":
        return CodecKey(name, parameters.get("profile", "0"))
    return CodecKey(name)


def clock_rate(key: CodecKey) -> int:
    """Of the codec's RTP timestamps, in Hz."""
    return _CLOCK_RATES[key.name]


class Offered(NamedTuple):
    """How our own offers write a codec down, the same in every one of them."""

    payload_type: int
    rtx: int
    fmtp: str


def _h264_key(parameters: Parameters) -> CodecKey:
    # RFC 6184 section 8.1: Baseline at level 1 when absent.
    profile = _h264_profile(parameters.get("profile-level-id", "42000a").lower())
    return CodecKey("H264", f"{profile}/{parameters.get('packetization-mode', '0')}")


def _h264_profile(profile_level_id: str) -> str | None:
    """As our offers write it; None for one that we don't know."""
    found = _PROFILE_LEVEL_ID.fullmatch(profile_level_id)
    if found is None:
        return None
    idc, iop = (int(octet, 16) for octet in found.groups())
    for known, counts, value, written in _H264_PROFILES:
        if idc == known and iop & counts == value:
            return written
    return None


def _h264_fmtp(key: CodecKey) -> str:
    profile, _, mode = key.variant.partition("/")
    return f"level-asymmetry-allowed=1;packetization-mode={mode};profile-level-id={profile}"


def _offer_table() -> dict[CodecKey, Offered]:
    fmtp = {VP8: ""}
    fmtp |= {CodecKey("VP9", str(profile)): f"profile-id={profile}" for profile in (0, 2, 1, 3)}
    fmtp |= {CodecKey("AV1", str(profile)): f"profile={profile}" for profile in (0, 1, 2)}
    h264 = [CodecKey("H264", f"{p}/{mode}") for p in _H264_OFFERED for mode in "10"]
    fmtp |= {key: _h264_fmtp(key) for key in h264}
    numbers = iter(_PAYLOAD_TYPES)
    return {key: Offered(next(numbers), next(numbers), value) for key, value in fmtp.items()}


VIDEO_OFFER = _offer_table()
"""Every video codec that we forward. One table for all connections: a payload type never changes its meaning."""
