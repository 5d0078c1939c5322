"""Presence subscriptions: being told what others publish."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from rig_meetings import Api, Json
from ucwa_people import (
    QUICK,
    available,
    expire,
    follow_list,
    many,
    publish,
    started,
    subscribe,
    uris,
    where,
)
from ucwa_rig import Program, running_ucwa, told


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_ucwa(database_url, redis_url, tmp_path, **QUICK) as api:
        yield api


@pytest.fixture
async def alice(api: Api) -> Program:
    return await started(api, "alice")


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
