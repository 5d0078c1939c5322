"""The lobby over UCWA: who waits, who decides, and what each is told, in order, whichever family decided."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from rig_meetings import SECRET, Api, Json, Worker, obliging, running_worker
from ucwa_meeting import (
    ENTERED,
    hrefs,
    join,
    joined,
    many,
    news,
    program,
    scheduled,
    started,
    uri_of,
)
from ucwa_rig import Answer, Program, running_ucwa, told

from conference.tokens import TokenUser, issue
from schemas import sfu

ALICE_ENTERED = [
    *ENTERED,
    "added participant",
    "added participant in leaders",
    "added participantAudio in participant",
    "completed onlineMeetingInvitation",
]
BOB_ADMITTED = [
    "updated localParticipant",
    "updated conversation",
    "added participant",
    "added participant in leaders",
    "added participantAudio in participant",
    "added participant",
    "added participant in attendees",
    "added participantAudio in participant",
    "completed onlineMeetingInvitation",
]


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    settings = {"ucwa_lobby_size_max": 1, "ucwa_meeting_size_max": 3, "ucwa_poll_timeout": 0.1}
    async with running_ucwa(database_url, redis_url, tmp_path, **settings) as api:
        yield api


@pytest.fixture(params=["json", "xml"])
async def alice(api: Api, request: pytest.FixtureRequest) -> Program:
    return await program(api, "alice", xml=request.param == "xml")


@pytest.fixture
async def bob(api: Api) -> Program:
    return await program(api, "bob")


class Waiting:
    """alice leads a meeting, bob waits in its lobby; both have read what came so far."""

    def __init__(self, uri: str, alices: Answer, bobs: Answer) -> None:
        self.uri = uri
        self.alices = alices
        self.bobs = bobs

    @property
    def path(self) -> str:
        """The meeting's, in the other family."""
        return f"/meetings/{self.alices.href.rpartition('/')[2]}"


@pytest.fixture
async def waiting(alice: Program, bob: Program) -> Waiting:
    uri = await scheduled(alice)
    alices = await joined(alice, uri)
    bobs = await joined(bob, uri)
    await alice.events()
    await bob.events()
    return Waiting(uri, alices, bobs)


async def in_lobby(program: Program, conversation: Answer) -> list[Json]:
    """Those embedded in the lobby."""
    found = await program.get(conversation.link("lobby"))
    assert found.status == 200, found
    return many(found.json.get("_embedded", {}).get("participant", []))


# --- entering and waiting ---------------------------------------------------------------------


async def test_what_the_organizer_is_told_on_entering(alice: Program) -> None:
    uri = await scheduled(alice)
    begun = await join(alice, uri, operationId="op-7")
    events = await alice.events()
    assert told(events) == ALICE_ENTERED
    senders = [event["sender"]["rel"] for event in events]
    assert senders == [
        "communication",
        "communication",
        "conversation",
        "conversation",
        "communication",
        "conversation",
        "conversation",
        "conversation",
        "communication",
    ]
    first, last = events[0], events[-1]
    invitation = first["_embedded"]["onlineMeetingInvitation"]
    assert first["link"]["href"] == last["link"]["href"] == begun.headers["Location"]
    assert (invitation["operationId"], invitation["state"]) == ("op-7", "Connecting")
    assert invitation["direction"] == "Outgoing"
    assert (last["status"], last["_embedded"]["onlineMeetingInvitation"]["state"]) == (
        "Success",
        "Connected",
    )
    added, updated = events[1], events[4]
    assert added["_embedded"]["conversation"]["state"] == "Connecting"
    assert updated["_embedded"]["conversation"]["state"] == "Conferenced"
    assert updated["_embedded"]["conversation"] == (await alice.get(updated["link"]["href"])).json


