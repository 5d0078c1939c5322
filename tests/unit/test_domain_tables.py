"""The tables of the rules: every way in, every switch, every refusal."""

from __future__ import annotations

import ast
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import get_args
from uuid import UUID

import pytest
from msgspec.structs import replace

from conference import domain
from conference.domain import (
    access_list,
    admission,
    arrange,
    leaving,
    lifecycle,
    media,
    waiting_room,
)
from conference.domain.decide import RULES, decide
from conference.domain.meeting import Command, Meeting, QueueEntry
from conference.errors import Conflict, Forbidden, MediaFailed, NotFound
from schemas.events import WaitingParticipantRejected
from schemas.terms import (
    JoinStatus,
    MeetingType,
    QueueStatus,
    QueueUpdateStatus,
    StreamType,
    UserType,
)

OWNER, MEMBER, OUTSIDER = (UUID(int=number) for number in (1, 2, 3))
HERE, ELSEWHERE = UUID(int=10), UUID(int=11)
NOW = datetime(2030, 1, 1, tzinfo=UTC)
WHO: dict[admission.Standing, UUID] = {
    "moderator": OWNER,
    "member": MEMBER,
    "outsider": OUTSIDER,
}


def meeting(kind: MeetingType = MeetingType.PERMANENT, **fields: object) -> Meeting:
    base = Meeting(
        id=UUID(int=99),
        name="x",
        meeting_type=kind,
        owner_id=OWNER,
        join_code="abcdefghij",
        created_at=NOW,
        active=True,
        started_at=NOW,
        members={OWNER: UserType.MODERATOR, MEMBER: UserType.REGISTERED},
    )
    return replace(base, **fields)


def with_row(state: Meeting, user: UUID, row: admission.Row) -> Meeting:
    if row == "none":
        return state
    entry = QueueEntry(
        user_id=user,
        queue_id=ELSEWHERE if row == "waiting_elsewhere" else HERE,
        status=QueueStatus.ACCEPTED if row == "accepted" else QueueStatus.WAITING,
        queued_at=NOW,
    )
    return replace(state, queue={user: entry})


def join(state: Meeting, user: UUID) -> tuple[Meeting, list[str]]:
    command = admission.Join(by=user, queue_id=HERE, audio=True, video=False)
    after, told = decide(state, command, NOW)
    assert after is not None
    return after, [type(item.event).__name__ for item in told]


def test_every_command_has_a_rule() -> None:
    modules = (access_list, admission, arrange, leaving, waiting_room, lifecycle, media)
    found = {
        item
        for module in modules
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, Command)
    }
    assert found - {Command, media.Seen} == RULES.keys()


def test_the_doors_cover_everything() -> None:
    standings, rows = get_args(admission.Standing), get_args(admission.Row)
    assert admission.PERMANENT_DOOR.keys() == set(standings)
    assert admission.SCHEDULED_DOOR.keys() == set(product(standings, rows))
    assert media.SWITCHES.keys() == set(product((False, True), repeat=2))


@pytest.mark.parametrize("standing", get_args(admission.Standing))
@pytest.mark.parametrize("row", get_args(admission.Row))
def test_the_scheduled_door(standing: admission.Standing, row: admission.Row) -> None:
    user = WHO[standing]
    before = with_row(meeting(MeetingType.SCHEDULED), user, row)
    after, told = join(before, user)
    inside = user in after.participants
    if standing == "moderator" or (standing == "member" and row == "accepted"):
        assert inside
        assert user not in after.queue
        assert told == ["ParticipantJoined"]
        return
    assert not inside
    assert after.queue[user].status is QueueStatus.WAITING
    assert after.queue[user].queue_id == HERE
    expected = {
        "none": ["WaitingParticipantJoined"],
        "waiting_here": [],
        "waiting_elsewhere": ["WaitingParticipantClashed"],
        "accepted": ["WaitingParticipantJoined"],
    }
    assert told == expected[row]


@pytest.mark.parametrize("standing", get_args(admission.Standing))
@pytest.mark.parametrize("active", [True, False])
def test_the_permanent_door(standing: admission.Standing, active: bool) -> None:
    state = meeting(active=active)
    if standing == "outsider":
        with pytest.raises(Forbidden):
            join(state, WHO[standing])
    elif not active:
        with pytest.raises(MediaFailed):
            join(state, WHO[standing])
    else:
        assert WHO[standing] in join(state, WHO[standing])[0].participants


