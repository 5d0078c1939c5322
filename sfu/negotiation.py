"""Offers and answers decided: which codecs, extensions, streams and m-lines a connection gets. Pure.

Two kinds of connection. A client's own offer (audio, camera, screen) is answered at once: `answer_video`,
`answer_audio`. What a viewer receives is offered by us, with one offer outstanding at a time: `Subscriptions`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal
from uuid import UUID

import msgspec

from schemas.sfu import Feed, OfferedStream
from sfu.path import Codec
from sfu.sdp import codecs, extensions
from sfu.sdp.codecs import OPUS, CodecKey
from sfu.sdp.local import LocalCodec, Rejected, Section, Stream
from sfu.sdp.remote import RemoteCodec, RemoteDescription, RemoteMedia, Setup

MAX_SLOTS = 16
"""Audio m-lines of one client that we fill."""

MAX_LINES = 200
"""Video m-lines of one viewer; browsers get slow long before."""

_VIDEO_FEEDBACK = ("nack", "nack pli", "ccm fir", "transport-cc")
_AUDIO_FEEDBACK = ("transport-cc",)
_VIEWER_FEEDBACK = ("nack", "nack pli", "ccm fir")

NewSsrc = Callable[[], int]


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """What a client sends us on one m-line, after our answer."""

    codecs: dict[int, CodecKey]
    rtx: dict[int, int]
    """Media payload type to that of its retransmissions."""
    extensions: dict[str, int]
    ssrc: int | None
    """None: learned from the first packet."""
    rtx_ssrc: int | None

    def track_codecs(self) -> dict[int, Codec]:
        return {
            payload_type: Codec(
                name=key.name,
                clock_rate=codecs.clock_rate(key),
                rtx=self.rtx.get(payload_type),
            )
            for payload_type, key in self.codecs.items()
        }


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """What a client is ready to receive on one m-line."""

    mid: str
    ssrc: int
    rtx_ssrc: int | None
    payload_types: dict[CodecKey, int]
    rtx: dict[int, int]
    extensions: dict[str, int]


class VideoAnswer(msgspec.Struct, frozen=True, kw_only=True):
    sections: list[Section | Rejected]
    published: Published


class AudioAnswer(msgspec.Struct, frozen=True, kw_only=True):
    sections: list[Section | Rejected]
    published: Published | None
    """None: the client only listens."""
    slots: list[Accepted]


def our_setup(remote: Setup) -> Setup:
    """Passive wherever the client leaves the choice: browsers then agree on AES-GCM, not on the slow AES-CM."""
    return "active" if remote == "passive" else "passive"


def payload_type_map(published: Published, accepted: Accepted) -> dict[int, int]:
    """Publisher's payload types as the viewer knows them; what the viewer can't decode has none."""
    return {
        payload_type: accepted.payload_types[key]
        for payload_type, key in published.codecs.items()
        if key in accepted.payload_types
    }


def extension_map(published: Published, accepted: Accepted) -> dict[int, int]:
    """Publisher's extension ids as the viewer knows them."""
    return {
        number: accepted.extensions[uri]
        for uri, number in published.extensions.items()
        if uri in accepted.extensions
    }


# --- answers to a client's offer ------------------------------------------------------------


def answer_video(remote: RemoteDescription) -> VideoAnswer:
    """Take the first video m-line that sends something we forward; refuse the others. Raises ValueError."""
    sections: list[Section | Rejected] = []
    published: Published | None = None
    for media in remote.media:
        if published is None and media.kind == "video" and media.sends and media.codecs:
            published = _published(media)
            sections.append(_answered(media, "recvonly", _VIDEO_FEEDBACK, published, None))
        else:
            sections.append(_refused(media))
    if published is None:
        raise ValueError("no video m-line that sends a codec we forward")
    return VideoAnswer(sections=sections, published=published)


def answer_audio(
    remote: RemoteDescription, slots: Mapping[str, int], cname: str, new_ssrc: NewSsrc
) -> AudioAnswer:
    """Answer the microphone and the slots, one for each audio m-line that receives.

    `slots` is the SSRC that each mid had after the last answer. Raises ValueError when there is nothing to do.
    """
    sections: list[Section | Rejected] = []
    published: Published | None = None
    accepted: list[Accepted] = []
    for index, media in enumerate(remote.media):
        if not _usable_audio(remote, media):
            sections.append(_refused(media))
            continue
        takes = media.sends and published is None
        gives = media.receives and len(accepted) < MAX_SLOTS
        offered = _published(media)
        if takes:
            published = offered
        stream = None
        if gives:
            ssrc = slots.get(media.mid) or new_ssrc()
            stream = _slot_stream(index, ssrc, cname)
            accepted.append(_slot(media, ssrc))
        sections.append(
            _answered(media, _direction(takes, gives), _AUDIO_FEEDBACK, offered, stream)
        )
    if published is None and not accepted:
        raise ValueError("no audio m-line with Opus")
    return AudioAnswer(sections=sections, published=published, slots=accepted)


def _usable_audio(remote: RemoteDescription, media: RemoteMedia) -> bool:
    if media.kind != "audio" or media.rejected or not media.codecs:
        return False
    # Without BUNDLE a second m-line would want a transport of its own.
    return media is remote.media[0] or media.mid in remote.bundle


