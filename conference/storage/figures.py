"""What operators see counted: the same at every API process."""

from __future__ import annotations

import asyncpg
import msgspec

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

_TOTALS = """
select (select count(*) from outbox) as outbox,
       (select count(*) from meetings) as meetings,
       (select count(*) from meetings where active) as active,
       (select count(*) from participants) as participants,
       (select count(*) from queue_entries where status = 'WAITING') as waiting,
       (select count(*) from channels) as channels
"""


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    outbox: int
    meetings: int
    active: int
    participants: int
    waiting: int
    channels: int


async def totals(conn: Connection) -> Totals:
    row = await conn.fetchrow(_TOTALS)
    assert row is not None  # it has no `from`
    return msgspec.convert(dict(row), Totals)
