"""Answers to what clients offer: which codecs, extensions and streams an m-line gets. Pure.

Nothing is transcoded: an answer accepts what can be passed on, as the client wrote it. What a viewer is
offered in turn is `sfu.sdp.offers`' part.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import lru_cache
from typing import TypeVar

import msgspec

from sfu.path.interface import Codec
from sfu.sdp import codecs, extensions
from sfu.sdp.bundle import Carried, carried
from sfu.sdp.codecs import OPUS, CodecKey
from sfu.sdp.extensions import TRANSPORT_CC
from sfu.sdp.local import LocalCodec, Rejected, Section, Stream
from sfu.sdp.payloads import RemoteCodec
from sfu.sdp.remote import Direction, RemoteDescription, RemoteMedia, Setup

MAX_SLOTS = 16
"""Audio m-lines of one client that we fill."""

_VIDEO_FEEDBACK = ("nack", "nack pli", "ccm fir", "transport-cc")
_AUDIO_FEEDBACK = ("transport-cc",)

_REVERSED: dict[Direction, Direction] = {"sendonly": "recvonly", "recvonly": "sendonly"}
"""Of an extension, as the other side sees it (RFC 8285 section 6)."""

NewSsrc = Callable[[], int]
Named = TypeVar("Named", bound=Hashable)


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """What a client sends us on one m-line, after our answer. `mid` is empty where the client names none."""

    mid: str = ""
    codecs: dict[int, CodecKey]
    rtx: dict[int, int]
    """Media payload type to that of its retransmissions."""
    extensions: dict[str, int]
    ssrc: int | None
    """None: learned from the first packet."""
    rtx_ssrc: int | None
    nack: bool = True
    """The client sends again what it is asked for."""
    reduced_size: bool = True
    """Its RTCP needs no report in front."""

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
    carried: Carried
    published: Published


class AudioAnswer(msgspec.Struct, frozen=True, kw_only=True):
    sections: list[Section | Rejected]
    carried: Carried
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
    """Take the first video m-line that sends something we forward; refuse the others. Raises ValueError.

    On hold none sends: then the first that could is answered inactive (RFC 3264 section 6.1).
    """
    found = carried(remote, _is_video, lambda media: media.sends)
    if found is None:
        raise ValueError(
            _nothing(remote, "video", "no video m-line with a codec that is forwarded")
        )
    taken = next((media for media in found.media if media.sends), found.media[0])
    found = msgspec.structs.replace(
        found, media=(taken,), group=tuple(mid for mid in found.group if mid == taken.mid)
    )
    published = _published(taken, found)
    direction: Direction = "recvonly" if taken.sends else "inactive"
    answered = _answered(taken, direction, _VIDEO_FEEDBACK, published, None)
    return VideoAnswer(
        sections=[answered if media is taken else _refused(media) for media in remote.media],
        carried=found,
        published=published,
    )


def answer_audio(
    remote: RemoteDescription, slots: Mapping[str, int], cname: str, new_ssrc: NewSsrc
) -> AudioAnswer:
    """Answer the microphone and the slots, one for each audio m-line that receives.

    `slots` is the SSRC that each mid had after the last answer. Raises ValueError when there is nothing to do.
    """
    found = carried(remote, _is_audio, lambda media: media.direction != "inactive")
    if found is None:
        raise ValueError(_nothing(remote, "audio", "no audio m-line with Opus"))
    places = {media.place for media in found.media}
    sections: list[Section | Rejected] = []
    published: Published | None = None
    accepted: list[Accepted] = []
    for media in remote.media:
        if media.place not in places:
            sections.append(_refused(media))
            continue
        takes = media.sends and published is None
        gives = media.receives and len(accepted) < MAX_SLOTS
        offered = _published(media, found)
        if takes:
            published = offered
        stream = None
        if gives:
            ssrc = slots.get(media.mid) or new_ssrc()
            stream = _slot_stream(media.place - 1, ssrc, cname)
            accepted.append(_slot(media, ssrc))
        direction = _direction(takes, gives)
        sections.append(_answered(media, direction, _AUDIO_FEEDBACK, offered, stream))
    return AudioAnswer(sections=sections, carried=found, published=published, slots=accepted)


def _is_video(media: RemoteMedia) -> bool:
    return media.kind == "video" and bool(media.codecs)


def _is_audio(media: RemoteMedia) -> bool:
    return media.kind == "audio" and bool(media.codecs)


def _nothing(remote: RemoteDescription, kind: str, otherwise: str) -> str:
    """Why no m-line of this kind can be used."""
    for media in remote.media:
        if media.kind == kind and media.fault and not media.rejected:
            return f"{otherwise} can be used: m-line {media.place}: {media.fault}"
    return otherwise


def _direction(receive: bool, send: bool) -> Direction:
    if receive and send:
        return "sendrecv"
    if receive:
        return "recvonly"
    return "sendonly" if send else "inactive"


def _published(media: RemoteMedia, found: Carried) -> Published:
    # An SSRC that is not told can't be tied to its retransmissions, so those are not agreed to.
    with_rtx = media.rtx_ssrc is not None
    return Published(
        mid=media.mid,
        codecs={codec.payload_type: codec.key for codec in media.codecs},
        rtx={c.payload_type: c.rtx for c in media.codecs if with_rtx and c.rtx is not None},
        extensions=_answered_extensions(media, media.sent_extensions()),
        ssrc=media.ssrc,
        rtx_ssrc=media.rtx_ssrc,
        nack=_agrees(media, "nack"),
        reduced_size=found.reduced_size,
    )


def _agrees(media: RemoteMedia, feedback: str) -> bool:
    """What was not offered must not be sent (RFC 4585 section 4.2)."""
    return any(feedback in codec.feedback for codec in media.codecs)


def _answered_extensions(media: RemoteMedia, offered: dict[str, int]) -> dict[str, int]:
    answered = extensions.ANSWERED[media.kind]
    if not _agrees(media, "transport-cc"):
        answered -= {TRANSPORT_CC}
    return {uri: number for uri, number in offered.items() if uri in answered}


def _slot(media: RemoteMedia, ssrc: int) -> Accepted:
    return Accepted(
        mid=media.mid,
        ssrc=ssrc,
        rtx_ssrc=None,
        payload_types=shared(first_of_each(media.codecs)),
        rtx=shared({}),
        extensions=shared(
            {
                uri: number
                for uri, number in media.received_extensions().items()
                if uri in extensions.AUDIO_FORWARDED
            }
        ),
    )


def _slot_stream(index: int, ssrc: int, cname: str) -> Stream:
    # A stream of its own for each slot: tracks of one stream are played in step, and these change speakers.
    return Stream(
        stream=f"audio-{index}", track=f"slot-{index}", ssrc=ssrc, rtx_ssrc=None, cname=cname
    )


def _answered(
    media: RemoteMedia,
    direction: Direction,
    feedback: tuple[str, ...],
    published: Published,
    stream: Stream | None,
) -> Section:
    written: list[LocalCodec] = []
    for codec in media.codecs:
        written.append(
            LocalCodec(
                payload_type=codec.payload_type,
                rtpmap=rtpmap(codec.key),
                fmtp=codec.fmtp,
                feedback=tuple(item for item in codec.feedback if item in feedback),
            )
        )
        if codec.payload_type in published.rtx:
            written.append(rtx(published.rtx[codec.payload_type], codec.payload_type))
    return Section(
        kind=media.kind,
        mid=media.mid,
        direction=direction,
        codecs=tuple(written),
        protocol=media.protocol,
        extensions=_answered_extensions(media, media.extensions),
        extension_directions={
            uri: _REVERSED[direction] for uri, direction in media.extension_directions.items()
        },
        mixed_extensions=media.mixed_extensions,
        reduced_size=media.reduced_size,
        stream=stream,
    )


def _refused(media: RemoteMedia) -> Rejected:
    return Rejected(kind=media.kind, protocol=media.protocol, formats=media.formats, mid=media.mid)


def rtpmap(key: CodecKey) -> str:
    channels = "/2" if key == OPUS else ""
    return f"{key.name}/{codecs.clock_rate(key)}{channels}"


def rtx(payload_type: int, apt: int) -> LocalCodec:
    return LocalCodec(payload_type=payload_type, rtpmap="rtx/90000", fmtp=f"apt={apt}")


def first_of_each(listed: Iterable[RemoteCodec]) -> dict[CodecKey, int]:
    found: dict[CodecKey, int] = {}
    for codec in listed:
        found.setdefault(codec.key, codec.payload_type)
    return found


def shared(numbers: dict[Named, int]) -> dict[Named, int]:
    """An equal one, the same for everybody who asks: thousands of viewers are alike. Not to be changed."""
    return _shared(tuple(numbers.items()))


@lru_cache(maxsize=1024)
def _shared(items: tuple[tuple[Named, int], ...]) -> dict[Named, int]:
    return dict(items)
