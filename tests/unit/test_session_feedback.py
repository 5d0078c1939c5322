"""The worker's RTCP duties, on figures set by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest
from sfu_stubs import StubPath

from sfu.path.interface import Codec, Echo, LegSpec, ReceiveStats, SendStats, Source, TrackSpec
from sfu.path.reports import (
    LEGS_PER_PACKET,
    Reception,
    ntp,
    receiver_compounds,
    sender_compounds,
    sender_report,
)
from sfu.path.streams import Leg, Streams, Track
from sfu.rtcp.feedback import REPORT_US, REPORTED_LEGS, Feedback
from sfu.wire import rtcp
from sfu.wire.twcc import TransportFeedback

SECOND = 1_000_000
PUBLISHER, VIEWER = 101, 102


class Listener:
    def __init__(self) -> None:
        self.started = 0

    def track_started(self) -> None:
        self.started += 1


class Desk:
    """One publisher with a camera, one viewer of it."""

    def __init__(self) -> None:
        self.path = StubPath()
        self.streams = Streams(self.path)
        self.unix_time = 1_800_000_000.0
        self.feedback = Feedback(self.path, self.streams, "name", lambda: self.unix_time)
        self.listener = Listener()
        self.track = self.add_track(1001)
        self.leg = self.add_leg(2001)
        self.path.received[self.track.number] = receive_stats()
        self.path.sending[self.leg.number] = send_stats()

    def add_track(self, ssrc: int, transport: int = PUBLISHER) -> Track:
        spec = TrackSpec(
            transport=transport,
            kind="video",
            ssrc=ssrc,
            codecs={96: Codec(name="VP8", clock_rate=90000)},
            transport_cc_id=4,
        )
        track = self.streams.add_track(spec, self.listener)
        self.streams.started(track)
        return track

    def add_leg(self, ssrc: int, transport: int = VIEWER) -> Leg:
        leg = self.streams.add_leg(LegSpec(transport=transport, kind="video", ssrc=ssrc))
        source = Source(track=self.track.number, payload_types={96: 96})
        self.streams.set_source(leg, source, 0)
        return leg

    def take(self, *packets: rtcp.Rtcp, transport: int = VIEWER, now_us: int = 0) -> None:
        self.feedback.rtcp_received(transport, rtcp.build(packets), now_us)

    def told(self, transport: int) -> list[rtcp.Rtcp]:
        """What was sent there since the last look."""
        found = [
            p for number, data in self.path.rtcp if number == transport for p in rtcp.parse(data)
        ]
        self.path.rtcp = [item for item in self.path.rtcp if item[0] != transport]
        return found


def receive_stats(**changes: int) -> ReceiveStats:
    values = {
        "packets": 95,
        "octets": 9500,
        "highest_sequence": 65636,
        "expected": 100,
        "lost": 5,
        "jitter": 33,
        "keyframes": 1,
        "rtx_recovered": 0,
    }
    return ReceiveStats(**(values | changes))


def send_stats(**changes: int) -> SendStats:
    values = {
        "packets": 50,
        "octets": 5000,
        "last_timestamp": 90_000,
        "last_sent_us": 0,
        "clock_rate": 90_000,
        "retransmitted": 0,
        "missed": 0,
        "recent_octets": 1_000_000,
    }
    return SendStats(**(values | changes))


@pytest.fixture
def desk() -> Desk:
    return Desk()


def nack(*sequences: int, ssrc: int = 2001) -> rtcp.Nack:
    return rtcp.Nack(sender_ssrc=1, media_ssrc=ssrc, sequences=list(sequences))


def test_nothing_is_sent_twice_within_the_way_there_and_back(desk: Desk) -> None:
    """100 ms before it came a report of ours had been sent; it was held for 20."""
    sent = ntp(desk.unix_time - 0.1) >> 16 & 0xFFFFFFFF
    desk.path.echoes[VIEWER] = Echo(sent, 20 * 65536 // 1000, SECOND)
    for now_us in (SECOND, SECOND + 70_000, SECOND + 90_000):
        desk.unix_time += (now_us - SECOND) / 1_000_000
        desk.take(nack(7), now_us=now_us)
        desk.unix_time -= (now_us - SECOND) / 1_000_000
    assert [numbers for _, numbers in desk.path.retransmitted] == [[7], [7]]


def test_a_viewer_gets_what_it_asks_for_again(desk: Desk) -> None:
    desk.take(nack(7, 8))
    assert desk.path.retransmitted == [(desk.leg.number, [7, 8])]
    desk.take(nack(8, 9), now_us=1000)
    assert desk.path.retransmitted[1:] == [(desk.leg.number, [9])], "8 is on its way"


def test_asking_for_what_one_does_not_get_does_nothing(desk: Desk) -> None:
    desk.take(nack(7, ssrc=999))
    desk.take(nack(7), transport=PUBLISHER)
    desk.take(nack(7), transport=77)
    assert not desk.path.retransmitted


def test_picture_loss_of_many_is_one_request(desk: Desk) -> None:
    other = desk.add_leg(2002, transport=103)
    pli = rtcp.PictureLoss(sender_ssrc=1, media_ssrc=2001)
    fir = rtcp.FullIntraRequest(sender_ssrc=1, entries=[(other.ssrc, 3)])
    for now in range(0, 400_000, 20_000):
        desk.take(pli)
        desk.take(fir, transport=103)
        desk.feedback.repair(now)
    assert [type(packet) for packet in desk.told(PUBLISHER)] == [rtcp.PictureLoss]


def test_a_keyframe_is_asked_for_until_it_is_seen(desk: Desk) -> None:
    desk.path.waiting = [desk.track.number]
    for now in range(0, 1_400_000, 20_000):
        desk.feedback.repair(now)
    told = desk.told(PUBLISHER)
    assert len(told) == 3
    assert all(isinstance(p, rtcp.PictureLoss) and p.media_ssrc == 1001 for p in told)
    desk.path.waiting = []
    desk.feedback.keyframe_seen(desk.track.number, 1_400_000)
    for now in range(1_400_000, 4_000_000, 20_000):
        desk.feedback.repair(now)
    assert not desk.told(PUBLISHER)


def test_a_request_for_a_track_that_ended_goes_nowhere(desk: Desk) -> None:
    desk.take(rtcp.PictureLoss(sender_ssrc=1, media_ssrc=2001))
    desk.streams.remove_track(desk.track)
    desk.feedback.repair(0)
    assert not desk.told(PUBLISHER)
    desk.take(rtcp.PictureLoss(sender_ssrc=1, media_ssrc=2001))
    desk.feedback.repair(SECOND)
    assert not desk.told(PUBLISHER)


@pytest.mark.parametrize("reduced_size", [True, False])
def test_feedback_goes_behind_a_report_unless_its_publisher_agreed_to_less(
    desk: Desk, reduced_size: bool
) -> None:
    """RFC 5506 section 5; what a compound begins with is in RFC 3550 section 6.1."""
    desk.track.reduced_size = reduced_size
    desk.path.holes = [(desk.track.number, [5])]
    desk.path.waiting = [desk.track.number]
    desk.path.arrived[PUBLISHER] = [(1, 1000)]
    desk.feedback.repair(SECOND)
    desk.feedback.congestion(SECOND)
    sent = [rtcp.parse(data) for number, data in desk.path.rtcp if number == PUBLISHER]
    assert [type(packets[-1]) for packets in sent] == [
        rtcp.Nack,
        rtcp.PictureLoss,
        TransportFeedback,
    ]
    for head in (packets[:-1] for packets in sent):
        if reduced_size:
            assert head == []
            continue
        report, names = head
        assert isinstance(report, rtcp.ReceiverReport)
        assert names == rtcp.SourceDescription(cnames={report.ssrc: "name"})


def test_missing_packets_are_asked_for_at_intervals(desk: Desk) -> None:
    desk.path.holes = [(desk.track.number, [5, 6])]
    for now in (0, 20_000, 40_000):
        desk.feedback.repair(now)
    asked = [packet for packet in desk.told(PUBLISHER) if isinstance(packet, rtcp.Nack)]
    assert [packet.sequences for packet in asked] == [[5, 6], [5, 6]]
    assert {packet.media_ssrc for packet in asked} == {1001}


def test_arrivals_are_told_to_the_publisher(desk: Desk) -> None:
    desk.path.arrived[PUBLISHER] = [(10, 1000), (12, 2000)]
    desk.feedback.congestion(SECOND)
    (told,) = desk.told(PUBLISHER)
    assert isinstance(told, TransportFeedback)
    assert told.base_sequence == 10
    assert [tick is None for tick in told.arrivals] == [False, True, False]
    desk.feedback.congestion(2 * SECOND)
    assert not desk.told(PUBLISHER), "nothing new"


def test_reports_go_out_about_once_a_second(desk: Desk) -> None:
    for now in range(0, 5 * SECOND, 100_000):
        desk.path.sending[desk.leg.number] = send_stats(last_sent_us=now)
        desk.path.received[desk.track.number] = receive_stats(expected=100 + now // 100_000)
        desk.feedback.report(now)
    told = desk.told(PUBLISHER)
    receiver = [packet for packet in told if isinstance(packet, rtcp.ReceiverReport)]
    assert 3 <= len(receiver) <= 5
    assert next(p.cnames for p in told if isinstance(p, rtcp.SourceDescription)) == {
        receiver[0].ssrc: "name"
    }
    senders = [p for p in desk.told(VIEWER) if isinstance(p, rtcp.SenderReport)]
    assert 3 <= len(senders) <= 5
    assert {report.ssrc for report in senders} == {2001}


def test_who_sends_nothing_more_and_gets_nothing_more_is_told_nothing(desk: Desk) -> None:
    for now in range(0, 5 * SECOND, 100_000):
        desk.feedback.report(now)
    assert len([p for p in desk.told(PUBLISHER) if isinstance(p, rtcp.ReceiverReport)]) == 1
    desk.told(VIEWER)
    for now in range(5 * SECOND, 10 * SECOND, 100_000):
        desk.feedback.report(now)
    assert desk.path.rtcp == []
    desk.path.received[desk.track.number] = receive_stats(expected=101)
    desk.path.sending[desk.leg.number] = send_stats(packets=51, last_sent_us=10 * SECOND)
    for now in range(10 * SECOND, 12 * SECOND, 100_000):
        desk.feedback.report(now)
    assert [type(p) for p in desk.told(PUBLISHER)].count(rtcp.ReceiverReport) == 1
    assert [type(p) for p in desk.told(VIEWER)].count(rtcp.SenderReport) == 2


@pytest.mark.parametrize(("legs", "interval"), [(1, 1.0), (2 * REPORTED_LEGS, 2.0), (9000, 5.0)])
def test_many_legs_are_reported_more_rarely_but_publishers_are_not(
    desk: Desk, legs: int, interval: float
) -> None:
    for number in range(legs - 1):
        # Of one more viewer, so that writing them does not take the test's time.
        desk.path.sending[desk.add_leg(3000 + number, transport=103).number] = send_stats(packets=0)
    seconds = 20
    for now in range(0, seconds * SECOND, 100_000):
        desk.path.sending[desk.leg.number] = send_stats(last_sent_us=now)
        desk.path.received[desk.track.number] = receive_stats(expected=100 + now // 100_000)
        desk.feedback.report(now)
    to_viewer = [p for p in desk.told(VIEWER) if isinstance(p, rtcp.SenderReport)]
    assert abs(len(to_viewer) - seconds / interval) <= 1
    to_publisher = [p for p in desk.told(PUBLISHER) if isinstance(p, rtcp.ReceiverReport)]
    assert abs(len(to_publisher) - seconds) <= 1


def test_a_transport_that_comes_and_goes_is_not_reported_to(desk: Desk) -> None:
    desk.feedback.report(0)
    desk.feedback.transport_closed(VIEWER)
    for now in range(0, 3 * SECOND, 100_000):
        desk.feedback.report(now)
    assert desk.told(VIEWER) == []
    assert VIEWER not in desk.feedback._transports
    assert len(desk.feedback._due) == 1


def test_transport_wide_feedback_goes_on_with_the_tracks_that_are_left(desk: Desk) -> None:
    other = desk.add_track(1002)
    desk.streams.remove_track(other)
    desk.path.arrived[PUBLISHER] = [(10, 1000)]
    desk.feedback.congestion(SECOND)
    (told,) = desk.told(PUBLISHER)
    assert isinstance(told, TransportFeedback)
    assert told.media_ssrc == 1001
    desk.streams.remove_track(desk.track)
    desk.path.arrived[PUBLISHER] = [(11, 2000)]
    desk.feedback.congestion(2 * SECOND)
    assert desk.told(PUBLISHER) == []


def test_who_has_sent_nothing_is_not_looked_at_for_arrivals(desk: Desk) -> None:
    spec = TrackSpec(
        transport=300,
        kind="audio",
        ssrc=1,
        codecs={111: Codec(name="opus", clock_rate=48000)},
        transport_cc_id=4,
    )
    silent = desk.streams.add_track(spec, desk.listener)
    assert list(desk.streams.stamped()) == [desk.track]
    desk.feedback.track_started(silent.number)
    assert list(desk.streams.stamped()) == [desk.track, silent]
    desk.streams.remove_track(silent)
    desk.streams.started(silent)
    assert list(desk.streams.stamped()) == [desk.track]


def test_feedback_to_many_publishers_takes_turns(desk: Desk) -> None:
    publishers = [PUBLISHER, *range(200, 206)]
    for number in publishers[1:]:
        desk.add_track(number, transport=number)
    heard: dict[int, list[int]] = {number: [] for number in publishers}
    for turn in range(13):
        now = turn * 20_000
        for number in publishers:
            desk.path.arrived[number] = [(turn, now)]
        desk.feedback.congestion(now)
        told = [number for number in publishers if desk.told(number)]
        assert len(told) <= 3, "a third of seven"
        for number in told:
            heard[number].append(now)
    for times in heard.values():
        assert len(times) >= 4
        assert {late - early for early, late in pairwise(times)} == {60_000}


def test_no_publisher_is_left_out_when_turns_come_late(desk: Desk) -> None:
    others = [201, 202]
    for number in others:
        desk.add_track(number, transport=number)
    heard = set()
    for now in range(0, 400_000, 100_000):
        for number in (PUBLISHER, *others):
            desk.path.arrived[number] = [(now // 100_000, now)]
        desk.feedback.congestion(now)
        heard |= {number for number in (PUBLISHER, *others) if desk.told(number)}
    assert heard == {PUBLISHER, *others}


def test_a_receiver_report_names_the_publishers_last_report(desk: Desk) -> None:
    published = rtcp.SenderReport(
        ssrc=1001, ntp=0x0123456789ABCDEF, timestamp=1, packets=2, octets=3
    )
    desk.take(published, transport=PUBLISHER, now_us=0)
    desk.feedback.report(0)
    desk.feedback.report(2 * SECOND)
    (report,) = [p for p in desk.told(PUBLISHER) if isinstance(p, rtcp.ReceiverReport)]
    (block,) = report.reports
    assert block.ssrc == 1001
    assert block.last_sr == 0x456789AB
    assert block.delay == 2 * 65536
    assert (block.lost, block.fraction_lost) == (5, 12)
    assert (block.highest_sequence, block.jitter) == (65636, 33)


def test_the_loss_is_that_of_the_interval() -> None:
    reception = Reception()
    assert reception.block(1, receive_stats(expected=100, lost=50), 0).fraction_lost == 128
    assert reception.block(1, receive_stats(expected=200, lost=50), 0).fraction_lost == 0
    assert reception.block(1, receive_stats(expected=300, lost=75), 0).fraction_lost == 64


def test_a_sender_report_pairs_the_clocks() -> None:
    now_ntp = ntp(1_800_000_000.5)
    assert now_ntp >> 32 == 1_800_000_000 + 2_208_988_800
    assert now_ntp & 0xFFFFFFFF == 1 << 31
    stats = send_stats(last_timestamp=0xFFFFFFFF, last_sent_us=SECOND)
    report = sender_report(2001, stats, SECOND + 500_000, now_ntp)
    assert report
    assert report.timestamp == 44_999
    assert (report.packets, report.octets) == (50, 5000)


def test_who_sends_nothing_is_no_sender() -> None:
    assert sender_report(1, send_stats(packets=0), 0, 0) is None
    assert sender_report(1, send_stats(), 10 * SECOND, 0) is None


def test_many_legs_are_reported_in_several_packets() -> None:
    senders = [
        rtcp.SenderReport(ssrc=n, ntp=0, timestamp=0, packets=1, octets=1)
        for n in range(1, 3 * LEGS_PER_PACKET)
    ]
    blocks = [rtcp.ReportBlock(ssrc=n) for n in range(1, 40)]
    packets = sender_compounds("f" * 16, senders) + receiver_compounds(9, "f" * 16, blocks)
    assert max(map(len, packets)) <= 1200
    parsed = [packet for data in packets for packet in rtcp.parse(data)]
    assert [p.ssrc for p in parsed if isinstance(p, rtcp.SenderReport)] == list(
        range(1, 3 * LEGS_PER_PACKET)
    )
    told = [b.ssrc for p in parsed if isinstance(p, rtcp.ReceiverReport) for b in p.reports]
    assert told == list(range(1, 40))
    for data in packets:
        first, *_, last = rtcp.parse(data)
        assert isinstance(first, rtcp.SenderReport | rtcp.ReceiverReport)
        assert isinstance(last, rtcp.SourceDescription)


def test_rubbish_is_counted(desk: Desk) -> None:
    desk.feedback.rtcp_received(VIEWER, b"\x80\xc8\x00\xff", 0)
    assert desk.feedback.counters["rtcp_malformed"] == 1


def test_what_is_gone_is_forgotten(desk: Desk) -> None:
    desk.take(nack(7))
    desk.feedback.report(0)
    desk.feedback.report(REPORT_US)
    desk.feedback.transport_closed(PUBLISHER)
    desk.feedback.transport_closed(VIEWER)
    assert not any(desk.streams.leftovers().values())
    desk.feedback.report(2 * REPORT_US)
    assert not desk.feedback._transports
    assert not desk.feedback._receiving
    assert not desk.feedback._repairs.leftovers()


def test_a_track_that_started_tells_its_listener(desk: Desk) -> None:
    desk.track.started = False
    desk.feedback.track_started(desk.track.number)
    desk.feedback.track_started(999)
    assert desk.listener.started == 1
    desk.feedback.track_started(desk.track.number)
    assert desk.listener.started == 1, "it has been told, and goes on under another SSRC"


def test_lost_sound_is_not_asked_for_again(desk: Desk) -> None:
    """No answer of ours agrees to it: such a NACK would be about nothing the publisher keeps."""
    spec = TrackSpec(
        transport=PUBLISHER,
        kind="audio",
        ssrc=1003,
        codecs={111: Codec(name="opus", clock_rate=48_000)},
    )
    sound = desk.streams.add_track(spec, desk.listener)
    desk.path.holes = [(sound.number, [5, 6]), (desk.track.number, [7])]
    desk.feedback.repair(0)
    asked = [packet for packet in desk.told(PUBLISHER) if isinstance(packet, rtcp.Nack)]
    assert [(packet.media_ssrc, packet.sequences) for packet in asked] == [(1001, [7])]


def test_a_track_that_breaks_the_loop_costs_the_others_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = desk.add_track(1002, transport=200)
    desk.path.received[other.number] = receive_stats()
    desk.path.holes = [(desk.track.number, [5]), (other.number, [6])]
    desk.path.waiting = [desk.track.number, other.number]
    desk.path.arrived = {PUBLISHER: [(1, 1)], 200: [(1, 1)]}
    send = desk.path.send_rtcp

    def broken(transport: int, compound: bytes) -> None:
        if transport == PUBLISHER:
            raise RuntimeError("this one's")
        send(transport, compound)

    monkeypatch.setattr(desk.path, "send_rtcp", broken)
    desk.feedback.repair(SECOND)
    for now in (SECOND, SECOND + 20_000):
        desk.feedback.congestion(now)
    for now in (SECOND, 3 * SECOND):
        desk.feedback.report(now)
    told = {type(packet) for packet in desk.told(200)}
    assert told >= {rtcp.Nack, rtcp.PictureLoss, TransportFeedback, rtcp.ReceiverReport}
    assert desk.told(PUBLISHER) == []
    for name in ("nack", "pli", "congestion", "report"):
        assert desk.feedback.counters[f"{name}_failed"] >= 1, name


def test_rtcp_that_breaks_something_is_counted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(leg: int, sequences: list[int]) -> list[int]:
        raise RuntimeError("a defect")

    monkeypatch.setattr(desk.path, "held", broken)
    desk.take(nack(7))
    assert desk.feedback.counters["rtcp_failed"] == 1
    desk.feedback.rtcp_received(999, b"", 0)  # of a transport that is closed


def test_a_listener_that_breaks_costs_the_next_one_nothing(desk: Desk) -> None:
    class Broken:
        def track_started(self) -> None:
            raise RuntimeError("a defect")

    codecs = {96: Codec(name="VP8", clock_rate=90_000)}
    spec = TrackSpec(transport=PUBLISHER, kind="video", ssrc=1004, codecs=codecs)
    broken = desk.streams.add_track(spec, Broken())
    desk.track.started = False
    for track in (broken, desk.track):
        desk.feedback.track_started(track.number)
    assert desk.listener.started == 1
    assert desk.feedback.counters["track_failed"] == 1


def test_asking_late_for_a_paused_picture_pauses_no_other(desk: Desk) -> None:
    other = desk.add_leg(2002)
    desk.path.sending[other.number] = send_stats(recent_octets=10)
    for step in range(250):
        desk.path.sending[desk.leg.number] = send_stats(packets=3 * step)
        desk.take(nack(2 * step, 2 * step + 1), now_us=step * 20_000)
    assert desk.leg.paused
    assert not other.paused
