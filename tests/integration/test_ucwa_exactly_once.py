"""A client that loses a fifth of the answers, repeats positions and crosses its own polls, at two API processes by
turns, one of which is killed meanwhile: it sees every event exactly once, in order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiohttp import ClientError
from channel_rig import MEETING, Rig
from rig_meetings import Api
from ucwa_numbers import NOW, numbered, numbers, queue_of
from ucwa_process import Process, process
from ucwa_rig import Answer, Program

from conference.domain.facts import Audience, Outgoing, Urgency
from conference.storage import outbox
from schemas.events import ParticipantJoined

END = 10**6
LOST = 0.2
WITHIN = 60.0
PROGRAM = {"culture": "en-us", "userAgent": "Lossy/1.0", "endpointId": "phone"}

Answers = Sequence[Answer | BaseException]


class LossyClient:
    """Follows `next` and nothing else. What is lost was answered, and never arrived."""

    def __init__(self, apis: Sequence[Api], chance: random.Random, *, xml: bool) -> None:
        self._programs = [Program(api, "alice", xml=xml) for api in apis]
        self._chance = chance
        self._turn = 0
        self.next = ""
        self.seen: list[int] = []
        self.lost = self.repeated = self.crossed = self.replaced = self.failed = 0

    async def start(self) -> str:
        """The application's address. An answer that is lost is asked for again."""
        first = await self._programs[0].start(**PROGRAM)
        again = await self._programs[1].start(**PROGRAM)
        assert (first.status, again.status) == (201, 200)
        assert first.href == again.href
        self.next = again.link("events")
        return again.href

    async def read_to_the_end(self) -> None:
        while END not in self.seen:
            answers = await self._ask()
            arrived = [answer for answer in answers if self._arrives(answer)]
            if not arrived:
                self.repeated += 1
                continue
            self._take(arrived[0])  # another answer is the same, or of a client that moved on

    async def _ask(self) -> Answers:
        if self._chance.random() >= 0.2:
            return await asyncio.gather(self._poll(), return_exceptions=True)
        self.crossed += 1
        return await asyncio.gather(self._poll(), self._poll(), return_exceptions=True)

    async def _poll(self) -> Answer:
        """At one process and the other by turns."""
        self._turn += 1
        program = self._programs[self._turn % len(self._programs)]
        return await program.get(f"{self.next}&timeout=0.3&medium=0.05&low=0.1")

    def _arrives(self, answer: Answer | BaseException) -> bool:
        if isinstance(answer, ClientError | OSError):
            self.failed += 1  # the process was killed
            return False
        if isinstance(answer, BaseException):
            raise answer
        if answer.status == 503:
            self.failed += 1
            return False
        if answer.status == 409:
            assert answer.subcode == "PGetReplaced"
            self.replaced += 1
            return False
        assert answer.status == 200, answer
        if self._chance.random() < LOST:
            self.lost += 1
            return False
        return True

    def _take(self, answer: Answer) -> None:
        links = answer.json["_links"]
        assert set(links) == {"self", "next"}, "nothing here is reason to resync or to resume"
        self.next = links["next"]["href"]
        self.seen += numbers(answer)


@pytest.fixture
async def rig(pool: asyncpg.Pool, redis_url: str) -> AsyncIterator[Rig]:
    async with Rig(pool, redis_url) as rig:
        yield rig


@pytest.fixture
async def pair(
    database_url: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[tuple[Process, Process]]:
    """Two processes that let clients ask for short waits."""
    short = {"ucwa_poll_timeout": 0.2, "ucwa_hold_medium": 0.05, "ucwa_hold_low": 0.05}
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(process(database_url, redis_url, tmp_path, **short))
        two = await stack.enter_async_context(process(database_url, redis_url, tmp_path, **short))
        yield one, two


@pytest.mark.timeout(120)
@pytest.mark.parametrize("xml", [False, True], ids=["json", "xml"])
async def test_every_event_once_and_in_order(
    rig: Rig, pair: tuple[Process, Process], xml: bool
) -> None:
    chance = random.Random(20 + xml)
    client = LossyClient([process.api for process in pair], chance, xml=xml)
    queue = await queue_of(rig, await client.start())
    reading = asyncio.ensure_future(client.read_to_the_end())
    told = await happen(rig, queue, chance, 300)
    await asyncio.wait_for(reading, WITHIN)
    assert client.seen == [*told, END]
    assert min(client.lost, client.repeated, client.crossed, client.replaced) > 0, vars(client)


@pytest.mark.timeout(120)
async def test_although_a_process_is_killed(rig: Rig, pair: tuple[Process, Process]) -> None:
    chance = random.Random(7)
    client = LossyClient([process.api for process in pair], chance, xml=False)
    queue = await queue_of(rig, await client.start())
    reading = asyncio.ensure_future(client.read_to_the_end())
    told: list[int] = []
    for victim in (*pair, pair[0]):
        told += await happen(rig, queue, chance, 60, first=len(told) + 1, end=False)
        await victim.kill()
        told += await happen(rig, queue, chance, 30, first=len(told) + 1, end=False)
        await victim.start()
    told += await happen(rig, queue, chance, 30, first=len(told) + 1)
    await asyncio.wait_for(reading, WITHIN)
    assert client.seen == [*told, END]
    assert client.failed > 0


@pytest.mark.timeout(120)
async def test_a_lost_application_is_recreated(rig: Rig, pair: tuple[Process, Process]) -> None:
    """404 at either process: the client creates it anew, and its events begin with what happens then."""
    client = LossyClient([process.api for process in pair], random.Random(1), xml=False)
    old = await client.start()
    elsewhere = Program(pair[1].api, "alice")
    assert (await elsewhere.delete(old)).status == 204
    gone = await Program(pair[0].api, "alice").get(client.next)
    assert (gone.status, gone.subcode) == (404, "ApplicationNotFound")
    new = await client.start()
    assert new != old
    queue = await queue_of(rig, new)
    reading = asyncio.ensure_future(client.read_to_the_end())
    told = await happen(rig, queue, random.Random(2), 20)
    await asyncio.wait_for(reading, WITHIN)
    assert client.seen == [*told, END]


async def happen(
    rig: Rig,
    queue: UUID,
    chance: random.Random,
    count: int,
    *,
    first: int = 1,
    end: bool = True,
) -> list[int]:
    """Committed changes of any urgency, among others that nobody renders; with `end` the last one of all."""
    told = list(range(first, first + count))
    for number in told:
        outgoing = [_outgoing(queue, number, chance)]
        if chance.random() < 0.3:
            outgoing.insert(chance.randrange(2), _of_no_use(queue))
        await _commit(rig, outgoing)
        if chance.random() < 0.3:
            await asyncio.sleep(chance.random() * 0.05)  # so that packages are of any size
    if end:
        await _commit(rig, [_outgoing(queue, END, chance)])
    return told


async def _commit(rig: Rig, outgoing: Sequence[Outgoing]) -> None:
    async with rig.pool.acquire() as conn, conn.transaction():
        await outbox.add(conn, MEETING, outgoing, uuid4)
    await rig.relay.flush(MEETING)


def _outgoing(queue: UUID, number: int, chance: random.Random) -> Outgoing:
    urgency = chance.choice(list(Urgency))
    audience = Audience(queues=frozenset([queue]))
    return Outgoing(event=numbered(number), audience=audience, urgency=urgency)


def _of_no_use(queue: UUID) -> Outgoing:
    event = ParticipantJoined(sent_date=NOW, meeting_id=UUID(int=1), user_id=UUID(int=2))
    return Outgoing(event=event, audience=Audience(queues=frozenset([queue])))
