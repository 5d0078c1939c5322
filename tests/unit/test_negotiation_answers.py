"""What we answer to clients' offers."""

from __future__ import annotations

from itertools import count

import pytest
from aiortc.sdp import SessionDescription
from sdp_samples import CHROMIUM_AUDIO_SLOTS, CHROMIUM_VIDEO, FINGERPRINT, FIREFOX_VIDEO, SIMULCAST

from sfu.negotiation import (
    MAX_SLOTS,
    Accepted,
    Published,
    answer_audio,
    answer_video,
    extension_map,
    our_setup,
    payload_type_map,
)
from sfu.sdp.codecs import OPUS, VP8, CodecKey
from sfu.sdp.extensions import AUDIO_LEVEL, MID, ORIENTATION, PLAYOUT_DELAY, TRANSPORT_CC
from sfu.sdp.local import LocalTransport, Rejected, Section, render
from sfu.sdp.remote import parse

TRANSPORT = LocalTransport(
    ufrag="ours",
    password="p" * 24,
    fingerprint=FINGERPRINT,
    setup="passive",
    candidates=(("192.0.2.1", 7882), ("2001:db8::1", 7882)),
)


def text(sections: list[Section | Rejected]) -> str:
    return render(1, 2, TRANSPORT, sections, mixed_extensions=True)


def ssrcs() -> object:
    numbers = count(1)
    return lambda: next(numbers)


def test_a_camera() -> None:
    answer = answer_video(parse(CHROMIUM_VIDEO))
    published = answer.published
    assert published.codecs[96] == VP8
    assert published.codecs[98] == CodecKey("VP9", "0")
    assert published.rtx[96] == 97
    assert (published.ssrc, published.rtx_ssrc) == (1001, 1002)
    assert published.extensions == {ORIENTATION: 3, TRANSPORT_CC: 4, PLAYOUT_DELAY: 5, MID: 9}
    track = published.track_codecs()[96]
    assert (track.name, track.clock_rate, track.rtx) == ("VP8", 90000, 97)


def test_the_answer_to_a_camera_echoes_what_is_forwarded() -> None:
    written = text(answer_video(parse(CHROMIUM_VIDEO)).sections)
    lines = written.split("\r\n")
    first = next(line for line in lines if line.startswith("m="))
    assert first == (
        "m=video 7882 UDP/TLS/RTP/SAVPF 96 97 103 104 107 108 39 40 45 46 98 99 100 101"
    )
    for line in (
        "a=ice-lite",
        "a=group:BUNDLE 0",
        "a=extmap-allow-mixed",
        "a=recvonly",
        "a=setup:passive",
        "a=rtcp-mux",
        "a=candidate:1 1 udp 2130706431 192.0.2.1 7882 typ host",
        "a=candidate:2 1 udp 2130706175 2001:db8::1 7882 typ host",
        "a=end-of-candidates",
        "a=rtpmap:96 VP8/90000",
        "a=rtcp-fb:96 nack pli",
        "a=rtcp-fb:96 transport-cc",
        "a=fmtp:97 apt=96",
        "a=fmtp:39 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f",
        f"a=extmap:4 {TRANSPORT_CC}",
    ):
        assert line in lines, line
    for word in ("goog-remb", "red/", "ulpfec", "toffset", "abs-send-time", "a=ssrc"):
        assert word not in written, word


def test_firefox_gets_an_answer_that_it_understands() -> None:
    written = text(answer_video(parse(FIREFOX_VIDEO)).sections)
    assert "a=rtpmap:120 VP8/90000" in written
    assert "packetization-mode=1;" in written or "packetization-mode=1\r\n" in written
    assert "; " not in written


def test_simulcast_is_not_taken_up_and_its_retransmissions_neither() -> None:
    answer = answer_video(parse(SIMULCAST))
    assert answer.published.ssrc is None
    assert answer.published.rtx == {}
    written = text(answer.sections)
    assert "rid" not in written
    assert "simulcast" not in written
    assert "rtx" not in written


