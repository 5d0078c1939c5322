"""Users: remembered from their tokens, named for others."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from uuid import UUID

import asyncpg

from conference.errors import NotFound
from conference.storage import users
from conference.storage.users import User

_REMEMBER_MOST = 50_000


class UserService:
    def __init__(self, pool: asyncpg.Pool, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._clock = clock
        self._written: dict[UUID, User] = {}

    async def seen(self, user: User) -> None:
        """A valid token spoke for this user: create them, or take over what has changed."""
        if self._written.get(user.id) == user:
            return
        async with self._pool.acquire() as conn:
            await users.put(conn, user, self._clock())
        if len(self._written) >= _REMEMBER_MOST:
            self._written.pop(next(iter(self._written)))
        self._written[user.id] = user

    async def get(self, user_id: UUID) -> User:
        """Raises NotFound for someone whom we never saw."""
        found = await self.named([user_id])
        if not found:
            raise NotFound("no such user", code="no_such_user")
        return found[0]

    async def named(self, ids: Collection[UUID]) -> list[User]:
        async with self._pool.acquire() as conn:
            return await users.named(conn, ids)
