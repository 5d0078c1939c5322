"""Publisher track -> viewers' legs. Owns both tables; knows nothing of sockets or keys.

Who feeds whom is set from outside. A leg sits in `flowing` of the track that feeds it, and in `waiting`
of the track that will feed it once a packet comes to begin with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from sfu.path.counters import Counters
from sfu.path.interface import (
    Inbound,
    Kind,
    LegSpec,
    Levels,
    ReceiveStats,
    Repaired,
    SendStats,
    Source,
    TrackSpec,
)
from sfu.path.python.leg import Era, Feed, Leg, Shapes
from sfu.path.python.track import Taken, Track, payload
from sfu.wire import rtx
from sfu.wire.header import Packet, parse


class Outlet(Protocol):
    """Where a leg's packets go."""

    def send_rtp(self, data: bytes, *, audio: bool) -> bool: ...


class _Leg(msgspec.Struct, eq=False):
    number: int
    kind: Kind
    rewrite: Leg
    outlet: Outlet
    source: _Track | None = None
    pending: tuple[_Track, Feed] | None = None
    retransmitted: int = 0
    missed: int = 0


class _Track(msgspec.Struct, eq=False):
    number: int
    spec: TrackSpec
    state: Track
    originals: Mapping[int, int]
    """Retransmission payload type -> the original's (RFC 4588 section 8.6, 'apt')."""
    flowing: list[_Leg] = msgspec.field(default_factory=list)
    waiting: list[_Leg] = msgspec.field(default_factory=list)
    started: bool = False


