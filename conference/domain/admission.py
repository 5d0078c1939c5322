"""Who gets in, who waits, who goes: joining, the waiting room, leaving, and the access list.

A permanent meeting is open to its access list. Into a scheduled one only moderators walk straight. Where a meeting
has a door, the door says who does (see `door`). Everyone else, members included, has one row in the waiting room:

    no row --join--> WAITING --accept--> ACCEPTED --join--> in the meeting, no row
                     WAITING --accept--> in the meeting, no row: one who `enters` by being let in
                     WAITING, ACCEPTED --reject, withdraw, channel gone, stop--> no row

Accepting makes the user a member, and so does walking in through a door. Being in already is decided first: the
same channel again is a conflict, another one takes over.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec.structs import replace

from conference.domain import door
from conference.domain.door import Door, Guest
from conference.domain.facts import Audience, Outgoing
from conference.domain.lifecycle import started, stopped
from conference.domain.meeting import (
    Change,
    Command,
    Meeting,
    Participant,
    QueueEntry,
    with_item,
    without,
)
from conference.domain.policy import require_member, require_moderator, require_participant
from conference.errors import Conflict, MediaFailed, NotFound
from schemas.events import (
    ParticipantClashed,
    ParticipantJoined,
    ParticipantLeft,
    WaitingParticipantAccepted,
    WaitingParticipantClashed,
    WaitingParticipantJoined,
    WaitingParticipantRejected,
)
from schemas.terms import QueueStatus, QueueUpdateStatus, UserType


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


class Leave(Command, frozen=True, kw_only=True):
    by: UUID


class UpdateQueued(Command, frozen=True, kw_only=True):
    """A moderator lets `user` in or turns them away; `user` may turn back by themselves."""

    by: UUID
    user: UUID
    status: QueueUpdateStatus


class Eject(Command, frozen=True, kw_only=True):
    """A moderator takes `user` out of the meeting."""

    by: UUID
    user: UUID


class ChannelGone(Command, frozen=True, kw_only=True):
    """Nobody reads this channel any more: whoever joined or waits with it is out."""

    queue_id: UUID


class SetMember(Command, frozen=True, kw_only=True):
    by: UUID
    user: UUID
    user_type: UserType


class RemoveMember(Command, frozen=True, kw_only=True):
    by: UUID
    user: UUID


# --- joining ----------------------------------------------------------------------------------

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
    way = _way_in(meeting, command)
    if way == "refuse":
        require_member(meeting, command.by)
    if way == "enter":
        return _enter(meeting, command, now)
    if way == "stay":
        return meeting, []
    return _queue_up(meeting, command, now)


def _way_in(meeting: Meeting, command: Join) -> Way:
    standing, row = _standing(meeting, command.by), _row(meeting, command)
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
        email=command.email,
        org=command.org,
        anonymous=command.anonymous,
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


def _row(meeting: Meeting, command: Join) -> Row:
    entry = meeting.queue.get(command.by)
    if entry is None:
        return "none"
    if entry.status is QueueStatus.ACCEPTED:
        return "accepted"
    return "waiting_here" if entry.queue_id == command.queue_id else "waiting_elsewhere"


def _enter(meeting: Meeting, command: Join, now: datetime) -> Change:
    listed = _listed(meeting, command.by, _role(meeting, command))
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
    entered, joined = _seat(listed, participant, now)
    return entered, told + joined


def _seat(
    meeting: Meeting, participant: Participant, now: datetime
) -> tuple[Meeting, list[Outgoing]]:
    user = participant.user_id
    seated = replace(
        meeting,
        participants=with_item(meeting.participants, user, participant),
        queue=without(meeting.queue, user),
    )
    event = ParticipantJoined(sent_date=now, meeting_id=meeting.id, user_id=user)
    return seated, [Outgoing(event=event, audience=meeting.to_members())]


def _listed(meeting: Meeting, user: UUID, role: UserType) -> Meeting:
    """On the access list as `role` at least."""
    if user in meeting.members and role is not UserType.MODERATOR:
        return meeting
    return replace(meeting, members=with_item(meeting.members, user, role))


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
    left = ParticipantLeft(sent_date=now, meeting_id=meeting.id, user_id=command.by)
    clashed = ParticipantClashed(sent_date=now, meeting_id=meeting.id)
    joined = ParticipantJoined(sent_date=now, meeting_id=meeting.id, user_id=command.by)
    members = meeting.to_members()
    return taken, [
        Outgoing(event=left, audience=members),
        Outgoing(event=clashed, audience=_only(present.queue_id)),
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
        return queued, [Outgoing(event=clashed, audience=_only(before.queue_id))]
    event = WaitingParticipantJoined(sent_date=now, meeting_id=meeting.id, user_id=command.by)
    return queued, [Outgoing(event=event, audience=meeting.to_moderators())]


# --- the waiting room -------------------------------------------------------------------------


def update_queued(meeting: Meeting, command: UpdateQueued, now: datetime) -> Change:
    """Raises Forbidden for others than moderators and the one who withdraws, NotFound if not queued."""
    rejected = command.status is QueueUpdateStatus.REJECTED
    if not (rejected and command.by == command.user):
        require_moderator(meeting, command.by)
    entry = meeting.queue.get(command.user)
    if entry is None:
        raise NotFound("the user is not in the waiting room", code="not_queued")
    return _reject(meeting, entry, now) if rejected else _accept(meeting, entry, now)


def _accept(meeting: Meeting, entry: QueueEntry, now: datetime) -> Change:
    event = WaitingParticipantAccepted(sent_date=now, meeting_id=meeting.id, user_id=entry.user_id)
    audience = meeting.to_moderators() | _only(entry.queue_id)
    told = [Outgoing(event=event, audience=audience)]
    listed = _listed(meeting, entry.user_id, entry.role)
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
    entered, joined = _seat(meeting, participant, now)
    return entered, told + joined


def _reject(meeting: Meeting, entry: QueueEntry, now: datetime) -> tuple[Meeting, list[Outgoing]]:
    """Also for one let in already who has not joined yet; being a member stays."""
    event = WaitingParticipantRejected(sent_date=now, meeting_id=meeting.id, user_id=entry.user_id)
    audience = meeting.to_moderators() | _only(entry.queue_id)
    changed = replace(meeting, queue=without(meeting.queue, entry.user_id))
    return changed, [Outgoing(event=event, audience=audience)]


# --- leaving ----------------------------------------------------------------------------------


def leave(meeting: Meeting, command: Leave, now: datetime) -> Change:
    require_member(meeting, command.by)
    if command.by not in meeting.participants:
        return meeting, []
    return _take_out(meeting, command.by, now)


def eject(meeting: Meeting, command: Eject, now: datetime) -> Change:
    """They are no moderator any more, so that a waiting room holds them back next time.

    Raises Conflict for the owner, NotFound for someone who is not in the meeting.
    """
    require_moderator(meeting, command.by)
    require_participant(meeting, command.user)
    if command.user == meeting.owner_id:
        raise Conflict("the owner of a meeting can't be taken out of it", code="owner_stays")
    members = with_item(meeting.members, command.user, UserType.REGISTERED)
    return _take_out(replace(meeting, members=members), command.user, now)


def _take_out(meeting: Meeting, user: UUID, now: datetime) -> tuple[Meeting, list[Outgoing]]:
    """The last one out ends the meeting."""
    event = ParticipantLeft(sent_date=now, meeting_id=meeting.id, user_id=user)
    told = [Outgoing(event=event, audience=meeting.to_members())]
    remaining = replace(meeting, participants=without(meeting.participants, user))
    if remaining.participants:
        return remaining, told
    ended, end = stopped(remaining, now)
    return ended, told + end


def channel_gone(meeting: Meeting, command: ChannelGone, now: datetime) -> Change:
    told: list[Outgoing] = []
    for entry in meeting.queue.values():
        if entry.queue_id == command.queue_id:
            meeting, rejected = _reject(meeting, entry, now)
            told += rejected
    for participant in meeting.participants.values():
        if participant.queue_id == command.queue_id:
            meeting, left = _take_out(meeting, participant.user_id, now)
            told += left
    return meeting, told


# --- the access list --------------------------------------------------------------------------


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
    return _accept(changed, entry, now)


def remove_member(meeting: Meeting, command: RemoveMember, now: datetime) -> Change:
    """By a moderator, or by the member themselves. Takes them out of the meeting.

    Raises Conflict for the owner, NotFound for someone who is not on the list.
    """
    if command.by != command.user:
        require_moderator(meeting, command.by)
    else:
        require_member(meeting, command.by)
    if command.user not in meeting.members:
        raise NotFound("the user is not on this meeting's access list", code="not_a_member")
    if command.user == meeting.owner_id:
        raise Conflict("the owner of a meeting stays on its list", code="owner_stays")
    told: list[Outgoing] = []
    changed = meeting
    entry = meeting.queue.get(command.user)
    if entry is not None and entry.status is QueueStatus.ACCEPTED:
        changed, told = _reject(changed, entry, now)
    if command.user in meeting.participants:
        changed, left = _take_out(changed, command.user, now)
        told = told + left
    return replace(changed, members=without(changed.members, command.user)), told


def _only(queue_id: UUID) -> Audience:
    """S: one client."""
    return Audience(queues=frozenset((queue_id,)))
