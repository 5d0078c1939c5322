"""The table at the head of poll.lua, each field of it tried on a real Valkey."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import resources
from uuid import UUID, uuid4

import pytest

from conference.bus import scripts
from conference.bus.channels import ChannelBus
from conference.bus.link import RedisLink
from conference.bus.poll import BATCH, EMPTY, MISSING, REPLACED, RESYNC, WAIT
from conference.bus.poll_terms import DefaultTerms, PollTerms
from conference.domain.facts import Urgency

STEPS = ("first", "again", "last", "drop")
CODES = {
    "batch": BATCH,
    "empty": EMPTY,
    "missing": MISSING,
    "replaced": REPLACED,
    "resync": RESYNC,
    "wait": WAIT,
}
ME, OTHER = b"a" * 16 + b"1", b"b" * 16 + b"2"
HOLDING = PollTerms(default=DefaultTerms(timeout=100, medium=100, low=100), silence=60, priority=1)


class Poll:
    """Polls of one channel, taken step by step."""

    def __init__(self, link: RedisLink, bus: ChannelBus) -> None:
        self.link = link
        self.bus = bus
        self.channel = uuid4()

    async def step(
        self, step: str, *, ack: int = 1, me: bytes = ME, terms: PollTerms = HOLDING
    ) -> int:
        """The answer's code. Of a drop: of the batch that ends with event 1."""
        reply = await self.link.lane.call(
            b"EVALSHA",
            scripts.POLL,
            0,
            str(self.channel).encode(),
            ack,
            me,
            step.encode(),
            *(256, 10_000),
            *terms.arguments(),
            *((1,) if step == "drop" else ()),
        )
        assert isinstance(reply, list)
        return int(reply[0])  # type: ignore[arg-type]

    async def tell(self, urgency: Urgency = Urgency.HIGH) -> None:
        await self.bus.publish(uuid4(), [self.channel], b"1", urgency=urgency)

    async def be_silent(self) -> None:
        name = str(self.channel).encode()
        await self.link.lane.call(b"ZINCRBY", b"parley:seen", -3_600_000, name)

    async def prepare(self, step: str) -> None:
        """Where this step begins: with a parked poll of mine, or, for a new one, of somebody else."""
        await self.step("first", me=OTHER if step == "first" else ME)


Situation = Callable[[Poll, str], Awaitable[int]]
"""Makes what the row says, takes the step, and gives the code of its answer."""


async def no_such_channel(poll: Poll, step: str) -> int:
    await poll.bus.remove([poll.channel])
    return await poll.step(step)


async def another_reader(poll: Poll, step: str) -> int:
    await poll.step("first")
    await poll.step("first", me=OTHER)
    return await poll.step(step)


async def a_higher_rank(poll: Poll, step: str) -> int:
    await poll.prepare(step)
    low = PollTerms(default=HOLDING.default, priority=0)
    return await poll.step(step, terms=low)


async def another_position(poll: Poll, step: str) -> int:
    await poll.prepare(step)
    return await poll.step(step, ack=5)


async def a_frozen_batch(poll: Poll, step: str) -> int:
    await poll.tell()
    await poll.step("first")
    assert await poll.step("first") == BATCH
    await _parked_again(poll, step)
    return await poll.step(step)


async def a_frozen_empty_batch(poll: Poll, step: str) -> int:
    await poll.step("first")
    assert await poll.step("last") == EMPTY
    await poll.tell()
    await _parked_again(poll, step)
    return await poll.step(step)


async def an_event_that_is_due(poll: Poll, step: str) -> int:
    await poll.prepare(step)
    await poll.tell()
    return await poll.step(step)


async def an_event_that_may_be_held_back(poll: Poll, step: str) -> int:
    await poll.prepare(step)
    await poll.tell(Urgency.LOW)
    return await poll.step(step)


async def nothing_after_a_long_silence(poll: Poll, step: str) -> int:
    await poll.prepare(step)
    await poll.be_silent()
    if step != "first":
        await poll.step("first")
        await _parked_again(poll, step)
    return await poll.step(step)


async def nothing(poll: Poll, step: str) -> int:
    await poll.prepare(step)
    return await poll.step(step)


async def _parked_again(poll: Poll, step: str) -> None:
    """A poll that was answered does not stay parked: as if its answer were still on the way to it."""
    state = b"parley:channel:" + str(poll.channel).encode()
    if step != "first":
        await poll.link.lane.call(b"HSET", state, b"reader", ME)


SITUATIONS: dict[str, Situation] = {
    "no such channel": no_such_channel,
    "another reader in its place": another_reader,
    "a parked reader of higher rank": a_higher_rank,
    "another position": another_position,
    "a frozen batch": a_frozen_batch,
    "a frozen batch without events": a_frozen_empty_batch,
    "an event that is due": an_event_that_is_due,
    "an event that may be held back": an_event_that_may_be_held_back,
    "nothing, after a long silence": nothing_after_a_long_silence,
    "nothing": nothing,
}


def rows() -> list[list[str]]:
    """The table's, its head first."""
    text = (resources.files("conference.bus") / "poll.lua").read_text()
    lines = re.findall(r"^-- \| (.*) \|$", text, re.MULTILINE)
    return [[field.strip() for field in line.split("|")] for line in lines]


def fields() -> list[tuple[str, str, str]]:
    head, *body = rows()
    return [
        (there, step, answer)
        for there, *answers in body
        for step, answer in zip(head[1:], answers, strict=True)
        if answer
    ]


@pytest.fixture
async def poll(redis_url: str) -> AsyncIterator[Poll]:
    link = RedisLink(redis_url)
    made = Poll(link, ChannelBus(link, cap=100, channels_of=_nobody))
    link.start()
    await made.bus.create(made.channel)
    yield made
    await link.close()


async def _nobody(_users: object) -> list[UUID]:
    return []


def test_every_row_is_tried() -> None:
    head, *body = rows()
    assert head == ["there is", *STEPS]
    assert [row[0] for row in body] == list(SITUATIONS)


@pytest.mark.parametrize(("there", "step", "answer"), fields())
async def test_the_table_is_what_happens(poll: Poll, there: str, step: str, answer: str) -> None:
    assert await SITUATIONS[there](poll, step) == CODES[answer]
