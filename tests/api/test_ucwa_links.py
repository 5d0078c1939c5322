"""Programs that know rels and no addresses: whatever they do, they get there by links. In JSON and in XML."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from rig_meetings import Api, Json, running_worker
from ucwa_rig import Answer, Program, events_of, from_xml, request, running_ucwa, told

from conference.storage.migrate import migrate
from conference.ucwa.engine.etags import is_put_token

VENDOR = "application/vnd.microsoft.com.ucwa"
_DATE = re.compile(r"/Date\((-?\d+)\)/")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z")


QUICK = {
    "ucwa_poll_timeout": 0.3,
    "ucwa_hold_medium": 0.05,
    "ucwa_hold_low": 0.05,
    "ucwa_assigned_meetings": True,
}


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with (
        running_worker(redis_url),
        running_ucwa(database_url, redis_url, tmp_path, **QUICK) as api,
    ):
        yield api


class Follower(Program):
    """Goes from what it was last shown to what that links to."""

    async def create(self, address: str, body: Json = None) -> Answer:
        answer = await self.post(address, body)
        assert answer.status in (200, 201, 204), (address, answer)
        return answer

    async def at(self, address: str) -> Answer:
        answer = await self.get(address)
        assert answer.status == 200, (address, answer)
        return answer

    async def seen(self, *kinds: str) -> dict[str, Json]:
        """Events until each of these came; by what was told, the last of its kind."""
        found: dict[str, Json] = {}
        while not set(kinds) <= found.keys():
            answer = await self.poll(5)
            assert answer.status == 200, answer
            for event in events_of(answer):
                found[told([event])[0]] = event
        return found


# --- what both forms say is the same ----------------------------------------------------------


def as_text(value: Json) -> Json:
    """A property of JSON as XML can say it."""
    if isinstance(value, list):
        return [as_text(item) for item in value]
    if isinstance(value, dict):
        return {name: as_text(inner) for name, inner in value.items()}
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def as_xml(resource: Json) -> Json:
    """A resource of JSON as the rig reads XML: what is there once is no array, what is not there is nothing."""
    found = {
        name: as_text(value)
        for name, value in resource.items()
        if name not in ("_links", "_embedded")
    }
    found["_links"] = _squeezed(resource["_links"], lambda link: link)
    embedded = _squeezed(resource.get("_embedded", {}), as_xml)
    return {**found, "_embedded": embedded} if embedded else found


def _squeezed(many: Json, convert: Any) -> Json:
    found = {}
    for rel, value in many.items():
        if not isinstance(value, list):
            found[rel] = convert(value)
        elif len(value) == 1:
            found[rel] = convert(value[0])
        elif value:
            found[rel] = [convert(one) for one in value]
    return found


def same_dates(value: Json) -> Json:
    """Both forms of a date as milliseconds."""
    if isinstance(value, dict):
        return {name: same_dates(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [same_dates(item) for item in value]
    if isinstance(value, str) and (date := _DATE.fullmatch(value)):
        return int(date[1])
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        return int(datetime.fromisoformat(value[:26] + "+00:00").timestamp() * 1000)
    return value


def check_alike(in_json: Answer, in_xml: Answer) -> None:
    assert in_json.headers["Content-Type"].startswith(f"{VENDOR}+json")
    assert in_xml.headers["Content-Type"].startswith(f"{VENDOR}+xml")
    assert in_json.headers.get("ETag") == in_xml.headers.get("ETag")
    told_in_xml = from_xml(in_xml.raw)
    assert same_dates(as_xml(in_json.json)) == same_dates(told_in_xml), in_json.href


# --- a meeting with everything in it ----------------------------------------------------------


class Scene:
    """alice leads a meeting in which bob is and a guest waits; alice knows people, and they her."""

    def __init__(self, api: Api, *, xml: bool) -> None:
        self._api, self._xml = api, xml
        self.alice, self.bob, self.carol = (
            Follower(api, name, xml=xml) for name in ("alice", "bob", "carol")
        )
        self.guest = self.alice
        self.meeting: Json = {}
        self.shown: list[str] = []

    async def play(self) -> None:
        for program in (self.alice, self.bob, self.carol):
            await program.start(endpointId=program.name)
        await self.be_available()
        await self.know_people()
        await self.schedule()
        await self.join()
        await self.wait_and_enter()
        await self.invite()

    async def be_available(self) -> None:
        alice = self.alice
        dashboard = await alice.dashboard()
        await alice.create(dashboard.link("me", "makeMeAvailable"), {"signInAs": "Online"})
        me = await alice.follow("me", "self")
        assert "makeMeAvailable" not in me.json["_links"]
        await alice.create(me.link("note"), {"message": "hello"})
        await alice.create(me.link("location"), {"location": "here"})
        await alice.create(me.link("presence"), {"availability": "Busy"})
        await alice.create(me.link("reportMyActivity"))
        found = await alice.seen(
            "updated me", "added presence", "added note", "added location", "updated communication"
        )
        assert (await alice.at(found["added presence"]["link"]["href"])).json[
            "availability"
        ] == "Busy"

    async def know_people(self) -> None:
        alice = self.alice
        people = await alice.follow("people", "self")
        await alice.create(people.link("myContacts"), {"contactUri": "sip:bob@example.com"})
        await alice.create(people.link("myGroups"), {"displayName": "Friends"})
        await alice.create(
            people.link("presenceSubscriptions"),
            {"uris": ["sip:bob@example.com", "sip:carol@example.com"], "duration": 11},
        )

    async def schedule(self) -> None:
        alice = self.alice
        online = await alice.follow("onlineMeetings", "self")
        created = await alice.create(
            online.link("myOnlineMeetings"),
            {
                "subject": "stand-up <1>",
                "accessLevel": "Invited",
                "attendees": ["sip:bob@example.com"],
                "leaders": [],
                "expirationTime": "2030-01-02T03:04:05Z",
            },
        )
        self.meeting = created.json
        extensions = created.link("onlineMeetingExtensions")
        await alice.create(
            extensions, {"id": "1", "type": "RoamedParticipantData", "color": "red & blue"}
        )
        await alice.create(extensions, {"id": "2", "type": "RoamedOrganizerData"})

    async def join(self) -> None:
        alice = self.alice
        communication = await alice.follow("communication", "self")
        await self._ask_to_join(alice, communication)
        found = await alice.seen("added conversation", "completed onlineMeetingInvitation")
        assert found["completed onlineMeetingInvitation"]["status"] == "Success"
        self.shown += sorted(found)

    async def wait_and_enter(self) -> None:
        """bob is on the list and walks in; carol waits, is let in, and leaves."""
        await self._ask_to_join(self.bob, await self.bob.follow("communication", "self"))
        await self.bob.seen("completed onlineMeetingInvitation")
        await self._carol_waits()
        await self._let_in()
        await self._carol_leaves()

    async def invite(self) -> None:
        """Somebody anonymous waits."""
        self.guest = Follower(self._api, "guest", await self._guests_token(), xml=self._xml)
        await self.guest.start()
        communication = await self.guest.follow("communication", "self")
        await self._ask_to_join(self.guest, communication, anonymousDisplayName="Guest")
        found = await self.guest.seen("added conversation", "added localParticipant")
        self.shown += sorted(found)

    async def _guests_token(self) -> str:
        """Where to get one says the refusal of what needs it."""
        root = await request(self._api, "GET", "/ucwa", {})
        refused = await request(self._api, "GET", root.link("user"), {})
        oauth = refused.headers.getall("WWW-Authenticate")[1]
        address = re.search(r'href="https?://[^/]+([^"]+)"', oauth)
        assert address is not None
        form = {
            "grant_type": "urn:microsoft.rtc:anonmeeting",
            "password": self.meeting["onlineMeetingId"],
            "ms_rtc_conferenceuri": self.meeting["onlineMeetingUri"],
        }
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        granted = await request(self._api, "POST", address[1], kind, urlencode(form).encode())
        return str(granted.json["access_token"])

    async def end(self) -> None:
        for program in (self.guest, self.alice, self.bob, self.carol):
            assert (await program.delete(program.application)).status == 204
            gone = await program.get(program.application)
            assert (gone.status, gone.subcode) == (404, "ApplicationNotFound")

    async def _carol_waits(self) -> None:
        await self._ask_to_join(self.carol, await self.carol.follow("communication", "self"))
        found = await self.carol.seen("added conversation", "added localParticipant")
        self.shown += sorted(found)

    async def _let_in(self) -> None:
        waiting = (await self.alice.seen("added participant in lobby"))[
            "added participant in lobby"
        ]
        person = await self.alice.at(waiting["link"]["href"])
        assert person.json["name"] == "Carol"
        await self.alice.create(person.link("admit"))
        found = await self.alice.seen(
            "deleted participant in lobby", "added participant in attendees"
        )
        person = await self.alice.at(found["added participant in attendees"]["link"]["href"])
        assert "admit" not in person.json["_links"]
        found = await self.carol.seen("completed onlineMeetingInvitation")
        assert found["completed onlineMeetingInvitation"]["status"] == "Success"

    async def _carol_leaves(self) -> None:
        listed = await self.carol.follow("communication", "conversations")
        conversation = await self.carol.at(_only(listed.json["_links"]["conversation"])["href"])
        assert conversation.json["state"] == "Conferenced"
        assert (await self.carol.delete(conversation.href)).status == 204
        await self.carol.seen("deleted conversation")
        await self.alice.seen("deleted participant")

    async def _ask_to_join(self, program: Follower, communication: Answer, **more: str) -> None:
        joined = await program.create(
            communication.link("joinOnlineMeeting"),
            {
                "onlineMeetingUri": self.meeting["onlineMeetingUri"],
                "operationId": f"op-{len(self.shown)}",
                "subject": "stand-up",
                **more,
            },
        )
        assert (joined.status, joined.raw) == (201, b"")
        invitation = await program.at(joined.headers["Location"])
        assert invitation.json["rel"] == "onlineMeetingInvitation"


def _only(value: Json) -> Json:
    """In XML what is there once is no array."""
    if isinstance(value, list):
        (value,) = value
    return value


async def test_the_same_is_done_and_told_in_both_forms(
    database_url: str, empty_database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Each on a database of its own, so that both begin with nothing."""
    await migrate(empty_database_url)
    shown = []
    for url, xml in ((database_url, False), (empty_database_url, True)):
        async with (
            running_worker(redis_url),
            running_ucwa(url, redis_url, tmp_path, **QUICK) as api,
        ):
            scene = Scene(api, xml=xml)
            await scene.play()
            await scene.end()
            shown.append(scene.shown)
    assert shown[0] == shown[1]


