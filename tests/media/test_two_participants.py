"""Two libwebrtc clients meet through the worker, commanded over Redis."""

from __future__ import annotations

from collections.abc import Callable

from media_rig import Controller, Participant, both_paths

from schemas.sfu import AudioConnected, VideoLive
from sfu.worker.worker import Worker

Join = Callable[[], Participant]


@both_paths
async def test_each_sees_and_hears_the_other(
    worker: Worker, controller: Controller, join: Join
) -> None:
    alice, bob = join(), join()
    for one in (alice, bob):
        await one.join_audio()
        await one.publish()
        await controller.notice(AudioConnected, user=one.user)
        await controller.notice(VideoLive, user=one.user)
    await alice.subscribe(bob.feed())
    await bob.subscribe(alice.feed())
    await alice.sees(bob.feed())
    await bob.sees(alice.feed())
    await alice.hears()
    await bob.hears()
