"""Making, finding, starting, stopping and deleting meetings."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import pytest
from rig_meetings import Api, kinds, running_api


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(database_url, redis_url, tmp_path) as api:
        yield api


async def test_a_new_meeting_is_inactive_and_the_creators(api: Api) -> None:
    (alice,) = await api.people("alice")
    room = str(uuid4())
    body = {
        "name": "Board",
        "meetingType": "SCHEDULED",
        "roomId": room,
        "expiration": "2031-05-01T12:00:00+02:00",
    }
    created = await alice.post("/meetings", body)
    assert created.status == 200
    meeting = created.json
    assert meeting | {"id": "", "createdAt": "", "joinCode": ""} == {
        "id": "",
        "name": "Board",
        "roomId": room,
        "active": False,
        "participants": [],
        "createdAt": "",
        "meetingType": "scheduled",
        "expiration": "2031-05-01T10:00:00Z",
        "joinCode": "",
        "userType": "moderator",
        "waiting": 0,
    }
    assert re.fullmatch(r"[A-Za-z0-9_-]{10}", meeting["joinCode"])
    assert datetime.fromisoformat(meeting["createdAt"]).tzinfo is not None
    assert (await alice.state(f"/meetings/{meeting['id']}")) == meeting
    assert (await alice.state(f"/rooms/{room}/meeting")) == meeting
    members = (await alice.get(f"/meetings/{meeting['id']}/members")).json
    assert members == [{"userId": alice.id, "userType": "moderator"}]
    (event,) = await alice.seen()
    assert event["type"] == "MEETING_CREATED"
    assert event["meetingId"] == meeting["id"]
    assert event["roomId"] == room


async def test_what_is_not_set_is_left_out(api: Api) -> None:
    alice = api.person("alice")
    meeting = await alice.state(await alice.new_meeting())
    assert meeting.keys() == {
        "id",
        "name",
        "active",
        "participants",
        "createdAt",
        "meetingType",
        "joinCode",
        "userType",
        "waiting",
    }


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({}, "name"),
        ({"name": "x"}, "meetingType"),
        ({"meetingType": "permanent"}, "name"),
        ({"name": "a\0b", "meetingType": "permanent"}, "$.name"),
        ({"name": 1, "meetingType": "permanent"}, "$.name"),
        ({"name": "x", "meetingType": "weekly"}, "$.meetingType"),
        ({"name": "x", "meetingType": None}, "$.meetingType"),
        ({"name": "x", "meetingType": "permanent", "roomId": "x"}, "$.roomId"),
        ({"name": "x", "meetingType": "permanent", "colour": 1}, "colour"),
        ({"name": "x", "meetingType": "scheduled", "expiration": "soon"}, "$.expiration"),
        ({"name": "x", "meetingType": "scheduled", "expiration": "2031-05-01T12:00:00"}, "$.exp"),
        ({"name": "x", "meetingType": "scheduled", "expiration": 5}, "$.expiration"),
        (
            {"name": "x", "meetingType": "scheduled", "expiration": "2020-01-01T00:00:00Z"},
            "$.expiration: must be in the future",
        ),
        (
            {"name": "x", "meetingType": "scheduled", "expiration": "0001-01-01T00:00:00+05:00"},
            "expi",
        ),
        ([], "object"),
        ("x", "object"),
    ],
)
async def test_a_bad_body_is_refused_by_the_fields_name(api: Api, body: object, names: str) -> None:
    alice = api.person("alice")
    refused = await alice.post("/meetings", body)
    assert refused.status == 400
    assert names in refused.json["message"]
    assert (await alice.get("/meetings")).json == []


async def test_a_room_has_one_meeting(api: Api) -> None:
    alice, bob = api.person("alice"), api.person("bob")
    room = str(uuid4())
    body = {"name": "x", "meetingType": "permanent", "roomId": room}
    first = (await alice.post("/meetings", body)).json["id"]
    again = await alice.post("/meetings", body)
    assert (again.status, again.code) == (409, "room_has_meeting")
    assert (await bob.post("/meetings", body)).status == 403
    assert (await bob.get(f"/rooms/{room}/meeting")).status == 403
    assert (await alice.delete(f"/meetings/{first}")).status == 204
    assert (await alice.get(f"/rooms/{room}/meeting")).status == 404
    assert (await bob.post("/meetings", body)).status == 200


async def test_only_the_access_list_sees_a_meeting(api: Api) -> None:
    alice, bob = api.person("alice"), api.person("bob")
    path = await alice.new_meeting()
    assert (await bob.get(path)).status == 403
    assert (await bob.get("/meetings")).json == []
    await alice.put(f"{path}/members/{bob.id}", {"userType": "registered"})
    assert [meeting["id"] for meeting in (await bob.get("/meetings")).json] == [path[10:]]
    assert (await bob.get(path)).status == 200


async def test_public_data_is_the_name_of_scheduled_meetings(api: Api) -> None:
    alice = api.person("alice")
    scheduled, permanent = await alice.new_meeting("scheduled"), await alice.new_meeting()
    assert (await api.call("GET", f"/public{scheduled}")).json == {"name": "stand-up"}
    assert (await api.call("GET", f"/public{permanent}")).status == 404
    assert (await api.call("GET", f"/public/meetings/{uuid4()}")).status == 404
    assert (await api.call("GET", "/public/meetings/nonsense")).status == 404


async def test_a_join_code_leads_to_its_meeting(api: Api) -> None:
    alice = api.person("alice")
    path = await alice.new_meeting("scheduled")
    code = (await alice.state(path))["joinCode"]
    found = await api.call("GET", f"/public/join/{code}")
    assert found.json == {"meetingId": path[10:], "name": "stand-up"}
    assert (await api.call("GET", "/public/join/abcdefghij")).status == 404


async def test_start_tells_the_members_and_keeps_the_first_time(api: Api) -> None:
    alice, bob, carol = await api.people("alice", "bob", "carol")
    path = await alice.new_meeting()
    await alice.put(f"{path}/members/{bob.id}", {"userType": "registered"})
    started = await bob.post(f"{path}/start")
    assert started.status == 200
    assert started.json["active"] is True
    (event,) = await bob.seen()
    assert event["type"] == "MEETING_STARTED"
    assert event["starterUser"] == bob.id
    assert event["startedAt"] == started.json["startedAt"]
    again = await alice.post(f"{path}/start")
    assert again.status == 200
    assert again.json["startedAt"] == started.json["startedAt"]
    (event,) = await bob.seen()
    assert event["starterUser"] == alice.id
    assert event["startedAt"] == started.json["startedAt"]
    assert await carol.seen() == []


async def test_stop_puts_everyone_out(api: Api) -> None:
    alice, bob = await api.people("alice", "bob")
    path = await alice.started_meeting()
    await alice.put(f"{path}/members/{bob.id}", {"userType": "registered"})
    await alice.join(path)
    await bob.join(path)
    await bob.seen()
    stopped = await bob.post(f"{path}/stop")
    assert stopped.status == 200
    assert stopped.json["active"] is False
    assert stopped.json["participants"] == []
    assert "startedAt" not in stopped.json
    assert kinds(await bob.seen()) == ["STOPPED"]
    assert (await bob.post(f"{path}/stop")).status == 200
    assert kinds(await bob.seen()) == ["STOPPED"]


@pytest.mark.parametrize("action", ["start", "stop"])
async def test_outsiders_change_nothing(api: Api, action: str) -> None:
    alice, bob = await api.people("alice", "bob")
    path = await alice.new_meeting()
    if action == "stop":
        await alice.post(f"{path}/start")
        await alice.join(path)
    before = await alice.state(path)
    await alice.seen()
    assert (await bob.post(f"{path}/{action}")).status == 403
    assert await alice.state(path) == before
    assert await alice.seen() == []


async def test_a_guest_who_was_let_in_ends_nothing(api: Api) -> None:
    alice, bob = await api.people("alice", "bob")
    path = await alice.started_meeting("scheduled")
    await alice.join(path)
    assert await bob.join(path) == "WAITING"
    assert (await alice.post(f"{path}/queue/{bob.id}", {})).status == 204, "accepted, if not said"
    assert await bob.join(path) == "ACCEPTED"
    before = await alice.state(path)
    for method, action in (("POST", "/stop"), ("DELETE", "")):
        refused = await bob.call(method, f"{path}{action}")
        assert (refused.status, refused.code) == (403, "not_a_moderator")
    assert await alice.state(path) == before
    await alice.put(f"{path}/members/{bob.id}", {"userType": "moderator"})
    assert (await bob.post(f"{path}/stop")).status == 200
    assert (await bob.delete(path)).status == 204


async def test_a_room_of_two_has_no_name(api: Api) -> None:
    created = await api.person("alice").post("/meetings", {"name": "", "meetingType": "permanent"})
    assert (created.status, created.json["name"]) == (200, "")


async def test_delete_tells_everyone(api: Api) -> None:
    alice, bob, carol = await api.people("alice", "bob", "carol")
    path = await alice.started_meeting("scheduled")
    await alice.put(f"{path}/members/{bob.id}", {"userType": "registered"})
    await alice.join(path)
    await carol.join(path)
    await alice.seen()
    assert (await carol.delete(path)).status == 403
    assert (await bob.delete(path)).status == 403
    assert (await alice.delete(path)).status == 204
    assert kinds(await alice.seen()) == ["STOPPED", "DELETED"]
    assert kinds(await bob.seen())[-2:] == ["STOPPED", "DELETED"]
    assert kinds(await carol.seen()) == ["STOPPED", "DELETED"]
    assert (await alice.get(path)).status == 404
    assert (await alice.get("/meetings")).json == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/start"),
        ("POST", "/stop"),
        ("POST", "/leave"),
        ("GET", "/queue"),
        ("GET", "/members"),
        ("DELETE", "/members/00000000-0000-4000-8000-000000000000"),
    ],
)
async def test_unknown_ids_are_not_found(api: Api, method: str, path: str) -> None:
    alice = api.person("alice")
    for meeting in (str(uuid4()), "nonsense", "{" + str(uuid4()) + "}", uuid4().hex):
        assert (await alice.call(method, f"/meetings/{meeting}{path}")).status == 404
