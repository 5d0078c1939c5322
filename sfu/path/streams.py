"""Tracks and legs of the worker by the names that others have for them: RTCP by SSRC, sessions by listener.

Everything that adds or removes a track or a leg in the packet path goes through here, so that the path and
these tables can't disagree.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

import msgspec

from sfu.guard import Guard
from sfu.path.interface import Kind, LegSpec, PacketPath, Source, TrackSpec
from sfu.path.succession import Succession


class TrackListener(Protocol):
    def track_started(self) -> None:
        """Its first packet arrived."""
        ...


class LegListener(Protocol):
    def leg_paused(self, leg: Leg, *, paused: bool) -> None:
        """Its viewer's link does not carry it; or it is tried again."""
        ...


class Track(msgspec.Struct, kw_only=True, eq=False):
    """A published stream. `repair`: the publisher answers NACKs; `feedback`: it stamps transport-wide numbers;
    `reduced_size`: it takes RTCP without a report in front (RFC 5506).
    """

    number: int
    """The packet path's, another one once it is sent under another SSRC."""
    spec: TrackSpec
    transport: int
    kind: Kind
    ssrc: int
    clock_rate: int
    repair: bool
    feedback: bool
    reduced_size: bool
    listener: TrackListener
    started: bool = False
    muted: bool = False
    succession: Succession = msgspec.field(default_factory=Succession)


class Leg(msgspec.Struct, kw_only=True, eq=False):
    """A viewer's stream and the track that feeds it, or would if it were not `paused`."""

    number: int
    transport: int
    kind: Kind
    ssrc: int
    listener: LegListener | None = None
    source: Source | None = None
    paused: bool = False


class Members(msgspec.Struct, eq=False):
    """What belongs to one transport. They are few, so they are looked through: thousands of tables are not small."""

    tracks: list[Track] = msgspec.field(default_factory=list)
    legs: list[Leg] = msgspec.field(default_factory=list)


