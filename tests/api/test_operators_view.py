"""What operators see and others don't; and whose names one may know."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rig_meetings import SECRET, Answer, Api, running_api, running_worker

from conference.tokens import issue, user_named

TOKEN = "a token that only operators have"
FIGURES = "/metrics"
READY = "/readyz"


@pytest.fixture
async def guarded(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(database_url, redis_url, tmp_path, ops_token=TOKEN) as api:
        yield api


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def asked(api: Api, path: str, headers: dict[str, str] | None = None) -> Answer:
    return await api.call("GET", path, headers=headers)


async def test_the_operators_token_opens_figures_and_details(guarded: Api, redis_url: str) -> None:
    figures = await asked(guarded, FIGURES, bearer(TOKEN))
    assert figures.status == 200
    assert b"parley_meetings" in figures.json
    async with running_worker(redis_url):
        ready = await asked(guarded, READY, bearer(TOKEN))
    assert (ready.status, ready.json["workers"]) == (200, {"ok": True})
    assert (await guarded.call("HEAD", FIGURES, headers=bearer(TOKEN))).status == 200


async def test_others_hear_whether_it_is_ready_and_no_more(guarded: Api, redis_url: str) -> None:
    alice = guarded.person("alice")
    odd = ("x", TOKEN + "x", TOKEN[:-1], "\xff", "", alice.headers["Authorization"][7:])
    for headers in (None, *(bearer(token) for token in odd), {"Cookie": f"ZM_AUTH_TOKEN={TOKEN}"}):
        refused = await asked(guarded, FIGURES, headers)
        assert (refused.status, refused.code) == (401, "no_operator"), headers
        assert "PARLEY_OPS_TOKEN" in refused.json["message"]
        unready = await asked(guarded, READY, headers)
        assert (unready.status, unready.json) == (503, {"ready": False})
    async with running_worker(redis_url):
        ready = await asked(guarded, READY)
        assert (ready.status, ready.json) == (200, {"ready": True})
    assert (await asked(guarded, "/healthz")).json == {"status": "alive"}


async def test_it_opens_nothing_else(guarded: Api) -> None:
    assert (await asked(guarded, "/meetings", bearer(TOKEN))).status == 401


@pytest.mark.parametrize(
    ("settings", "headers", "told"),
    [
        ({}, {}, True),
        ({}, {"X-Forwarded-For": "192.0.2.1"}, False),
        ({}, {"Forwarded": "for=192.0.2.1"}, False),
        ({}, {"Via": "1.1 proxy"}, False),
        ({"public_url": "https://meet.example.org"}, {}, False),
        ({"public_url": "https://meet.example.org", "ops_token": TOKEN}, bearer(TOKEN), True),
    ],
)
async def test_without_a_token_this_machine_may_ask_unless_a_proxy_does(
    database_url: str,
    redis_url: str,
    tmp_path: Path,
    settings: dict[str, str],
    headers: dict[str, str],
    told: bool,
) -> None:
    async with running_api(database_url, redis_url, tmp_path, **settings) as api:
        assert (await asked(api, FIGURES, headers)).status == (200 if told else 401)
        assert ("workers" in (await asked(api, READY, headers)).json) == told


# --- names ------------------------------------------------------------------------------------


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(database_url, redis_url, tmp_path) as api:
        for name, org in (("alice", "acme"), ("bob", "acme"), ("carol", "other"), ("dave", "")):
            token = issue_for(name, org)
            assert (await api.call("GET", "/meetings", headers=bearer(token))).status == 200
        yield api


def issue_for(name: str, org: str) -> str:
    return issue(
        SECRET,
        user=user_named(name, org=org),
        now=datetime.now(UTC),
        lifetime=timedelta(hours=1),
    )


async def knows(api: Api, reader: str, other: str) -> bool:
    """By either address alike."""
    by, asked_for = api.person(reader), api.person(other)
    one = await by.get(f"/users/{asked_for.id}")
    many = await by.get(f"/users?userIds={asked_for.id},{by.id}")
    assert by.id in [user["id"] for user in many.json]
    found = asked_for.id in [user["id"] for user in many.json]
    assert one.status == (200 if found else 404)
    return found


async def test_names_are_known_within_the_organisation(api: Api) -> None:
    for reader, other, expected in (
        ("alice", "alice", True),
        ("alice", "bob", True),
        ("alice", "carol", False),
        ("carol", "alice", False),
        ("alice", "dave", False),
        ("dave", "alice", False),
        ("dave", "dave", True),
    ):
        assert await knows(api, reader, other) == expected, (reader, other)


async def test_whom_one_meets_one_knows(api: Api) -> None:
    alice, bob, carol = await api.people("alice", "bob", "carol")
    path = await alice.started_meeting("scheduled")
    await alice.put(f"{path}/members/{bob.id}", {"userType": "registered"})
    assert await carol.join(path) == "WAITING"
    assert await knows(api, "alice", "carol"), "who waits, to the moderator"
    assert not await knows(api, "carol", "alice")
    await alice.post(f"{path}/queue/{carol.id}", {"status": "ACCEPTED"})
    assert await knows(api, "carol", "alice")
    assert await knows(api, "bob", "carol")
    await alice.delete(f"{path}/members/{carol.id}")
    assert not await knows(api, "carol", "alice")


async def test_organisations_may_be_open_to_each_other(
    api: Api, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with running_api(database_url, redis_url, tmp_path, ucwa_people_everyone=True) as opened:
        assert await knows(opened, "alice", "carol")
