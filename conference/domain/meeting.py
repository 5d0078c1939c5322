"""A meeting as one aggregate: its row, its access list, who is in it and who waits.

Values are replaced, never changed in place; treat the mappings as read-only.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import msgspec

from conference.domain.door import Door
from conference.domain.facts import Audience, Outgoing
from schemas.terms import MeetingType, QueueStatus, StreamType, UserType

Item = TypeVar("Item")


class Participant(msgspec.Struct, frozen=True, kw_only=True):
    """Someone in the meeting, with the channel of the client that joined.

    `wants_audio` is a wish from joining that is still open: it is honoured once the audio connection is up
    and dropped as soon as anybody decides about that microphone.
    """

    user_id: UUID
    queue_id: UUID
    joined_at: datetime
    audio: bool = False
    video: bool = False
    screen: bool = False
    wants_audio: bool = False
    wants_video: bool = False

    def streams(self, kind: StreamType) -> bool:
        return self.video if kind is StreamType.VIDEO else self.screen

    def with_stream(self, kind: StreamType, enabled: bool) -> Participant:
        if kind is StreamType.VIDEO:
            return msgspec.structs.replace(self, video=enabled)
        return msgspec.structs.replace(self, screen=enabled)


class QueueEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Someone in the waiting room, with the channel of the client that waits.

    `role`: what they become on the access list when they are let in. `enters`: their client does not join again
    then, so being let in is being in.
    """

    user_id: UUID
    queue_id: UUID
    status: QueueStatus
    queued_at: datetime
    role: UserType = UserType.REGISTERED
    enters: bool = False


class Meeting(msgspec.Struct, frozen=True, kw_only=True):
    """`worker_id` and `media_epoch` say where the media is; the epoch grows with each placement.

    `door` decides who walks in; None: the type of the meeting does (see `admission`).
    """

    id: UUID
    name: str
    meeting_type: MeetingType
    owner_id: UUID
    join_code: str
    created_at: datetime
    room_id: UUID | None = None
    active: bool = False
    started_at: datetime | None = None
    expiration: datetime | None = None
    rec_started_at: datetime | None = None
    rec_user_id: UUID | None = None
    worker_id: str | None = None
    media_epoch: int = 0
    door: Door | None = None
    members: Mapping[UUID, UserType] = {}
    participants: Mapping[UUID, Participant] = {}
    queue: Mapping[UUID, QueueEntry] = {}
    admitted: Mapping[UUID, datetime] = {}
    """Members whose connection was lost, and until when they come back without waiting."""

    @property
    def has_waiting_room(self) -> bool:
        return self.scheduled or self.door is not None

    @property
    def moderated(self) -> bool:
        """Whether a moderator is in it."""
        return any(self.is_moderator(user) for user in self.participants)

    @property
    def scheduled(self) -> bool:
        return self.meeting_type is MeetingType.SCHEDULED

    def is_moderator(self, user: UUID) -> bool:
        return self.members.get(user) is UserType.MODERATOR

    # Whom an event is for. The letters are those of the event table: R, O, P.

    def to_members(self) -> Audience:
        """R: everyone on the access list."""
        return Audience(users=frozenset(self.members))

    def to_moderators(self) -> Audience:
        """O: the moderators, in the meeting or not."""
        return Audience(users=frozenset(user for user in self.members if self.is_moderator(user)))

    def to_participants(self) -> Audience:
        """P: those in the meeting."""
        return Audience(users=frozenset(self.participants))

    def to_waiting(self) -> Audience:
        """Those whom nobody has let in or turned away yet."""
        return Audience(
            users=frozenset(
                entry.user_id
                for entry in self.queue.values()
                if entry.status is QueueStatus.WAITING
            )
        )


Change = tuple[Meeting | None, list[Outgoing]]
"""The new state, None when the meeting is gone, and what to tell whom, in order."""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what can be asked of a meeting."""


def with_item(items: Mapping[UUID, Item], key: UUID, item: Item) -> dict[UUID, Item]:
    return {**items, key: item}


def without(items: Mapping[UUID, Item], key: UUID) -> dict[UUID, Item]:
    return {other: item for other, item in items.items() if other != key}


def only(queue_id: UUID) -> Audience:
    """S: one client."""
    return Audience(queues=frozenset((queue_id,)))