def _direction(
    receive: bool, send: bool
) -> Literal["sendrecv", "sendonly", "recvonly", "inactive"]:
    if receive and send:
        return "sendrecv"
    if receive:
        return "recvonly"
    return "sendonly" if send else "inactive"


def _published(media: RemoteMedia) -> Published:
    answered = extensions.ANSWERED[media.kind]
    # An SSRC that is not told can't be tied to its retransmissions, so those are not agreed to.
    with_rtx = media.rtx_ssrc is not None
    return Published(
        codecs={codec.payload_type: codec.key for codec in media.codecs},
        rtx={c.payload_type: c.rtx for c in media.codecs if with_rtx and c.rtx is not None},
        extensions={uri: n for uri, n in media.extensions.items() if uri in answered},
        ssrc=media.ssrc,
        rtx_ssrc=media.rtx_ssrc,
    )


def _slot(media: RemoteMedia, ssrc: int) -> Accepted:
    return Accepted(
        mid=media.mid,
        ssrc=ssrc,
        rtx_ssrc=None,
        payload_types=_first_of_each(media.codecs),
        rtx={},
        extensions={
            uri: number
            for uri, number in media.extensions.items()
            if uri in extensions.AUDIO_FORWARDED
        },
    )


def _slot_stream(index: int, ssrc: int, cname: str) -> Stream:
    # A stream of its own for each slot: tracks of one stream are played in step, and these change speakers.
    return Stream(
        stream=f"audio-{index}", track=f"slot-{index}", ssrc=ssrc, rtx_ssrc=None, cname=cname
    )


def _answered(
    media: RemoteMedia,
    direction: Literal["sendrecv", "sendonly", "recvonly", "inactive"],
    feedback: tuple[str, ...],
    published: Published,
    stream: Stream | None,
) -> Section:
    written: list[LocalCodec] = []
    for codec in media.codecs:
        written.append(
            LocalCodec(
                payload_type=codec.payload_type,
                rtpmap=_rtpmap(codec.key),
                fmtp=codec.fmtp,
                feedback=tuple(item for item in codec.feedback if item in feedback),
            )
        )
        if codec.payload_type in published.rtx:
            written.append(_rtx(published.rtx[codec.payload_type], codec.payload_type))
    return Section(
        kind=media.kind,
        mid=media.mid,
        direction=direction,
        codecs=tuple(written),
        extensions=published.extensions,
        stream=stream,
    )


def _refused(media: RemoteMedia) -> Rejected:
    return Rejected(kind=media.kind, protocol=media.protocol, formats=media.formats, mid=media.mid)


def _rtpmap(key: CodecKey) -> str:
    channels = "/2" if key == OPUS else ""
    return f"{key.name}/{codecs.clock_rate(key)}{channels}"


def _rtx(payload_type: int, apt: int) -> LocalCodec:
    return LocalCodec(payload_type=payload_type, rtpmap="rtx/90000", fmtp=f"apt={apt}")


def _first_of_each(listed: Iterable[RemoteCodec]) -> dict[CodecKey, int]:
    found: dict[CodecKey, int] = {}
    for codec in listed:
        found.setdefault(codec.key, codec.payload_type)
    return found


# --- our offers to a viewer -----------------------------------------------------------------


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

    def answer(self, remote: RemoteDescription) -> None:
        """Take the client's answer to the outstanding offer. Raises ValueError, changing nothing."""
        if not self.outstanding:
            raise ValueError("no offer is outstanding")
        if len(remote.media) != len(self._lines):
            raise ValueError(f"{len(remote.media)} m-lines answer {len(self._lines)}")
        for line, media in zip(self._lines, remote.media, strict=True):
            if media.kind != "video" or (media.mid and media.mid != line.mid):
                raise ValueError(f"the m-line of mid {line.mid} is answered by another")
        for line, media in zip(self._lines, remote.media, strict=True):
            _take_answer(line, media)
        self.outstanding = False

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
            return Rejected(
                kind="video", protocol="UDP/TLS/RTP/SAVPF", formats=formats, mid=line.mid
            )
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


def _offered_codecs(keys: frozenset[CodecKey]) -> tuple[LocalCodec, ...]:
    written: list[LocalCodec] = []
    for key, offered in codecs.VIDEO_OFFER.items():
        if key not in keys:
            continue
        written.append(
            LocalCodec(
                payload_type=offered.payload_type,
                rtpmap=_rtpmap(key),
                fmtp=offered.fmtp,
                feedback=_VIEWER_FEEDBACK,
            )
        )
        written.append(_rtx(offered.rtx, offered.payload_type))
    return tuple(written)


def _take_answer(line: Line, media: RemoteMedia) -> None:
    line.accepted = None
    line.rejected = media.rejected
    if line.state == "closing":
        line.state = "free"
    if line.state not in ("offered", "active"):
        return
    if not media.receives or not media.codecs:
        line.state = "declined"
        return
    line.state = "active"
    line.accepted = Accepted(
        mid=line.mid,
        ssrc=line.ssrc,
        rtx_ssrc=line.rtx_ssrc if any(codec.rtx is not None for codec in media.codecs) else None,
        payload_types=_first_of_each(media.codecs),
        rtx={c.payload_type: c.rtx for c in media.codecs if c.rtx is not None},
        extensions={
            uri: number for uri, number in media.extensions.items() if uri in extensions.VIDEO_OFFER
        },
    )
