"""Why somebody is out, and who comes back without waiting: every way out, every reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from msgspec.structs import replace

from conference.domain import access_list, admission, leaving, lifecycle, waiting_room
from conference.domain.decide import decide
from conference.domain.facts import Outgoing
from conference.domain.leaving import READMISSION
from conference.domain.meeting import Command, Meeting, Participant, QueueEntry
from schemas.events import (
    Event,
    MeetingStopped,
    ModerationChanged,
    ParticipantLeft,
    ParticipantRoleChanged,
    WaitingParticipantRejected,
)
from schemas.terms import MeetingType, QueueStatus, QueueUpdateStatus, UserType

ALICE, BOB, CAROL = (UUID(int=number) for number in (1, 2, 3))
NOW = datetime(2030, 1, 1, tzinfo=UTC)
SOON = NOW + timedelta(minutes=1)


def queue_of(user: UUID) -> UUID:
    return UUID(int=user.int * 100)


def present(user: UUID) -> Participant:
    return Participant(user_id=user, queue_id=queue_of(user), joined_at=NOW)


def meeting(*inside: UUID, kind: MeetingType = MeetingType.SCHEDULED) -> Meeting:
    """Alice's; bob and carol were let in once."""
    return Meeting(
        id=UUID(int=99),
        name="x",
        meeting_type=kind,
        owner_id=ALICE,
        join_code="abcdefghij",
        created_at=NOW,
        active=True,
        started_at=NOW,
        members={
            ALICE: UserType.MODERATOR,
            BOB: UserType.REGISTERED,
            CAROL: UserType.REGISTERED,
        },
        participants={user: present(user) for user in inside},
    )


def waiting(state: Meeting, user: UUID, status: QueueStatus = QueueStatus.WAITING) -> Meeting:
    entry = QueueEntry(user_id=user, queue_id=queue_of(user), status=status, queued_at=NOW)
    return replace(state, queue={user: entry})


def done(state: Meeting, command: Command, now: datetime = NOW) -> tuple[Meeting, list[Outgoing]]:
    after, told = decide(state, command, now)
    assert after is not None
    return after, told


def told_as(told: list[Outgoing], kind: type[Event]) -> Outgoing:
    (found,) = [item for item in told if isinstance(item.event, kind)]
    return found


def reason_of(item: Outgoing) -> object:
    return getattr(item.event, "reason", None)


def comes_back(state: Meeting, user: UUID, now: datetime = SOON) -> bool:
    """Whether they are in at once, from a new client."""
    command = admission.Join(by=user, queue_id=UUID(int=777), audio=False, video=False)
    return user in done(state, command, now)[0].participants


LOST = leaving.ChannelGone(queue_id=queue_of(BOB))
OUT: list[tuple[Command, str | None, bool]] = [
    (LOST, "lost", True),
    (leaving.ChannelGone(queue_id=queue_of(BOB), on_purpose=True), None, False),
    (leaving.Leave(by=BOB), None, False),
    (leaving.Eject(by=ALICE, user=BOB), "removed", False),
    (access_list.RemoveMember(by=ALICE, user=BOB), "removed", False),
    (access_list.RemoveMember(by=BOB, user=BOB), None, False),
]


@pytest.mark.parametrize(("command", "reason", "back"), OUT)
def test_each_way_out_tells_its_reason(command: Command, reason: str | None, back: bool) -> None:
    after, told = done(meeting(ALICE, BOB), command)
    left = told_as(told, ParticipantLeft)
    assert reason_of(left) == reason
    assert {ALICE, BOB} <= left.audience.users, "who is out is told too"
    by = getattr(left.event, "moderator_id", None)
    assert by == (ALICE if reason == "removed" else None)
    assert comes_back(after, BOB) == back
    assert (BOB in after.admitted) == back


def test_an_ordinary_leave_looks_as_it_always_did() -> None:
    _, told = done(meeting(ALICE, BOB), leaving.Leave(by=BOB))
    sent = msgspec.to_builtins(told_as(told, ParticipantLeft).event)
    assert sent.keys() == {"type", "sentDate", "meetingId", "userId"}


def test_an_admission_ends_after_a_while() -> None:
    after, _ = done(meeting(ALICE, BOB), LOST)
    assert comes_back(after, BOB, NOW + READMISSION - timedelta(seconds=1))
    assert not comes_back(after, BOB, NOW + READMISSION)


def test_an_admission_is_used_once() -> None:
    after, _ = done(meeting(ALICE, BOB), LOST)
    command = admission.Join(by=BOB, queue_id=queue_of(BOB), audio=False, video=False)
    inside, _ = done(after, command, SOON)
    assert BOB in inside.participants
    assert not inside.admitted
    left, _ = done(inside, leaving.Leave(by=BOB), SOON)
    assert not comes_back(left, BOB)


def test_who_was_let_in_and_lost_the_connection_before_joining_comes_back() -> None:
    accepted = waiting(meeting(ALICE), BOB, QueueStatus.ACCEPTED)
    assert comes_back(done(accepted, LOST)[0], BOB)
    assert not comes_back(done(waiting(meeting(ALICE), BOB), LOST)[0], BOB)


