"""Use cases of media: a participant's offers, answers, subscriptions and switches.

Each asks the worker outside any transaction, then makes sure that the client it asked for is still in: someone
may have left, or been replaced by another client, while the worker was at it.
"""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from conference.bus.sfu_client import SfuFailure
from conference.domain import media
from conference.domain.facts import Audience
from conference.domain.meeting import Participant
from conference.errors import (
    BadRequest,
    Forbidden,
    MediaFailed,
    NotFound,
    TooManyRequests,
    Unavailable,
)
from conference.services.changes import Clock, MeetingChanges
from conference.services.placement import Placement, Where, where_of
from conference.storage.glances import Seat
from schemas.descriptions import ANSWER, OFFER, Bounds, excess
from schemas.events import AudioAnswered, Event, SdpAnswered
from schemas.sfu import (
    Answered,
    AnswerInbound,
    CloseMeeting,
    Done,
    Feed,
    OfferAudio,
    OfferVideo,
    RemovePeer,
    SetAudio,
    StopVideo,
    Subscribe,
    VideoKind,
)
from schemas.terms import StreamType

KIND: dict[StreamType, VideoKind] = {StreamType.VIDEO: "video", StreamType.SCREEN: "screen"}
_AUDIO_ROUNDS = 5
"""Each round means that the flag changed while the worker was told the one before."""


class Channels(Protocol):
    async def publish_to(self, audience: Audience, event: Event) -> None: ...


