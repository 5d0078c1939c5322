"""What is on: microphones, cameras, screens, and which worker carries them.

A flag of video is what its owner asked for; that it can be seen is told separately, once packets flow:

    off --switch on (sdp)--> on --live--> on, told active
    on  --switch off, connection lost, media moved--> off, told inactive

A microphone's flag is told as it changes. It outlives a move of the media: the worker gets it again with the
client's next audio offer.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec.structs import replace

from conference.domain.facts import Outgoing
from conference.domain.meeting import Change, Command, Meeting, Participant, with_item
from conference.domain.policy import require_moderator, require_participant
from conference.errors import BadRequest, MediaFailed, NotFound
from schemas.events import (
    AudioStreamChanged,
    MediaStreamChanged,
    MediaType,
    MeetingMediaReset,
)
from schemas.terms import StreamType

EVENT_MEDIA: dict[StreamType, MediaType] = {
    StreamType.VIDEO: "VIDEO",
    StreamType.SCREEN: "SCREEN",
}


class Place(Command, frozen=True, kw_only=True):
    """Put the media of a meeting that has none anywhere on a worker."""

    worker: str


class Relocate(Command, frozen=True, kw_only=True):
    """Move the media off a lost worker, if it is still the placement `epoch` that was lost."""

    worker: str
    lost_epoch: int


class SetAudio(Command, frozen=True, kw_only=True):
    by: UUID
    target: UUID
    enabled: bool


class SwitchOn(Command, frozen=True, kw_only=True):
    """The worker took the offer that this client made under this placement."""

    by: UUID
    queue_id: UUID
    kind: StreamType
    epoch: int


class SwitchOff(Command, frozen=True, kw_only=True):
    by: UUID
    kind: StreamType


class Seen(Command, frozen=True, kw_only=True):
    """Base of what a worker noticed; what it noticed under an earlier placement no longer matters."""

    user: UUID
    epoch: int


class AudioUp(Seen, frozen=True, kw_only=True):
    pass


class VideoUp(Seen, frozen=True, kw_only=True):
    kind: StreamType


class AudioLost(Seen, frozen=True, kw_only=True):
    pass


class VideoLost(Seen, frozen=True, kw_only=True):
    kind: StreamType


# --- placement --------------------------------------------------------------------------------


def place(meeting: Meeting, command: Place, now: datetime) -> Change:
    """Raises MediaFailed when the meeting is not active."""
    if not meeting.active:
        raise MediaFailed("the meeting has not started", code="meeting_not_active")
    if meeting.worker_id is not None:
        return meeting, []
    return _placed(meeting, command.worker), []


def relocate(meeting: Meeting, command: Relocate, now: datetime) -> Change:
    """Cameras and screens go dark until their clients offer them again; microphones keep their flag."""
    if not meeting.active or meeting.media_epoch != command.lost_epoch:
        return meeting, []
    moved = _placed(meeting, command.worker)
    event = MeetingMediaReset(sent_date=now, meeting_id=meeting.id, epoch=moved.media_epoch)
    told = [Outgoing(event=event, audience=meeting.to_participants())]
    for participant in meeting.participants.values():
        for kind in StreamType:
            if participant.streams(kind):
                moved, dark = _stream_off(moved, participant.user_id, kind, now)
                told += dark
    return moved, told


def _placed(meeting: Meeting, worker: str) -> Meeting:
    return replace(meeting, worker_id=worker, media_epoch=meeting.media_epoch + 1)


# --- microphones ------------------------------------------------------------------------------


def set_audio(meeting: Meeting, command: SetAudio, now: datetime) -> Change:
    """Others can only be muted, and only by a moderator.

    Raises NotFound when the target is not in the meeting, BadRequest for unmuting someone else, Forbidden.
    """
    target = require_participant(meeting, command.target)
    moderator = command.by if command.by != command.target else None
    if moderator is not None:
        _may_mute(meeting, command)
    decided = replace(target, audio=command.enabled, wants_audio=False)
    changed = _with(meeting, decided)
    if target.audio == command.enabled:
        return changed, []
    return changed, [_audio_changed(meeting, decided, now, moderator)]


def _may_mute(meeting: Meeting, command: SetAudio) -> None:
    if command.enabled:
        raise BadRequest("userToModerate: only a user themselves can unmute", code="unmute_other")
    require_moderator(meeting, command.by)


def audio_up(meeting: Meeting, command: AudioUp, now: datetime) -> Change:
    """The wish from joining is honoured once, unless somebody has decided about the microphone since."""
    participant = _seen(meeting, command)
    if participant is None or not participant.wants_audio:
        return meeting, []
    opened = replace(participant, audio=True, wants_audio=False)
    if participant.audio:
        return _with(meeting, opened), []
    return _with(meeting, opened), [_audio_changed(meeting, opened, now, None)]


def audio_lost(meeting: Meeting, command: AudioLost, now: datetime) -> Change:
    """An open microphone becomes a wish, so that it opens again when the client is back."""
    participant = _seen(meeting, command)
    if participant is None or not participant.audio:
        return meeting, []
    silent = replace(participant, audio=False, wants_audio=True)
    return _with(meeting, silent), [_audio_changed(meeting, silent, now, None)]


def _audio_changed(
    meeting: Meeting, participant: Participant, now: datetime, moderator: UUID | None
) -> Outgoing:
    event = AudioStreamChanged(
        sent_date=now,
        meeting_id=meeting.id,
        user_id=participant.user_id,
        active=participant.audio,
        moderator_id=moderator,
    )
    return Outgoing(event=event, audience=meeting.to_participants())


# --- cameras and screens ----------------------------------------------------------------------

Switch = Literal["nothing", "negotiate", "stop"]

SWITCHES: dict[tuple[bool, bool], Switch] = {
    # (flag now, wanted): on again is a renegotiation and gets its answer too
    (False, False): "nothing",
    (False, True): "negotiate",
    (True, True): "negotiate",
    (True, False): "stop",
}


def switch_on(meeting: Meeting, command: SwitchOn, now: datetime) -> Change:
    """Raises NotFound when that client is no longer in, MediaFailed when the media moved meanwhile."""
    participant = require_participant(meeting, command.by)
    if participant.queue_id != command.queue_id:
        raise NotFound("another client took over", code="not_a_participant")
    if meeting.media_epoch != command.epoch:
        raise MediaFailed("the media moved to another worker; offer again", code="media_moved")
    return _with(meeting, participant.with_stream(command.kind, True)), []


def switch_off(meeting: Meeting, command: SwitchOff, now: datetime) -> Change:
    participant = require_participant(meeting, command.by)
    if not participant.streams(command.kind):
        return meeting, []
    return _stream_off(meeting, command.by, command.kind, now)


def video_up(meeting: Meeting, command: VideoUp, now: datetime) -> Change:
    participant = _seen(meeting, command)
    if participant is None or not participant.streams(command.kind):
        return meeting, []
    return meeting, [_stream_changed(meeting, command.user, command.kind, now, active=True)]


def video_lost(meeting: Meeting, command: VideoLost, now: datetime) -> Change:
    participant = _seen(meeting, command)
    if participant is None or not participant.streams(command.kind):
        return meeting, []
    return _stream_off(meeting, command.user, command.kind, now)


def _stream_off(
    meeting: Meeting, user: UUID, kind: StreamType, now: datetime
) -> tuple[Meeting, list[Outgoing]]:
    dark = _with(meeting, meeting.participants[user].with_stream(kind, False))
    return dark, [_stream_changed(meeting, user, kind, now, active=False)]


def _stream_changed(
    meeting: Meeting, user: UUID, kind: StreamType, now: datetime, *, active: bool
) -> Outgoing:
    event = MediaStreamChanged(
        sent_date=now,
        meeting_id=meeting.id,
        user_id=user,
        media_type=EVENT_MEDIA[kind],
        active=active,
    )
    return Outgoing(event=event, audience=meeting.to_participants())


def _with(meeting: Meeting, participant: Participant) -> Meeting:
    participants = with_item(meeting.participants, participant.user_id, participant)
    return replace(meeting, participants=participants)


def _seen(meeting: Meeting, command: Seen) -> Participant | None:
    if meeting.media_epoch != command.epoch:
        return None
    return meeting.participants.get(command.user)