async def test_in_the_lobby_only_the_meeting_and_oneself_is_seen(
    alice: Program, bob: Program
) -> None:
    uri = await scheduled(alice, attendees=["sip:carol@example.com"])
    await joined(alice, uri)
    conversation = await joined(bob, uri)
    events = await bob.events()
    assert told(events) == ENTERED
    assert events[-1]["_embedded"]["conversation"]["state"] == "InLobby"
    own = next(iter(events[2]["_embedded"].values()))
    assert own["inLobby"] is True
    assert conversation.json["state"] == "InLobby"
    assert conversation.json["participantCount"] == 0
    assert set(conversation.json["_links"]) == {
        "self",
        "localParticipant",
        "onlineMeeting",
        "participants",
    }
    invitation = await bob.get(events[0]["link"]["href"])
    assert invitation.json["state"] == "Connecting"
    assert "cancel" in invitation.json["_links"]
    local = await bob.get(conversation.link("localParticipant"))
    assert (local.json["name"], local.json["inLobby"]) == ("Bob", True)
    everyone = await bob.get(conversation.link("participants"))
    assert everyone.json["_links"]["participant"] == []
    meeting = await bob.get(conversation.link("onlineMeeting"))
    assert meeting.json["subject"] == "Planning"
    assert {"attendees", "leaders"}.isdisjoint(meeting.json)
    for hidden in ("leaders", "attendees", "mediaNegotiation"):
        assert (await bob.get(f"{conversation.href}/{hidden}")).status == 404
    assert (await bob.get(f"{conversation.href}/lobby")).status == 403


async def test_the_leader_sees_who_waits(alice: Program, bob: Program) -> None:
    uri = await scheduled(alice)
    conversation = await joined(alice, uri)
    await alice.events()
    await joined(bob, uri)
    events = await alice.events()
    assert told(events) == ["added participant", "added participant in lobby"]
    person = events[1]["_embedded"]["participant"]
    assert person["name"] == events[1]["link"]["title"] == "Bob"
    assert {"admit", "reject"} <= set(person["_links"])
    assert "eject" not in person["_links"]
    assert events[1]["in"]["href"] == conversation.link("lobby")
    (same,) = await in_lobby(alice, conversation)
    assert same == person
    assert (await alice.get(conversation.href)).json == conversation.json, "nobody more is in"


# --- deciding ---------------------------------------------------------------------------------


async def test_let_in(alice: Program, bob: Program, waiting: Waiting) -> None:
    (person,) = await in_lobby(alice, waiting.alices)
    admitted = await alice.post(person["_links"]["admit"]["href"])
    assert (admitted.status, admitted.raw) == (204, b"")
    events = await alice.events()
    assert told(events) == [
        "deleted participant in lobby",
        "added participant in attendees",
        "updated participant",
        "added participantAudio in participant",
        "updated conversation",
    ]
    inside = events[2]["_embedded"]["participant"]
    assert {"admit", "reject"}.isdisjoint(inside["_links"])
    assert {"eject", "promote"} <= set(inside["_links"])
    assert int(events[4]["_embedded"]["conversation"]["participantCount"]) == 2
    theirs = await bob.events()
    assert told(theirs) == BOB_ADMITTED
    assert theirs[1]["_embedded"]["conversation"]["state"] == "Conferenced"
    assert theirs[-1]["status"] == "Success"
    assert await in_lobby(alice, waiting.alices) == []
    for act in ("admit", "reject"):
        again = await alice.post(person["_links"][act]["href"])
        assert again.status == 404, "nobody waits any more"
    assert await news(alice) == []


async def test_turned_away(alice: Program, bob: Program, waiting: Waiting) -> None:
    (person,) = await in_lobby(alice, waiting.alices)
    assert (await alice.post(person["_links"]["reject"]["href"])).status == 204
    gone = await alice.events()
    assert told(gone) == ["deleted participant in lobby", "deleted participant"]
    assert [event["link"]["title"] for event in gone] == ["Bob", "Bob"]
    events = await bob.events()
    assert told(events) == [
        "completed onlineMeetingInvitation",
        "deleted localParticipant",
        "deleted conversation",
    ]
    assert events[0]["status"] == "Failure"
    assert events[0]["reason"]["subcode"] == "Denied"
    assert events[0]["_embedded"]["onlineMeetingInvitation"]["state"] == "Declined"
    assert events[2]["reason"]["subcode"] == "Denied"
    for address in (waiting.bobs.href, events[0]["link"]["href"]):
        assert (await bob.get(address)).status == 404


