"""What libwebrtc makes of the worker's RTCP."""

from __future__ import annotations

import time
from collections.abc import Callable

import webrtc
from media_rig import Camera, Controller, Participant, patient

from schemas.sfu import VideoLive
from sfu.worker.worker import Worker

Join = Callable[[], Participant]


async def first(
    connection: webrtc.RTCPeerConnection | None,
    kind: type,
    good: Callable[[webrtc.RTCStats], bool],
    within: float = 8.0,
) -> None:
    """Wait for statistics of this kind that are good."""
    assert connection
    limit = time.monotonic() + patient(within)
    seen: list[object] = []
    while time.monotonic() < limit:
        seen = [s for s in (await connection.get_stats()).values() if isinstance(s, kind)]
        if any(good(stats) for stats in seen):
            return
    raise AssertionError(f"not within {within} s: {seen}")


async def test_a_publisher_learns_that_it_may_send_a_good_picture(
    worker: Worker, controller: Controller, join: Join
) -> None:
    """By transport-wide feedback its estimate leaves the 300 kbit/s that it starts from."""
    alice = join()
    await alice.publish(camera=Camera(30, 640, 360, noise=True))
    await controller.notice(VideoLive, user=alice.user)
    await first(
        alice.outgoing["video"],
        webrtc.RTCIceCandidatePairStats,
        lambda stats: (stats.available_outgoing_bitrate or 0) > 1_000_000,
    )
    await first(
        alice.outgoing["video"],
        webrtc.RTCOutboundRtpStreamStats,
        lambda stats: (stats.target_bitrate or 0) > 1_000_000,
    )


async def test_both_ends_get_reports(worker: Worker, controller: Controller, join: Join) -> None:
    alice, bob = join(), join()
    await alice.join_audio()
    await bob.join_audio()
    await alice.publish()
    await bob.subscribe(alice.feed())
    await bob.sees(alice.feed())
    await first(
        alice.outgoing["video"],
        webrtc.RTCRemoteInboundRtpStreamStats,
        lambda stats: stats.round_trip_time is not None and 0 <= stats.round_trip_time < 1,
    )
    for connection in (bob.inbound, bob.audio):
        await first(
            connection,
            webrtc.RTCRemoteOutboundRtpStreamStats,
            lambda stats: (stats.packets_sent or 0) > 0 and stats.remote_timestamp is not None,
        )