# --- the whole graph --------------------------------------------------------------------------


class Walk:
    """Everything that can be reached from an application: each link is something to GET, or an operation."""

    def __init__(self, program: Follower, closed: frozenset[str] = frozenset()) -> None:
        """`closed`: rels of what is shown, and is not for somebody anonymous."""
        self._program = program
        self._closed = closed
        self._waiting: list[tuple[str, str]] = []
        self._met: set[str] = set()
        self.resources: dict[str, set[str]] = {}
        """Addresses by rel."""
        self.operations: set[str] = set()
        self.changeable: dict[str, Answer] = {}
        """What may be PUT back, by rel: one of each."""

    async def run(self) -> None:
        self._meet("application", self._program.application)
        while self._waiting:
            rel, address = self._waiting.pop()
            await self._visit(rel, address)

    def _meet(self, rel: str, address: str) -> None:
        if address not in self._met and not address.startswith("data:"):
            self._met.add(address)
            self._waiting.append((rel, address))

    async def _visit(self, rel: str, address: str) -> None:
        if rel == "events":
            return  # one poll would take the other's place
        assert address.startswith("/"), (rel, address)
        if rel == "search":
            address += "?query=bob"
        answer = await self._ask(address, "json")
        if answer.status == 405:
            assert {"POST", "PUT"} & set(answer.headers["Allow"].split(",")), (rel, address)
            self.operations.add(rel)
            return
        if rel in self._closed:
            assert (answer.status, answer.subcode) == (403, "AnonymousNotAllowed")
            return
        assert answer.status == 200, (rel, address, answer)
        self.resources.setdefault(rel, set()).add(address)
        if answer.headers["Content-Type"].startswith("image/"):
            return
        check_alike(answer, await self._ask(address, "xml"))
        assert answer.href.partition("?")[0] == address.partition("?")[0]
        await self._check_etag(address, answer)
        if any(is_put_token(name, value) for name, value in answer.json.items()):
            self.changeable[rel] = answer
        self._look_at(answer.json)

    async def _check_etag(self, address: str, answer: Answer) -> None:
        if "etag" in answer.json:
            assert answer.json["etag"] == answer.etag
        if "ETag" in answer.headers:
            assert int(answer.etag) < 2**32
            known = await self._program.get(address, If_None_Match=answer.headers["ETag"])
            assert known.status == 304, address

    async def _ask(self, address: str, form: str) -> Answer:
        return await self._program.call("GET", address, headers={"Accept": f"{VENDOR}+{form}"})

    def _look_at(self, resource: Json) -> None:
        for rel, links in resource["_links"].items():
            for link in links if isinstance(links, list) else [links]:
                if rel != "self":
                    self._meet(rel, link["href"])
        for rel, inner in resource.get("_embedded", {}).items():
            for one in inner if isinstance(inner, list) else [inner]:
                self._meet(rel, one["_links"]["self"]["href"])
                self._look_at(one)


