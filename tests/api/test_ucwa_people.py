"""people: search, contacts, groups, and watching what others publish."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from rig_meetings import SECRET, Api, Json
from ucwa_rig import Answer, Program, running_ucwa, told
from yarl import URL

from conference.domain.directory import Phone, PhoneType, Profile
from conference.storage import users
from conference.tokens import issue, user_named

QUICK = {
    "ucwa_hold_medium": 0.05,
    "ucwa_hold_low": 0.05,
    "ucwa_poll_timeout": 0.3,
    "sweep_interval": 0.05,
}


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_ucwa(database_url, redis_url, tmp_path, **QUICK) as api:
        yield api


@pytest.fixture(params=["json", "xml"])
async def alice(api: Api, request: pytest.FixtureRequest) -> Program:
    return await started(api, "alice", xml=request.param == "xml")


async def started(api: Api, name: str, org: str = "", **how: Any) -> Program:
    program = Program(api, name, token_of(name, org), **how)
    await program.start()
    return program


def token_of(name: str, org: str) -> str:
    return issue(
        SECRET,
        user=user_named(name, org=org),
        now=datetime.now(UTC),
        lifetime=timedelta(hours=1),
    )


async def available(program: Program, **wishes: Json) -> None:
    """makeMeAvailable, and the events that it brings are read."""
    me = await program.follow("me", "self")
    assert (await program.post(me.link("makeMeAvailable"), wishes)).status == 204
    await program.events()


async def publish(program: Program, rel: str, **given: Json) -> None:
    me = await program.follow("me", "self")
    assert (await program.post(me.link(rel), given)).status == 204


async def search(program: Program, query: str, **more: Json) -> Answer:
    href = (await program.dashboard()).link("people", "search")
    address = URL(href).update_query(query=query, **more)
    return await program.get(str(address))


def many(found: Answer | Json, rel: str) -> list[Json]:
    """What is embedded or linked; XML does not tell one from several."""
    inside = found.json if isinstance(found, Answer) else found
    value = inside.get("_embedded", {}).get(rel) or inside["_links"].get(rel, [])
    return value if isinstance(value, list) else [value]


def uris(found: Answer) -> list[str]:
    return [each["uri"] for each in many(found, "contact")]


def where(event: Json) -> str:
    """The end of the address of what it is about."""
    return str(event["link"]["href"]).split("/people/")[-1]


# --- search -----------------------------------------------------------------------------------


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


# --- a contact --------------------------------------------------------------------------------


async def contact(program: Program, address: str) -> Answer:
    people = await program.follow("people", "self")
    return await program.get(f"{people.href}/{address}")


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


# --- contacts and groups ----------------------------------------------------------------------


async def follow_list(program: Program) -> str:
    """Begin to be told of the contact list; the subscription's address."""
    found = await program.follow("people", "myContactsAndGroupsSubscription")
    begun = await program.post(
        found.link("startOrRefreshSubscriptionToContactsAndGroups"), {"duration": 30}
    )
    assert begun.status == 201, begun
    assert begun.json["state"] == "Connected"
    return begun.href


async def test_contacts_are_added_and_removed(alice: Program) -> None:
    await follow_list(alice)
    mine = await alice.follow("people", "myContacts")
    assert many(mine, "contact") == []
    added = await alice.post(mine.href, {"contactUri": "sip:Bob@example.com"})
    assert added.status == 201
    assert added.headers["Location"] == added.href
    again = await alice.post(mine.href, {"contactUri": "bob@example.com"})
    assert (again.status, again.subcode) == (409, "AlreadyExists")
    assert uris(await alice.get(mine.href)) == ["sip:bob@example.com"]
    links = await alice.get(f"{mine.href}?expand=false")
    assert [link["href"] for link in many(links, "contact")] == [added.href]
    assert "_embedded" not in links.json
    assert (await alice.delete(added.href)).status == 204
    assert (await alice.delete(added.href)).status == 404
    assert told(await alice.events()) == [
        "added contact in myContacts",
        "added contact in defaultGroup",
        "deleted contact in defaultGroup",
        "deleted contact in myContacts",
    ]


async def test_contacts_that_cannot_be(alice: Program) -> None:
    mine = (await alice.follow("people", "myContacts")).href
    for wrong in ({}, {"contactUri": "bob"}, {"contactUri": f"sip:{'x' * 250}@example.com"}):
        refused = await alice.post(mine, wrong)
        assert (refused.status, refused.subcode) == (400, "ParameterValidationFailure")
    wanted = {"contactUri": "sip:bob@example.com", "groupId": "404"}
    assert (await alice.post(mine, wanted)).status == 404
    assert (await alice.get(f"{mine}?expand=perhaps")).status == 400
    assert (await alice.get(f"{mine}?groupId=404")).status == 404


