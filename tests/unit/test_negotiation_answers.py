"""What we answer to clients' offers."""

from __future__ import annotations

import re
from itertools import count

import pytest
from aiortc.sdp import SessionDescription
from sdp_samples import CHROMIUM_AUDIO_SLOTS, CHROMIUM_VIDEO, FINGERPRINT, FIREFOX_VIDEO, SIMULCAST

from sfu.sdp.answers import (
    MAX_SLOTS,
    Accepted,
    AudioAnswer,
    Published,
    VideoAnswer,
    answer_audio,
    answer_video,
    extension_map,
    our_setup,
    payload_type_map,
)
from sfu.sdp.codecs import OPUS, VP8, CodecKey
from sfu.sdp.extensions import AUDIO_LEVEL, MID, ORIENTATION, PLAYOUT_DELAY, TRANSPORT_CC
from sfu.sdp.local import LocalTransport, render
from sfu.sdp.remote import RemoteTransport, parse

TRANSPORT = LocalTransport(
    ufrag="ours",
    password="p" * 24,
    fingerprint=FINGERPRINT,
    setup="passive",
    candidates=(("192.0.2.1", 7882), ("2001:db8::1", 7882)),
)


def text(answer: VideoAnswer | AudioAnswer, offer: str = CHROMIUM_VIDEO) -> str:
    return render(
        1,
        2,
        TRANSPORT,
        answer.sections,
        bundle=answer.carried.group,
        mixed_extensions=parse(offer).mixed_extensions,
    )


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
    written = text(answer_video(parse(CHROMIUM_VIDEO)))
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
    written = text(answer_video(parse(FIREFOX_VIDEO)))
    assert "a=rtpmap:120 VP8/90000" in written
    assert "packetization-mode=1;" in written or "packetization-mode=1\r\n" in written
    assert "; " not in written


def test_simulcast_is_not_taken_up_and_its_retransmissions_neither() -> None:
    answer = answer_video(parse(SIMULCAST))
    assert answer.published.ssrc is None
    assert answer.published.rtx == {}
    written = text(answer)
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
    written = text(answer)
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
    written = text(answer)
    assert written.count("m=audio 0 ") == 2
    assert "a=group" not in written, "none was offered (RFC 9143 section 7.3)"


def test_slots_are_bounded() -> None:
    head, _, rest = CHROMIUM_AUDIO_SLOTS.partition("m=audio 0 ")
    slot = "m=audio 9 " + rest.partition("m=audio 9 ")[2]
    many = head.replace("BUNDLE 0 1 2", "BUNDLE " + " ".join(map(str, range(40))))
    many += "".join(slot.replace("a=mid:2", f"a=mid:{mid}") for mid in range(1, 40))
    answer = answer_audio(parse(many), {}, "name", ssrcs())
    assert len(answer.slots) == MAX_SLOTS
    assert text(answer).count("a=inactive") == 40 - MAX_SLOTS


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
        (CHROMIUM_VIDEO.replace("m=video 9 UDP/TLS/", "m=video 9 UDP/XYZ/"), "protocol"),
        (CHROMIUM_VIDEO.replace("a=rtcp-mux\r\n", ""), "m-line 1: a=rtcp-mux missing"),
        (CHROMIUM_VIDEO.replace("a=setup:actpass\r\n", ""), "m-line 1: a=setup missing"),
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


# --- the answer follows from the offer --------------------------------------------------------


@pytest.mark.parametrize("attribute", ["a=rtcp-rsize", "a=extmap-allow-mixed", "a=group:BUNDLE 0"])
def test_what_is_not_offered_is_not_answered(attribute: str) -> None:
    assert attribute in text(answer_video(parse(CHROMIUM_VIDEO)), CHROMIUM_VIDEO)
    offer = CHROMIUM_VIDEO.replace(attribute + "\r\n", "")
    answer = answer_video(parse(offer))
    assert attribute not in text(answer, offer)
    assert answer.published.reduced_size is (attribute != "a=rtcp-rsize")


def test_mixed_extensions_are_answered_where_they_were_offered() -> None:
    offer = CHROMIUM_VIDEO.replace("a=extmap-allow-mixed\r\n", "") + "a=extmap-allow-mixed\r\n"
    head, _, section = text(answer_video(parse(offer)), offer).partition("m=video")
    assert "a=extmap-allow-mixed" not in head
    assert "a=extmap-allow-mixed" in section


def test_a_protocol_is_repeated() -> None:
    """RFC 8829 section 5.1.2."""
    for protocol in ("RTP/AVP", "RTP/SAVPF", "TCP/DTLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP"):
        offer = CHROMIUM_VIDEO.replace("UDP/TLS/RTP/SAVPF", protocol)
        assert f"m=video 7882 {protocol} 96 " in text(answer_video(parse(offer)), offer)


