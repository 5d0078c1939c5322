"""Bodies of the meetings family, as the published Meeting API has them; what is ours beyond it says so."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from schemas.descriptions import ANSWER, OFFER
from schemas.terms import (
    JoinStatus,
    MeetingType,
    QueueUpdateStatus,
    StreamType,
    UserType,
)
from schemas.wire import StrictWire, Wire

NAME_LONGEST = 1024

Name = Annotated[
    str,
    Meta(
        max_length=NAME_LONGEST,
        pattern=r"^[^\u0000]*$",
        description="text without NUL characters",
    ),
]
Moment = Annotated[datetime, Meta(tz=True)]
"""A date and time with its offset, RFC 3339."""

Sdp = Annotated[
    str,
    Meta(
        min_length=1,
        description=(
            f"a session description (RFC 8866): of an offer at most {OFFER.octets // 1024} KiB, {OFFER.lines} lines "
            f"and {OFFER.media} m-lines, of an answer {ANSWER.octets // 1024} KiB, {ANSWER.lines} lines and "
            f"{ANSWER.media} m-lines"
        ),
    ),
]


# --- requests -----------------------------------------------------------------------------------


class NewMeetingData(StrictWire, frozen=True, kw_only=True):
    """`roomId` refers to a room kept elsewhere; one meeting per room. `expiration` is for scheduled meetings.

    `name` may be empty: rooms of two people have none of their own.
    """

    name: Name
    meeting_type: MeetingType
    room_id: UUID | None = None
    expiration: Moment | None = None


class JoinSettings(StrictWire, frozen=True, kw_only=True):
    """What the user would like to publish; honoured once the media is up."""

    audio_stream_enabled: bool
    video_stream_enabled: bool


class QueuedUserUpdate(StrictWire, frozen=True, kw_only=True):
    status: QueueUpdateStatus = QueueUpdateStatus.ACCEPTED


class MemberSettings(StrictWire, frozen=True, kw_only=True):
    """Ours: what the user shall be on the access list."""

    user_type: UserType


class MediaStreamSettings(StrictWire, frozen=True, kw_only=True):
    """`sdp` is the offer; it is needed to enable. Enabling again with a new offer negotiates anew."""

    type: StreamType
    enabled: bool
    sdp: Sdp | None = None


class AudioStreamSettings(StrictWire, frozen=True, kw_only=True):
    """`userToModerate`: another user, whom a moderator mutes; needs `enabled` false."""

    enabled: bool
    user_to_moderate: UUID | None = None


class SessionDescriptionProtocol(StrictWire, frozen=True, kw_only=True):
    sdp: Sdp


class MediaStream(StrictWire, frozen=True, kw_only=True):
    user_id: UUID
    type: StreamType


MediaStreams = Annotated[list[MediaStream], Meta(max_length=1000)]


class SubscriptionUpdates(StrictWire, frozen=True, kw_only=True):
    subscribe: MediaStreams
    unsubscribe: MediaStreams


# --- responses ----------------------------------------------------------------------------------


class PublicMeeting(Wire, frozen=True, kw_only=True):
    name: str


class PublicInvitation(Wire, frozen=True, kw_only=True):
    """Ours: the meeting that a join code leads to."""

    meeting_id: UUID
    name: str


class MeetingUser(Wire, frozen=True, kw_only=True):
    """A user on the access list of a meeting."""

    user_id: UUID
    user_type: UserType


class Participant(Wire, frozen=True, kw_only=True):
    user_id: UUID
    user_type: UserType
    queue_id: UUID
    audio_stream_enabled: bool
    video_stream_enabled: bool
    screen_stream_enabled: bool
    joined_at: datetime


class Meeting(Wire, frozen=True, kw_only=True):
    """`expiration`, `joinCode`, `userType` and `waiting` are ours. What is not set is left out.

    `userType`: what the caller is on the access list. `waiting`: how many wait to be let in, for moderators.
    """

    id: UUID
    name: str
    active: bool
    participants: list[Participant]
    created_at: datetime
    meeting_type: MeetingType
    join_code: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{10}$")]
    room_id: UUID | None = None
    started_at: datetime | None = None
    expiration: datetime | None = None
    rec_started_at: datetime | None = None
    rec_user_id: UUID | None = None
    user_type: UserType | None = None
    waiting: int | None = None


class JoinMeetingResult(Wire, frozen=True, kw_only=True):
    """`moderated` is ours: whether a moderator, who could let the caller in, is in the meeting."""

    status: JoinStatus
    moderated: bool


class QueuedUsers(Wire, frozen=True, kw_only=True):
    users: list[UUID]


class User(Wire, frozen=True, kw_only=True):
    """Ours: what clients show of a user."""

    id: UUID
    name: str