class Router:
    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._tracks: dict[int, _Track] = {}
        self._legs: dict[int, _Leg] = {}
        self._shapes = Shapes()
        self._last_number = 0

    def _number(self) -> int:
        self._last_number += 1
        return self._last_number

    # --- tracks -------------------------------------------------------------------------------

    def add_track(self, spec: TrackSpec) -> int:
        number = self._number()
        payloads = {
            payload_type: payload(codec.name, codec.clock_rate)
            for payload_type, codec in spec.codecs.items()
        }
        state = Track(
            audio=spec.kind == "audio", payloads=payloads, audio_level_id=spec.audio_level_id
        )
        originals = {
            codec.rtx: payload_type
            for payload_type, codec in spec.codecs.items()
            if codec.rtx is not None
        }
        self._tracks[number] = _Track(number, spec, state, originals)
        return number

    def mute_track(self, number: int, muted: bool) -> None:
        track = self._tracks[number]
        if track.state.muted == muted:
            return
        track.state.muted = muted
        if not muted:
            return
        for leg in track.flowing:
            feed = leg.rewrite.feed
            leg.rewrite.end()
            leg.source = None
            if leg.pending is None and feed is not None:
                self._await(leg, track, feed)
        track.flowing.clear()

    def remove_track(self, number: int) -> TrackSpec | None:
        """Its specification, None when there is no such track."""
        track = self._tracks.pop(number, None)
        if track is None:
            return None
        for leg in track.flowing:
            leg.rewrite.end()
            leg.source = None
        for leg in track.waiting:
            leg.pending = None
        return track.spec

    def spec(self, number: int) -> TrackSpec:
        return self._tracks[number].spec

    # --- legs ---------------------------------------------------------------------------------

    def add_leg(self, spec: LegSpec, outlet: Outlet) -> int:
        _check_payload_types(spec.rtx)
        number = self._number()
        rewrite = Leg(
            spec.ssrc,
            audio=spec.kind == "audio",
            rtx_ssrc=spec.rtx_ssrc,
            rtx_payload_types=dict(spec.rtx),
            first_sequence=spec.first_sequence,
            shapes=self._shapes,
        )
        self._legs[number] = _Leg(number, spec.kind, rewrite, outlet)
        return number

    def set_source(self, number: int, source: Source | None) -> None:
        leg = self._legs[number]
        if source is None:
            self._unhook(leg)
            return
        track = self._tracks[source.track]
        if track.spec.kind != leg.kind:
            raise ValueError(f"a {leg.kind} leg can't be fed from a track of {track.spec.kind}")
        _check_payload_types(source.payload_types)
        feed = Feed(track.number, dict(source.payload_types), _passable(track, source))
        if leg.source is track:
            self._cancel_pending(leg)
            if feed != leg.rewrite.feed:
                leg.rewrite.remap(feed)
            return
        if leg.kind == "audio":
            self._unhook(leg)
        self._await(leg, track, feed)

    def remove_leg(self, number: int) -> None:
        leg = self._legs.pop(number, None)
        if leg is not None:
            self._unhook(leg)

    def _await(self, leg: _Leg, track: _Track, feed: Feed) -> None:
        self._cancel_pending(leg)
        leg.pending = (track, feed)
        track.waiting.append(leg)

    def _cancel_pending(self, leg: _Leg) -> None:
        if leg.pending is not None:
            leg.pending[0].waiting.remove(leg)
            leg.pending = None

    def _unhook(self, leg: _Leg) -> None:
        self._cancel_pending(leg)
        if leg.source is not None:
            leg.source.flowing.remove(leg)
            leg.source = None
        leg.rewrite.end()

    # --- packets ------------------------------------------------------------------------------

    def receive(
        self, number: int, packet: Packet, now_us: int, inbound: Inbound, *, is_rtx: bool
    ) -> bool:
        """Take a publisher's packet; whether a viewer was to get it."""
        track = self._tracks[number]
        if is_rtx:
            original = self._unwrap(track, packet)
            if original is None:
                return False
            packet = original
        if not track.state.knows(packet.payload_type):
            self._counters.drop_unknown_payload_type += 1
        if not self._take(track, packet, now_us, recovered=is_rtx):
            return False
        if packet.has_media:
            self._tell(track, packet, inbound)
        else:
            self._counters.drop_probe += 1
        if track.state.muted:
            self._counters.drop_muted += 1
            return False
        if track.waiting:
            self._begin(track, packet, now_us)
        self._forward(track, packet, now_us)
        return bool(track.flowing)

    def _unwrap(self, track: _Track, packet: Packet) -> Packet | None:
        payload_type = track.originals.get(packet.payload_type)
        if payload_type is None:
            self._counters.drop_unknown_payload_type += 1
            return None
        data = rtx.unwrap(packet, payload_type, track.spec.ssrc)
        if data is None:
            self._counters.drop_probe += 1
            return None
        return parse(data)

    def _take(self, track: _Track, packet: Packet, now_us: int, *, recovered: bool) -> bool:
        taken = track.state.take(packet, now_us, recovered=recovered)
        if taken is Taken.DUPLICATE:
            self._counters.drop_duplicate += 1
        elif taken is Taken.LATE:
            self._counters.drop_late += 1
        elif recovered:
            self._counters.rtx_recovered += 1
        return taken is Taken.NEW

    @staticmethod
    def _tell(track: _Track, packet: Packet, inbound: Inbound) -> None:
        if not track.started and track.state.knows(packet.payload_type):
            track.started = True
            inbound.started.append(track.number)
        if packet.keyframe:
            inbound.keyframes.append(track.number)

    def _begin(self, track: _Track, packet: Packet, now_us: int) -> None:
        """Let those who wait begin here: video at a keyframe, audio at the newest packet with sound."""
        ready = packet.has_media and packet.sequence == track.state.newest
        if not (ready if track.state.audio else packet.keyframe):
            return
        clock_rate = track.state.clock_rate(packet.payload_type)
        for leg in track.waiting[:]:
            _, feed = leg.pending or (track, None)
            if feed is None or packet.payload_type not in feed.payload_types:
                continue
            self._unhook(leg)
            leg.rewrite.begin(feed, packet, clock_rate, now_us)
            leg.source = track
            track.flowing.append(leg)

    def _forward(self, track: _Track, packet: Packet, now_us: int) -> None:
        audio = track.state.audio
        counters = self._counters
        for leg in track.flowing:
            rewrite = leg.rewrite
            data = rewrite.forward(packet)
            if data is None:
                continue
            if leg.outlet.send_rtp(data, audio=audio):
                rewrite.sent(packet, now_us)
                counters.forwarded += 1
            else:
                rewrite.unsent(packet)
                counters.send_full_video += 1
        packet.tails.clear()  # the cache keeps the packet; what is sent again is shaped again

    # --- repair -------------------------------------------------------------------------------

    def held(self, number: int, sequences: list[int], now_us: int) -> list[int]:
        leg = self._legs[number]
        return [asked for asked in sequences if self._again(leg, asked & 0xFFFF, now_us)]

    def retransmit(
        self, number: int, sequences: list[int], most_octets: int, now_us: int
    ) -> Repaired:
        leg = self._legs[number]
        packets = octets = 0
        for sequence in sequences:
            found = self._again(leg, sequence & 0xFFFF, now_us)
            if found is None:
                leg.missed += 1
                self._counters.retransmit_missed += 1
                continue
            packet, era, ours = found
            if octets + len(packet.data) > most_octets:
                break
            packets += 1
            octets += len(packet.data)
            data = leg.rewrite.again(packet, era, ours)
            if leg.outlet.send_rtp(data, audio=leg.kind == "audio"):
                leg.retransmitted += 1
                self._counters.retransmitted += 1
            else:
                self._counters.send_full_video += 1
        return Repaired(packets, octets)

    def _again(self, leg: _Leg, sequence: int, now_us: int) -> tuple[Packet, Era, int] | None:
        """What is asked for, if it can still be had."""
        asked = leg.rewrite.asked(sequence)
        if asked is None:
            return None
        era, source, ours = asked
        track = self._tracks.get(era.feed.track)
        packet = track.state.cache.get(source, now_us) if track is not None else None
        if packet is None or not leg.rewrite.may_repeat(packet, era, ours):
            return None
        return packet, era, ours

    def missing(self, now_us: int) -> list[tuple[int, list[int]]]:
        found = []
        for track in self._tracks.values():
            if len(track.state.missing) and not track.state.muted:
                holes = track.state.missing.holes(now_us)
                if holes:
                    found.append((track.number, holes))
        return found

    def waiting_for_keyframe(self) -> list[int]:
        return [
            track.number
            for track in self._tracks.values()
            if not track.state.audio
            and not track.state.muted
            and (track.waiting or any(leg.rewrite.torn for leg in track.flowing))
        ]

    # --- figures ------------------------------------------------------------------------------

    def receive_stats(self, number: int) -> ReceiveStats:
        state = self._tracks[number].state
        reception = state.reception
        return ReceiveStats(
            packets=reception.packets,
            octets=reception.octets,
            highest_sequence=reception.extended_highest,
            expected=reception.expected,
            lost=reception.lost,
            jitter=reception.jitter,
            keyframes=state.keyframes,
            rtx_recovered=state.recovered,
        )

    def send_stats(self, number: int, now_us: int) -> SendStats:
        leg = self._legs[number]
        return SendStats(
            packets=leg.rewrite.packets,
            octets=leg.rewrite.octets,
            last_timestamp=leg.rewrite.last_timestamp,
            last_sent_us=leg.rewrite.last_sent_us,
            clock_rate=leg.rewrite.clock_rate,
            retransmitted=leg.retransmitted,
            missed=leg.missed,
            recent_octets=leg.rewrite.recent_octets(now_us),
        )

    def levels(self) -> list[Levels]:
        found = []
        for track in self._tracks.values():
            state = track.state
            if not state.level_count and not state.bare_count:
                continue
            found.append(
                Levels(
                    track=track.number,
                    count=state.level_count,
                    total=state.level_total,
                    loudest=state.loudest,
                    bare=state.bare_count,
                    bare_octets=state.bare_octets,
                )
            )
            state.forget_levels()
        return found


def _check_payload_types(mapping: Mapping[int, int]) -> None:
    if not all(0 <= ours <= 0x7F for ours in mapping.values()):
        raise ValueError("a payload type has seven bits")


def _passable(track: _Track, source: Source) -> dict[int, int]:
    # The publisher's transport-wide numbers count its own transport: never passed to a viewer.
    return {
        theirs: ours
        for theirs, ours in source.extensions.items()
        if theirs != track.spec.transport_cc_id
    }
