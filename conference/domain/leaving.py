"""Who goes: by themselves, taken out by a moderator, or because nobody reads their channel any more."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from msgspec.structs import replace

from conference.domain.facts import Outgoing
from conference.domain.lifecycle import stopped
from conference.domain.meeting import Change, Command, Meeting, with_item, without
from conference.domain.policy import require_member, require_moderator, require_participant
from conference.domain.waiting_room import reject
from conference.errors import Conflict
from schemas.events import LeaveReason, ParticipantLeft
from schemas.terms import QueueStatus, UserType

READMISSION = timedelta(minutes=10)
"""For how long somebody who lost the connection comes back without waiting: enough for a tunnel, a flat battery or a
restart of ours, and short enough that those who let them in are likely to be there still."""


class Leave(Command, frozen=True, kw_only=True):
    by: UUID


class Eject(Command, frozen=True, kw_only=True):
    """A moderator takes `user` out of the meeting."""

    by: UUID
    user: UUID


class ChannelGone(Command, frozen=True, kw_only=True):
    """Nobody reads this channel any more: whoever joined or waits with it is out.

    `on_purpose`: their client said that they leave, so nothing is kept for them.
    """

    queue_id: UUID
    on_purpose: bool = False


class ChannelsGone(Command, frozen=True, kw_only=True):
    """As `ChannelGone`, of several at once."""

    queue_ids: frozenset[UUID]


def leave(meeting: Meeting, command: Leave, now: datetime) -> Change:
    require_member(meeting, command.by)
    if command.by not in meeting.participants:
        return meeting, []
    return take_out(meeting, command.by, now)


def eject(meeting: Meeting, command: Eject, now: datetime) -> Change:
    """They are no moderator any more, so that a waiting room holds them back next time.

    Raises Conflict for the owner, NotFound for someone who is not in the meeting.
    """
    require_moderator(meeting, command.by)
    require_participant(meeting, command.user)
    if command.user == meeting.owner_id:
        raise Conflict("the owner of a meeting can't be taken out of it", code="owner_stays")
    members = with_item(meeting.members, command.user, UserType.REGISTERED)
    listed = replace(meeting, members=members)
    return take_out(listed, command.user, now, reason="removed", by=command.by)


def channel_gone(meeting: Meeting, command: ChannelGone, now: datetime) -> Change:
    told: list[Outgoing] = []
    lost = not command.on_purpose
    for entry in meeting.queue.values():
        if entry.queue_id == command.queue_id:
            meeting, rejected = reject(meeting, entry, now, "lost" if lost else "withdrawn")
            told += rejected
            if lost and entry.status is QueueStatus.ACCEPTED:
                meeting = readmitting(meeting, entry.user_id, now)
    for participant in meeting.participants.values():
        if participant.queue_id == command.queue_id:
            user = participant.user_id
            meeting = readmitting(meeting, user, now) if lost else meeting
            meeting, left = take_out(meeting, user, now, reason="lost" if lost else None)
            told += left
    return meeting, told


def channels_gone(meeting: Meeting, command: ChannelsGone, now: datetime) -> Change:
    """In the order in which they came. Each change of a long queue reads the whole of it, so there is one."""
    used = [entry.queue_id for entry in meeting.queue.values()]
    used += [participant.queue_id for participant in meeting.participants.values()]
    told: list[Outgoing] = []
    for queue_id in dict.fromkeys(used):
        if queue_id in command.queue_ids:
            after, more = channel_gone(meeting, ChannelGone(queue_id=queue_id), now)
            meeting = after or meeting
            told += more
    return meeting, told


def readmitting(meeting: Meeting, user: UUID, now: datetime) -> Meeting:
    """Whoever would wait otherwise comes back without, for a while."""
    if not meeting.has_waiting_room or meeting.is_moderator(user):
        return meeting
    return replace(meeting, admitted=with_item(meeting.admitted, user, now + READMISSION))


def take_out(
    meeting: Meeting,
    user: UUID,
    now: datetime,
    *,
    reason: LeaveReason | None = None,
    by: UUID | None = None,
) -> tuple[Meeting, list[Outgoing]]:
    """The last one out ends the meeting. `by`: the moderator who removed them."""
    event = ParticipantLeft(
        sent_date=now, meeting_id=meeting.id, user_id=user, reason=reason, moderator_id=by
    )
    told = [Outgoing(event=event, audience=meeting.to_members())]
    remaining = replace(meeting, participants=without(meeting.participants, user))
    if remaining.participants:
        return remaining, told
    ended, end = stopped(remaining, now, "last_left")
    return ended, told + end
