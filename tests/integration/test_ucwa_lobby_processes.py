"""A lobby across API processes: requests at one, polls at another, races between both, and clients that fall silent.

What a program was told, replayed, is what it can read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from rig_meetings import WITHIN, Api, Json
from ucwa_meeting import ENTERED, hrefs, join, joined, many, scheduled
from ucwa_process import Process, process
from ucwa_rig import Answer, Program, events_of, running_ucwa, told

ROUNDS = 6


@asynccontextmanager
async def running_process(
    database_url: str, redis_url: str, data_dir: Path
) -> AsyncIterator[Process]:
    """Without long waits."""
    async with process(
        database_url, redis_url, data_dir, ucwa_poll_timeout=0.2, sweep_interval=0.2
    ) as running:
        yield running


class Apart(Program):
    """Asks one process and polls at another; replays what it is told."""

    def __init__(self, asks: Api, polls: Api, name: str) -> None:
        super().__init__(asks, name)
        self.polls = Program(polls, name)
        self.told: list[str] = []
        self.roster: set[str] = set()
        self.lists: dict[str, set[str]] = {"lobby": set(), "attendees": set(), "leaders": set()}
        self.state: str | None = None

    async def poll(self, timeout: float = 0.3, **more: str) -> Answer:
        self.polls.next = self.next
        answer = await self.polls.poll(timeout, **more)
        self.next = self.polls.next
        return answer

    async def catch_up(self) -> list[str]:
        """Read what came, and take it as true."""
        events = await self.events()
        for event in events:
            self.take(event)
        self.told += told(events)
        return told(events)

    def take(self, event: Json) -> None:
        rel, kind, href = event["link"]["rel"], event["type"], event["link"]["href"]
        if rel == "conversation":
            self._conversation(kind, event)
        elif rel == "participant":
            where = self.lists[event["in"]["rel"]] if "in" in event else self.roster
            if kind == "added":
                assert href not in where, f"{href} added twice"
                where.add(href)
            elif kind == "deleted":
                where.remove(href)
            else:
                assert href in where, f"{href} updated before it was added"

    def _conversation(self, kind: str, event: Json) -> None:
        assert (self.state is None) == (kind == "added"), f"{kind} when {self.state}"
        if kind != "deleted":
            self.state = event["_embedded"]["conversation"]["state"]
            return
        self.state = None
        self.roster.clear()
        for people in self.lists.values():
            people.clear()

    async def agrees(self, conversation: str) -> None:
        """What was told is what is."""
        found = await self.get(conversation)
        if found.status == 404:
            assert self.state is None
            return
        assert self.state == found.json["state"]
        assert self.roster == await self._listed(found, "participants")
        for rel, people in self.lists.items():
            assert people == await self._listed(found, rel), rel

    async def _listed(self, conversation: Answer, rel: str) -> set[str]:
        if rel not in conversation.json["_links"]:
            return set()
        found = await self.get(conversation.link(rel))
        if rel == "lobby":
            people = many(found.json.get("_embedded", {}).get("participant", []))
            return {person["_links"]["self"]["href"] for person in people}
        return set(hrefs(found.json["_links"]["participant"]))


Pair = tuple[Process, Process]


@pytest.fixture
async def processes(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        first, second = [
            await stack.enter_async_context(running_process(database_url, redis_url, tmp_path))
            for _ in range(2)
        ]
        yield first, second


@pytest.fixture
async def apis(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[tuple[Api, Api]]:
    """Two API processes' applications."""
    async with (
        running_ucwa(database_url, redis_url, tmp_path) as first,
        running_ucwa(database_url, redis_url, tmp_path) as second,
    ):
        yield first, second


