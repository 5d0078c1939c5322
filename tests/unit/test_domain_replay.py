"""For any sequence of commands: old state + events = new state, for everyone who is told; and what never happens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from rig_view import View, read

from conference.api.meetings import render
from conference.domain import access_list, admission, leaving, lifecycle, media, waiting_room
from conference.domain.arrange import Arrange
from conference.domain.decide import decide
from conference.domain.door import AccessLevel, Door, LeaderAssignment
from conference.domain.facts import Outgoing
from conference.domain.meeting import Command, Meeting
from conference.errors import DomainError
from schemas.terms import MeetingType, QueueStatus, QueueUpdateStatus, StreamType, UserType

OWNER, *OTHERS = USERS = [UUID(int=number) for number in range(1, 6)]
NOW = datetime(2030, 1, 1, tzinfo=UTC)

user = st.sampled_from([OWNER, OWNER, *USERS])
kind = st.sampled_from(StreamType)
CURRENT = -1
epoch = st.sampled_from([CURRENT, CURRENT, CURRENT, 1, 2])


def queue_of(who: UUID, client: int) -> UUID:
    return UUID(int=who.int * 1000 + client)


@st.composite
def joining(draw: st.DrawFn) -> Command:
    by = draw(user)
    queue_id = queue_of(by, draw(st.integers(0, 1)))
    return admission.Join(
        by=by,
        queue_id=queue_id,
        audio=draw(st.booleans()),
        video=False,
        email=draw(st.sampled_from(["", "bob@example.com", "carol@example.com"])),
        org=draw(st.sampled_from(["", "example"])),
        anonymous=draw(st.booleans()),
        starts=draw(st.booleans()),
        enters=draw(st.booleans()),
    )


doors = st.one_of(
    st.none(),
    st.builds(
        Door,
        access_level=st.sampled_from(AccessLevel),
        automatic_leader_assignment=st.sampled_from(LeaderAssignment),
        organizer_org=st.sampled_from(["", "example"]),
        leaders=st.sampled_from([(), ("bob@example.com",)]),
        attendees=st.sampled_from([(), ("carol@example.com",)]),
    ),
)


@st.composite
def gone(draw: st.DrawFn) -> Command:
    queue_id = queue_of(draw(user), draw(st.integers(0, 1)))
    return leaving.ChannelGone(queue_id=queue_id, on_purpose=draw(st.booleans()))


groups = st.frozensets(user, max_size=3)

commands = st.one_of(
    joining(),
    joining(),
    gone(),
    st.builds(
        leaving.ChannelsGone,
        queue_ids=st.frozensets(st.builds(queue_of, user, st.integers(0, 1)), max_size=4),
    ),
    st.builds(lifecycle.Start, by=user, worker=st.sampled_from([None, "one"])),
    st.builds(lifecycle.Stop, by=user),
    st.builds(lifecycle.StopUnused, since=st.just(NOW + timedelta(seconds=20))),
    st.builds(leaving.Leave, by=user),
    st.builds(leaving.Eject, by=user, user=user),
    st.builds(
        Arrange,
        by=st.just(OWNER),
        name=st.just("y"),
        expiration=st.none(),
        door=doors.filter(bool),
        leaders=groups,
        attendees=groups,
        released=groups,
    ),
    st.builds(waiting_room.TimeOut, queue_id=st.builds(queue_of, user, st.integers(0, 1))),
    st.builds(
        waiting_room.UpdateQueued,
        by=st.sampled_from([OWNER, OWNER, *OTHERS]),
        user=user,
        status=st.sampled_from(QueueUpdateStatus),
    ),
    st.builds(
        access_list.SetMember,
        by=st.sampled_from([OWNER, OWNER, *OTHERS]),
        user=user,
        user_type=st.sampled_from(UserType),
    ),
    st.builds(access_list.RemoveMember, by=st.sampled_from([OWNER, *OTHERS]), user=user),
    st.builds(media.Place, worker=st.just("one")),
    st.builds(media.Relocate, worker=st.just("two"), lost_epoch=epoch),
    st.builds(media.SetAudio, by=user, target=user, enabled=st.booleans()),
    st.builds(media.SwitchOff, by=user, kind=kind),
    st.builds(media.AudioUp, user=user, epoch=epoch),
    st.builds(media.AudioLost, user=user, epoch=epoch),
    st.builds(media.VideoLost, user=user, kind=kind, epoch=epoch),
    # on and seen to be on, at once: between the two a viewer knows less than the flag says
    st.builds(media.VideoUp, user=user, kind=kind, epoch=epoch),
)


def current(command: Command, meeting: Meeting) -> Command:
    """The command with the placement's epoch of now, where it asks for that."""
    for field in ("epoch", "lost_epoch"):
        if getattr(command, field, None) == CURRENT:
            return msgspec.structs.replace(command, **{field: meeting.media_epoch})
    return command


