"""Reading clients' descriptions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sdp_samples import (
    CHROMIUM_AUDIO_SLOTS,
    CHROMIUM_VIDEO,
    FINGERPRINT,
    FIREFOX_VIDEO,
    SIMULCAST,
)

from sfu.sdp.codecs import VIDEO_OFFER, CodecKey, key_of
from sfu.sdp.extensions import CAPTURE_TIME, COLOR_SPACE, CONTENT_TYPE, TRANSPORT_CC
from sfu.sdp.remote import Fingerprint, RemoteMedia, RemoteTransport, parse


def own_transport(media: RemoteMedia) -> RemoteTransport:
    assert isinstance(media.transport, RemoteTransport), media.transport
    return media.transport


SAMPLES = [CHROMIUM_VIDEO, CHROMIUM_AUDIO_SLOTS, FIREFOX_VIDEO, SIMULCAST]


def test_chromium_video() -> None:
    remote = parse(CHROMIUM_VIDEO)
    assert remote.mixed_extensions
    assert remote.bundles == (("0",),)
    (media,) = remote.media
    transport = own_transport(media)
    assert transport.ufrag == "kE3x"
    assert transport.password == "2nuSFJ5hHCaJZHkV5nUYw6dQ"
    assert transport.setup == "actpass"
    assert transport.fingerprints == {Fingerprint("sha-256", FINGERPRINT)}
    assert media.mux
    assert media.reduced_size
    assert (media.kind, media.mid, media.direction) == ("video", "0", "sendonly")
    assert (media.ssrc, media.rtx_ssrc) == (1001, 1002)
    assert [(codec.payload_type, codec.key, codec.rtx) for codec in media.codecs] == [
        (96, CodecKey("VP8"), 97),
        (103, CodecKey("H264", "42001f/1"), 104),
        (107, CodecKey("H264", "42e01f/0"), 108),
        (39, CodecKey("H264", "4d001f/1"), 40),
        (45, CodecKey("AV1", "0"), 46),
        (98, CodecKey("VP9", "0"), 99),
        (100, CodecKey("VP9", "2"), 101),
    ]


def test_firefox_video() -> None:
    (media,) = parse(FIREFOX_VIDEO).media
    assert [codec.key for codec in media.codecs] == [
        CodecKey("VP8"),
        CodecKey("VP9", "0"),
        CodecKey("H264", "42e01f/1"),
    ]
    assert media.extensions[TRANSPORT_CC] == 7
    assert (media.ssrc, media.rtx_ssrc) == (2001, 2002)
    assert "transport-cc" in media.codecs[2].feedback


def test_a_bundle_only_line_is_not_a_rejected_one() -> None:
    media = parse(CHROMIUM_AUDIO_SLOTS).media
    assert [line.rejected for line in media] == [False, False, False]
    assert [line.receives for line in media] == [True, True, True]
    assert parse(CHROMIUM_AUDIO_SLOTS.replace("a=bundle-only\r\n", "")).media[1].rejected


def test_bundle_only_outside_of_a_group_is_a_rejection() -> None:
    """RFC 9143 section 6."""
    text = CHROMIUM_AUDIO_SLOTS.replace("a=group:BUNDLE 0 1 2", "a=group:BUNDLE 0 2")
    assert parse(text).media[1].rejected


def test_simulcast_by_rid_has_no_ssrc() -> None:
    (media,) = parse(SIMULCAST).media
    assert (media.ssrc, media.rtx_ssrc) == (None, None)


@pytest.mark.parametrize(
    ("encoding", "parameters", "variant"),
    [
        ("vp8/90000", {}, ""),
        ("vp8/90000", {"max-fs": "12288"}, ""),
        ("vp9/90000", {}, "0"),
        ("vp9/90000", {"profile-id": "2"}, "2"),
        ("av1/90000", {"level-idx": "5", "tier": "0"}, "0"),
        ("h264/90000", {"profile-level-id": "42e01f", "packetization-mode": "1"}, "42e01f/1"),
        ("h264/90000", {"profile-level-id": "42C034", "packetization-mode": "1"}, "42e01f/1"),
        ("h264/90000", {"profile-level-id": "4d801f", "packetization-mode": "1"}, "42e01f/1"),
        ("h264/90000", {"profile-level-id": "640c34", "packetization-mode": "1"}, "640c1f/1"),
        ("h264/90000", {"profile-level-id": "64003e", "packetization-mode": "1"}, "64001f/1"),
        ("h264/90000", {"profile-level-id": "4d003c", "packetization-mode": "0"}, "4d001f/0"),
        ("h264/90000", {"profile-level-id": "f40033", "packetization-mode": "0"}, "f4001f/0"),
        ("h264/90000", {}, "42001f/0"),
    ],
)
def test_what_decodes_alike_has_one_key(
    encoding: str, parameters: dict[str, str], variant: str
) -> None:
    key = key_of(encoding, parameters)
    assert key
    assert key.variant == variant
    assert key in VIDEO_OFFER


@pytest.mark.parametrize(
    ("encoding", "parameters"),
    [
        ("h265/90000", {}),
        ("vp8/48000", {}),
        ("vp8/0", {}),
        ("red/90000", {}),
        ("opus/90000", {}),
        ("opus/48000", {}),
        ("opus/48000/1", {}),
        ("vp9/90000", {"profile-id": "9"}),
        ("h264/90000", {"profile-level-id": "zz"}),
        ("h264/90000", {"profile-level-id": "ffffff"}),
        ("h264/90000", {"profile-level-id": "58001f"}),
        ("h264/90000", {"packetization-mode": "2"}),
    ],
)
def test_what_is_not_forwarded_has_none(encoding: str, parameters: dict[str, str]) -> None:
    assert key_of(encoding, parameters) is None


def test_payload_types_of_our_offers_are_never_taken_for_rtcp_and_never_shared() -> None:
    numbers = [n for offered in VIDEO_OFFER.values() for n in (offered.payload_type, offered.rtx)]
    assert len(set(numbers)) == len(numbers)
    assert not [number for number in numbers if 64 <= number < 96 or number > 127]


def changed(*pairs: tuple[str, str]) -> str:
    text = CHROMIUM_VIDEO
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "v=0"),
        ("hello", "v=0"),
        ("v=1\r\n", "v=0"),
        ("v=0\r\n", "no m-line"),
        (changed(("m=video 9 UDP", "m=video 9\r\nx=")), "m-line 1 is not m=MEDIA PORT"),
        (changed(("m=video 9 UDP", "m=vid\u00e9o 9 UDP")), "m-line 1 is not m=MEDIA PORT"),
    ],
)
def test_descriptions_of_which_nothing_can_be_used_have_a_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(text)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (changed(("m=video 9 UDP", "m=video nine UDP")), "port"),
        (changed(("m=video 9 UDP", "m=video 9/2 UDP")), "port"),
        (changed(("m=video 9 UDP", "m=video 65536 UDP")), "port"),
        (changed(("m=video 9 UDP", "m=video -9 UDP")), "port"),
        (changed(("UDP/TLS/RTP/SAVPF", "udptl")), "protocol"),
        (changed(("UDP/TLS/RTP/SAVPF", "UDP/DTLS/SCTP")), "protocol"),
        (changed(("a=mid:0", "a=mid:" + "x" * 65)), "malformed"),
        (changed(("a=mid:0", "a=mid:0 1")), "malformed"),
    ],
)
def test_an_m_line_that_can_not_be_used_says_why(text: str, fault: str) -> None:
    (media,) = parse(text).media
    assert fault in media.fault
    assert not media.usable


def test_the_second_m_line_of_a_mid_is_the_one_that_can_not_be_used() -> None:
    first, second, third = parse(CHROMIUM_AUDIO_SLOTS.replace("a=mid:2", "a=mid:0")).media
    assert (first.fault, third.mid) == ("", "")
    assert second.usable
    assert "another m-line's" in third.fault


@pytest.mark.parametrize(
    ("text", "lacking"),
    [
        (changed(("a=setup:actpass", "a=setup:holdconn")), "a=setup"),
        (changed(("a=setup:actpass\r\n", "")), "a=setup missing"),
        (changed(("a=ice-ufrag:kE3x\r\n", "")), "a=ice-ufrag or a=ice-pwd missing"),
        (changed(("a=ice-ufrag:kE3x", "a=ice-ufrag:k")), "a=ice-ufrag or a=ice-pwd malformed"),
        (changed(("a=ice-ufrag:kE3x", "a=ice-ufrag:kE 3x")), "malformed"),
        (changed(("a=ice-pwd:2nuSFJ5hHCaJZHkV5nUYw6dQ", "a=ice-pwd:short")), "malformed"),
        (changed(("a=fingerprint:sha-256", "a=fingerprint:sha-1")), "a=fingerprint"),
        (changed((FINGERPRINT, "AA:BB")), "a=fingerprint"),
        (changed((FINGERPRINT, FINGERPRINT.replace("0A", "0G"))), "a=fingerprint"),
        (changed(("a=fingerprint:sha-256 " + FINGERPRINT + "\r\n", "")), "a=fingerprint"),
    ],
)
def test_a_transport_that_is_not_whole_says_what_is_lacking(text: str, lacking: str) -> None:
    (media,) = parse(text).media
    assert isinstance(media.transport, str)
    assert lacking in media.transport


# --- lines that are passed over ---------------------------------------------------------------

ODD = [
    "a=fmtp:55 apt=96",
    "a=fmtp:",
    "a=fmtp",
    "a=fmtp:114 max-fr=29.97;;=;max-fs",
    "a=fmtp:97",
    "a=rtpmap:200 VP8/90000",
    "a=rtpmap:96",
    "a=rtpmap:",
    "a=rtpmap:96 VP8",
    "a=rtpmap:x y/z",
    "a=rtcp-fb:96",
    "a=rtcp-fb:",
    "a=rtcp-fb:* ",
    "a=ssrc:1 x",
    "a=ssrc:",
    "a=ssrc:-5 cname:x",
    "a=ssrc:4294967296 cname:x",
    "a=ssrc-group:FID",
    "a=ssrc-group:FID 1",
    "a=ssrc-group:FID 0 1",
    "a=ssrc-group:FID 7 7",
    "a=ssrc-group:",
    "a=extmap:x urn:foo",
    "a=extmap:",
    "a=extmap:1",
    "a=extmap:300 urn:3gpp:video-orientation",
    "a=extmap:15 urn:3gpp:video-orientation",
    "a=extmap:0 urn:3gpp:video-orientation",
    "a=extmap:4/both urn:foo",
    "a=fingerprint:md5 AA:BB",
    "a=fingerprint:",
    "a=fingerprint:sha-256 AA",
    "a=group:LS 0",
    "a=group:BUNDLE 9",
    "a=group:",
    "a=candidate:",
    "a=candidate:1 1 udp x",
    "a=:",
    "a=",
    "a",
    "=",
    "b=TIAS:none",
    "x=unknown",
    "c=",
    "",
    "a=rtpmap:" + "9" * 4000,
    "a=ssrc:" + "9" * 4000,
]


@pytest.mark.parametrize("line", ODD)
def test_a_line_that_is_not_understood_changes_nothing(line: str) -> None:
    """RFC 8866 section 5.13. At the end of the m-line's section, and at that of the session's."""
    for sample in (CHROMIUM_VIDEO, FIREFOX_VIDEO):
        whole = parse(sample)
        if "fingerprint" not in line or sample is CHROMIUM_VIDEO:
            # An m-line with a fingerprint, and be it of an unknown hash, leaves the session's aside.
            assert parse(sample + line + "\r\n") == whole
        assert parse(sample.replace("t=0 0\r\n", f"t=0 0\r\n{line}\r\n")) == whole


def test_what_the_session_says_is_the_default() -> None:
    """RFC 8866 section 6.7 for the direction, RFC 8285 section 6, RFC 8839 section 5.4, RFC 8122 section 5."""
    moved = ("a=sendonly", "a=setup:actpass", "a=ice-ufrag:kE3x")
    moved += ("a=ice-pwd:2nuSFJ5hHCaJZHkV5nUYw6dQ", f"a=fingerprint:sha-256 {FINGERPRINT}")
    moved += tuple(line for line in CHROMIUM_VIDEO.split("\r\n") if "extmap:" in line)
    text = changed(*((line + "\r\n", "") for line in moved))
    (media,) = parse(text.replace("t=0 0\r\n", "t=0 0\r\n" + "\r\n".join(moved) + "\r\n")).media
    assert media == parse(CHROMIUM_VIDEO).media[0]


def test_a_fingerprint_of_the_session_counts_only_where_the_m_line_has_none() -> None:
    other = FINGERPRINT.replace("00", "FF")
    text = changed(("t=0 0\r\n", f"t=0 0\r\na=fingerprint:sha-256 {other}\r\n"))
    (media,) = parse(text).media
    assert own_transport(media).fingerprints == {Fingerprint("sha-256", FINGERPRINT)}


def test_several_fingerprints_of_one_hash_are_alternatives() -> None:
    other = FINGERPRINT.replace("00", "FF")
    line = f"a=fingerprint:sha-256 {FINGERPRINT}"
    long = "a=fingerprint:SHA-512 " + ":".join(["ab"] * 64)
    (media,) = parse(changed((line, f"{line}\r\na=fingerprint:sha-256 {other}"))).media
    assert own_transport(media).fingerprints == {
        Fingerprint("sha-256", FINGERPRINT),
        Fingerprint("sha-256", other),
    }
    (media,) = parse(changed((line, f"{line}\r\n{long}"))).media
    assert own_transport(media).fingerprints == {Fingerprint("sha-512", ":".join(["AB"] * 64))}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a=fmtp:97 apt=96", "a=fmtp:97 APT=96"),
        ("a=fmtp:97 apt=96", "a=fmtp:97  apt = 96 "),
        ("a=fmtp:97 apt=96", "a=fmtp:97 rtx-time=3000; apt=96"),
        ("a=fmtp:97 apt=96", "a=fmtp:97 rtx-time=3000\r\na=fmtp:97 apt=96"),
        (
            "packetization-mode=1;profile-level-id=42001f",
            "Packetization-Mode=1; PROFILE-level-id=42003e",
        ),
        ("a=rtpmap:97 rtx/90000", "a=rtpmap:97 RTX/90000"),
        ("a=rtpmap:96 VP8/90000", "a=rtpmap:96 vp8/90000"),
        ("a=rtpmap:103 H264/90000", "a=rtpmap:103  h264/90000 "),
    ],
)
def test_names_have_no_case_and_spaces_mean_nothing(old: str, new: str) -> None:
    (media,) = parse(changed((old, new))).media
    (plain,) = parse(CHROMIUM_VIDEO).media
    assert [(c.payload_type, c.key, c.rtx) for c in media.codecs] == [
        (c.payload_type, c.key, c.rtx) for c in plain.codecs
    ]


@pytest.mark.parametrize("number", ["200", "128", "72", "64", "95", "-1", "096", "1e2", "9" * 4000])
def test_a_payload_type_that_can_be_none_is_left_out(number: str) -> None:
    """Seven bits (RFC 3550 section 5.1), and not 64 to 95 beside RTCP (RFC 5761 section 4)."""
    text = CHROMIUM_VIDEO.replace("SAVPF 96 97", f"SAVPF {number} 97")
    text = text.replace(":96 ", f":{number} ").replace("apt=96", f"apt={number}")
    (media,) = parse(text).media
    assert [codec.payload_type for codec in media.codecs] == [103, 107, 39, 45, 98, 100]
    assert 97 not in [codec.rtx for codec in media.codecs]


def test_a_payload_type_of_retransmissions_that_can_be_none_is_left_out() -> None:
    text = CHROMIUM_VIDEO.replace(":97 ", ":72 ").replace("SAVPF 96 97", "SAVPF 96 72")
    assert [codec.rtx for codec in parse(text).media[0].codecs][:2] == [None, 104]


def test_extensions_keep_their_directions_and_need_their_own_ids() -> None:
    extra = (
        "a=extmap:6/recvonly http://www.webrtc.org/experiments/rtp-hdrext/video-content-type\r\n"
        "a=extmap:7/inactive http://www.webrtc.org/experiments/rtp-hdrext/color-space\r\n"
        "a=extmap:3 http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time\r\n"
    )
    (media,) = parse(CHROMIUM_VIDEO + extra).media
    assert media.extensions[CONTENT_TYPE] == 6
    assert CONTENT_TYPE in media.received_extensions()
    assert CONTENT_TYPE not in media.sent_extensions()
    assert COLOR_SPACE not in media.extensions
    assert CAPTURE_TIME not in media.extensions, "3 is the orientation's"


# --- damage -----------------------------------------------------------------------------------


@given(st.sampled_from(SAMPLES), st.data())
def test_no_damage_raises_anything_but_value_error(sample: str, data: st.DataObject) -> None:
    lines = sample.split("\r\n")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["drop", "cut", "swap", "double", "insert"])):
            case "drop":
                lines[at] = ""
            case "cut":
                lines[at] = lines[at][: data.draw(st.integers(0, len(lines[at])))]
            case "swap":
                other = data.draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case "double":
                lines[at] += lines[at]
            case _:
                lines[at] = lines[at][:8] + data.draw(st.text(max_size=12)) + lines[at][8:]
    try:
        parse("\r\n".join(lines))
    except ValueError:
        return


@given(st.text())
def test_no_text_does(text: str) -> None:
    for candidate in (text, "v=0\r\n" + text, "v=0\r\nm=" + text):
        try:
            parse(candidate)
        except ValueError:
            continue
