"""Channels over Redis: append, pending GET, streams. The rules are in the Lua scripts; this is their caller.

Whether a channel exists and whose it is, is not known here: see services/channels.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import cast
from uuid import UUID

import msgspec

from conference.bus import keys, poll, scripts
from conference.bus.link import RedisLink
from conference.bus.poll import ParkedPoll, Reply
from conference.bus.poll_terms import PollTerms
from conference.bus.readers import TOUCH_INTERVAL, ChannelMissing, Readers
from conference.bus.redis import Reply as RedisReply
from conference.bus.streams import Stream
from conference.domain.facts import Audience, Urgency
from conference.errors import PollReplaced
from schemas.events import Event

MOST_EVENTS = 256
"""In one batch; the rest comes with the next."""
MOST_BYTES = 512 * 1024
"""In one batch, unless its first event alone is larger."""
REMEMBER_EVENT = 600
"""Seconds for which a repeated event id is refused, unless the caller knows better."""


class Batch(msgspec.Struct, frozen=True):
    """What a poll got; nothing, when its time was over. `events` are JSON objects, encoded.

    `counts`: the position after this one is the next to ask for, as always when Redis could be asked. `resumed`: the
    reader was away for so long that what is transient is gone.
    """

    events: list[bytes]
    counts: bool = True
    resumed: bool = False


class Resync(msgspec.Struct, frozen=True):
    """The position does not hold. Events may be missing; read on from `ack`."""

    ack: int


Recipients = Callable[[Collection[UUID]], Awaitable[list[UUID]]]
"""The channels of users, from the database."""


class ChannelBus:
    """Every method raises Unavailable when Redis does not answer."""

    def __init__(
        self,
        link: RedisLink,
        *,
        cap: int,
        channels_of: Recipients,
        touch_interval: float = TOUCH_INTERVAL,
    ) -> None:
        self._lane = link.lane
        self._process = link.process.encode()
        self._cap = cap
        self._channels_of = channels_of
        self._encoder = msgspec.json.Encoder()
        self.readers = Readers(link, touch_interval=touch_interval)

    def start(self) -> None:
        self.readers.start()

    async def close(self) -> None:
        await self.readers.close()

    async def create(self, queue_id: UUID, *, lost: bool = False) -> int:
        """Make the channel unless it is there; the position to read from.

        `lost`: it existed, and its reader has a position that must not count any more.
        """
        how = b"lost" if lost else b"new"
        reply = await self._run(scripts.CREATE, keys.queue_key(queue_id), how)
        return cast(int, reply)

    async def remove(self, queue_ids: Iterable[UUID]) -> None:
        """Forget channels; their readers find them missing."""
        ids = [keys.queue_key(queue_id) for queue_id in queue_ids]
        if ids:
            await self._run(scripts.CLOSE, *ids)

    async def publish(
        self,
        event_id: UUID | None,
        queue_ids: Collection[UUID],
        payload: bytes,
        *,
        urgency: Urgency = Urgency.HIGH,
        remember: int = REMEMBER_EVENT,
    ) -> bool:
        """Append an encoded event to channels and wake their readers, atomically.

        False, and nothing done, when an event of this id was published before, at most `remember` seconds
        ago. Channels that Redis does not have are passed over: their readers will be told to resync.
        """
        if not queue_ids:
            return False
        reply = await self._run(
            scripts.APPEND,
            str(event_id).encode() if event_id else b"",
            remember,
            self._process,
            self._cap,
            int(urgency),
            payload,
            *[keys.queue_key(queue_id) for queue_id in queue_ids],
        )
        appended, *tokens = cast("list[bytes]", reply)
        self.readers.wake(tokens)
        return bool(appended)

    async def publish_to(self, audience: Audience, event: Event) -> None:
        """Publish a short-lived event, past the outbox: a crash may lose it."""
        queues = set(audience.queues)
        if audience.users:
            queues.update(await self._channels_of(audience.users))
        await self.publish(None, queues, self._encoder.encode(event))

    async def forget(self, event_ids: Iterable[UUID]) -> None:
        """These events will not be published again, so their ids need not be remembered."""
        names = [keys.EVENT.encode() + str(event_id).encode() for event_id in event_ids]
        if names:
            await self._lane.call(b"UNLINK", *names)

    async def poll(
        self,
        queue_id: UUID,
        ack: int,
        terms: PollTerms,
        wanted: Callable[[list[bytes]], bool] | None = None,
        client: asyncio.BaseTransport | None = None,
    ) -> Batch | Resync:
        """One pending GET. Batches of which nothing is `wanted` are passed over. `client` closing ends it early.

        Raises PollReplaced when a newer reader took its place or one of higher priority is parked, and ChannelMissing.
        """
        name = self.readers.new_name()
        arguments = (MOST_EVENTS, MOST_BYTES, *terms.arguments())
        parked = ParkedPoll(self._lane, keys.queue_key(queue_id), name, ack, arguments, client)
        if self.readers.ended:
            parked.end()
        return _batch_of(await self._parked(parked, wanted))

    async def _parked(
        self, parked: ParkedPoll, wanted: Callable[[list[bytes]], bool] | None = None
    ) -> Reply:
        self.readers.add(parked)
        try:
            return await parked.run(wanted)
        except asyncio.CancelledError:
            parked.leave()
            raise
        finally:
            self.readers.remove(parked)

    async def position(self, queue_id: UUID) -> int | None:
        """The batch that a poll has to ask for; None when Redis does not have the channel."""
        batch = await self._lane.call(
            b"HGET", keys.STATE.encode() + keys.queue_key(queue_id), b"batch"
        )
        return int(cast(bytes, batch)) if batch else None

    def stream(self, queue_id: UUID, client: asyncio.BaseTransport | None = None) -> Stream:
        """A reader that stays; open it, and close it whatever happens. `client` closing ends it."""
        name = self.readers.new_name()
        return Stream(self._lane, self.readers, keys.queue_key(queue_id), name, client)

    async def silent(self, for_seconds: float) -> list[UUID]:
        """Channels that nobody has read for so long."""
        reply = await self._run(scripts.SILENT, int(for_seconds * 1000))
        return [UUID(name.decode()) for name in cast("list[bytes]", reply)]

    async def expire(self, queue_id: UUID, silence: float, within: float) -> None:
        """The channel counts as silent for `silence` seconds in `within` seconds, unless it is read before."""
        key = keys.queue_key(queue_id)
        await self._run(scripts.EXPIRE, key, int(silence * 1000), int(within * 1000))

    async def adopted(self) -> bool:
        """Whether silence is known of every channel; false once after Redis was emptied."""
        return bool(await self._lane.call(b"EXISTS", keys.ADOPTED))

    async def adopt(self, queue_ids: Collection[UUID]) -> None:
        """All channels that there are: those not known to Redis count as seen now."""
        ids = [keys.queue_key(queue_id) for queue_id in queue_ids]
        for start in range(0, len(ids), 1000):
            await self._run(scripts.ADOPT, *ids[start : start + 1000])
        await self._lane.call(b"SET", keys.ADOPTED, 1)

    async def _run(self, script: bytes, *arguments: bytes | int) -> RedisReply:
        return await self._lane.call(b"EVALSHA", script, 0, *arguments)


def _batch_of(reply: Reply) -> Batch | Resync:
    code, *rest = reply
    match code:
        case poll.REPLACED:
            raise PollReplaced("a newer poll of this channel took its place")
        case poll.MISSING:
            raise ChannelMissing
        case poll.RESYNC:
            return Resync(cast(int, rest[0]))
        case poll.WAIT:  # its time is over, and Redis could not be asked what that means
            return Batch([], counts=False)
    return Batch(cast("list[bytes]", rest[2:]), resumed=bool(rest[0]))
