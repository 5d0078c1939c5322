"""A participant's camera or screen, from its offer to the viewers' legs that it feeds."""

from __future__ import annotations

from typing import Protocol

from schemas.sfu import Feed, Loss
from sfu.path.interface import Kind, TrackSpec, UnknownStream
from sfu.path.streams import Streams, Track
from sfu.path.succession import part_of
from sfu.sdp.answers import Published, answer_video
from sfu.sdp.codecs import VIDEO_OFFER
from sfu.sdp.extensions import AUDIO_LEVEL, MID, TRANSPORT_CC
from sfu.sdp.offers import Wanted
from sfu.sdp.remote import RemoteDescription
from sfu.session.connection import Answering, Media
from sfu.transport.peer import Peer


class PublicationListener(Protocol):
    def publication_live(self, publication: Publication) -> None:
        """Connected, and the first packet of its track arrived; again for each track that takes over."""
        ...

    def publication_lost(self, publication: Publication, reason: Loss) -> None: ...


class Publication:
    """One published video. `live` from its first packet until it is closed or lost."""

    def __init__(self, media: Media, feed: Feed, listener: PublicationListener) -> None:
        self.feed = feed
        self.live = False
        self.offered_us = 0
        """When its client last offered it."""
        self.track: Track | None = None
        self.published: Published | None = None
        self._wanted: Wanted | None = None
        self._media = media
        self._listener = listener
        self._answering = Answering(media)

    def offer(self, remote: RemoteDescription) -> str:
        """Answer the client's first or renewed offer. Raises ValueError, changing nothing."""
        answer = answer_video(remote)
        text = self._answering.answer(
            self, answer.carried, answer.sections, mixed=remote.mixed_extensions
        )
        if answer.published != self.published:
            self.published = answer.published
            self._wanted = None
            self._drop_track()
        self._add_track()
        return text

    def wanted(self) -> Wanted:
        """What a viewer can be offered of it; the same for all of them."""
        assert self.published is not None
        if self._wanted is None:
            self._wanted = Wanted(
                feed=self.feed,
                codecs=frozenset(self.published.codecs.values()).intersection(VIDEO_OFFER),
                extensions=frozenset(self.published.extensions),
            )
        return self._wanted

    def close(self) -> None:
        self.live = False
        self._drop_track()
        self._answering.close()

    # PeerOwner

    def peer_connected(self, peer: Peer) -> None:
        self._drop_track()
        self._add_track()

    def peer_lost(self, peer: Peer, reason: Loss) -> None:
        self.close()
        self._listener.publication_lost(self, reason)

    def unknown_stream(self, peer: Peer, stream: UnknownStream) -> None:
        """Its SSRC, when the offer didn't tell: of a rid-only simulcast the one encoding that is sent."""
        if learn(self._media.streams, self.published, self.track, stream):
            self._add_track(stream.ssrc)

    # TrackListener

    def track_started(self) -> None:
        self.live = True
        self._listener.publication_live(self)

    # inside

    def _add_track(self, learned: int | None = None) -> None:
        if self.track is not None or self._answering.transport is None or self.published is None:
            return
        ssrc = self.published.ssrc or learned
        if ssrc is None:
            return
        spec = track_spec(self._answering.transport, "video", self.published, ssrc)
        self.track = self._media.streams.add_track(
            spec, self, nack=self.published.nack, reduced_size=self.published.reduced_size
        )

    def _drop_track(self) -> None:
        if self.track is not None:
            self._media.streams.remove_track(self.track)
            self.track = None


def learn(
    streams: Streams, published: Published | None, track: Track | None, stream: UnknownStream
) -> bool:
    """Whether this is the SSRC of a published m-line whose offer named none; one that has changed is followed."""
    if published is None:
        return False
    part = part_of(stream, published.mid, published.codecs, published.rtx.values())
    if part is None or track is None:
        return part == "media" and published.ssrc is None
    if part == "media":
        streams.propose(track, stream.ssrc)
    else:
        streams.set_rtx(track, stream.ssrc)
    return False


def track_spec(transport: int, kind: Kind, published: Published, ssrc: int) -> TrackSpec:
    """A published m-line as the packet path takes it."""
    return TrackSpec(
        transport=transport,
        kind=kind,
        ssrc=ssrc,
        codecs=published.track_codecs(),
        rtx_ssrc=published.rtx_ssrc,
        audio_level_id=published.extensions.get(AUDIO_LEVEL, 0),
        transport_cc_id=published.extensions.get(TRANSPORT_CC, 0),
        mid_id=published.extensions.get(MID, 0),
    )
