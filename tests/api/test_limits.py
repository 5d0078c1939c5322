"""Nobody makes more of anything than is good for the others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rig_meetings import Api
from ucwa_rig import APPLICATIONS, Program, running_ucwa


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_ucwa(database_url, redis_url, tmp_path, channels_max=3) as api:
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