async def test_groups(alice: Program) -> None:
    await follow_list(alice)
    groups = await alice.follow("people", "myGroups")
    assert groups.embedded("defaultGroup")["id"] == "default"
    assert groups.embedded("pinnedGroup")["id"] == "pinned"
    created = await alice.post(groups.href, {"displayName": "Family"})
    assert (created.status, created.raw) == (204, b"")
    again = await alice.post(groups.href, {"displayName": "family"})
    assert (again.status, again.subcode) == (409, "AlreadyExists")
    (family,) = many(await alice.get(groups.href), "group")
    assert family["name"] == "Family"
    assert family["_links"]["self"]["href"] == created.headers["Location"]
    (link,) = many(await alice.get(f"{groups.href}?expand=false"), "group")
    assert link["title"] == "Family"
    before = await alice.get(created.headers["Location"])
    renamed = await alice.put(before.href, {**before.json, "name": "Kin"}, if_match=before.etag)
    assert (renamed.status, renamed.json["name"]) == (200, "Kin")
    assert renamed.etag != before.etag
    assert (await alice.put(before.href, {"name": "Clan"}, if_match=before.etag)).status == 412
    assert (await alice.put(before.href, {})).status == 400
    assert (await alice.delete(before.href)).status == 204
    assert (await alice.get(before.href)).status == 404
    assert (await alice.delete(before.href)).status == 404
    assert told(await alice.events()) == [
        "added group in myGroups",
        "updated group",
        "deleted group in myGroups",
    ]


async def test_groups_that_everybody_has_stay(alice: Program) -> None:
    groups = await alice.follow("people", "myGroups")
    for rel in ("defaultGroup", "pinnedGroup"):
        href = groups.embedded(rel)["_links"]["self"]["href"]
        assert (await alice.get(href)).json["_links"]["self"]["href"] == href
        assert (await alice.put(href, {"name": "Mine"})).status == 403
        assert (await alice.delete(href)).status == 403


async def test_memberships(alice: Program) -> None:
    groups = await alice.follow("people", "myGroups")
    family = (await alice.post(groups.href, {"displayName": "Family"})).headers["Location"]
    group = (await alice.get(family)).json
    await follow_list(alice)
    memberships = await alice.follow("people", "myGroupMemberships")
    wanted = {"contactUri": "sip:bob@example.com", "groupId": group["id"]}
    added = await alice.post(memberships.href, wanted)
    assert added.status == 201
    assert added.link("group") == family
    assert (await alice.get(added.link("contact"))).json["uri"] == "sip:bob@example.com"
    assert (await alice.get(added.href)).json == added.json
    assert (await alice.post(memberships.href, wanted)).subcode == "AlreadyExists"
    pinned = await alice.post(memberships.href, {**wanted, "groupId": "pinned"})
    assert "pinnedGroup" in pinned.json["_links"]
    found = many(await alice.get(f"{memberships.href}?groupId=pinned"), "myGroupMembership")
    assert [each["_links"]["self"]["href"] for each in found] == [pinned.href]
    inside = await alice.get(group["_links"]["groupContacts"]["href"])
    assert uris(inside) == ["sip:bob@example.com"]
    assert (await alice.delete(pinned.href)).status == 204
    assert (await alice.delete(pinned.href)).status == 404
    assert (await alice.delete(family)).status == 204
    (left,) = many(await alice.get(memberships.href), "myGroupMembership")
    assert "defaultGroup" in left["_links"], "a contact outlives its group"
    gone = memberships.link("removeContactFromAllGroups")
    assert (await alice.post(gone, {"contactUri": "sip:bob@example.com"})).status == 204
    assert (await alice.post(gone, {"contactUri": "sip:bob@example.com"})).status == 404
    assert told(await alice.events()) == [
        "added contact in myContacts",
        "added contact in group",
        "added contact in pinnedGroup",
        "deleted contact in pinnedGroup",
        "deleted group in myGroups",
        "added contact in defaultGroup",
        "deleted contact in defaultGroup",
        "deleted contact in myContacts",
    ]


