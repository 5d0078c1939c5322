"""What a viewer can make a worker send and its publisher do by asking, counted on the wire, on both packet paths."""

from __future__ import annotations

import struct

import pytest
from path_rig import Remote, Rig, rtp, vp8

from sfu.path.interface import Codec, LegSpec, Source, TrackSpec
from sfu.path.streams import Leg, Streams
from sfu.rtcp.feedback import RTCP_RATE, Feedback
from sfu.rtcp.repair import SHARE
from sfu.wire import rtcp

PUBLISHER, VIEWER, VIEWER_RTX = 1000, 5000, 5001
SIZE = 1_100
STEP_US = 20_000
SRTP = 16 + 14
"""What protection, a picture descriptor and the retransmission header add to a payload, about."""


class Listener:
    def __init__(self) -> None:
        self.paused: list[bool] = []

    def track_started(self) -> None: ...

    def leg_paused(self, leg: Leg, *, paused: bool) -> None:
        self.paused.append(paused)


class Stage:
    """alice's camera of 150 packets a second, and bob, who gets it."""

    def __init__(self, rig: Rig, *, rtx: bool = True) -> None:
        self.rig, self.listener = rig, Listener()
        self.alice, self.bob = rig.remote(), rig.remote()
        self.streams = Streams(rig.path)
        self.feedback = Feedback(rig.path, self.streams, "name", lambda: 1_800_000_000.0)
        codecs = {96: Codec(name="VP8", clock_rate=90_000, rtx=97)}
        spec = TrackSpec(
            transport=self.alice.transport, kind="video", ssrc=PUBLISHER, codecs=codecs
        )
        self.track = self.streams.add_track(spec, self.listener)
        self.leg = self.streams.add_leg(
            LegSpec(
                transport=self.bob.transport,
                kind="video",
                ssrc=VIEWER,
                rtx_ssrc=VIEWER_RTX if rtx else None,
                rtx={120: 121},
            ),
            self.listener,
        )
        source = Source(track=self.track.number, payload_types={96: 120})
        self.streams.set_source(self.leg, source, rig.now_us)
        self.number = 0

    def show(self, packets: int = 3, *, lost: int = 0) -> None:
        """One step of 20 ms; so many more packets get lost on the way here."""
        self.number += lost
        for _ in range(packets):
            self.number += 1
            payload = vp8(self.number, keyframe=self.number % 50 == 1, body=bytes(SIZE))
            self.alice.send(rtp(self.number, self.number * 600, PUBLISHER, payload))
        self.tick()

    def tick(self) -> None:
        inbound = self.rig.drain(STEP_US)
        for track in inbound.keyframes:
            self.feedback.keyframe_seen(track, self.rig.now_us)
        for transport, compound in inbound.rtcp:
            self.feedback.rtcp_received(transport, compound, self.rig.now_us)
        for track in inbound.started:
            self.feedback.track_started(track)
        self.feedback.repair(self.rig.now_us)
        self.feedback.report(self.rig.now_us)

    def asks(self, first: int, last: int) -> int:
        """bob asks for these numbers, all in one packet; its bytes."""
        entries = b"".join(
            struct.pack("!HH", number & 0xFFFF, 0xFFFF) for number in range(first, last + 1, 17)
        )
        head = struct.pack("!BBHII", 0x81, 205, 2 + len(entries) // 4, 9, VIEWER)
        self.bob.send_rtcp(head + entries)
        return len(head + entries) + 34

    def hears(self, remote: Remote) -> int:
        """Bytes of media since the last look."""
        return sum(len(data) for data in remote.receive_raw() if not 192 <= data[1] <= 223)


@pytest.fixture(params=[True, False], ids=["rtx", "same-ssrc"])
def stage(rig: Rig, request: pytest.FixtureRequest) -> Stage:
    return Stage(rig, rtx=request.param)


def media_of(packets: int) -> int:
    return packets * (12 + 5 + SIZE + SRTP)


@pytest.mark.parametrize("per_step", [1, 5])
def test_who_asks_for_everything_gets_a_quarter_more_at_most(stage: Stage, per_step: int) -> None:
    asked = got = 0
    for _ in range(200):
        stage.show()
        for _ in range(per_step):
            asked += stage.asks(stage.number - 400, stage.number)
        got += stage.hears(stage.bob)
    sent = media_of(stage.number)
    assert got <= sent * (1 + 1 / SHARE), f"{asked} bytes of asking fetched {got - sent} more"
    assert stage.rig.count("retransmitted") > 0


def test_who_is_sent_nothing_any_more_gets_nothing_again(stage: Stage) -> None:
    for _ in range(100):
        stage.show()
    stage.bob.receive_raw()
    before = stage.rig.count("retransmitted")
    for _ in range(200):
        stage.tick()
        stage.asks(1, stage.number)
    assert stage.hears(stage.bob) <= media_of(200) / SHARE, "a quarter of the last second"
    assert stage.rig.count("retransmitted") - before <= 150 / SHARE


def test_each_packet_comes_three_times_again_at_most(stage: Stage) -> None:
    for _ in range(100):
        stage.show()
    wanted = stage.number - 1
    before = stage.rig.count("retransmitted")
    for _ in range(40):
        stage.asks(wanted, wanted)
        stage.show()
    # One entry of a NACK names seventeen.
    assert stage.rig.count("retransmitted") - before <= 17 * 3
    assert stage.rig.count("retransmitted") - before >= 3


def test_what_is_older_than_a_second_does_not_come_again(stage: Stage) -> None:
    for _ in range(60):
        stage.show()
    before = stage.rig.count("retransmitted")
    stage.asks(1, 17)  # more than a second ago
    stage.show()
    assert stage.rig.count("retransmitted") == before
    stage.asks(stage.number - 100, stage.number - 84)
    stage.show()
    assert stage.rig.count("retransmitted") > before


def test_who_loses_a_third_is_paused_and_shown_again(stage: Stage) -> None:
    for step in range(100):
        stage.show()
        stage.asks(stage.number - 17 * (step % 2), stage.number - 17 * (step % 2))
        if stage.listener.paused:
            break
    assert stage.listener.paused == [True]
    assert stage.leg.paused
    stage.bob.receive_raw()
    for _ in range(100):
        stage.show()
        stage.asks(stage.number - 400, stage.number)
    assert stage.hears(stage.bob) == 0
    for _ in range(200):
        stage.show()
    assert stage.listener.paused == [True, False]
    assert stage.hears(stage.bob) > 0


def report(fraction: int) -> bytes:
    block = rtcp.ReportBlock(ssrc=VIEWER, fraction_lost=fraction)
    return rtcp.build([rtcp.ReceiverReport(ssrc=9, reports=[block])])


@pytest.mark.parametrize(("fraction", "paused"), [(25, False), (26, True), (255, True)])
def test_who_reports_a_tenth_lost_for_seconds_is_paused(
    stage: Stage, fraction: int, *, paused: bool
) -> None:
    for step in range(151):
        stage.show()
        if step % 50 == 25:
            stage.bob.send_rtcp(report(fraction))
    assert stage.leg.paused == paused


def test_what_the_publishers_link_loses_is_not_held_against_a_viewer(stage: Stage) -> None:
    for step in range(300):
        stage.show(2, lost=1)
        stage.asks(stage.number - 6, stage.number - 6)  # which is in each case one of the lost
        if step % 50 == 25:
            stage.bob.send_rtcp(report(85))
    assert not stage.leg.paused
    assert stage.feedback.counters["nacks_missed"] > 0


def test_nothing_comes_again_while_a_tenth_is_reported_lost(stage: Stage) -> None:
    for _ in range(2):
        for _ in range(50):
            stage.show()
        stage.bob.send_rtcp(report(40))
        stage.show()
    before = stage.rig.count("retransmitted")
    for _ in range(50):
        stage.asks(stage.number - 16, stage.number)
        stage.show()
    assert stage.rig.count("retransmitted") == before


@pytest.mark.parametrize("form", ["pli", "fir"])
def test_a_flood_of_wishes_is_a_keyframe_now_and_then(stage: Stage, form: str) -> None:
    wish: rtcp.Rtcp = rtcp.PictureLoss(sender_ssrc=9, media_ssrc=VIEWER)
    if form == "fir":
        wish = rtcp.FullIntraRequest(sender_ssrc=9, entries=[(VIEWER, n) for n in range(50)])
    for _ in range(500):
        stage.show()
        stage.bob.send_rtcp(rtcp.build([wish] * 3))
    assert 1 <= stage.feedback.counters["plis_sent"] <= 3 + 10 / 3 + 1


def test_a_flood_of_rtcp_is_read_in_part_and_only_its_senders(stage: Stage) -> None:
    carol = stage.rig.remote()
    leg = stage.streams.add_leg(
        LegSpec(transport=carol.transport, kind="video", ssrc=VIEWER, rtx={120: 121})
    )
    source = Source(track=stage.track.number, payload_types={96: 120})
    stage.streams.set_source(leg, source, stage.rig.now_us)
    taken = stage.feedback.counters
    for _ in range(50):
        stage.show()
        for _ in range(10):
            stage.asks(1, 5_000)
    assert taken["rtcp_limited"] > 0
    assert taken["nacks_received"] <= 2 * RTCP_RATE * 17 / 4
    before = stage.rig.count("retransmitted")
    nack = rtcp.Nack(sender_ssrc=9, media_ssrc=VIEWER, sequences=[1])
    carol.receive_raw()
    while not carol.receive_raw():
        stage.show()
    newest = stage.rig.path.send_stats(leg.number).packets
    nack = rtcp.Nack(sender_ssrc=9, media_ssrc=VIEWER, sequences=[newest])
    carol.send_rtcp(rtcp.build([nack]))
    stage.tick()
    assert stage.rig.count("retransmitted") > before