@pytest.fixture
async def scene(api: Api) -> Scene:
    found = Scene(api, xml=False)
    await found.play()
    return found


async def test_every_link_of_an_organizer_leads_somewhere(scene: Scene) -> None:
    walk = Walk(scene.alice)
    await walk.run()
    assert {
        "application",
        "me",
        "people",
        "onlineMeetings",
        "communication",
        "policies",
        "presence",
        "note",
        "location",
        "phones",
        "photo",
        "callForwardingSettings",
        "search",
        "contact",
        "myContacts",
        "myGroups",
        "group",
        "presenceSubscriptions",
        "presenceSubscription",
        "subscribedContacts",
        "myOnlineMeetings",
        "myOnlineMeeting",
        "myAssignedOnlineMeeting",
        "onlineMeetingExtensions",
        "onlineMeetingExtension",
        "onlineMeetingPolicies",
        "onlineMeetingDefaultValues",
        "onlineMeetingEligibleValues",
        "onlineMeetingInvitationCustomization",
        "conversations",
        "conversation",
        "onlineMeeting",
        "participants",
        "participant",
        "localParticipant",
        "attendees",
        "leaders",
        "lobby",
    } <= walk.resources.keys()
    assert {"batch", "reportMyNetwork", "reportMyActivity", "joinOnlineMeeting"} <= walk.operations
    assert {"admit", "reject", "eject", "promote"} <= walk.operations
    assert "makeMeAvailable" not in walk.operations | walk.resources.keys()
    assert len(walk.resources["participant"]) == 3, "two in the meeting, one in the lobby"


