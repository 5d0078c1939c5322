"""Nobody makes more of anything than is good for the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from rig_meetings import Api
from ucwa_rig import APPLICATIONS, Program, running_ucwa


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_ucwa(
        database_url, redis_url, tmp_path, channels_max=3, meetings_max=4
    ) as api:
        yield api


async def test_channels_of_one_user(api: Api) -> None:
    alice, bob = api.person("alice"), api.person("bob")
    for _ in range(3):
        await alice.open_channel()
    refused = await alice.post("/channels")
    assert (refused.status, refused.code) == (403, "LimitExceeded")
    assert (await bob.post("/channels")).status == 201
    assert (await alice.delete(f"/channels/{alice.queue_id}")).status == 204
    assert (await alice.post("/channels")).status == 201


async def test_meetings_of_one_owner(api: Api) -> None:
    alice, bob = api.person("alice"), api.person("bob")
    made = [await alice.new_meeting() for _ in range(4)]
    body = {"name": "x", "meetingType": "permanent"}
    refused = await alice.post("/meetings", body)
    assert (refused.status, refused.code) == (403, "LimitExceeded")
    assert "4 meetings" in refused.json["message"]
    assert (await bob.post("/meetings", body)).status == 200
    assert (await alice.delete(made[0])).status == 204
    at_once = await asyncio.gather(*(alice.post("/meetings", body) for _ in range(5)))
    assert sorted(answer.status for answer in at_once) == [200, 403, 403, 403, 403]


async def test_the_list_of_meetings_comes_in_pages_oldest_first(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with running_ucwa(database_url, redis_url, tmp_path) as api:
        alice, bob = api.person("alice"), api.person("bob")
        made = [await alice.new_meeting() for _ in range(7)]
        await bob.new_meeting()
        whole = await alice.get("/meetings")
        assert [f"/meetings/{meeting['id']}" for meeting in whole.json] == made
        assert "Link" not in whole.headers
        found, address = [], "/meetings?limit=3"
        while address:
            page = await alice.get(address)
            assert len(page.json) <= 3
            found += page.json
            link = page.headers.get("Link", "")
            address = link.removeprefix("<").partition(">")[0]
        assert found == whole.json
        first = await alice.get("/meetings?limit=3")
        await alice.delete(made[2])
        following = await alice.get(first.headers["Link"][1:].partition(">")[0])
        assert following.json == whole.json[3:6], "also when the last one of the page has gone"


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "limit=x",
        "limit=-1",
        "limit=1e2",
        "limit=" + "9" * 999,
        "limit=",
        "after=x",
        "after=-",
        "after=1-x",
        "after=99999999999999999999-" + "0" * 36,
        "after=",
        "after=1",
        "after=9999999999999999-00000000-0000-4000-8000-000000000000",
    ],
)
async def test_a_page_that_is_none(api: Api, query: str) -> None:
    assert (await api.person("alice").get(f"/meetings?{query}")).status == 400


async def test_the_plain_list_is_bounded_too(api: Api, database_url: str) -> None:
    alice = api.person("alice")
    await alice.get("/meetings")
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        """with made as (
               insert into meetings (id, name, meeting_type, owner_id, join_code, created_at)
               select gen_random_uuid(), 'x', 'permanent', $1, lpad(n::text, 10, '0'), now()
               from generate_series(1, 501) as n returning id)
           insert into members (meeting_id, user_id, role) select id, $1, 'moderator' from made""",
        alice.user.id,
    )
    await connection.close()
    listed = await alice.get("/meetings")
    assert len(listed.json) == 500
    rest = await alice.get(listed.headers["Link"][1:].partition(">")[0])
    assert len(rest.json) == 1
    ids = {meeting["id"] for meeting in [*listed.json, *rest.json]}
    assert len(ids) == 501, "those of one moment too"


async def test_instances_of_an_application(api: Api) -> None:
    alice = Program(api, "alice")
    identity = {"userAgent": "x", "endpointId": "1", "culture": "en-US"}
    for number in range(3):
        created = await alice.post(APPLICATIONS, {**identity, "instanceId": str(number)})
        assert created.status == 201
    refused = await alice.post(APPLICATIONS, {**identity, "instanceId": "3"})
    assert (refused.status, refused.json["code"]) == (403, "Forbidden")
    assert refused.subcode == "LimitExceeded"
    known = await alice.post(APPLICATIONS, {**identity, "instanceId": "2"})
    assert known.status == 200
