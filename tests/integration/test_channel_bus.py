"""ChannelBus on a real Valkey: the rules of a pending GET."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AsyncExitStack
from uuid import UUID, uuid4

import pytest
from channel_rig import SOON, payload, until, until_parked

from conference.bus import keys
from conference.bus.channels import Batch, ChannelBus, ChannelMissing, Resync
from conference.bus.link import RedisLink
from conference.bus.poll_terms import plain
from conference.errors import PollReplaced

CAP = 16

Opener = Callable[..., Awaitable[ChannelBus]]


async def nobody(_users: Collection[UUID]) -> list[UUID]:
    return []


@pytest.fixture
async def open_bus(redis_url: str) -> AsyncIterator[Opener]:
    """Call it for a bus: each is an API process of its own, as far as Redis can tell."""
    async with AsyncExitStack() as stack:

        async def open_(touch_interval: float = 60.0) -> ChannelBus:
            link = RedisLink(redis_url)
            bus = ChannelBus(link, cap=CAP, channels_of=nobody, touch_interval=touch_interval)
            link.start()
            stack.push_async_callback(link.close)
            bus.start()
            stack.push_async_callback(bus.close)
            await link.subscriber.ready()
            return bus

        yield open_


@pytest.fixture
async def bus(open_bus: Opener) -> ChannelBus:
    return await open_bus()


@pytest.fixture
async def queue(bus: ChannelBus) -> UUID:
    queue_id = uuid4()
    assert await bus.create(queue_id) == 1
    return queue_id


async def test_an_event_that_is_there_is_given_at_once(bus: ChannelBus, queue: UUID) -> None:
    assert await bus.publish(uuid4(), [queue], b'{"n":1}')
    assert await bus.poll(queue, 1, plain(SOON)) == Batch([b'{"n":1}'])


async def test_a_batch_once_sent_is_frozen_until_acknowledged(bus: ChannelBus, queue: UUID) -> None:
    await bus.publish(uuid4(), [queue], b"1")
    await bus.publish(uuid4(), [queue], b"2")
    first = await bus.poll(queue, 1, plain(SOON))
    await bus.publish(uuid4(), [queue], b"3")
    assert first == await bus.poll(queue, 1, plain(SOON)) == Batch([b"1", b"2"])
    assert await bus.poll(queue, 2, plain(SOON)) == Batch([b"3"])


async def test_a_parked_poll_gets_the_event(bus: ChannelBus, queue: UUID) -> None:
    poll = asyncio.create_task(bus.poll(queue, 1, plain(SOON)))
    await until_parked(bus)
    await bus.publish(uuid4(), [queue], b"1")
    assert await asyncio.wait_for(poll, SOON) == Batch([b"1"])


async def test_a_poll_parked_in_another_process_gets_the_event(open_bus: Opener) -> None:
    here, there = await open_bus(), await open_bus()
    queue = uuid4()
    await here.create(queue)
    poll = asyncio.create_task(there.poll(queue, 1, plain(SOON)))
    await until_parked(there)
    await here.publish(uuid4(), [queue], b"1")
    assert await asyncio.wait_for(poll, SOON) == Batch([b"1"])


async def test_an_answer_without_events_is_a_position_like_any_other(
    bus: ChannelBus, queue: UUID
) -> None:
    assert await bus.poll(queue, 1, plain(0.01)) == Batch([])
    await bus.publish(uuid4(), [queue], b"1")
    assert await bus.poll(queue, 1, plain(SOON)) == Batch([]), "it may have been lost"
    assert await bus.poll(queue, 2, plain(SOON)) == Batch([b"1"])
    assert await bus.poll(queue, 1, plain(SOON)) == Resync(2)


@pytest.mark.parametrize("ack", [2, 3, 1000])
async def test_a_position_from_the_future_resyncs(bus: ChannelBus, queue: UUID, ack: int) -> None:
    await bus.publish(uuid4(), [queue], b"1")
    assert await bus.poll(queue, ack, plain(SOON)) == Resync(1)
    assert await bus.poll(queue, 1, plain(SOON)) == Batch([b"1"])


async def test_an_acknowledged_position_resyncs(bus: ChannelBus, queue: UUID) -> None:
    await bus.publish(uuid4(), [queue], b"1")
    await bus.poll(queue, 1, plain(SOON))
    await bus.poll(queue, 2, plain(0.01))
    assert await bus.poll(queue, 1, plain(SOON)) == Resync(2)


async def test_an_event_id_counts_once(bus: ChannelBus, queue: UUID) -> None:
    event_id = uuid4()
    assert await bus.publish(event_id, [queue], b"1")
    assert not await bus.publish(event_id, [queue], b"1")
    assert await bus.poll(queue, 1, plain(SOON)) == Batch([b"1"])


async def test_overflow_resyncs_every_position_that_the_reader_may_hold(
    bus: ChannelBus, queue: UUID
) -> None:
    await bus.publish(uuid4(), [queue], b"first")
    assert await bus.poll(queue, 1, plain(SOON)) == Batch([b"first"])
    for n in range(CAP):
        await bus.publish(uuid4(), [queue], b"%d" % n)
    answers = [await bus.poll(queue, ack, plain(SOON)) for ack in (1, 2)]
    assert isinstance(answers[0], Resync)
    assert answers[0] == answers[1]
    await bus.publish(uuid4(), [queue], b"after")
    assert await bus.poll(queue, answers[0].ack, plain(SOON)) == Batch([b"after"])


async def test_overflow_while_parked_resyncs_too(bus: ChannelBus, queue: UUID) -> None:
    """More than the channel holds comes in before the woken poll has read again."""
    parked = asyncio.create_task(bus.poll(queue, 1, plain(SOON)))
    await until_parked(bus)
    await asyncio.gather(*[bus.publish(None, [queue], b"0") for _ in range(CAP + 1)])
    assert isinstance(await asyncio.wait_for(parked, SOON), Resync)
    assert b"reader" not in await state_of(bus, queue)


@pytest.mark.parametrize("same_process", [True, False])
async def test_a_newer_poll_replaces_the_parked_one(open_bus: Opener, same_process: bool) -> None:
    older_bus = await open_bus()
    newer_bus = older_bus if same_process else await open_bus()
    queue = uuid4()
    await older_bus.create(queue)
    older = asyncio.create_task(older_bus.poll(queue, 1, plain(SOON)))
    await until_parked(older_bus)
    newer = asyncio.create_task(newer_bus.poll(queue, 1, plain(SOON)))
    with pytest.raises(PollReplaced):
        await asyncio.wait_for(older, SOON)
    await until_parked(newer_bus)
    await older_bus.publish(uuid4(), [queue], b"1")
    assert await asyncio.wait_for(newer, SOON) == Batch([b"1"])


async def test_a_poll_out_of_range_does_not_replace(bus: ChannelBus, queue: UUID) -> None:
    parked = asyncio.create_task(bus.poll(queue, 1, plain(SOON)))
    await until_parked(bus)
    assert await bus.poll(queue, 7, plain(SOON)) == Resync(1)
    await bus.publish(uuid4(), [queue], b"1")
    assert await asyncio.wait_for(parked, SOON) == Batch([b"1"])


async def test_a_closed_channel_answers_its_parked_poll(bus: ChannelBus, queue: UUID) -> None:
    poll = asyncio.create_task(bus.poll(queue, 1, plain(SOON)))
    await until_parked(bus)
    await bus.remove([queue])
    with pytest.raises(ChannelMissing):
        await asyncio.wait_for(poll, SOON)


async def test_an_abandoned_poll_leaves_nothing_parked(bus: ChannelBus, queue: UUID) -> None:
    poll = asyncio.create_task(bus.poll(queue, 1, plain(SOON)))
    await until_parked(bus)
    poll.cancel()
    await asyncio.gather(poll, return_exceptions=True)
    assert len(bus.readers) == 0
    assert b"reader" not in await state_of(bus, queue)


async def test_shutdown_answers_parked_polls_at_once(bus: ChannelBus, queue: UUID) -> None:
    poll = asyncio.create_task(bus.poll(queue, 1, plain(600)))
    await until_parked(bus)
    bus.readers.end_all()
    assert await asyncio.wait_for(poll, SOON) == Batch([])
    assert await asyncio.wait_for(bus.poll(queue, 1, plain(600)), SOON) == Batch([])


async def test_a_large_backlog_comes_in_bounded_batches(open_bus: Opener, queue: UUID) -> None:
    bus = await open_bus()
    large = b'"' + b"x" * 200_000 + b'"'
    for _ in range(5):
        await bus.publish(uuid4(), [queue], large)
    sizes = []
    for ack in range(1, 4):
        batch = await bus.poll(queue, ack, plain(SOON))
        assert isinstance(batch, Batch)
        sizes.append(len(batch.events))
    assert sizes == [2, 2, 1]


async def test_who_is_parked_is_not_silent(open_bus: Opener) -> None:
    bus = await open_bus(touch_interval=0.05)
    read, unread = uuid4(), uuid4()
    await bus.create(read)
    await bus.create(unread)
    poll = asyncio.create_task(bus.poll(read, 1, plain(SOON)))
    await until(lambda: silent_are(bus, {unread}))
    poll.cancel()
    await until(lambda: silent_are(bus, {read, unread}))


async def state_of(bus: ChannelBus, queue: UUID) -> list[bytes]:
    """The names of what Redis holds of a channel."""
    names = await bus._lane.call(b"HKEYS", f"{keys.STATE}{queue}")
    assert isinstance(names, list)
    return names


async def silent_are(bus: ChannelBus, queues: set[UUID]) -> bool:
    return set(await bus.silent(0.4)) == queues


class Closing(asyncio.BaseTransport):
    """A client's connection, open until it is `gone`."""

    gone = False

    def is_closing(self) -> bool:
        return self.gone


