"""The worker's RTCP duties towards every client. RTCP ends here: nothing of it is passed on.

Publishers get receiver reports, transport-wide feedback, NACKs for what is missing and PLIs for what viewers
need; viewers get sender reports, and what `sfu.repairs` answers of what they ask for.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection
from heapq import heappop, heappush

import msgspec

from sfu.guard import Guard
from sfu.path import reports
from sfu.path.interface import PacketPath
from sfu.path.streams import Streams, Track
from sfu.rtcp.keyframe_requests import KeyframeRequests
from sfu.rtcp.nack import NackScheduler
from sfu.rtcp.repairs import MAX_ASKED, Repairs
from sfu.wire import rtcp
from sfu.wire.bucket import Bucket
from sfu.wire.twcc import FeedbackBuilder

CONGESTION_US = 55_000
CONGESTION_TURNS = 3
"""With a turn every 20 ms a publisher hears every 60; a little less above, since turns come a little late."""
REPORT_US = 1_000_000
REPORTED_LEGS = 1000
"""About so many sender reports a second are written, and no viewer waits longer than RAREST_REPORT seconds."""
RAREST_REPORT = 5.0


RTCP_RATE, RTCP_BURST = 65_536, 16_384
"""Octets that are read of one client's RTCP in a second, and at once: what comes at once is read in about ten
milliseconds, whatever it is. A viewer of a whole meeting that loses much sends a third."""


class _Transport(msgspec.Struct, eq=False):
    """`own_ssrc` is who we are as a receiver, in this transport."""

    own_ssrc: int
    congestion: FeedbackBuilder
    received: Bucket
    next_told_us: int = 0
    """When its publisher is to hear of arrivals again."""


class _Receiving(msgspec.Struct, eq=False):
    nacks: NackScheduler
    reception: reports.Reception


class Feedback:
    """`repair`, `congestion` and `report` are to be called often; each does only what is due."""

    def __init__(
        self, path: PacketPath, streams: Streams, cname: str, unix_time: Callable[[], float]
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._path = path
        self._streams = streams
        self._cname = cname
        self._unix_time = unix_time
        self._keyframes = KeyframeRequests()
        self._transports: dict[int, _Transport] = {}
        self._receiving: dict[int, _Receiving] = {}
        self._guard = Guard(self.counters)
        self._repairs = Repairs(
            path,
            streams,
            self.counters,
            wish=self._keyframes.want,
            upstream=self._upstream,
            rtt_us=self._rtt_us,
        )
        self._due: list[tuple[int, int]] = []
        """A heap of when a transport's next report is due (µs), and its number; closed ones are left out then."""
        self._tidied_us = 0

    # what comes in (MediaSink)

    def rtcp_received(self, transport: int, compound: bytes, now_us: int) -> None:
        if self._streams.members(transport) is None:
            return  # closed by what came just before
        if not self._transport(transport).received.take(now_us, len(compound)):
            self.counters["rtcp_limited"] += 1
            return
        try:
            packets = rtcp.parse(compound, transport_feedback=False)
        except ValueError:
            self.counters["rtcp_malformed"] += 1
            return
        with self._guard.over("rtcp", transport=transport):
            self._take(transport, packets, now_us)

    def track_started(self, track: int) -> None:
        found = self._streams.track(track)
        if found is not None and not found.started:  # again, of one that goes on under another SSRC
            with self._guard.over("track", transport=found.transport):
                self._streams.started(found)
                found.listener.track_started()

    def keyframe_seen(self, track: int, now_us: int) -> None:
        self._keyframes.seen(track)

    def transport_closed(self, transport: int) -> None:
        self._streams.transport_closed(transport)
        self._transports.pop(transport, None)
        self._repairs.transport_closed(transport)

    def _take(self, transport: int, packets: list[rtcp.Rtcp], now_us: int) -> None:
        """What a compound asks for is gathered first: it may ask for the same a hundred times."""
        asked: dict[int, list[int]] = {}
        left = MAX_ASKED
        lost: dict[int, None] = {}
        for packet in packets:
            match packet:
                case rtcp.Nack():
                    some = packet.sequences[:left]
                    left -= len(some)
                    asked.setdefault(packet.media_ssrc, []).extend(some)
                case rtcp.PictureLoss():
                    lost[packet.media_ssrc] = None
                case rtcp.FullIntraRequest():
                    lost |= dict.fromkeys(ssrc for ssrc, _ in packet.entries)
                case rtcp.SenderReport():
                    track = self._streams.track_by_ssrc(transport, packet.ssrc)
                    if track is not None:
                        self._receiver(track).reception.sender_reported(packet, now_us)
                    self._reported(transport, packet.reports, now_us)
                case rtcp.ReceiverReport():
                    self._reported(transport, packet.reports, now_us)
        for ssrc, sequences in asked.items():
            self._repairs.asked(transport, ssrc, sequences, now_us)
        for ssrc in lost:
            self._repairs.picture_lost(transport, ssrc, now_us)

    def _reported(self, transport: int, blocks: list[rtcp.ReportBlock], now_us: int) -> None:
        for block in blocks:
            self._repairs.reported(transport, block, now_us)

    def _rtt_us(self, transport: int, now_us: int) -> int:
        """0 until it is known."""
        echo = self._path.echo(transport)
        if echo is None:
            return 0
        arrived = self._unix_time() - (now_us - echo.arrived_us) / 1_000_000
        return rtcp.round_trip_us(echo.last_sr, echo.delay, reports.ntp(arrived)) or 0

    def _upstream(self, track: int) -> int:
        found = self._receiving.get(track)
        return found.reception.fraction_lost if found is not None else 0

    # what goes out

    def repair(self, now_us: int) -> None:
        """Ask publishers again for lost packets, and for the keyframes that somebody waits for.

        What viewers don't get because of their links is tried again.
        """
        self._repairs.resume(now_us)
        self._streams.follow(now_us)
        for number, sequences in self._path.missing():
            with self._guard.over("nack", track=number):
                self._ask_again(number, sequences, now_us)
        for number in self._keyframes.due(self._path.waiting_for_keyframe(), now_us):
            with self._guard.over("pli", track=number):
                self._ask_for_keyframe(number)

    def _ask_again(self, number: int, sequences: list[int], now_us: int) -> None:
        track = self._streams.track(number)
        if track is None or not track.repair:
            return
        due = self._receiver(track).nacks.due(sequences, now_us)
        if due:
            self.counters["nacks_sent"] += len(due)
            own_ssrc = self._transport(track.transport).own_ssrc
            self._send(track, rtcp.Nack(sender_ssrc=own_ssrc, media_ssrc=track.ssrc, sequences=due))

    def _ask_for_keyframe(self, number: int) -> None:
        track = self._streams.track(number)
        if track is None:
            self._keyframes.forget(number)
            return
        self.counters["plis_sent"] += 1
        own_ssrc = self._transport(track.transport).own_ssrc
        self._send(track, rtcp.PictureLoss(sender_ssrc=own_ssrc, media_ssrc=track.ssrc))

    def congestion(self, now_us: int) -> None:
        """Tell publishers when each of their packets came (transport-wide feedback), each at most every
        CONGESTION_US, and not all of them in one call: that would hold up the packets of everybody.
        """
        senders = self._streams.stamped()
        at_once = -(-len(senders) // CONGESTION_TURNS)
        for track in sorted(senders, key=self._told_next)[:at_once]:
            if self._told_next(track) <= now_us:
                with self._guard.over("congestion", track=track.number):
                    self._tell_arrivals(track, now_us)

    def _told_next(self, track: Track) -> int:
        return self._transport(track.transport).next_told_us

    def _tell_arrivals(self, track: Track, now_us: int) -> None:
        number = track.transport
        transport = self._transport(number)
        transport.next_told_us = now_us + CONGESTION_US
        arrivals = self._path.arrivals(number)
        if not arrivals:
            return
        for packet in transport.congestion.build(arrivals, transport.own_ssrc, track.ssrc):
            self.counters["transport_feedback_sent"] += 1
            self._send(track, packet)

    def report(self, now_us: int) -> None:
        """Sender and receiver reports: to each publisher about once a second, to mere viewers more rarely when
        the worker has many legs.

        RFC 3550 section 6.2 has five seconds as its ordinary minimum, so that is the longest. Whoever has neither
        got nor sent anything since the last report gets none: there is nothing to tell.
        """
        for number in self._streams.newcomers():
            # Spread over the interval, so that a hundred clients don't all get theirs at one moment.
            first = now_us + random.randrange(REPORT_US // 2, REPORT_US)
            heappush(self._due, (first, number))
        self._report_due(now_us)
        if now_us - self._tidied_us >= REPORT_US:
            self._tidied_us = now_us
            self._forget_gone()

    def _report_due(self, now_us: int) -> None:
        crowded = self._streams.leg_count / REPORTED_LEGS
        interval_us = int(REPORT_US * min(max(1.0, crowded), RAREST_REPORT))
        now_ntp = reports.ntp(self._unix_time())
        while self._due and self._due[0][0] <= now_us:
            _, number = heappop(self._due)
            members = self._streams.members(number)
            if members is None:
                continue  # closed since
            heappush(self._due, (now_us + (REPORT_US if members.tracks else interval_us), number))
            with self._guard.over("report", transport=number):
                self._report(number, members.tracks, now_us, now_ntp)

    def _report(self, number: int, tracks: Collection[Track], now_us: int, now_ntp: int) -> None:
        self.counters["reports_sent"] += self._path.send_reports(
            number, self._cname, now_us, now_ntp
        )
        blocks = []
        for track in tracks:
            if not track.started:
                continue
            received = self._path.receive_stats(track.number)
            reception = self._receiver(track).reception
            if reception.heard_more(received):
                blocks.append(reception.block(track.ssrc, received, now_us))
        if not blocks:
            return
        own_ssrc = self._transport(number).own_ssrc
        for compound in reports.receiver_compounds(own_ssrc, self._cname, blocks):
            self.counters["reports_sent"] += 1
            self._path.send_rtcp(number, compound)

    # tables

    def _send(self, track: Track, packet: rtcp.Rtcp) -> None:
        """One packet to a track's publisher: alone where that was agreed to (RFC 5506), else behind a report and our
        name (RFC 3550 section 6.1).
        """
        packets = [packet]
        if not track.reduced_size:
            packets = [
                *reports.head(self._transport(track.transport).own_ssrc, self._cname),
                packet,
            ]
        self._path.send_rtcp(track.transport, rtcp.build(packets))

    def _transport(self, number: int) -> _Transport:
        found = self._transports.get(number)
        if found is None:
            own_ssrc = random.randrange(1, 1 << 32)
            found = _Transport(own_ssrc, FeedbackBuilder(), Bucket(RTCP_RATE, RTCP_BURST))
            self._transports[number] = found
        return found

    def _receiver(self, track: Track) -> _Receiving:
        found = self._receiving.get(track.number)
        if found is None:
            found = _Receiving(NackScheduler(), reports.Reception())
            self._receiving[track.number] = found
        return found

    def _forget_gone(self) -> None:
        for number in [n for n in self._receiving if self._streams.track(n) is None]:
            del self._receiving[number]
            self._keyframes.forget(number)
        self._repairs.forget_gone()