def test_the_admission_outlives_the_meetings_end_by_itself_but_no_moderators_stop() -> None:
    ended, told = done(meeting(BOB), LOST)
    assert reason_of(told_as(told, MeetingStopped)) == "last_left"
    again, _ = done(ended, lifecycle.Start(by=ALICE))
    assert comes_back(again, BOB)
    stopped, told = done(done(meeting(ALICE, BOB), LOST)[0], lifecycle.Stop(by=ALICE))
    assert reason_of(told_as(told, MeetingStopped)) is None
    assert not comes_back(done(stopped, lifecycle.Start(by=ALICE))[0], BOB)


@pytest.mark.parametrize("undone", [access_list.RemoveMember(by=ALICE, user=BOB)])
def test_what_a_moderator_takes_back_is_gone(undone: Command) -> None:
    lost, _ = done(meeting(ALICE, BOB), LOST)
    after, _ = done(lost, undone)
    assert not comes_back(after, BOB)
    listed = access_list.SetMember(by=ALICE, user=BOB, user_type=UserType.REGISTERED)
    assert not comes_back(done(after, listed)[0], BOB)


def test_nobody_is_admitted_to_what_has_no_waiting_room() -> None:
    after, _ = done(meeting(ALICE, BOB, kind=MeetingType.PERMANENT), LOST)
    assert not after.admitted


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (LOST, "lost"),
        (
            waiting_room.UpdateQueued(by=BOB, user=BOB, status=QueueUpdateStatus.REJECTED),
            "withdrawn",
        ),
        (waiting_room.UpdateQueued(by=ALICE, user=BOB, status=QueueUpdateStatus.REJECTED), None),
    ],
)
def test_each_end_of_waiting_tells_its_reason(command: Command, reason: str | None) -> None:
    _, told = done(waiting(meeting(ALICE), BOB), command)
    assert reason_of(told_as(told, WaitingParticipantRejected)) == reason


def test_a_deleted_meeting_is_said_to_stop_because_of_that() -> None:
    _, told = decide(meeting(ALICE), lifecycle.Delete(by=ALICE), NOW)
    assert reason_of(told_as(told, MeetingStopped)) == "deleted"


@pytest.mark.parametrize(
    ("since", "inside", "stops"),
    [
        (NOW, (), True),
        (NOW + timedelta(hours=1), (), True),
        (NOW - timedelta(seconds=1), (), False),
        (NOW, (ALICE,), False),
    ],
)
def test_an_unused_meeting_stops(since: datetime, inside: tuple[UUID, ...], stops: bool) -> None:
    before = waiting(meeting(*inside), BOB)
    after, told = done(before, lifecycle.StopUnused(since=since))
    assert after.active == (not stops)
    if stops:
        stopped = told_as(told, MeetingStopped)
        assert reason_of(stopped) == "unused"
        assert BOB in stopped.audience.users, "who waits is told"
    else:
        assert told == []
    assert done(after, lifecycle.StopUnused(since=since)) == (after, [])


# --- who leads --------------------------------------------------------------------------------


def test_those_who_wait_hear_that_the_last_moderator_went_and_one_came() -> None:
    before = waiting(meeting(ALICE, CAROL), BOB)
    gone, told = done(before, leaving.Leave(by=ALICE))
    change = told_as(told, ModerationChanged)
    assert change.event == ModerationChanged(sent_date=NOW, meeting_id=before.id, moderated=False)
    assert change.audience.users == {BOB, CAROL}
    command = admission.Join(by=ALICE, queue_id=queue_of(ALICE), audio=False, video=False)
    _, told = done(gone, command)
    assert told_as(told, ModerationChanged).audience.users == {BOB, CAROL}


def test_a_second_moderator_makes_no_difference_to_those_who_wait() -> None:
    before = waiting(meeting(ALICE, CAROL), BOB)
    made = access_list.SetMember(by=ALICE, user=CAROL, user_type=UserType.MODERATOR)
    two, told = done(before, made)
    assert not [item for item in told if isinstance(item.event, ModerationChanged)]
    _, told = done(two, leaving.Leave(by=ALICE))
    assert not [item for item in told if isinstance(item.event, ModerationChanged)]


@pytest.mark.parametrize("kind", MeetingType)
def test_a_new_role_is_told_to_everybody_inside(kind: MeetingType) -> None:
    command = access_list.SetMember(by=ALICE, user=BOB, user_type=UserType.MODERATOR)
    after, told = done(meeting(ALICE, BOB, CAROL, kind=kind), command)
    change = told_as(told, ParticipantRoleChanged)
    assert change.audience.users == {ALICE, BOB, CAROL}
    assert getattr(change.event, "user_type", None) is UserType.MODERATOR
    assert done(after, command)[1] == [], "again is nothing new"
    assert done(meeting(ALICE, kind=kind), command)[1] == [], "one who is not in there"