@pytest.mark.parametrize("how", ["poll", "stream"])
async def test_a_client_that_is_gone_does_not_pass_for_present(open_bus: Opener, how: str) -> None:
    """Neither by what is told to its channel nor by being marked as present, until its reader has ended."""
    bus = await open_bus(touch_interval=0.05)
    queue = uuid4()
    await bus.create(queue)
    client = Closing()
    if how == "poll":
        reading: asyncio.Task[object] = asyncio.create_task(
            bus.poll(queue, 1, plain(30), client=client)
        )
    else:
        stream = bus.stream(queue, client)
        await stream.open(None)
        reading = asyncio.create_task(stream.read(30))
    await until_parked(bus)
    await bus.expire(queue, 60, 0)
    await asyncio.sleep(0.2)
    assert await bus.silent(59) == [], "it is read, so it is there"
    client.gone = True
    await bus.expire(queue, 60, 0)
    await bus.publish(uuid4(), [queue], payload(1))
    await asyncio.wait([reading])
    assert await bus.silent(59) == [queue]


async def test_a_channel_expires_when_it_was_said_to(bus: ChannelBus, queue: UUID) -> None:
    await bus.expire(queue, 60, 0.3)
    assert await bus.silent(60) == []
    await asyncio.sleep(0.4)
    assert await bus.silent(60) == [queue]
    await bus.poll(queue, 1, plain(0.01))
    assert await bus.silent(59) == [], "read again"
    await bus.expire(uuid4(), 60, 0)
    assert await bus.silent(59) == [], "one that there is not"
