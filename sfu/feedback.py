"""The worker's RTCP duties towards every client. RTCP ends here: nothing of it is passed on.

Publishers get receiver reports, transport-wide feedback, NACKs for what is missing and PLIs for what viewers
need; viewers get sender reports, and what they ask for again out of the packet path's cache.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection
from heapq import heappop, heappush

import msgspec

from sfu import reports
from sfu.path import PacketPath
from sfu.rtp import rtcp
from sfu.rtp.keyframes import KeyframeRequests
from sfu.rtp.nack import NackAnswers, NackScheduler
from sfu.rtp.twcc import FeedbackBuilder
from sfu.streams import Streams, Track

CONGESTION_US = 55_000
CONGESTION_TURNS = 3
"""With a turn every 20 ms a publisher hears every 60; a little less above, since turns come a little late."""
REPORT_US = 1_000_000
REPORTED_LEGS = 1000
"""About so many sender reports a second are written, and no viewer waits longer than RAREST_REPORT seconds."""
RAREST_REPORT = 5.0


class _Transport(msgspec.Struct, eq=False):
    """`own_ssrc` is who we are as a receiver, in this transport."""

    own_ssrc: int
    congestion: FeedbackBuilder
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
        self._answers: dict[int, NackAnswers] = {}
        self._due: list[tuple[int, int]] = []
        """A heap of when a transport's next report is due (µs), and its number; closed ones are left out then."""
        self._tidied_us = 0

    # what comes in (MediaSink)

    def rtcp_received(self, transport: int, compound: bytes, now_us: int) -> None:
        try:
            packets = rtcp.parse(compound)
        except ValueError:
            self.counters["rtcp_malformed"] += 1
            return
        for packet in packets:
            self._take(transport, packet, now_us)

    def track_started(self, track: int) -> None:
        if found := self._streams.track(track):
            self._streams.started(found)
            found.listener.track_started()

    def keyframe_seen(self, track: int, now_us: int) -> None:
        self._keyframes.seen(track)

    def transport_closed(self, transport: int) -> None:
        self._streams.transport_closed(transport)
        self._transports.pop(transport, None)

    def _take(self, transport: int, packet: rtcp.Rtcp, now_us: int) -> None:
        match packet:
            case rtcp.Nack():
                self._resend(transport, packet, now_us)
            case rtcp.PictureLoss():
                self._picture_lost(transport, packet.media_ssrc)
            case rtcp.FullIntraRequest():
                for ssrc, _ in packet.entries:
                    self._picture_lost(transport, ssrc)
            case rtcp.SenderReport():
                track = self._streams.track_by_ssrc(transport, packet.ssrc)
                if track is not None:
                    self._receiver(track).reception.sender_reported(packet, now_us)
            case _:
                return

    def _resend(self, transport: int, nack: rtcp.Nack, now_us: int) -> None:
        leg = self._streams.leg_by_ssrc(transport, nack.media_ssrc)
        if leg is None:
            return
        answers = self._answers.setdefault(leg.number, NackAnswers())
        admitted = answers.admit(nack.sequences, now_us, self._rtt_us(transport, now_us))
        self.counters["nacks_received"] += len(nack.sequences)
        self.counters["nacks_answered"] += self._path.retransmit(leg.number, admitted)

    def _picture_lost(self, transport: int, ssrc: int) -> None:
        leg = self._streams.leg_by_ssrc(transport, ssrc)
        if leg is None or leg.source is None:
            return
        self.counters["plis_received"] += 1
        self._keyframes.want(leg.source.track)

    def _rtt_us(self, transport: int, now_us: int) -> int:
        """0 until it is known."""
        echo = self._path.echo(transport)
        if echo is None:
            return 0
        arrived = self._unix_time() - (now_us - echo.arrived_us) / 1_000_000
        return rtcp.round_trip_us(echo.last_sr, echo.delay, reports.ntp(arrived)) or 0

    # what goes out

    def repair(self, now_us: int) -> None:
        """Ask publishers again for lost packets, and for the keyframes that somebody waits for."""
        for number, sequences in self._path.missing():
            track = self._streams.track(number)
            if track is None or not track.repair:
                continue
            due = self._receiver(track).nacks.due(sequences, now_us)
            if due:
                self.counters["nacks_sent"] += len(due)
                own_ssrc = self._transport(track.transport).own_ssrc
                self._send(
                    track, rtcp.Nack(sender_ssrc=own_ssrc, media_ssrc=track.ssrc, sequences=due)
                )
        for number in self._keyframes.due(self._path.waiting_for_keyframe(), now_us):
            track = self._streams.track(number)
            if track is None:
                self._keyframes.forget(number)
                continue
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
            found = _Transport(random.randrange(1, 1 << 32), FeedbackBuilder())
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
        for number in [n for n in self._answers if self._streams.leg(n) is None]:
            del self._answers[number]