def publish(meeting: Meeting, command: media.VideoUp, now: datetime) -> Meeting:
    participant = meeting.participants.get(command.user)
    if participant is None or meeting.media_epoch != command.epoch:
        return meeting
    on = media.SwitchOn(
        by=command.user, queue_id=participant.queue_id, kind=command.kind, epoch=command.epoch
    )
    switched, told = decide(meeting, on, now)
    assert switched is not None
    assert told == []
    return switched


def reached(outgoing: Outgoing, who: UUID, queues: set[UUID]) -> bool:
    return who in outgoing.audience.users or bool(outgoing.audience.queues & queues)


def as_read(meeting: Meeting) -> View:
    waiting = [
        str(entry.user_id)
        for entry in meeting.queue.values()
        if entry.status is QueueStatus.WAITING
    ]
    return read(msgspec.to_builtins(render.meeting(meeting)), waiting)


class World:
    def __init__(self, meeting_type: MeetingType, door: Door | None) -> None:
        draft = Meeting(
            id=UUID(int=99),
            name="x",
            meeting_type=meeting_type,
            owner_id=OWNER,
            join_code="abcdefghij",
            created_at=NOW,
            door=door,
        )
        self.meeting, _ = lifecycle.created(draft, NOW)
        self.now = NOW
        self.owner = View()
        self.inside: dict[UUID, View] = {}

    def step(self, command: Command) -> None:
        self.now += timedelta(seconds=1)
        before = self.meeting
        command = current(command, before)
        try:
            if isinstance(command, media.VideoUp):
                before = publish(before, command, self.now)
            after, told = decide(before, command, self.now)
        except DomainError:
            return
        assert after is not None
        self.meeting = after
        self._tell(before, after, told)
        self._check_invariants(before, after)

    def _tell(self, before: Meeting, after: Meeting, told: list[Outgoing]) -> None:
        for outgoing in told:
            event = msgspec.to_builtins(outgoing.event)
            if reached(outgoing, OWNER, set()):
                self.owner.apply(event)
            for who, view in self.inside.items():
                if reached(outgoing, who, {before.participants[who].queue_id}):
                    view.apply(event)
        truth = as_read(after)
        assert self.owner.active == truth.active
        assert self.owner.participants.keys() == truth.participants.keys()
        assert self.owner.waiting == truth.waiting
        for who, view in self.inside.items():
            if who in after.participants:
                assert view.participants == truth.participants
        # whoever came in reads the state, and follows events from there
        self.inside = {who: self.inside.get(who) or as_read(after) for who in after.participants}

    def _check_invariants(self, before: Meeting, after: Meeting) -> None:
        assert after.participants.keys() <= after.members.keys()
        assert not (after.participants.keys() & after.queue.keys())
        assert not (after.participants.keys() & after.admitted.keys())
        assert after.scheduled or after.door or not after.queue
        assert after.active or not after.participants
        assert after.active or after.worker_id is None
        assert after.members[OWNER] is UserType.MODERATOR
        assert after.media_epoch >= before.media_epoch
        moved = after.worker_id != before.worker_id and after.worker_id is not None
        assert not moved or after.media_epoch == before.media_epoch + 1
        for entry in after.queue.values():
            if entry.status is QueueStatus.ACCEPTED:
                assert entry.user_id in after.members
                assert not entry.enters, "let in is in, for those"
        if before.participants and not after.participants:
            assert not after.active, "the last one out stops the meeting"


@given(st.sampled_from(MeetingType), doors, st.lists(commands, min_size=15, max_size=40))
@settings(max_examples=300, deadline=None)
def test_events_carry_the_state(
    meeting_type: MeetingType, door: Door | None, steps: list[Command]
) -> None:
    world = World(meeting_type, door)
    world.step(lifecycle.Start(by=OWNER, worker="one"))
    for who in USERS[:3]:
        world.step(access_list.SetMember(by=OWNER, user=who, user_type=UserType.MODERATOR))
        command = admission.Join(by=who, queue_id=queue_of(who, 0), audio=True, video=False)
        world.step(command)
    for command in steps:
        world.step(command)
