"""Joining, the waiting room, leaving, and the access list."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from rig_meetings import JOIN, Api, Person, kinds, running_api


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(database_url, redis_url, tmp_path) as api:
        yield api


async def queue_of(moderator: Person, path: str) -> list[str]:
    users: list[str] = (await moderator.get(f"{path}/queue")).json["users"]
    return users


async def decide(by: Person, path: str, whom: Person, status: str) -> int:
    return (await by.post(f"{path}/queue/{whom.id}", {"status": status})).status


async def admitted(moderator: Person, path: str, guest: Person) -> None:
    assert await guest.join(path) == "WAITING"
    assert await decide(moderator, path, guest, "ACCEPTED") == 204
    assert await guest.join(path) == "ACCEPTED"


# --- joining ----------------------------------------------------------------------------------


async def test_join_shows_in_the_meeting_and_is_told(api: Api) -> None:
    alice, bob = await api.people("alice", "bob")
    path = await alice.started_meeting()
    await alice.put(f"{path}/members/{bob.id}", {"userType": "registered"})
    await alice.seen()
    assert await bob.join(path, audio=True, video=True) == "ACCEPTED"
    (participant,) = (await alice.state(path))["participants"]
    assert participant.pop("joinedAt")
    assert participant == {
        "userId": bob.id,
        "userType": "registered",
        "queueId": bob.queue_id,
        "audioStreamEnabled": False,
        "videoStreamEnabled": False,
        "screenStreamEnabled": False,
    }
    (event,) = await alice.seen()
    assert event["type"] == "MEETING_PARTICIPANT_JOINED"
    assert event["userId"] == bob.id


async def test_join_needs_a_channel_of_the_callers(api: Api) -> None:
    alice, bob = await api.people("alice", "bob")
    path = await alice.started_meeting()
    missing = await alice.post(f"{path}/join", JOIN)
    assert (missing.status, missing.code) == (400, "no_queue_id")
    unknown = await alice.call("POST", f"/meetings/{uuid4()}/join", JOIN)
    assert unknown.status == 400, "the header comes before the look-up"
    malformed = await alice.try_join(path, queue_id="7")
    assert (malformed.status, malformed.code) == (400, "bad_queue_id")
    foreign = await alice.try_join(path, queue_id=bob.queue_id)
    assert (foreign.status, foreign.code) == (403, "not_your_channel")
    assert (await alice.try_join(path, queue_id=str(uuid4()))).status == 403
    assert (await alice.state(path))["participants"] == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"audioStreamEnabled": True},
        {"audioStreamEnabled": True, "videoStreamEnabled": 1},
        {"audioStreamEnabled": True, "videoStreamEnabled": True, "more": 1},
    ],
)
async def test_join_needs_both_flags(api: Api, body: object) -> None:
    (alice,) = await api.people("alice")
    path = await alice.started_meeting()
    headers = {"queue-id": alice.queue_id}
    assert (await alice.call("POST", f"{path}/join", body, headers)).status == 400


async def test_join_refusals_come_in_order(api: Api) -> None:
    alice, bob = await api.people("alice", "bob")
    assert (await alice.try_join(f"/meetings/{uuid4()}")).status == 404
    path = await alice.new_meeting()
    outsider = await bob.try_join(path)
    assert (outsider.status, outsider.code) == (403, "not_a_member")
    asleep = await alice.try_join(path)
    assert (asleep.status, asleep.code) == (424, "meeting_not_active")
    assert (await alice.state(path))["participants"] == [], "no stray row"


async def test_the_same_channel_joins_once(api: Api) -> None:
    (alice,) = await api.people("alice")
    path = await alice.started_meeting()
    await alice.join(path)
    await alice.seen()
    again = await alice.try_join(path)
    assert (again.status, again.code) == (409, "already_joined")
    assert await alice.seen() == []


async def test_another_channel_takes_over(api: Api) -> None:
    alice, bob = await api.people("alice", "bob")
    path = await alice.started_meeting()
    await alice.put(f"{path}/members/{bob.id}", {"userType": "moderator"})
    await alice.join(path)
    await alice.put(f"{path}/audio", {"enabled": True})
    joined_at = (await alice.state(path))["participants"][0]["joinedAt"]
    await alice.seen()
    await bob.seen()
    newer = api.person("alice")
    await newer.open_channel()
    assert await newer.join(path) == "ACCEPTED"
    (participant,) = (await newer.state(path))["participants"]
    assert participant["queueId"] == newer.queue_id
    assert participant["joinedAt"] == joined_at
    assert participant["audioStreamEnabled"] is False
    assert kinds(await bob.seen()) == ["PARTICIPANT_LEFT", "PARTICIPANT_JOINED"]
    assert kinds(await newer.seen()) == ["PARTICIPANT_LEFT", "PARTICIPANT_JOINED"]
    told = await alice.seen()
    assert kinds(told) == ["PARTICIPANT_LEFT", "PARTICIPANT_CLASHED", "PARTICIPANT_JOINED"]


# --- leaving ----------------------------------------------------------------------------------


async def test_the_last_one_out_stops_the_meeting(api: Api) -> None:
    alice, bob = await api.people("alice", "bob")
    path = await alice.started_meeting()
    await alice.put(f"{path}/members/{bob.id}", {"userType": "registered"})
    await alice.join(path)
    await bob.join(path)
    await alice.seen()
    assert (await bob.post(f"{path}/leave")).status == 204
    assert (await bob.post(f"{path}/leave")).status == 204, "not in: nothing to do"
    assert kinds(await alice.seen()) == ["PARTICIPANT_LEFT"]
    assert (await alice.post(f"{path}/leave")).status == 204
    assert kinds(await alice.seen()) == ["PARTICIPANT_LEFT", "STOPPED"]
    assert (await alice.state(path))["active"] is False


async def test_outsiders_can_not_leave(api: Api) -> None:
    alice, bob = await api.people("alice", "bob")
    path = await alice.started_meeting()
    assert (await bob.post(f"{path}/leave")).status == 403


async def test_closing_the_channel_leaves(api: Api) -> None:
    alice, bob = await api.people("alice", "bob")
    path = await alice.started_meeting()
    await alice.put(f"{path}/members/{bob.id}", {"userType": "registered"})
    await alice.join(path)
    await bob.join(path)
    await alice.seen()
    assert (await bob.delete(f"/channels/{bob.queue_id}")).status == 204
    (event,) = await alice.seen()
    assert event["type"] == "MEETING_PARTICIPANT_LEFT"
    assert event["userId"] == bob.id


# --- the waiting room -------------------------------------------------------------------------


async def test_from_the_waiting_room_into_the_meeting(api: Api) -> None:
    alice, bob = await api.people("alice", "bob")
    path = await alice.started_meeting("scheduled")
    await alice.seen()
    assert await bob.join(path) == "WAITING"
    (event,) = await alice.seen()
    assert event["type"] == "MEETING_WAITING_PARTICIPANT_JOINED"
    assert event["userId"] == bob.id
    assert await bob.seen() == []
    assert await queue_of(alice, path) == [bob.id]
    assert (await bob.get(path)).status == 403

    assert await decide(alice, path, bob, "accepted") == 204
    assert kinds(await bob.seen()) == ["WAITING_PARTICIPANT_ACCEPTED"]
    assert kinds(await alice.seen()) == ["WAITING_PARTICIPANT_ACCEPTED"]
    assert (await alice.state(path))["participants"] == [], "he has to join again"
    assert await queue_of(alice, path) == []
    assert (await bob.get(path)).status == 200, "he is a member now"

    assert await decide(alice, path, bob, "ACCEPTED") == 204
    assert kinds(await bob.seen()) == ["WAITING_PARTICIPANT_ACCEPTED"]
    assert await bob.join(path) == "ACCEPTED"
    assert await decide(alice, path, bob, "ACCEPTED") == 404
    assert (await bob.post(f"{path}/leave")).status == 204
    # once out, the same rules apply anew
    await alice.post(f"{path}/start")
    assert await bob.join(path) == "WAITING"


async def test_moderators_walk_straight_in(api: Api) -> None:
    alice, bob = await api.people("alice", "bob")
    path = await alice.started_meeting("scheduled")
    await alice.put(f"{path}/members/{bob.id}", {"userType": "moderator"})
    assert await bob.join(path) == "ACCEPTED"


async def test_queueing_works_before_the_start_and_entering_does_not(api: Api) -> None:
    alice, bob = await api.people("alice", "bob")
    path = await alice.new_meeting("scheduled")
    assert await bob.join(path) == "WAITING"
    await decide(alice, path, bob, "ACCEPTED")
    assert (await bob.try_join(path)).status == 424
    await alice.post(f"{path}/start")
    assert await bob.join(path) == "ACCEPTED"


async def test_waiting_twice_from_one_channel_is_silent(api: Api) -> None:
    alice, bob = await api.people("alice", "bob")
    path = await alice.started_meeting("scheduled")
    await bob.join(path)
    await alice.seen()
    assert await bob.join(path) == "WAITING"
    assert await alice.seen() == []
    assert await bob.seen() == []


async def test_waiting_elsewhere_moves_the_row(api: Api) -> None:
    alice, bob = await api.people("alice", "bob")
    path = await alice.started_meeting("scheduled")
    await bob.join(path)
    await alice.seen()
    newer = api.person("bob")
    await newer.open_channel()
    assert await newer.join(path) == "WAITING"
    assert kinds(await bob.seen()) == ["WAITING_PARTICIPANT_CLASHED"]
    assert await newer.seen() == []
    assert await alice.seen() == []
    assert await queue_of(alice, path) == [bob.id]
    await decide(alice, path, bob, "ACCEPTED")
    assert kinds(await newer.seen()) == ["WAITING_PARTICIPANT_ACCEPTED"]
    assert await bob.seen() == [], "only the channel that waits is told"


async def test_rejecting(api: Api) -> None:
    alice, bob, carol = await api.people("alice", "bob", "carol")
    path = await alice.started_meeting("scheduled")
    await bob.join(path)
    await alice.seen()
    assert await decide(carol, path, bob, "REJECTED") == 403
    assert await decide(bob, path, bob, "ACCEPTED") == 403
    assert (await bob.get(f"{path}/queue")).status == 403
    assert await queue_of(alice, path) == [bob.id]
    assert await decide(alice, path, bob, "REJECTED") == 204
    assert kinds(await bob.seen()) == ["WAITING_PARTICIPANT_REJECTED"]
    assert kinds(await alice.seen()) == ["WAITING_PARTICIPANT_REJECTED"]
    assert await queue_of(alice, path) == []
    assert await decide(alice, path, bob, "REJECTED") == 404
    assert await bob.join(path) == "WAITING", "he may queue again"


async def test_withdrawing_oneself(api: Api) -> None:
    alice, bob = await api.people("alice", "bob")
    path = await alice.started_meeting("scheduled")
    await bob.join(path)
    await alice.seen()
    assert await decide(bob, path, bob, "REJECTED") == 204
    assert kinds(await alice.seen()) == ["WAITING_PARTICIPANT_REJECTED"]
    assert await queue_of(alice, path) == []
    assert await decide(bob, path, bob, "REJECTED") == 404


async def test_rejecting_one_already_let_in(api: Api) -> None:
    alice, bob = await api.people("alice", "bob")
    path = await alice.started_meeting("scheduled")
    await bob.join(path)
    await decide(alice, path, bob, "ACCEPTED")
    assert await decide(alice, path, bob, "REJECTED") == 204
    assert (await bob.get(path)).status == 200, "being a member stays"
    assert await bob.join(path) == "WAITING"


async def test_stop_clears_the_waiting_room_and_tells(api: Api) -> None:
    alice, bob, carol = await api.people("alice", "bob", "carol")
    path = await alice.new_meeting("scheduled")
    await bob.join(path)
    assert (await alice.post(f"{path}/stop")).status == 200, "also while inactive"
    assert kinds(await bob.seen()) == ["STOPPED"]
    assert await queue_of(alice, path) == []
    await alice.post(f"{path}/start")
    await alice.join(path)
    await bob.join(path)
    await carol.join(path)
    await decide(alice, path, carol, "ACCEPTED")
    await alice.post(f"{path}/leave")
    assert kinds(await bob.seen()) == ["STOPPED"]
    assert kinds(await carol.seen()) == [
        "WAITING_PARTICIPANT_ACCEPTED",
        "PARTICIPANT_LEFT",
        "STOPPED",
    ]
    assert await carol.join(path) == "WAITING", "the row is gone"


async def test_closing_the_waiting_channel_withdraws(api: Api) -> None:
    alice, bob = await api.people("alice", "bob")
    path = await alice.started_meeting("scheduled")
    await bob.join(path)
    await alice.seen()
    await bob.delete(f"/channels/{bob.queue_id}")
    assert kinds(await alice.seen()) == ["WAITING_PARTICIPANT_REJECTED"]
    assert await queue_of(alice, path) == []


@pytest.mark.parametrize("body", [{"status": "MAYBE"}, {"status": None}, {"status": "WAITING"}])
async def test_a_queue_update_is_a_decision(api: Api, body: object) -> None:
    alice, bob = await api.people("alice", "bob")
    path = await alice.started_meeting("scheduled")
    await bob.join(path)
    assert (await alice.post(f"{path}/queue/{bob.id}", body)).status == 400
    assert await queue_of(alice, path) == [bob.id]


# --- the access list --------------------------------------------------------------------------


async def test_the_access_list_is_the_moderators(api: Api) -> None:
    alice, bob, carol = await api.people("alice", "bob", "carol")
    path = await alice.new_meeting()
    of_carol = f"{path}/members/{carol.id}"
    assert (await bob.put(of_carol, {"userType": "registered"})).status == 403
    assert (await bob.get(f"{path}/members")).status == 403
    await alice.put(f"{path}/members/{bob.id}", {"userType": "REGISTERED"})
    assert (await bob.put(of_carol, {"userType": "registered"})).status == 403
    await alice.put(f"{path}/members/{bob.id}", {"userType": "moderator"})
    assert (await bob.put(of_carol, {"userType": "registered"})).status == 204
    listed = (await bob.get(f"{path}/members")).json
    assert {item["userId"]: item["userType"] for item in listed} == {
        alice.id: "moderator",
        bob.id: "moderator",
        carol.id: "registered",
    }
    assert (await bob.delete(of_carol)).status == 204
    assert (await bob.delete(of_carol)).status == 404
    assert (await carol.get(path)).status == 403


async def test_the_owner_stays(api: Api) -> None:
    alice, bob = await api.people("alice", "bob")
    path = await alice.new_meeting()
    await alice.put(f"{path}/members/{bob.id}", {"userType": "moderator"})
    of_alice = f"{path}/members/{alice.id}"
    for by in (alice, bob):
        assert (await by.put(of_alice, {"userType": "registered"})).status == 409
        assert (await by.delete(of_alice)).status == 409
    assert (await bob.put(of_alice, {"userType": "moderator"})).status == 204


async def test_removing_a_member_takes_them_out(api: Api) -> None:
    alice, bob = await api.people("alice", "bob")
    path = await alice.started_meeting()
    await alice.put(f"{path}/members/{bob.id}", {"userType": "registered"})
    await alice.join(path)
    await bob.join(path)
    await bob.seen()
    await alice.delete(f"{path}/members/{bob.id}")
    assert kinds(await bob.seen()) == ["PARTICIPANT_LEFT"], "he is told too"
    assert len((await alice.state(path))["participants"]) == 1
    assert (await bob.try_join(path)).status == 403


async def test_members_may_remove_themselves(api: Api) -> None:
    alice, bob = await api.people("alice", "bob")
    path = await alice.new_meeting()
    assert (await bob.delete(f"{path}/members/{bob.id}")).status == 403
    await alice.put(f"{path}/members/{bob.id}", {"userType": "registered"})
    assert (await bob.delete(f"{path}/members/{bob.id}")).status == 204


async def test_making_someone_who_waits_a_moderator_lets_them_in(api: Api) -> None:
    alice, bob = await api.people("alice", "bob")
    path = await alice.started_meeting("scheduled")
    await bob.join(path)
    await alice.put(f"{path}/members/{bob.id}", {"userType": "moderator"})
    assert kinds(await bob.seen()) == ["WAITING_PARTICIPANT_ACCEPTED"]
    assert await bob.join(path) == "ACCEPTED"
    (participant,) = (await alice.state(path))["participants"]
    assert participant["userType"] == "moderator"


async def test_removing_a_member_who_was_let_in_closes_the_door(api: Api) -> None:
    alice, bob = await api.people("alice", "bob")
    path = await alice.started_meeting("scheduled")
    await bob.join(path)
    await decide(alice, path, bob, "ACCEPTED")
    await bob.seen()
    await alice.delete(f"{path}/members/{bob.id}")
    assert kinds(await bob.seen()) == ["WAITING_PARTICIPANT_REJECTED"]
    assert await bob.join(path) == "WAITING"


async def test_a_member_of_a_scheduled_meeting_queues_too(api: Api) -> None:
    alice, bob = await api.people("alice", "bob")
    path = await alice.started_meeting("scheduled")
    await alice.put(f"{path}/members/{bob.id}", {"userType": "registered"})
    assert await bob.join(path) == "WAITING"
    await admitted(alice, path, api.person("carol"))
