"""An SSRC that changes in mid-stream: whose it is, and when it takes over (RFC 9143 section 9.2)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from path_rig import Rig, rtp, vp8
from sfu_stubs import StubPath
from test_session_feedback import receive_stats

from sfu.path.interface import Codec, Kind, LegSpec, Source, TrackSpec, UnknownStream
from sfu.path.python.unknown import MAX_UNKNOWN, UnknownStreams
from sfu.path.streams import Streams
from sfu.path.succession import APART_US, SILENT_US, Part, Succession, part_of
from sfu.rtcp.feedback import Feedback
from sfu.sdp.answers import Published
from sfu.sdp.codecs import OPUS, VP8
from sfu.session.publication import learn
from sfu.wire import rtx

FIRST, SECOND, THIRD, RTX, OTHER_RTX = 1001, 1002, 1003, 2001, 2002
MID_ID, LEVEL_ID = 4, 1
STEP_US = 20_000


@pytest.mark.parametrize(
    ("mid", "payload_type", "part"),
    [
        ("cam", 96, "media"),
        ("cam", 97, "rtx"),
        ("cam", 98, None),
        ("", 96, "media"),
        ("", 97, "rtx"),
        ("other", 96, None),  # its MID says whose it is, whatever its payload type
        ("cam\ufffd", 96, None),
    ],
)
def test_the_mid_says_whose_it_is_and_without_one_the_payload_type(
    mid: str, payload_type: int, part: Part | None
) -> None:
    assert part_of(UnknownStream(1, FIRST, payload_type, mid), "cam", {96}, {97}) == part


def test_an_heir_waits_until_the_former_has_ended() -> None:
    succession = Succession()
    succession.propose(SECOND)
    assert succession.decide(50, 0) is None
    assert succession.decide(50, SILENT_US - 1) is None
    assert succession.decide(50, SILENT_US) == SECOND
    assert not succession.open


def test_of_two_that_go_on_side_by_side_the_first_stays() -> None:
    succession = Succession()
    for now in range(0, 10_000_000, STEP_US):
        succession.propose(SECOND)
        assert succession.decide(now // STEP_US, now) is None


def test_a_stream_is_not_taken_over_all_the_time() -> None:
    succession, times = Succession(), []
    for now in range(0, 10_000_000, STEP_US):
        succession.propose(SECOND)
        if succession.decide(0, now):
            times.append(now)
    assert all(later - earlier >= APART_US for earlier, later in pairwise(times))
    assert len(times) >= 9


# --- through the path ---------------------------------------------------------------------------


class Told:
    def __init__(self) -> None:
        self.times = 0

    def track_started(self) -> None:
        self.times += 1


class Stage:
    """alice publishes on one m-line, bob gets it."""

    def __init__(self, rig: Rig, kind: Kind) -> None:
        self.rig, self.kind, self.told = rig, kind, Told()
        self.alice, self.bob = rig.remote(), rig.remote()
        self.streams = Streams(rig.path)
        self.feedback = Feedback(rig.path, self.streams, "name", lambda: 1_800_000_000.0)
        video = kind == "video"
        self.payload_type = 96 if video else 111
        self.published = Published(
            mid="m1",
            codecs={self.payload_type: VP8 if video else OPUS},
            rtx={96: 97} if video else {},
            extensions={},
            ssrc=FIRST,
            rtx_ssrc=RTX if video else None,
        )
        name = "VP8" if video else "opus"
        codec = Codec(name=name, clock_rate=90_000, rtx=97 if video else None)
        spec = TrackSpec(
            transport=self.alice.transport,
            kind=kind,
            ssrc=FIRST,
            rtx_ssrc=self.published.rtx_ssrc,
            codecs={self.payload_type: codec},
            mid_id=MID_ID,
            audio_level_id=0 if video else LEVEL_ID,
        )
        self.track = self.streams.add_track(spec, self.told)
        self.leg = self.streams.add_leg(LegSpec(transport=self.bob.transport, kind=kind, ssrc=5000))
        source = Source(track=self.track.number, payload_types={self.payload_type: 100})
        self.streams.set_source(self.leg, source, rig.now_us)
        self.number, self.sent = 0, 0
        self.got: list[tuple[int, int]] = []
        """Sequence number and timestamp of what bob has received."""

    def packet(self, ssrc: int, mid: str = "m1", *, keyframe: bool = False) -> bytes:
        self.number += 1
        element = bytes([MID_ID << 4 | len(mid) - 1]) + mid.encode() if mid else b""
        body = vp8(self.number, keyframe=keyframe) if self.kind == "video" else bytes(80)
        return rtp(
            self.number + 7 * ssrc,
            (self.number * 1800 + 1_000_003 * ssrc) & 0xFFFFFFFF,
            ssrc,
            body,
            payload_type=self.payload_type,
            elements=element or None,
        )

    def step(self, *packets: bytes) -> None:
        for packet in packets:
            self.alice.send(packet)
            self.sent += 1
        inbound = self.rig.drain(STEP_US)
        for stream in inbound.unknown:
            learn(self.streams, self.published, self.track, stream)
        for track in inbound.started:
            self.feedback.track_started(track)
        for track in inbound.keyframes:
            self.feedback.keyframe_seen(track, self.rig.now_us)
        self.feedback.repair(self.rig.now_us)
        self.got += [
            (packet.sequence, packet.timestamp)
            for packet in self.bob.receive()
            if packet.ssrc == 5000
        ]

    def show(self, steps: int, ssrc: int, mid: str = "m1") -> int:
        """How many of these packets bob got."""
        before = len(self.got)
        for step in range(steps):
            self.step(self.packet(ssrc, mid, keyframe=step % 15 == 0))
        return len(self.got) - before


@pytest.fixture(params=["video", "audio"])
def stage(rig: Rig, request: pytest.FixtureRequest) -> Stage:
    return Stage(rig, request.param)


@pytest.mark.parametrize("mid", ["m1", ""])
def test_a_stream_goes_on_under_another_ssrc(stage: Stage, mid: str) -> None:
    assert stage.show(30, FIRST) == 30
    assert stage.show(60, SECOND, mid) >= 30
    assert stage.track.ssrc == SECOND
    sequences = [sequence for sequence, _ in stage.got]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences))), "no gap"
    times = [timestamp for _, timestamp in stage.got]
    assert all(0 < (later - earlier) & 0xFFFFFFFF < 90_000 for earlier, later in pairwise(times))
    assert stage.told.times == 1, "nothing has begun for anybody else"


def test_what_says_it_belongs_elsewhere_is_not_taken(stage: Stage) -> None:
    stage.show(30, FIRST)
    assert stage.show(60, SECOND, "m2") == 0
    assert stage.track.ssrc == FIRST


def test_a_mid_that_lies_steals_no_other_tracks_ssrc(stage: Stage) -> None:
    """Both of alice's tracks go on, whatever the packets of the second say of themselves."""
    codecs = {stage.payload_type: Codec(name="VP8", clock_rate=90_000)}
    other = stage.streams.add_track(
        TrackSpec(
            transport=stage.alice.transport,
            kind=stage.kind,
            ssrc=THIRD,
            codecs=codecs,
            mid_id=MID_ID,
        ),
        Told(),
    )
    for _ in range(60):
        stage.step(stage.packet(THIRD, "m1"))
    assert stage.track.ssrc == FIRST
    assert stage.rig.path.receive_stats(other.number).packets == 60
    assert stage.got == []


