"""A viewer's inbound connection: what it subscribed to, as m-lines that we offer and legs that we feed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol
from uuid import UUID

from schemas.sfu import Feed, Loss, OfferedStream
from sfu.path.interface import LegSpec, Source, UnknownStream
from sfu.path.streams import Leg
from sfu.sdp.answers import Accepted, extension_map, our_setup, payload_type_map
from sfu.sdp.local import bundle_of
from sfu.sdp.offers import Subscriptions, Wanted
from sfu.sdp.remote import RemoteDescription, RemoteTransport
from sfu.session.connection import Media, Writer, new_ssrc
from sfu.session.publication import Publication
from sfu.transport.peer import Peer

ANSWER_TIMEOUT_US = 10_000_000
OFFER_ATTEMPTS = 3
"""An offer is sent so many times before the connection is given up."""


class InboundListener(Protocol):
    def inbound_offered(self, inbound: Inbound, sdp: str, streams: list[OfferedStream]) -> None: ...

    def feed_paused(self, inbound: Inbound, feed: Feed, *, paused: bool) -> None:
        """The viewer's link does not carry the feed; or it is tried again."""
        ...

    def inbound_lost(self, inbound: Inbound, reason: Loss) -> None: ...

    def feeds(self) -> Mapping[Feed, Publication]:
        """The live publications of the meeting."""
        ...


