"""Offers by chance: what clients may write, and what they should not have written."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from sdp_samples import FINGERPRINT

from sfu.sdp.extensions import (
    AUDIO_LEVEL,
    CAPTURE_TIME,
    MID,
    ORIENTATION,
    PLAYOUT_DELAY,
    TRANSPORT_CC,
)

KINDS = {
    "audio": [
        "opus/48000/2",
        "opus/48000/2",
        "opus/48000/2",
        "OPUS/48000/2",
        "opus/48000",
        "PCMU/8000",
        "red/48000/2",
    ]
}
KINDS["video"] = [
    "VP8/90000",
    "VP8/90000",
    "VP8/90000",
    "vp9/90000",
    "H264/90000",
    "AV1/90000",
    "VP8/48000",
    "ulpfec/90000",
]
KINDS["application"] = KINDS["image"] = ["x/1"]

TOKENS = st.text("abcXYZ0123456789-_./=;: ", max_size=12)
NUMBERS = st.sampled_from(
    ["0", "1", "15", "63", "64", "95", "96", "127", "128", "200", "4294967296"]
)
NUMBERS |= st.sampled_from(["-1", "+1", "1_0", "\u0663", "09", "1.5", "", "9" * 30])

ATTRIBUTES = [
    "rtpmap", "fmtp", "rtcp-fb", "extmap", "ssrc", "ssrc-group", "mid", "group", "fingerprint", "setup",
    "ice-ufrag", "ice-pwd", "candidate", "rtcp", "rid", "simulcast", "msid", "sendrecv", "recvonly",
    "inactive", "rtcp-mux", "rtcp-rsize", "bundle-only", "extmap-allow-mixed", "ice-lite", "crypto", "",
]  # fmt: skip


@st.composite
def odd_lines(draw: DrawFn) -> str:
    """A line that may well be nonsense, and is no m-line."""
    shape = draw(st.integers(0, 4))
    name = draw(st.sampled_from(ATTRIBUTES))
    if shape == 0:
        return f"a={name}:{draw(NUMBERS)} {draw(TOKENS)}"
    if shape == 1:
        return f"a={name}:{draw(TOKENS)}"
    if shape == 2:
        return f"a={name}"
    if shape == 3:
        return f"a={name}:{draw(NUMBERS)}/{draw(TOKENS)} {draw(NUMBERS)} {draw(NUMBERS)}"
    line = draw(st.text(max_size=20)).replace("\n", "").replace("\r", "")
    return "x" if line.startswith("m=") else line


M_LINES = st.sampled_from(
    [
        "m=image 0 udptl t38",
        "m=image 9 udptl t38",
        "m=audio 9/2 UDP/TLS/RTP/SAVPF 111",
        "m=audio nine UDP/TLS/RTP/SAVPF 111",
        "m=audio 99999 UDP/TLS/RTP/SAVPF 111",
        "m=audio 9 RTP/SAVP/X 111",
        "m=audio 9 UDP/TLS/RTP/SAVPF 200",
        "m=audio 9 UDP/TLS/RTP/SAVPF x",
        "m=audio 0 UDP/TLS/RTP/SAVPF 111",
        "m=text 9 RTP/AVP 98",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "m=application 0 DTLS/SCTP 5000",
        "m=message 9 TCP/MSRP *",
    ]
)
"""None that could be used."""


_LIKELY = st.sampled_from([True] * 12 + [False])


def flag(draw: DrawFn, likely: bool = True) -> bool:
    return draw(_LIKELY) is likely


@st.composite
def offers(draw: DrawFn, kind: str) -> str:
    """A description in which each thing is mostly as browsers write it; most m-lines are of this kind."""
    size = draw(st.sampled_from([1, 2, 3, 3, 4]))
    some = st.sampled_from([kind] * 4 + ["audio", "video", "image"])
    kinds = draw(st.lists(some, min_size=size, max_size=size))
    mids = [
        draw(st.sampled_from([str(place), str(place), str(place), str(place), "same", ""]))
        for place in range(len(kinds))
    ]
    session = ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0"]
    if flag(draw):
        group = draw(st.permutations([mid for mid in mids if mid])) if flag(draw, False) else mids
        session.append(
            "a=group:BUNDLE " + " ".join([*group, *(["gone"] if flag(draw, False) else [])])
        )
    if flag(draw, False):
        session.append(draw(st.sampled_from(["a=sendonly", "a=recvonly", "a=inactive"])))
    if flag(draw):
        session.append("a=extmap-allow-mixed")
    transport = [
        "a=ice-ufrag:abcd",
        "a=ice-pwd:" + "p" * 24,
        f"a=fingerprint:sha-256 {FINGERPRINT}",
    ]
    transport.append(
        f"a=setup:{draw(st.sampled_from(['actpass', 'actpass', 'actpass', 'active', 'passive', 'holdconn']))}"
    )
    above = flag(draw, False)
    if above:
        session += transport
    lines = list(session)
    for kind, mid in zip(kinds, mids, strict=True):
        lines += draw(sections(kind, mid, () if above or flag(draw, False) else tuple(transport)))
    for line in draw(st.lists(odd_lines(), max_size=6)):
        lines.insert(draw(st.integers(1, len(lines))), line)
    end = draw(st.sampled_from(["\r\n", "\r\n", "\n"]))
    return end.join(lines) + end


@st.composite
def sections(draw: DrawFn, kind: str, mid: str, transport: tuple[str, ...]) -> list[str]:
    protocol = draw(
        st.sampled_from(["UDP/TLS/RTP/SAVPF"] * 8 + ["RTP/AVP", "TCP/DTLS/RTP/SAVP", "DTLS/SCTP"])
    )
    numbers = draw(
        st.lists(
            st.sampled_from(["96", "97", "98", "111", "35", "127", "72", "128", "0", "x"]),
            min_size=1,
            max_size=5,
        )
    )
    port = draw(st.sampled_from(["9", "9", "9", "9", "9", "7882", "0", "9/2"]))
    lines = [f"m={kind} {port} {protocol} {' '.join(numbers)}", "c=IN IP4 0.0.0.0", *transport]
    lines += [f"a=mid:{mid}"] if mid else []
    lines += [f"a={name}" for name in ("rtcp-mux", "rtcp-rsize") if flag(draw)]
    lines += [f"a={name}" for name in ("bundle-only", "extmap-allow-mixed") if flag(draw, False)]
    if flag(draw):
        lines.append("a=" + draw(st.sampled_from(["sendrecv", "sendonly", "recvonly", "inactive"])))
    for number in numbers:
        if flag(draw):
            lines.append(f"a=rtpmap:{number} {draw(st.sampled_from([*KINDS[kind], 'rtx/90000']))}")
        if flag(draw):
            value = draw(
                st.sampled_from(
                    [
                        "apt=96",
                        "APT = 96",
                        "profile-id=0",
                        "max-fr=29.97; x",
                        "profile-level-id=64003e",
                    ]
                )
            )
            lines.append(f"a=fmtp:{number} {value}")
        if flag(draw):
            value = draw(
                st.sampled_from(["nack", "nack pli", "transport-cc", "goog-remb", "ccm fir", ""])
            )
            lines.append(f"a=rtcp-fb:{draw(st.sampled_from([number, '*']))} {value}")
    uris = [MID, AUDIO_LEVEL, TRANSPORT_CC, ORIENTATION, PLAYOUT_DELAY, CAPTURE_TIME, "urn:other"]
    for uri in draw(st.lists(st.sampled_from(uris), max_size=5)):
        number = draw(
            st.sampled_from(["1", "2", "3", "4", "14", "15", "16", "255", "256", "4096", "x"])
        )
        direction = draw(
            st.sampled_from(["", "", "", "/sendonly", "/recvonly", "/inactive", "/sendrecv"])
        )
        lines.append(
            f"a=extmap:{number}{direction} {uri}{draw(st.sampled_from(['', '', ' vad=on']))}"
        )
    first = draw(st.sampled_from(["0", "77", "4294967295", "4294967296", "x"]))
    if flag(draw):
        lines += [f"a=ssrc-group:FID {first} 78", f"a=ssrc:{first} cname:c", "a=ssrc:78 cname:c"]
    return lines