def test_two_that_are_sent_side_by_side_do_not_take_turns(stage: Stage) -> None:
    for step in range(150):
        stage.step(stage.packet(FIRST, keyframe=step % 15 == 0), stage.packet(SECOND))
    assert stage.track.ssrc == FIRST
    assert len(stage.got) == 150


def test_who_changes_all_the_time_keeps_no_state_here(stage: Stage) -> None:
    for ssrc in range(9_000, 9_400):
        stage.step(stage.packet(ssrc), stage.packet(ssrc))
    assert stage.streams.leftovers()["tracks"] == 1
    assert stage.feedback.counters["track_failed"] == 0


def test_a_muted_stream_stays_muted_under_another_ssrc(stage: Stage) -> None:
    stage.show(30, FIRST)
    stage.streams.mute(stage.track, True)
    assert stage.show(60, SECOND) == 0
    assert stage.track.ssrc == SECOND
    stage.streams.mute(stage.track, False)
    assert stage.show(30, SECOND) > 10


def test_it_changes_back_as_well(stage: Stage) -> None:
    stage.show(30, FIRST)
    assert stage.show(60, SECOND) >= 30
    stage.show(80, FIRST)
    assert stage.track.ssrc == FIRST


def test_retransmissions_under_another_ssrc_are_taken(rig: Rig) -> None:
    stage = Stage(rig, "video")
    stage.show(5, FIRST)
    lost = stage.packet(FIRST)
    stage.show(1, FIRST)
    assert rig.path.missing()
    payload_at = 12 + 4 + 4
    for number in (1, 2):  # the first one tells which SSRC it is
        stage.step(rtx.wrap(lost, payload_at, 97, OTHER_RTX, number))
    assert rig.path.missing() == []
    assert rig.path.receive_stats(stage.track.number).rtx_recovered == 1
    with pytest.raises(ValueError, match="SSRC"):
        rig.path.set_rtx(stage.track.number, FIRST)