class Streams:
    """Tables over the packet path's numbers."""

    def __init__(self, path: PacketPath) -> None:
        self.guard = Guard()
        self._path = path
        self._tracks: dict[int, Track] = {}
        self._legs: dict[int, Leg] = {}
        self._members: dict[int, Members] = {}
        self._newcomers: list[int] = []
        self._proposed: dict[Track, None] = {}
        """Tracks of which another SSRC has been seen."""
        self._stamped: dict[int, Track] = {}
        self._fed: dict[int, dict[int, Leg]] = {}
        """By track: a listener that leaves must not cost a look at every leg there is."""

    def add_track(
        self,
        spec: TrackSpec,
        listener: TrackListener,
        *,
        nack: bool = True,
        reduced_size: bool = True,
    ) -> Track:
        """`nack` and `reduced_size`: what was agreed to with the publisher."""
        codec = next(iter(spec.codecs.values()))
        number = self._path.add_track(spec)
        track = Track(
            number=number,
            spec=spec,
            transport=spec.transport,
            kind=spec.kind,
            ssrc=spec.ssrc,
            clock_rate=codec.clock_rate,
            repair=nack and spec.kind == "video",
            feedback=spec.transport_cc_id != 0,
            reduced_size=reduced_size,
            listener=listener,
        )
        self._tracks[number] = track
        self._members_of(track.transport).tracks.append(track)
        return track

    def started(self, track: Track) -> None:
        """Its first packet arrived. Thousands of listeners have a microphone that never sends one."""
        track.started = True
        if track.feedback and track.number in self._tracks:
            self._stamped[track.transport] = track

    def mute(self, track: Track, muted: bool) -> None:
        track.muted = muted
        if track.number in self._tracks:
            self._path.mute_track(track.number, muted)

    def propose(self, track: Track, ssrc: int) -> None:
        """Packets of the track's m-line come under another SSRC; `follow` decides."""
        if track.number in self._tracks:
            track.succession.propose(ssrc)
            self._proposed[track] = None

    def set_rtx(self, track: Track, ssrc: int) -> None:
        """The track's retransmissions come under another SSRC."""
        if track.number in self._tracks:
            self._path.set_rtx(track.number, ssrc)
            track.spec = msgspec.structs.replace(track.spec, rtx_ssrc=ssrc)

    def follow(self, now_us: int) -> None:
        """Go on with the SSRCs of those that have changed theirs. To be called often."""
        for track in list(self._proposed):
            with self.guard.over("succession", transport=track.transport):
                packets = self._path.receive_stats(track.number).packets
                heir = track.succession.decide(packets, now_us)
                if not track.succession.open:
                    del self._proposed[track]
                if heir is not None:
                    self._succeed(track, heir, now_us)

    def _succeed(self, track: Track, ssrc: int, now_us: int) -> None:
        """To the path another SSRC is another track: viewers go over as they do at a change of source."""
        fed = self._fed.pop(track.number, {})
        del self._tracks[track.number]
        self._path.remove_track(track.number)
        rtx_ssrc = track.spec.rtx_ssrc if track.spec.rtx_ssrc != ssrc else None
        track.spec = msgspec.structs.replace(track.spec, ssrc=ssrc, rtx_ssrc=rtx_ssrc)
        track.number, track.ssrc = self._path.add_track(track.spec), ssrc
        self._tracks[track.number] = track
        self._path.mute_track(track.number, track.muted)
        for leg in fed.values():
            source, leg.source = leg.source, None
            if source is None:
                continue
            with self.guard.over("succession", leg=leg.number):
                self.set_source(leg, msgspec.structs.replace(source, track=track.number), now_us)

    def remove_track(self, track: Track) -> None:
        """Its legs stay, without a source. Nothing happens when its transport was closed before."""
        if self._tracks.pop(track.number, None) is None:
            return
        self._proposed.pop(track, None)
        self._path.remove_track(track.number)
        others = self._members[track.transport].tracks
        others.remove(track)
        self._unfeed(track.number)
        if self._stamped.get(track.transport) is track:
            self._restamp(track.transport, others)

    def add_leg(self, spec: LegSpec, listener: LegListener | None = None) -> Leg:
        number = self._path.add_leg(spec)
        leg = Leg(
            number=number,
            transport=spec.transport,
            kind=spec.kind,
            ssrc=spec.ssrc,
            listener=listener,
        )
        self._legs[number] = leg
        self._members_of(leg.transport).legs.append(leg)
        return leg

    def set_source(self, leg: Leg, source: Source | None, now_us: int) -> None:
        if leg.number not in self._legs or leg.source == source:
            return
        self._unhook(leg)
        if source is not None:
            source = self._hook(leg, source)
        leg.source = source
        if not leg.paused:
            self._path.set_source(leg.number, source, now_us)

    def pause(self, leg: Leg, *, paused: bool, now_us: int) -> None:
        """Send the viewer nothing of its source, or begin again with it; its listener is told."""
        if leg.number not in self._legs or leg.paused == paused:
            return
        leg.paused = paused
        self._path.set_source(leg.number, None if paused else leg.source, now_us)
        if leg.listener is not None:
            leg.listener.leg_paused(leg, paused=paused)

    def remove_leg(self, leg: Leg) -> None:
        """Nothing happens when its transport was closed before."""
        if self._legs.pop(leg.number, None) is None:
            return
        self._unhook(leg)
        self._path.remove_leg(leg.number)
        self._members[leg.transport].legs.remove(leg)

    def transport_closed(self, transport: int) -> None:
        """The path has dropped the transport with its tracks and legs."""
        members = self._members.pop(transport, None) or Members()
        self._stamped.pop(transport, None)
        for track in members.tracks:
            del self._tracks[track.number]
            self._proposed.pop(track, None)
            self._unfeed(track.number)
        for leg in members.legs:
            self._unhook(leg)
            del self._legs[leg.number]

    def track(self, number: int) -> Track | None:
        return self._tracks.get(number)

    def leg(self, number: int) -> Leg | None:
        return self._legs.get(number)

    def track_by_ssrc(self, transport: int, ssrc: int) -> Track | None:
        members = self._members.get(transport)
        tracks = members.tracks if members else ()
        return next((track for track in tracks if track.ssrc == ssrc), None)

    def leg_by_ssrc(self, transport: int, ssrc: int) -> Leg | None:
        members = self._members.get(transport)
        legs = members.legs if members else ()
        return next((leg for leg in legs if leg.ssrc == ssrc), None)

    def stamped(self) -> Collection[Track]:
        """Of each transport from which packets with transport-wide numbers have come, one track."""
        return self._stamped.values()

    @property
    def leg_count(self) -> int:
        return len(self._legs)

    def newcomers(self) -> list[int]:
        """Transports that have got their first track or leg since the last call."""
        found, self._newcomers = self._newcomers, []
        return found

    def members(self, transport: int) -> Members | None:
        """None for one that is closed, or never had any."""
        return self._members.get(transport)

    def leftovers(self) -> dict[str, int]:
        return {
            "tracks": len(self._tracks),
            "legs": len(self._legs),
            "members": len(self._members),
            "fed": len(self._fed),
            "stamped": len(self._stamped),
        }

    def _members_of(self, transport: int) -> Members:
        found = self._members.get(transport)
        if found is None:
            found = self._members[transport] = Members()
            self._newcomers.append(transport)
        return found

    def _restamp(self, transport: int, others: Iterable[Track]) -> None:
        other = next((track for track in others if track.feedback and track.started), None)
        if other is None:
            del self._stamped[transport]
        else:
            self._stamped[transport] = other

    def _unfeed(self, track: int) -> None:
        for leg in self._fed.pop(track, {}).values():
            leg.source = None

    def _hook(self, leg: Leg, source: Source) -> Source:
        """The source as the leg gets it: most viewers of a track are fed alike, and share one."""
        fed = self._fed.setdefault(source.track, {})
        if fed:
            other = next(reversed(fed.values())).source
            source = other if other == source else source
        fed[leg.number] = leg
        return source

    def _unhook(self, leg: Leg) -> None:
        if leg.source is None:
            return
        fed = self._fed[leg.source.track]
        del fed[leg.number]
        if not fed:
            del self._fed[leg.source.track]
        leg.source = None
