"""Our offers to a viewer: m-lines placed, freed, used again, refused."""

from __future__ import annotations

from itertools import count
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sdp_samples import FINGERPRINT

from schemas.sfu import Feed
from sfu.sdp.codecs import VIDEO_OFFER, VP8, CodecKey
from sfu.sdp.extensions import ORIENTATION, TRANSPORT_CC
from sfu.sdp.local import LocalTransport, Rejected, Section, bundle_of, render
from sfu.sdp.offers import Subscriptions, Wanted
from sfu.sdp.remote import RemoteDescription, parse

VP9 = CodecKey("VP9", "0")
TRANSPORT = LocalTransport(
    ufrag="ours",
    password="p" * 24,
    fingerprint=FINGERPRINT,
    setup="actpass",
    candidates=(("192.0.2.1", 7882),),
)


def feed(number: int) -> Feed:
    return Feed(UUID(int=number), "video")


def wanted(*numbers: int, codecs: frozenset[CodecKey] = frozenset({VP8})) -> dict[Feed, Wanted]:
    extensions = frozenset({ORIENTATION, TRANSPORT_CC})
    return {feed(n): Wanted(feed=feed(n), codecs=codecs, extensions=extensions) for n in numbers}


class Viewer:
    """Answers as a browser does: takes the first codec of every m-line that sends."""

    def __init__(self) -> None:
        numbers = count(1)
        self.subscriptions = Subscriptions("name", lambda: next(numbers))
        self.offers: list[str] = []
        self.reject: set[str] = set()
        """mids to answer with port 0."""
        self.decline: set[str] = set()
        """mids to answer inactive."""

    def change(self, now: dict[Feed, Wanted]) -> bool:
        if not self.subscriptions.plan(now):
            return False
        self.subscriptions.outstanding = True
        sections = self.sections()
        self.offers.append(
            render(
                1,
                len(self.offers),
                TRANSPORT,
                sections,
                bundle=bundle_of(sections),
                mixed_extensions=True,
            )
        )
        return True

    def sections(self) -> list[Section | Rejected]:
        return self.subscriptions.sections()

    def answer(self) -> None:
        self.subscriptions.answer(self.answered())

    def answered(self) -> RemoteDescription:
        return parse("".join(self._lines(self.offers[-1])))

    def settle(self, now: dict[Feed, Wanted]) -> None:
        for _ in range(4):
            if not self.change(now):
                return
            self.answer()
        raise AssertionError("does not settle")

    def _lines(self, offer: str) -> list[str]:
        head, *sections = offer.split("m=video ")
        return [head, *("m=video " + self._section(section) for section in sections)]

    def _section(self, section: str) -> str:
        mid = section.split("a=mid:")[1].split("\r\n")[0]
        section = section.replace("a=setup:actpass", "a=setup:active")
        section = "".join(
            line + "\r\n" for line in section.split("\r\n")[:-1] if "ssrc" not in line
        )
        if mid in self.reject or section.startswith("0 "):
            return "0 " + section.partition(" ")[2]
        if mid in self.decline:
            return section.replace("a=sendonly", "a=inactive")
        return section.replace("a=sendonly", "a=recvonly")


def test_the_first_feed() -> None:
    viewer = Viewer()
    assert viewer.change(wanted(1))
    offer = viewer.offers[-1]
    assert "a=setup:actpass" in offer
    assert "a=sendonly" in offer
    assert f"a=msid:{UUID(int=1)}/video video-1" in offer
    assert "a=ssrc-group:FID 1 2" in offer
    assert f"a=extmap:1 {ORIENTATION}" in offer
    assert TRANSPORT_CC not in offer
    assert [(s.user, s.mid) for s in viewer.subscriptions.streams()] == [(UUID(int=1), "0")]
    assert viewer.subscriptions.accepted() == {}

    viewer.answer()
    accepted = viewer.subscriptions.accepted()[feed(1)]
    vp8 = VIDEO_OFFER[VP8]
    assert accepted.payload_types == {VP8: vp8.payload_type}
    assert accepted.rtx == {vp8.payload_type: vp8.rtx}
    assert (accepted.ssrc, accepted.rtx_ssrc) == (1, 2)
    assert accepted.extensions == {ORIENTATION: 1}
    assert not viewer.change(wanted(1)), "nothing to tell"


def test_a_freed_line_is_first_inactive_and_then_used_again() -> None:
    viewer = Viewer()
    viewer.settle(wanted(1, 2))
    assert viewer.change(wanted(2, 3)), "the line of 1 closes, 3 gets a new one"
    directions = [s.direction for s in viewer.sections() if isinstance(s, Section)]
    assert directions == ["inactive", "sendonly", "sendonly"]
    viewer.answer()
    assert viewer.change(wanted(2, 3, 4))
    assert [s.mid for s in viewer.subscriptions.streams()] == ["0", "1", "2"]
    assert viewer.offers[-1].count("m=video") == 3
    assert viewer.subscriptions.streams()[0].user == UUID(int=4)


