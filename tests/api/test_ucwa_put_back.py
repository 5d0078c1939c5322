"""What was read is edited and sent back whole, links and embedded resources with it, as programs do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rig_meetings import Api
from ucwa_rig import Answer, Program, running_ucwa

FORMS = ["application/json", "application/xml", "application/vnd.microsoft.com.ucwa+xml"]


@pytest.fixture(params=[False, True], ids=["lenient", "strict"])
async def api(
    database_url: str, redis_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Api]:
    settings = {"ucwa_assigned_meetings": True, "ucwa_strict_put": request.param}
    async with running_ucwa(database_url, redis_url, tmp_path, **settings) as api:
        yield api


@pytest.fixture
async def alice(api: Api) -> Program:
    program = Program(api, "alice")
    await program.start()
    return program


async def edited(alice: Program, form: str, address: str, before: str, after: str) -> Answer:
    """Reads it in this form, puts another text in the place of one, sends the whole back, and reads it again."""
    shown = await alice.get(address, Accept=form)
    assert shown.status == 200, shown
    assert before.encode() in shown.raw
    body = shown.raw.replace(before.encode(), after.encode())
    headers = {"Accept": form, "Content-Type": form, "If-Match": shown.headers["ETag"]}
    changed = await alice.call("PUT", address, headers=headers, data=body)
    assert changed.status in (200, 204), changed
    again = await alice.get(address, Accept=form)
    if changed.status == 200:
        assert changed.raw == again.raw
    assert after.encode() in again.raw
    assert without_etag(again) == without_etag(shown, before, after)
    return again


def without_etag(answer: Answer, before: str = "", after: str = "") -> bytes:
    raw = answer.raw.replace(before.encode(), after.encode()) if before else answer.raw
    return raw.replace(answer.etag.encode(), b"")


@pytest.mark.parametrize("form", FORMS)
async def test_an_online_meeting_with_what_is_attached(alice: Program, form: str) -> None:
    dashboard = await alice.dashboard()
    created = await alice.post(
        dashboard.link("onlineMeetings", "myOnlineMeetings"),
        {
            "subject": "first & <second>",
            "description": "",
            "accessLevel": "Invited",
            "attendees": ["sip:bob@example.com"],
            "leaders": ["sip:carol@example.com"],
            "lobbyBypassForPhoneUsers": "Enabled",
            "expirationTime": "2030-01-02T03:04:05Z",
        },
    )
    extensions = created.link("onlineMeetingExtensions")
    await alice.post(extensions, {"id": "1", "subject": "of the extension", "href": "/x"})
    again = await edited(alice, form, created.href, "first", "third")
    assert b"of the extension" in again.raw
    await edited(alice, form, f"{extensions}/1", "of the extension", "changed")
    assigned = dashboard.link("onlineMeetings", "myAssignedOnlineMeeting")
    await edited(alice, form, assigned, "SameEnterprise", "Locked")


@pytest.mark.parametrize("form", FORMS)
async def test_what_belongs_to_the_user(alice: Program, form: str) -> None:
    dashboard = await alice.dashboard()
    communication = dashboard.link("communication", "self")
    await edited(alice, form, communication, "VoipAudio", "PhoneAudio")
    forwarding = dashboard.link("me", "callForwardingSettings")
    await edited(alice, form, forwarding, "Always", "Workhours")
    group = await alice.post(dashboard.link("people", "myGroups"), {"displayName": "Friends"})
    await edited(alice, form, group.headers["Location"], "Friends", "Others")


async def test_what_has_changed_since_is_not_deleted(alice: Program) -> None:
    """A condition holds for every method (RFC 9110 section 13.1.1); none is demanded of a DELETE."""
    dashboard = await alice.dashboard()
    meetings = dashboard.link("onlineMeetings", "myOnlineMeetings")
    meeting = await alice.post(meetings, {"subject": "first"})
    extension = await alice.post(meeting.link("onlineMeetingExtensions"), {"id": "1", "a": "b"})
    contacts = dashboard.link("people", "myContacts")
    contact = await alice.post(contacts, {"contactUri": "sip:bob@example.com"})
    group = await alice.post(dashboard.link("people", "myGroups"), {"displayName": "Friends"})
    addresses = [extension.href, meeting.href, contact.href, group.headers["Location"]]
    for address in [*addresses, alice.application]:
        etag = (await alice.get(address)).headers["ETag"]
        for stale in ('"1"', f"W/{etag}"):
            refused = await alice.delete(address, If_Match=stale)
            assert (refused.status, refused.json["code"]) == (412, "PreconditionFailed"), address
        assert (await alice.get(address)).status == 200
        assert (await alice.delete(address, If_Match=f'"1", {etag}')).status == 204, address
    again = Program(alice._api, "alice")
    await again.start()
    assert (await again.delete(again.application)).status == 204


async def test_a_weak_tag_is_not_the_same(alice: Program) -> None:
    """A proxy that changes what it passes on weakens the tag, so that it speaks of no bytes (RFC 9110 section
    8.8.1); what may be read by it may not be written."""
    address = (await alice.dashboard()).link("communication", "self")
    shown = await alice.get(address)
    weak = f"W/{shown.headers['ETag']}"
    assert (await alice.get(address, If_None_Match=weak)).status == 304
    refused = await alice.put(address, shown.json, If_Match=weak)
    assert (refused.status, refused.json["code"]) == (412, "PreconditionFailed")
    both = f"{weak}, {shown.headers['ETag']}"
    assert (await alice.put(address, shown.json, If_Match=both)).status == 204
