"""The outbox: events of a change, written in the change's own transaction, until they are in their channels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from uuid import UUID

import asyncpg
import msgspec

from conference.domain.facts import Audience, Outgoing, Urgency
from conference.storage import channels
from conference.storage.channels import Connection
from conference.storage.statements import Statement, run

_encoder = msgspec.json.Encoder()

# Arrays of arrays can't be unnested by rows, so channels come as text.
_INSERT = """
insert into outbox (event_id, stream_id, queue_ids, payload, urgency)
select event_id, $1::uuid, queue_ids::uuid[], payload, urgency
from unnest($2::uuid[], $3::text[], $4::bytea[], $5::smallint[]) with ordinality
    as told (event_id, queue_ids, payload, urgency, number)
order by number
"""
# Rows that another transaction is publishing are waited for, so the events of a stream keep their order.
_TAKE = """
delete from outbox
where id in (select id from outbox where stream_id = $1 order by id limit $2 for update)
returning id, event_id, queue_ids, payload, urgency
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
    await run(conn, await adding(conn, stream_id, outgoing, new_id))


async def adding(
    conn: Connection,
    stream_id: UUID,
    outgoing: Sequence[Outgoing],
    new_id: Callable[[], UUID],
) -> list[Statement]:
    """As `add`, to be run with others."""
    users = {user for item in outgoing for user in item.audience.users}
    channels_of = await channels.lock_and_list(conn, users)
    rows = [
        (new_id(), _array(queues), _encoder.encode(item.event), int(item.urgency))
        for item in outgoing
        if (queues := _queues(item.audience, channels_of))
    ]
    return [Statement(_INSERT, (stream_id, *map(list, zip(*rows, strict=True))))] if rows else []


async def take(conn: Connection, stream_id: UUID, limit: int) -> list[Row]:
    """The oldest rows of a stream, in order. They are gone once the transaction commits, and until then nobody
    else has them."""
    rows = await conn.fetch(_TAKE, stream_id, limit)
    return [
        Row(row["id"], row["event_id"], row["queue_ids"], row["payload"], Urgency(row["urgency"]))
        for row in sorted(rows, key=lambda row: row["id"])
    ]


async def streams_left(pool: asyncpg.Pool, older_than: float, limit: int) -> list[UUID]:
    """Streams with rows older than so many seconds: whoever wrote them did not get to publish them."""
    rows = await pool.fetch(_STREAMS_LEFT, older_than, limit)
    return [row["stream_id"] for row in rows]


def _array(queues: Iterable[UUID]) -> str:
    return "{" + ",".join(map(str, queues)) + "}"


def _queues(audience: Audience, channels_of: Mapping[UUID, list[UUID]]) -> set[UUID]:
    of_users = {queue for user in audience.users for queue in channels_of.get(user, ())}
    return of_users | audience.queues
