"""me: being available, presence, note and location, phones, photo and call forwarding."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from rig_meetings import SECRET, WITHIN, Api, Json, running_api
from ucwa_rig import Answer, Program, running_ucwa, told

from conference.domain.directory import Phone, PhoneType, Profile
from conference.storage import users
from conference.storage.ucwa import people
from conference.tokens import issue, user_named

QUICK = {"ucwa_hold_medium": 0.05, "ucwa_hold_low": 0.05, "ucwa_poll_timeout": 0.3}
"""Settings with which a test need not wait for events that are held."""


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_ucwa(database_url, redis_url, tmp_path, **QUICK) as api:
        yield api


@pytest.fixture(params=["json", "xml"])
async def alice(api: Api, request: pytest.FixtureRequest) -> Program:
    return await started(api, "alice", xml=request.param == "xml")


async def started(api: Api, name: str, **how: Any) -> Program:
    program = Program(api, name, **how)
    await program.start()
    return program


async def me(program: Program) -> Answer:
    return await program.follow("me", "self")


async def available(program: Program, **wishes: Json) -> None:
    """makeMeAvailable, and the events that it brings are read."""
    answer = await program.post((await me(program)).link("makeMeAvailable"), wishes)
    assert answer.status == 204, answer
    await program.events()


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


# --- the profile ------------------------------------------------------------------------------


async def with_profile(api_url: str, name: str, **profile: Any) -> None:
    """As `parley user profile` does."""
    connection = await asyncpg.connect(api_url)
    try:
        user_id = user_named(name).id
        await users.save_profile(connection, user_id, Profile(**profile))
    finally:
        await connection.close()


async def test_the_profile_is_shown(alice: Program, database_url: str) -> None:
    await with_profile(
        database_url,
        "alice",
        title="Engineer",
        department="R&D",
        company="Example",
        office_location="5/1380",
        phones={PhoneType.WORK: Phone(number="tel:+14255554321")},
    )
    found = (await me(alice)).json
    assert found["title"] == "Engineer"
    assert found["department"] == "R&D"
    assert found["company"] == "Example"
    assert found["officeLocation"] == "5/1380"
    assert found["workPhoneNumber"] == "tel:+14255554321"


async def test_phones(alice: Program) -> None:
    phones = await alice.get((await me(alice)).link("phones"))
    found = {each["type"]: each for each in phones.embedded("phone")}
    assert set(found) == {"Work", "Mobile", "Home", "Other"}
    assert "changeNumber" not in found["Work"]["_links"], "the operator's to change"
    mobile = await alice.get(found["Mobile"]["_links"]["self"]["href"])
    assert mobile.json["number"] == ""
    change = mobile.link("changeNumber")
    assert (await alice.post(change, {"number": "+1 (425) 555-0107"})).status == 204
    changed = await alice.get(mobile.href)
    assert changed.json["number"] == "tel:+14255550107"
    assert changed.etag != mobile.etag
    assert (await alice.get(mobile.href, if_none_match=f'"{changed.etag}"')).status == 304
    assert (await me(alice)).json["mobilePhoneNumber"] == "tel:+14255550107"
    hide = {"includeInContactCard": False}
    assert (await alice.post(mobile.link("changeVisibility"), hide)).status == 204
    hidden = (await alice.get(mobile.href)).json
    assert str(hidden["includeInContactCard"]).lower() == "false"
    assert (await alice.post(change)).status == 204, "an empty POST clears"
    assert (await alice.get(mobile.href)).json["number"] == ""


async def test_phones_that_cannot_be(alice: Program) -> None:
    base = (await me(alice)).link("phones")
    refused = await alice.post(f"{base}/Home/changeNumber", {"number": "call me"})
    assert (refused.status, refused.subcode) == (400, "ParameterValidationFailure")
    assert (await alice.post(f"{base}/Home/changeVisibility")).status == 400
    assert (await alice.post(f"{base}/Work/changeNumber", {"number": "1"})).status == 403
    assert (await alice.get(f"{base}/Fax")).status == 404


async def test_photo(alice: Program, database_url: str) -> None:
    address = (await me(alice)).link("photo")
    drawn = await alice.get(f"{address}?size=HR48X48")
    assert drawn.status == 200
    assert drawn.headers["Content-Type"] == "image/png"
    assert drawn.raw.startswith(b"\x89PNG")
    assert "Expires" in drawn.headers
    assert (await alice.get(address)).raw == drawn.raw, "the size by default"
    assert (await alice.get(address, if_none_match=f'"{drawn.etag}"')).status == 304
    assert len((await alice.get(f"{address}?size=hr648x648")).raw) > len(drawn.raw)
    for size in ("big", "HR8X8", "HR649X649", "HR99999X99999"):
        refused = await alice.get(f"{address}?size={size}")
        assert (refused.status, refused.subcode) == (400, "ParameterValidationFailure")


async def test_a_photo_that_was_given(api: Api, database_url: str) -> None:
    alice = await started(api, "alice")
    picture = people.Photo(content_type="image/jpeg", content=b"\xff\xd8\xff and so on")
    connection = await asyncpg.connect(database_url)
    try:
        await people.put_photo(connection, user_named("alice").id, picture, datetime.now(UTC))
    finally:
        await connection.close()
    found = await alice.get(f"{(await me(alice)).link('photo')}?size=HR64X64")
    assert (found.headers["Content-Type"], found.raw) == ("image/jpeg", picture.content)
    assert found.headers["X-Content-Type-Options"] == "nosniff"


# --- call forwarding --------------------------------------------------------------------------


async def test_call_forwarding_is_kept(alice: Program) -> None:
    address = (await me(alice)).link("callForwardingSettings")
    before = await alice.get(address)
    assert before.json["activeSetting"] == "None"
    assert before.json["etag"] == before.etag
    wanted = {"activePeriod": "Workhours", "activeSetting": "SimultaneousRing"}
    written = await alice.put(address, {**before.json, **wanted}, if_match=f'"{before.etag}"')
    assert written.status == 200
    after = await alice.get(address)
    assert after.json["activePeriod"] == "Workhours"
    assert after.etag == written.etag != before.etag
    stale = await alice.put(address, wanted, if_match=before.etag)
    assert stale.status == 412
    assert (await alice.put(address, {"activeSetting": "Sometimes"})).status == 400
    assert (await alice.get(address)).etag == after.etag, "a refusal changes nothing"
    assert (await alice.post(after.link("turnOffCallForwarding"))).status == 204
    assert (await alice.get(address)).etag == before.etag


async def test_what_is_forwarded_at_once_is_never_unanswered(alice: Program) -> None:
    address = (await me(alice)).link("callForwardingSettings")
    body = {"activeSetting": "ImmediateForward", "unansweredCallHandling": "Enabled"}
    assert (await alice.put(address, body)).json["unansweredCallHandling"] == "Disabled"


async def test_a_strict_put_needs_etag_and_token(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = {**QUICK, "ucwa_strict_put": True}
    async with running_ucwa(database_url, redis_url, tmp_path, **settings) as api:
        alice = await started(api, "alice")
        address = (await me(alice)).link("callForwardingSettings")
        found = await alice.get(address)
        wanted = {"activePeriod": "Workhours"}
        assert (await alice.put(address, wanted, if_match=found.etag)).status == 400
        assert (await alice.put(address, {**found.json, **wanted})).status == 428
        passed = await alice.put(address, {**found.json, **wanted}, if_match=found.etag)
        assert passed.status == 200
