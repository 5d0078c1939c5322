"""A user's contact list: who is on it, in which groups, and who is told. All of it is the user's own."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Literal
from uuid import UUID

from conference.domain.directory import DEFAULT_GROUP, rel_of
from conference.domain.facts import Urgency
from conference.errors import Conflict, Forbidden, NotFound
from conference.ucwa.people import contact_store as contacts
from conference.ucwa.people import facts as schemas
from conference.ucwa.people.contact_store import Group, Membership
from conference.ucwa.people.facts import Change, UcwaGroup, UcwaListed
from conference.ucwa.people.person_changes import Changing, PersonChanges

CONTACTS_MOST = 250
GROUPS_MOST = 64

Check = Callable[[Group], None]


class ContactService:
    def __init__(self, changes: PersonChanges) -> None:
        self._changes = changes

    # --- looking ------------------------------------------------------------------------------

    async def addresses(self, user_id: UUID, group_id: str | None = None) -> list[str]:
        """Of all contacts, or of those of a group. Raises NotFound for an unknown group."""
        async with self._changes.pool.acquire() as conn:
            if group_id is not None:
                _found(await contacts.group(conn, user_id, group_id))
            return await contacts.addresses(conn, user_id, group_id)

    async def groups(self, user_id: UUID) -> list[Group]:
        async with self._changes.pool.acquire() as conn:
            return await contacts.groups(conn, user_id)

    async def group(self, user_id: UUID, group_id: str) -> Group:
        """Raises NotFound."""
        async with self._changes.pool.acquire() as conn:
            return _found(await contacts.group(conn, user_id, group_id))

    async def memberships(self, user_id: UUID, group_id: str | None = None) -> list[Membership]:
        async with self._changes.pool.acquire() as conn:
            return await contacts.memberships(conn, user_id, group_id)

    async def membership(self, user_id: UUID, group_id: str, address: str) -> Membership:
        """Raises NotFound."""
        wanted = Membership(group_id=group_id, address=address)
        if wanted not in await self.memberships(user_id, group_id):
            raise _no_member()
        return wanted

    # --- contacts -----------------------------------------------------------------------------

    async def add(self, user_id: UUID, address: str, group_id: str = DEFAULT_GROUP) -> Membership:
        """Raises NotFound for an unknown group, Conflict (AlreadyExists, LimitExceeded)."""
        async with self._changes.of(user_id) as change:
            group = _found(await contacts.group(change.conn, user_id, group_id))
            known = await contacts.addresses(change.conn, user_id)
            if address not in known and len(known) >= CONTACTS_MOST:
                raise Conflict(f"more than {CONTACTS_MOST} contacts", code="LimitExceeded")
            if not await contacts.add(change.conn, user_id, group_id, address):
                raise Conflict("the contact is in that group already", code="AlreadyExists")
            queues = await contacts.told_queues(change.conn, user_id)
            if address not in known:
                _tell_listed(change, queues, [address], "added", None)
            _tell_listed(change, queues, [address], "added", group.id)
        return Membership(group_id=group_id, address=address)

    async def remove(self, user_id: UUID, address: str) -> None:
        """From all groups. Raises NotFound when it is in none."""
        async with self._changes.of(user_id) as change:
            groups = await contacts.groups_of(change.conn, user_id, address)
            if not groups:
                raise NotFound("that is none of your contacts")
            await self._remove_from(change, address, groups)

    async def remove_membership(self, user_id: UUID, group_id: str, address: str) -> None:
        """With the last one it is no contact any more. Raises NotFound."""
        async with self._changes.of(user_id) as change:
            if group_id not in await contacts.groups_of(change.conn, user_id, address):
                raise _no_member()
            await self._remove_from(change, address, [group_id])

    async def _remove_from(self, change: Changing, address: str, groups: Collection[str]) -> None:
        queues = await contacts.told_queues(change.conn, change.user_id)
        for group_id in groups:
            await contacts.remove(change.conn, change.user_id, group_id, address)
            _tell_listed(change, queues, [address], "deleted", group_id)
        if not await contacts.groups_of(change.conn, change.user_id, address):
            _tell_listed(change, queues, [address], "deleted", None)

    # --- groups -------------------------------------------------------------------------------

    async def create_group(self, user_id: UUID, name: str) -> Group:
        """Raises Conflict (AlreadyExists, TooManyGroups)."""
        async with self._changes.of(user_id) as change:
            there = await contacts.groups(change.conn, user_id)
            _require_free(there, name)
            if len(there) >= GROUPS_MOST:
                raise Conflict(f"more than {GROUPS_MOST} groups", code="TooManyGroups")
            created = await contacts.add_group(change.conn, user_id, name)
            await _tell_group(change, created, "added")
        return created

    async def rename_group(self, user_id: UUID, group_id: str, name: str, check: Check) -> Group:
        """Raises NotFound, Forbidden for one that everybody has, Conflict (AlreadyExists), and what `check` does
        with the group as it is."""
        async with self._changes.of(user_id) as change:
            group = _personal(await contacts.group(change.conn, user_id, group_id))
            check(group)
            if name == group.name:
                return group
            _require_free(await contacts.groups(change.conn, user_id), name)
            await contacts.rename_group(change.conn, user_id, group_id, name)
            renamed = Group(id=group.id, name=name)
            await _tell_group(change, renamed, "updated")
        return renamed

    async def delete_group(
        self, user_id: UUID, group_id: str, check: Callable[[Group], None]
    ) -> None:
        """Contacts that are in no other group go to the default one. `check` is given what was there before, and
        raises what does not fit it. Raises NotFound, Forbidden."""
        async with self._changes.of(user_id) as change:
            group = _personal(await contacts.group(change.conn, user_id, group_id))
            check(group)
            moved = await contacts.remove_group(change.conn, user_id, group_id)
            await _tell_group(change, group, "deleted")
            if moved:
                queues = await contacts.told_queues(change.conn, user_id)
                _tell_listed(change, queues, moved, "added", DEFAULT_GROUP)


def _tell_listed(
    change: Changing,
    queues: Collection[UUID],
    addresses: list[str],
    what: Literal["added", "deleted"],
    group_id: str | None,
) -> None:
    """In a group, or (None) on the contact list."""
    event = UcwaListed(
        sent_date=change.now,
        addresses=addresses,
        change=what,
        collection=_collection(group_id),
        group_id=group_id,
    )
    change.tell(event, queues, Urgency.HIGH)


def _collection(group_id: str | None) -> schemas.Collection:
    if group_id is None:
        return "myContacts"
    return rel_of(group_id)


async def _tell_group(change: Changing, group: Group, what: Change) -> None:
    event = UcwaGroup(sent_date=change.now, group_id=group.id, name=group.name, change=what)
    queues = await contacts.told_queues(change.conn, change.user_id)
    change.tell(event, queues, Urgency.HIGH)


def _require_free(there: Collection[Group], name: str) -> None:
    if any(group.name.lower() == name.lower() for group in there):
        raise Conflict(f"there is a group {name!r} already", code="AlreadyExists")


def _found(group: Group | None) -> Group:
    if group is None:
        raise NotFound("you have no such group")
    return group


def _personal(group: Group | None) -> Group:
    found = _found(group)
    if not found.personal:
        raise Forbidden(f"everybody has the group {found.name!r}: it stays as it is")
    return found


def _no_member() -> NotFound:
    return NotFound("that contact is not in that group")