@pytest.mark.parametrize("way", ["cancel", "leave"])
async def test_withdrawing(alice: Program, bob: Program, waiting: Waiting, way: str) -> None:
    again = await join(bob, waiting.uri, operationId="")
    assert (again.status, again.subcode) == (409, "AlreadyExists")
    if way == "cancel":
        (person,) = await in_lobby(alice, waiting.alices)
        assert (await bob.delete(waiting.bobs.href)).status == 204
        assert (await alice.get(person["_links"]["self"]["href"])).status == 404
        assert await news(alice) == ["deleted participant in lobby", "deleted participant"]
        begun = await join(bob, waiting.uri)
        invitation = await bob.get(begun.headers["Location"])
        await bob.events()
        await alice.events()
        assert (await bob.post(invitation.link("cancel"))).status == 204
    else:
        assert (await bob.delete(waiting.bobs.href)).status == 204
    events = await bob.events()
    assert told(events) == [
        "completed onlineMeetingInvitation",
        "deleted localParticipant",
        "deleted conversation",
    ]
    assert (events[0]["status"], events[0]["reason"]["subcode"]) == ("Failure", "Canceled")
    assert events[0]["_embedded"]["onlineMeetingInvitation"]["state"] == "Cancelled"
    assert await news(alice) == ["deleted participant in lobby", "deleted participant"]


async def test_a_full_lobby_and_a_full_meeting(
    alice: Program, bob: Program, waiting: Waiting, api: Api
) -> None:
    carol = await program(api, "carol")
    refused = await join(carol, waiting.uri)
    assert (refused.status, refused.subcode) == (403, "TooManyLobbyParticipants")
    assert await news(carol) == []
    listed = await carol.get((await carol.dashboard()).link("communication", "conversations"))
    assert listed.json["_links"]["conversation"] == []
    assert len(await in_lobby(alice, waiting.alices)) == 1

    hall = await scheduled(alice, accessLevel="Everyone")
    await joined(alice, hall)
    for name in ("dave", "erin"):
        await joined(await program(api, name), hall)
    refused = await join(carol, hall)
    assert (refused.status, refused.subcode) == (403, "TooManyParticipants")


# --- from the other family --------------------------------------------------------------------


async def test_let_in_by_the_meeting_api(
    alice: Program, bob: Program, waiting: Waiting, api: Api
) -> None:
    """The entry in the lobby is the one that the other family lists."""
    moderator, guest = api.person("alice"), api.person("bob")
    queue = f"{waiting.path}/queue"
    assert (await moderator.get(queue)).json == {"users": [guest.id]}
    accepted = await moderator.post(f"{queue}/{guest.id}", {"status": "ACCEPTED"})
    assert accepted.status == 204
    assert await news(bob) == BOB_ADMITTED
    assert (await news(alice))[:2] == [
        "deleted participant in lobby",
        "added participant in attendees",
    ]
    assert (await bob.get(waiting.bobs.href)).json["state"] == "Conferenced"


async def test_turned_away_by_the_meeting_api(bob: Program, waiting: Waiting, api: Api) -> None:
    moderator, guest = api.person("alice"), api.person("bob")
    await moderator.post(f"{waiting.path}/queue/{guest.id}", {"status": "REJECTED"})
    assert (await news(bob))[-1] == "deleted conversation"


async def test_somebody_of_the_meeting_api_waits_in_the_lobby(alice: Program, api: Api) -> None:
    uri = await scheduled(alice)
    conversation = await joined(alice, uri)
    await alice.events()
    (carol,) = await api.people("carol")
    path = f"/meetings/{conversation.href.rpartition('/')[2]}"
    assert await carol.join(path) == "WAITING"
    events = await alice.events()
    assert told(events) == ["added participant", "added participant in lobby"]
    admit = events[1]["_embedded"]["participant"]["_links"]["admit"]["href"]
    assert (await alice.post(admit)).status == 204
    assert await news(alice) == ["deleted participant in lobby", "deleted participant"]
    await carol.until("MEETING_WAITING_PARTICIPANT_ACCEPTED")
    assert await carol.join(path) == "ACCEPTED"
    assert await news(alice) == [
        "added participant",
        "added participant in attendees",
        "added participantAudio in participant",
        "updated conversation",
    ]
    assert (await carol.post(f"{path}/leave")).status == 204
    assert await news(alice) == [
        "deleted participant in attendees",
        "deleted participant",
        "updated conversation",
    ]