async def test_every_link_of_an_attendee_leads_somewhere(scene: Scene) -> None:
    walk = Walk(scene.bob)
    await walk.run()
    assert {"conversation", "onlineMeeting", "participant", "attendees"} <= walk.resources.keys()
    assert not {"admit", "reject", "eject", "promote", "demote"} & walk.operations


async def test_every_link_of_somebody_in_the_lobby_leads_somewhere(scene: Scene) -> None:
    walk = Walk(scene.guest, closed=frozenset({"people"}))
    await walk.run()
    assert {"conversation", "localParticipant"} <= walk.resources.keys()
    assert not {"admit", "eject"} & walk.operations


async def test_what_may_be_changed_is_changed_under_a_condition(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """The strict mode: the etag and the property that asks to be passed back, each by each resource that has them."""
    strict = {**QUICK, "ucwa_strict_put": True}
    async with (
        running_worker(redis_url),
        running_ucwa(database_url, redis_url, tmp_path, **strict) as api,
    ):
        scene = Scene(api, xml=False)
        await scene.play()
        walk = Walk(scene.alice)
        await walk.run()
        assert {
            "communication",
            "callForwardingSettings",
            "myOnlineMeeting",
            "myAssignedOnlineMeeting",
            "onlineMeetingExtension",
        } <= walk.changeable.keys()
        for rel, shown in walk.changeable.items():
            await _check_conditions(scene.alice, rel, shown)


async def _check_conditions(alice: Follower, rel: str, shown: Answer) -> None:
    body = {name: value for name, value in shown.json.items() if not name.startswith("_")}
    without = {name: value for name, value in body.items() if not is_put_token(name, value)}
    refused = await alice.put(shown.href, without, If_Match=shown.etag)
    assert (refused.status, refused.subcode) == (400, "ParameterValidationFailure"), rel
    assert (await alice.put(shown.href, body)).status == 428, rel
    assert (await alice.put(shown.href, body, If_Match='"1"')).status == 412, rel
    changed = await alice.put(shown.href, body, If_Match=shown.etag)
    assert changed.status in (200, 204), (rel, changed)
    assert (await alice.at(shown.href)).etag == shown.etag, f"{rel}: the same was put back"


async def test_events_are_alike_in_both_forms(scene: Scene) -> None:
    """An answer that was not acknowledged is given again, in whichever form."""
    alice = scene.alice
    await alice.events()
    me = await alice.follow("me", "self")
    await alice.create(me.link("note"), {"message": "a < b"})
    address = alice.next
    in_json = await alice.call("GET", address, headers={"Accept": f"{VENDOR}+json"})
    in_xml = await alice.call("GET", address, headers={"Accept": f"{VENDOR}+xml"})
    assert told(events_of(in_json)) == ["updated note"]
    as_told = same_dates(_events_as_xml(in_json.json))
    assert as_told == same_dates(from_xml(in_xml.raw))


def _events_as_xml(package: Json) -> Json:
    for sender in package["sender"]:
        for event in sender["events"]:
            embedded = event.get("_embedded", {})
            event.update(
                {"_embedded": {k: as_xml(v) for k, v in embedded.items()}} if embedded else {}
            )
    return package
