"""Any offer is answered by the rules, or refused in words; what is odd in one m-line costs the others nothing."""

from __future__ import annotations

import os
import re
from itertools import count

import pytest
import sdp_rules
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sdp_offers import M_LINES, odd_lines, offers
from sdp_samples import CHROMIUM_AUDIO_SLOTS, CHROMIUM_VIDEO, FINGERPRINT, FIREFOX_VIDEO, SIMULCAST

from sfu.sdp.answers import answer_audio, answer_video
from sfu.sdp.local import LocalTransport, render
from sfu.sdp.offers import Subscriptions
from sfu.sdp.remote import RemoteDescription, parse

EXAMPLES = int(os.environ.get("PARLEY_SDP_EXAMPLES", "200"))
"""Of each kind; some thousands when the code that is tested has changed."""

_TECHNICAL = re.compile(r"\w(Error|Exception|Iteration)\b|\(\)|Traceback|object at|None\b|<|\{")


def answer(kind: str, text: str) -> str:
    """Our answer to an offer of this connection. Raises ValueError."""
    remote = parse(text)
    numbers = count(1)
    made = (
        answer_video(remote)
        if kind == "video"
        else answer_audio(remote, {}, "name", lambda: next(numbers))
    )
    assert made.carried.transport in [media.transport for media in remote.media]
    transport = LocalTransport(
        ufrag="ours",
        password="p" * 24,
        fingerprint=FINGERPRINT,
        setup="active" if made.carried.transport.setup == "passive" else "passive",
        candidates=(("192.0.2.1", 7882),),
    )
    return render(
        1,
        1,
        transport,
        made.sections,
        bundle=made.carried.group,
        mixed_extensions=remote.mixed_extensions,
    )


def check_words(refusal: ValueError) -> None:
    """Ours, and fit for a client."""
    assert type(refusal) is ValueError
    assert 8 < len(str(refusal)) < 400
    assert not _TECHNICAL.search(str(refusal)), str(refusal)


def answer_by_the_rules(kind: str, text: str) -> str | None:
    """None when it is refused, in words."""
    try:
        written = answer(kind, text)
    except ValueError as refusal:
        check_words(refusal)
        return None
    sdp_rules.check(text, written)
    return written


@pytest.mark.parametrize(
    ("kind", "offer"),
    [
        ("video", CHROMIUM_VIDEO),
        ("video", FIREFOX_VIDEO),
        ("video", SIMULCAST),
        ("audio", CHROMIUM_AUDIO_SLOTS),
    ],
)
def test_browsers_offers(kind: str, offer: str) -> None:
    assert answer_by_the_rules(kind, offer)


@settings(deadline=None, max_examples=EXAMPLES)
@pytest.mark.parametrize("kind", ["audio", "video"])
@given(data=st.data())
def test_any_offer(kind: str, data: st.DataObject) -> None:
    answer_by_the_rules(kind, data.draw(offers(kind)))


def sections_of(text: str) -> list[str]:
    return re.split(r"(?=^m=)", text, flags=re.MULTILINE)[1:]


MANY = CHROMIUM_AUDIO_SLOTS.replace(
    "a=recvonly\r\na=rtpmap", "a=recvonly\r\na=rtcp-mux\r\na=rtpmap"
)


@settings(deadline=None, max_examples=EXAMPLES)
@given(
    st.lists(st.tuples(odd_lines(), st.integers(1, 40)), max_size=5),
    st.none() | M_LINES,
    st.sampled_from([1, 2]),
)
def test_what_is_odd_in_one_m_line_costs_the_others_nothing(
    odd: list[tuple[str, int]], m_line: str | None, victim: int
) -> None:
    """RFC 3264 section 6: an m-line is rejected by itself. The first one, which tags the group, is spared."""
    head, *media = re.split(r"(?=^m=)", MANY, flags=re.MULTILINE)
    lines = media[victim].split("\r\n")
    for line, place in odd:
        # Another mid takes the m-line out of the group, which is no fault of the others either.
        if not line.startswith("a=mid:0"):
            lines.insert(min(place, len(lines) - 1), line)
    if m_line:
        lines[0] = m_line
    media[victim] = "\r\n".join(lines)
    offer = head + "".join(media)
    written = answer_by_the_rules("audio", offer)
    assert written
    plain = sections_of(answer("audio", MANY))
    for place, section in enumerate(sections_of(written)):
        if place != victim:
            assert without_ssrc(section) == without_ssrc(plain[place])
        elif m_line and " 0 " not in m_line:  # that one may have met a=bundle-only
            assert section.startswith(f"m={m_line.split()[0][2:]} 0 ")


def without_ssrc(section: str) -> str:
    return re.sub(r"a=ssrc:\d+ ", "a=ssrc:", section)


@settings(deadline=None, max_examples=EXAMPLES)
@given(offers("video"))
@example("v=0\nm=video 9 UDP/TLS/RTP/SAVPF 96\n")
def test_any_answer_of_a_viewer(text: str) -> None:
    numbers = count(1)
    viewer = Subscriptions("name", lambda: next(numbers))
    viewer.outstanding = True
    try:
        remote: RemoteDescription = parse(text)
        viewer.answer(remote)
    except ValueError as refusal:
        check_words(refusal)
