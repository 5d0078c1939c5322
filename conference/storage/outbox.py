"""The outbox: events of a change, written in the change's own transaction, until they are in their channels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

import asyncpg
import msgspec

from conference.domain.facts import Audience, Outgoing, Urgency
from conference.storage import channels
from conference.storage.channels import Connection

_encoder = msgspec.json.Encoder()

_INSERT = """
insert into outbox (event_id, stream_id, queue_ids, payload, urgency) values ($1, $2, $3, $4, $5)
"""
# Rows that another transaction is publishing are waited for, so the events of a stream keep their order.
_TAKE = """
select id, event_id, queue_ids, payload, urgency from outbox
where stream_id = $1 order by id limit $2 for update
"""
_STREAMS_LEFT = """
select stream_id from outbox where created_at < now() - make_interval(secs => $1)
group by stream_id order by min(id) limit $2
"""


class Row(msgspec.Struct, frozen=True):
    """One event on its way to its channels."""

    id: int
    event_id: UUID
    queue_ids: list[UUID]
    payload: bytes
    urgency: Urgency


async def add(
    conn: Connection,
    stream_id: UUID,
    outgoing: Sequence[Outgoing],
    new_id: Callable[[], UUID],
) -> None:
    """Write events inside the change's transaction, under the row lock of the stream's owner.

    That lock makes the order of ids the order of commits within a stream. An event that nobody would get
    is not written.
    """
    users = {user for item in outgoing for user in item.audience.users}
    channels_of = await channels.lock_and_list(conn, users)
    rows = [
        (new_id(), stream_id, list(queues), _encoder.encode(item.event), int(item.urgency))
        for item in outgoing
        if (queues := _queues(item.audience, channels_of))
    ]
    if rows:
        await conn.executemany(_INSERT, rows)


async def take(conn: Connection, stream_id: UUID, limit: int) -> list[Row]:
    """The oldest rows of a stream, locked until the transaction ends."""
    rows = await conn.fetch(_TAKE, stream_id, limit)
    return [
        Row(row["id"], row["event_id"], row["queue_ids"], row["payload"], Urgency(row["urgency"]))
        for row in rows
    ]


async def delete(conn: Connection, ids: Sequence[int]) -> None:
    await conn.execute("delete from outbox where id = any($1)", ids)


async def streams_left(pool: asyncpg.Pool, older_than: float, limit: int) -> list[UUID]:
    """Streams with rows older than so many seconds: whoever wrote them did not get to publish them."""
    rows = await pool.fetch(_STREAMS_LEFT, older_than, limit)
    return [row["stream_id"] for row in rows]


def _queues(audience: Audience, channels_of: Mapping[UUID, list[UUID]]) -> set[UUID]:
    of_users = {queue for user in audience.users for queue in channels_of.get(user, ())}
    return of_users | audience.queues
