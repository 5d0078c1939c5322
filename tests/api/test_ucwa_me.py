"""me: being available, presence, note and location, phones, photo and call forwarding."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from rig_meetings import SECRET, WITHIN, Api, Json, running_api
from ucwa_people import QUICK, available, started
from ucwa_rig import Answer, Program, running_ucwa, told

from conference.tokens import issue, user_named


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_ucwa(database_url, redis_url, tmp_path, **QUICK) as api:
        yield api


@pytest.fixture(params=["json", "xml"])
async def alice(api: Api, request: pytest.FixtureRequest) -> Program:
    return await started(api, "alice", xml=request.param == "xml")


async def me(program: Program) -> Answer:
    return await program.follow("me", "self")


async def shown(program: Program) -> tuple[str, str]:
    found = await program.get((await me(program)).link("presence"))
    assert found.status == 200, found
    return found.json["availability"], found.json["activity"]


# --- being available --------------------------------------------------------------------------


async def test_me_before_and_after_being_available(alice: Program) -> None:
    before = await me(alice)
    assert before.json["name"] == "Alice"
    assert before.json["uri"] == "sip:alice@example.com"
    assert before.json["emailAddresses"] in (["alice@example.com"], "alice@example.com")
    assert before.json["endpointUri"].startswith("sip:alice@example.com;opaque=user:epid:")
    assert "title" not in before.json, "what nobody said is left out"
    assert set(before.json["_links"]) == {
        "self",
        "makeMeAvailable",
        "callForwardingSettings",
        "phones",
        "photo",
    }
    assert before.json == (await alice.dashboard()).embedded("me")
    await available(alice)
    assert set((await me(alice)).json["_links"]) == {
        "self",
        "callForwardingSettings",
        "phones",
        "photo",
        "presence",
        "note",
        "location",
        "reportMyActivity",
    }


async def test_being_available_is_told(alice: Program) -> None:
    await alice.post((await me(alice)).link("makeMeAvailable"), {"signInAs": "Busy"})
    events = await alice.events()
    assert told(events) == [
        "updated communication",
        "updated me",
        "added presence",
        "added note",
        "added location",
    ]
    assert [event["sender"]["rel"] for event in events] == ["communication"] + ["me"] * 4
    assert (await alice.get(events[2]["link"]["href"])).json["availability"] == "Busy"


async def test_being_available_says_how_to_be_reached(alice: Program) -> None:
    await available(
        alice,
        supportedModalities=["Messaging", "PhoneAudio"],
        supportedMessageFormats=["Plain", "Html"],
        audioPreference="PhoneAudio",
        phoneNumber="4255552222",
        signInAs="BeRightBack",
    )
    found = (await alice.follow("communication", "self")).json
    assert found["supportedModalities"] == ["Messaging", "PhoneAudio"]
    assert found["audioPreference"] == "PhoneAudio"
    assert await shown(alice) == ("BeRightBack", "Be right back")


async def test_being_available_twice(alice: Program) -> None:
    address = (await me(alice)).link("makeMeAvailable")
    assert (await alice.post(address)).status == 204
    again = await alice.post(address)
    assert (again.status, again.subcode) == (409, "AlreadyExists")


async def test_being_available_as_revision_2_has_it(alice: Program) -> None:
    """Which operations are under way: none, since all is done when the answer comes."""
    shown = await me(alice)
    assert shown.json["_links"]["makeMeAvailable"]["revision"] == "2"
    version = {"X-MS-RequiresMinResourceVersion": "2.0"}
    made = await alice.call("POST", shown.link("makeMeAvailable"), {"signInAs": "Busy"}, version)
    assert made.status == 201
    if alice.xml:
        assert made.headers["Content-Type"].startswith("application/xml")
        assert made.raw.endswith(b"<operationsQueued><operations /></operationsQueued>")
    else:
        assert made.json == {"operations": []}
    assert "reportMyActivity" in (await me(alice)).json["_links"]
    again = await alice.call("POST", shown.link("makeMeAvailable"), headers=version)
    assert (again.status, again.subcode) == (409, "AlreadyExists")


@pytest.mark.parametrize(
    "wrong",
    [
        {"signInAs": "Offline"},
        {"supportedModalities": ["Telepathy"]},
        {"inactiveTimeout": 0},
        {"inactiveTimeout": "soon"},
        {"inactiveTimeout": "25:00:01"},
        {"audioPreference": "Loud"},
    ],
)
async def test_wishes_that_cannot_be(alice: Program, wrong: dict[str, Json]) -> None:
    refused = await alice.post((await me(alice)).link("makeMeAvailable"), wrong)
    assert (refused.status, refused.subcode) == (400, "ParameterValidationFailure")
    assert next(iter(wrong)) in refused.json["parameters"]
    assert "makeMeAvailable" in (await me(alice)).json["_links"], "nothing happened"


@pytest.mark.parametrize("timeout", [5, "5", "00:05:00", "PT5M"])
async def test_time_spans(api: Api, timeout: Json) -> None:
    await available(await started(api, "alice"), inactiveTimeout=timeout)


async def test_what_needs_being_available(alice: Program) -> None:
    base = (await me(alice)).href
    for method, path in [
        ("GET", "presence"),
        ("POST", "presence"),
        ("GET", "note"),
        ("POST", "note"),
        ("GET", "location"),
        ("POST", "location"),
        ("POST", "reportMyActivity"),
    ]:
        refused = await alice.call(method, f"{base}/{path}")
        assert (refused.status, refused.subcode) == (409, "MakeMeAvailableRequired"), path


async def test_somebody_anonymous_has_a_name_alone(api: Api) -> None:
    guest = Program(api, "guest", guest_token())
    await guest.start()
    found = await me(guest)
    assert set(found.json) == {"rel", "name", "uri", "_links"}
    assert set(found.json["_links"]) == {"self"}
    for path in ("makeMeAvailable", "reportMyActivity", "presence"):
        refused = await guest.post(f"{found.href}/{path}")
        assert (refused.status, refused.subcode) == (403, "AnonymousNotAllowed")
    people = await guest.follow("people", "self")
    assert (people.status, people.subcode) == (403, "AnonymousNotAllowed")


def guest_token() -> str:
    return issue(
        SECRET,
        user=user_named(str(uuid4()), display="Guest"),
        now=datetime.now(UTC),
        lifetime=timedelta(hours=1),
        meeting=uuid4(),
    )


# --- presence, note, location -----------------------------------------------------------------


async def test_presence_is_chosen_and_reset(alice: Program) -> None:
    await available(alice)
    assert await shown(alice) == ("Online", "Available")
    address = (await me(alice)).link("presence")
    for chosen, expected in [
        ("Busy", ("Busy", "Busy")),
        ("donotdisturb", ("DoNotDisturb", "Do not disturb")),
        ("Offwork", ("Away", "off-work")),
    ]:
        assert (await alice.post(address, {"availability": chosen})).status == 204
        assert await shown(alice) == expected
    assert (await alice.post(address)).status == 204, "an empty POST resets"
    assert await shown(alice) == ("Online", "Available")
    assert (await alice.post(f"{address}?availability=Away")).status == 204
    assert await shown(alice) == ("Away", "Away")
    refused = await alice.post(address, {"availability": "Offline"})
    assert (refused.status, refused.subcode) == (400, "ParameterValidationFailure")


async def test_changes_are_told_once(alice: Program) -> None:
    await available(alice)
    address = (await me(alice)).link("presence")
    await alice.post(address, {"availability": "Busy"})
    assert told(await alice.events()) == ["updated presence"]
    await alice.post(address, {"availability": "Busy"})
    assert await alice.events() == [], "nothing else is shown"


async def test_note_and_location(alice: Program) -> None:
    await available(alice)
    found = await me(alice)
    note, location = found.link("note"), found.link("location")
    assert (await alice.get(note)).json["message"] == ""
    assert (await alice.post(note, {"message": "Heads down <today> & tomorrow"})).status == 204
    assert (await alice.post(location, {"Location": "By the beach..."})).status == 204
    written = (await alice.get(note)).json
    assert (written["message"], written["type"]) == ("Heads down <today> & tomorrow", "Personal")
    assert (await alice.get(location)).json["location"] == "By the beach..."
    assert told(await alice.events()) == ["updated note", "updated location"]
    assert (await alice.post(note)).status == (await alice.post(location)).status == 204
    assert (await alice.get(note)).json["message"] == ""
    assert (await alice.get(location)).json["location"] == ""


async def test_bounds_of_note_and_location(alice: Program) -> None:
    await available(alice)
    found = await me(alice)
    assert (await alice.post(found.link("location"), {"location": "x" * 60})).status == 204
    for rel, name, length in [("location", "location", 61), ("note", "message", 501)]:
        refused = await alice.post(found.link(rel), {name: "x" * length})
        assert (refused.status, refused.subcode) == (400, "ParameterValidationFailure")
        assert name in refused.json["parameters"]


async def test_one_user_by_two_programs(api: Api) -> None:
    first, second = await started(api, "alice"), await started(api, "alice")
    await available(first)
    refused = await second.get(f"{(await me(second)).href}/presence")
    assert refused.subcode == "MakeMeAvailableRequired", "each program for itself"
    await available(second)
    await second.post((await me(second)).link("presence"), {"availability": "Busy"})
    assert await shown(first) == ("Busy", "Busy")
    assert told(await first.events()) == ["updated presence"]
    await second.delete(second.application)
    assert await shown(first) == ("Busy", "Busy")
    await first.delete(first.application)
    third = await started(api, "alice")
    await available(third)
    assert await shown(third) == ("Online", "Available"), "signing out ends what was chosen"


async def test_silence_shows_and_activity_ends_it(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = {**QUICK, "sweep_interval": 0.05, "ucwa_away_timeout": 600}
    async with running_ucwa(database_url, redis_url, tmp_path, **settings) as api:
        alice = await started(api, "alice")
        await available(alice, inactiveTimeout=10)
        await silent_for(database_url, timedelta(minutes=10))
        await alice.until("presence", "updated")
        assert await shown(alice) == ("IdleOnline", "Inactive")
        await silent_for(database_url, timedelta(minutes=10))
        await alice.until("presence", "updated")
        assert await shown(alice) == ("Away", "Away")
        report = (await me(alice)).link("reportMyActivity")
        assert (await alice.post(report)).status == 204
        assert await shown(alice) == ("Online", "Available")
        await alice.until("presence", "updated")


async def silent_for(database_url: str, time: timedelta) -> None:
    """As if so much more time had gone by since the last report."""
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute(
                "update ucwa_applications set active_at = active_at - $1::interval", time
            )
            await connection.execute("update people set due_at = due_at - $1::interval", time)
    finally:
        await connection.close()


async def test_a_meeting_of_any_family_shows(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = {**QUICK, "sweep_interval": 0.05}
    async with running_api(database_url, redis_url, tmp_path, **settings) as api:
        alice = await started(api, "alice")
        await available(alice)
        (person,) = await api.people("alice")
        path = await person.started_meeting()
        await person.join(path)
        await until_shown(alice, ("Busy", "in-a-meeting"))
        await alice.post((await me(alice)).link("presence"), {"availability": "Online"})
        assert await shown(alice) == ("Online", "Available")
        await alice.post((await me(alice)).link("presence"))
        assert await shown(alice) == ("Busy", "in-a-meeting")
        await person.post(f"{path}/leave")
        await until_shown(alice, ("Online", "Available"))


async def until_shown(program: Program, expected: tuple[str, str]) -> None:
    async with asyncio.timeout(WITHIN):
        while await shown(program) != expected:
            await asyncio.sleep(0.02)  # nobody tells this program's reader of the answer