def test_a_place_in_the_line_survives_a_change_of_client() -> None:
    early = with_row(meeting(MeetingType.SCHEDULED), OUTSIDER, "waiting_elsewhere")
    command = admission.Join(by=OUTSIDER, queue_id=HERE, audio=False, video=False)
    after, _ = decide(early, command, NOW + timedelta(hours=1))
    assert after is not None
    assert after.queue[OUTSIDER].queued_at == NOW


@pytest.mark.parametrize("row", ["waiting_here", "accepted"])
@pytest.mark.parametrize(
    ("by", "status", "refused"),
    [
        (OWNER, QueueUpdateStatus.ACCEPTED, None),
        (OWNER, QueueUpdateStatus.REJECTED, None),
        (MEMBER, QueueUpdateStatus.ACCEPTED, Forbidden),
        (MEMBER, QueueUpdateStatus.REJECTED, Forbidden),
        (OUTSIDER, QueueUpdateStatus.ACCEPTED, Forbidden),
        (OUTSIDER, QueueUpdateStatus.REJECTED, None),
    ],
)
def test_who_decides_about_the_queue(
    row: admission.Row, by: UUID, status: QueueUpdateStatus, refused: type[Exception] | None
) -> None:
    state = with_row(meeting(MeetingType.SCHEDULED), OUTSIDER, row)
    command = waiting_room.UpdateQueued(by=by, user=OUTSIDER, status=status)
    if refused:
        with pytest.raises(refused):
            decide(state, command, NOW)
        return
    after, told = decide(state, command, NOW)
    assert after is not None
    accepted = status is QueueUpdateStatus.ACCEPTED
    assert (OUTSIDER in after.members) == accepted
    assert (OUTSIDER in after.queue) == accepted
    (item,) = told
    assert item.audience.users == {OWNER}
    assert item.audience.queues == {HERE}


@pytest.mark.parametrize(
    ("kind", "command", "standing", "may"),
    [
        (kind, command, standing, standing == "moderator" or (kind_lets_members and member))
        for kind in MeetingType
        for command in (lifecycle.Stop, lifecycle.Delete)
        for standing in get_args(admission.Standing)
        for member in [standing == "member" and command is lifecycle.Stop]
        for kind_lets_members in [kind is MeetingType.PERMANENT]
    ],
)
def test_who_ends_a_meeting(
    kind: MeetingType,
    command: type[lifecycle.Stop | lifecycle.Delete],
    standing: admission.Standing,
    may: bool,
) -> None:
    """Moderators; and a permanent meeting is stopped, not deleted, by any member."""
    if may:
        after, told = decide(meeting(kind), command(by=WHO[standing]), NOW)
        assert told
        assert (after is None) == (command is lifecycle.Delete)
        return
    with pytest.raises(Forbidden):
        decide(meeting(kind), command(by=WHO[standing]), NOW)


@pytest.mark.parametrize(
    ("row", "stays"), [("waiting", False), ("accepted", True), ("none", False)]
)
def test_who_waits_for_too_long(row: admission.Row, stays: bool) -> None:
    """One who was let in meanwhile is left alone, and so is everybody at another channel."""
    state = with_row(meeting(MeetingType.SCHEDULED), OUTSIDER, row)
    elsewhere = waiting_room.TimeOut(queue_id=UUID(int=99))
    assert decide(state, elsewhere, NOW) == (state, [])
    after, told = decide(state, waiting_room.TimeOut(queue_id=HERE), NOW)
    assert after is not None
    assert (OUTSIDER in after.queue) == stays
    if row == "waiting":
        (item,) = told
        assert isinstance(item.event, WaitingParticipantRejected)
        assert item.event.reason == "timed_out"
        assert (item.audience.users, item.audience.queues) == ({OWNER}, {HERE})


def test_nobody_is_let_in_who_does_not_wait() -> None:
    command = waiting_room.UpdateQueued(by=OWNER, user=MEMBER, status=QueueUpdateStatus.ACCEPTED)
    with pytest.raises(NotFound):
        decide(meeting(MeetingType.SCHEDULED), command, NOW)


