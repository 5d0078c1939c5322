"""Applications over HTTP, in JSON and in XML: identity, instances, the dashboard, and every way to lose one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from rig_meetings import SECRET, Api, Json
from ucwa_rig import APPLICATIONS, Answer, Program, running_ucwa

from conference.tokens import issue, user_named

EMBEDDED = ("communication", "me", "onlineMeetings", "people")
LINKS = ("self", "batch", "events", "policies", "reportMyNetwork")


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_ucwa(database_url, redis_url, tmp_path) as api:
        yield api


@pytest.fixture(params=["json", "xml"])
def alice(api: Api, request: pytest.FixtureRequest) -> Program:
    return Program(api, "alice", xml=request.param == "xml")


def identity(**changed: str | None) -> dict[str, str | None]:
    return {
        "culture": "en-us",
        "userAgent": "ContosoApp/1.0",
        "endpointId": "54321",
        "type": "Browser",
        **changed,
    }


async def test_an_application_is_a_dashboard(alice: Program) -> None:
    created = await alice.post(APPLICATIONS, identity())
    assert created.status == 201
    assert created.headers["Location"] == created.href
    shown = await alice.get(created.href)
    assert shown.status == 200
    assert shown.json == created.json
    assert {name: shown.json[name] for name in ("culture", "userAgent")} == {
        "culture": "en-us",
        "userAgent": "ContosoApp/1.0",
    }
    assert shown.json["rel"] == "application"
    assert set(shown.json["_links"]) == set(LINKS)
    for name in LINKS:
        assert shown.link(name).startswith(f"{APPLICATIONS}/")
    assert "?" in shown.link("events")
    assert shown.json["etag"] == shown.etag
    assert set(shown.json["_embedded"]) == set(EMBEDDED)


async def test_a_copy_that_is_current_is_not_sent_again(alice: Program) -> None:
    created = await alice.post(APPLICATIONS, identity())
    known = await alice.get(created.href, if_none_match=f'"{created.etag}"')
    assert (known.status, known.raw) == (304, b"")


async def test_the_same_identity_finds_the_same_application(alice: Program) -> None:
    created = await alice.post(APPLICATIONS, identity())
    again = await alice.post(APPLICATIONS, identity())
    assert (again.status, again.href) == (200, created.href)
    for changed in ({"culture": "de"}, {"endpointId": "1"}, {"userAgent": "X"}, {"type": "Phone"}):
        other = await alice.post(APPLICATIONS, identity(**changed))
        assert other.status == 201
        assert other.href != created.href


async def test_instances_have_channels_of_their_own(alice: Program) -> None:
    one = await alice.post(APPLICATIONS, identity(instanceId="one & only"))
    two = await alice.post(APPLICATIONS, identity(instanceId="two"))
    again = await alice.post(APPLICATIONS, identity(instanceId="two"))
    assert (one.status, two.status, again.status) == (201, 201, 200)
    assert one.href.endswith("?instanceId=one+%26+only")
    assert two.href.partition("?")[0] == one.href.partition("?")[0]
    assert two.href == again.href
    assert two.link("events").endswith("/events?ack=1&instanceId=two")
    assert one.link("events").endswith("/events?ack=1&instanceId=one+%26+only")
    assert (await alice.get(two.href)).href == two.href
    assert (await alice.get(one.link("events"))).status == 200

    assert (await alice.delete(one.href)).status == 204
    lost = await alice.get(one.link("events"))
    assert (lost.status, lost.subcode) == (404, "ApplicationNotFound")
    assert (await alice.get(two.href)).status == 200
    assert (await alice.delete(two.href)).status == 204
    gone = await alice.get(two.href)
    assert (gone.status, gone.json["code"], gone.subcode) == (
        404,
        "NotFound",
        "ApplicationNotFound",
    )


@pytest.mark.parametrize(
    ("inputs", "wrong"),
    [
        (identity(culture=None), "culture"),
        (identity(userAgent=None), "userAgent"),
        (identity(endpointId=None), "endpointId"),
        (identity(endpointId=""), "endpointId"),
        (identity(endpointId="x" * 101), "endpointId"),
        (identity(instanceId="x" * 101), "instanceId"),
        (identity(type="x" * 101), "type"),
    ],
)
async def test_inputs_that_will_not_do_are_named(
    alice: Program, inputs: dict[str, str | None], wrong: str
) -> None:
    refused = await alice.post(APPLICATIONS, inputs)
    assert (refused.status, refused.subcode) == (400, "ParameterValidationFailure")
    assert wrong in refused.json["parameters"]


async def test_names_of_inputs_are_of_any_case_and_may_be_in_the_query(alice: Program) -> None:
    created = await alice.post(APPLICATIONS, identity())
    address = f"{APPLICATIONS}?Culture=en-us&USERAGENT=ContosoApp/1.0"
    again = await alice.post(address, {"endpointid": "54321"})
    assert (again.status, again.href) == (200, created.href)


async def test_nobody_finds_what_is_anothers(api: Api, alice: Program) -> None:
    created = await alice.post(APPLICATIONS, identity())
    bob = Program(api, "bob")
    for address in (created.href, created.link("events"), created.link("policies")):
        stranger = await bob.get(address)
        assert (stranger.status, stranger.subcode) == (404, "ApplicationNotFound")
        never = await bob.get(f"{APPLICATIONS}/{uuid4().hex[:20]}")
        assert never.json == stranger.json
    assert (await bob.delete(created.href)).status == 404
    assert (await alice.get(created.href)).status == 200


async def test_a_deleted_one_is_recreated(alice: Program) -> None:
    created = await alice.post(APPLICATIONS, identity())
    assert (await alice.delete(created.href)).status == 204
    assert (await alice.delete(created.href)).status == 404
    again = await alice.post(APPLICATIONS, identity())
    assert again.status == 201
    assert again.href != created.href


async def test_too_many(database_url: str, redis_url: str, tmp_path: Path) -> None:
    async with running_ucwa(database_url, redis_url, tmp_path, ucwa_applications_max=2) as api:
        programs = [Program(api, "alice") for _ in range(3)]
        first, *others = [await program.start() for program in programs]
        gone = await programs[0].get(first.href)
        assert (gone.status, gone.json["code"], gone.subcode) == (
            410,
            "Gone",
            "TooManyApplications",
        )
        polled = await programs[0].get(programs[0].next)
        assert (polled.status, polled.subcode) == (410, "TooManyApplications")
        for other in others:
            assert (await programs[1].get(other.href)).status == 200
        again = await programs[0].start()
        assert again.status == 201


async def test_a_user_agent_that_is_no_longer_supported(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with running_ucwa(database_url, redis_url, tmp_path) as api:
        created = await Program(api, "alice").post(APPLICATIONS, identity())
    async with running_ucwa(
        database_url, redis_url, tmp_path, ucwa_refused_user_agents=["Contoso*"]
    ) as api:
        alice = Program(api, "alice")
        for refused in (await alice.get(created.href), await alice.post(APPLICATIONS, identity())):
            assert (refused.status, refused.subcode) == (410, "UserAgentNotAllowed")
        assert (await alice.post(APPLICATIONS, identity(userAgent="New/2"))).status == 201


async def test_one_without_a_pending_get_expires(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = {"ucwa_application_idle": 0.3, "sweep_interval": 0.05}
    async with running_ucwa(database_url, redis_url, tmp_path, **settings) as api:
        alice = Program(api, "alice")
        created = await alice.start()
        waiting = await alice.poll(1)
        assert waiting.status == 200, "a parked poll keeps it alive"
        while (answer := await alice.get(created.href)).status == 200:
            pass
        assert (answer.status, answer.subcode) == (410, "InactiveApplicationExpired")


async def test_policies_and_network(alice: Program) -> None:
    created = await alice.post(APPLICATIONS, identity())
    policies = await alice.get(created.link("policies"))
    assert policies.status == 200
    assert policies.json["rel"] == "policies"
    assert policies.href == created.link("policies")
    flags = {name: value for name, value in policies.json.items() if not name.startswith("_")}
    assert flags["photos"] == "Enabled"
    assert flags["htmlMessaging"] == "Disabled"


async def test_a_program_tells_of_its_network(alice: Program) -> None:
    address = (await alice.post(APPLICATIONS, identity())).link("reportMyNetwork")
    sample = dict.fromkeys(("chassisID", "ip", "mac", "portID", "rssi"), "samplevalue")
    for kind in ("External", "internal"):
        told = await alice.post(address, {"clientNetworkType": kind, **sample})
        assert (told.status, told.raw) == (201, b"")
    for inputs in ({}, sample, {"clientNetworkType": "Office"}, {"clientNetworkType": ""}):
        refused = await alice.post(address, inputs)
        assert (refused.status, refused.subcode) == (400, "ParameterValidationFailure")
        assert list(refused.json["parameters"]) == ["clientNetworkType"]
    lists = {"clientNetworkType": "External", "ip": ["a", "b"]}
    assert list((await alice.post(address, lists)).json["parameters"]) == ["ip"]


async def test_what_an_application_says_of_itself(alice: Program) -> None:
    """Its own id is the last segment of its address; an instance is named where the client did."""
    inputs = {"culture": "en-us", "userAgent": "ContosoApp/1.0", "endpointId": "e-1"}
    created = await alice.post(APPLICATIONS, {**inputs, "instanceId": "tab 1"})
    own = {name: value for name, value in created.json.items() if name[0] != "_"}
    assert own == {
        "rel": "application",
        **inputs,
        "type": "Browser",
        "id": created.href.rpartition("/")[2].partition("?")[0],
        "instanceId": "tab 1",
        "etag": created.etag,
    }
    plain = await alice.post(APPLICATIONS, {**inputs, "type": "Desktop", "instanceId": ""})
    assert plain.status == 201
    assert (plain.json["type"], "instanceId" in plain.json) == ("Desktop", False)


async def test_the_applications_of_a_user(alice: Program, api: Api) -> None:
    bob = Program(api, "bob")
    await bob.start()
    empty = await alice.get(APPLICATIONS)
    assert (empty.status, empty.json["rel"], empty.href) == (200, "applications", APPLICATIONS)
    assert many(empty) == []
    one = await alice.post(APPLICATIONS, identity(endpointId="1"))
    tab = await alice.post(APPLICATIONS, identity(endpointId="1", instanceId="tab"))
    other = await alice.post(APPLICATIONS, identity(endpointId="2"))
    found = {
        shown["_links"]["self"]["href"]: shown for shown in many(await alice.get(APPLICATIONS))
    }
    assert set(found) == {one.href, tab.href, other.href}
    for created in (one, tab, other):
        shown = found[created.href]
        assert shown["_links"] == created.json["_links"]
        same = ("culture", "userAgent", "type", "id", "endpointId")
        assert [shown[name] for name in same] == [created.json[name] for name in same]
    assert (await alice.delete(other.href)).status == 204
    assert len(many(await alice.get(APPLICATIONS))) == 2


def many(answer: Answer) -> list[Json]:
    found = answer.json.get("_embedded", {}).get("application", [])
    return found if isinstance(found, list) else [found]


async def test_somebody_anonymous_needs_no_endpoint(api: Api) -> None:
    token = issue(
        SECRET,
        user=user_named("guest"),
        now=datetime.now(UTC),
        lifetime=timedelta(minutes=5),
        meeting=uuid4(),
    )
    guest = Program(api, "guest", token)
    created = await guest.post(APPLICATIONS, {"culture": "en-us", "userAgent": "Guest/1.0"})
    assert created.status == 201
    again = await guest.post(APPLICATIONS, {"culture": "en-us", "userAgent": "Guest/1.0"})
    assert (again.status, again.href) == (200, created.href)
    assert (await guest.get(created.link("events"))).status == 200
    assert "reportMyNetwork" not in created.json["_links"]
    told = await guest.post(f"{created.href}/reportMyNetwork", {"clientNetworkType": "External"})
    assert (told.status, told.subcode) == (403, "AnonymousNotAllowed")
    refused = await guest.post(APPLICATIONS, {"userAgent": "Guest/1.0"})
    assert (refused.status, list(refused.json["parameters"])) == (400, ["culture"])


async def test_an_instance_that_is_not_there(alice: Program) -> None:
    created = await alice.post(APPLICATIONS, identity())
    for method, address in (
        ("DELETE", f"{created.href}?instanceId=other"),
        ("GET", f"{created.link('events')}&instanceId=other"),
    ):
        lost = await alice.call(method, address)
        assert (lost.status, lost.subcode) == (404, "ApplicationNotFound")
    assert (await alice.get(created.href)).status == 200
