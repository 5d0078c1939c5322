"""What is forwarded, and how two sides' payload types are matched: by what they decode, not by their numbers.

Nothing is transcoded, so a codec here is a name and the format parameters that decide whether a decoder
understands the bytes (`CodecKey`). Parameters that only tune an encoder are left out of the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from aiortc.sdp import H264Profile, parse_h264_profile_level_id

Parameters = Mapping[str, int | str | None]


class CodecKey(NamedTuple):
    """Two payload types with equal keys carry bytes that the same decoder reads."""

    name: str
    variant: str = ""


OPUS = CodecKey("opus")
VP8 = CodecKey("VP8")

_CLOCK_RATES = {"opus": 48000, "VP8": 90000, "VP9": 90000, "H264": 90000, "AV1": 90000}
_NAMES = {name.lower(): name for name in _CLOCK_RATES}

# The profile-level-id written into our offers. With level-asymmetry-allowed the level binds nobody.
_H264_PROFILES = {
    H264Profile.PROFILE_CONSTRAINED_BASELINE: "42e01f",
    H264Profile.PROFILE_BASELINE: "42001f",
    H264Profile.PROFILE_MAIN: "4d001f",
    H264Profile.PROFILE_CONSTRAINED_HIGH: "640c1f",
    H264Profile.PROFILE_HIGH: "64001f",
    H264Profile.PROFILE_PREDICTIVE_HIGH_444: "f4001f",
}
_PAYLOAD_TYPES = [*range(96, 128), *range(35, 64)]
"""Dynamic payload types that can't be taken for RTCP when multiplexed (RFC 5761 section 4)."""


def key_of(name: str, clock_rate: int, parameters: Parameters) -> CodecKey | None:
    """What decodes this payload type, or None when we don't forward it."""
    known = _NAMES.get(name.lower())
    if known is None or _CLOCK_RATES[known] != clock_rate:
        return None
    key = _key(known, parameters)
    return key if key == OPUS or key in VIDEO_OFFER else None


def _key(name: str, parameters: Parameters) -> CodecKey | None:
    if name == "H264":
        return _h264_key(parameters)
    if name == "VP9":
        return CodecKey(name, str(parameters.get("profile-id", 0)))
    if name == "AV1":
        return CodecKey(name, str(parameters.get("profile", 0)))
    return CodecKey(name)


def clock_rate(key: CodecKey) -> int:
    """Of the codec's RTP timestamps, in Hz."""
    return _CLOCK_RATES[key.name]


class Offered(NamedTuple):
    """How our own offers write a codec down, the same in every one of them."""

    payload_type: int
    rtx: int
    fmtp: str


def _h264_key(parameters: Parameters) -> CodecKey | None:
    try:
        # RFC 6184 section 8.1: Baseline at level 1 when absent.
        profile, _ = parse_h264_profile_level_id(str(parameters.get("profile-level-id", "42000a")))
    except ValueError:
        return None
    mode = parameters.get("packetization-mode", "0")
    return CodecKey("H264", f"{_H264_PROFILES[profile]}/{mode}")


def _h264_fmtp(key: CodecKey) -> str:
    profile, _, mode = key.variant.partition("/")
    return f"level-asymmetry-allowed=1;packetization-mode={mode};profile-level-id={profile}"


def _offer_table() -> dict[CodecKey, Offered]:
    fmtp = {VP8: ""}
    fmtp |= {CodecKey("VP9", str(profile)): f"profile-id={profile}" for profile in (0, 2, 1, 3)}
    fmtp |= {CodecKey("AV1", str(profile)): f"profile={profile}" for profile in (0, 1, 2)}
    h264 = [CodecKey("H264", f"{p}/{mode}") for p in _H264_PROFILES.values() for mode in "10"]
    fmtp |= {key: _h264_fmtp(key) for key in h264}
    numbers = iter(_PAYLOAD_TYPES)
    return {key: Offered(next(numbers), next(numbers), value) for key, value in fmtp.items()}


VIDEO_OFFER = _offer_table()
"""Every video codec that we forward. One table for all connections: a payload type never changes its meaning."""
