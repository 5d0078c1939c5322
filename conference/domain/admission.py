"""Joining: who gets in, who waits, who is refused.

A permanent meeting is open to its access list. Into a scheduled one only moderators walk straight. Where a meeting
has a door, the door says who does (see `door`). Everyone else, members included, has one row in the waiting room:

    no row --join--> WAITING --accept--> ACCEPTED --join--> in the meeting, no row
                     WAITING --accept--> in the meeting, no row: one who `enters` by being let in
                     WAITING, ACCEPTED --reject, withdraw, channel gone, stop--> no row
    in the meeting --connection lost--> ACCEPTED without a row, for a while (see `leaving`)

Accepting makes the user a member, and so does walking in through a door. Being in already is decided first: the
same channel again is a conflict, another one takes over.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec.structs import replace

from conference.domain import door
from conference.domain.door import Door, Guest, Visitor
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
)
from conference.domain.policy import require_member
from conference.domain.seating import seat, with_member
from conference.errors import Conflict, MediaFailed
from schemas.events import (
    ParticipantClashed,
    ParticipantJoined,
    ParticipantLeft,
    WaitingParticipantClashed,
    WaitingParticipantJoined,
)
from schemas.terms import QueueStatus, UserType


class Join(Command, frozen=True, kw_only=True):
    """`queue_id` is a channel of the user's; `audio` and `video` say what the user would like to publish.

    `email`, `org` and `anonymous` are for the meeting's door, if it has one. `starts`: a meeting that is not active
    is started; one with a door always is, by the first who walks in. `enters`: somebody who has to wait is in once
    they are let in, without joining again.
    """

    by: UUID
    queue_id: UUID
    audio: bool
    video: bool
    email: str = ""
    org: str = ""
    anonymous: bool = False
    starts: bool = False
    enters: bool = False


Standing = Literal["moderator", "member", "outsider"]
Row = Literal["none", "waiting_here", "waiting_elsewhere", "accepted"]
Way = Literal["enter", "queue", "stay", "move", "refuse"]

PERMANENT_DOOR: dict[Standing, Way] = {
    "moderator": "enter",
    "member": "enter",
    "outsider": "refuse",
}
SCHEDULED_DOOR: dict[tuple[Standing, Row], Way] = {
    ("moderator", "none"): "enter",
    ("moderator", "waiting_here"): "enter",
    ("moderator", "waiting_elsewhere"): "enter",
    ("moderator", "accepted"): "enter",
    ("member", "none"): "queue",
    ("member", "waiting_here"): "stay",
    ("member", "waiting_elsewhere"): "move",
    ("member", "accepted"): "enter",
    ("outsider", "none"): "queue",
    ("outsider", "waiting_here"): "stay",
    ("outsider", "waiting_elsewhere"): "move",
    ("outsider", "accepted"): "queue",  # removed from the list since: someone must let them in anew
}


def join(meeting: Meeting, command: Join, now: datetime) -> Change:
    """Raises Conflict (in already), Forbidden (not on the list), MediaFailed (the meeting is not active)."""
    present = meeting.participants.get(command.by)
    if present is not None:
        return _take_over(meeting, present, command, now)
    way = _way_in(meeting, command, now)
    if way == "refuse":
        require_member(meeting, command.by)
    if way == "enter":
        return _enter(meeting, command, now)
    if way == "stay":
        return meeting, []
    return _queue_up(meeting, command, now)


def _way_in(meeting: Meeting, command: Join, now: datetime) -> Way:
    standing, row = _standing(meeting, command.by), _row(meeting, command, now)
    if meeting.door is not None:
        guest = _guest(meeting, meeting.door, command)
        return "enter" if door.walks_in(meeting.door, guest) else SCHEDULED_DOOR[standing, row]
    if not meeting.scheduled:
        return PERMANENT_DOOR[standing]
    return SCHEDULED_DOOR[standing, row]


def _guest(meeting: Meeting, at: Door, command: Join) -> Guest:
    return door.guest(
        at,
        meeting.members.get(command.by),
        Visitor(email=command.email, org=command.org, anonymous=command.anonymous),
    )


def _role(meeting: Meeting, command: Join) -> UserType:
    """What the access list will say of them once they are in."""
    if meeting.door is None:
        return meeting.members.get(command.by, UserType.REGISTERED)
    return door.role_of(meeting.door, _guest(meeting, meeting.door, command))


def _standing(meeting: Meeting, user: UUID) -> Standing:
    if meeting.is_moderator(user):
        return "moderator"
    return "member" if user in meeting.members else "outsider"


def _row(meeting: Meeting, command: Join, now: datetime) -> Row:
    until = meeting.admitted.get(command.by)
    if until is not None and now < until:
        return "accepted"
    entry = meeting.queue.get(command.by)
    if entry is None:
        return "none"
    if entry.status is QueueStatus.ACCEPTED:
        return "accepted"
    return "waiting_here" if entry.queue_id == command.queue_id else "waiting_elsewhere"


def _enter(meeting: Meeting, command: Join, now: datetime) -> Change:
    listed = with_member(meeting, command.by, _role(meeting, command))
    told: list[Outgoing] = []
    if not meeting.active:
        if not command.starts and meeting.door is None:
            raise MediaFailed("the meeting has not started", code="meeting_not_active")
        listed, told = started(listed, command.by, now)
    participant = Participant(
        user_id=command.by,
        queue_id=command.queue_id,
        joined_at=now,
        wants_audio=command.audio,
        wants_video=command.video,
    )
    entered, joined = seat(listed, participant, now)
    return entered, told + joined


def _take_over(meeting: Meeting, present: Participant, command: Join, now: datetime) -> Change:
    """The same user from another client: the older client is told and out, the time of joining stays."""
    if present.queue_id == command.queue_id:
        raise Conflict("this channel has joined the meeting already", code="already_joined")
    successor = Participant(
        user_id=command.by,
        queue_id=command.queue_id,
        joined_at=present.joined_at,
        wants_audio=command.audio,
        wants_video=command.video,
    )
    taken = replace(meeting, participants=with_item(meeting.participants, command.by, successor))
    left = ParticipantLeft(
        sent_date=now, meeting_id=meeting.id, user_id=command.by, reason="replaced"
    )
    clashed = ParticipantClashed(sent_date=now, meeting_id=meeting.id)
    joined = ParticipantJoined(sent_date=now, meeting_id=meeting.id, user_id=command.by)
    members = meeting.to_members()
    return taken, [
        Outgoing(event=left, audience=members),
        Outgoing(event=clashed, audience=only(present.queue_id)),
        Outgoing(event=joined, audience=members),
    ]


def _queue_up(meeting: Meeting, command: Join, now: datetime) -> Change:
    """A new row, or the row moves to another client of the same user; its place in the line stays."""
    before = meeting.queue.get(command.by)
    entry = QueueEntry(
        user_id=command.by,
        queue_id=command.queue_id,
        status=QueueStatus.WAITING,
        queued_at=before.queued_at if before else now,
        role=_role(meeting, command),
        enters=command.enters,
    )
    queued = replace(meeting, queue=with_item(meeting.queue, command.by, entry))
    if before is not None and before.status is QueueStatus.WAITING:
        clashed = WaitingParticipantClashed(sent_date=now, meeting_id=meeting.id)
        return queued, [Outgoing(event=clashed, audience=only(before.queue_id))]
    event = WaitingParticipantJoined(sent_date=now, meeting_id=meeting.id, user_id=command.by)
    return queued, [Outgoing(event=event, audience=meeting.to_moderators())]
