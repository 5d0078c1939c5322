"""From a meeting to people: whom the viewer finds in the directory is linked to, in resources and in events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import pytest
from rig_meetings import SECRET, Api, Json
from ucwa_meeting import hrefs, joined, scheduled
from ucwa_people import token_of
from ucwa_rig import Answer, Program, running_ucwa

from conference.tokens import issue, user_named

CONTACT = {"contact", "contactPhoto", "contactPresence"}


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_ucwa(database_url, redis_url, tmp_path) as api:
        yield api


class Visitor(NamedTuple):
    program: Program
    conversation: Answer


async def visit(
    api: Api, name: str, org: str, uri: str = "", *, meeting: UUID | None = None, xml: bool = False
) -> Visitor:
    """Without a URI: to a new meeting that everybody walks into."""
    token = issue(
        SECRET,
        user=user_named(name, org=org),
        meeting=meeting,
        now=datetime.now(UTC),
        lifetime=timedelta(hours=1),
    )
    program = Program(api, name, token, xml=xml)
    await program.start()
    uri = uri or await scheduled(program, accessLevel="Everyone")
    inputs = {"anonymousDisplayName": "Nobody"} if meeting else {}
    return Visitor(program, await joined(program, uri, **inputs))


async def people(visitor: Visitor) -> dict[str, Json]:
    """The links of every participant, by name."""
    listed = await visitor.program.get(visitor.conversation.link("participants"))
    found = [
        await visitor.program.get(href) for href in hrefs(listed.json["_links"]["participant"])
    ]
    return {one.json["name"]: one.json["_links"] for one in found}


@pytest.mark.parametrize("xml", [False, True])
async def test_colleagues_are_contacts(api: Api, xml: bool) -> None:
    alice = await visit(api, "alice", "example", xml=xml)
    meeting = await alice.program.get(alice.conversation.link("onlineMeeting"))
    uri, key = meeting.json["onlineMeetingUri"], UUID(alice.conversation.href.rpartition("/")[2])
    bob = await visit(api, "bob", "example", uri, xml=xml)
    frank = await visit(api, "frank", "elsewhere", uri, xml=xml)
    nobody = await visit(api, "nobody", "", uri, meeting=key, xml=xml)

    seen = await people(bob)
    assert {name for name in seen if seen[name].keys() & CONTACT} == {"Alice"}
    assert seen["Alice"].keys() >= CONTACT
    contact = await bob.program.get(seen["Alice"]["contact"]["href"])
    assert (contact.status, contact.json["name"]) == (200, "Alice")
    for link in ("contactPhoto", "contactPresence"):
        assert (await bob.program.get(seen["Alice"][link]["href"])).status in (200, 409)
    for visitor in (frank, nobody):
        assert not any(links.keys() & CONTACT for links in (await people(visitor)).values())

    organizers = {}
    for visitor in (alice, bob, frank, nobody):
        shown = await visitor.program.get(visitor.conversation.link("onlineMeeting"))
        organizers[visitor.program.name] = shown.json["_links"].get("organizer", {}).get("href")
    assert organizers["bob"] == contact.href
    assert organizers["alice"] is not None
    assert organizers["frank"] is organizers["nobody"] is None

    told = {
        event["_embedded"]["participant"]["name"]: event["_embedded"]["participant"]["_links"]
        for event in await alice.program.events()
        if event["type"] == "added" and "participant" in event.get("_embedded", {})
    }
    assert {name for name in told if told[name].keys() & CONTACT} == {"Bob"}
    assert told["Bob"].keys() >= CONTACT


@pytest.mark.parametrize(
    "email", ["bob", "bob smith@example.com", "b;ob@example.com", "a@b@c", "<b>"]
)
async def test_an_address_that_is_none_costs_nobody_else_anything(api: Api, email: str) -> None:
    """Identity providers say what they like; who comes with that has an address that is made of their id."""
    alice = await visit(api, "alice", "example")
    online = await alice.program.get(alice.conversation.link("onlineMeeting"))
    bob = user_named("bob", org="example", email=email)
    token = issue(SECRET, user=bob, now=datetime.now(UTC), lifetime=timedelta(hours=1))
    program = Program(api, "bob", token)
    await program.start()
    bobs = await joined(program, online.json["onlineMeetingUri"])
    address = f"{bob.id}@127.0.0.1"
    assert (await program.follow("me", "self")).json["uri"] == f"sip:{address}"
    (added,) = [
        event
        for event in await alice.program.events()
        if event["type"] == "added" and event["link"].get("title") == "Bob" and "in" not in event
    ]
    shown = added["_embedded"]["participant"]
    assert shown["uri"] == f"sip:{address}"
    contact = await alice.program.get(shown["_links"]["contact"]["href"])
    assert (contact.status, contact.json["name"]) == (200, "Bob")
    assert len(await people(alice)) == 2
    own = await program.get(bobs.link("localParticipant"))
    assert own.json["uri"] == f"sip:{address}"
    scheduled_by_bob = await scheduled(program, accessLevel="Everyone")
    theirs = await joined(alice.program, scheduled_by_bob)
    organized = await alice.program.get(theirs.link("onlineMeeting"))
    assert organized.json["organizerUri"] == f"sip:{address}"
    invited = await scheduled(alice.program, accessLevel="Invited", attendees=[f"sip:{address}"])
    assert (await joined(program, invited)).json["state"] == "Conferenced"


async def test_numbers_that_a_card_shows(api: Api) -> None:
    """To those who find the card, and as long as it shows them; in the resource as in the event."""
    bob = Program(api, "bob", token_of("bob", "example"))
    await bob.start()
    phones = (await bob.dashboard()).link("me", "phones")
    hidden = {"number": "+1 425 555 0100", "includeInContactCard": False}
    for kind, inputs in (
        ("Other", {"number": "+1 425 555 0107"}),
        ("Home", {"number": "1"}),
        ("Mobile", hidden),
    ):
        assert (await bob.post(f"{phones}/{kind}/changeNumber", inputs)).status == 204
    alice = await visit(api, "alice", "example")
    uri = (await alice.program.get(alice.conversation.link("onlineMeeting"))).json[
        "onlineMeetingUri"
    ]
    await alice.program.events()
    bobs = await joined(bob, uri)
    (added, *_) = await alice.program.events()
    shown = added["_embedded"]["participant"]
    assert shown["otherPhoneNumber"] == "tel:+14255550107"
    assert {name for name in shown if name.endswith("PhoneNumber")} == {"otherPhoneNumber"}
    assert (await alice.program.get(added["link"]["href"])).json == shown
    frank = await visit(api, "frank", "elsewhere", uri)
    listed = await frank.program.get(frank.conversation.link("participants"))
    for href in hrefs(listed.json["_links"]["participant"]):
        seen = (await frank.program.get(href)).json
        assert not [name for name in seen if name.endswith("PhoneNumber")]
    own = await bob.get(bobs.link("localParticipant"))
    assert own.json["otherPhoneNumber"] == "tel:+14255550107"
    assert (
        await bob.post(f"{phones}/Other/changeVisibility?includeInContactCard=false")
    ).status == 204
    assert "otherPhoneNumber" not in (await alice.program.get(added["link"]["href"])).json


async def test_a_leader_finds_a_colleague_in_the_lobby(api: Api) -> None:
    alice = await visit(api, "alice", "example")
    mine = await alice.program.follow("onlineMeetings", "myOnlineMeetings")
    (own,) = mine.embedded("myOnlineMeeting")
    locked = {"accessLevel": "Locked"}
    assert (await alice.program.put(own["_links"]["self"]["href"], locked)).status == 200
    await visit(api, "bob", "example", own["onlineMeetingUri"])
    await visit(api, "frank", "elsewhere", own["onlineMeetingUri"])
    lobby = await alice.program.get(alice.conversation.link("lobby"))
    waiting = {one["name"]: one["_links"].keys() for one in lobby.embedded("participant")}
    assert waiting["Bob"] >= CONTACT | {"admit", "reject"}
    assert not waiting["Frank"] & CONTACT


@pytest.mark.parametrize("number", [None, "+49 30 1234"])
async def test_a_meeting_says_how_to_dial_in(
    database_url: str, redis_url: str, tmp_path: Path, number: str | None
) -> None:
    """Where there is a number, and to those who may read it."""
    settings = {"ucwa_dial_in_number": number}
    async with running_ucwa(database_url, redis_url, tmp_path, **settings) as api:
        alice = await visit(api, "alice", "example")
        online = await alice.program.get(alice.conversation.link("onlineMeeting"))
        assert ("phoneDialInInformation" in online.json["_links"]) == (number is not None)
        if number is None:
            return
        shown = await alice.program.get(online.link("phoneDialInInformation"))
        assert (shown.status, shown.json["tollNumber"]) == (200, number)
        assert shown.href == (await alice.program.dashboard()).link(
            "onlineMeetings", "phoneDialInInformation"
        )
        key = UUID(alice.conversation.href.rpartition("/")[2])
        guest = await visit(api, "guest", "", online.json["onlineMeetingUri"], meeting=key)
        theirs = await guest.program.get(guest.conversation.link("onlineMeeting"))
        assert "phoneDialInInformation" not in theirs.json["_links"]


async def test_where_organisations_see_each_other(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with running_ucwa(database_url, redis_url, tmp_path, ucwa_people_everyone=True) as api:
        alice = await visit(api, "alice", "example")
        meeting = await alice.program.get(alice.conversation.link("onlineMeeting"))
        frank = await visit(api, "frank", "elsewhere", meeting.json["onlineMeetingUri"])
        assert (await people(frank))["Alice"].keys() >= CONTACT
