"""Participants do whatever they like, in an order drawn from a seed; afterwards nothing is left and nothing broke."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress

import pytest
from media_rig import Camera, Controller, Participant, both_paths, patient, until

from schemas.sfu import RemovePeer
from sfu.worker.worker import Worker

Join = Callable[[], Participant]


ACTIONS = [
    "publish",
    "publish",
    "screen",
    "unpublish",
    "drop",
    "see",
    "see",
    "unsee",
    "audio",
    "mute",
    "restart",
    "again",
    "leave",
]


class Crowd:
    def __init__(self, controller: Controller, join: Join, seed: int) -> None:
        self.random = random.Random(seed)
        self.controller = controller
        self.join = join
        self.present = [join() for _ in range(4)]

    async def step(self) -> None:
        one = self.random.choice(self.present)
        others = [other for other in self.present if other is not one]
        some = self.random.sample(others, self.random.randint(1, len(others)))
        match self.random.choice(ACTIONS):
            case "publish" if "video" not in one.outgoing:
                await one.publish(camera=Camera(8, 160, 90))
            case "screen" if "screen" not in one.outgoing:
                await one.publish("screen", Camera(5, 160, 90))
            case "unpublish" if one.outgoing:
                await one.unpublish(self.random.choice(list(one.outgoing)))
            case "drop" if one.outgoing:
                await one.drop(self.random.choice(list(one.outgoing)))
            case "see":
                await one.subscribe(*(other.feed() for other in some))
            case "unsee":
                await one.subscribe(without=tuple(other.feed() for other in some))
            case "audio":
                await one.join_audio(slots=2, enabled=self.random.random() < 0.7)
            case "mute" if one.audio:
                await one.set_audio(self.random.random() < 0.5)
            case "restart" if one.audio:
                await one.join_audio(restart=True)
            case "again" if one.inbound:
                one.inbound.close()
                one.inbound = None
                await one.subscribe(*(other.feed() for other in some))
            case "leave":
                await one.leave()
                await one.close()
                self.present[self.present.index(one)] = self.join()


@both_paths
@pytest.mark.parametrize("seed", range(2))
async def test_any_order_leaves_nothing_behind(
    worker: Worker, controller: Controller, join: Join, seed: int
) -> None:
    crowd = Crowd(controller, join, seed)
    async with asyncio.timeout(patient(60)):
        for _ in range(60):
            await crowd.step()
            await asyncio.sleep(crowd.random.choice([0, 0, 0.02, 0.1]))
        for one in crowd.present:
            # What is still on the way may be refused: the offer that it answers may have been replaced.
            with suppress(AssertionError):
                await one.subscribe(*(other.feed() for other in crowd.present if other is not one))
        viewer, publisher = crowd.present[:2]
        if "video" not in publisher.outgoing:
            await publisher.publish(camera=Camera(8, 160, 90))
        await viewer.subscribe(publisher.feed())
        await viewer.sees(publisher.feed(), 3, within=15)
        for one in crowd.present:
            await controller.call(RemovePeer(user=one.user))
    await until(lambda: not any(worker.leftovers().values()), what="all tables empty")
    counters = worker.counters()
    for name in ("read_failed", "tick_failed", "commands_failed", "peer_task_failed"):
        assert counters.get(name, 0) == 0, name