class Inbound:
    """One offer is outstanding at a time; what changes meanwhile goes into the next."""

    def __init__(self, media: Media, user: UUID, listener: InboundListener) -> None:
        self.user = user
        self.wanted: dict[Feed, None] = {}
        """Subscriptions, live or not, in order of subscribing."""
        self._media = media
        self._listener = listener
        self._peer: Peer | None = None
        self._subscriptions = Subscriptions(media.cname, new_ssrc)
        self._writer = Writer()
        self._offer: tuple[str, list[OfferedStream]] | None = None
        self._offered_us = 0
        self._attempts = 0
        self._abandoned = False
        self._legs: dict[int, Leg] = {}
        self._paused: dict[int, Feed] = {}
        """By the leg's SSRC, what the client has been told is paused."""

    def subscribe(self, added: list[Feed], removed: list[Feed]) -> None:
        """Change the subscriptions. One that repeats what is there asks for a fresh offer.

        That is how a client gets its inbound connection back: with the offer come new ICE credentials, and
        an answer with another certificate starts a new transport.
        """
        repeats = bool(added) and not removed and all(feed in self.wanted for feed in added)
        for feed in removed:
            self.wanted.pop(feed, None)
        for feed in added:
            self.wanted.setdefault(feed, None)
        self._abandoned = False
        if not repeats or self._peer is None:
            self.update()
        elif self._offer is not None:
            self._listener.inbound_offered(self, *self._offer)
        else:
            self._peer.renew_credentials(self._media.now_us(), by_us=True)
            self._send_offer()

    def update(self) -> None:
        """Follow the meeting's live feeds: pause, feed, and offer what has changed."""
        self._feed_legs()
        if self._subscriptions.outstanding or self._abandoned:
            return
        if self._subscriptions.plan(self._wanted_now()):
            self._send_offer()
        self._match_legs()

    def answer(self, remote: RemoteDescription) -> None:
        """Take the client's answer. Raises ValueError, changing nothing."""
        if self._peer is None:
            raise ValueError("no offer is outstanding")
        carried = self._subscriptions.answer(remote)
        self._offer = None
        if carried is not None:
            self._adopt(carried.transport)
        self._match_legs()
        self.update()

    def tick(self, now_us: int) -> None:
        """Repeat an offer that has no answer; give up after a few."""
        if self._offer is None or now_us - self._offered_us < ANSWER_TIMEOUT_US:
            return
        if self._attempts >= OFFER_ATTEMPTS:
            self._abandon(Loss.UNANSWERED)
            return
        self._attempts += 1
        self._offered_us = now_us
        self._listener.inbound_offered(self, *self._offer)

    @property
    def connected(self) -> bool:
        return self._peer is not None and self._peer.state == "connected"

    def close(self) -> None:
        self._drop_legs()
        if self._peer is not None:
            self._peer.close()
            self._peer = None
        self._offer = None
        self._subscriptions = Subscriptions(self._media.cname, new_ssrc)
        self._writer = Writer()

    # PeerOwner

    def peer_connected(self, peer: Peer) -> None:
        self._drop_legs()
        self._match_legs()

    def peer_lost(self, peer: Peer, reason: Loss) -> None:
        if reason is Loss.CLOSED and self._offer is not None:
            # It closed the old connection and is about to answer with a new one.
            self._replace_peer(peer)
            return
        self._abandon(reason)

    def unknown_stream(self, peer: Peer, stream: UnknownStream) -> None:
        """A viewer sends no media here."""

    # LegListener

    def leg_paused(self, leg: Leg, *, paused: bool) -> None:
        carried = {item.ssrc: feed for feed, item in self._subscriptions.accepted().items()}
        if paused and leg.ssrc in carried:
            self._paused[leg.ssrc] = carried[leg.ssrc]
            self._listener.feed_paused(self, carried[leg.ssrc], paused=True)
        elif not paused:
            self._tell_unpaused(leg)

    # offers

    def _abandon(self, reason: Loss) -> None:
        """Keep the subscriptions, and wait for the client to ask before offering a new connection."""
        self._abandoned = True
        self.close()
        self._listener.inbound_lost(self, reason)

    def _wanted_now(self) -> dict[Feed, Wanted]:
        live = self._listener.feeds()
        found = {feed: live[feed].wanted() for feed in self.wanted if feed in live}
        return {feed: wanted for feed, wanted in found.items() if wanted.codecs}

    def _send_offer(self) -> None:
        if self._peer is None:
            self._peer = self._media.endpoint.open_peer(self, self._media.now_us())
        local = self._media.endpoint.local(self._peer, "actpass")
        sections = self._subscriptions.sections()
        text = self._writer.write(local, sections, bundle=bundle_of(sections), mixed=True)
        self._subscriptions.outstanding = True
        self._offer = text, self._subscriptions.streams()
        self._offered_us = self._media.now_us()
        self._attempts = 1
        self._listener.inbound_offered(self, *self._offer)

    def _adopt(self, remote: RemoteTransport) -> None:
        """The answer's transport: the first one, the same one, or that of a client that began anew."""
        peer = self._peer
        assert peer is not None
        if peer.fingerprints and peer.fingerprints != remote.fingerprints:
            peer = self._replace_peer(peer)
        peer.set_remote(remote.ufrag, remote.password)
        # Our offers say actpass; our_setup gives the side that the client's choice leaves us.
        active = our_setup(remote.setup) == "active"
        now_us = self._media.now_us()
        peer.expect(remote.fingerprints, active=active, tls_id=remote.tls_id, now_us=now_us)

    def _replace_peer(self, former: Peer) -> Peer:
        self._drop_legs()
        former.close()
        peer = self._media.endpoint.open_peer(self, self._media.now_us())
        peer.adopt_credentials(former)
        self._peer = peer
        return peer

    # legs

    def _match_legs(self) -> None:
        """One leg for each accepted m-line; none for others."""
        if self._peer is None or self._peer.transport is None or not self.connected:
            return
        accepted = {item.ssrc: item for item in self._subscriptions.accepted().values()}
        for ssrc in self._legs.keys() - accepted.keys():
            self._remove_leg(self._legs.pop(ssrc))
        for ssrc, item in accepted.items():
            if ssrc not in self._legs:
                spec = _leg_spec(self._peer.transport, item)
                self._legs[ssrc] = self._media.streams.add_leg(spec, self)
        self._feed_legs()

    def _feed_legs(self) -> None:
        live = self._listener.feeds()
        for feed, item in self._subscriptions.accepted().items():
            leg = self._legs.get(item.ssrc)
            if leg is None:
                continue
            publication = live.get(feed) if feed in self.wanted else None
            source = _source(publication, item) if publication else None
            self._media.streams.set_source(leg, source, self._media.now_us())

    def _drop_legs(self) -> None:
        for leg in self._legs.values():
            self._remove_leg(leg)
        self._legs.clear()

    def _remove_leg(self, leg: Leg) -> None:
        self._media.streams.remove_leg(leg)
        self._tell_unpaused(leg)

    def _tell_unpaused(self, leg: Leg) -> None:
        feed = self._paused.pop(leg.ssrc, None)
        if feed is not None:
            self._listener.feed_paused(self, feed, paused=False)


def _leg_spec(transport: int, item: Accepted) -> LegSpec:
    return LegSpec(
        transport=transport,
        kind="video",
        ssrc=item.ssrc,
        rtx_ssrc=item.rtx_ssrc,
        rtx=item.rtx,
    )


def _source(publication: Publication, item: Accepted) -> Source | None:
    if publication.track is None or publication.published is None:
        return None
    payload_types = payload_type_map(publication.published, item)
    if not payload_types:
        return None
    return Source(
        track=publication.track.number,
        payload_types=payload_types,
        extensions=extension_map(publication.published, item),
    )