@pytest.mark.parametrize("way", ["stop", "delete"])
async def test_the_meeting_ends(
    alice: Program, bob: Program, waiting: Waiting, api: Api, way: str
) -> None:
    person = api.person("alice")
    if way == "stop":
        assert (await person.post(f"{waiting.path}/stop")).status == 200
    else:
        assert (await person.delete(waiting.path)).status == 204
    for one, conversation in ((alice, waiting.alices), (bob, waiting.bobs)):
        events = await one.events()
        assert told(events)[-2:] == ["deleted localParticipant", "deleted conversation"]
        assert events[-1]["reason"]["subcode"] == "Ended"
        assert (await one.get(conversation.href)).status == 404
    rejoined = await join(alice, waiting.uri)
    assert rejoined.status == (201 if way == "stop" else 404)


async def test_an_application_that_is_deleted_is_out(
    alice: Program, bob: Program, waiting: Waiting
) -> None:
    assert (await bob.delete(bob.application)).status == 204
    assert await news(alice) == ["deleted participant in lobby", "deleted participant"]


async def test_roles_and_ejection_are_told(alice: Program, bob: Program, waiting: Waiting) -> None:
    (person,) = await in_lobby(alice, waiting.alices)
    await alice.post(person["_links"]["admit"]["href"])
    await bob.events()
    await alice.events()
    me = person["_links"]["self"]["href"]
    assert (await alice.post(f"{me}/promote")).status == 204
    assert await news(alice) == [
        "deleted participant in attendees",
        "added participant in leaders",
        "updated participant",
    ]
    events = await bob.events()
    assert told(events) == [
        "updated participant",
        "deleted participant in attendees",
        "added participant in leaders",
        "updated participant",
        "updated localParticipant",
        "updated conversation",
    ]
    assert "lobby" in events[-1]["_embedded"]["conversation"]["_links"]
    assert (await alice.post(f"{me}/demote")).status == 204
    assert "lobby" not in (await bob.events())[-1]["_embedded"]["conversation"]["_links"]
    await alice.events()
    assert (await alice.post(f"{me}/eject")).status == 204
    events = await bob.events()
    assert told(events) == ["deleted localParticipant", "deleted conversation"]
    assert events[-1]["reason"]["subcode"] == "Ejected"
    assert await news(alice) == [
        "deleted participant in attendees",
        "deleted participant",
        "updated conversation",
    ]
    await joined(bob, waiting.uri)
    assert (await bob.events())[-1]["_embedded"]["conversation"]["state"] == "InLobby"


async def test_another_client_takes_over(alice: Program, api: Api) -> None:
    conversation = await started(alice)
    await alice.events()
    second = await program(api, "alice", endpointId="another")
    await joined(second, await uri_of(alice, conversation))
    events = await alice.events()
    assert told(events) == ["deleted localParticipant", "deleted conversation"]
    assert events[-1]["reason"]["subcode"] == "Removed"
    assert await news(second) == ALICE_ENTERED


async def test_both_instances_of_an_application_are_told(bob: Program, api: Api) -> None:
    """One application, one conversation, two channels."""
    common = {"endpointId": "desk", "userAgent": "Desk/1.0"}
    first = await program(api, "alice", instanceId="tab1", **common)
    second = await program(api, "alice", instanceId="tab2", **common)
    conversation = await started(first)
    assert await news(first) == ALICE_ENTERED
    assert await news(second) == ALICE_ENTERED
    assert (await second.get(conversation.href)).status == 200
    assert (await second.delete(conversation.href)).status == 204
    assert await news(first) == ["deleted localParticipant", "deleted conversation"]


async def test_a_conversation_goes_with_the_instance_that_joined(api: Api) -> None:
    common = {"endpointId": "desk", "userAgent": "Desk/1.0"}
    first, second, third = [
        await program(api, "alice", instanceId=name, **common) for name in ("tab1", "tab2", "tab3")
    ]
    start = (await second.dashboard()).link("communication", "startOnlineMeeting")
    begun = await second.post(start, {})
    conversation = (await second.get(begun.headers["Location"])).link("conversation")
    assert (await third.delete(third.application)).status == 204
    assert await news(first) == ALICE_ENTERED
    assert (await first.get(conversation)).status == 200
    assert (await second.delete(second.application)).status == 204
    assert await news(first) == ["deleted localParticipant", "deleted conversation"]
    nowhere = await first.post(start.replace("tab2", "tab9"), {})
    assert (nowhere.status, nowhere.subcode) == (404, "ApplicationNotFound")


