"""The door of an online meeting: every kind of guest at every level, and what joining does about it."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product
from typing import get_args
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from conference.domain import access_list, admission, leaving, lifecycle, waiting_room
from conference.domain.arrange import Arrange
from conference.domain.decide import decide
from conference.domain.door import (
    LEAD,
    WALK_IN,
    AccessLevel,
    Door,
    Guest,
    LeaderAssignment,
    Visitor,
    guest,
    role_of,
    walks_in,
)
from conference.domain.meeting import Meeting
from conference.errors import Conflict, Forbidden, MediaFailed, NotFound
from schemas.terms import MeetingType, QueueStatus, QueueUpdateStatus, UserType

ALICE, BOB, CAROL = (UUID(int=number) for number in (1, 2, 3))
HERE = UUID(int=10)
NOW = datetime(2030, 1, 1, tzinfo=UTC)
DOOR = Door(
    access_level=AccessLevel.LOCKED,
    organizer_org="Example",
    leaders=("lea@example.com",),
    attendees=("att@example.com",),
)
MODERATOR, REGISTERED = UserType.MODERATOR, UserType.REGISTERED


def meeting(level: AccessLevel = AccessLevel.LOCKED, **fields: object) -> Meeting:
    base = Meeting(
        id=UUID(int=99),
        name="x",
        meeting_type=MeetingType.SCHEDULED,
        owner_id=ALICE,
        join_code="abcdefghij",
        created_at=NOW,
        active=True,
        started_at=NOW,
        door=replace(DOOR, access_level=level),
        members={ALICE: MODERATOR},
    )
    return replace(base, **fields)


def join(state: Meeting, **fields: object) -> tuple[Meeting, list[str]]:
    base = admission.Join(by=BOB, queue_id=HERE, audio=False, video=False)
    after, told = decide(state, replace(base, **fields), NOW)
    assert after is not None
    return after, [type(item.event).__name__ for item in told]


# --- who somebody is --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "email", "org", "anonymous", "expected"),
    [
        (MODERATOR, "", "Example", False, "leader"),
        (MODERATOR, "", "other", False, "leader"),
        (MODERATOR, "", "", True, "leader"),  # promoted by a leader
        (None, "lea@example.com", "Example", False, "leader"),
        (None, "LEA@Example.com", "Example", False, "leader"),
        (None, "lea@example.com", "other", False, "leader"),
        (None, "lea@example.com", "Example", True, "anonymous"),
        (None, "att@example.com", "Example", False, "invitee"),
        (REGISTERED, "", "example", False, "invitee"),
        (None, "att@example.com", "other", False, "stranger"),
        (REGISTERED, "", "other", False, "stranger"),
        (None, "bob@example.com", "EXAMPLE", False, "colleague"),
        (None, "", "", False, "stranger"),
        (REGISTERED, "att@example.com", "Example", True, "anonymous"),
    ],
)
def test_guests(
    role: UserType | None, email: str, org: str, anonymous: bool, expected: Guest
) -> None:
    assert guest(DOOR, role, Visitor(email=email, org=org, anonymous=anonymous)) == expected


def test_without_companies_everybody_is_of_the_same_one() -> None:
    door = replace(DOOR, organizer_org="")
    assert guest(door, None, Visitor(email="bob@example.com")) == "colleague"
    assert guest(door, None, Visitor(email="bob@example.com", org="other")) == "stranger"
    assert guest(door, None, Visitor(anonymous=True)) == "anonymous"


# --- the tables -------------------------------------------------------------------------------

ORDER: list[Guest] = ["leader", "invitee", "colleague", "stranger", "anonymous"]
WALKING = {
    AccessLevel.LOCKED: 1,
    AccessLevel.INVITED: 2,
    AccessLevel.SAME_ENTERPRISE: 3,
    AccessLevel.EVERYONE: 5,
}
LEADING = {
    LeaderAssignment.DISABLED: 1,
    LeaderAssignment.SAME_ENTERPRISE: 3,
    LeaderAssignment.EVERYONE: 5,
}


def test_the_tables_cover_everything() -> None:
    assert set(ORDER) == set(get_args(Guest))
    assert WALK_IN.keys() == set(AccessLevel)
    assert LEAD.keys() == set(LeaderAssignment)


@pytest.mark.parametrize(("level", "who"), list(product(AccessLevel, ORDER)))
def test_each_level_lets_in_more(level: AccessLevel, who: Guest) -> None:
    assert walks_in(replace(DOOR, access_level=level), who) == (ORDER.index(who) < WALKING[level])


@pytest.mark.parametrize(("assignment", "who"), list(product(LeaderAssignment, ORDER)))
def test_each_assignment_makes_more_leaders(assignment: LeaderAssignment, who: Guest) -> None:
    role = role_of(replace(DOOR, automatic_leader_assignment=assignment), who)
    assert (role is MODERATOR) == (ORDER.index(who) < LEADING[assignment])


# --- joining ----------------------------------------------------------------------------------

visitors = st.fixed_dictionaries(
    {
        "by": st.sampled_from([ALICE, BOB, CAROL]),
        "email": st.sampled_from(["", "lea@example.com", "ATT@example.com", "x@example.com"]),
        "org": st.sampled_from(["", "Example", "example", "other"]),
        "anonymous": st.booleans(),
        "enters": st.booleans(),
    }
)
assignments = st.sampled_from(LeaderAssignment)


@given(st.sampled_from(AccessLevel), assignments, st.sampled_from(MeetingType), visitors)
def test_in_or_in_the_lobby(
    level: AccessLevel, assignment: LeaderAssignment, kind: MeetingType, visitor: dict[str, object]
) -> None:
    door = replace(DOOR, access_level=level, automatic_leader_assignment=assignment)
    before = meeting(door=door, meeting_type=kind, members={ALICE: MODERATOR, CAROL: REGISTERED})
    by = visitor["by"]
    assert isinstance(by, UUID)
    who = guest(
        door,
        before.members.get(by),
        Visitor(
            email=str(visitor["email"]),
            org=str(visitor["org"]),
            anonymous=bool(visitor["anonymous"]),
        ),
    )
    after, _ = join(before, **visitor)
    assert (by in after.participants) == walks_in(door, who)
    assert (by in after.queue) != (by in after.participants)
    if by in after.participants:
        assert after.members[by] is role_of(door, who)
        return
    assert after.members == before.members, "waiting gives no rights"
    let_in, _ = decide(
        after,
        waiting_room.UpdateQueued(by=ALICE, user=by, status=QueueUpdateStatus.ACCEPTED),
        NOW,
    )
    assert let_in is not None
    assert let_in.members[by] is role_of(door, who)
    assert (by in let_in.participants) == visitor["enters"]


def test_the_owner_is_never_locked_out() -> None:
    after, told = join(meeting(), by=ALICE, org="other")
    assert ALICE in after.participants
    assert told == ["ParticipantJoined"]


def test_walking_in_makes_a_member_who_is_told() -> None:
    command = admission.Join(by=BOB, queue_id=HERE, audio=True, video=False, org="Example")
    after, (joined,) = decide(meeting(AccessLevel.SAME_ENTERPRISE), command, NOW)
    assert after is not None
    assert after.members[BOB] is REGISTERED
    assert joined.audience.users == {ALICE, BOB}
    assert after.participants[BOB].wants_audio


def test_who_was_let_in_may_join_again_until_they_have_left() -> None:
    waiting, _ = join(meeting())
    accepted, _ = decide(
        waiting,
        waiting_room.UpdateQueued(by=ALICE, user=BOB, status=QueueUpdateStatus.ACCEPTED),
        NOW,
    )
    assert accepted is not None
    assert accepted.queue[BOB].status is QueueStatus.ACCEPTED
    inside, _ = join(accepted)
    assert BOB in inside.participants
    left, _ = decide(inside, leaving.Leave(by=BOB), NOW)
    assert left is not None
    again, _ = join(replace(left, active=True))
    assert again.queue[BOB].status is QueueStatus.WAITING


# --- joining that starts, letting in that seats -----------------------------------------------


@pytest.mark.parametrize("starts", [True, False])
def test_the_first_who_walks_in_starts_it(starts: bool) -> None:
    closed = meeting(active=False, started_at=None)
    after, told = join(closed, by=ALICE, starts=starts)
    assert after.active
    assert after.started_at == NOW
    assert told == ["MeetingStarted", "ParticipantJoined"]


def test_waiting_starts_nothing() -> None:
    after, told = join(meeting(active=False, started_at=None), starts=True)
    assert not after.active
    assert told == ["WaitingParticipantJoined"]


def test_a_meeting_without_a_door_is_started_when_asked() -> None:
    closed = meeting(active=False, started_at=None, door=None, meeting_type=MeetingType.PERMANENT)
    with pytest.raises(MediaFailed):
        join(closed, by=ALICE)
    after, _ = join(closed, by=ALICE, starts=True)
    assert ALICE in after.participants
    with pytest.raises(Forbidden):
        join(closed, starts=True)


@pytest.mark.parametrize("active", [True, False])
def test_being_let_in_is_being_in_for_who_enters(active: bool) -> None:
    state = meeting(active=active, started_at=NOW if active else None)
    waiting, _ = join(state, enters=True)
    accept = waiting_room.UpdateQueued(by=ALICE, user=BOB, status=QueueUpdateStatus.ACCEPTED)
    after, told = decide(waiting, accept, NOW)
    assert after is not None
    assert after.active
    assert after.queue == {}
    assert after.participants[BOB].queue_id == HERE
    names = [type(item.event).__name__ for item in told]
    assert names == [
        "WaitingParticipantAccepted",
        *([] if active else ["MeetingStarted"]),
        "ParticipantJoined",
    ]


def test_the_latest_client_says_whether_it_enters() -> None:
    waiting, _ = join(meeting(), enters=True)
    moved, told = join(waiting, queue_id=UUID(int=11))
    assert told == ["WaitingParticipantClashed"]
    assert not moved.queue[BOB].enters


def test_becoming_a_moderator_lets_in() -> None:
    waiting, _ = join(meeting(), enters=True)
    promote = access_list.SetMember(by=ALICE, user=BOB, user_type=MODERATOR)
    after, _ = decide(waiting, promote, NOW)
    assert after is not None
    assert after.members[BOB] is MODERATOR
    assert BOB in after.participants


# --- ejecting, ending -------------------------------------------------------------------------


def test_ejected_is_out_and_waits_again() -> None:
    state, _ = join(meeting(), by=ALICE)
    state, _ = join(state, by=BOB, email="lea@example.com", queue_id=UUID(int=11))
    assert state.members[BOB] is MODERATOR
    after, told = decide(state, leaving.Eject(by=ALICE, user=BOB), NOW)
    assert after is not None
    assert BOB not in after.participants
    assert after.members[BOB] is REGISTERED
    (left,) = told
    assert left.audience.users == {ALICE, BOB}


@pytest.mark.parametrize(
    ("by", "user", "refused"),
    [(BOB, ALICE, Conflict), (CAROL, BOB, Forbidden), (ALICE, CAROL, NotFound)],
)
def test_who_can_not_be_ejected(by: UUID, user: UUID, refused: type[Exception]) -> None:
    members = {ALICE: MODERATOR, BOB: MODERATOR, CAROL: REGISTERED}
    state, _ = join(meeting(members=members), by=ALICE)
    state, _ = join(state, by=BOB, queue_id=UUID(int=11))
    with pytest.raises(refused):
        decide(state, leaving.Eject(by=by, user=user), NOW)


@pytest.mark.parametrize(
    ("kind_of_meeting", "door"),
    [(MeetingType.PERMANENT, None), (MeetingType.SCHEDULED, None), (MeetingType.SCHEDULED, DOOR)],
)
def test_who_ends_a_meeting(kind_of_meeting: MeetingType, door: Door | None) -> None:
    """Whoever is let in is a member: so it takes a moderator wherever somebody is let in."""
    members = {ALICE: MODERATOR, BOB: REGISTERED, CAROL: MODERATOR}
    state = meeting(meeting_type=kind_of_meeting, door=door, members=members)
    allowed = {
        (kind, user): _allowed(state, kind(by=user))
        for kind in (lifecycle.Stop, lifecycle.Delete)
        for user in members
    }
    assert allowed == {
        (lifecycle.Stop, ALICE): True,
        (lifecycle.Stop, BOB): kind_of_meeting is MeetingType.PERMANENT,
        (lifecycle.Stop, CAROL): True,
        (lifecycle.Delete, ALICE): True,
        (lifecycle.Delete, BOB): False,
        (lifecycle.Delete, CAROL): door is None,
    }


def _allowed(state: Meeting, command: lifecycle.Stop | lifecycle.Delete) -> bool:
    try:
        decide(state, command, NOW)
    except Forbidden:
        return False
    return True


# --- another door for those who wait ----------------------------------------------------------

COLLEAGUE, STRANGER = Visitor(email="bob@example.com", org="example"), Visitor(org="other")


@pytest.mark.parametrize("level", AccessLevel)
@pytest.mark.parametrize("enters", [True, False])
@pytest.mark.parametrize("visitor", [COLLEAGUE, STRANGER, Visitor(anonymous=True)])
def test_who_would_walk_in_now_waits_no_longer(
    level: AccessLevel, enters: bool, visitor: Visitor
) -> None:
    waiting, _ = join(meeting(), enters=enters, org=visitor.org, anonymous=visitor.anonymous)
    opened = replace(DOOR, access_level=level)
    command = Arrange(by=ALICE, name="x", expiration=None, door=opened, waiting={BOB: visitor})
    after, told = decide(waiting, command, NOW)
    assert after is not None
    names = [type(item.event).__name__ for item in told]
    if not walks_in(opened, guest(opened, None, visitor)):
        assert after.queue == waiting.queue
        assert names == []
        return
    assert after.members[BOB] is REGISTERED
    if enters:
        assert BOB in after.participants
        assert names == ["WaitingParticipantAccepted", "ParticipantJoined"]
    else:
        assert after.queue[BOB].status is QueueStatus.ACCEPTED
        assert names == ["WaitingParticipantAccepted"]


def test_what_they_become_is_decided_anew() -> None:
    waiting, _ = join(meeting(), enters=True)
    leading = replace(DOOR, automatic_leader_assignment=LeaderAssignment.EVERYONE)
    command = Arrange(by=ALICE, name="x", expiration=None, door=leading, waiting={BOB: STRANGER})
    after, told = decide(waiting, command, NOW)
    assert after is not None
    assert (after.queue[BOB].role, told) == (MODERATOR, [])


def test_who_is_accepted_or_unknown_stays_as_they_are() -> None:
    waiting, _ = join(meeting())
    accept = waiting_room.UpdateQueued(by=ALICE, user=BOB, status=QueueUpdateStatus.ACCEPTED)
    accepted, _ = decide(waiting, accept, NOW)
    assert accepted is not None
    opened = replace(DOOR, access_level=AccessLevel.EVERYONE)
    command = Arrange(by=ALICE, name="x", expiration=None, door=opened)
    for before, visitors in ((accepted, {BOB: COLLEAGUE}), (waiting, {})):
        after, told = decide(before, replace(command, waiting=visitors), NOW)
        assert after is not None
        assert (after.queue, told) == (before.queue, [])
