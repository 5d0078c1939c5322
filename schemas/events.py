"""Events of the meetings family, as clients read them from their channels.

Source: the Meeting API's event table (upper snake names). `type` is the tag. Every event carries `sentDate`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from schemas.terms import UserType
from schemas.wire import Wire

MediaType = Literal["VIDEO", "SCREEN"]
StopReason = Literal["last_left", "unused", "deleted"]
"""Why a meeting stopped; none: somebody stopped it. `unused`: nobody was in it for long."""
LeaveReason = Literal["removed", "lost", "replaced"]
"""Why somebody is out; none: they left. `lost`: nobody read their channel any more, or it was closed."""
RejectReason = Literal["withdrawn", "lost", "timed_out"]
"""Why nobody waits any more; none: a moderator turned them away. `timed_out`: nobody let them in for long."""


class Event(Wire, frozen=True, kw_only=True, tag_field="type"):
    sent_date: datetime


class MeetingEvent(Event, frozen=True, kw_only=True):
    meeting_id: UUID


class MeetingCreated(MeetingEvent, frozen=True, kw_only=True, tag="MEETING_CREATED"):
    room_id: UUID | None = None


class MeetingStarted(MeetingEvent, frozen=True, kw_only=True, tag="MEETING_STARTED"):
    starter_user: UUID
    started_at: datetime


class MeetingStopped(MeetingEvent, frozen=True, kw_only=True, tag="MEETING_STOPPED"):
    reason: StopReason | None = None


class MeetingDeleted(MeetingEvent, frozen=True, kw_only=True, tag="MEETING_DELETED"):
    pass


class MeetingMediaReset(MeetingEvent, frozen=True, kw_only=True, tag="MEETING_MEDIA_RESET"):
    """The meeting's media moved to another worker: every client negotiates anew. Our own event."""

    epoch: int


class ParticipantJoined(MeetingEvent, frozen=True, kw_only=True, tag="MEETING_PARTICIPANT_JOINED"):
    user_id: UUID


class ParticipantLeft(MeetingEvent, frozen=True, kw_only=True, tag="MEETING_PARTICIPANT_LEFT"):
    """`moderator_id`: who removed them."""

    user_id: UUID
    reason: LeaveReason | None = None
    moderator_id: UUID | None = None


class ParticipantRoleChanged(
    MeetingEvent, frozen=True, kw_only=True, tag="MEETING_PARTICIPANT_ROLE_CHANGED"
):
    """Somebody in the meeting was made a moderator, or is none any more. Our own event."""

    user_id: UUID
    user_type: UserType


class ModerationChanged(MeetingEvent, frozen=True, kw_only=True, tag="MEETING_MODERATION_CHANGED"):
    """The first moderator came in, or the last one went. Our own event."""

    moderated: bool


class ParticipantClashed(
    MeetingEvent, frozen=True, kw_only=True, tag="MEETING_PARTICIPANT_CLASHED"
):
    pass


class WaitingParticipantJoined(
    MeetingEvent, frozen=True, kw_only=True, tag="MEETING_WAITING_PARTICIPANT_JOINED"
):
    user_id: UUID


class WaitingParticipantAccepted(
    MeetingEvent, frozen=True, kw_only=True, tag="MEETING_WAITING_PARTICIPANT_ACCEPTED"
):
    user_id: UUID


class WaitingParticipantRejected(
    MeetingEvent, frozen=True, kw_only=True, tag="MEETING_WAITING_PARTICIPANT_REJECTED"
):
    user_id: UUID
    reason: RejectReason | None = None


class WaitingParticipantClashed(
    MeetingEvent, frozen=True, kw_only=True, tag="MEETING_WAITING_PARTICIPANT_CLASHED"
):
    pass


class AudioStreamChanged(
    MeetingEvent, frozen=True, kw_only=True, tag="MEETING_AUDIO_STREAM_CHANGED"
):
    user_id: UUID
    active: bool
    moderator_id: UUID | None = None


class MediaStreamChanged(
    MeetingEvent, frozen=True, kw_only=True, tag="MEETING_MEDIA_STREAM_CHANGED"
):
    user_id: UUID
    media_type: MediaType
    active: bool


class AudioAnswered(MeetingEvent, frozen=True, kw_only=True, tag="MEETING_AUDIO_ANSWERED"):
    user_id: UUID
    sdp: str


class SdpAnswered(MeetingEvent, frozen=True, kw_only=True, tag="MEETING_SDP_ANSWERED"):
    user_id: UUID
    media_type: MediaType
    sdp: str


class SdpOffered(MeetingEvent, frozen=True, kw_only=True, tag="MEETING_SDP_OFFERED"):
    user_id: UUID
    media_type: MediaType
    sdp: str


class ConnectionLost(MeetingEvent, frozen=True, kw_only=True, tag="MEETING_CONNECTION_LOST"):
    """One of the user's own connections ended, or never came up; `reason` is for programs, `message` for people."""

    user_id: UUID
    connection: Literal["audio", "video", "screen", "inbound"]
    reason: str
    message: str


class SubscribedStream(Wire, frozen=True, kw_only=True):
    type: Literal["video", "screen"]
    user_id: UUID
    mid: str


class ParticipantSubscribed(
    MeetingEvent, frozen=True, kw_only=True, tag="MEETING_PARTICIPANT_SUBSCRIBED"
):
    """The full current list of the user's inbound streams, not a delta."""

    user_id: UUID
    streams: list[SubscribedStream]


class SubscriptionPaused(
    MeetingEvent, frozen=True, kw_only=True, tag="MEETING_SUBSCRIPTION_PAUSED"
):
    """The way to the recipient does not carry this picture of the user's; not paused: it is tried again. Our own."""

    user_id: UUID
    media_type: MediaType
    paused: bool


class ParticipantTalking(
    MeetingEvent, frozen=True, kw_only=True, tag="MEETING_PARTICIPANT_TALKING"
):
    user_id: UUID
    is_talking: bool


AnyMeetingEvent = (
    MeetingCreated
    | MeetingStarted
    | MeetingStopped
    | MeetingDeleted
    | MeetingMediaReset
    | ParticipantJoined
    | ParticipantLeft
    | ParticipantRoleChanged
    | ModerationChanged
    | ParticipantClashed
    | WaitingParticipantJoined
    | WaitingParticipantAccepted
    | WaitingParticipantRejected
    | WaitingParticipantClashed
    | AudioStreamChanged
    | MediaStreamChanged
    | AudioAnswered
    | SdpAnswered
    | SdpOffered
    | ConnectionLost
    | ParticipantSubscribed
    | SubscriptionPaused
    | ParticipantTalking
)
