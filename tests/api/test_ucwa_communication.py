"""communication and what it leads to: joining, starting, conversations, invitations, and who is in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from rig_meetings import SECRET, Api, Json
from ucwa_meeting import hrefs, join, joined, many, scheduled, started, uri_of
from ucwa_meeting import program as another
from ucwa_rig import Program, running_ucwa, told

from conference.tokens import issue, user_named


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_ucwa(database_url, redis_url, tmp_path, ucwa_lobby_size_max=1) as api:
        yield api


@pytest.fixture(params=["json", "xml"])
async def alice(api: Api, request: pytest.FixtureRequest) -> Program:
    program = Program(api, "alice", xml=request.param == "xml")
    await program.start()
    return program


# --- communication ----------------------------------------------------------------------------


async def test_the_dashboard_embeds_it_and_leads_to_it(alice: Program) -> None:
    dashboard = await alice.dashboard()
    embedded = dashboard.embedded("communication")
    found = await alice.get(embedded["_links"]["self"]["href"])
    assert found.status == 200
    assert found.json == embedded
    assert found.etag == found.json["etag"]
    assert found.json["audioPreference"] == "VoipAudio"
    assert "startMessaging" not in found.json["_links"], "there is no messaging here"
    assert (await alice.get(found.href, if_none_match=found.etag)).status == 304


async def test_it_is_replaced_whole(alice: Program) -> None:
    address = (await alice.dashboard()).link("communication", "self")
    given = {
        "supportedModalities": ["Messaging", "audio", "Audio"],
        "supportedMessageFormats": ["Plain"],
        "audioPreference": "PhoneAudio",
        "phoneNumber": "tel:+14255552222",
        "conversationHistory": "Enabled",
    }
    before = await alice.get(address)
    written = await alice.put(address, given, if_match=before.etag)
    assert written.status == 204
    after = await alice.get(address)
    assert after.etag == written.etag != before.etag
    assert after.json["supportedModalities"] == ["Messaging", "Audio"]
    assert after.json["phoneNumber"] == "tel:+14255552222"
    assert (await alice.put(address, given, if_match=before.etag)).status == 412
    assert (await alice.put(address, {"audioPreference": "PhoneAudio"})).status == 204
    assert (await alice.get(address)).json["phoneNumber"] == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"supportedModalities": ["Telepathy"]},
        {"audioPreference": "Loud"},
        {"phoneNumber": "1" * 101},
        {"conversationHistory": "Forever"},
    ],
)
async def test_what_it_does_not_know_is_named(alice: Program, wrong: Json) -> None:
    address = (await alice.dashboard()).link("communication", "self")
    before = await alice.get(address)
    refused = await alice.put(address, wrong)
    assert (refused.status, refused.subcode) == (400, "ParameterValidationFailure")
    assert list(refused.json["parameters"]) == list(wrong)
    assert (await alice.get(address)).json == before.json


# --- starting and joining ---------------------------------------------------------------------


async def test_an_ad_hoc_meeting_is_joined_by_who_starts_it(alice: Program, api: Api) -> None:
    conversation = await started(
        alice, subject="Coffee", importance="urgent", threadId="t1", operationId="op-1"
    )
    assert conversation.json["state"] == "Conferenced"
    assert conversation.json["subject"] == "Coffee"
    assert conversation.json["importance"] == "Urgent"
    assert conversation.json["threadId"] == "t1"
    assert int(conversation.json["participantCount"]) == 1
    listed = await alice.get((await alice.dashboard()).link("communication", "conversations"))
    assert hrefs(listed.json["_links"]["conversation"]) == [conversation.href]
    local = await alice.get(conversation.link("localParticipant"))
    assert local.json["rel"] == "localParticipant"
    assert local.json["name"] == "Alice"
    assert local.json["uri"] == "sip:alice@example.com"
    assert local.json["role"] == "Leader"
    assert str(local.json["organizer"]).lower() == "true"
    meeting = await alice.get(conversation.link("onlineMeeting"))
    assert meeting.json["organizerUri"] == "sip:alice@example.com"
    # the same meeting is there for the other family
    own = (await api.person("alice").get("/meetings")).json
    assert [item["name"] for item in own] == ["Coffee"]


async def test_an_ad_hoc_meeting_is_not_among_the_scheduled(alice: Program, api: Api) -> None:
    conversation = await started(alice, subject="Coffee")
    found = await alice.follow("onlineMeetings", "myOnlineMeetings")
    assert "myOnlineMeeting" not in found.json.get("_embedded", {})
    assert [item["name"] for item in (await api.person("alice").get("/meetings")).json] == [
        "Coffee"
    ]
    # its organizer may still decide who walks in
    meeting = await alice.get(conversation.link("onlineMeeting"))
    opened = {"subject": "Coffee", "accessLevel": "Locked"}
    changed = await alice.put(f"{found.href}/{meeting.json['onlineMeetingId']}", opened)
    assert changed.json["accessLevel"] == "Locked"


async def test_ad_hoc_meetings_have_a_limit_of_their_own(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with running_ucwa(database_url, redis_url, tmp_path, ucwa_meetings_max=1) as api:
        alice = await another(api, "alice")
        await started(alice)
        await scheduled(alice)
        start = (await alice.dashboard()).link("communication", "startOnlineMeeting")
        refused = await alice.post(start, {})
        assert (refused.status, refused.subcode) == (409, "TooManyOnlineMeetings")


async def test_its_applications_channels_are_told(alice: Program) -> None:
    """Of medium urgency: later than at once. What changes nothing is not told."""
    address = (await alice.dashboard()).link("communication", "self")
    for _ in range(2):
        await alice.put(address, {"phoneNumber": "tel:+1"})
    (event,) = await alice.events()
    assert told([event]) == ["updated communication"]
    assert event["sender"]["rel"] == "communication"
    assert event["_embedded"]["communication"] == (await alice.get(address)).json


@pytest.mark.parametrize(
    ("scope", "may"),
    [
        ("Conversations.Initiate", {"join": 201, "start": 201, "conversation": 403}),
        ("Conversations.Receive", {"join": 403, "start": 403, "conversation": 404}),
        ("Meetings.ReadWrite", {"join": 403, "start": 201, "conversation": 403}),
        ("User.ReadWrite", {"join": 403, "start": 403, "conversation": 403}),
    ],
)
async def test_scopes(alice: Program, api: Api, scope: str, may: dict[str, int]) -> None:
    uri = await uri_of(alice, await started(alice))
    token = issue(
        SECRET,
        user=user_named("bob"),
        scope=[scope],
        now=datetime.now(UTC),
        lifetime=timedelta(hours=1),
    )
    bob = Program(api, "bob", token)
    await bob.start()
    hub = await bob.dashboard()
    calls = {
        "join": bob.post(hub.link("communication", "joinOnlineMeeting"), {"onlineMeetingUri": uri}),
        "start": bob.post(hub.link("communication", "startOnlineMeeting"), {}),
        "conversation": bob.get(f"{bob.application}/communication/conversations/{uuid4()}"),
    }
    for name, call in calls.items():
        assert (await call).status == may[name], name


async def test_an_invitation_says_what_was_asked(alice: Program) -> None:
    address = (await alice.dashboard()).link("communication", "startOnlineMeeting")
    begun = await alice.post(address, {"operationId": "op-1", "subject": "Coffee"})
    assert (begun.status, begun.raw) == (201, b"")
    found = await alice.get(begun.headers["Location"])
    assert found.json["direction"] == "Outgoing"
    assert found.json["state"] == "Connected"
    assert found.json["operationId"] == "op-1"
    assert found.embedded("from")["name"] == "Alice"
    assert "cancel" not in found.json["_links"], "it is completed"
    assert (await alice.post(f"{found.href}/cancel")).status == 404


async def test_an_operation_that_lasts_is_not_begun_twice(alice: Program, api: Api) -> None:
    address = (await alice.dashboard()).link("communication", "startOnlineMeeting")
    first = await alice.post(address, {"operationId": "op-1"})
    again = await alice.post(address, {"operationId": "op-1"})
    assert again.status == 201
    assert again.headers["Location"] == first.headers["Location"]
    assert len((await api.person("alice").get("/meetings")).json) == 1
    conversation = (await alice.get(first.headers["Location"])).link("conversation")
    uri = await uri_of(alice, await alice.get(conversation))
    other = await join(alice, uri, operationId="op-2")
    assert (other.status, other.subcode) == (409, "AlreadyExists")
    assert (await alice.delete(conversation)).status == 204
    assert (await alice.get(first.headers["Location"])).status == 404
    begun = await join(alice, uri, operationId="op-1")
    assert begun.status == 201
    assert begun.headers["Location"] != first.headers["Location"]


async def test_joining_by_the_address_of_the_page(alice: Program, api: Api) -> None:
    meeting = await alice.get((await started(alice)).link("onlineMeeting"))
    bob = await another(api, "bob")
    address = (await bob.dashboard()).link("communication", "joinOnlineMeeting")
    begun = await bob.post(address, {"joinUrl": meeting.json["joinUrl"]})
    assert begun.status == 201
    assert (await bob.get(begun.headers["Location"])).json["state"] == "Connected"


@pytest.mark.parametrize(
    "uri",
    [
        "sip:alice@example.com;gruu;opaque=app:conf:focus:id:ABCDEFGH",
        "sip:alice@example.com",
        "https://example.com/join/abcdefghij",
        "nonsense",
    ],
)
async def test_a_meeting_that_is_not_there(alice: Program, uri: str) -> None:
    refused = await join(alice, uri)
    assert (refused.status, refused.subcode) == (404, "DestinationNotFound")


@pytest.mark.parametrize(
    "inputs",
    [
        {"operationId": "x" * 51},
        {"subject": "x" * 251},
        {"importance": "Whenever"},
    ],
)
async def test_wrong_inputs_of_joining(alice: Program, inputs: Json) -> None:
    address = (await alice.dashboard()).link("communication", "startOnlineMeeting")
    refused = await alice.post(address, inputs)
    assert (refused.status, refused.subcode) == (400, "ParameterValidationFailure")
    assert list(refused.json["parameters"]) == list(inputs)


@pytest.mark.parametrize("inputs", [{}, {"onlineMeetingUri": None}, {"onlineMeetingUri": ""}])
async def test_joining_needs_an_address(alice: Program, inputs: Json) -> None:
    """Starting a meeting is another link."""
    hub = (await alice.dashboard()).embedded("communication")["_links"]
    refused = await alice.post(hub["joinOnlineMeeting"]["href"], inputs)
    assert (refused.status, refused.subcode) == (400, "ParameterValidationFailure")
    assert list(refused.json["parameters"]) == ["onlineMeetingUri"]
    assert (await alice.post(hub["startOnlineMeeting"]["href"], inputs)).status == 201


async def test_inputs_may_be_query_parameters(alice: Program, api: Api) -> None:
    address = (await alice.dashboard()).link("communication", "joinOnlineMeeting")
    begun = await alice.post(f"{address}?onlineMeetingUri=adhoc", {"subject": "Tea"})
    assert begun.status == 201
    assert [item["name"] for item in (await api.person("alice").get("/meetings")).json] == ["Tea"]


async def test_a_permanent_meeting_of_others_stays_closed(alice: Program, api: Api) -> None:
    (bob,) = await api.people("bob")
    path = await bob.started_meeting("permanent")
    bobs = await another(api, "bob")
    conversation = await joined(bobs, await _uri_by_code(bobs, bob, path))
    uri = await uri_of(bobs, conversation)
    refused = await join(alice, uri)
    assert (refused.status, refused.json["code"]) == (403, "Forbidden")
    assert "subcode" not in refused.json
    listed = await alice.get((await alice.dashboard()).link("communication", "conversations"))
    assert not listed.json["_links"].get("conversation")


async def _uri_by_code(program: Program, person: Json, path: str) -> str:
    code = (await person.get(path)).json["joinCode"]
    return f"https://example.com/join/{code}"


# --- who is in --------------------------------------------------------------------------------


async def test_participants_by_role_and_what_a_leader_may_do(alice: Program, api: Api) -> None:
    conversation = await started(alice)
    bob = await another(api, "bob")
    theirs = await joined(bob, await uri_of(alice, conversation))
    assert theirs.json["state"] == "Conferenced"
    everyone = await alice.get(conversation.link("participants"))
    people = {href: await alice.get(href) for href in hrefs(everyone.json["_links"]["participant"])}
    named = {answer.json["name"]: answer for answer in people.values()}
    assert set(named) == {"Alice", "Bob"}
    assert "promote" in named["Bob"].json["_links"]
    assert "eject" in named["Bob"].json["_links"]
    assert "demote" not in named["Bob"].json["_links"]
    assert "eject" not in named["Alice"].json["_links"]
    attendees = await alice.get(conversation.link("attendees"))
    assert hrefs(attendees.json["_links"]["participant"]) == [named["Bob"].href]

    # an attendee sees no such links, and may not
    seen = await bob.get(theirs.link("participants"))
    titles = _titles(seen.json["_links"]["participant"])
    assert sorted(titles) == ["Alice", "Bob"]
    assert "lobby" not in theirs.json["_links"]
    for href in hrefs(seen.json["_links"]["participant"]):
        one = await bob.get(href)
        assert {"promote", "eject", "admit"}.isdisjoint(one.json["_links"])
        for act in ("promote", "demote", "eject", "admit", "reject"):
            assert (await bob.post(f"{href}/{act}")).status == 403
    assert (await bob.get(f"{theirs.href}/lobby")).status == 403

    # promoted, they lead too
    assert (await alice.post(named["Bob"].link("promote"))).status == 204
    promoted = await alice.get(named["Bob"].href)
    assert promoted.json["role"] == "Leader"
    assert "demote" in promoted.json["_links"]
    assert "lobby" in (await bob.get(theirs.href)).json["_links"]
    assert (await alice.post(promoted.link("demote"))).status == 204

    # ejected, they are out
    assert (await alice.post(named["Bob"].link("eject"))).status == 204
    assert (await bob.get(theirs.href)).status == 404
    assert (await alice.get(named["Bob"].href)).status == 404
    for act in ("promote", "eject", "admit", "reject"):
        assert (await alice.post(f"{named['Bob'].href}/{act}")).status == 404


async def test_the_organizer_is_not_demoted_or_ejected(alice: Program, api: Api) -> None:
    conversation = await started(alice)
    bob = await another(api, "bob")
    theirs = await joined(bob, await uri_of(alice, conversation))
    everyone = await alice.get(conversation.link("participants"))
    own, other = hrefs(everyone.json["_links"]["participant"])
    assert (await alice.post(f"{other}/promote")).status == 204
    leaders = many((await bob.get(theirs.link("leaders"))).json["_links"]["participant"])
    (organizer,) = [link["href"] for link in leaders if link["title"] == "Alice"]
    for act in ("demote", "eject"):
        refused = await bob.post(f"{organizer}/{act}")
        assert (refused.status, refused.json["code"]) == (409, "Conflict")
    assert own != other


async def test_what_is_not_there(alice: Program) -> None:
    conversation = await started(alice)
    for address in (
        f"{conversation.href}/participants/{uuid4()}",
        f"{conversation.href}/participants/nobody",
        f"{conversation.href}/mediaNegotiation/smell",
        conversation.href.replace(conversation.href.rpartition("/")[2], str(uuid4())),
    ):
        refused = await alice.get(address)
        assert refused.status == 404, address
        assert "subcode" not in refused.json


async def test_another_user_of_the_meeting_does_not_see_the_conversation(
    alice: Program, api: Api
) -> None:
    conversation = await started(alice)
    bob = await another(api, "bob")
    await joined(bob, await uri_of(alice, conversation))
    assert (await bob.get(conversation.href)).status == 404, "it is of alice's application"


async def test_leaving_ends_the_conversation_and_the_last_one_the_meeting(
    alice: Program, api: Api
) -> None:
    conversation = await started(alice)
    assert (await alice.delete(conversation.href)).status == 204
    assert (await alice.get(conversation.href)).status == 404
    assert (await alice.delete(conversation.href)).status == 404
    (meeting,) = (await api.person("alice").get("/meetings")).json
    assert meeting["active"] is False


async def test_another_client_takes_over(alice: Program, api: Api) -> None:
    conversation = await started(alice)
    uri = await uri_of(alice, conversation)
    second = await another(api, "alice", endpointId="another")
    theirs = await joined(second, uri)
    assert (await alice.get(conversation.href)).status == 404
    assert (await alice.delete(conversation.href)).status == 404
    assert (await second.get(theirs.href)).json["state"] == "Conferenced"


async def test_media_is_negotiated_by_calls_of_the_meeting_api(alice: Program) -> None:
    conversation = await started(alice)
    media = await alice.get(conversation.link("mediaNegotiation"))
    channels = {item["channel"]: item["_links"] for item in many(media.embedded("mediaChannel"))}
    meeting = conversation.href.rpartition("/")[2]
    assert channels["audio"]["offer"]["href"] == f"/meetings/{meeting}/audio/offer"
    assert channels["inbound"]["answer"]["href"] == f"/meetings/{meeting}/media/answer"
    one = await alice.get(channels["audio"]["self"]["href"])
    assert one.json["channel"] == "audio"


def _titles(links: Json) -> list[str]:
    return [link["title"] for link in many(links)]