def test_libsrtp_keeps_no_state_of_what_a_track_was_once(rig: Rig) -> None:
    """What has made room may come again from the beginning, which a replay window would not allow."""
    alice = rig.remote()
    for ssrc in range(100, 140):
        track = rig.track(alice, ssrc)
        alice.send(rtp(1, 0, ssrc, vp8(1)))
        rig.drain(1_000)
        rig.path.remove_track(track)
    again = rig.track(alice, 100)
    data = alice.protects.protect(rtp(2, 0, 100, vp8(1)))
    for _ in range(2):
        alice.send_raw(data)
    rig.drain()
    assert rig.path.receive_stats(again).packets == 1
    assert rig.count("drop_replayed") == 1


def test_a_viewer_that_breaks_costs_the_others_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    path = StubPath()
    streams = Streams(path)
    codecs = {96: Codec(name="VP8", clock_rate=90_000)}
    track = streams.add_track(TrackSpec(transport=1, kind="video", ssrc=1, codecs=codecs), Told())
    legs = [streams.add_leg(LegSpec(transport=2, kind="video", ssrc=9 + n)) for n in range(3)]
    for leg in legs:
        streams.set_source(leg, Source(track=track.number, payload_types={96: 96}), 0)
    path.received[track.number] = receive_stats()
    feed = path.set_source

    def broken(leg: int, source: Source | None, now_us: int) -> None:
        if leg == legs[1].number:
            raise RuntimeError("this one's")
        feed(leg, source, now_us)

    monkeypatch.setattr(path, "set_source", broken)
    streams.propose(track, 2)
    streams.follow(0)
    streams.follow(SILENT_US)
    for leg in (legs[0], legs[2]):
        source = path.sources[leg.number]
        assert source
        assert source.track == track.number
    assert streams.guard.counters == {"succession_failed": 1}


def test_paused_viewers_stay_paused_when_the_ssrc_changes() -> None:
    path = StubPath()
    streams = Streams(path)
    spec = TrackSpec(
        transport=1, kind="video", ssrc=1, codecs={96: Codec(name="VP8", clock_rate=90_000)}
    )
    track = streams.add_track(spec, Told())
    leg = streams.add_leg(LegSpec(transport=2, kind="video", ssrc=9))
    streams.set_source(leg, Source(track=track.number, payload_types={96: 96}), 0)
    streams.pause(leg, paused=True, now_us=0)
    streams.propose(track, 2)
    path.received[track.number] = receive_stats()
    streams.follow(0)
    streams.follow(SILENT_US)
    assert track.ssrc == 2
    assert path.sources[leg.number] is None
    assert leg.source == Source(track=track.number, payload_types={96: 96})
    streams.pause(leg, paused=False, now_us=0)
    assert path.sources[leg.number] == leg.source


def test_former_ssrcs_make_room_for_each_other_in_order() -> None:
    unknown = UnknownStreams()
    made = [unknown.retire(ssrc, 0) for ssrc in range(MAX_UNKNOWN + 8)]
    assert made == [None] * MAX_UNKNOWN + list(range(8))
    assert not unknown.has_room(999)
    assert unknown.has_room(MAX_UNKNOWN + 7)
    assert unknown.tell(MAX_UNKNOWN + 7, 0), "it may take over again"
