"""What an organizer decides of an online meeting, and who may read and write what is attached to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import get_args
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from conference.domain.arrange import Arrange
from conference.domain.decide import decide
from conference.domain.door import AccessLevel, Door, LeaderAssignment
from conference.domain.facts import Outgoing
from conference.domain.meeting import Meeting, Participant
from conference.errors import BadRequest, Forbidden
from conference.ucwa.meetings import extension_rules as extension
from conference.ucwa.meetings.extension_rules import Extension, ExtensionType
from conference.ucwa.meetings.rules import (
    Announcement,
    Defaults,
    Details,
    OnlineMeeting,
    Site,
    Switch,
    Wishes,
    defaults_for,
    described,
    door_of,
    expiration_of,
)
from schemas.events import ModerationChanged, ParticipantRoleChanged
from schemas.terms import MeetingType, UserType

ALICE, BOB, CAROL, DAVE = PEOPLE = [UUID(int=number) for number in range(1, 5)]
NOW = datetime(2030, 1, 1, tzinfo=UTC)
MODERATOR, REGISTERED = UserType.MODERATOR, UserType.REGISTERED
DOOR = Door(access_level=AccessLevel.INVITED)
DEFAULTS = Defaults(
    access_level=AccessLevel.SAME_ENTERPRISE,
    automatic_leader_assignment=LeaderAssignment.EVERYONE,
    entry_exit_announcement=Announcement.UNSUPPORTED,
    lobby_bypass_for_phone_users=Switch.DISABLED,
    phone_user_admission=Switch.DISABLED,
    lifetime=timedelta(hours=8),
)
SITE = Site(domain="parley.example", public_url="https://parley.example")
DETAILS = Details(
    meeting_id=UUID(int=99),
    owner_id=ALICE,
    online_meeting_id="AB12CD34",
    conference_id="123456789",
    entry_exit_announcement=Announcement.DISABLED,
    phone_user_admission=Switch.DISABLED,
)


class Person(msgspec.Struct, frozen=True):
    id: UUID = ALICE
    name: str = "Alice"
    email: str = "Alice@example.com"
    org: str = "example"


def meeting(**fields: object) -> Meeting:
    base = Meeting(
        id=UUID(int=99),
        name="old",
        meeting_type=MeetingType.SCHEDULED,
        owner_id=ALICE,
        join_code="abcdefghij",
        created_at=NOW,
        door=DOOR,
        members={ALICE: MODERATOR},
    )
    return replace(base, **fields)


def arranged(state: Meeting, **fields: object) -> Meeting:
    base = Arrange(by=ALICE, name="new", expiration=None, door=DOOR)
    after, told = decide(state, replace(base, **fields), NOW)
    assert after is not None
    assert_only_roles_are_told(state, after, told)
    return after


def assert_only_roles_are_told(before: Meeting, after: Meeting, told: list[Outgoing]) -> None:
    """Of those who are in the meeting, whose role is another one now; and whether it has a moderator."""
    roles = {
        each.event.user_id: each.event.user_type
        for each in told
        if isinstance(each.event, ParticipantRoleChanged)
    }
    moderated = [each.event for each in told if isinstance(each.event, ModerationChanged)]
    assert roles == {
        user: after.members[user]
        for user in before.participants
        if before.members[user] is not after.members[user]
    }
    expected = [after.moderated] if before.moderated != after.moderated else []
    assert [event.moderated for event in moderated] == expected
    assert len(told) == len(roles) + len(moderated)


def inside(*users: UUID) -> dict[UUID, Participant]:
    return {user: Participant(user_id=user, queue_id=user, joined_at=NOW) for user in users}


# --- deciding anew ----------------------------------------------------------------------------


def test_only_the_owner_decides() -> None:
    state = meeting(members={ALICE: MODERATOR, BOB: MODERATOR})
    with pytest.raises(Forbidden):
        decide(state, Arrange(by=BOB, name="x", expiration=None, door=DOOR), NOW)


@pytest.mark.parametrize(
    ("before", "leaders", "attendees", "released", "present", "after"),
    [
        (None, [], [], [], [], None),
        (None, [BOB], [], [], [], MODERATOR),
        (None, [], [BOB], [], [], REGISTERED),
        (None, [BOB], [BOB], [], [], MODERATOR),
        (MODERATOR, [], [], [BOB], [], None),
        (MODERATOR, [], [BOB], [BOB], [], REGISTERED),
        (REGISTERED, [BOB], [], [BOB], [], MODERATOR),
        (REGISTERED, [], [], [BOB], [], None),
        (REGISTERED, [], [], [BOB], [BOB], REGISTERED),
        (MODERATOR, [], [], [BOB], [BOB], REGISTERED),
        (MODERATOR, [], [], [], [], MODERATOR),  # promoted in the meeting, on no list
        (MODERATOR, [], [BOB], [], [], MODERATOR),
    ],
)
def test_the_access_list_follows_the_lists(
    before: UserType | None,
    leaders: list[UUID],
    attendees: list[UUID],
    released: list[UUID],
    present: list[UUID],
    after: UserType | None,
) -> None:
    members = {ALICE: MODERATOR} | ({BOB: before} if before else {})
    state = meeting(active=bool(present), members=members, participants=inside(*present))
    changed = arranged(
        state,
        leaders=frozenset(leaders),
        attendees=frozenset(attendees),
        released=frozenset(released),
    )
    assert changed.members.get(BOB) is after
    assert changed.participants == state.participants
    assert changed.name == "new"


users = st.frozensets(st.sampled_from(PEOPLE))


@given(
    st.dictionaries(st.sampled_from(PEOPLE), st.sampled_from(UserType)), users, users, users, users
)
def test_nobody_in_the_meeting_loses_it_and_the_owner_leads(
    members: dict[UUID, UserType],
    present: frozenset[UUID],
    leaders: frozenset[UUID],
    attendees: frozenset[UUID],
    released: frozenset[UUID],
) -> None:
    listed = {**dict.fromkeys(present, REGISTERED), **members, ALICE: MODERATOR}
    state = meeting(active=bool(present), members=listed, participants=inside(*present))
    changed = arranged(state, leaders=leaders, attendees=attendees, released=released)
    assert changed.members[ALICE] is MODERATOR
    assert changed.participants.keys() <= changed.members.keys()
    assert leaders | attendees <= changed.members.keys()
    assert all(changed.members[user] is MODERATOR for user in leaders)
    gone = listed.keys() - changed.members.keys()
    assert gone <= released - present


# --- defaults ---------------------------------------------------------------------------------


def test_the_organizer_leads_without_being_named() -> None:
    wishes = Wishes(leaders=("alice@example.com", "bob@example.com"), attendees=("x@y", "x@y"))
    door = door_of(wishes, DEFAULTS, Person(), SITE.domain)
    assert (door.leaders, door.attendees) == (("bob@example.com",), ("x@y",))
    assert door.access_level is AccessLevel.SAME_ENTERPRISE
    assert door.organizer_org == "example"


@pytest.mark.parametrize(
    ("kind", "level"),
    [(MeetingType.SCHEDULED, AccessLevel.LOCKED), (MeetingType.PERMANENT, AccessLevel.INVITED)],
)
def test_what_is_left_out_opens_nothing(kind: MeetingType, level: AccessLevel) -> None:
    own = defaults_for(meeting(door=None, meeting_type=kind), DEFAULTS)
    assert own.access_level is level
    assert own.automatic_leader_assignment is LeaderAssignment.DISABLED
    assert defaults_for(meeting(meeting_type=kind), DEFAULTS) == DEFAULTS


@pytest.mark.parametrize(
    ("given", "lasting", "expected"),
    [
        (None, False, NOW + timedelta(hours=8)),
        (None, True, None),
        (NOW + timedelta(days=1), True, NOW + timedelta(days=1)),
        (NOW - timedelta(days=365), False, NOW - timedelta(days=365)),
        (NOW + timedelta(days=3650), False, NOW + timedelta(days=3650)),
    ],
)
def test_expiration(given: datetime | None, lasting: bool, expected: datetime | None) -> None:
    assert expiration_of(Wishes(expiration=given), DEFAULTS, NOW, lasting=lasting) == expected


@pytest.mark.parametrize("days", [-367, 3654])
def test_expiration_out_of_bounds(days: int) -> None:
    wishes = Wishes(expiration=NOW + timedelta(days=days))
    with pytest.raises(BadRequest, match="expirationTime"):
        expiration_of(wishes, DEFAULTS, NOW, lasting=False)


# --- as its organizer sees it -----------------------------------------------------------------


def shown(state: Meeting, details: Details = DETAILS) -> OnlineMeeting:
    addresses = {BOB: "bob@example.com", CAROL: "carol@example.com"}
    return described(state, details, Person(), addresses, SITE)


def test_its_addresses() -> None:
    found = shown(meeting())
    assert found.uri == "sip:alice@example.com;gruu;opaque=app:conf:focus:id:AB12CD34"
    assert found.join_url == "https://parley.example/join/abcdefghij"
    assert found.rel == "myOnlineMeetings"
    assert shown(meeting(), replace(DETAILS, assigned=True)).rel == "myAssignedOnlineMeeting"


@pytest.mark.parametrize(
    ("kind", "level", "open_to_anonymous"),
    [
        (MeetingType.SCHEDULED, AccessLevel.LOCKED, True),
        (MeetingType.PERMANENT, AccessLevel.INVITED, False),
    ],
)
def test_without_a_door_the_access_list_is_shown(
    kind: MeetingType, level: AccessLevel, open_to_anonymous: bool
) -> None:
    members = {ALICE: MODERATOR, BOB: MODERATOR, CAROL: REGISTERED, DAVE: REGISTERED}
    found = shown(meeting(door=None, meeting_type=kind, members=members))
    assert found.access_level is level
    assert found.leaders == ("sip:bob@example.com",)
    assert found.attendees == ("sip:carol@example.com",), "nobody knows dave's address"
    assert found.open_to_anonymous is open_to_anonymous


# --- extensions -------------------------------------------------------------------------------


def test_who_reads_and_writes() -> None:
    roles = get_args(extension.Role)
    assert extension.READ.keys() == extension.WRITE.keys() == set(roles)
    reads = {
        (role, kind) for role, kind in product(roles, ExtensionType) if kind in extension.READ[role]
    }
    writes = {
        (role, kind)
        for role, kind in product(roles, ExtensionType)
        if kind in extension.WRITE[role]
    }
    shared = ExtensionType.PARTICIPANT
    assert reads == {
        *(("organizer", kind) for kind in ExtensionType),
        ("leader", shared),
        ("participant", shared),
    }
    assert writes == reads - {("participant", shared)}


def test_the_limits_are_within_limits() -> None:
    most = {f"{i}": "x" * (extension.VALUE_LONGEST - 1) for i in range(8)}
    full = Extension(id="x" * extension.NAME_LONGEST, properties=most)
    assert extension.check(full) == full
