"""The door over UCWA, with real tokens: who walks into a meeting of each level, who waits, who leads once in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from rig_meetings import SECRET, Api
from ucwa_meeting import joined
from ucwa_rig import Answer, Program, running_ucwa

from conference.tokens import issue, user_named

COMPANY = "example"
VISITORS = {
    "lea": COMPANY,  # on the list of leaders
    "bob": COMPANY,  # an attendee
    "carol": COMPANY,  # of the company, on no list
    "frank": "elsewhere",
    "nobody": "",  # anonymous
}
WALK_IN = {
    "Everyone": {"lea", "bob", "carol", "frank", "nobody"},
    "SameEnterprise": {"lea", "bob", "carol"},
    "Invited": {"lea", "bob"},
    "Locked": {"lea"},
}
LEAD = {
    "Everyone": {"lea", "bob", "carol", "frank", "nobody"},
    "SameEnterprise": {"lea", "bob", "carol"},
    "Disabled": {"lea"},
}


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_ucwa(database_url, redis_url, tmp_path) as api:
        yield api


async def program(api: Api, name: str, org: str, meeting: UUID | None = None) -> Program:
    token = issue(
        SECRET,
        user=user_named(name, org=org),
        meeting=meeting,
        now=datetime.now(UTC),
        lifetime=timedelta(hours=1),
    )
    found = Program(api, name, token)
    await found.start()
    return found


async def scheduled(api: Api, alice: Program, **inputs: str) -> tuple[Answer, UUID]:
    address = (await alice.dashboard()).link("onlineMeetings", "myOnlineMeetings")
    lists = {"leaders": ["sip:lea@example.com"], "attendees": ["sip:bob@example.com"]}
    created = await alice.post(address, {**lists, **inputs})
    assert created.status == 201, created
    headers = {"Authorization": f"Bearer {alice.token}"}
    (meeting,) = (await api.call("GET", "/meetings", headers=headers)).json
    return created, UUID(meeting["id"])


async def visit(api: Api, name: str, uri: str, meeting: UUID) -> Answer:
    """The conversation that joining began."""
    anonymous = name == "nobody"
    visitor = await program(api, name, VISITORS[name], meeting if anonymous else None)
    inputs = {"anonymousDisplayName": "Nobody"} if anonymous else {}
    return await joined(visitor, uri, **inputs)


@pytest.mark.parametrize("level", WALK_IN)
async def test_who_walks_in(api: Api, level: str) -> None:
    alice = await program(api, "alice", COMPANY)
    created, meeting = await scheduled(api, alice, accessLevel=level)
    uri = created.json["onlineMeetingUri"]
    states = {name: (await visit(api, name, uri, meeting)).json["state"] for name in VISITORS}
    assert states == {
        name: "Conferenced" if name in WALK_IN[level] else "InLobby" for name in VISITORS
    }
    own = await joined(alice, uri)
    assert own.json["state"] == "Conferenced"
    waiting = {name for name, state in states.items() if state == "InLobby"}
    headers = {"Authorization": f"Bearer {alice.token}"}
    queue = await api.call("GET", f"/meetings/{meeting}/queue", headers=headers)
    assert set(queue.json["users"]) == {str(user_named(name).id) for name in waiting}


@pytest.mark.parametrize("assignment", LEAD)
@pytest.mark.parametrize("level", ["Everyone", "Locked"])
async def test_who_leads(api: Api, level: str, assignment: str) -> None:
    """Whether they walked in or were let in."""
    alice = await program(api, "alice", COMPANY)
    created, meeting = await scheduled(
        api, alice, accessLevel=level, automaticLeaderAssignment=assignment
    )
    for name in VISITORS:
        await visit(api, name, created.json["onlineMeetingUri"], meeting)
    headers = {"Authorization": f"Bearer {alice.token}"}
    path = f"/meetings/{meeting}"
    for user in (await api.call("GET", f"{path}/queue", headers=headers)).json["users"]:
        body = {"status": "ACCEPTED"}
        accepted = await api.call("POST", f"{path}/queue/{user}", body, headers)
        assert accepted.status == 204
    inside = (await api.call("GET", path, headers=headers)).json["participants"]
    leading = {one["userId"] for one in inside if one["userType"] == "moderator"}
    assert {one["userId"] for one in inside} == {str(user_named(name).id) for name in VISITORS}
    assert leading == {str(user_named(name).id) for name in LEAD[assignment]}


async def test_a_meeting_without_a_door_keeps_its_own_rules(api: Api) -> None:
    """A permanent meeting of the Meeting API refuses whom its access list lacks, also by its join URL."""
    alice = await program(api, "alice", COMPANY)
    headers = {"Authorization": f"Bearer {alice.token}"}
    body = {"name": "x", "meetingType": "permanent"}
    meeting = (await api.call("POST", "/meetings", body, headers)).json
    url = f"http://127.0.0.1/join/{meeting['joinCode']}"
    bob = await program(api, "bob", COMPANY)
    address = (await bob.dashboard()).link("communication", "joinOnlineMeeting")
    refused = await bob.post(address, {"onlineMeetingUri": url})
    assert refused.status == 403
    assert (await joined(alice, url)).json["state"] == "Conferenced"


async def test_relaxing_the_level_lets_in_who_waits(api: Api) -> None:
    """Those whom the new level admits, whatever they come with; the others wait on."""
    alice = await program(api, "alice", COMPANY)
    created, meeting = await scheduled(api, alice, accessLevel="Locked")
    uri = created.json["onlineMeetingUri"]
    visitors = {
        name: await program(api, name, org, meeting if name == "nobody" else None)
        for name, org in VISITORS.items()
        if name != "lea"
    }
    seen = {}
    for name, visitor in visitors.items():
        inputs = {"anonymousDisplayName": "Nobody"} if name == "nobody" else {}
        seen[name] = await joined(visitor, uri, **inputs)
        assert seen[name].json["state"] == "InLobby"
    for level in ("Invited", "SameEnterprise", "Everyone"):
        lists = {"leaders": created.json["leaders"], "attendees": created.json["attendees"]}
        changed = await alice.put(created.href, {**lists, "accessLevel": level})
        assert changed.status == 200
        states = {
            name: (await visitors[name].get(seen[name].href)).json["state"] for name in visitors
        }
        assert {name for name in states if states[name] == "Conferenced"} == WALK_IN[level] - {
            "lea"
        }
    for visitor in visitors.values():
        done = await visitor.until("onlineMeetingInvitation", "completed")
        assert done["status"] == "Success"