async def test_lists_are_everybodys_own(api: Api) -> None:
    alice, mallory = await started(api, "alice"), await started(api, "mallory")
    groups = await alice.follow("people", "myGroups")
    family = (await alice.post(groups.href, {"displayName": "Family"})).headers["Location"]
    group_id = family.rpartition("/")[2]
    wanted = {"contactUri": "sip:bob@example.com", "groupId": group_id}
    memberships = (await alice.follow("people", "myGroupMemberships")).href
    assert (await alice.post(memberships, wanted)).status == 201
    await follow_list(mallory)
    assert many(await mallory.follow("people", "myContacts"), "contact") == []
    assert many(await mallory.follow("people", "myGroups"), "group") == []
    base = mallory.application.partition("?")[0]
    theirs = f"{base}/people/groups/{group_id}"
    assert (await mallory.get(theirs)).status == 404
    assert (await mallory.put(theirs, {"name": "Mine"})).status == 404
    assert (await mallory.delete(theirs)).status == 404
    assert (await mallory.get(f"{theirs}/contacts")).status == 404
    assert (await mallory.post(f"{base}/people/groupMemberships", wanted)).status == 404
    pair = f"{base}/people/groupMemberships/{group_id},bob@example.com"
    assert (await mallory.get(pair)).status == (await mallory.delete(pair)).status == 404
    assert (await mallory.get(family)).status == 404, "nor by the application's address"
    assert await mallory.events() == []
    assert (await alice.get(family)).json["name"] == "Family"


async def test_the_contact_list_is_told_while_it_is_followed(api: Api, database_url: str) -> None:
    alice = await started(api, "alice")
    mine = (await alice.follow("people", "myContacts")).href
    await alice.post(mine, {"contactUri": "sip:bob@example.com"})
    assert await alice.events() == []
    following = await follow_list(alice)
    await expire(database_url, "contact_list_subscriptions", timedelta(minutes=29))
    await alice.until("myContactsAndGroupsSubscription", "updated")
    assert (await alice.get(following)).json["state"] == "Connected", "a warning"
    await follow_list(alice)
    await expire(database_url, "contact_list_subscriptions", timedelta(minutes=31))
    await alice.until("myContactsAndGroupsSubscription", "updated")
    over = await alice.get(following)
    assert over.json["state"] == "Disconnected"
    assert "stopSubscriptionToContactsAndGroups" not in over.json["_links"]
    await follow_list(alice)
    stop = (await alice.get(following)).link("stopSubscriptionToContactsAndGroups")
    assert (await alice.post(stop)).status == 204
    await alice.post(mine, {"contactUri": "sip:carol@example.com"})
    assert await alice.events() == []


