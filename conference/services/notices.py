"""What workers notice, taken as commands: an offer to pass on, a stream that is up, a connection that is lost.

A notice of an earlier placement says nothing about the present one; one about someone who has left comes too late.
Both are dropped.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol
from uuid import UUID, uuid5

import asyncpg
import msgspec
import structlog

from conference.domain import media
from conference.domain.facts import Audience
from conference.domain.meeting import Command
from conference.errors import MediaFailed, NotFound, TooManyRequests
from conference.services.changes import Applied, Clock, MeetingChanges
from conference.services.media import MediaService
from conference.storage import glances
from schemas import events
from schemas.events import (
    Event,
    MediaType,
    ParticipantSubscribed,
    ParticipantTalking,
    SdpOffered,
    SubscribedStream,
    SubscriptionPaused,
)
from schemas.sfu import (
    AudioConnected,
    ConnectionLost,
    FeedPaused,
    Notice,
    Offered,
    Talking,
    VideoKind,
    VideoLive,
)
from schemas.terms import StreamType

_EVENTS_OF_NOTICES = UUID("0a9b0c54-5f0d-4c7c-9d3e-2f5f3e6f7a10")
_STREAM: dict[VideoKind, StreamType] = {"video": StreamType.VIDEO, "screen": StreamType.SCREEN}
_MEDIA_TYPE: dict[VideoKind, MediaType] = {"video": "VIDEO", "screen": "SCREEN"}

_log = structlog.get_logger(__name__)
_encoder = msgspec.json.Encoder()


class Channels(Protocol):
    async def publish(
        self, event_id: UUID | None, queue_ids: Collection[UUID], payload: bytes
    ) -> bool: ...

    async def publish_to(self, audience: Audience, event: Event) -> None: ...


class NoticeHandler:
    """`handle` may be called again for a notice whose handling was cut short: it does no harm."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        changes: MeetingChanges,
        media_service: MediaService,
        channels: Channels,
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._changes = changes
        self._media = media_service
        self._channels = channels
        self._clock = clock

    async def handle(self, entry_id: str, notice: Notice) -> None:
        """Database and Redis errors pass through, so that the notice is read again."""
        match notice.body:
            case Offered() as offered:
                await self._pass_on(entry_id, notice, offered)
            case Talking() as talking:
                await self._talking(notice, talking)
            case AudioConnected(user=user):
                await self._audio_up(notice, user)
            case VideoLive(user=user, kind=kind):
                up = media.VideoUp(user=user, epoch=notice.epoch, kind=_STREAM[kind])
                await self._apply(notice, up)
            case ConnectionLost() as lost:
                await self._lost(entry_id, notice, lost)
            case FeedPaused() as feed_paused:
                await self._feed_paused(entry_id, notice, feed_paused)

    async def _feed_paused(self, entry_id: str, notice: Notice, paused: FeedPaused) -> None:
        event = SubscriptionPaused(
            sent_date=self._clock(),
            meeting_id=notice.meeting,
            user_id=paused.feed.user,
            media_type=_MEDIA_TYPE[paused.feed.kind],
            paused=paused.paused,
        )
        await self._tell(entry_id, notice, paused.user, event)

    async def _tell(self, entry_id: str, notice: Notice, user: UUID, event: Event) -> None:
        """The user alone, if the notice is of the connections that it has now."""
        async with self._pool.acquire() as conn:
            seat = await glances.seat(conn, notice.meeting, user)
        if seat is None or seat.participant is None or seat.media_epoch != notice.epoch:
            return
        event_id = uuid5(_EVENTS_OF_NOTICES, entry_id)
        await self._channels.publish(event_id, [seat.participant.queue_id], _encoder.encode(event))

    async def _pass_on(self, entry_id: str, notice: Notice, offered: Offered) -> None:
        """The list first, then the offer: a client shows a track once it has both."""
        async with self._pool.acquire() as conn:
            seat = await glances.seat(conn, notice.meeting, offered.user)
        if seat is None or seat.participant is None or seat.media_epoch != notice.epoch:
            return
        now = self._clock()
        told: list[Event] = [
            ParticipantSubscribed(
                sent_date=now,
                meeting_id=notice.meeting,
                user_id=offered.user,
                streams=[
                    SubscribedStream(type=stream.kind, user_id=stream.user, mid=stream.mid)
                    for stream in offered.streams
                ],
            ),
            SdpOffered(
                sent_date=now,
                meeting_id=notice.meeting,
                user_id=offered.user,
                media_type="VIDEO",
                sdp=offered.sdp,
            ),
        ]
        for place, event in enumerate(told):
            event_id = uuid5(_EVENTS_OF_NOTICES, f"{entry_id}/{place}")
            await self._channels.publish(
                event_id, [seat.participant.queue_id], _encoder.encode(event)
            )

    async def _talking(self, notice: Notice, talking: Talking) -> None:
        async with self._pool.acquire() as conn:
            present = await glances.present(conn, notice.meeting, notice.epoch)
        if talking.user not in present:
            return
        event = ParticipantTalking(
            sent_date=self._clock(),
            meeting_id=notice.meeting,
            user_id=talking.user,
            is_talking=talking.talking,
        )
        await self._channels.publish_to(Audience(users=frozenset(present)), event)

    async def _audio_up(self, notice: Notice, user: UUID) -> None:
        applied = await self._apply(notice, media.AudioUp(user=user, epoch=notice.epoch))
        if applied is None or applied.before == applied.after:
            return
        try:
            await self._media.enforce_audio(notice.meeting, user)
        except (MediaFailed, TooManyRequests) as error:
            _log.warning("audio_not_opened", meeting=str(notice.meeting), error=error.message)

    async def _lost(self, entry_id: str, notice: Notice, lost: ConnectionLost) -> None:
        # Who is told may be able to do something about it: a blocked port, a certificate that does not match.
        event = events.ConnectionLost(
            sent_date=self._clock(),
            meeting_id=notice.meeting,
            user_id=lost.user,
            connection=lost.connection,
            reason=lost.code,
            message=lost.reason,
        )
        await self._tell(entry_id, notice, lost.user, event)
        if lost.connection == "inbound":
            return  # the client renews it; nobody else sees a difference
        if lost.connection == "audio":
            await self._apply(notice, media.AudioLost(user=lost.user, epoch=notice.epoch))
            return
        kind = _STREAM[lost.connection]
        await self._apply(notice, media.VideoLost(user=lost.user, epoch=notice.epoch, kind=kind))

    async def _apply(self, notice: Notice, command: Command) -> Applied | None:
        try:
            return await self._changes.apply(notice.meeting, command)
        except NotFound:
            return None  # the meeting is gone, and with it what the notice is about