async def test_each_instance_sees_its_own_addresses_of_one_communication(api: Api) -> None:
    """Wherever it reads them; what it knows of one it may change for all."""
    common = {"endpointId": "desk", "userAgent": "Desk/1.0"}
    first, second = [
        await program(api, "alice", instanceId=name, **common) for name in ("tab 1", "tab2")
    ]
    own = (await first.dashboard()).embedded("communication")
    links = {name: own["_links"][name]["href"] for name in ("joinOnlineMeeting", "self")}
    assert all(href.endswith("?instanceId=tab+1") for href in links.values())
    shown = await first.get(links["self"])
    assert shown.json == own
    others = (await second.follow("communication", "self")).json
    assert others["_links"]["startOnlineMeeting"]["href"].endswith("?instanceId=tab2")
    assert others["etag"] == own["etag"]
    changed = await second.put(
        others["_links"]["self"]["href"], {"phoneNumber": "tel:+1"}, if_match=shown.etag
    )
    assert changed.status == 204
    (event,) = await first.events()
    assert event["_embedded"]["communication"] == (await first.get(links["self"])).json
    assert event["sender"]["href"] == event["link"]["href"] == links["self"]


async def test_the_meeting_api_renames_nothing_but_the_organizer_may(
    alice: Program, bob: Program, waiting: Waiting
) -> None:
    meeting = await alice.get(waiting.alices.link("onlineMeeting"))
    mine = (await alice.dashboard()).link("onlineMeetings", "myOnlineMeetings")
    address = f"{mine}/{meeting.json['onlineMeetingId']}"
    changed = await alice.put(address, {"subject": "Retrospective", "accessLevel": "Locked"})
    assert changed.status == 200
    for one in (alice, bob):
        events = await one.events()
        assert told(events) == ["updated onlineMeeting in conversation", "updated conversation"]
        assert events[-1]["_embedded"]["conversation"]["subject"] == "Retrospective"


# --- what is on -------------------------------------------------------------------------------


@pytest.fixture
async def worker(redis_url: str) -> AsyncIterator[Worker]:
    async with running_worker(redis_url) as worker:
        worker.script = obliging
        yield worker


async def test_a_microphone_shows(alice: Program, worker: Worker, api: Api) -> None:
    conversation = await started(alice)
    await alice.events()
    meeting = conversation.href.rpartition("/")[2]
    person = api.person("alice")
    assert (await person.put(f"/meetings/{meeting}/audio", {"enabled": True})).status == 204
    events = await alice.events()
    assert told(events) == ["updated participantAudio in participant", "updated conversation"]
    assert events[-1]["_embedded"]["conversation"]["activeModalities"] == ["Audio"]
    audio = await alice.get(events[0]["link"]["href"])
    assert audio.json == events[0]["_embedded"]["participantAudio"]
    assert audio.json["audioSourceId"] == person.id
    assert audio.json["audioDirection"] == "SendReceive"
    assert str(audio.json["audioMuted"]).lower() == "false"
    assert (await person.put(f"/meetings/{meeting}/audio", {"enabled": False})).status == 204
    assert await news(alice) == ["updated participantAudio in participant", "updated conversation"]
    muted = await alice.get(audio.href)
    assert muted.json["audioDirection"] == "ReceiveOnly"
    assert str(muted.json["audioMuted"]).lower() == "true"


async def test_microphones_are_muted_by_links(alice: Program, bob: Program, worker: Worker) -> None:
    """A leader mutes anybody, everybody themselves; and only they open their microphones again."""
    uri = await scheduled(alice, accessLevel="Everyone")
    hers, his = await joined(alice, uri), await joined(bob, uri)
    await alice.events()
    own = (await bob.get(his.link("localParticipant"))).link("participantAudio")
    silent = await bob.get(own)
    assert str(silent.json["audioMuted"]).lower() == "true"
    assert (await bob.post(silent.link("unmuteAudio"))).status == 204
    events = await alice.events()
    assert told(events) == ["updated participantAudio in participant", "updated conversation"]
    shown = events[0]["_embedded"]["participantAudio"]
    assert "unmuteAudio" not in shown["_links"]
    for _ in range(2):
        assert (await alice.post(shown["_links"]["muteAudio"]["href"])).status == 204, "again too"
    assert str((await bob.get(own)).json["audioMuted"]).lower() == "true"
    for act, status in (("unmuteAudio", 403), ("muteAudio", 204)):
        assert (await alice.post(f"{shown['_links']['self']['href']}/{act}")).status == status
    alices = await bob.get(
        hrefs((await bob.get(his.link("leaders"))).json["_links"]["participant"])[0]
    )
    theirs = await bob.get(alices.link("participantAudio"))
    assert not {"muteAudio", "unmuteAudio"} & set(theirs.json["_links"])
    for act in ("muteAudio", "unmuteAudio"):
        assert (await bob.post(f"{theirs.href}/{act}")).status == 403
    assert (await alice.delete(hers.href)).status == 204


