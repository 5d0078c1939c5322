"""The terms of polls on a real Valkey: what is held back and released, who takes whose place, who begins anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from time import monotonic
from typing import Any, cast
from uuid import UUID, uuid4

import asyncpg
import pytest
from channel_rig import SOON, Rig, until_parked

from conference.bus import scripts
from conference.bus.channels import Batch, Resync
from conference.bus.poll import BATCH, REPLACED, WAIT
from conference.bus.poll_terms import DefaultTerms, PollTerms, plain
from conference.domain.facts import Urgency
from conference.errors import PollReplaced

LOW, MEDIUM, HIGH = Urgency.LOW, Urgency.MEDIUM, Urgency.HIGH
DEFAULT = DefaultTerms(timeout=SOON, medium=0.15, low=0.4)


class Reader:
    """A client of one channel."""

    def __init__(self, rig: Rig, queue: UUID) -> None:
        self.rig = rig
        self.queue = queue
        self.ack = 1

    def poll(
        self,
        *,
        wanted: Callable[[list[bytes]], bool] = lambda events: True,
        default: DefaultTerms = DEFAULT,
        silence: float = 1000,
        rig: Rig | None = None,
        ack: int | None = None,
        **said: Any,
    ) -> asyncio.Task[Batch | Resync]:
        terms = PollTerms(default=default, silence=silence, **said)
        bus = (rig or self.rig).bus
        position = self.ack if ack is None else ack
        return asyncio.ensure_future(bus.poll(self.queue, position, terms, wanted))

    async def read(self, **how: Any) -> list[bytes]:
        """One poll, of which the next one acknowledges what it brought."""
        found = await asyncio.wait_for(self.poll(**how), SOON)
        assert isinstance(found, Batch)
        self.ack += found.counts
        return found.events

    async def tell(self, *events: bytes, urgency: Urgency = HIGH) -> None:
        for event in events:
            assert await self.rig.bus.publish(uuid4(), [self.queue], event, urgency=urgency)

    async def silence(self, seconds: float) -> None:
        """As if nobody had read for so long."""
        name = str(self.queue).encode()
        await self.rig.link.lane.call(b"ZINCRBY", b"parley:seen", int(-seconds * 1000), name)


@pytest.fixture
async def rig(pool: asyncpg.Pool, redis_url: str) -> AsyncIterator[Rig]:
    async with Rig(pool, redis_url) as rig:
        yield rig


@pytest.fixture
async def reader(rig: Rig) -> Reader:
    queue = uuid4()
    await rig.bus.create(queue)
    return Reader(rig, queue)


async def parked(reader: Reader, **how: Any) -> asyncio.Task[Batch | Resync]:
    poll = reader.poll(**how)
    await until_parked(reader.rig.bus)
    return poll


# --- hold and release -------------------------------------------------------------------------


@pytest.mark.parametrize(("urgency", "hold"), [(MEDIUM, DEFAULT.medium), (LOW, DEFAULT.low)])
@pytest.mark.parametrize("told_first", [True, False])
async def test_an_event_is_held_back_for_others(
    reader: Reader, urgency: Urgency, hold: float, told_first: bool
) -> None:
    begun = monotonic()
    poll = None if told_first else await parked(reader)
    await reader.tell(b"1", urgency=urgency)
    await reader.tell(b"2", urgency=urgency)
    found = await asyncio.wait_for(poll or reader.poll(), SOON)
    assert isinstance(found, Batch)
    assert found.events == [b"1", b"2"]
    assert monotonic() - begun >= hold


@pytest.mark.parametrize("told_first", [True, False])
async def test_a_release_takes_everything_along_in_order(reader: Reader, told_first: bool) -> None:
    """The holds are longer than the test may take."""
    slow = DefaultTerms(timeout=SOON, medium=100, low=100)
    poll = None if told_first else await parked(reader, default=slow)
    await reader.tell(b"1", urgency=LOW)
    await reader.tell(b"2", urgency=MEDIUM)
    await reader.tell(b"3", urgency=HIGH)
    if poll:
        assert (await asyncio.wait_for(poll, SOON)).events == [b"1", b"2", b"3"]  # type: ignore[union-attr]
    else:
        assert await reader.read(default=slow) == [b"1", b"2", b"3"]


async def test_a_medium_event_takes_a_low_one_along(reader: Reader) -> None:
    poll = await parked(reader, default=DefaultTerms(timeout=SOON, medium=0.05, low=100))
    await reader.tell(b"1", urgency=LOW)
    await reader.tell(b"2", urgency=MEDIUM)
    assert (await asyncio.wait_for(poll, SOON)).events == [b"1", b"2"]  # type: ignore[union-attr]


async def test_time_held_before_a_poll_counts(reader: Reader) -> None:
    await reader.tell(b"1", urgency=MEDIUM)
    poll = reader.poll(default=DefaultTerms(timeout=SOON, medium=0.3, low=100))
    await asyncio.wait([poll], timeout=0.2)
    assert not poll.done()
    begun = monotonic()
    assert (await asyncio.wait_for(poll, SOON)).events == [b"1"]  # type: ignore[union-attr]
    assert monotonic() - begun < 0.25


async def test_what_came_while_a_batch_was_out_is_held_from_then_on(reader: Reader) -> None:
    slow = DefaultTerms(timeout=SOON, medium=100, low=100)
    await reader.tell(b"1")
    assert await reader.read(default=slow) == [b"1"]
    await reader.tell(b"2", urgency=MEDIUM)
    poll = await parked(reader, default=slow)
    assert not poll.done()
    await reader.tell(b"3")
    assert (await asyncio.wait_for(poll, SOON)).events == [b"2", b"3"]  # type: ignore[union-attr]


async def test_a_timeout_gives_what_is_held(reader: Reader) -> None:
    await reader.tell(b"1", urgency=LOW)
    assert await reader.read(default=DefaultTerms(timeout=0.05, medium=100, low=100)) == [b"1"]


async def test_a_reader_that_holds_nothing_back_is_told_at_once(reader: Reader) -> None:
    await reader.tell(b"1", urgency=LOW)
    found = await asyncio.wait_for(reader.rig.bus.poll(reader.queue, 1, plain(SOON)), SOON)
    assert found.events == [b"1"]  # type: ignore[union-attr]


async def test_what_a_release_had_no_room_for_is_not_held_again(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conference.bus.channels.MOST_EVENTS", 2)
    slow = DefaultTerms(timeout=SOON, medium=0.05, low=0.05)
    await reader.tell(b"1", b"2", b"3", urgency=MEDIUM)
    assert await reader.read(default=slow) == [b"1", b"2"]
    assert await reader.read(default=DefaultTerms(timeout=SOON, medium=100, low=100)) == [b"3"]


async def test_held_events_wake_the_reader_once(reader: Reader) -> None:
    poll = await parked(reader, default=DefaultTerms(timeout=SOON, medium=100, low=100))
    state = f"parley:channel:{reader.queue}"
    lane = reader.rig.link.lane
    await reader.tell(b"1", urgency=MEDIUM)
    while await lane.call(b"HEXISTS", state, b"woken"):
        pass
    await reader.tell(b"2", b"3", urgency=MEDIUM)
    assert not await lane.call(b"HEXISTS", state, b"woken")
    poll.cancel()
    await asyncio.gather(poll, return_exceptions=True)


# --- what was said sticks ---------------------------------------------------------------------


async def test_what_was_said_holds_until_it_is_said_anew(reader: Reader) -> None:
    default = DefaultTerms(timeout=SOON, medium=100, low=100)
    assert await reader.read(default=default, timeout=0.05, medium=0.05) == []
    assert await reader.read(default=default) == []
    poll = await parked(reader, default=default, timeout=SOON)
    await reader.tell(b"1", urgency=MEDIUM)
    assert (await asyncio.wait_for(poll, SOON)).events == [b"1"]  # type: ignore[union-attr]


# --- empty packages ---------------------------------------------------------------------------


async def test_an_empty_package_stays_empty_and_counts(reader: Reader) -> None:
    quick = DefaultTerms(timeout=0.02, medium=0, low=0)
    assert await reader.read(default=quick) == []
    await reader.tell(b"1")
    again = await reader.poll(default=quick, ack=1)
    assert again == Batch([])
    assert await reader.read() == [b"1"]
    assert reader.ack == 3
    assert await reader.poll(ack=1) == Resync(2)
    assert await reader.poll(ack=4) == Resync(2)


# --- what a reader can't use ------------------------------------------------------------------


async def test_what_is_not_wanted_is_passed_over_without_an_answer(reader: Reader) -> None:
    def wanted(events: list[bytes]) -> bool:
        return b"good" in events

    poll = await parked(reader, wanted=wanted)
    for _ in range(3):
        await reader.tell(b"bad")
        await until_parked(reader.rig.bus)
    await reader.tell(b"good")
    found = await asyncio.wait_for(poll, SOON)
    assert isinstance(found, Batch)
    assert found.events == [b"good"]
    assert found.counts


async def test_crossing_polls_pass_over_a_batch_once(reader: Reader) -> None:
    """Both read the same useless batch. The newer one goes on; the older one can neither drop nor park."""
    older, newer = b"a" * 16 + b"1", b"b" * 16 + b"1"
    await reader.tell(b"bad")
    bad = [BATCH, 0, 1, b"bad"]
    assert await step(reader, older, b"first") == bad
    assert await step(reader, newer, b"first") == bad
    assert await step(reader, newer, b"drop", 1) == [WAIT, 1000, -1]
    await reader.tell(b"good")
    good = [BATCH, 0, 2, b"good"]
    assert await step(reader, newer, b"again") == good
    assert await step(reader, older, b"drop", 1) == [REPLACED]
    assert await step(reader, newer, b"drop", 1) == good, "of a batch that is gone: harmless"
    assert await step(reader, newer, b"first") == good


async def step(reader: Reader, name: bytes, mode: bytes, *dropped: int) -> list[Any]:
    """One step of a poll, taken by hand."""
    terms = PollTerms(default=DefaultTerms(timeout=1, medium=0, low=0), silence=1000).arguments()
    queue = str(reader.queue).encode()
    lane = reader.rig.link.lane
    found = await lane.call(
        b"EVALSHA", scripts.POLL, 0, queue, 1, name, mode, 256, 10_000, *terms, *dropped
    )
    return cast("list[Any]", found)


# --- priority ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parked_with", "comes_with", "replaced"),
    [(None, None, True), (0, 0, True), (1, 2, True), (2, 2, True), (2, None, True), (2, 1, False)],
)
async def test_whose_place_is_taken(
    reader: Reader, parked_with: int | None, comes_with: int | None, replaced: bool
) -> None:
    older = await parked(reader, priority=parked_with)
    newer = reader.poll(priority=comes_with)
    loser, winner = (older, newer) if replaced else (newer, older)
    with pytest.raises(PollReplaced):
        await asyncio.wait_for(loser, SOON)
    await reader.tell(b"1")
    assert (await asyncio.wait_for(winner, SOON)).events == [b"1"]  # type: ignore[union-attr]


async def test_a_reader_that_died_is_replaced_whatever_its_priority(reader: Reader) -> None:
    older = await parked(reader, priority=5)
    await reader.silence(16)
    newer = reader.poll(priority=1)
    with pytest.raises(PollReplaced):
        await asyncio.wait_for(older, SOON)
    await reader.tell(b"1")
    assert (await asyncio.wait_for(newer, SOON)).events == [b"1"]  # type: ignore[union-attr]


# --- silence ----------------------------------------------------------------------------------


async def test_after_a_long_silence_a_reader_begins_anew(reader: Reader) -> None:
    quick = DefaultTerms(timeout=0.02, medium=0.02, low=0.02)
    await reader.silence(5000)
    first = await reader.poll(default=quick)
    assert first == Batch([]), "never read is not silent"
    reader.ack = 2
    assert await reader.read(default=quick, medium=100, low=100) == []
    await reader.silence(5000)

    begun = monotonic()
    found = await reader.poll(default=DefaultTerms(timeout=SOON, medium=0.02, low=0.02))
    assert found == Batch([], resumed=True)
    assert monotonic() - begun < SOON / 2, "it is told at once"
    lost = await reader.poll(default=quick)
    assert lost == found, "a lost answer is repeated"
    reader.ack += 1
    await reader.tell(b"1", urgency=MEDIUM)
    begun = monotonic()
    found = await reader.poll(default=DefaultTerms(timeout=SOON, medium=0.02, low=0.02))
    assert found == Batch([b"1"])
    assert monotonic() - begun < SOON / 2, "what it said before counts no more"


async def test_events_that_waited_come_with_the_resume(reader: Reader) -> None:
    await reader.read(default=DefaultTerms(timeout=0.02, medium=0.02, low=0.02))
    await reader.tell(b"1", urgency=LOW)
    await reader.silence(5000)
    found = await reader.poll(default=DefaultTerms(timeout=SOON, medium=100, low=100))
    assert found == Batch([b"1"], resumed=True)


# --- ends -------------------------------------------------------------------------------------


async def test_a_process_that_ends_answers_with_the_same_position(reader: Reader) -> None:
    poll = await parked(reader)
    reader.rig.bus.readers.end_all()
    found = await asyncio.wait_for(poll, SOON)
    assert found == Batch([])
    late = await asyncio.wait_for(reader.poll(ack=2), SOON)
    assert late == Batch([])


async def test_a_reader_that_goes_away_leaves_no_trace(reader: Reader) -> None:
    poll = await parked(reader)
    poll.cancel()
    await asyncio.gather(poll, return_exceptions=True)
    state = f"parley:channel:{reader.queue}"
    assert not await reader.rig.link.lane.call(b"HEXISTS", state, b"reader")