def test_extension_directions_are_answered_from_the_other_side() -> None:
    """RFC 8285 section 6."""
    offer = CHROMIUM_VIDEO.replace("a=extmap:3 ", "a=extmap:3/sendonly ").replace(
        "a=extmap:5 ", "a=extmap:5/recvonly "
    )
    answer = answer_video(parse(offer))
    assert f"a=extmap:3/recvonly {ORIENTATION}" in text(answer, offer)
    assert f"a=extmap:5/sendonly {PLAYOUT_DELAY}" in text(answer, offer)
    assert answer.published.extensions == {ORIENTATION: 3, TRANSPORT_CC: 4, MID: 9}


def test_feedback_that_was_not_offered_is_not_sent() -> None:
    """RFC 4585 section 4.2."""
    offer = "\r\n".join(line for line in CHROMIUM_VIDEO.split("\r\n") if "rtcp-fb" not in line)
    answer = answer_video(parse(offer))
    assert not answer.published.nack
    assert TRANSPORT_CC not in answer.published.extensions
    assert TRANSPORT_CC not in text(answer, offer)
    assert answer_video(parse(CHROMIUM_VIDEO)).published.nack


@pytest.mark.parametrize("direction", ["inactive", "recvonly"])
def test_a_camera_on_hold_is_answered_inactive(direction: str) -> None:
    """RFC 3264 section 6.1."""
    answer = answer_video(parse(CHROMIUM_VIDEO.replace("a=sendonly", f"a={direction}")))
    assert "a=inactive" in text(answer)
    assert "m=video 7882 " in text(answer)
    assert answer.published == answer_video(parse(CHROMIUM_VIDEO)).published, "it will go on"


def test_a_microphone_on_hold_is_answered_inactive() -> None:
    offer = CHROMIUM_AUDIO_SLOTS.replace("a=sendrecv", "a=inactive")
    offer = offer.replace("a=recvonly", "a=inactive")
    answer = answer_audio(parse(offer), {}, "name", ssrcs())
    assert text(answer).count("a=inactive") == 3
    assert text(answer).count("m=audio 7882 ") == 3
    assert answer.published is None
    assert answer.slots == []


def test_a_rejected_m_line_needs_nothing_else() -> None:
    """RFC 3264 section 8.2: Pion and Firefox leave even its mid out."""
    offer = CHROMIUM_AUDIO_SLOTS + "m=video 0 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\n"
    answer = answer_audio(parse(offer), {}, "name", ssrcs())
    assert len(answer.slots) == 3
    assert text(answer).endswith(
        "m=video 0 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\n"
    )


def test_the_transport_is_that_of_the_m_line_that_is_taken() -> None:
    """The audio m-line in front has one of its own, and no group that would share it."""
    audio = CHROMIUM_AUDIO_SLOTS.partition("m=audio 0 ")[0]
    camera = CHROMIUM_VIDEO[CHROMIUM_VIDEO.index("m=video") :].replace("a=mid:0", "a=mid:1")
    for group, bundle in (("", ()), ("a=group:BUNDLE 0 1\r\n", ("1",))):
        offer = audio.replace("a=group:BUNDLE 0 1 2\r\n", group) + camera
        answer = answer_video(parse(offer))
        assert answer.carried.transport.ufrag == "kE3x"
        assert answer.carried.group == bundle
        assert text(answer).count("m=audio 0 ") == 1


def test_one_that_is_bundle_only_goes_by_the_transport_of_its_group() -> None:
    audio = CHROMIUM_AUDIO_SLOTS.partition("m=audio 0 ")[0].replace("BUNDLE 0 1 2", "BUNDLE 0 1")
    camera = CHROMIUM_VIDEO[CHROMIUM_VIDEO.index("m=video") :].replace("a=mid:0", "a=mid:1")
    kept = [
        line for line in camera.split("\r\n") if not re.match("a=(ice|setup|fing|rtcp-mux)", line)
    ]
    camera = "\r\n".join(kept).replace("m=video 9", "m=video 0") + "a=bundle-only\r\n"
    answer = answer_video(parse(audio + camera))
    assert answer.carried.transport.ufrag == "AbCd"
    assert answer.carried.group == ("1",)


def test_an_m_line_that_lacks_its_transport_leaves_it_to_the_next() -> None:
    offer = CHROMIUM_AUDIO_SLOTS.replace("a=ice-ufrag:AbCd\r\n", "") + "a=rtcp-mux\r\n"
    answer = answer_audio(parse(offer), {}, "name", ssrcs())
    assert answer.carried.transport.ufrag == "ZzZz"
    assert answer.carried.group == ("2", "0", "1"), "the one that tags it comes first"


@pytest.mark.parametrize("offer", [CHROMIUM_VIDEO, FIREFOX_VIDEO, SIMULCAST])
def test_other_parsers_read_our_answers(offer: str) -> None:
    written = text(answer_video(parse(offer)))
    read = SessionDescription.parse(written)
    assert len(read.media) == 1
    assert read.media[0].direction == "recvonly"
    assert [c.ip for c in read.media[0].ice_candidates] == ["192.0.2.1", "2001:db8::1"]
    transport = parse(written).media[0].transport
    assert isinstance(transport, RemoteTransport)
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
