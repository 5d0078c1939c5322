"""Meetings of several libwebrtc participants."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import permutations

import pytest
from media_rig import Camera, Controller, Participant, both_paths, patient, until

from schemas.sfu import (
    CloseMeeting,
    ConnectionLost,
    Offered,
    RemovePeer,
    Talking,
    VideoLive,
)
from sfu.worker.worker import Worker

Join = Callable[[], Participant]


@pytest.mark.parametrize(("people", "fps"), [(3, 15), (10, 6)])
async def test_everybody_sees_everybody(
    worker: Worker, controller: Controller, join: Join, people: int, fps: int
) -> None:
    everybody = [join() for _ in range(people)]
    for one in everybody:
        await one.publish(camera=Camera(fps, 160, 90))
        await controller.notice(VideoLive, user=one.user)
    for one in everybody:
        await one.subscribe(*(other.feed() for other in everybody if other is not one))
    async with asyncio.timeout(patient(15)):
        await asyncio.gather(
            *(one.sees(other.feed(), 3, 15) for one, other in permutations(everybody, 2))
        )
    assert worker.leftovers()["legs"] == people * (people - 1)

    await controller.done(CloseMeeting())
    await until(lambda: not any(worker.leftovers().values()), what="all tables empty")


async def test_a_late_viewer_has_a_picture_within_a_second(
    worker: Worker, controller: Controller, join: Join
) -> None:
    alice, bob, carol = join(), join(), join()
    await alice.publish()
    await controller.notice(VideoLive, user=alice.user)
    await bob.subscribe(alice.feed())
    await bob.sees(alice.feed(), 20)
    keyframes = worker.counters()["plis_sent"]

    await carol.subscribe(alice.feed())
    await until(lambda: carol.inbound and carol.inbound.connection_state == "connected")
    connected = time.monotonic()
    await carol.sees(alice.feed(), 1, within=1.0)
    assert time.monotonic() - connected < patient(1.0)
    assert worker.counters()["plis_sent"] > keyframes


async def test_a_late_viewer_does_not_wait_for_the_next_periodic_keyframe(
    controller: Controller, join: Join
) -> None:
    """A connection that is up already: only the keyframe is new."""
    alice, bob, carol = join(), join(), join()
    for one in (alice, carol):
        await one.publish()
        await controller.notice(VideoLive, user=one.user)
    await bob.subscribe(carol.feed())
    await bob.sees(carol.feed(), 10)

    asked = time.monotonic()
    await bob.subscribe(alice.feed())
    await until(lambda: f"{alice.user}/video" in bob.tracks)
    await bob.sees(alice.feed(), 1, within=1.0)
    assert time.monotonic() - asked < patient(1.5)


@both_paths
async def test_subscriptions_come_and_go_without_an_orphan(
    worker: Worker, controller: Controller, join: Join
) -> None:
    alice, bob, carol = join(), join(), join()
    for one in (alice, bob):
        await one.publish(camera=Camera(10, 160, 90))
        await controller.notice(VideoLive, user=one.user)
    await carol.subscribe(alice.feed())
    await carol.sees(alice.feed())
    at_rest = worker.leftovers()

    for _ in range(50):
        offers = len(controller.seen(Offered, user=carol.user))
        await carol.subscribe(bob.feed())
        await until(lambda: worker.leftovers()["legs"] == 2, what="bob's leg")
        await carol.subscribe(without=(bob.feed(),))
        await until(lambda: worker.leftovers()["legs"] == 1, what="no leg of bob's")
        assert len(controller.seen(Offered, user=carol.user)) >= offers + 1

    assert worker.leftovers() == at_rest
    last = controller.seen(Offered, user=carol.user)[-1]
    assert last.sdp.count("m=video") == 2, "the freed m-line is used again"
    await carol.sees(alice.feed())
    await carol.subscribe(bob.feed())
    await until(lambda: worker.leftovers()["legs"] == 2)
    await carol.sees(bob.feed())

    for one in (alice, bob, carol):
        await one.leave()
    await until(lambda: not any(worker.leftovers().values()), what="all tables empty")


async def test_a_feed_that_is_not_live_is_offered_once_it_is(
    controller: Controller, join: Join
) -> None:
    alice, bob = join(), join()
    await bob.subscribe(alice.feed(), alice.feed("screen"))
    assert not controller.seen(Offered, user=bob.user)
    await alice.publish("screen")
    offered = await controller.notice(Offered, user=bob.user)
    assert [(s.user, s.kind) for s in offered.streams] == [(alice.user, "screen")]
    assert f"msid:{alice.user}/screen " in offered.sdp
    await bob.sees(alice.feed("screen"))


async def test_the_worker_drops_a_feed_that_ended_and_offers_again(
    worker: Worker, controller: Controller, join: Join
) -> None:
    alice, bob, carol = join(), join(), join()
    for one in (alice, bob):
        await one.publish()
        await controller.notice(VideoLive, user=one.user)
    await carol.subscribe(alice.feed(), bob.feed())
    await carol.sees(alice.feed())
    await carol.sees(bob.feed())
    offers = len(controller.seen(Offered, user=carol.user))

    await alice.unpublish()
    await until(lambda: len(controller.seen(Offered, user=carol.user)) > offers)
    last = controller.seen(Offered, user=carol.user)[-1]
    assert [s.user for s in last.streams] == [bob.user]
    await until(lambda: worker.leftovers()["legs"] == 1)
    assert not controller.seen(ConnectionLost, user=alice.user), "a command closed it"
    await carol.sees(bob.feed())

    await alice.publish()
    await until(lambda: worker.leftovers()["legs"] == 2)
    await carol.sees(alice.feed())
    assert controller.seen(Offered, user=carol.user)[-1].sdp.count("m=video") == 2


async def test_a_publisher_that_closes_its_connection_is_reported(
    controller: Controller, join: Join
) -> None:
    alice, bob = join(), join()
    await alice.publish()
    await bob.subscribe(alice.feed())
    await bob.sees(alice.feed())
    await alice.drop()
    lost = await controller.notice(ConnectionLost, user=alice.user, within=5)
    assert lost.connection == "video"
    await until(lambda: controller.seen(Offered, user=bob.user)[-1].streams == [])


@both_paths
async def test_mute_stops_the_packets(worker: Worker, controller: Controller, join: Join) -> None:
    alice, bob = join(), join()
    await alice.join_audio()
    await bob.join_audio(enabled=False)
    await bob.hears()
    await alice.set_audio(False)

    async def quiet_for(seconds: float) -> bool:
        before = sum(await bob.audio_packets())
        await asyncio.sleep(seconds)
        return sum(await bob.audio_packets()) == before

    limit = time.monotonic() + patient(5)
    while not await quiet_for(0.3):
        assert time.monotonic() < limit, "packets after mute"
    assert sum(await alice.audio_packets()) == 0, "bob entered muted"
    await alice.set_audio(True)
    await bob.hears()


async def test_both_edges_of_talking(controller: Controller, join: Join) -> None:
    alice, bob = join(), join()
    await alice.join_audio(loud=False)
    await bob.join_audio(loud=False)
    await bob.hears()
    assert not controller.seen(Talking)
    assert alice.microphone
    alice.microphone.loud = True
    await controller.notice(Talking, user=alice.user, talking=True, within=3)
    alice.microphone.loud = False
    await controller.notice(Talking, user=alice.user, talking=False, within=5)
    assert not controller.seen(Talking, user=bob.user)


async def test_muting_someone_who_talks_is_an_edge(controller: Controller, join: Join) -> None:
    alice = join()
    await alice.join_audio()
    await controller.notice(Talking, user=alice.user, talking=True)
    await alice.set_audio(False)
    await controller.notice(Talking, user=alice.user, talking=False, within=2)


async def test_the_loudest_are_in_the_slots(
    worker: Worker, controller: Controller, join: Join
) -> None:
    """Four microphones, two m-lines each: nobody hears oneself, and whoever speaks up gets in."""
    everybody = [join() for _ in range(4)]
    for one in everybody:
        await one.join_audio(slots=1, loud=False)
    listener, *others = everybody
    await listener.hears()
    session = next(iter(worker.meetings))

    def heard() -> set[object]:
        return {slot.speaker for slot in session._audio[listener.user].slots}

    await until(lambda: len(heard() - {None}) == 2)
    outside = next(one for one in others if one.user not in heard())
    assert outside.microphone
    outside.microphone.loud = True
    await until(lambda: outside.user in heard(), within=5)
    assert listener.user not in heard()
    packets = await listener.audio_packets()
    assert len(packets) == 2
    assert all(packets)


async def test_removing_a_participant_takes_everything_of_it(
    worker: Worker, controller: Controller, join: Join
) -> None:
    alice, bob = join(), join()
    for one in (alice, bob):
        await one.join_audio()
        await one.publish()
        await one.publish("screen")
        await controller.notice(VideoLive, user=one.user, kind="screen")
    await alice.subscribe(bob.feed(), bob.feed("screen"))
    await bob.subscribe(alice.feed(), alice.feed("screen"))
    await alice.sees(bob.feed("screen"))
    await bob.sees(alice.feed("screen"))

    await controller.done(RemovePeer(user=alice.user))
    await until(lambda: worker.leftovers()["peers"] == 4, what="only bob's connections")
    await until(lambda: controller.seen(Offered, user=bob.user)[-1].streams == [])
    assert not controller.seen(ConnectionLost)
    await controller.done(RemovePeer(user=alice.user))
    await bob.leave()
    await until(lambda: not any(worker.leftovers().values()), what="all tables empty")
