"""The directory: users as their colleagues find them, by address or by search.

Whoever may not see somebody gets the same answer as if nobody were there.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

import asyncpg

from conference.errors import NotFound
from conference.storage import users
from conference.storage.meetings import Connection
from conference.storage.users import Card
from conference.ucwa import sip


class Directory:
    def __init__(self, pool: asyncpg.Pool, *, domain: str, everyone: bool) -> None:
        """`domain`: of the addresses of users without e-mail. `everyone`: organisations see each other."""
        self._pool = pool
        self._domain = domain
        self._everyone = everyone

    async def card(self, user_id: UUID) -> Card:
        """Raises NotFound for a user whom we never saw."""
        async with self._pool.acquire() as conn:
            found = await users.card(conn, user_id)
        if found is None:
            raise _nobody()
        return found

    async def find(self, viewer: UUID, address: str) -> Card:
        """Raises NotFound for somebody whom the viewer does not see."""
        found = await self.find_all(viewer, [address])
        if address not in found:
            raise _nobody()
        return found[address]

    async def find_all(self, viewer: UUID, addresses: Collection[str]) -> dict[str, Card]:
        """By address; those whom the viewer does not see are left out."""
        if not addresses:
            return {}
        async with self._pool.acquire() as conn:
            seen_from = await self._org(conn, viewer)
            ids = [sip.user_id(address, self._domain) for address in addresses]
            found = await users.cards_at(conn, addresses, [each for each in ids if each])
        by_address = {
            self.address_of(card): card
            for card in found
            if seen_from is None or card.user.org == seen_from
        }
        return {address: card for address, card in by_address.items() if address in addresses}

    async def search(self, viewer: UUID, text: str, limit: int) -> tuple[list[Card], bool]:
        """At most `limit`, and whether there are more."""
        async with self._pool.acquire() as conn:
            org = await self._org(conn, viewer)
            found = await users.search(conn, text, org=org, limit=limit + 1)
        return found[:limit], len(found) > limit

    def address_of(self, card: Card) -> str:
        return sip.address_of(card.user, self._domain)

    def uri_of(self, card: Card) -> str:
        return sip.uri_of(card.user, self._domain)

    def seen_by(self, card: Card) -> str | None:
        """The organisation whose users see this one; None: all do."""
        return None if self._everyone else card.user.org

    async def _org(self, conn: Connection, viewer: UUID) -> str | None:
        if self._everyone:
            return None
        card = await users.card(conn, viewer)
        return card.user.org if card else ""


def _nobody() -> NotFound:
    return NotFound("there is nobody at that address whom you may see")
