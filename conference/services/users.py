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
    def __init__(
        self, pool: asyncpg.Pool, clock: Callable[[], datetime], *, everyone: bool = False
    ) -> None:
        """`everyone`: whether organisations see each other."""
        self._everyone = everyone
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

    async def get(self, by: UUID, user_id: UUID) -> User:
        """Raises NotFound for someone whom we never saw, or whom the caller may not see."""
        found = await self.named(by, [user_id])
        if not found:
            raise NotFound("no such user", code="no_such_user")
        return found[0]

    async def named(self, by: UUID, ids: Collection[UUID]) -> list[User]:
        """Those of the caller's organisation, and whom they meet."""
        async with self._pool.acquire() as conn:
            if self._everyone:
                return await users.named(conn, ids)
            return await users.seen_by(conn, by, ids)
