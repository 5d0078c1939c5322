"""A meeting as a UCWA application in it sees it, and what to tell the application when the meeting changes.

A conversation is tied to the channel that its user joined with, whatever else that user has open:

    standing   in the meeting                                       what it sees
    in         a participant with this channel                      everyone in; a leader also the lobby
    lobby      an entry of the waiting room with this channel       itself
    out        neither                                              nothing: the conversation is over

What is told is the difference between two sights. Replaying it gives the collections participants (events without
`in`), attendees, leaders and lobby (events `in` them) as they are after the change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from conference.domain.access_list import RemoveMember
from conference.domain.admission import Join
from conference.domain.leaving import ChannelGone, ChannelsGone, Eject, Leave
from conference.domain.meeting import Command, Meeting, Participant
from conference.domain.waiting_room import TimeOut, UpdateQueued
from conference.ucwa.conversations.facts import (
    ConversationState,
    ConversationView,
    Ending,
    InvitationView,
    Modality,
    Place,
    Step,
    StepType,
    Subject,
)
from schemas.terms import QueueStatus

Standing = Literal["in", "lobby", "out"]

_STATE: dict[Standing, ConversationState] = {
    "in": ConversationState.CONFERENCED,
    "lobby": ConversationState.IN_LOBBY,
    "out": ConversationState.DISCONNECTED,
}
_MODALITY_SUBJECT: dict[Modality, Subject] = {
    Modality.AUDIO: "participantAudio",
    Modality.VIDEO: "participantVideo",
    Modality.APPLICATION_SHARING: "participantApplicationSharing",
}


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """`queue_id`: the channel that joined. `invitation` is the operation that did it."""

    application_id: str
    meeting_id: UUID
    user_id: UUID
    queue_id: UUID
    invitation: InvitationView
    created_at: datetime
    anonymous: bool = False


class Seen(msgspec.Struct, frozen=True):
    """Somebody as the viewer sees them. `modalities`: what they have on."""

    place: Place
    modalities: tuple[Modality, ...] = ()

    @property
    def used(self) -> tuple[Modality, ...]:
        return used(self.place, self.modalities)

    @property
    def muted(self) -> bool:
        return Modality.AUDIO not in self.modalities


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """A meeting as all that look at it share it: who is in, who is in or waits, what is on."""

    meeting: Meeting
    inside: Mapping[UUID, Seen]
    everyone: Mapping[UUID, Seen]
    modalities: tuple[Modality, ...]


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """`people` in the order of joining, the lobby last."""

    standing: Standing
    leader: bool = False
    people: Mapping[UUID, Seen] = {}


def standing(conversation: Conversation, meeting: Meeting | None) -> Standing:
    if meeting is None:
        return "out"
    present = meeting.participants.get(conversation.user_id)
    if present is not None and present.queue_id == conversation.queue_id:
        return "in"
    entry = meeting.queue.get(conversation.user_id)
    if entry is not None and entry.queue_id == conversation.queue_id:
        return "lobby"
    return "out"


def scene(meeting: Meeting) -> Scene:
    inside = {
        user: Seen(_place(meeting, user), modalities_of(participant))
        for user, participant in meeting.participants.items()
    }
    on = {modality for seen in inside.values() for modality in seen.modalities}
    return Scene(
        meeting=meeting,
        inside=inside,
        everyone=inside | {user: Seen("lobby") for user in waiting(meeting)},
        modalities=tuple(modality for modality in Modality if modality in on),
    )


def sight(conversation: Conversation, scene: Scene | None) -> Sight:
    stands = standing(conversation, scene.meeting if scene else None)
    if stands != "in" or scene is None:
        return Sight(standing=stands)
    leader = scene.meeting.is_moderator(conversation.user_id)
    return Sight(standing="in", leader=leader, people=scene.everyone if leader else scene.inside)


def waiting(meeting: Meeting) -> list[UUID]:
    """Who is in the lobby, longest first. Someone let in who has yet to walk in is not."""
    return [
        user
        for user, entry in meeting.queue.items()
        if entry.status is QueueStatus.WAITING and user not in meeting.participants
    ]


def _place(meeting: Meeting, user: UUID) -> Place:
    return "leaders" if meeting.is_moderator(user) else "attendees"


def modalities_of(participant: Participant) -> tuple[Modality, ...]:
    flags = {
        Modality.AUDIO: participant.audio,
        Modality.VIDEO: participant.video,
        Modality.APPLICATION_SHARING: participant.screen,
    }
    return tuple(modality for modality, on in flags.items() if on)


def used(place: Place, on: tuple[Modality, ...]) -> tuple[Modality, ...]:
    """What somebody takes part in, given what they have on: everyone in a meeting hears it, so that a microphone
    that is off is a muted one. Cameras and screens are there while they are on."""
    if place == "lobby":
        return ()
    return (Modality.AUDIO, *(modality for modality in on if modality is not Modality.AUDIO))


def view(conversation: Conversation, scene: Scene) -> ConversationView:
    """From the lobby neither who is in nor what goes on is seen."""
    meeting = scene.meeting
    stands = standing(conversation, meeting)
    inside = stands == "in"
    return ConversationView(
        meeting_id=meeting.id,
        state=_STATE[stands],
        subject=meeting.name,
        importance=conversation.invitation.importance,
        thread_id=conversation.invitation.thread_id,
        created=conversation.created_at,
        expiration=meeting.expiration,
        participant_count=len(meeting.participants) if inside else 0,
        modalities=scene.modalities if inside else (),
        leader=inside and meeting.is_moderator(conversation.user_id),
    )


# --- what to tell -----------------------------------------------------------------------------


def news(conversation: Conversation, before: Scene, after: Scene | None) -> list[Step]:
    """What the change means to this conversation, in order; nothing when it does not show."""
    was, now = sight(conversation, before), sight(conversation, after)
    if now.standing == "out" or after is None:
        return _ended(was, conversation.user_id)
    if was.standing == "out":
        return _begun(was, now, conversation.user_id)
    if was.standing == "lobby" and now.standing == "in":
        return _admitted(was, now, conversation.user_id)
    return _went_on(conversation, before, after)


def _begun(was: Sight, now: Sight, user: UUID) -> list[Step]:
    steps = [
        _step("onlineMeetingInvitation", "started"),
        _step("conversation", "added"),
        _step("localParticipant", "added", user),
        _step("onlineMeeting", "added"),
        _step("conversation", "updated"),
        *roster_news(was, now, user),
    ]
    if now.standing == "in":
        steps.append(_step("onlineMeetingInvitation", "completed"))
    return steps


def _admitted(was: Sight, now: Sight, user: UUID) -> list[Step]:
    """The invitation completes only once its user is in the roster."""
    return [
        _step("localParticipant", "updated", user),
        _step("conversation", "updated"),
        *roster_news(was, now, user),
        _step("onlineMeetingInvitation", "completed"),
    ]


def _ended(was: Sight, user: UUID) -> list[Step]:
    if was.standing == "out":
        return []
    over = [_step("localParticipant", "deleted", user), _step("conversation", "deleted")]
    if was.standing == "lobby":
        return [_step("onlineMeetingInvitation", "completed"), *over]
    return over


def _went_on(conversation: Conversation, before: Scene, after: Scene) -> list[Step]:
    user = conversation.user_id
    was, now = sight(conversation, before), sight(conversation, after)
    steps = roster_news(was, now, user)
    if was.leader != now.leader:
        steps.append(_step("localParticipant", "updated", user))
    if _arranged(before.meeting, after.meeting):
        steps.append(_step("onlineMeeting", "updated"))
    if now.standing == "in" and _media_moved(before.meeting, after.meeting):
        steps.append(_step("mediaNegotiation", "updated"))
    if view(conversation, before) != view(conversation, after):
        steps.append(_step("conversation", "updated"))
    return steps


def _arranged(before: Meeting, after: Meeting) -> bool:
    return (before.name, before.door) != (after.name, after.door)


def _media_moved(before: Meeting, after: Meeting) -> bool:
    return before.worker_id is not None and before.media_epoch != after.media_epoch


def roster_news(was: Sight, now: Sight, viewer: UUID) -> list[Step]:
    """Who came, went or moved, person by person; those who are gone first."""
    gone = [user for user in was.people if user not in now.people]
    steps: list[Step] = []
    for user in [*gone, *now.people]:
        before, after = was.people.get(user), now.people.get(user)
        if before != after:
            steps += _person_news(user, before, after)
        stays = before is not None and after is not None and before.place == after.place
        if stays and user != viewer and was.leader != now.leader:
            # what the viewer may do with this person changed: the links differ
            steps.append(_step("participant", "updated", user))
    return steps


def _person_news(user: UUID, before: Seen | None, after: Seen | None) -> list[Step]:
    steps: list[Step] = []
    if before is None:
        steps.append(_step("participant", "added", user))
    moved = before is None or after is None or before.place != after.place
    if before is not None and moved:
        steps.append(_step("participant", "deleted", user, before.place))
    if after is not None and moved:
        steps.append(_step("participant", "added", user, after.place))
    if after is None:
        steps.append(_step("participant", "deleted", user))
        return steps
    if before is not None and moved:
        steps.append(_step("participant", "updated", user))
    return steps + _modality_news(user, before, after)


def _modality_news(user: UUID, before: Seen | None, after: Seen) -> list[Step]:
    was, now = before.used if before else (), after.used
    off = [_step(_MODALITY_SUBJECT[item], "deleted", user) for item in was if item not in now]
    on = [_step(_MODALITY_SUBJECT[item], "added", user) for item in now if item not in was]
    kept = before is not None and Modality.AUDIO in was and Modality.AUDIO in now
    if kept and before is not None and before.muted != after.muted:
        off.append(_step(_MODALITY_SUBJECT[Modality.AUDIO], "updated", user))
    return off + on


def _step(
    what: Subject, kind: StepType, user: UUID | None = None, inside: Place | None = None
) -> Step:
    return Step(what=what, type=kind, user_id=user, inside=inside)


def gone(steps: Iterable[Step]) -> set[UUID]:
    """Whom the steps tell the end of."""
    return {step.user_id for step in steps if step.user_id is not None and step.type == "deleted"}


# --- why it is over ---------------------------------------------------------------------------


def ending(
    conversation: Conversation, before: Meeting, after: Meeting | None, command: Command
) -> Ending | None:
    """Why the conversation is over; None when its own user, or the end of their channel, ended it."""
    match command:
        case ChannelGone(queue_id=queue_id) if queue_id == conversation.queue_id:
            return None
        case ChannelsGone(queue_ids=gone) if conversation.queue_id in gone:
            return None
        case TimeOut(queue_id=queue_id) if queue_id == conversation.queue_id:
            return "Timeout"
        case UpdateQueued(by=by, user=user) if user == conversation.user_id:
            return "Canceled" if by == user else "Denied"
        case Eject(user=user) if user == conversation.user_id:
            return "Ejected"
        case RemoveMember(by=by, user=user) if user == conversation.user_id:
            return None if by == user else "Removed"
        case Join(by=by) if by == conversation.user_id:
            return "Removed"  # another client of the same user took over
        case Leave(by=by) if by == conversation.user_id:
            return None
    if after is None or (before.active and not after.active):
        return "Ended"
    return None
