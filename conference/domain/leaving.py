"""Who goes: by themselves, taken out by a moderator, or because nobody reads their channel any more."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from conference.domain.facts import Outgoing
from conference.domain.lifecycle import stopped
from conference.domain.meeting import Change, Command, Meeting, with_item, without
from conference.domain.policy import require_member, require_moderator, require_participant
from conference.domain.waiting_room import reject
from conference.errors import Conflict
from schemas.events import ParticipantLeft
from schemas.terms import UserType


class Leave(Command, frozen=True, kw_only=True):
    by: UUID


class Eject(Command, frozen=True, kw_only=True):
    """A moderator takes `user` out of the meeting."""

    by: UUID
    user: UUID


class ChannelGone(Command, frozen=True, kw_only=True):
    """Nobody reads this channel any more: whoever joined or waits with it is out."""

    queue_id: UUID


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
    return take_out(replace(meeting, members=members), command.user, now)


def channel_gone(meeting: Meeting, command: ChannelGone, now: datetime) -> Change:
    told: list[Outgoing] = []
    for entry in meeting.queue.values():
        if entry.queue_id == command.queue_id:
            meeting, rejected = reject(meeting, entry, now)
            told += rejected
    for participant in meeting.participants.values():
        if participant.queue_id == command.queue_id:
            meeting, left = take_out(meeting, participant.user_id, now)
            told += left
    return meeting, told


def take_out(meeting: Meeting, user: UUID, now: datetime) -> tuple[Meeting, list[Outgoing]]:
    """The last one out ends the meeting."""
    event = ParticipantLeft(sent_date=now, meeting_id=meeting.id, user_id=user)
    told = [Outgoing(event=event, audience=meeting.to_members())]
    remaining = replace(meeting, participants=without(meeting.participants, user))
    if remaining.participants:
        return remaining, told
    ended, end = stopped(remaining, now)
    return ended, told + end
