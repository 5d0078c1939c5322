"""The access list: who is a member, and who of them moderates."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from conference.domain.facts import Outgoing
from conference.domain.leaving import take_out
from conference.domain.meeting import Change, Command, Meeting, with_item, without
from conference.domain.policy import require_member, require_moderator
from conference.domain.waiting_room import accept, reject
from conference.errors import Conflict, NotFound
from schemas.terms import QueueStatus, UserType


class SetMember(Command, frozen=True, kw_only=True):
    by: UUID
    user: UUID
    user_type: UserType


class RemoveMember(Command, frozen=True, kw_only=True):
    by: UUID
    user: UUID


def set_member(meeting: Meeting, command: SetMember, now: datetime) -> Change:
    """Raises Conflict when it would demote the owner. A moderator need not wait: a row is accepted."""
    require_moderator(meeting, command.by)
    if command.user == meeting.owner_id and command.user_type is not UserType.MODERATOR:
        raise Conflict("the owner of a meeting stays its moderator", code="owner_stays")
    entry = meeting.queue.get(command.user)
    changed = replace(meeting, members=with_item(meeting.members, command.user, command.user_type))
    waits = entry is not None and entry.status is QueueStatus.WAITING
    if entry is None or not waits or command.user_type is not UserType.MODERATOR:
        return changed, []
    return accept(changed, entry, now)


def remove_member(meeting: Meeting, command: RemoveMember, now: datetime) -> Change:
    """By a moderator, or by the member themselves. Takes them out of the meeting.

    Raises Conflict for the owner, NotFound for someone who is not on the list.
    """
    own = command.by == command.user
    if own:
        require_member(meeting, command.by)
    else:
        require_moderator(meeting, command.by)
    if command.user not in meeting.members:
        raise NotFound("the user is not on this meeting's access list", code="not_a_member")
    if command.user == meeting.owner_id:
        raise Conflict("the owner of a meeting stays on its list", code="owner_stays")
    told: list[Outgoing] = []
    changed = meeting
    entry = meeting.queue.get(command.user)
    if entry is not None and entry.status is QueueStatus.ACCEPTED:
        changed, told = reject(changed, entry, now)
    if command.user in meeting.participants:
        changed, left = (
            take_out(changed, command.user, now)
            if own
            else take_out(changed, command.user, now, reason="removed", by=command.by)
        )
        told = told + left
    members, admitted = (
        without(items, command.user) for items in (changed.members, changed.admitted)
    )
    return replace(changed, members=members, admitted=admitted), told
