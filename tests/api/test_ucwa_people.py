"""people: search, and what others find out about somebody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from rig_meetings import SECRET, Api, Json
from ucwa_people import (
    QUICK,
    available,
    contact,
    many,
    publish,
    started,
    subscribe,
    uris,
)
from ucwa_rig import Answer, Program, running_ucwa, told
from yarl import URL

from conference.domain.directory import Phone, PhoneType, Profile
from conference.storage import users
from conference.tokens import issue, user_named


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_ucwa(database_url, redis_url, tmp_path, **QUICK) as api:
        yield api


@pytest.fixture(params=["json", "xml"])
async def alice(api: Api, request: pytest.FixtureRequest) -> Program:
    return await started(api, "alice", xml=request.param == "xml")


async def search(program: Program, query: str, **more: Json) -> Answer:
    href = (await program.dashboard()).link("people", "search")
    address = URL(href).update_query(query=query, **more)
    return await program.get(str(address))


async def test_the_hub_has_every_link(alice: Program) -> None:
    people = await alice.follow("people", "self")
    assert people.json == (await alice.dashboard()).embedded("people")
    assert set(people.json["_links"]) == {
        "self",
        "presenceSubscriptions",
        "subscribedContacts",
        "presenceSubscriptionMemberships",
        "myGroups",
        "myGroupMemberships",
        "myContacts",
        "myPrivacyRelationships",
        "myContactsAndGroupsSubscription",
        "search",
    }
    for rel in people.json["_links"]:
        if rel != "search":
            assert (await alice.get(people.link(rel))).status == 200, rel


async def test_search(api: Api, alice: Program) -> None:
    for name in ("bob", "bobby", "carol"):
        await started(api, name)
    assert uris(await search(alice, "bob")) == ["sip:bob@example.com", "sip:bobby@example.com"]
    assert uris(await search(alice, "OBBY@ex")) == ["sip:bobby@example.com"]
    nothing = await search(alice, "dave")
    assert uris(nothing) == []
    one = await search(alice, "bob", limit=1)
    assert uris(one) == ["sip:bob@example.com"]
    assert str(one.json["moreResultsAvailable"]).lower() == "true"
    assert str(nothing.json["moreResultsAvailable"]).lower() == "false"
    href = (await alice.dashboard()).link("people", "search")
    assert uris(await alice.get(f"{href}?mail=Carol@example.com")) == ["sip:carol@example.com"]


async def test_what_is_searched_is_taken_literally(api: Api, alice: Program) -> None:
    await started(api, "bob")
    for query in ("%", "_", "b%b", "b\\", "'; drop table users; --"):
        found = await search(alice, query)
        assert (found.status, uris(found)) == (200, []), query


@pytest.mark.parametrize(
    ("query", "more"),
    [("", {}), ("  ", {}), ("x" * 257, {}), ("bob", {"limit": 0}), ("bob", {"limit": 101})],
)
async def test_searches_that_cannot_be(api: Api, query: str, more: dict[str, Json]) -> None:
    refused = await search(await started(api, "alice"), query, **more)
    assert (refused.status, refused.subcode) == (400, "ParameterValidationFailure")


async def test_organisations_do_not_see_each_other(api: Api) -> None:
    alice, carol = await started(api, "alice", "north"), await started(api, "carol", "north")
    mallory = await started(api, "mallory", "south")
    await available(carol, signInAs="Busy")
    assert uris(await search(alice, "carol")) == ["sip:carol@example.com"]
    assert uris(await search(mallory, "carol")) == []
    seen = await contact(alice, "carol@example.com")
    assert seen.json["name"] == "Carol"
    hidden = await contact(mallory, "carol@example.com")
    stranger = await contact(mallory, "nobody@example.com")
    assert set(hidden.json) == set(stranger.json) == {"rel", "type", "uri", "_links"}
    assert set(hidden.json["_links"]) == {"self"}
    for what in ("contactPresence", "contactNote", "contactLocation", "contactPhoto"):
        refused = await mallory.get(f"{hidden.href}/{what}")
        unknown = await mallory.get(f"{stranger.href}/{what}")
        assert refused.status == unknown.status == 404
        assert refused.json["message"] == unknown.json["message"]
    await subscribe(mallory, "carol@example.com")
    assert told(await mallory.events()) == [
        "added presenceSubscription",
        "added contact in subscribedContacts",
    ]
    await publish(carol, "note", message="for the north")
    assert await mallory.events() == []


async def test_a_setting_opens_the_directory(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = {**QUICK, "ucwa_people_everyone": True}
    async with running_ucwa(database_url, redis_url, tmp_path, **settings) as api:
        alice, bob = await started(api, "alice", "north"), await started(api, "bob", "south")
        (found,) = many(await search(alice, "bob"), "contact")
        assert (found["name"], found["sourceNetwork"]) == ("Bob", "Federated")
        await available(bob)
        await subscribe(alice, "bob@example.com")
        await alice.events()
        await publish(bob, "note", message="for all")
        assert told(await alice.events()) == ["updated contactNote in contact"]


async def test_a_contact_shows_what_the_user_publishes(api: Api, alice: Program) -> None:
    bob = await started(api, "bob")
    found = await contact(alice, "bob@example.com")
    assert found.json["uri"] == "sip:bob@example.com"
    assert found.json["sourceNetwork"] == "SameEnterprise"
    assert (await alice.get(found.href, if_none_match=f'"{found.etag}"')).status == 304
    offline = (await alice.get(found.link("contactPresence"))).json
    assert (offline["availability"], offline["activity"]) == ("Offline", "Offline")
    assert "lastActive" not in offline
    await available(bob, signInAs="DoNotDisturb")
    await publish(bob, "note", message="Heads down")
    await publish(bob, "location", location="By the beach")
    presence = (await alice.get(found.link("contactPresence"))).json
    assert presence["availability"] == "DoNotDisturb"
    assert "lastActive" in presence
    assert (await alice.get(found.link("contactNote"))).json["message"] == "Heads down"
    assert (await alice.get(found.link("contactLocation"))).json["location"] == "By the beach"
    photo = await alice.get(found.link("contactPhoto"))
    assert photo.raw == (await bob.get((await bob.follow("me", "self")).link("photo"))).raw


async def test_a_contact_card(api: Api, alice: Program, database_url: str) -> None:
    await started(api, "bob")
    profile = Profile(
        title="Engineer",
        department="R&D",
        office_location="5/1380",
        phones={
            PhoneType.WORK: Phone(number="tel:+14255554321"),
            PhoneType.HOME: Phone(number="tel:+14255550107", include_in_contact_card=False),
        },
    )
    connection = await asyncpg.connect(database_url)
    try:
        await users.save_profile(connection, user_named("bob").id, profile)
    finally:
        await connection.close()
    found = (await contact(alice, "bob@example.com")).json
    assert (found["title"], found["office"]) == ("Engineer", "5/1380")
    assert found["workPhoneNumber"] == "tel:+14255554321"
    assert "homePhoneNumber" not in found, "not on the card"
    assert uris(await search(alice, "4255554")) == ["sip:bob@example.com"]
    assert uris(await search(alice, "4255550")) == [], "nor found by it"


async def test_what_is_no_address_is_nobodys(api: Api) -> None:
    alice = await started(api, "alice")
    for address in ("bob", "a@b@c", "%20@x", "@example.com"):
        assert (await contact(alice, address)).status == 404, address


async def test_addresses_are_of_any_case(api: Api) -> None:
    alice = await started(api, "alice")
    await started(api, "bob")
    assert (await contact(alice, "BOB@Example.COM")).json["name"] == "Bob"


async def test_scopes(api: Api) -> None:
    token = issue(
        SECRET,
        user=user_named("alice"),
        scope=["Meetings.ReadWrite"],
        now=datetime.now(UTC),
        lifetime=timedelta(hours=1),
    )
    alice = Program(api, "alice", token)
    await alice.start()
    assert (await search(alice, "bob")).status == 403
    assert (await contact(alice, "bob@example.com")).status == 403
    assert (await alice.follow("people", "myContacts")).status == 200, "any scope"
    mine = (await alice.dashboard()).link("people", "myContacts")
    assert (await alice.post(mine, {"contactUri": "sip:bob@example.com"})).status == 403
    me = await alice.follow("me", "self")
    assert me.status == 200
    assert (await alice.get(me.link("phones"))).status == 403
    assert (await alice.post(me.link("makeMeAvailable"))).status == 403