def test_the_microphone_and_its_slots() -> None:
    remote = parse(CHROMIUM_AUDIO_SLOTS)
    answer = answer_audio(remote, {"1": 777}, "name", ssrcs())
    assert answer.published
    assert answer.published.codecs == {111: OPUS}
    assert answer.published.extensions[AUDIO_LEVEL] == 14
    assert [(slot.mid, slot.ssrc) for slot in answer.slots] == [("0", 1), ("1", 777), ("2", 2)]
    written = text(answer.sections)
    assert "a=group:BUNDLE 0 1 2" in written
    sections = written.split("m=audio")[1:]
    assert "a=sendrecv" in sections[0]
    assert all("a=sendonly" in section for section in sections[1:])
    assert all("a=ssrc:" in section for section in sections)
    msids = {line for line in written.split("\r\n") if line.startswith("a=msid:")}
    assert len(msids) == 3
    assert "a=rtpmap:111 opus/48000/2" in written
    assert "a=fmtp:111 minptime=10;useinbandfec=1" in written
    for word in ("red/", "G722", "telephone-event"):
        assert word not in written, word


def test_slots_without_bundle_are_refused() -> None:
    remote = parse(CHROMIUM_AUDIO_SLOTS.replace("a=group:BUNDLE 0 1 2\r\n", ""))
    answer = answer_audio(remote, {}, "name", ssrcs())
    assert len(answer.slots) == 1
    written = text(answer.sections)
    assert written.count("m=audio 0 ") == 2
    assert "a=group:BUNDLE 0\r\n" in written


def test_slots_are_bounded() -> None:
    head, _, rest = CHROMIUM_AUDIO_SLOTS.partition("m=audio 0 ")
    slot = "m=audio 9 " + rest.partition("m=audio 9 ")[2]
    many = head.replace("BUNDLE 0 1 2", "BUNDLE " + " ".join(map(str, range(40))))
    many += "".join(slot.replace("a=mid:2", f"a=mid:{mid}") for mid in range(1, 40))
    answer = answer_audio(parse(many), {}, "name", ssrcs())
    assert len(answer.slots) == MAX_SLOTS
    assert text(answer.sections).count("a=inactive") == 40 - MAX_SLOTS


def test_a_listener_without_a_microphone() -> None:
    remote = parse(CHROMIUM_AUDIO_SLOTS.replace("a=sendrecv", "a=recvonly"))
    answer = answer_audio(remote, {}, "name", ssrcs())
    assert answer.published is None
    assert len(answer.slots) == 3


@pytest.mark.parametrize(
    ("offer", "reason"),
    [
        (CHROMIUM_AUDIO_SLOTS, "no video"),
        (CHROMIUM_VIDEO.replace("m=video 9", "m=video 0"), "no video"),
        (CHROMIUM_VIDEO.replace("a=sendonly", "a=recvonly"), "no video"),
        (FIREFOX_VIDEO.replace("VP", "ZZ").replace("H264", "ZZ"), "no video"),
    ],
)
def test_an_offer_without_video_to_take(offer: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        answer_video(parse(offer))


def test_an_offer_without_audio_to_take() -> None:
    for offer in (CHROMIUM_VIDEO, CHROMIUM_AUDIO_SLOTS.replace("opus", "speex")):
        with pytest.raises(ValueError, match="no audio"):
            answer_audio(parse(offer), {}, "name", ssrcs())


@pytest.mark.parametrize("offer", [CHROMIUM_VIDEO, FIREFOX_VIDEO, SIMULCAST])
def test_other_parsers_read_our_answers(offer: str) -> None:
    written = text(answer_video(parse(offer)).sections)
    read = SessionDescription.parse(written)
    assert len(read.media) == 1
    assert read.media[0].direction == "recvonly"
    assert [c.ip for c in read.media[0].ice_candidates] == ["192.0.2.1", "2001:db8::1"]
    transport = parse(written).transport
    assert transport
    assert transport.setup == "passive"


def test_we_are_passive_unless_the_client_is() -> None:
    assert our_setup("actpass") == our_setup("active") == "passive"
    assert our_setup("passive") == "active"


def test_the_maps_hold_what_both_sides_know() -> None:
    published = Published(
        codecs={96: VP8, 98: CodecKey("VP9", "0"), 102: CodecKey("H264", "42e01f/1")},
        rtx={},
        extensions={ORIENTATION: 3, TRANSPORT_CC: 4, PLAYOUT_DELAY: 5},
        ssrc=1,
        rtx_ssrc=None,
    )
    accepted = Accepted(
        mid="0",
        ssrc=9,
        rtx_ssrc=None,
        payload_types={VP8: 120, CodecKey("H264", "42e01f/1"): 126},
        rtx={},
        extensions={ORIENTATION: 7},
    )
    assert payload_type_map(published, accepted) == {96: 120, 102: 126}
    assert extension_map(published, accepted) == {3: 7}
