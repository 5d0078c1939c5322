"""The user's own: phones, call forwarding, photo."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from msgspec.structs import replace

from conference.domain.directory import CallForwarding, Phone, PhoneType
from conference.errors import NotFound
from conference.storage import users
from conference.ucwa.people import store as people
from conference.ucwa.people.person_changes import PersonChanges
from conference.ucwa.people.store import Photo


class MeService:
    def __init__(self, changes: PersonChanges) -> None:
        self._changes = changes

    async def change_phone(
        self,
        user_id: UUID,
        kind: PhoneType,
        *,
        number: str | None = None,
        visible: bool | None = None,
    ) -> Phone:
        """`number`: a tel: URI, '' clears it; None leaves either as it is. Raises NotFound for an unknown user."""
        async with self._changes.of(user_id) as change:
            profile = await users.lock_profile(change.conn, user_id)
            if profile is None:
                raise NotFound("no such user")
            before = profile.phone(kind)
            phone = Phone(
                number=before.number if number is None else number,
                include_in_contact_card=(
                    before.include_in_contact_card if visible is None else visible
                ),
            )
            await users.save_profile(change.conn, user_id, profile.with_phone(kind, phone))
        return phone

    async def forwarding(self, user_id: UUID) -> CallForwarding:
        async with self._changes.pool.acquire() as conn:
            return (await people.read(conn, user_id)).forwarding

    async def set_forwarding(
        self, user_id: UUID, wanted: CallForwarding, check: Callable[[CallForwarding], None]
    ) -> CallForwarding:
        """`check` is given what was there before, and raises what does not fit it."""
        async with self._changes.of(user_id) as change:
            check(change.person.forwarding)
            change.person = replace(change.person, forwarding=wanted)
        return wanted

    async def photo(self, user_id: UUID) -> Photo | None:
        async with self._changes.pool.acquire() as conn:
            return await people.photo(conn, user_id)