async def expire(database_url: str, table: str, time: timedelta) -> None:
    """As if so much more time had gone by."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(f"update {table} set expires_at = expires_at - $1::interval", time)
    finally:
        await connection.close()


# --- watching ---------------------------------------------------------------------------------


async def subscribe(program: Program, *addresses: str, duration: Json = 15) -> Answer:
    subscriptions = (await program.dashboard()).link("people", "presenceSubscriptions")
    wanted = {"uris": [f"sip:{each}" for each in addresses], "duration": duration}
    created = await program.post(subscriptions, wanted)
    assert created.status == 201, created
    return created


async def test_a_subscription_tells_what_others_publish(api: Api, alice: Program) -> None:
    bob = await started(api, "bob")
    created = await subscribe(alice, "bob@example.com")
    assert created.headers["Location"] == created.href
    assert told(await alice.events()) == [
        "added presenceSubscription",
        "added contact in subscribedContacts",
        "updated contactPresence in contact",
        "updated contactNote in contact",
        "updated contactLocation in contact",
    ]
    await available(bob)
    (event,) = await alice.events()
    assert event["sender"]["rel"] == "people"
    assert where(event) == "bob@example.com/contactPresence"
    assert event["in"]["href"].endswith("/people/bob@example.com")
    assert (await alice.get(event["link"]["href"])).json["availability"] == "Online"
    await publish(bob, "note", message="Heads down")
    await publish(bob, "location", location="Home")
    await publish(bob, "presence", availability="Busy")
    await publish(bob, "presence", availability="Away")
    assert told(await alice.events()) == [
        "updated contactNote in contact",
        "updated contactLocation in contact",
        "updated contactPresence in contact",
    ]
    await bob.delete(bob.application)
    (event,) = await alice.events()
    assert (await alice.get(event["link"]["href"])).json["availability"] == "Offline"


async def test_subscriptions_are_listed_and_ended(api: Api, alice: Program) -> None:
    bob = await started(api, "bob")
    await available(bob)
    first = await subscribe(alice, "bob@example.com", "carol@example.com")
    second = await subscribe(alice, "bob@example.com")
    all_of_them = await alice.follow("people", "presenceSubscriptions")
    ids = [each["id"] for each in many(all_of_them, "presenceSubscription")]
    assert ids == [first.json["id"], second.json["id"]]
    assert (await alice.get(first.href)).json == first.json
    watched = ["sip:bob@example.com", "sip:carol@example.com"]
    assert uris(await alice.follow("people", "subscribedContacts")) == watched
    everything = await alice.follow("people", "presenceSubscriptionMemberships")
    assert len(many(everything, "presenceSubscriptionMembership")) == 3
    await alice.events()
    assert (await alice.delete(first.href)).status == 204
    assert (await alice.get(first.href)).status == (await alice.delete(first.href)).status == 404
    events = await alice.events()
    assert told(events) == ["deleted presenceSubscription", "deleted contact in subscribedContacts"]
    assert where(events[1]) == "carol@example.com", "bob is in the other one"
    await publish(bob, "note", message="still")
    assert told(await alice.events()) == ["updated contactNote in contact"]
    assert (await alice.delete(second.href)).status == 204
    await alice.events()
    await publish(bob, "note", message="and now not")
    assert await alice.events() == []


async def test_members_of_a_subscription(api: Api, alice: Program) -> None:
    carol = await started(api, "carol")
    await available(carol)
    created = await subscribe(alice, "bob@example.com")
    await alice.events()
    for rel in ("addToPresenceSubscription", "memberships"):
        body = {"contactUris": ["sip:carol@example.com", "sip:bob@example.com"]}
        added = await alice.post(created.link(rel), body)
        assert (added.status, len(many(added, "presenceSubscriptionMembership"))) == (201, 2)
    assert told(await alice.events())[0] == "added contact in subscribedContacts"
    found = await alice.get(created.link("memberships"))
    member = many(found, "presenceSubscriptionMembership")[1]["_links"]
    assert (await alice.get(member["contact"]["href"])).json["name"] == "Carol"
    one = await alice.get(member["self"]["href"])
    assert one.link("presenceSubscription") == created.href
    await publish(carol, "note", message="hello")
    assert told(await alice.events()) == ["updated contactNote in contact"]
    assert (await alice.delete(one.href)).status == 204
    assert (await alice.get(one.href)).status == (await alice.delete(one.href)).status == 404
    assert told(await alice.events()) == ["deleted contact in subscribedContacts"]
    await publish(carol, "note", message="goodbye")
    assert await alice.events() == []
    unnamed = (await alice.dashboard()).link("people", "presenceSubscriptionMemberships")
    assert (await alice.post(unnamed, {"contactUris": ["sip:carol@example.com"]})).status == 201
    assert told(await alice.events())[0] == "added presenceSubscription"


async def test_those_who_watch_each_other_do_not_wait_for_each_other(api: Api) -> None:
    programs = [await started(api, name) for name in ("alice", "bob", "carol")]
    everybody = [f"{program.name}@example.com" for program in programs]
    for program in programs:
        await available(program)
    for turn in range(5):
        await asyncio.gather(
            *(subscribe(program, *everybody[::-1]) for program in programs),
            *(publish(program, "note", message=f"note {turn}") for program in programs),
        )
    for program in programs:
        found = await program.follow("people", "presenceSubscriptions")
        assert len(many(found, "presenceSubscription")) == 5


async def test_a_group_is_watched(api: Api, alice: Program) -> None:
    bob = await started(api, "bob")
    await available(bob)
    mine = (await alice.follow("people", "myContacts")).href
    await alice.post(mine, {"contactUri": "sip:bob@example.com"})
    default = (await alice.follow("people", "myGroups")).embedded("defaultGroup")
    address = default["_links"]["subscribeToGroupPresence"]["href"]
    assert (await alice.post(f"{address}?duration=30")).status == 201
    await alice.events()
    await publish(bob, "note", message="hello")
    assert told(await alice.events()) == ["updated contactNote in contact"]


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"duration": 15}, "uris"),
        ({"uris": [], "duration": 15}, "uris"),
        ({"uris": ["bob"], "duration": 15}, "uris"),
        ({"uris": ["sip:bob@example.com"] * 101, "duration": 15}, "uris"),
        ({"uris": ["sip:bob@example.com"]}, "duration"),
        ({"uris": ["sip:bob@example.com"], "duration": 9}, "duration"),
        ({"uris": ["sip:bob@example.com"], "duration": 31}, "duration"),
        ({"uris": ["sip:bob@example.com"], "duration": "long"}, "duration"),
    ],
)
async def test_subscriptions_that_cannot_be(api: Api, wrong: dict[str, Json], name: str) -> None:
    alice = await started(api, "alice")
    subscriptions = await alice.follow("people", "presenceSubscriptions")
    refused = await alice.post(subscriptions.href, wrong)
    assert (refused.status, refused.subcode) == (400, "ParameterValidationFailure")
    assert name in refused.json["parameters"]
    assert many(await alice.get(subscriptions.href), "presenceSubscription") == []


async def test_subscriptions_have_a_limit(api: Api) -> None:
    alice = await started(api, "alice")
    for hundred in range(5):
        await subscribe(alice, *(f"user{hundred}-{n}@example.com" for n in range(100)))
    subscriptions = (await alice.dashboard()).link("people", "presenceSubscriptions")
    one_more = {"uris": ["sip:one-more@example.com"], "duration": 15}
    refused = await alice.post(subscriptions, one_more)
    assert (refused.status, refused.subcode) == (403, "LimitExceeded")
    assert len(many(await alice.get(subscriptions), "presenceSubscription")) == 5
    await subscribe(alice, "user0-0@example.com")


async def test_a_subscription_expires_after_a_warning(api: Api, database_url: str) -> None:
    alice, bob = await started(api, "alice"), await started(api, "bob")
    await available(bob)
    created = await subscribe(alice, "bob@example.com", duration=10)
    await alice.events()
    await expire(database_url, "presence_subscriptions", timedelta(minutes=9))
    await alice.until("presenceSubscription", "updated")
    assert await alice.events() == [], "said once"
    extended = await alice.post(created.href, {"duration": 30})
    assert (extended.status, extended.json["id"]) == (201, created.json["id"])
    await expire(database_url, "presence_subscriptions", timedelta(minutes=29))
    await alice.until("presenceSubscription", "updated")
    await expire(database_url, "presence_subscriptions", timedelta(minutes=2))
    assert told(await alice.events()) == [
        "deleted presenceSubscription",
        "deleted contact in subscribedContacts",
    ]
    assert (await alice.get(created.href)).status == 404
    assert (await alice.post(created.href, {"duration": 30})).status == 404
    await publish(bob, "note", message="nobody hears")
    assert await alice.events() == []


async def test_a_subscription_is_of_its_application(api: Api) -> None:
    alice, other, mallory = (
        await started(api, "alice"),
        await started(api, "alice"),
        await started(api, "mallory"),
    )
    created = await subscribe(alice, "bob@example.com")
    suffix = created.href.partition("/people/")[2]
    for program in (other, mallory):
        href = f"{program.application.partition('?')[0]}/people/{suffix}"
        assert (await program.get(href)).status == (await program.delete(href)).status == 404
        assert (await program.post(href, {"duration": 10})).status == 404
        found = await program.follow("people", "presenceSubscriptions")
        assert many(found, "presenceSubscription") == []
    assert (await mallory.get(created.href)).status == 404
    assert (await alice.get(created.href)).status == 200


async def test_subscriptions_end_with_the_application(api: Api, database_url: str) -> None:
    alice = await started(api, "alice")
    await subscribe(alice, "bob@example.com")
    await follow_list(alice)
    assert (await alice.delete(alice.application)).status == 204
    connection = await asyncpg.connect(database_url)
    try:
        for table in ("presence_subscriptions", "contact_list_subscriptions"):
            assert await connection.fetchval(f"select count(*) from {table}") == 0
    finally:
        await connection.close()


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


async def test_two_processes(database_url: str, redis_url: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        first, second = [
            await stack.enter_async_context(
                running_ucwa(database_url, redis_url, tmp_path, **QUICK)
            )
            for _ in range(2)
        ]
        alice, bob = await started(first, "alice"), await started(second, "bob")
        await subscribe(alice, "bob@example.com")
        await alice.events()
        await available(bob, signInAs="Busy")
        event = await alice.until("contactPresence", "updated")
        seen = await alice.get(event["link"]["href"])
        assert seen.json["availability"] == "Busy"
        await bob.delete(bob.application)
        await alice.until("contactPresence", "updated")
        assert (await alice.get(event["link"]["href"])).json["availability"] == "Offline"
