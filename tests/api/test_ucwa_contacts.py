"""The contact list: who is on it, in which groups, and who is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from rig_meetings import Api, Json
from ucwa_people import (
    QUICK,
    expire,
    follow_list,
    many,
    started,
    uris,
)
from ucwa_rig import Program, running_ucwa, told


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_ucwa(database_url, redis_url, tmp_path, **QUICK) as api:
        yield api


@pytest.fixture
async def alice(api: Api) -> Program:
    return await started(api, "alice")


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


async def test_lists_link_to_what_they_embed(alice: Program) -> None:
    """Some clients read the links, others what is embedded; `expand=false` leaves the latter out."""
    mine = (await alice.follow("people", "myContacts")).href
    for name in ("bob", "carol"):
        added = await alice.post(mine, {"contactUri": f"sip:{name}@example.com"})
        assert added.status == 201
    watched = (await alice.follow("people", "presenceSubscriptions")).href
    uris = ["sip:bob@example.com", "sip:dave@example.com"]
    assert (await alice.post(watched, {"uris": uris, "duration": 11})).status == 201
    groups = await alice.follow("people", "myGroups")
    assert (await alice.post(groups.href, {"displayName": "Friends"})).status == 204
    default = groups.embedded("defaultGroup")["_links"]["groupContacts"]["href"]
    subscribed = (await alice.dashboard()).link("people", "subscribedContacts")
    for address, rels in (
        (mine, {"contact": 2}),
        (default, {"contact": 2}),
        (subscribed, {"contact": 2}),
        (groups.href, {"group": 1, "defaultGroup": 1, "pinnedGroup": 1}),
    ):
        whole, links = await alice.get(address), await alice.get(f"{address}?expand=false")
        assert whole.json["_links"] == links.json["_links"]
        assert "_embedded" not in links.json
        for rel, count in rels.items():
            linked, embedded = whole.json["_links"][rel], whole.embedded(rel)
            assert isinstance(linked, list) == isinstance(embedded, list)
            assert isinstance(linked, list) == (rel in ("contact", "group")), "what can be many"
            links_to = [link["href"] for link in as_list(linked)]
            assert links_to == [one["_links"]["self"]["href"] for one in as_list(embedded)]
            assert len(links_to) == count


def as_list(found: Json) -> list[Json]:
    return found if isinstance(found, list) else [found]


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
