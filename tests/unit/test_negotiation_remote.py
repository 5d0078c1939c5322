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
from sfu.sdp.extensions import TRANSPORT_CC
from sfu.sdp.remote import MAX_MEDIA, Fingerprint, parse

SAMPLES = [CHROMIUM_VIDEO, CHROMIUM_AUDIO_SLOTS, FIREFOX_VIDEO, SIMULCAST]


def test_chromium_video() -> None:
    remote = parse(CHROMIUM_VIDEO)
    assert remote.transport
    assert remote.transport.ufrag == "kE3x"
    assert remote.transport.setup == "actpass"
    assert remote.transport.fingerprints == {Fingerprint("sha-256", FINGERPRINT)}
    assert remote.mixed_extensions
    (media,) = remote.media
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


def test_the_transport_is_that_of_the_first_line() -> None:
    transport = parse(CHROMIUM_AUDIO_SLOTS).transport
    assert transport
    assert transport.ufrag == "AbCd"


def test_without_a_line_there_is_no_transport() -> None:
    assert parse(changed(("m=video 9 UDP", "m=video 0 UDP"))).transport is None


def test_simulcast_by_rid_has_no_ssrc() -> None:
    (media,) = parse(SIMULCAST).media
    assert (media.ssrc, media.rtx_ssrc) == (None, None)


@pytest.mark.parametrize(
    ("name", "parameters", "variant"),
    [
        ("vp8", {}, ""),
        ("VP8", {"max-fs": 12288}, ""),
        ("VP9", {}, "0"),
        ("VP9", {"profile-id": "2"}, "2"),
        ("AV1", {"level-idx": "5", "tier": "0"}, "0"),
        ("H264", {"profile-level-id": "42e01f", "packetization-mode": "1"}, "42e01f/1"),
        ("H264", {"profile-level-id": "42C034", "packetization-mode": "1"}, "42e01f/1"),
        ("H264", {"profile-level-id": "640c34", "packetization-mode": "1"}, "640c1f/1"),
        ("H264", {}, "42001f/0"),
    ],
)
def test_what_decodes_alike_has_one_key(
    name: str, parameters: dict[str, str | int], variant: str
) -> None:
    key = key_of(name, 90000, parameters)
    assert key
    assert key.variant == variant
    assert key in VIDEO_OFFER


@pytest.mark.parametrize(
    ("name", "clock_rate", "parameters"),
    [
        ("H265", 90000, {}),
        ("VP8", 48000, {}),
        ("red", 90000, {}),
        ("opus", 90000, {}),
        ("VP9", 90000, {"profile-id": "9"}),
        ("H264", 90000, {"profile-level-id": "zz"}),
        ("H264", 90000, {"profile-level-id": "ffffff"}),
    ],
)
def test_what_is_not_forwarded_has_none(
    name: str, clock_rate: int, parameters: dict[str, str]
) -> None:
    assert key_of(name, clock_rate, parameters) is None


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
        ("v=0\r\n" + "x" * (600 * 1024), "longer"),
        ("v=0\r\n" + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n" * (MAX_MEDIA + 1), "m-lines"),
        (changed(("m=video 9 UDP", "m=video nine UDP")), "not understood"),
        (changed(("a=setup:actpass", "a=setup:holdconn")), "not understood"),
        (changed(("a=setup:actpass\r\n", "")), "setup"),
        (changed(("a=ice-ufrag:kE3x\r\n", "")), "ice"),
        (changed(("a=ice-ufrag:kE3x", "a=ice-ufrag:k")), "ice"),
        (changed(("a=ice-ufrag:kE3x", "a=ice-ufrag:kE 3x")), "ice"),
        (changed(("a=ice-pwd:2nuSFJ5hHCaJZHkV5nUYw6dQ", "a=ice-pwd:short")), "ice"),
        (changed(("a=fingerprint:sha-256", "a=fingerprint:sha-1")), "fingerprint"),
        (changed((FINGERPRINT, "AA:BB")), "fingerprint"),
        (changed((FINGERPRINT, FINGERPRINT.replace("0A", "0G"))), "fingerprint"),
        (changed(("a=fingerprint:sha-256 " + FINGERPRINT + "\r\n", "")), "fingerprint"),
        (changed(("a=fmtp:97 apt=96", "a=fmtp:55 apt=96")), "not understood"),
        (changed(("SAVPF 96 97", "SAVPF 72 97")), "not understood"),
        (changed(("FID 1001 1002", "FID 1001 1001")), "twice"),
        (changed(("FID 1001 1002", f"FID 1001 {1 << 32}")), "SSRC"),
        (changed(("a=mid:0", "a=mid:" + "x" * 65)), "mid"),
        (CHROMIUM_AUDIO_SLOTS.replace("a=mid:1", "a=mid:0"), "mid"),
        (CHROMIUM_AUDIO_SLOTS.replace("a=mid:1\r\n", ""), "mid"),
    ],
)
def test_bad_descriptions_have_a_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(text)


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
