"""Nobody reaches what is not theirs: every operation of the description is tried with every kind of wrong token.

The operations come from /openapi.json. One with a parameter, a body or a right that the tables below don't know
makes these tests fail, until somebody has decided about it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
from multidict import CIMultiDict
from rig_meetings import SECRET, Api, Json
from ucwa_meeting import joined
from ucwa_rig import Answer, Program, parsed, running_ucwa

from conference.tokens import TokenUser, issue, user_named
from config.settings import UCWA_SCOPES

MARK = "Zebra"
"""In every text that alice keeps to herself or to her meeting."""
OURS, THEIRS = "wonderland", "elsewhere"
REFUSED = {401, 403, 404}
_PARAMETER = re.compile(r"{(\w+)}")
_UNSTABLE = ("used_at",)
_NOT_COMPARED = ("users", "outbox", "schema_migrations")

BODIES: Mapping[str, Json] = {
    "joinMeeting": {"audioStreamEnabled": False, "videoStreamEnabled": False},
    "updateQueuedUser": {"status": "ACCEPTED"},
    "updateMediaStream": {"type": "video", "enabled": False},
    "answerRtcMediaStream": {"sdp": "v=0"},
    "updateSubscriptionsMediaStream": {
        "subscribe": [{"userId": str(uuid4()), "type": "video"}],
        "unsubscribe": [],
    },
    "updateAudioStream": {"enabled": False},
    "offerRtcAudioStream": {"sdp": "v=0"},
    "setMember": {"userType": "moderator"},
    "/people/groups/{groupId}": {"name": "taken over"},
    "/people/groups/{groupId}/subscribeToGroupPresence": {"duration": 11},
    "/people/presenceSubscriptions/{subscriptionId}": {"duration": 29},
    "/people/presenceSubscriptions/{subscriptionId}/addToPresenceSubscription": {
        "contactUris": ["sip:mallory@example.com"]
    },
    "/people/presenceSubscriptions/{subscriptionId}/memberships": {
        "contactUris": ["sip:mallory@example.com"]
    },
}
"""By the operation, or by its path below an application: where the body is looked at first."""
FOR_EVERYBODY = {
    "getMeetingPublic": "the name of a meeting, to whoever has its id",
    "getInvitation": "the same, to whoever has its code",
    "getUser": "the name of a user, to whoever is signed in",
    "joinMeeting": "whoever comes to the door waits there",
}
NO_ANSWERS = ("openWebsocket", "streamChannel", "getMeetingOfRoom")
"""Those that go on, and one that makes what is not there."""
ABSENT = {
    "/communication/conversations/{conversationId}/participants/{userId}/{modality}",
    "/onlineMeetings/phoneDialInInformation",
    "/onlineMeetings/phoneDialInInformation/dialInRegions/{regionId}",
}
"""What alice has not either."""
NAMES = {"phoneType", "regionId", "relationshipLevel"}
"""Parameters that are words: everybody has them."""
GUESTS_MAY = {
    ("DELETE", ""),
    ("GET", ""),
    ("GET", "/communication"),
    ("GET", "/communication/conversations"),
    ("GET", "/events"),
    ("GET", "/me"),
    ("GET", "/onlineMeetings"),
    ("GET", "/policies"),
    ("POST", "/batch"),
    ("POST", "/communication/joinOnlineMeeting"),
    ("PUT", "/communication"),
}
"""In an application of their own, of what has no further parameter."""
UNSCOPED = {
    ("DELETE", ""),
    ("GET", ""),
    ("GET", "/events"),
    ("GET", "/me"),
    ("GET", "/onlineMeetings"),
    ("GET", "/onlineMeetings/customInvitation"),
    ("GET", "/onlineMeetings/defaultValues"),
    ("GET", "/onlineMeetings/eligibleValues"),
    ("GET", "/onlineMeetings/phoneDialInInformation"),
    ("GET", "/onlineMeetings/phoneDialInInformation/dialInRegions/{regionId}"),
    ("GET", "/onlineMeetings/policies"),
    ("GET", "/people"),
    ("GET", "/policies"),
    ("POST", "/batch"),
    ("POST", "/reportMyNetwork"),
}
"""Below an application, to whoever may use it at all."""


class Step(msgspec.Struct, frozen=True):
    """One operation of the description."""

    id: str
    method: str
    path: str
    public: bool
    scopes: frozenset[str]

    @property
    def parameters(self) -> set[str]:
        return set(_PARAMETER.findall(self.path))

    @property
    def below(self) -> str | None:
        """The path below an application."""
        _, found, rest = self.path.partition("/applications/{applicationId}")
        return rest if found else None

    def at(self, values: Mapping[str, str]) -> str:
        return _PARAMETER.sub(lambda match: values[match[1]], self.path)


class World(msgspec.Struct):
    """What alice has. `hers`: for each parameter of a path the one that is hers."""

    api: Api
    pool: asyncpg.Pool
    steps: list[Step]
    alice: Program
    meeting: UUID
    other_meeting: UUID
    hers: dict[str, str]
    watching: str
    """Of her presence subscription's membership."""
    secrets: set[str]

    async def ask(self, step: Step, token: str | None, values: Mapping[str, str]) -> Answer:
        body = BODIES.get(step.id, BODIES.get(step.below or ""))
        headers = {"Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if step.method in ("POST", "PUT"):
            headers["Content-Type"] = "application/json"
        data = msgspec.json.encode(body) if body is not None else None
        query = "?ack=1&timeout=0" if step.path.endswith("/events") else ""
        url = self.api.server.make_url(step.at(values) + query)
        async with self.api.session.request(
            step.method, url, headers=headers, data=data, timeout=10
        ) as response:
            raw = await response.read()
            found = parsed(raw, response.content_type)
            return Answer(response.status, found, CIMultiDict(response.headers), raw)

    def leaks(self, answer: Answer) -> set[str]:
        shown = f"{answer.raw!r} {dict(answer.headers)}"
        return {secret for secret in self.secrets if secret in shown}

    async def state(self) -> dict[str, list[str]]:
        """Everything that is kept, but for what a look changes."""
        tables = await self.pool.fetch(
            "select tablename from pg_tables where schemaname = 'public' order by 1"
        )
        kept = [row["tablename"] for row in tables if row["tablename"] not in _NOT_COMPARED]
        assert "meetings" in kept
        assert len(kept) > 15
        found: dict[str, list[str]] = {}
        for table in kept:
            rows = await self.pool.fetch(
                f"select to_jsonb(t) - $1::text[] from {table} t", _UNSTABLE
            )
            found[table] = sorted(str(row[0]) for row in rows)
        return found


# --- alice's world ----------------------------------------------------------------------------


def token(
    name: str, org: str = OURS, *, meeting: UUID | None = None, scope: tuple[str, ...] = ()
) -> str:
    user = user_named(name, org=org)
    if meeting is not None:
        user = TokenUser(id=user.id, name="", email="")
    return issue(
        SECRET,
        user=user,
        meeting=meeting,
        scope=scope,
        now=datetime.now(UTC),
        lifetime=timedelta(hours=1),
    )


async def program(api: Api, name: str, with_token: str) -> Program:
    found = Program(api, name, with_token)
    await found.start()
    return found


def last(address: str) -> str:
    return address.rpartition("/")[2].partition("?")[0]


async def made(program: Program, address: str, **inputs: Json) -> Answer:
    answer = await program.post(address, inputs)
    assert answer.status in (200, 201, 204), answer
    return answer


@asynccontextmanager
async def her_world(api: Api, pool: asyncpg.Pool) -> AsyncIterator[World]:
    alice = await program(api, "alice", token("alice"))
    below = alice.application
    await made(alice, f"{below}/me/makeMeAvailable", signInAs="Online", supportedModalities=[])
    await made(alice, f"{below}/me/note", message=f"{MARK} note")
    await made(alice, f"{below}/me/location", location=f"{MARK} street")
    await made(alice, f"{below}/people/groups", displayName=f"{MARK} friends")
    groups = await pool.fetchval("select id::text from contact_groups")
    contact = "dodo@example.com"
    await made(
        alice, f"{below}/people/groupMemberships", contactUri=f"sip:{contact}", groupId=groups
    )
    memberships = await alice.get(f"{below}/people/groupMemberships")
    (membership,) = next(iter(memberships.json["_embedded"].values()))
    subscribed = await made(
        alice, f"{below}/people/presenceSubscriptions", duration=11, uris=["sip:queen@example.com"]
    )
    watched = await alice.get(f"{below}/people/presenceSubscriptionMemberships")
    (watching,) = next(iter(watched.json["_embedded"].values()))
    meetings = f"{below}/onlineMeetings/myOnlineMeetings"
    other = await made(alice, meetings, subject=f"{MARK} tea", accessLevel="Everyone")
    created = await made(
        alice, meetings, subject=f"{MARK} trial", description=f"{MARK} why", accessLevel="Locked"
    )
    extensions = f"{created.href}/onlineMeetingExtensions"
    await made(alice, extensions, id="jury", type="RoamedOrganizerData", verdict=f"{MARK} guilty")
    conversation = await joined(alice, created.json["onlineMeetingUri"])
    rows = await pool.fetch(
        "select id, join_code, online_meeting_id from meetings join online_meetings on meeting_id = id"
    )
    ids = {row["online_meeting_id"]: row for row in rows}
    mine = ids[created.json["onlineMeetingId"]]
    channel = await pool.fetchval("select queue_id::text from ucwa_instances")
    await alice.events()
    document = await alice.get("/openapi.json")
    hers = {
        "address": "alice@example.com",
        "applicationId": last(below),
        "channel": "audio",
        "code": mine["join_code"],
        "conversationId": last(conversation.href),
        "extensionId": "jury",
        "groupId": groups,
        "invitationId": await pool.fetchval("select invitation_id from ucwa_conversations"),
        "meetingId": str(mine["id"]),
        "membershipId": last(membership["_links"]["self"]["href"]),
        "modality": "participantAudio",
        "onlineMeetingId": last(created.href),
        "phoneType": "work",
        "queueId": channel,
        "regionId": "Europe",
        "relationshipLevel": "Colleagues",
        "roomId": str(uuid4()),
        "subscriptionId": last(subscribed.href),
        "userId": str(user_named("alice").id),
    }
    yield World(
        api=api,
        pool=pool,
        steps=steps_of(document.json),
        alice=alice,
        meeting=mine["id"],
        other_meeting=ids[other.json["onlineMeetingId"]]["id"],
        hers=hers,
        watching=last(watching["_links"]["self"]["href"]),
        secrets={MARK, "queen@example.com", contact},
    )


def steps_of(document: Json) -> list[Step]:
    return [
        Step(
            id=operation["operationId"],
            method=method.upper(),
            path=path,
            public=operation.get("security") == [],
            scopes=_scopes(operation.get("description", "")),
        )
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


def _scopes(description: str) -> frozenset[str]:
    return frozenset(scope for scope in UCWA_SCOPES if scope in description)


@pytest.fixture
async def world(
    database_url: str, redis_url: str, tmp_path: Path, pool: asyncpg.Pool
) -> AsyncIterator[World]:
    async with (
        running_ucwa(database_url, redis_url, tmp_path) as api,
        her_world(api, pool) as found,
    ):
        yield found


@asynccontextmanager
async def untouched(world: World) -> AsyncIterator[Callable[[Step, Answer], None]]:
    """Gives what to check each answer with; in the end nothing is otherwise, and alice was told nothing."""
    before = await world.state()
    wrong: list[str] = []

    def check(step: Step, answer: Answer) -> None:
        if answer.status not in REFUSED or world.leaks(answer):
            wrong.append(f"{step.method} {step.path}: {answer.status} {answer.raw[:200]!r}")

    yield check
    assert wrong == []
    assert await world.state() == before
    assert await world.alice.events() == []


# --- the tests --------------------------------------------------------------------------------


async def test_alice_herself_is_not_refused(world: World) -> None:
    """Else the others would be refused for a reason of their own."""
    wrong = set()
    for step in world.steps:
        if step.method != "GET" or step.id in NO_ANSWERS or step.below in ABSENT:
            continue
        values = dict(world.hers)
        if "/presenceSubscriptionMemberships/" in step.path:
            values["membershipId"] = world.watching
        if (await world.ask(step, world.alice.token, values)).status in REFUSED:
            wrong.add(step.path)
    assert wrong == set()


async def test_without_a_token(world: World) -> None:
    async with untouched(world) as check:
        for step in world.steps:
            if not step.public:
                answer = await world.ask(step, None, world.hers)
                assert answer.status == 401, step
                check(step, answer)


@pytest.mark.parametrize(
    ("name", "org", "guest_of"),
    [
        ("bob", OURS, None),
        ("mallory", THEIRS, None),
        ("guest", "", "other_meeting"),
        ("guest", "", "meeting"),
    ],
)
async def test_what_is_hers(world: World, name: str, org: str, guest_of: str | None) -> None:
    """Her addresses as they are."""
    stranger = token(name, org, meeting=getattr(world, guest_of) if guest_of else None)
    await world.ask(next(s for s in world.steps if s.id == "getUser"), stranger, world.hers)
    async with untouched(world) as check:
        for step in world.steps:
            if step.parameters and step.id not in FOR_EVERYBODY and not step.public:
                check(step, await world.ask(step, stranger, world.hers))


@pytest.mark.parametrize(
    ("name", "org", "guest_of"),
    [
        ("bob", OURS, None),
        ("mallory", THEIRS, None),
        ("guest", "", "other_meeting"),
        ("guest", "", "meeting"),
    ],
)
async def test_her_ids_in_an_application_of_ones_own(
    world: World, name: str, org: str, guest_of: str | None
) -> None:
    """And they are answered as if nobody had them."""
    meeting = getattr(world, guest_of) if guest_of else None
    stranger = await program(world.api, name, token(name, org, meeting=meeting))
    own = {**world.hers, "applicationId": last(stranger.application)}
    nobodys = {**own, **nowhere(world.hers)}
    async with untouched(world) as check:
        for step in world.steps:
            if step.below is None or step.parameters <= {"applicationId", *NAMES}:
                continue
            answer = await world.ask(step, stranger.token, own)
            if step.below == "/people/{address}" and step.method == "GET" and meeting is None:
                if org == OURS:
                    continue  # colleagues see each other
                assert answer.status == 200
                assert not world.leaks(answer)
            elif "{address}" in step.path and org == OURS:
                continue
            else:
                check(step, answer)
            without = await world.ask(step, stranger.token, nobodys)
            assert same(answer, own) == same(without, nobodys), step


async def test_what_guests_may(world: World) -> None:
    """In their own application, of what has no further parameter: this much and no more."""
    guest = await program(world.api, "guest", token("guest", meeting=world.meeting))
    own = {**world.hers, "applicationId": last(guest.application)}
    may = set()
    for step in sorted(world.steps, key=lambda step: (step.below, step.method) == ("", "DELETE")):
        if step.below is None or not step.parameters <= {"applicationId", *NAMES}:
            continue
        answer = await world.ask(step, guest.token, own)
        assert not world.leaks(answer), step
        if answer.status != 403 or b"AnonymousNotAllowed" not in answer.raw:
            may.add((step.method, step.below))
    assert may == GUESTS_MAY


@pytest.mark.parametrize("guest_of", ["other_meeting", "meeting"])
async def test_guests_elsewhere(world: World, guest_of: str) -> None:
    """Nothing of the other families, also of what is nobody's."""
    guest = token("guest", meeting=getattr(world, guest_of))
    media = f"/meetings/{world.meeting}/"
    async with untouched(world) as check:
        for step in world.steps:
            if step.public or step.path.lower().startswith(("/ucwa", "/autodiscover")):
                continue
            answer = await world.ask(step, guest, world.hers)
            check(step, answer)
            if not (
                guest_of == "meeting"
                and step.at(world.hers).startswith((f"{media}media", f"{media}audio"))
            ):
                assert answer.json["code"] == "AnonymousNotAllowed", step


@pytest.mark.parametrize("lacking", UCWA_SCOPES)
async def test_without_a_scope(world: World, lacking: str) -> None:
    """alice's own token, with all scopes but one: what needs that one is refused."""
    others = tuple(scope for scope in UCWA_SCOPES if scope != lacking)
    poorer = token("alice", scope=others)
    tried = 0
    async with untouched(world) as check:
        for step in world.steps:
            if step.scopes == {lacking}:
                tried += 1
                answer = await world.ask(step, poorer, world.hers)
                assert answer.status == 403, (step, answer)
                check(step, answer)
    assert tried


@pytest.mark.parametrize("only", UCWA_SCOPES)
async def test_with_one_scope(world: World, only: str) -> None:
    poorer = token("alice", scope=(only,))
    async with untouched(world) as check:
        for step in world.steps:
            if step.scopes and only not in step.scopes:
                answer = await world.ask(step, poorer, world.hers)
                assert answer.status == 403, (step, answer)
                check(step, answer)


async def test_every_resource_needs_a_scope(world: World) -> None:
    unscoped = {(s.method, s.below) for s in world.steps if s.below is not None and not s.scopes}
    assert unscoped == UNSCOPED


async def test_what_lists_ones_own_lists_nothing_of_hers(world: World) -> None:
    mallory = token("mallory", THEIRS)
    stranger = await program(world.api, "mallory", mallory)
    own = {**world.hers, "applicationId": last(stranger.application)}
    for step in world.steps:
        if step.method == "GET" and step.parameters <= {"applicationId", *NAMES}:
            answer = await world.ask(step, mallory, own)
            assert not world.leaks(answer), (step, answer)


def nowhere(hers: Mapping[str, str]) -> dict[str, str]:
    """Ids of the same shapes, that nobody has."""
    return {
        "address": "nobody@example.com",
        "conversationId": str(uuid4()),
        "extensionId": "no-such",
        "groupId": "987654",
        "invitationId": uuid4().hex[: len(hers["invitationId"])],
        "membershipId": hers["membershipId"].replace("d", "e"),
        "onlineMeetingId": "ZZZZZZZZ",
        "subscriptionId": "987654",
        "userId": str(uuid4()),
    }


def same(answer: Answer, values: Mapping[str, str]) -> tuple[int, str]:
    """Without what was asked for."""
    text = answer.raw.decode()
    for name in ("address", "extensionId", "conversationId"):
        text = text.replace(values[name], name)
    return answer.status, text
