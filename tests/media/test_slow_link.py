"""A viewer whose link carries less than it is sent: what it still gets, and what that costs the worker and others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from lossy_proxy import Proxy, SlowLink, in_front_of
from media_rig import Camera, Controller, Participant, both_paths, inbound_stats, until

from schemas.sfu import FeedPaused, VideoLive
from sfu.worker.worker import Worker

Join = Callable[[], Participant]
QUEUE = 0.2


class Scene:
    """alice speaks and shows herself; carol sees her well; bob is about to come over a link of his own."""

    def __init__(self, worker: Worker, controller: Controller, join: Join) -> None:
        self.worker, self.controller = worker, controller
        self.alice, self.bob, self.carol = join(), join(), join()

    async def begin(self, camera: Camera) -> None:
        await self.alice.join_audio()
        await self.alice.publish(camera=camera)
        await self.controller.notice(VideoLive, user=self.alice.user)
        await self.carol.subscribe(self.alice.feed())
        await self.carol.sees(self.alice.feed())

    @asynccontextmanager
    async def slow(self, rate: float) -> AsyncIterator[Proxy]:
        """bob, who hears and wants to see alice."""
        async with in_front_of(self.worker) as proxy:
            proxy.link = SlowLink(rate, QUEUE)
            await self.bob.join_audio(slots=1)
            await self.bob.hears()
            await self.bob.subscribe(self.alice.feed())
            yield proxy

    def count(self, name: str) -> int:
        return self.worker.counters().get(name, 0)

    async def rate_in(self) -> float:
        """What comes in, in bits a second."""
        before = self.count("bytes_in")
        await asyncio.sleep(1)
        return 8 * (self.count("bytes_in") - before)

    async def sound(self) -> tuple[int, int]:
        """Packets of sound that bob lost and got. What his decoder makes up depends on how busy this machine is."""
        (stats,) = await inbound_stats(self.bob.audio, "audio")
        return stats.packets_lost or 0, stats.packets_received or 0


@pytest.fixture
async def scene(worker: Worker, controller: Controller, join: Join) -> Scene:
    return Scene(worker, controller, join)


@both_paths
async def test_a_picture_that_does_not_fit_pauses_and_the_sound_goes_on(scene: Scene) -> None:
    camera = Camera(30, 640, 360, noise=True)
    await scene.begin(camera)
    while await scene.rate_in() < 1_000_000:
        pass  # until alice has found out what she may send
    async with scene.slow(500_000) as proxy:
        paused = await scene.controller.notice(FeedPaused, user=scene.bob.user, paused=True)
        assert paused.feed == scene.alice.feed()

        await asyncio.sleep(QUEUE)
        lost, got = await scene.sound()
        sent, seen = camera.sent, await scene.carol.decoded()
        out, media = scene.count("bytes_out"), scene.count("bytes_in")
        await asyncio.sleep(3)
        lost_now, got_now = await scene.sound()
        assert got_now - got > 50
        assert lost_now - lost <= 0.02 * (got_now - got)
        media = scene.count("bytes_in") - media
        assert scene.count("bytes_out") - out < 1.3 * media, (
            "no more than carol's share and the sound"
        )
        assert await scene.carol.decoded() - seen > 0.8 * (camera.sent - sent)

        proxy.link = SlowLink(20_000_000, QUEUE)
        await scene.controller.notice(FeedPaused, user=scene.bob.user, paused=False, within=20)
        await scene.bob.sees(scene.alice.feed(), 10)


async def test_a_picture_that_fits_is_shown(scene: Scene) -> None:
    await scene.begin(Camera(15))
    async with scene.slow(700_000):
        await scene.bob.sees(scene.alice.feed(), 40, within=15)
        assert not scene.controller.seen(FeedPaused)


async def test_a_short_squeeze_is_over_soon(scene: Scene) -> None:
    await scene.begin(Camera(30, 640, 360, noise=True))
    async with scene.slow(20_000_000) as proxy:
        await scene.bob.sees(scene.alice.feed())
        proxy.link = SlowLink(200_000, QUEUE)
        await scene.controller.notice(FeedPaused, user=scene.bob.user, paused=True)
        proxy.link = SlowLink(20_000_000, QUEUE)
        await until(
            lambda: scene.controller.seen(FeedPaused, user=scene.bob.user, paused=False), 20
        )
        await scene.bob.sees(scene.alice.feed(), 10)
