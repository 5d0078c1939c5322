"""How a meeting begins and ends.

    inactive --start--> active --stop, or the last one leaves--> inactive
    active and nobody came in since --stop unused--> inactive
    either --delete--> gone;  empty and past its expiration --expire--> gone

Starting an active meeting and stopping an inactive one change nothing and are told again.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from conference.domain.facts import Outgoing
from conference.domain.meeting import Change, Command, Meeting
from conference.domain.policy import require_member, require_moderator, require_owner
from schemas.events import (
    MeetingCreated,
    MeetingDeleted,
    MeetingStarted,
    MeetingStopped,
    StopReason,
)
from schemas.terms import UserType


class Start(Command, frozen=True, kw_only=True):
    """`worker` holds the media if the meeting is not active yet; None leaves that to the first media call."""

    by: UUID
    worker: str | None = None


class Stop(Command, frozen=True, kw_only=True):
    by: UUID


class StopUnused(Command, frozen=True, kw_only=True):
    """Stop the meeting if it started at `since` or before, and nobody is in it."""

    since: datetime


class Delete(Command, frozen=True, kw_only=True):
    by: UUID


class Expire(Command, frozen=True, kw_only=True):
    """Remove the meeting if it is scheduled, past its expiration and nobody is in it."""


def created(draft: Meeting, now: datetime) -> tuple[Meeting, list[Outgoing]]:
    """A new meeting: its owner moderates it."""
    meeting = replace(draft, members={**draft.members, draft.owner_id: UserType.MODERATOR})
    event = MeetingCreated(sent_date=now, meeting_id=meeting.id, room_id=meeting.room_id)
    return meeting, [Outgoing(event=event, audience=meeting.to_members())]


def start(meeting: Meeting, command: Start, now: datetime) -> Change:
    require_member(meeting, command.by)
    if not meeting.active and command.worker is not None:
        meeting = replace(meeting, worker_id=command.worker, media_epoch=meeting.media_epoch + 1)
    return started(meeting, command.by, now)


def started(meeting: Meeting, by: UUID, now: datetime) -> tuple[Meeting, list[Outgoing]]:
    if not meeting.active:
        meeting = replace(meeting, active=True, started_at=now)
    event = MeetingStarted(
        sent_date=now,
        meeting_id=meeting.id,
        starter_user=by,
        started_at=meeting.started_at or now,
    )
    return meeting, [Outgoing(event=event, audience=meeting.to_members())]


def stop(meeting: Meeting, command: Stop, now: datetime) -> Change:
    """Into a scheduled meeting, and behind a door, guests are let in and are members then: that takes a moderator."""
    if meeting.scheduled or meeting.door is not None:
        require_moderator(meeting, command.by)
    else:
        require_member(meeting, command.by)
    return stopped(replace(meeting, admitted={}), now)


def stop_unused(meeting: Meeting, command: StopUnused, now: datetime) -> Change:
    """The last one out stops a meeting, so one that runs with nobody in it has been empty since it started."""
    if not meeting.active or meeting.participants or meeting.started_at is None:
        return meeting, []
    if meeting.started_at > command.since:
        return meeting, []
    return stopped(meeting, now, "unused")


def stopped(
    meeting: Meeting, now: datetime, reason: StopReason | None = None
) -> tuple[Meeting, list[Outgoing]]:
    """Everyone is out, the waiting room is empty, and those who waited are told."""
    event = MeetingStopped(sent_date=now, meeting_id=meeting.id, reason=reason)
    told = Outgoing(event=event, audience=meeting.to_members() | meeting.to_waiting())
    ended = replace(
        meeting, active=False, started_at=None, worker_id=None, participants={}, queue={}
    )
    return ended, [told]


def delete(meeting: Meeting, command: Delete, now: datetime) -> Change:
    """The moderators; behind a door its owner alone."""
    if meeting.door is None:
        require_moderator(meeting, command.by)
    else:
        require_owner(meeting, command.by)
    return _gone(meeting, now)


def expire(meeting: Meeting, command: Expire, now: datetime) -> Change:
    if not meeting.scheduled or meeting.expiration is None or meeting.participants:
        return meeting, []
    if now < meeting.expiration:
        return meeting, []
    return _gone(meeting, now)


def _gone(meeting: Meeting, now: datetime) -> Change:
    """Someone in the waiting room knows the end as STOPPED, so that is said first where it applies."""
    told: list[Outgoing] = []
    if meeting.active or meeting.queue:
        told += stopped(meeting, now, "deleted")[1]
    event = MeetingDeleted(sent_date=now, meeting_id=meeting.id)
    audience = meeting.to_members() | meeting.to_waiting()
    return None, [*told, Outgoing(event=event, audience=audience)]
