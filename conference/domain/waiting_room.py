"""The waiting room: who is let in, who is turned away.

Accepting makes the user a member. One who `enters` is in the meeting then; others join once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from conference.domain import door
from conference.domain.door import Visitor
from conference.domain.facts import Outgoing
from conference.domain.lifecycle import started
from conference.domain.meeting import (
    Change,
    Command,
    Meeting,
    Participant,
    QueueEntry,
    only,
    with_item,
    without,
)
from conference.domain.policy import require_moderator
from conference.domain.seating import seat, with_member
from conference.errors import NotFound
from schemas.events import RejectReason, WaitingParticipantAccepted, WaitingParticipantRejected
from schemas.terms import QueueStatus, QueueUpdateStatus


class UpdateQueued(Command, frozen=True, kw_only=True):
    """A moderator lets `user` in or turns them away; `user` may turn back by themselves."""

    by: UUID
    user: UUID
    status: QueueUpdateStatus


class TimeOut(Command, frozen=True, kw_only=True):
    """Whoever waits with this channel has waited for too long."""

    queue_id: UUID


def time_out(meeting: Meeting, command: TimeOut, now: datetime) -> Change:
    """One who was let in meanwhile is left alone."""
    for entry in meeting.queue.values():
        if entry.queue_id == command.queue_id and entry.status is QueueStatus.WAITING:
            return reject(meeting, entry, now, "timed_out")
    return meeting, []


def update_queued(meeting: Meeting, command: UpdateQueued, now: datetime) -> Change:
    """Raises Forbidden for others than moderators and the one who withdraws, NotFound if not queued."""
    rejected = command.status is QueueUpdateStatus.REJECTED
    if not (rejected and command.by == command.user):
        require_moderator(meeting, command.by)
    entry = meeting.queue.get(command.user)
    if entry is None:
        raise NotFound("the user is not in the waiting room", code="not_queued")
    if not rejected:
        return accept(meeting, entry, now)
    return reject(meeting, entry, now, "withdrawn" if command.by == command.user else None)


def look_again(
    meeting: Meeting, visitors: Mapping[UUID, Visitor], now: datetime
) -> tuple[Meeting, list[Outgoing]]:
    """The meeting's door has changed: who would walk in now is let in, longest waiting first; what the others
    become when they are let in is decided anew. Who is not among `visitors` waits on as before."""
    at = meeting.door
    if at is None:
        return meeting, []
    told: list[Outgoing] = []
    for entry in meeting.queue.values():
        visitor = visitors.get(entry.user_id)
        if visitor is None or entry.status is not QueueStatus.WAITING:
            continue
        who = door.guest(at, meeting.members.get(entry.user_id), visitor)
        entry = replace(entry, role=door.role_of(at, who))
        meeting = replace(meeting, queue=with_item(meeting.queue, entry.user_id, entry))
        if door.walks_in(at, who):
            meeting, let_in = accept(meeting, entry, now)
            told += let_in
    return meeting, told


def accept(meeting: Meeting, entry: QueueEntry, now: datetime) -> tuple[Meeting, list[Outgoing]]:
    event = WaitingParticipantAccepted(sent_date=now, meeting_id=meeting.id, user_id=entry.user_id)
    audience = meeting.to_moderators() | only(entry.queue_id)
    told = [Outgoing(event=event, audience=audience)]
    listed = with_member(meeting, entry.user_id, entry.role)
    if entry.enters:
        entered, walked = _walk_in(listed, entry, now)
        return entered, told + walked
    accepted = replace(entry, status=QueueStatus.ACCEPTED)
    return replace(listed, queue=with_item(meeting.queue, entry.user_id, accepted)), told


def _walk_in(meeting: Meeting, entry: QueueEntry, now: datetime) -> tuple[Meeting, list[Outgoing]]:
    """Nothing would come from their client that a meeting not active could wait for: so it starts."""
    told: list[Outgoing] = []
    if not meeting.active:
        meeting, told = started(meeting, entry.user_id, now)
    participant = Participant(user_id=entry.user_id, queue_id=entry.queue_id, joined_at=now)
    entered, joined = seat(meeting, participant, now)
    return entered, told + joined


def reject(
    meeting: Meeting, entry: QueueEntry, now: datetime, reason: RejectReason | None = None
) -> tuple[Meeting, list[Outgoing]]:
    """Also for one let in already who has not joined yet; being a member stays."""
    event = WaitingParticipantRejected(
        sent_date=now, meeting_id=meeting.id, user_id=entry.user_id, reason=reason
    )
    audience = meeting.to_moderators() | only(entry.queue_id)
    changed = replace(
        meeting,
        queue=without(meeting.queue, entry.user_id),
        admitted=without(meeting.admitted, entry.user_id),
    )
    return changed, [Outgoing(event=event, audience=audience)]