@pytest.mark.parametrize(
    ("kind", "expiration", "someone_in", "goes"),
    [
        (MeetingType.SCHEDULED, NOW, False, True),
        (MeetingType.SCHEDULED, NOW - timedelta(days=1), False, True),
        (MeetingType.SCHEDULED, NOW + timedelta(seconds=1), False, False),
        (MeetingType.SCHEDULED, NOW, True, False),
        (MeetingType.SCHEDULED, None, False, False),
        (MeetingType.PERMANENT, NOW - timedelta(days=1), False, False),
    ],
)
def test_expiry(
    kind: MeetingType, expiration: datetime | None, someone_in: bool, goes: bool
) -> None:
    state = meeting(kind, expiration=expiration)
    if someone_in:
        state, _ = join(state, OWNER)
    after, told = decide(state, lifecycle.Expire(), NOW)
    assert (after is None) == goes
    assert bool(told) == goes


def test_the_owner_is_fixed() -> None:
    for command in (
        access_list.SetMember(by=OWNER, user=OWNER, user_type=UserType.REGISTERED),
        access_list.RemoveMember(by=OWNER, user=OWNER),
    ):
        with pytest.raises(Conflict):
            decide(meeting(), command, NOW)


def test_a_move_happens_once() -> None:
    state = meeting(worker_id="lost", media_epoch=4)
    moved, told = decide(state, media.Relocate(worker="new", lost_epoch=4), NOW)
    assert moved is not None
    assert (moved.worker_id, moved.media_epoch) == ("new", 5)
    assert len(told) == 1
    again, told = decide(moved, media.Relocate(worker="newer", lost_epoch=4), NOW)
    assert again == moved
    assert told == []


def test_a_placement_is_kept() -> None:
    state = meeting(worker_id="one", media_epoch=4)
    assert decide(state, media.Place(worker="two"), NOW) == (state, [])
    with pytest.raises(MediaFailed):
        decide(meeting(active=False), media.Place(worker="two"), NOW)


@pytest.mark.parametrize("epoch", [3, 5])
def test_a_camera_offered_under_another_placement_stays_off(epoch: int) -> None:
    state, _ = join(meeting(worker_id="one", media_epoch=4), OWNER)
    command = media.SwitchOn(by=OWNER, queue_id=HERE, kind=StreamType.VIDEO, epoch=epoch)
    with pytest.raises(MediaFailed):
        decide(state, command, NOW)


def test_a_camera_offered_by_a_replaced_client_stays_off() -> None:
    state, _ = join(meeting(worker_id="one", media_epoch=4), OWNER)
    command = media.SwitchOn(by=OWNER, queue_id=ELSEWHERE, kind=StreamType.VIDEO, epoch=4)
    with pytest.raises(NotFound):
        decide(state, command, NOW)


@pytest.mark.parametrize("text", ["scheduled", "SCHEDULED", "Scheduled"])
def test_terms_are_read_in_any_case(text: str) -> None:
    assert MeetingType(text) is MeetingType.SCHEDULED


@pytest.mark.parametrize("text", ["", "schedule", None, 1])
def test_other_words_are_not_terms(text: object) -> None:
    with pytest.raises(ValueError, match="is not a valid"):
        JoinStatus(text)


def _pure_files() -> list[Path]:
    core = Path(domain.__path__[0])
    families = core.parent
    return [
        path
        for pattern in (
            "domain/**/*.py",
            "*/**/rules.py",
            "*/**/*_rules.py",
            "*/sip.py",
            "*/application.py",
        )
        for path in families.glob(pattern)
    ]


def test_the_domain_touches_no_io() -> None:
    """House rule: no awaiting, no clock, no randomness, no socket in here, nor in what the families decide."""
    allowed = {
        "__future__",
        "collections.abc",
        "conference.domain",
        "conference.errors",
        "conference.ucwa.conversations.facts",
        "conference.ucwa.sip",
        "datetime",
        "enum",
        "fnmatch",
        "ipaddress",
        "msgspec",
        "msgspec.structs",
        "re",
        "schemas",
        "typing",
        "uuid",
    }
    for path in _pure_files():
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            assert not isinstance(node, ast.Await | ast.AsyncFunctionDef), path
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [f"{node.module}.{alias.name}" for alias in node.names]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            for name in names:
                parts = name.split(".")
                roots = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
                assert roots & allowed, f"{path.name} imports {name}"
