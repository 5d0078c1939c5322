"""What a viewer is offered: the m-lines of its inbound connection. Pure.

We make these offers, with one outstanding at a time; the client answers with what it can decode.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal
from uuid import UUID

import msgspec

from schemas.descriptions import ANSWER
from schemas.sfu import Feed, OfferedStream
from sfu.sdp import codecs, extensions
from sfu.sdp.answers import Accepted, NewSsrc, first_of_each, rtpmap, rtx, shared
from sfu.sdp.bundle import Carried, carried
from sfu.sdp.codecs import CodecKey
from sfu.sdp.local import PROTOCOL, LocalCodec, Rejected, Section, Stream
from sfu.sdp.remote import RemoteDescription, RemoteMedia

MAX_LINES = ANSWER.media
"""Video m-lines of one viewer: what its answer may have, and browsers get slow before."""

_FEEDBACK = ("nack", "nack pli", "ccm fir")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A live feed that the viewer subscribed to, with what its publisher may send."""

    feed: Feed
    codecs: frozenset[CodecKey]
    extensions: frozenset[str]


LineState = Literal["free", "offered", "active", "closing", "declined"]
"""free: carries nothing and may be used. offered: its feed is in an offer that has no answer yet. active:
carries its feed. closing: its feed is gone, the client has not agreed yet. declined: the client refused it."""

_CARRIES = frozenset({"offered", "active", "declined"})


class Line(msgspec.Struct, kw_only=True):
    """One m-line of the inbound connection. Its place in the description never changes (RFC 3264 section 8)."""

    mid: str
    wanted: Wanted
    state: LineState = "free"
    ssrc: int = 0
    rtx_ssrc: int = 0
    accepted: Accepted | None = None
    rejected: bool = False
    """The client answered port 0: gone for good, its place is taken by a new m-line with another mid."""


