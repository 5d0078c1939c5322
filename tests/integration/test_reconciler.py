"""A worker that holds what it should not is told so, and again until it obeys."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from rig_meetings import Api, Person, Worker, eventually, running_api, running_worker

from conference.services.reconciler import AT_ONCE
from schemas import sfu


@pytest.fixture
async def worker(redis_url: str) -> AsyncIterator[Worker]:
    async with running_worker(redis_url) as worker:
        yield worker


@pytest.fixture
async def api(
    worker: Worker, database_url: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[Api]:
    async with running_api(database_url, redis_url, tmp_path) as api:
        yield api


class Room:
    """Alice and Bob are in, Carol is not; Bob's microphone and camera are off."""

    def __init__(self, path: str, alice: Person, bob: Person, carol: Person) -> None:
        self.path, self.alice, self.bob, self.carol = path, alice, bob, carol
        self.meeting = UUID(path.removeprefix("/meetings/"))

    def holds(self, *users: sfu.HeldUser, meeting: UUID | None = None, epoch: int = 1) -> sfu.Held:
        found = sfu.HeldMeeting(meeting=meeting or self.meeting, epoch=epoch, users=list(users))
        return sfu.Held(meetings=[found], next=None)


def of(
    person: Person,
    *,
    client: UUID | None = None,
    audio: bool | None = None,
    video: float | None = None,
    screen: float | None = None,
) -> sfu.HeldUser:
    return sfu.HeldUser(
        user=person.user.id,
        client=client or UUID(person.queue_id),
        audio=audio,
        video=video,
        screen=screen,
    )


@pytest.fixture
async def room(api: Api) -> Room:
    alice, bob, carol = await api.people("alice", "bob", "carol")
    path = await alice.started_meeting()
    await alice.put(f"{path}/members/{bob.id}", {"userType": "registered"})
    for person in (alice, bob):
        await person.join(path)
    return Room(path, alice, bob, carol)


async def test_who_is_not_in_is_let_go_until_the_worker_does(room: Room, worker: Worker) -> None:
    worker.held = room.holds(of(room.alice), of(room.carol))
    await eventually(lambda: len(worker.asked(sfu.RemovePeer)) >= 2)
    expected = sfu.RemovePeer(user=room.carol.user.id, client=UUID(room.carol.queue_id))
    assert set(worker.asked(sfu.RemovePeer)) == {expected}
    assert {type(command.body) for command in worker.commands} == {sfu.RemovePeer}


async def test_a_former_client_is_let_go(room: Room, worker: Worker) -> None:
    former = uuid4()
    worker.held = room.holds(of(room.bob, client=former))
    await eventually(lambda: bool(worker.asked(sfu.RemovePeer)))
    assert worker.asked(sfu.RemovePeer)[0] == sfu.RemovePeer(user=room.bob.user.id, client=former)


async def test_a_meeting_that_ended_is_closed(room: Room, worker: Worker) -> None:
    assert (await room.alice.post(f"{room.path}/stop")).status == 200
    assert len(worker.asked(sfu.CloseMeeting)) == 1, "told at once"
    worker.held = room.holds(of(room.bob))
    await eventually(lambda: len(worker.asked(sfu.CloseMeeting)) == 2)


async def test_a_meeting_that_nobody_knows_is_closed(room: Room, worker: Worker) -> None:
    unknown = uuid4()
    worker.held = room.holds(meeting=unknown, epoch=7)
    await eventually(lambda: bool(worker.asked(sfu.CloseMeeting)))
    (command,) = [c for c in worker.commands if isinstance(c.body, sfu.CloseMeeting)]
    assert (command.meeting, command.epoch) == (unknown, 7)


@pytest.mark.parametrize("flag", [False, True])
async def test_a_microphone_is_brought_to_its_flag(room: Room, worker: Worker, flag: bool) -> None:
    assert (await room.bob.put(f"{room.path}/audio", {"enabled": flag})).status == 204
    worker.commands.clear()
    worker.held = room.holds(of(room.bob, audio=not flag))
    await eventually(lambda: bool(worker.asked(sfu.SetAudio)))
    assert {body.enabled for body in worker.asked(sfu.SetAudio)} == {flag}


async def test_a_camera_that_is_off_is_stopped(room: Room, worker: Worker) -> None:
    worker.held = room.holds(of(room.bob, video=60.0, screen=0.5))
    await eventually(lambda: bool(worker.asked(sfu.StopVideo)))
    assert {body.kind for body in worker.asked(sfu.StopVideo)} == {"video"}


async def test_a_camera_that_the_worker_lost_goes_off(room: Room, worker: Worker) -> None:
    camera = {"type": "video", "enabled": True, "sdp": "x"}
    assert (await room.bob.put(f"{room.path}/media", camera)).status == 204
    worker.held = room.holds(of(room.bob))
    event = await room.alice.until("MEETING_MEDIA_STREAM_CHANGED")
    assert (event["userId"], event["active"]) == (room.bob.id, False)


async def test_a_worker_that_does_not_answer_keeps_no_other_waiting(
    room: Room, worker: Worker, redis_url: str
) -> None:
    async with running_worker(redis_url) as other:
        worker.silent = True
        other.held = room.holds(meeting=uuid4())
        await eventually(lambda: len(other.asked(sfu.CloseMeeting)) >= 2)


async def test_one_order_that_fails_keeps_no_other(room: Room, worker: Worker) -> None:
    refusal = sfu.Failed(code="internal", reason="a defect")

    def reply(command: sfu.Command) -> sfu.Done | sfu.Answered | sfu.Failed:
        return refusal if isinstance(command.body, sfu.RemovePeer) else sfu.Done()

    worker.reply = reply
    strangers = [
        sfu.HeldUser(user=uuid4(), client=None, audio=None, video=None, screen=None)
        for _ in range(AT_ONCE + 1)
    ]
    worker.held = room.holds(*strangers, of(room.bob, audio=True))
    await eventually(lambda: bool(worker.asked(sfu.SetAudio)))


async def test_processes_take_turns(
    room: Room, worker: Worker, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with (
        running_api(database_url, redis_url, tmp_path),
        running_api(database_url, redis_url, tmp_path),
    ):
        worker.held = room.holds()
        before = len(worker.reported_at)
        await eventually(lambda: len(worker.reported_at) >= before + 3)
        times = worker.reported_at[-3:]
        assert times[1] - times[0] > 1.0
        assert times[2] - times[1] > 1.0


async def test_an_order_that_changes_nothing_is_told_again(room: Room, worker: Worker) -> None:
    member = f"{room.path}/members/{room.bob.id}"
    assert (await room.alice.delete(member)).status == 204
    assert len(worker.asked(sfu.RemovePeer)) == 1
    assert (await room.alice.delete(member)).status == 404
    assert len(worker.asked(sfu.RemovePeer)) == 2
    assert (await room.bob.post(f"{room.path}/leave")).status == 403, "nor is it anybody's to ask"
    await room.alice.put(member, {"userType": "registered"})
    assert (await room.bob.post(f"{room.path}/leave")).status == 204, "not in, and out once more"
    assert len(worker.asked(sfu.RemovePeer)) == 3
