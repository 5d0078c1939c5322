"""Use cases of extensions: what programs attach to an online meeting, read and written by whom they concern."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import msgspec

from conference.errors import Conflict, Forbidden, NotFound
from conference.storage.meetings import Connection
from conference.ucwa.meetings import extension_store as rows
from conference.ucwa.meetings.extension_rules import (
    MOST,
    READ,
    WRITE,
    Extension,
    ExtensionType,
    Role,
    check,
)

ONLY = "onlineMeetingExtension"
"""In place of an id: the meeting's only extension, or on changing it the one whose id is given."""


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """What an extension shall be. None: as it is; properties are all of them."""

    id: str | None
    type: ExtensionType | None
    properties: Mapping[str, str]


class ExtensionService:
    """Every method raises NotFound for a meeting that the user has no part in, and for an extension that they may
    not read. An organizer may read from anywhere, as may leaders; participants while they are in the meeting."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def all(self, by: UUID, meeting_id: UUID) -> list[Extension]:
        async with self._pool.acquire() as conn:
            return (await self._open(conn, by, meeting_id))[1]

    async def of_meetings(self, meeting_ids: Sequence[UUID]) -> dict[UUID, list[Extension]]:
        """All that is attached to these meetings, for their organizer."""
        async with self._pool.acquire() as conn:
            return await rows.of_meetings(conn, meeting_ids)

    async def get(self, by: UUID, meeting_id: UUID, key: str) -> Extension:
        """`key`: an id, or ONLY."""
        async with self._pool.acquire() as conn:
            _, readable = await self._open(conn, by, meeting_id)
        return _found(readable, key)

    async def add(self, by: UUID, meeting_id: UUID, extension: Extension) -> Extension:
        """Raises Conflict (AlreadyExists), Forbidden (also LimitExceeded), BadRequest."""
        check(extension)
        async with self._writing(by, meeting_id) as (conn, role, _):
            _require(role, extension)
            taken = (await rows.of_meetings(conn, [meeting_id]))[meeting_id]
            if len(taken) >= MOST:
                raise Forbidden(f"a meeting has at most {MOST} extensions", code="LimitExceeded")
            _require_new(taken, extension.id)
            await rows.insert(conn, meeting_id, extension)
        return extension

    async def put(
        self,
        by: UUID,
        meeting_id: UUID,
        key: str,
        revision: Revision,
        match: Callable[[Extension], None],
    ) -> Extension:
        """`match` is given the extension as it is, and raises what speaks against changing it. Raises as `add`."""
        async with self._writing(by, meeting_id) as (conn, role, readable):
            current = _found(readable, key, revision.id)
            _require(role, current)
            match(current)
            revised = Extension(
                id=current.id if revision.id is None else revision.id,
                type=revision.type or current.type,
                properties=revision.properties,
            )
            _require(role, check(revised))
            if revised.id != current.id:
                _require_new((await rows.of_meetings(conn, [meeting_id]))[meeting_id], revised.id)
            await rows.update(conn, meeting_id, current.id, revised)
        return revised

    async def remove(
        self, by: UUID, meeting_id: UUID, key: str, match: Callable[[Extension], None]
    ) -> None:
        """`match`: as of `put`. Raises Forbidden."""
        async with self._writing(by, meeting_id) as (conn, role, readable):
            current = _found(readable, key)
            _require(role, current)
            match(current)
            await rows.delete(conn, meeting_id, current.id)

    @asynccontextmanager
    async def _writing(
        self, by: UUID, meeting_id: UUID
    ) -> AsyncIterator[tuple[Connection, Role, list[Extension]]]:
        async with self._pool.acquire() as conn, conn.transaction():
            role, readable = await self._open(conn, by, meeting_id, lock=True)
            yield conn, role, readable

    async def _open(
        self, conn: Connection, by: UUID, meeting_id: UUID, *, lock: bool = False
    ) -> tuple[Role, list[Extension]]:
        """What the user is in the meeting, and the extensions that they may read."""
        role = await rows.role_of(conn, meeting_id, by, lock=lock)
        if role is None:
            raise NotFound("there is no such online meeting")
        found = (await rows.of_meetings(conn, [meeting_id]))[meeting_id]
        return role, [extension for extension in found if extension.type in READ[role]]


def _found(readable: Sequence[Extension], key: str, named: str | None = None) -> Extension:
    by_id = {extension.id: extension for extension in readable}
    if key in by_id:
        return by_id[key]
    if key != ONLY:
        raise NotFound("the online meeting has no such extension")
    if named is not None and named in by_id:
        return by_id[named]
    if len(readable) != 1:
        raise NotFound(
            f"the online meeting has {len(readable)} extensions, not one: name it by its id"
        )
    return readable[0]


def _require(role: Role, extension: Extension) -> None:
    if extension.type not in WRITE[role]:
        shared = extension.type is ExtensionType.PARTICIPANT
        who = "the organizer and leaders" if shared else "the organizer"
        raise Forbidden(f"only {who} may write {extension.type.value}")


def _require_new(taken: Sequence[Extension], extension_id: str) -> None:
    if any(extension.id == extension_id for extension in taken):
        raise Conflict("the online meeting has an extension with this id", code="AlreadyExists")