class MediaService:
    """Raises NotFound, Forbidden and BadRequest as the operation's order of checks has them, then MediaFailed,
    Conflict or TooManyRequests as the worker has them."""

    def __init__(
        self, changes: MeetingChanges, placement: Placement, channels: Channels, clock: Clock
    ) -> None:
        self._changes = changes
        self._placement = placement
        self._channels = channels
        self._clock = clock

    # --- camera and screen --------------------------------------------------------------------

    async def switch(
        self, by: UUID, meeting_id: UUID, kind: StreamType, *, enabled: bool, sdp: str | None
    ) -> None:
        """Publish, publish anew, or stop publishing. The answer goes to the participant's channel."""
        if enabled and sdp is None:
            raise BadRequest("sdp: needed to enable a stream", code="sdp_missing")
        _check_size(sdp or "", OFFER)
        seat = await self._placement.seat(meeting_id, by)
        participant = _participant(seat)
        step = media.SWITCHES[participant.streams(kind), enabled]
        if step == "negotiate":
            await self._switch_on(meeting_id, seat, participant, kind, sdp or "")
        elif step == "stop":
            await self._switch_off(meeting_id, seat, participant, kind)

    async def _switch_on(
        self, meeting_id: UUID, seat: Seat, participant: Participant, kind: StreamType, sdp: str
    ) -> None:
        user = participant.user_id
        client = participant.queue_id
        offer = OfferVideo(user=user, client=client, kind=KIND[kind], sdp=sdp)
        reply, where = await self._placement.call(meeting_id, where_of(seat), offer)
        command = media.SwitchOn(by=user, queue_id=client, kind=kind, epoch=where.epoch)
        try:
            await self._changes.apply(meeting_id, command)
        except NotFound:
            await self._undo(meeting_id, participant, where)
            raise
        event = SdpAnswered(
            sent_date=self._clock(),
            meeting_id=meeting_id,
            user_id=user,
            media_type=media.EVENT_MEDIA[kind],
            sdp=_answer(reply),
        )
        await self._tell(participant, event)

    async def _switch_off(
        self, meeting_id: UUID, seat: Seat, participant: Participant, kind: StreamType
    ) -> None:
        user = participant.user_id
        stop = StopVideo(user=user, client=participant.queue_id, kind=KIND[kind])
        await self._placement.call(meeting_id, where_of(seat), stop)
        await self._changes.apply(meeting_id, media.SwitchOff(by=user, kind=kind))

    # --- what a participant sees --------------------------------------------------------------

    async def answer(self, by: UUID, meeting_id: UUID, sdp: str) -> None:
        _check_size(sdp, ANSWER)
        seat, participant = await self._seated(by, meeting_id)
        user, client = participant.user_id, participant.queue_id
        answer = AnswerInbound(user=user, client=client, sdp=sdp)
        await self._placement.call(meeting_id, where_of(seat), answer)

    async def subscribe(
        self,
        by: UUID,
        meeting_id: UUID,
        subscribe: list[tuple[UUID, StreamType]],
        unsubscribe: list[tuple[UUID, StreamType]],
    ) -> None:
        if not subscribe and not unsubscribe:
            raise BadRequest("subscribe and unsubscribe are both empty", code="no_subscription")
        seat, participant = await self._seated(by, meeting_id)
        body = Subscribe(
            user=by,
            client=participant.queue_id,
            subscribe=_feeds(subscribe),
            unsubscribe=_feeds(unsubscribe),
        )
        _, where = await self._placement.call(meeting_id, where_of(seat), body)
        await self._still_in(meeting_id, participant, where)

    # --- microphone ---------------------------------------------------------------------------

    async def offer_audio(self, by: UUID, meeting_id: UUID, sdp: str) -> None:
        """Enters muted unless the microphone's flag is on: after a move of the media it is again."""
        _check_size(sdp, OFFER)
        seat, participant = await self._seated(by, meeting_id)
        offer = OfferAudio(user=by, client=participant.queue_id, sdp=sdp, enabled=participant.audio)
        reply, where = await self._placement.call(meeting_id, where_of(seat), offer)
        now = await self._still_in(meeting_id, participant, where)
        if now.audio != participant.audio:
            await self.enforce_audio(meeting_id, by)
        event = AudioAnswered(
            sent_date=self._clock(), meeting_id=meeting_id, user_id=by, sdp=_answer(reply)
        )
        await self._tell(participant, event)

    async def set_audio(
        self, by: UUID, meeting_id: UUID, *, enabled: bool, target: UUID | None
    ) -> None:
        """Open or close one's own microphone; moderators close others'. Undone when the worker can't.

        One that is as wanted is told to the worker again: who mutes twice may have a reason.
        """
        user = target or by
        command = media.SetAudio(by=by, target=user, enabled=enabled)
        applied = await self._changes.apply(meeting_id, command)
        changed = applied.before.participants[user].audio != enabled
        try:
            await self.enforce_audio(meeting_id, user)
        except (MediaFailed, TooManyRequests, Unavailable):
            if not changed:
                raise
            back = media.SetAudio(by=user, target=user, enabled=not enabled)
            await self._changes.apply(meeting_id, back)
            raise

    async def enforce_audio(self, meeting_id: UUID, user: UUID) -> None:
        """Bring the worker to the flag, and look again: whoever told the worker last also looked last.

        Without an audio session there is nothing to bring: the flag goes along with the next offer.
        """
        for _ in range(_AUDIO_ROUNDS):
            seat = await self._placement.seat(meeting_id, user)
            if seat.participant is None or seat.worker_id is None:
                return
            enabled = seat.participant.audio
            await self._set_at_worker(meeting_id, seat, seat.participant)
            after = (await self._placement.seat(meeting_id, user)).participant
            if after is None or after.audio == enabled:
                return

    async def _set_at_worker(self, meeting_id: UUID, seat: Seat, participant: Participant) -> None:
        body = SetAudio(
            user=participant.user_id, client=participant.queue_id, enabled=participant.audio
        )
        try:
            await self._placement.call(meeting_id, where_of(seat), body)
        except SfuFailure as failure:
            if failure.failure != "no_session":
                raise

    # ------------------------------------------------------------------------------------------

    async def _seated(self, by: UUID, meeting_id: UUID) -> tuple[Seat, Participant]:
        seat = await self._placement.seat(meeting_id, by)
        if not seat.member:
            raise Forbidden("you are not on this meeting's access list", code="not_a_member")
        return seat, _participant(seat)

    async def _still_in(self, meeting_id: UUID, asked: Participant, where: Where) -> Participant:
        """The participant as of now. Raises NotFound if that client left meanwhile, MediaFailed if the media moved."""
        seat = await self._placement.find_seat(meeting_id, asked.user_id)
        present = seat.participant if seat else None
        if seat is None or present is None or present.queue_id != asked.queue_id:
            await self._undo(meeting_id, asked, where)
            raise _not_in()
        if seat.media_epoch != where.epoch:
            raise MediaFailed("the media moved to another worker; offer again", code="media_moved")
        return present

    async def _undo(self, meeting_id: UUID, asked: Participant, where: Where) -> None:
        """What the worker was asked came too late: the client it was for is out."""
        seat = await self._placement.find_seat(meeting_id, asked.user_id)
        if seat is None or not seat.active:
            await self._placement.try_ask(meeting_id, where, CloseMeeting())
            return
        present = seat.participant
        if present is not None and present.queue_id == asked.queue_id:
            return  # it is in again
        # Another client of the same user that is in by now keeps what it has.
        out = RemovePeer(user=asked.user_id, client=asked.queue_id)
        await self._placement.try_ask(meeting_id, where, out)

    async def _tell(self, participant: Participant, event: Event) -> None:
        await self._channels.publish_to(Audience(queues=frozenset((participant.queue_id,))), event)


def _check_size(sdp: str, bounds: Bounds) -> None:
    """Raises BadRequest for more than a worker would read: it shall not even come by."""
    if too_much := excess(sdp, bounds):
        raise BadRequest(f"sdp: {too_much}", code="bad_sdp")


def _participant(seat: Seat) -> Participant:
    if seat.participant is None:
        raise _not_in()
    return seat.participant


def _not_in() -> NotFound:
    return NotFound("you are not in this meeting", code="not_a_participant")


def _answer(reply: Done | Answered) -> str:
    if isinstance(reply, Done):
        raise MediaFailed("the media worker gave no answer to the offer", code="no_answer")
    return reply.sdp


def _feeds(streams: list[tuple[UUID, StreamType]]) -> list[Feed]:
    return [Feed(user=user, kind=KIND[kind]) for user, kind in streams]
