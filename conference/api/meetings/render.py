"""Domain states as the family's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from conference.domain import meeting as domain
from schemas import meetings as wire
from schemas.terms import QueueStatus, UserType


def meeting(state: domain.Meeting, reader: UUID | None = None) -> wire.Meeting:
    """As `reader`, a member, may know it."""
    return wire.Meeting(
        id=state.id,
        name=state.name,
        room_id=state.room_id,
        active=state.active,
        participants=[_participant(state, item) for item in state.participants.values()],
        created_at=state.created_at,
        started_at=state.started_at,
        meeting_type=state.meeting_type,
        expiration=state.expiration,
        join_code=state.join_code,
        rec_started_at=state.rec_started_at,
        rec_user_id=state.rec_user_id,
        user_type=state.members.get(reader) if reader else None,
        waiting=_waiting(state) if reader and state.is_moderator(reader) else None,
    )


def _waiting(state: domain.Meeting) -> int:
    return sum(entry.status is QueueStatus.WAITING for entry in state.queue.values())


def _participant(state: domain.Meeting, item: domain.Participant) -> wire.Participant:
    return wire.Participant(
        user_id=item.user_id,
        user_type=state.members.get(item.user_id, UserType.REGISTERED),
        queue_id=item.queue_id,
        audio_stream_enabled=item.audio,
        video_stream_enabled=item.video,
        screen_stream_enabled=item.screen,
        joined_at=item.joined_at,
    )


def members(access_list: Mapping[UUID, UserType]) -> list[wire.MeetingUser]:
    return [
        wire.MeetingUser(user_id=user_id, user_type=user_type)
        for user_id, user_type in access_list.items()
    ]
