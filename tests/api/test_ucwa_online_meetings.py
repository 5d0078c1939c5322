"""Online meetings over HTTP, in JSON and XML: scheduling, deciding anew, who may, and the same meetings elsewhere."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from rig_meetings import SECRET, Api, Json
from ucwa_rig import Answer, Program, running_ucwa

from conference.tokens import issue, user_named

MEETINGS = ("onlineMeetings", "myOnlineMeetings")
UUID_NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ALICE_URI = "sip:alice@example.com"


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_ucwa(database_url, redis_url, tmp_path, ucwa_meetings_max=4) as api:
        yield api


@pytest.fixture(params=["json", "xml"])
async def alice(api: Api, request: pytest.FixtureRequest) -> Program:
    return await started(api, "alice", xml=request.param == "xml")


async def started(api: Api, name: str, **how: Json) -> Program:
    program = Program(api, name, **how)
    await program.start()
    return program


async def scheduled(program: Program, **inputs: Json) -> Answer:
    created = await program.post((await program.dashboard()).link(*MEETINGS), inputs)
    assert created.status == 201, created
    return created


def properties(answer: Answer) -> dict[str, Json]:
    return {
        name: value
        for name, value in answer.json.items()
        if not name.startswith("_") and not UUID_NAME.fullmatch(name)
    }


def many(embedded: Json) -> list[Json]:
    """XML does not say whether there could be more."""
    return embedded if isinstance(embedded, list) else [embedded]


def when(text: str) -> datetime:
    """A date in either form."""
    if found := re.fullmatch(r"/Date\((\d+)\)/", text):
        return datetime.fromtimestamp(int(found[1]) / 1000, UTC)
    return datetime.fromisoformat(text.replace("Z", "+00:00")[:26].rstrip("+") + "+00:00")


# --- scheduling -------------------------------------------------------------------------------


async def test_a_meeting_is_scheduled(alice: Program) -> None:
    inputs = {
        "subject": "Planning",
        "description": "what next?",
        "accessLevel": "Invited",
        "automaticLeaderAssignment": "SameEnterprise",
        "attendees": ["sip:Bob@example.com", "carol@example.com", "sip:bob@example.com"],
        "leaders": ["sip:dave@example.com", ALICE_URI],
        "entryExitAnnouncement": "Disabled",
        "lobbyBypassForPhoneUsers": "Enabled",
        "phoneUserAdmission": "Disabled",
    }
    created = await scheduled(alice, **inputs)
    shown = properties(created)
    key = shown["onlineMeetingId"]
    assert re.fullmatch(r"[A-Z0-9]{8}", key)
    assert created.href.endswith(f"/onlineMeetings/myOnlineMeetings/{key}")
    assert created.headers["Location"] == created.href
    assert created.json["etag"] == created.etag
    assert shown == {
        **inputs,
        "rel": "myOnlineMeeting",
        "etag": created.etag,
        "attendees": ["sip:bob@example.com", "sip:carol@example.com"],
        "leaders": ["sip:dave@example.com"],
        "conferenceId": shown["conferenceId"],
        "expirationTime": shown["expirationTime"],
        "joinUrl": shown["joinUrl"],
        "legacyOnlineMeetingUri": shown["legacyOnlineMeetingUri"],
        "onlineMeetingId": key,
        "onlineMeetingRel": "myOnlineMeetings",
        "onlineMeetingUri": f"{ALICE_URI};gruu;opaque=app:conf:focus:id:{key}",
        "organizerUri": ALICE_URI,
    }
    assert shown["conferenceId"].isdigit()
    assert shown["legacyOnlineMeetingUri"].startswith(
        f"conf:{shown['onlineMeetingUri']}?conversation-id="
    )
    assert created.link("onlineMeetingExtensions").startswith(created.href)
    assert [name for name in created.json if UUID_NAME.fullmatch(name)], "the PUT token"
    again = await alice.get(created.href)
    assert (again.json, again.etag) == (created.json, created.etag)


async def test_what_is_left_out_has_its_default(alice: Program) -> None:
    began = datetime.now(UTC)
    shown = properties(await scheduled(alice))
    defaults = properties(await alice.follow("onlineMeetings", "onlineMeetingDefaultValues"))
    for name in (
        "accessLevel",
        "automaticLeaderAssignment",
        "entryExitAnnouncement",
        "lobbyBypassForPhoneUsers",
    ):
        assert shown[name] == defaults[name]
    assert shown["onlineMeetingRel"] == defaults["defaultOnlineMeetingRel"]
    assert shown["attendees"] == shown["leaders"] == []
    assert "description" not in shown
    lasts = when(shown["expirationTime"]) - began
    assert timedelta(hours=8) - timedelta(seconds=1) <= lasts < timedelta(hours=8, minutes=1)


async def test_none_is_the_default_too(alice: Program) -> None:
    assert (await scheduled(alice, accessLevel="None")).json["accessLevel"] == "SameEnterprise"


async def test_the_organizers_own_are_listed(api: Api, alice: Program) -> None:
    none = await alice.follow(*MEETINGS)
    assert none.json.get("_embedded", {}) == {}
    first, second = await scheduled(alice, subject="one"), await scheduled(alice, subject="two")
    listed = (await alice.follow(*MEETINGS)).embedded("myOnlineMeeting")
    assert [meeting["subject"] for meeting in listed] == ["one", "two"]
    assert [meeting["etag"] for meeting in listed] == [first.etag, second.etag]
    bob = await started(api, "bob", xml=alice.xml)
    assert (await bob.follow(*MEETINGS)).json.get("_embedded", {}) == {}


async def test_one_meeting_is_an_array_too(api: Api) -> None:
    alice = await started(api, "alice")
    await scheduled(alice)
    assert len((await alice.follow(*MEETINGS)).embedded("myOnlineMeeting")) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("accessLevel", "Sesame"),
        ("automaticLeaderAssignment", "Nobody"),
        ("entryExitAnnouncement", "Loud"),
        ("lobbyBypassForPhoneUsers", "Sometimes"),
        ("phoneUserAdmission", "Maybe"),
        ("attendees", ["bob"]),
        ("leaders", ["sip:bob@example.com", "sip:"]),
        ("expirationTime", "tomorrow"),
        ("expirationTime", "2005-01-01T00:00:00Z"),
        ("expirationTime", "2999-01-01T00:00:00Z"),
        ("subject", "x" * 1025),
        ("subject", ["a", "b"]),
    ],
)
async def test_values_that_will_not_do(alice: Program, name: str, value: Json) -> None:
    address = (await alice.dashboard()).link(*MEETINGS)
    refused = await alice.post(address, {name: value})
    assert (refused.status, refused.subcode) == (400, "ParameterValidationFailure")
    assert list(refused.json["parameters"]) == [name]
    assert (await alice.get(address)).json.get("_embedded", {}) == {}


async def test_the_bounds_of_expiration(alice: Program) -> None:
    now = datetime.now(UTC)
    for expiration in (now - timedelta(days=365), now + timedelta(days=3650)):
        created = await scheduled(alice, expirationTime=expiration.isoformat())
        assert abs(when(created.json["expirationTime"]) - expiration) < timedelta(milliseconds=1)


async def test_there_may_be_too_many(alice: Program) -> None:
    address = (await alice.dashboard()).link(*MEETINGS)
    answers = await asyncio.gather(*(alice.post(address, {}) for _ in range(7)))
    assert sorted(answer.status for answer in answers) == [201] * 4 + [409] * 3
    refused = next(answer for answer in answers if answer.status == 409)
    assert refused.subcode == "TooManyOnlineMeetings"
    made = next(answer for answer in answers if answer.status == 201)
    assert (await alice.delete(made.href)).status == 204
    assert (await alice.post(address, {})).status == 201


# --- deciding anew ----------------------------------------------------------------------------


async def test_a_put_replaces_everything(alice: Program) -> None:
    created = await scheduled(
        alice,
        subject="old",
        description="x",
        accessLevel="Locked",
        attendees=["sip:bob@example.com"],
    )
    changed = await alice.put(created.href, {"subject": "new"}, if_match=f'"{created.etag}"')
    assert changed.status == 200
    shown = properties(changed)
    assert shown["subject"] == "new"
    assert shown["accessLevel"] == "SameEnterprise"
    assert shown["attendees"] == []
    assert "description" not in shown
    for name in ("onlineMeetingId", "joinUrl", "conferenceId", "onlineMeetingUri"):
        assert shown[name] == created.json[name]
    assert changed.etag != created.etag
    assert (await alice.get(created.href)).json == changed.json


@pytest.mark.parametrize(
    "expiration", [{}, {"expirationTime": "2031-01-01T10:00:00.1234567Z"}], ids=["default", "given"]
)
async def test_what_was_read_may_be_put_back(alice: Program, expiration: dict[str, str]) -> None:
    created = await scheduled(alice, subject="a", leaders=["sip:bob@example.com"], **expiration)
    body = {
        name: value
        for name, value in created.json.items()
        if not name.startswith("_") and name != "etag"
    }
    same = await alice.put(created.href, body, if_match=created.etag)
    assert (same.status, same.etag, same.json) == (200, created.etag, created.json)


async def test_a_stale_copy_is_refused(alice: Program) -> None:
    created = await scheduled(alice, subject="a")
    first = await alice.put(created.href, {"subject": "b"}, if_match=created.etag)
    assert first.status == 200
    second = await alice.put(created.href, {"subject": "c"}, if_match=created.etag)
    assert second.status == 412
    assert (await alice.get(created.href)).json["subject"] == "b"


@pytest.mark.parametrize("changed", ["subject", "description"])
async def test_of_some_at_once_one_wins(alice: Program, changed: str) -> None:
    created = await scheduled(alice, subject="a")
    answers = await asyncio.gather(
        *(alice.put(created.href, {changed: s}, if_match=created.etag) for s in "bcdef")
    )
    assert sorted(answer.status for answer in answers) == [200, 412, 412, 412, 412]


async def test_strict_puts(database_url: str, redis_url: str, tmp_path: Path) -> None:
    async with running_ucwa(database_url, redis_url, tmp_path, ucwa_strict_put=True) as api:
        alice = await started(api, "alice")
        created = await scheduled(alice, subject="a")
        token = {name: value for name, value in created.json.items() if UUID_NAME.fullmatch(name)}
        assert (await alice.put(created.href, {"subject": "b", **token})).status == 428
        plain = await alice.put(created.href, {"subject": "b"}, if_match=created.etag)
        assert plain.status == 400
        done = await alice.put(created.href, {"subject": "b", **token}, if_match=created.etag)
        assert done.status == 200


async def test_a_meeting_is_deleted(alice: Program) -> None:
    created = await scheduled(alice)
    assert (await alice.delete(created.href)).status == 204
    for gone in (await alice.get(created.href), await alice.delete(created.href)):
        assert gone.status == 404
    assert (await alice.put(created.href, {"subject": "b"})).status == 404


# --- who may ----------------------------------------------------------------------------------


async def test_only_the_organizer(api: Api, alice: Program) -> None:
    created = await scheduled(alice, leaders=["sip:bob@example.com"])
    bob = await started(api, "bob", xml=alice.xml)
    address = created.href.replace(alice.application.partition("?")[0], bob.application)
    assert (await bob.get(address)).status == 404
    assert (await bob.put(address, {"subject": "mine"})).status == 404
    assert (await bob.delete(address)).status == 404
    assert (await alice.get(created.href)).json == created.json


@pytest.mark.parametrize(
    ("scope", "lists", "reads"),
    [
        ("Meetings.ReadWrite", 200, 200),
        ("Conversations.Initiate", 403, 200),
        ("Conversations.Receive", 403, 200),
        ("User.ReadWrite", 403, 403),
    ],
)
async def test_scopes(api: Api, scope: str, lists: int, reads: int) -> None:
    alice = await started(api, "alice")
    created = await scheduled(alice)
    address = (await alice.dashboard()).link(*MEETINGS)
    alice.token = issue(
        SECRET,
        user=user_named("alice"),
        scope=[scope],
        now=datetime.now(UTC),
        lifetime=timedelta(hours=1),
    )
    assert (await alice.get(address)).status == lists
    assert (await alice.get(created.href)).status == reads


@pytest.mark.parametrize("key", ["ABCDEFGH", "x", "%00bcdefgh", "a%20b", "%F0%9F%98%80"])
async def test_addresses_that_lead_nowhere(api: Api, key: str) -> None:
    alice = await started(api, "alice")
    address = (await alice.dashboard()).link(*MEETINGS)
    assert (await alice.get(f"{address}/{key}")).status == 404
    assert (await alice.get(f"{address}/{key}/onlineMeetingExtensions")).status == 404


# --- the same meetings elsewhere --------------------------------------------------------------


async def test_it_is_a_meeting_of_the_meeting_api(api: Api, alice: Program) -> None:
    created = await scheduled(alice, subject="Planning", expirationTime="2031-01-01T10:00:00Z")
    person = api.person("alice")
    (meeting,) = (await person.get("/meetings")).json
    assert meeting["name"] == "Planning"
    assert meeting["meetingType"] == "scheduled"
    assert meeting["expiration"] == "2031-01-01T10:00:00Z"
    path = urlsplit(created.json["joinUrl"]).path
    assert path == f"/join/{meeting['joinCode']}"
    invitation = await person.get(f"/public{path}")
    assert invitation.json == {"meetingId": meeting["id"], "name": "Planning"}
    await alice.put(created.href, {"subject": "Renamed"})
    (renamed,) = (await person.get("/meetings")).json
    assert renamed["name"] == "Renamed"
    assert (await person.delete(f"/meetings/{meeting['id']}")).status == 204
    assert (await alice.get(created.href)).status == 404


@pytest.mark.parametrize(("kind", "level"), [("scheduled", "Locked"), ("permanent", "Invited")])
async def test_a_meeting_of_the_meeting_api_is_an_online_meeting(
    api: Api, alice: Program, kind: str, level: str
) -> None:
    person = api.person("alice")
    path = await person.new_meeting(kind)
    bob, carol = await api.people("bob", "carol")
    await person.put(f"{path}/members/{bob.id}", {"userType": "moderator"})
    await person.put(f"{path}/members/{carol.id}", {"userType": "registered"})
    (shown,) = many((await alice.follow(*MEETINGS)).embedded("myOnlineMeeting"))
    assert shown["subject"] == "stand-up"
    assert shown["accessLevel"] == level
    assert shown["leaders"] == ["sip:bob@example.com"]
    assert shown["attendees"] == ["sip:carol@example.com"]
    assert "expirationTime" not in shown
    # renaming it opens nothing, and it goes on lasting
    address = shown["_links"]["self"]["href"]
    changed = await alice.put(address, {"subject": "sit-down", "leaders": shown["leaders"]})
    assert changed.status == 200
    assert changed.json["accessLevel"] == level
    assert "expirationTime" not in changed.json
    members = {m["userId"]: m["userType"] for m in (await person.get(f"{path}/members")).json}
    assert members == {person.id: "moderator", bob.id: "moderator"}


async def test_looking_first_at_once(api: Api, alice: Program) -> None:
    person = api.person("alice")
    for _ in range(5):
        await person.new_meeting()
    address = (await alice.dashboard()).link(*MEETINGS)
    answers = await asyncio.gather(*(alice.get(address) for _ in range(6)))
    assert [answer.status for answer in answers] == [200] * 6
    assert len({str(answer.json) for answer in answers}) == 1
    assert len(answers[0].embedded("myOnlineMeeting")) == 5


async def test_whoever_is_listed_and_known_is_a_member(api: Api, alice: Program) -> None:
    bob, carol = await api.people("bob", "carol")
    created = await scheduled(
        alice,
        leaders=["sip:bob@example.com"],
        attendees=["sip:carol@example.com", "sip:unknown@example.com"],
    )
    person = api.person("alice")
    (meeting,) = (await person.get("/meetings")).json
    path = f"/meetings/{meeting['id']}"

    async def members() -> dict[str, str]:
        found = (await person.get(f"{path}/members")).json
        return {member["userId"]: member["userType"] for member in found}

    everyone = {person.id: "moderator", bob.id: "moderator", carol.id: "registered"}
    assert await members() == everyone
    await alice.put(created.href, {"attendees": ["sip:bob@example.com"]})
    assert await members() == {person.id: "moderator", bob.id: "registered"}
    await alice.put(created.href, {"leaders": ["sip:carol@example.com"]})
    assert await members() == {person.id: "moderator", carol.id: "moderator"}


async def test_who_is_in_stays_in(api: Api, alice: Program) -> None:
    created = await scheduled(alice, attendees=["sip:bob@example.com"], accessLevel="Invited")
    person, bob = await api.people("alice", "bob")
    (meeting,) = (await person.get("/meetings")).json
    path = f"/meetings/{meeting['id']}"
    await person.post(f"{path}/start")
    assert await bob.join(path) == "ACCEPTED"
    assert (await alice.put(created.href, {"accessLevel": "Locked"})).status == 200
    assert [p["userId"] for p in (await person.state(path))["participants"]] == [bob.id]
    await person.join(path)
    await bob.post(f"{path}/leave")
    assert await bob.join(path) == "WAITING"


async def test_the_door_is_there_for_the_meeting_api_too(api: Api, alice: Program) -> None:
    """Somebody unknown, matched by their address when they come; strangers wait in the one queue."""
    await scheduled(alice, accessLevel="Invited", attendees=["sip:erin@example.com"])
    person, frank = await api.people("alice", "frank")
    (meeting,) = (await person.get("/meetings")).json
    path = f"/meetings/{meeting['id']}"
    await person.post(f"{path}/start")
    (erin,) = await api.people("erin")
    assert await erin.join(path) == "ACCEPTED"
    assert await frank.join(path) == "WAITING"
    assert (await person.get(f"{path}/queue")).json == {"users": [frank.id]}
    assert (await erin.delete(path)).status == 403, "a guest does not delete the meeting"


async def test_the_first_who_walks_in_starts_it(api: Api, alice: Program) -> None:
    await scheduled(alice, accessLevel="Everyone")
    (person, frank) = await api.people("alice", "frank")
    (meeting,) = (await person.get("/meetings")).json
    path = f"/meetings/{meeting['id']}"
    assert await frank.join(path) == "ACCEPTED"
    assert (await frank.state(path))["active"]
    assert (await frank.post(f"{path}/stop")).status == 403
    assert (await person.post(f"{path}/stop")).status == 200


async def test_an_expired_meeting_is_swept(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with running_ucwa(database_url, redis_url, tmp_path, sweep_interval=0.05) as api:
        alice = await started(api, "alice")
        past = datetime.now(UTC) - timedelta(hours=1)
        created = await scheduled(alice, expirationTime=past.isoformat())
        async with asyncio.timeout(10):
            while (await alice.get(created.href)).status != 404:
                await asyncio.sleep(0.02)


# --- settings ---------------------------------------------------------------------------------


async def test_everybody_has_a_meeting_that_lasts(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with running_ucwa(database_url, redis_url, tmp_path) as api:
        alice = await started(api, "alice")
        address = (await alice.dashboard()).link("onlineMeetings", "myAssignedOnlineMeeting")
        answers = await asyncio.gather(*(alice.get(address) for _ in range(5)))
        assert len({answer.json["onlineMeetingId"] for answer in answers}) == 1
        shown = answers[0]
        assert shown.json["rel"] == "myAssignedOnlineMeeting"
        assert shown.json["onlineMeetingRel"] == "myAssignedOnlineMeeting"
        assert shown.json["subject"] == "Alice's meeting"
        assert "expirationTime" not in shown.json
        changed = await alice.put(address, {"subject": "x"}, if_match=shown.etag)
        assert (changed.status, changed.json["subject"]) == (200, "x")
        assert "expirationTime" not in changed.json
        listed = (await alice.follow(*MEETINGS)).json["_embedded"]
        assert [one["subject"] for one in listed["myAssignedOnlineMeeting"]] == ["x"]
        assert "myOnlineMeeting" not in listed
        assert (await alice.delete(address)).status == 204
        renewed = await alice.get(address)
        assert renewed.json["onlineMeetingId"] != shown.json["onlineMeetingId"]


async def test_what_is_turned_off_has_no_link(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with running_ucwa(database_url, redis_url, tmp_path, ucwa_assigned_meetings=False) as api:
        alice = await started(api, "alice")
        embedded = (await alice.dashboard()).embedded("onlineMeetings")
        assert "myAssignedOnlineMeeting" not in embedded["_links"]
        assert "phoneDialInInformation" not in embedded["_links"]
        base = embedded["_links"]["self"]["href"]
        assert (await alice.get(f"{base}/myAssignedOnlineMeeting")).status == 404
        assert (await alice.get(f"{base}/phoneDialInInformation")).status == 404


async def test_the_dashboard_leads_everywhere(alice: Program) -> None:
    embedded = (await alice.dashboard()).embedded("onlineMeetings")
    alone = await alice.follow("onlineMeetings", "self")
    assert alone.json == embedded
    assert set(embedded["_links"]) == {
        "self",
        "myOnlineMeetings",
        "myAssignedOnlineMeeting",
        "onlineMeetingDefaultValues",
        "onlineMeetingEligibleValues",
        "onlineMeetingInvitationCustomization",
        "onlineMeetingPolicies",
    }
    for rel in embedded["_links"]:
        assert (await alice.follow("onlineMeetings", rel)).status == 200


async def test_what_is_not_eligible_is_refused(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    levels = ["Invited", "Locked"]
    async with running_ucwa(
        database_url, redis_url, tmp_path, ucwa_access_levels=levels, ucwa_access_level="Locked"
    ) as api:
        alice = await started(api, "alice")
        eligible = await alice.follow("onlineMeetings", "onlineMeetingEligibleValues")
        assert eligible.json["accessLevels"] == levels
        refused = await alice.post(eligible.link("myOnlineMeetings"), {"accessLevel": "Everyone"})
        assert (refused.status, refused.subcode) == (400, "ParameterValidationFailure")
        assert (await scheduled(alice)).json["accessLevel"] == "Locked"


async def test_a_telephone_bridge_is_shown(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with running_ucwa(
        database_url,
        redis_url,
        tmp_path,
        ucwa_dial_in_number="+49 30 1234",
        ucwa_dial_in_region="Germany",
        ucwa_dial_in_regions=["Germany;+49 30 1234;de-de en-us", "France;+33 1 2345"],
        ucwa_invitation_footer="Bring your own tea",
    ) as api:
        alice = await started(api, "alice")
        phone = await alice.follow("onlineMeetings", "phoneDialInInformation")
        assert phone.json["tollNumber"] == "+49 30 1234"
        assert phone.json["isAudioConferenceProviderEnabled"] is False
        regions = [
            (region["name"], region["number"], region["languages"])
            for region in phone.embedded("dialInRegion")
        ]
        assert regions == [
            ("Germany", "+49 30 1234", ["de-de", "en-us"]),
            ("France", "+33 1 2345", []),
        ]
        for region in phone.embedded("dialInRegion"):
            assert (await alice.get(region["_links"]["self"]["href"])).status == 200
        policies = await alice.follow("onlineMeetings", "onlineMeetingPolicies")
        assert policies.json["phoneUserAdmission"] == "Enabled"
        invitation = await alice.follow("onlineMeetings", "onlineMeetingInvitationCustomization")
        assert invitation.json["invitationFooterText"] == "Bring your own tea"
