"""A client's event channel: open, read, close. Existence and owner are the database's; events are the bus's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg

from conference.bus.channels import Batch, ChannelBus, Resync
from conference.bus.poll_terms import PollTerms
from conference.bus.readers import ChannelMissing
from conference.bus.streams import Handed, Restart, Stream
from conference.errors import Forbidden, NotFound
from conference.storage import channels

OnClosed = Callable[[UUID], Awaitable[None]]

MOST = 1000
BACK_WITHIN = 10.0
"""Seconds in which a client that goes may come back as if nothing had been: a page that is reloaded takes that long
on a slow line."""
_OWNERS_REMEMBERED = 50_000


class ChannelService:
    """Raises Unavailable when Redis does not answer; database errors pass through."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        bus: ChannelBus,
        *,
        most: int = MOST,
        grace: float = 30.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_id: Callable[[], UUID] = uuid4,
    ) -> None:
        """`most`: a user's channels at one time. `grace`: seconds of silence after which a client is out."""
        self._pool = pool
        self._bus = bus
        self._most = most
        self._grace = grace
        self._now = now
        self._new_id = new_id
        self._owners: dict[UUID, UUID] = {}
        self.on_closed: list[OnClosed] = []
        """Called with the id of a channel that closes, however it does. May be called twice for one."""

    async def open(self, user_id: UUID) -> UUID:
        """A new channel of the user. What is told to the user's channels from now on reaches it.

        Raises Forbidden (LimitExceeded) when the user has too many.
        """
        queue_id = self._new_id()
        await self._bus.create(queue_id)
        if await channels.add(self._pool, queue_id, user_id, self._now(), most=self._most):
            return queue_id
        await self._bus.remove([queue_id])
        raise Forbidden(
            f"you have {self._most} channels already: close some, or wait until they expire",
            code="LimitExceeded",
        )

    async def owner(self, queue_id: UUID) -> UUID | None:
        """Whose channel it is, from the database; None when there is none."""
        return await channels.owner(self._pool, queue_id)

    async def close(self, queue_id: UUID) -> None:
        """Close the channel and have its participant leave. Of one that is closed: harmless.

        The hooks run before the row goes, so that a crash in between leaves something for the sweep to find,
        and after it, for a join that came in between.
        """
        await self._run_hooks(queue_id)
        if await channels.remove(self._pool, queue_id):
            await self._run_hooks(queue_id)
        self._owners.pop(queue_id, None)
        await self._bus.remove([queue_id])

    async def close_own(self, queue_id: UUID, user_id: UUID) -> None:
        """As `close`. Raises NotFound for a channel that is not the user's."""
        if await self.owner(queue_id) != user_id:
            raise _no_channel()
        await self.close(queue_id)

    async def going(self, queue_id: UUID, user_id: UUID) -> None:
        """The client goes: unless it comes back within a moment it is out, without the usual grace.

        Raises NotFound for a channel that is not the user's.
        """
        await self.require_own(queue_id, user_id)
        await self._bus.expire(queue_id, self._grace, min(BACK_WITHIN, self._grace))

    async def poll(
        self,
        queue_id: UUID,
        user_id: UUID,
        ack: int | None,
        terms: PollTerms,
        wanted: Callable[[list[bytes]], bool] | None = None,
        client: asyncio.BaseTransport | None = None,
    ) -> tuple[int, Batch | Resync]:
        """One pending GET that passes over batches without any event that is `wanted`.

        Without `ack` the current position is asked for. The position that was asked for comes first.
        Raises NotFound for a channel that is not the user's, and PollReplaced.
        """
        await self.require_own(queue_id, user_id)
        if ack is None:
            ack = await self._bus.position(queue_id) or 1
        try:
            return ack, await self._bus.poll(queue_id, ack, terms, wanted, client)
        except ChannelMissing:
            return ack, Resync(await self._recover(queue_id))

    @asynccontextmanager
    async def follow(
        self,
        queue_id: UUID,
        user_id: UUID,
        client: asyncio.BaseTransport | None = None,
    ) -> AsyncIterator[Following]:
        """Read a channel as a stream; `begin` it. Raises NotFound for a channel that is not the user's."""
        await self.require_own(queue_id, user_id)
        stream = self._bus.stream(queue_id, client)
        try:
            yield Following(stream, lambda: self._recover(queue_id))
        finally:
            stream.close()

    async def silent(self, for_seconds: float) -> list[UUID]:
        """Channels that nobody has read for so long. One whose poll is parked or that is streaming is not silent."""
        if not await self._bus.adopted():
            await self._bus.adopt(await channels.all_ids(self._pool))
        return await self._bus.silent(for_seconds)

    def answer_all(self) -> None:
        """Shutdown: parked polls and streams are answered now, later ones at once."""
        self._bus.readers.end_all()

    @property
    def answering_all(self) -> bool:
        """Whether `answer_all` was called: a client does better to reconnect elsewhere."""
        return self._bus.readers.ended

    async def require_own(self, queue_id: UUID, user_id: UUID) -> None:
        """Raises NotFound for a channel that is not the user's.

        A channel never changes hands, so who owned it once is remembered. That it is still there, Redis knows.
        """
        owner = self._owners.get(queue_id)
        if owner is None:
            owner = await self.owner(queue_id)
            if owner is None:
                raise _no_channel()
            if len(self._owners) >= _OWNERS_REMEMBERED:
                del self._owners[next(iter(self._owners))]
            self._owners[queue_id] = owner
        if owner != user_id:
            raise _no_channel()

    async def _recover(self, queue_id: UUID) -> int:
        """Redis lost a channel that the database has: make it anew. Raises NotFound if neither has it."""
        if await self.owner(queue_id) is None:
            self._owners.pop(queue_id, None)
            raise _no_channel()
        return await self._bus.create(queue_id, lost=True)

    async def _run_hooks(self, queue_id: UUID) -> None:
        for hook in self.on_closed:
            await hook(queue_id)


class Following:
    """A stream that goes on when Redis lost the channel.

    Raises PollReplaced, NotFound once the channel is closed, and Unavailable.
    """

    def __init__(self, stream: Stream, recover: Callable[[], Awaitable[int]]) -> None:
        self._stream = stream
        self._recover = recover

    async def begin(self, position: int | None) -> bool:
        """Whether the position holds; if not, events may be missing."""
        try:
            return await self._stream.open(position)
        except ChannelMissing:
            await self._restart()
            return False

    @property
    def position(self) -> int:
        """The number of the last event that was read."""
        return self._stream.position

    @property
    def ended(self) -> bool:
        """The process shuts down, or the client is gone."""
        return self._stream.ended

    async def read(self, wait: float) -> Handed | Restart:
        """The next events, or none after `wait` seconds."""
        try:
            return await self._stream.read(wait)
        except ChannelMissing:
            await self._restart()
            return Restart(self._stream.position)

    def confirm(self, position: int) -> None:
        """The client has everything up to `position`."""
        self._stream.confirm(position)

    async def _restart(self) -> None:
        await self._recover()
        try:
            await self._stream.open(None)
        except ChannelMissing:  # closed, this very moment
            raise _no_channel() from None


def _no_channel() -> NotFound:
    return NotFound("no such channel of yours; open a new one", code="channel_not_found")