async def test_the_worker_is_told_who_is_muted(
    alice: Program, bob: Program, worker: Worker
) -> None:
    uri = await scheduled(alice, accessLevel="Everyone")
    hers, his = await joined(alice, uri), await joined(bob, uri)
    channels = (await bob.get(his.link("mediaNegotiation"))).embedded("mediaChannel")
    (offer,) = [one["_links"]["offer"]["href"] for one in channels if one["channel"] == "audio"]
    assert (await bob.call("PUT", offer, {"sdp": "v=0 offer"})).status == 204
    own = (await bob.get(his.link("localParticipant"))).link("participantAudio")
    assert (await bob.post(f"{own}/unmuteAudio")).status == 204
    bobs = f"{alice.application.partition('?')[0]}{own.partition('/communication')[1]}"
    assert (await alice.post(f"{bobs}{own.partition('/communication')[2]}/muteAudio")).status == 204
    assert [body.enabled for body in worker.asked(sfu.SetAudio)] == [True, False]
    worker.reply = lambda command: sfu.Failed(code="internal", reason="because")
    refused = await bob.post(f"{own}/unmuteAudio")
    assert (refused.status, refused.json["code"]) == (503, "ServiceUnavailable")
    assert (await bob.get(own)).json["audioMuted"] is True, "as it was"
    assert (await alice.delete(hers.href)).status == 204


async def test_who_waits_has_no_microphone_here(
    alice: Program, bob: Program, waiting: Waiting
) -> None:
    (person,) = await in_lobby(alice, waiting.alices)
    assert "participantAudio" not in person["_links"]
    own = f"{person['_links']['self']['href']}/participantAudio"
    assert (await alice.get(own)).status == 404
    assert (await alice.post(f"{own}/muteAudio")).status == 404
    theirs = own.replace(alice.application.partition("?")[0], bob.application.partition("?")[0])
    assert (await bob.post(f"{theirs}/unmuteAudio")).status == 404


# --- anonymous --------------------------------------------------------------------------------


def anonymous_token(meeting: str) -> str:
    return issue(
        SECRET,
        user=TokenUser(id=uuid4(), name="", email=""),
        now=datetime.now(UTC),
        lifetime=timedelta(hours=1),
        meeting=UUID(meeting),
    )


async def test_somebody_anonymous_waits_with_a_name(alice: Program, api: Api) -> None:
    uri = await scheduled(alice)
    conversation = await joined(alice, uri)
    await alice.events()
    guest = Program(api, "guest", anonymous_token(conversation.href.rpartition("/")[2]))
    await guest.start()
    assert "startOnlineMeeting" not in (await guest.follow("communication", "self")).json["_links"]
    refused = await join(guest, uri)
    assert (refused.status, refused.subcode) == (400, "ParameterValidationFailure")
    assert list(refused.json["parameters"]) == ["anonymousDisplayName"]
    theirs = await joined(guest, uri, anonymousDisplayName="Cathy")
    assert theirs.json["state"] == "InLobby"
    events = await alice.events()
    person = events[-1]["_embedded"]["participant"]
    assert (person["name"], str(person["anonymous"]).lower()) == ("Cathy", "true")
    assert (await alice.post(person["_links"]["admit"]["href"])).status == 204
    assert (await guest.get(theirs.href)).json["state"] == "Conferenced"
    everyone = await guest.get(theirs.link("participants"))
    assert len(hrefs(everyone.json["_links"]["participant"])) == 2


async def test_somebody_anonymous_of_another_meeting(alice: Program, api: Api) -> None:
    uri = await scheduled(alice)
    guest = Program(api, "guest", anonymous_token(str(uuid4())))
    await guest.start()
    refused = await join(guest, uri, anonymousDisplayName="Cathy")
    assert (refused.status, refused.json["code"]) == (403, "Forbidden")