class Subscriptions:
    """The m-lines of one viewer's inbound connection.

    `plan` brings them in line with what is wanted and tells whether that needs an offer; `sections` writes
    the offer; `answer` reads the client's. A freed m-line is first agreed to be inactive and then used
    again: a client that sees a direct change of msid fires no `track` event (W3C WebRTC section 5.1.1).
    """

    def __init__(self, cname: str, new_ssrc: NewSsrc) -> None:
        self._cname = cname
        self._new_ssrc = new_ssrc
        self._lines: list[Line] = []
        self._next_mid = 0
        self.outstanding = False

    def plan(self, wanted: Mapping[Feed, Wanted]) -> bool:
        """Adopt the wanted feeds; whether an offer has to go out. Not to be called while one is outstanding."""
        changed = False
        for line in self._lines:
            changed |= self._adopt(line, wanted.get(line.wanted.feed))
        carried = {line.wanted.feed for line in self._lines if line.state in _CARRIES}
        for feed, item in wanted.items():
            if feed not in carried:
                changed |= self._place(item)
        return changed

    def sections(self) -> list[Section | Rejected]:
        """The offer's m-lines as they stand."""
        return [self._section(line) for line in self._lines]

    def streams(self) -> list[OfferedStream]:
        """What the offer carries."""
        return [
            OfferedStream(user=line.wanted.feed.user, kind=line.wanted.feed.kind, mid=line.mid)
            for line in self._lines
            if line.state in ("offered", "active")
        ]

    def accepted(self) -> dict[Feed, Accepted]:
        """What the client receives, by feed."""
        return {
            line.wanted.feed: line.accepted
            for line in self._lines
            if line.state == "active" and line.accepted is not None
        }

    def answer(self, remote: RemoteDescription) -> Carried | None:
        """Take the client's answer to the outstanding offer: the transport it is for, None when it refuses all.

        Raises ValueError, changing nothing.
        """
        if not self.outstanding:
            raise ValueError("no offer is outstanding")
        if len(remote.media) != len(self._lines):
            raise ValueError(f"{len(remote.media)} m-lines answer {len(self._lines)}")
        for line, media in zip(self._lines, remote.media, strict=True):
            if media.kind != "video" or (media.mid and media.mid != line.mid):
                raise ValueError(f"the m-line of mid {line.mid} is answered by another")
        found = carried(remote, _any, _any)
        places = {media.place for media in found.media} if found else set()
        for line, media in zip(self._lines, remote.media, strict=True):
            _take_answer(line, media, is_carried=media.place in places)
        self.outstanding = False
        return found

    def _adopt(self, line: Line, item: Wanted | None) -> bool:
        """Keep the line for its feed, or let it go; whether the client has to be told."""
        if line.state not in _CARRIES:
            return False
        if item is None:
            told = line.state != "declined"
            line.state = "closing" if told else "free"
            line.accepted = None
            return told
        grown = not item.codecs <= line.wanted.codecs
        line.wanted = item
        if grown and line.state == "declined":
            self._begin(line)
        return grown

    def _place(self, item: Wanted) -> bool:
        """Give the feed a line; false when all are taken, until one is free."""
        line = next((line for line in self._lines if line.state == "free"), None)
        if line is None and len(self._lines) >= MAX_LINES:
            return False
        if line is None:
            line = Line(mid=self._new_mid(), wanted=item)
            self._lines.append(line)
        line.wanted = item
        self._begin(line)
        return True

    def _begin(self, line: Line) -> None:
        line.state = "offered"
        # Never an SSRC that this connection has used: SRTP's key stream would begin again with it.
        line.ssrc, line.rtx_ssrc = self._new_ssrc(), self._new_ssrc()
        if line.rejected:
            # RFC 8829 section 5.2.2: a rejected m-line comes back as a new one, under another mid.
            line.mid = self._new_mid()
            line.rejected = False

    def _new_mid(self) -> str:
        self._next_mid += 1
        return str(self._next_mid - 1)

    def _section(self, line: Line) -> Section | Rejected:
        written = _offered_codecs(line.wanted.codecs)
        if line.rejected:
            formats = tuple(str(codec.payload_type) for codec in written)
            return Rejected(kind="video", protocol=PROTOCOL, formats=formats, mid=line.mid)
        carries = line.state in ("offered", "active")
        return Section(
            kind="video",
            mid=line.mid,
            direction="sendonly" if carries else "inactive",
            codecs=written,
            extensions={
                uri: number
                for uri, number in extensions.VIDEO_OFFER.items()
                if uri in line.wanted.extensions
            },
            stream=self._stream(line) if carries else None,
        )

    def _stream(self, line: Line) -> Stream:
        feed = line.wanted.feed
        return Stream(
            stream=stream_id(feed.user, feed.kind),
            track=f"{feed.kind}-{line.ssrc}",
            ssrc=line.ssrc,
            rtx_ssrc=line.rtx_ssrc,
            cname=self._cname,
        )


def stream_id(user: UUID, kind: str) -> str:
    """The msid by which clients tell whose video a track is."""
    return f"{user}/{kind}"


@lru_cache(maxsize=256)
def _offered_codecs(keys: frozenset[CodecKey]) -> tuple[LocalCodec, ...]:
    written: list[LocalCodec] = []
    for key, offered in codecs.VIDEO_OFFER.items():
        if key not in keys:
            continue
        written.append(
            LocalCodec(
                payload_type=offered.payload_type,
                rtpmap=rtpmap(key),
                fmtp=offered.fmtp,
                feedback=_FEEDBACK,
            )
        )
        written.append(rtx(offered.rtx, offered.payload_type))
    return tuple(written)


def _any(media: RemoteMedia) -> bool:
    return True


def _take_answer(line: Line, media: RemoteMedia, *, is_carried: bool) -> None:
    line.accepted = None
    line.rejected = media.rejected
    if line.state == "closing":
        line.state = "free"
    if line.state not in ("offered", "active"):
        return
    if not is_carried or not media.receives or not media.codecs:
        line.state = "declined"
        return
    line.state = "active"
    line.accepted = Accepted(
        mid=line.mid,
        ssrc=line.ssrc,
        rtx_ssrc=line.rtx_ssrc if any(codec.rtx is not None for codec in media.codecs) else None,
        payload_types=shared(first_of_each(media.codecs)),
        rtx=shared({c.payload_type: c.rtx for c in media.codecs if c.rtx is not None}),
        extensions=shared(
            {
                uri: number
                for uri, number in media.received_extensions().items()
                # An answer gives none another id (RFC 8285 section 6).
                if extensions.VIDEO_OFFER.get(uri) == number
            }
        ),
    )