def test_all_lines_may_be_inactive() -> None:
    viewer = Viewer()
    viewer.settle(wanted(1, 2))
    viewer.settle(wanted())
    assert viewer.subscriptions.streams() == []
    assert viewer.offers[-1].count("a=inactive") == 2
    assert "a=group:BUNDLE 0 1" in viewer.offers[-1]


def test_more_codecs_are_offered_on_the_same_line() -> None:
    viewer = Viewer()
    viewer.settle(wanted(1))
    assert viewer.change(wanted(1, codecs=frozenset({VP8, VP9})))
    viewer.answer()
    accepted = viewer.subscriptions.accepted()[feed(1)]
    assert accepted.payload_types.keys() == {VP8, VP9}
    assert accepted.ssrc == 1, "the stream goes on"
    assert not viewer.change(wanted(1)), "fewer need no offer"


def test_a_rejected_line_comes_back_under_another_mid() -> None:
    viewer = Viewer()
    viewer.reject = {"1"}
    viewer.settle(wanted(1, 2))
    assert viewer.subscriptions.accepted().keys() == {feed(1)}
    assert not viewer.change(wanted(1, 2)), "not offered again by itself"
    viewer.settle(wanted(1))
    viewer.settle(wanted(1, 3))
    assert [s.mid for s in viewer.subscriptions.streams()] == ["0", "2"]
    assert viewer.subscriptions.accepted().keys() == {feed(1), feed(3)}
    assert viewer.offers[-1].count("m=video") == 2


def test_a_declined_line_is_free_for_another_feed() -> None:
    viewer = Viewer()
    viewer.decline = {"0"}
    viewer.settle(wanted(1))
    assert viewer.subscriptions.accepted() == {}
    viewer.decline = set()
    viewer.settle(wanted(2))
    assert viewer.subscriptions.accepted().keys() == {feed(2)}
    assert viewer.offers[-1].count("m=video") == 1


def test_answers_that_do_not_fit_change_nothing() -> None:
    viewer = Viewer()
    viewer.settle(wanted(1))
    answered = viewer.answered()
    with pytest.raises(ValueError, match="outstanding"):
        viewer.subscriptions.answer(answered)
    viewer.change(wanted(1, 2))
    with pytest.raises(ValueError, match="1 m-lines answer 2"):
        viewer.subscriptions.answer(answered)
    viewer.answer()
    assert viewer.subscriptions.accepted().keys() == {feed(1), feed(2)}


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sets(st.integers(1, 6), max_size=5),
            st.sets(st.integers(0, 8).map(str), max_size=2),
            st.sets(st.integers(0, 8).map(str), max_size=2),
        ),
        max_size=12,
    )
)
def test_any_history_of_wishes_and_refusals(
    history: list[tuple[set[int], set[str], set[str]]],
) -> None:
    """Lines stay in place, none changes its feed without an agreed pause, no SSRC comes twice."""
    viewer = Viewer()
    used: dict[int, str] = {}
    agreed: dict[str, str] = {}
    """What each mid carries by the last answer; empty for nothing."""
    length = 0
    for numbers, viewer.reject, viewer.decline in history:
        now = wanted(*sorted(numbers))
        for _ in range(5):
            if not viewer.change(now):
                break
            sections = viewer.sections()
            assert len(sections) >= length
            length = len(sections)
            for section in sections:
                msid = _check(section, used)
                assert not (msid and agreed.get(section.mid)) or msid == agreed[section.mid]
                refused = section.mid in viewer.reject | viewer.decline
                agreed[section.mid] = "" if refused else msid
            viewer.answer()
        else:
            raise AssertionError("does not settle")
        assert viewer.subscriptions.accepted().keys() <= now.keys()
    viewer.reject = viewer.decline = set()
    viewer.settle(wanted())
    viewer.settle(wanted(7, 8))
    assert viewer.subscriptions.accepted().keys() == {feed(7), feed(8)}


def _check(section: Section | Rejected, used: dict[int, str]) -> str:
    """Its msid, empty for none; each SSRC has only ever been that one's."""
    if isinstance(section, Rejected) or section.stream is None:
        return ""
    for ssrc in (section.stream.ssrc, section.stream.rtx_ssrc or 0):
        assert used.setdefault(ssrc, section.stream.stream) == section.stream.stream
    return section.stream.stream