@pytest.fixture
async def impatient(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    """Out is who does not read for two seconds."""
    settings = {"sweep_interval": 0.1, "channel_grace": 2.0}
    async with running_ucwa(database_url, redis_url, tmp_path, **settings) as api:
        yield api


async def lobby_of(program: Program, conversation: Answer) -> list[Json]:
    found = await program.get(f"{conversation.href}/lobby")
    return many(found.json.get("_embedded", {}).get("participant", []))


async def test_two_applications_whose_polls_are_at_other_processes(processes: Pair) -> None:
    here, there = (process.api for process in processes)
    alice, bob = Apart(here, there, "alice"), Apart(there, here, "bob")
    for one in (alice, bob):
        await one.start()
    uri = await scheduled(alice)
    alices = await joined(alice, uri)
    await alice.catch_up()
    assert alice.state == "Conferenced"

    # bob waits, with his poll parked before he asks
    first = asyncio.create_task(bob.poll(20))
    begun = await join(bob, uri, operationId="op-1")
    events = events_of(await first)
    assert told(events)[0] == "started onlineMeetingInvitation"
    assert events[0]["_embedded"]["onlineMeetingInvitation"]["operationId"] == "op-1"
    assert events[0]["link"]["href"] == begun.headers["Location"]
    for event in events:
        bob.take(event)
    assert told(events) + await bob.catch_up() == ENTERED
    assert bob.state == "InLobby"

    # alice lets him in; her own process does not hold her poll
    assert await alice.catch_up() == ["added participant", "added participant in lobby"]
    (person,) = await lobby_of(alice, alices)
    assert (await alice.post(person["_links"]["admit"]["href"])).status == 204
    assert await alice.catch_up() == [
        "deleted participant in lobby",
        "added participant in attendees",
        "updated participant",
        "added participantAudio in participant",
        "updated conversation",
    ]
    assert await bob.catch_up() == [
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
    bobs = (await bob.get(begun.headers["Location"])).link("conversation")
    await alice.agrees(alices.href)
    await bob.agrees(bobs)

    # out, and in again by the other family, at the other process
    assert (await bob.delete(bobs)).status == 204
    await joined(bob, uri)
    moderator, guest = there.person("alice"), there.person("bob")
    queue = f"/meetings/{alices.href.rpartition('/')[2]}/queue"
    assert (await moderator.get(queue)).json == {"users": [guest.id]}
    accepted = await moderator.post(f"{queue}/{guest.id}", {"status": "ACCEPTED"})
    assert accepted.status == 204
    await bob.catch_up()
    assert bob.state == "Conferenced"
    await alice.catch_up()
    await alice.agrees(alices.href)
    await bob.agrees(bobs)


async def test_a_process_that_is_killed_takes_no_conversation_along(processes: Pair) -> None:
    first, second = processes
    alice, bob = Apart(first.api, first.api, "alice"), Apart(first.api, first.api, "bob")
    for one in (alice, bob):
        await one.start()
    uri = await scheduled(alice)
    alices, bobs = await joined(alice, uri), await joined(bob, uri)
    await bob.catch_up()
    await first.kill()

    alices_next, bobs_next = alice.next, bob.next
    survivors = []
    for one, position in ((alice, alices_next), (bob, bobs_next)):
        again = Apart(second.api, second.api, one.name)
        again.application, again.next, again.state = one.application, position, one.state
        survivors.append(again)
    alice, bob = survivors
    await alice.catch_up()
    await alice.agrees(alices.href)
    (person,) = await lobby_of(alice, alices)
    assert (await alice.post(person["_links"]["admit"]["href"])).status == 204
    await bob.catch_up()
    await bob.agrees(bobs.href)
    assert bob.state == "Conferenced"


async def at_once(*calls: Awaitable[Answer]) -> list[int]:
    """Their statuses; none of them a failure of ours."""
    answers = await asyncio.gather(*calls)
    assert all(answer.status < 500 for answer in answers), answers
    return [answer.status for answer in answers]


async def test_let_in_and_turned_away_at_once(apis: tuple[Api, Api]) -> None:
    """Whoever was first decided; everybody is told that, and nothing else."""
    here, there = apis
    alice, bob = Apart(here, there, "alice"), Apart(there, here, "bob")
    for one in (alice, bob):
        await one.start()
    uri = await scheduled(alice)
    alices = await joined(alice, uri)
    outcomes = set()
    for _ in range(ROUNDS):
        bobs = await joined(bob, uri)
        (person,) = await lobby_of(alice, alices)
        me = person["_links"]["self"]["href"]
        elsewhere = Program(there, "alice")
        decided = await at_once(alice.post(f"{me}/admit"), elsewhere.post(f"{me}/reject"))
        assert sorted(decided) in ([204, 204], [204, 404]), decided
        for one, conversation in ((alice, alices.href), (bob, bobs.href)):
            await one.catch_up()
            await one.agrees(conversation)
        outcomes.add(bob.state)
        await bob.delete(bobs.href)
        await bob.catch_up()
        await alice.catch_up()
    assert outcomes <= {"Conferenced", None}


async def test_let_in_and_withdrawn_at_once(apis: tuple[Api, Api]) -> None:
    here, there = apis
    alice, bob = Apart(here, there, "alice"), Apart(there, here, "bob")
    for one in (alice, bob):
        await one.start()
    uri = await scheduled(alice)
    alices = await joined(alice, uri)
    for _ in range(ROUNDS):
        bobs = await joined(bob, uri)
        (person,) = await lobby_of(alice, alices)
        await at_once(alice.post(person["_links"]["admit"]["href"]), bob.delete(bobs.href))
        for one, conversation in ((alice, alices.href), (bob, bobs.href)):
            await one.catch_up()
            await one.agrees(conversation)
        assert bob.state is None


async def test_two_clients_of_one_user_join_at_once(apis: tuple[Api, Api]) -> None:
    here, there = apis
    alice = Apart(here, there, "alice")
    desk, phone = Apart(here, there, "bob"), Apart(there, here, "bob")
    for one in (alice, desk, phone):
        await one.start()
    uri = await scheduled(alice, accessLevel="Everyone")
    alices = await joined(alice, uri)
    for _ in range(ROUNDS):
        assert await at_once(join(desk, uri), join(phone, uri)) == [201, 201]
        for one in (desk, phone):
            await one.catch_up()
        assert sorted([str(desk.state), str(phone.state)]) == ["Conferenced", "None"]
        await alice.catch_up()
        await alice.agrees(alices.href)
        for one in (desk, phone):
            conversation = alices.href.replace(alice.application, one.application)
            await one.agrees(conversation)
            await one.delete(conversation)
            await one.catch_up()


async def test_an_operation_sent_twice_at_once_is_one(apis: tuple[Api, Api]) -> None:
    here, there = apis
    alice, again = Program(here, "alice"), Program(there, "alice")
    await alice.start()
    uri = await scheduled(alice)
    dashboard = await alice.dashboard()
    address = dashboard.link("communication", "joinOnlineMeeting")
    body = {"onlineMeetingUri": uri, "operationId": "op-1"}
    both = await asyncio.gather(alice.post(address, body), again.post(address, body))
    assert [answer.status for answer in both] == [201, 201]
    assert len({answer.headers["Location"] for answer in both}) == 1
    assert told(await alice.events()).count("started onlineMeetingInvitation") == 1


async def test_a_program_that_falls_silent_is_out(impatient: Api) -> None:
    """Its conversation ends as if it had left; the others are told."""
    alice, bob, carol = (Apart(impatient, impatient, name) for name in ("alice", "bob", "carol"))
    for one in (alice, bob, carol):
        await one.start()
    uri = await scheduled(alice, leaders=[f"sip:{bob.name}@example.com"])
    alices = await joined(alice, uri)
    gone = {"deleted participant in leaders", "deleted participant in lobby"}
    following = asyncio.create_task(_follow(alice, gone))
    bobs = await joined(bob, uri)
    await joined(carol, uri)
    await asyncio.wait_for(following, WITHIN)
    assert alice.told.count("added participant in leaders") == 2, "bob was in"
    await alice.agrees(alices.href)
    assert (await bob.get(bobs.href)).status == 404
    assert (await bob.catch_up())[-1] == "deleted conversation"


async def test_nobody_waits_for_ever(database_url: str, redis_url: str, tmp_path: Path) -> None:
    settings = {"sweep_interval": 0.1, "ucwa_lobby_wait": 0.5}
    async with running_ucwa(database_url, redis_url, tmp_path, **settings) as api:
        alice, bob = Apart(api, api, "alice"), Apart(api, api, "bob")
        for one in (alice, bob):
            await one.start()
        uri = await scheduled(alice)
        alices = await joined(alice, uri)
        assert (await join(bob, uri)).status == 201
        completed = await bob.until("onlineMeetingInvitation", "completed")
        assert completed["status"] == "Failure"
        assert (completed["reason"]["code"], completed["reason"]["subcode"]) == ("Timeout",) * 2
        assert completed["_embedded"]["onlineMeetingInvitation"]["state"] == "Failed"
        await alice.catch_up()
        await alice.agrees(alices.href)


async def _follow(program: Apart, lines: set[str]) -> None:
    """Read until all of these were told."""
    while not lines <= set(program.told):
        await program.catch_up()
