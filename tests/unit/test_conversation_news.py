"""What applications in a meeting are told: tables of single changes, and that replaying the news gives the state."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

from conference.domain.access_list import RemoveMember, SetMember
from conference.domain.admission import Join
from conference.domain.decide import decide
from conference.domain.leaving import ChannelGone, Eject, Leave
from conference.domain.lifecycle import Delete, Start, Stop
from conference.domain.media import Relocate, SetAudio
from conference.domain.meeting import Command, Meeting
from conference.domain.waiting_room import TimeOut, UpdateQueued
from conference.errors import DomainError
from conference.ucwa.conversations import rules as rules
from conference.ucwa.conversations.facts import (
    ConversationState,
    Importance,
    InvitationView,
    Modality,
    Step,
)
from conference.ucwa.conversations.rules import Conversation
from schemas.terms import MeetingType, QueueUpdateStatus, UserType

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALICE, BOB, CAROL = UUID(int=1), UUID(int=2), UUID(int=3)
USERS = (ALICE, BOB, CAROL)
ACCEPTED, REJECTED = QueueUpdateStatus.ACCEPTED, QueueUpdateStatus.REJECTED


def queue_of(user: UUID, client: int = 0) -> UUID:
    return UUID(int=100 + 10 * client + user.int)


def conversation_of(user: UUID, client: int = 0) -> Conversation:
    return Conversation(
        application_id=f"{user.int}-{client}",
        meeting_id=UUID(int=7),
        user_id=user,
        queue_id=queue_of(user, client),
        created_at=NOW,
        invitation=InvitationView(
            id="i",
            operation_id="op",
            subject="",
            importance=Importance.NORMAL,
            thread_id="t",
            online_meeting_uri="sip:alice@example.org",
        ),
    )


def fresh(meeting_type: MeetingType = MeetingType.SCHEDULED) -> Meeting:
    return Meeting(
        id=UUID(int=7),
        name="Planning",
        meeting_type=meeting_type,
        owner_id=ALICE,
        join_code="abcdefghij",
        created_at=NOW,
        members={ALICE: UserType.MODERATOR},
    )


def join(user: UUID, client: int = 0, enters: bool = True) -> Join:
    return Join(
        by=user,
        queue_id=queue_of(user, client),
        audio=False,
        video=False,
        starts=True,
        enters=enters,
    )


def after(meeting: Meeting, *commands: Command) -> Meeting:
    for command in commands:
        changed, _ = decide(meeting, command, NOW)
        assert changed is not None
        meeting = changed
    return meeting


def told(user: UUID, before: Meeting, command: Command, client: int = 0) -> list[str]:
    """The news of one command, in short: `participant added 2 in lobby`."""
    now, _ = decide(before, command, NOW)
    return [short(step) for step in news(conversation_of(user, client), before, now)]


def news(conversation: Conversation, before: Meeting, now: Meeting | None) -> list[Step]:
    return rules.news(conversation, rules.scene(before), rules.scene(now) if now else None)


def short(step: Step) -> str:
    who = f" {step.user_id.int}" if step.user_id else ""
    return f"{step.what} {step.type}{who}" + (f" in {step.inside}" if step.inside else "")


def together() -> Meeting:
    """alice leads, bob is in, carol waits."""
    admit = UpdateQueued(by=ALICE, user=BOB, status=ACCEPTED)
    return after(fresh(), join(ALICE), join(BOB), admit, join(CAROL))


BEGUN = [
    "onlineMeetingInvitation started",
    "conversation added",
    "localParticipant added {0}",
    "onlineMeeting added",
    "conversation updated",
]


def begun(user: UUID) -> list[str]:
    return [line.format(user.int) for line in BEGUN]


# --- one change at a time ---------------------------------------------------------------------


def test_the_first_one_in_is_in_the_roster_before_the_invitation_completes() -> None:
    assert told(ALICE, fresh(), join(ALICE)) == [
        *begun(ALICE),
        "participant added 1",
        "participant added 1 in leaders",
        "participantAudio added 1",
        "onlineMeetingInvitation completed",
    ]


def test_in_the_lobby_the_invitation_stays_open_and_nobody_is_seen() -> None:
    assert told(BOB, after(fresh(), join(ALICE)), join(BOB)) == begun(BOB)


def test_a_leader_hears_of_the_lobby_and_others_do_not() -> None:
    meeting = after(
        fresh(), join(ALICE), join(BOB), UpdateQueued(by=ALICE, user=BOB, status=ACCEPTED)
    )
    assert told(ALICE, meeting, join(CAROL)) == [
        "participant added 3",
        "participant added 3 in lobby",
    ]
    assert told(BOB, meeting, join(CAROL)) == []


ADMIT = UpdateQueued(by=ALICE, user=CAROL, status=ACCEPTED)
REJECT = UpdateQueued(by=ALICE, user=CAROL, status=REJECTED)
CHANGES: list[tuple[str, Command, dict[UUID, list[str]]]] = [
    (
        "admit",
        ADMIT,
        {
            ALICE: [
                "participant deleted 3 in lobby",
                "participant added 3 in attendees",
                "participant updated 3",
                "participantAudio added 3",
                "conversation updated",
            ],
            BOB: [
                "participant added 3",
                "participant added 3 in attendees",
                "participantAudio added 3",
                "conversation updated",
            ],
            CAROL: [
                "localParticipant updated 3",
                "conversation updated",
                "participant added 1",
                "participant added 1 in leaders",
                "participantAudio added 1",
                "participant added 2",
                "participant added 2 in attendees",
                "participantAudio added 2",
                "participant added 3",
                "participant added 3 in attendees",
                "participantAudio added 3",
                "onlineMeetingInvitation completed",
            ],
        },
    ),
    (
        "reject",
        REJECT,
        {
            ALICE: ["participant deleted 3 in lobby", "participant deleted 3"],
            BOB: [],
            CAROL: [
                "onlineMeetingInvitation completed",
                "localParticipant deleted 3",
                "conversation deleted",
            ],
        },
    ),
    (
        "leave",
        Leave(by=BOB),
        {
            ALICE: [
                "participant deleted 2 in attendees",
                "participant deleted 2",
                "conversation updated",
            ],
            BOB: ["localParticipant deleted 2", "conversation deleted"],
            CAROL: [],
        },
    ),
    (
        "promote",
        SetMember(by=ALICE, user=BOB, user_type=UserType.MODERATOR),
        {
            ALICE: [
                "participant deleted 2 in attendees",
                "participant added 2 in leaders",
                "participant updated 2",
            ],
            BOB: [
                "participant updated 1",
                "participant deleted 2 in attendees",
                "participant added 2 in leaders",
                "participant updated 2",
                "participant added 3",
                "participant added 3 in lobby",
                "localParticipant updated 2",
                "conversation updated",
            ],
            CAROL: [],
        },
    ),
    (
        "microphone",
        SetAudio(by=BOB, target=BOB, enabled=True),
        {
            ALICE: ["participantAudio updated 2", "conversation updated"],
            BOB: ["participantAudio updated 2", "conversation updated"],
            CAROL: [],
        },
    ),
    (
        "stop",
        Stop(by=ALICE),
        {
            ALICE: ["localParticipant deleted 1", "conversation deleted"],
            BOB: ["localParticipant deleted 2", "conversation deleted"],
            CAROL: [
                "onlineMeetingInvitation completed",
                "localParticipant deleted 3",
                "conversation deleted",
            ],
        },
    ),
    (
        "taken over by another client",
        join(BOB, client=1),
        {ALICE: [], BOB: ["localParticipant deleted 2", "conversation deleted"], CAROL: []},
    ),
]


@pytest.mark.parametrize(("name", "command", "expected"), CHANGES, ids=[row[0] for row in CHANGES])
def test_each_hears_what_they_may_see(
    name: str, command: Command, expected: dict[UUID, list[str]]
) -> None:
    for user, lines in expected.items():
        assert told(user, together(), command) == lines, f"{name}, told {user.int}"


def test_the_client_that_takes_over_begins_a_conversation() -> None:
    lines = told(BOB, together(), join(BOB, client=1), client=1)
    assert lines[:5] == begun(BOB)
    assert lines[-1] == "onlineMeetingInvitation completed"


def test_a_new_subject_changes_the_meeting_and_the_conversation() -> None:
    before = together()
    steps = news(conversation_of(BOB), before, replace(before, name="Retrospective"))
    assert [short(step) for step in steps] == ["onlineMeeting updated", "conversation updated"]


def test_media_that_moves_is_negotiated_anew() -> None:
    placed = replace(together(), worker_id="w1", media_epoch=1)
    moved = Relocate(worker="w2", lost_epoch=1)
    assert told(BOB, placed, moved) == ["mediaNegotiation updated"]
    assert told(CAROL, placed, moved) == []
    assert told(BOB, together(), SetAudio(by=BOB, target=BOB, enabled=False)) == []


def test_someone_let_in_who_has_yet_to_walk_in_is_in_no_list() -> None:
    """Clients of the Meeting API join again after they were accepted."""
    meeting = after(fresh(), join(ALICE), join(BOB, enters=False))
    accept = UpdateQueued(by=ALICE, user=BOB, status=ACCEPTED)
    assert told(ALICE, meeting, accept) == [
        "participant deleted 2 in lobby",
        "participant deleted 2",
    ]
    assert told(ALICE, after(meeting, accept), join(BOB)) == [
        "participant added 2",
        "participant added 2 in attendees",
        "participantAudio added 2",
        "conversation updated",
    ]


def test_a_muted_microphone_is_still_there() -> None:
    """Everyone in a meeting hears it; a camera is there while it is on."""
    speaking = after(together(), SetAudio(by=BOB, target=BOB, enabled=True))
    told_of = ["participantAudio updated 2", "conversation updated"]
    assert told(ALICE, speaking, SetAudio(by=ALICE, target=BOB, enabled=False)) == told_of
    assert told(BOB, speaking, SetAudio(by=BOB, target=BOB, enabled=False)) == told_of
    assert told(CAROL, speaking, SetAudio(by=BOB, target=BOB, enabled=False)) == []
    assert rules.used("lobby", (Modality.AUDIO,)) == ()
    assert rules.used("leaders", (Modality.VIDEO,)) == (Modality.AUDIO, Modality.VIDEO)
    assert rules.used("attendees", (Modality.AUDIO,)) == (Modality.AUDIO,)


# --- what a conversation shows ----------------------------------------------------------------


def test_the_view_from_the_lobby_gives_nothing_away() -> None:
    meeting = after(together(), SetAudio(by=BOB, target=BOB, enabled=True))
    scene = rules.scene(meeting)
    inside = rules.view(conversation_of(BOB), scene)
    assert (inside.state, inside.participant_count) == (ConversationState.CONFERENCED, 2)
    assert inside.modalities == (Modality.AUDIO,)
    lobby = rules.view(conversation_of(CAROL), scene)
    assert (lobby.state, lobby.participant_count, lobby.modalities, lobby.leader) == (
        ConversationState.IN_LOBBY,
        0,
        (),
        False,
    )
    assert rules.view(conversation_of(ALICE), scene).leader


# --- why it is over ---------------------------------------------------------------------------

ENDINGS: list[tuple[UUID, Command, str | None]] = [
    (CAROL, REJECT, "Denied"),
    (CAROL, UpdateQueued(by=CAROL, user=CAROL, status=REJECTED), "Canceled"),
    (CAROL, TimeOut(queue_id=queue_of(CAROL)), "Timeout"),
    (BOB, Leave(by=BOB), None),
    (BOB, ChannelGone(queue_id=queue_of(BOB)), None),
    (BOB, Eject(by=ALICE, user=BOB), "Ejected"),
    (BOB, RemoveMember(by=ALICE, user=BOB), "Removed"),
    (BOB, RemoveMember(by=BOB, user=BOB), None),
    (BOB, join(BOB, client=1), "Removed"),
    (BOB, Stop(by=ALICE), "Ended"),
    (CAROL, Stop(by=ALICE), "Ended"),
    (BOB, Delete(by=ALICE), "Ended"),
]


@pytest.mark.parametrize(("user", "command", "expected"), ENDINGS)
def test_why_it_is_over(user: UUID, command: Command, expected: str | None) -> None:
    before = together()
    now, _ = decide(before, command, NOW)
    assert rules.standing(conversation_of(user), now) == "out"
    assert rules.ending(conversation_of(user), before, now, command) == expected


def test_when_the_last_one_leaves_it_ended_for_those_who_wait() -> None:
    before = after(fresh(), join(ALICE), join(CAROL))
    now, _ = decide(before, Leave(by=ALICE), NOW)
    assert rules.ending(conversation_of(CAROL), before, now, Leave(by=ALICE)) == "Ended"
    assert rules.ending(conversation_of(ALICE), before, now, Leave(by=ALICE)) is None


# --- any sequence of changes ------------------------------------------------------------------


class Replica:
    """An application that knows only what it was told."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.open = False
        self.connecting = False
        self.roster: set[UUID] = set()
        self.lists: dict[str, set[UUID]] = {"lobby": set(), "attendees": set(), "leaders": set()}
        self.on: set[tuple[UUID, str]] = set()

    def read(self, step: Step) -> None:
        handler: Callable[[Step], None] | None = getattr(self, f"_{step.what}", None)
        if handler is not None:
            handler(step)

    def _onlineMeetingInvitation(self, step: Step) -> None:
        assert self.connecting == (step.type == "completed")
        self.connecting = step.type == "started"

    def _conversation(self, step: Step) -> None:
        assert self.open == (step.type != "added")
        self.open = step.type != "deleted"
        if step.type == "deleted":
            self.__init__(self.conversation)  # type: ignore[misc]

    def _participant(self, step: Step) -> None:
        assert self.open
        assert step.user_id is not None
        target = self.lists[step.inside] if step.inside else self.roster
        if step.type == "added":
            assert step.user_id not in target, "added twice"
            target.add(step.user_id)
        elif step.type == "deleted":
            target.remove(step.user_id)
            if not step.inside:
                self.on = {item for item in self.on if item[0] != step.user_id}
        else:
            assert step.user_id in target

    def _modality(self, step: Step) -> None:
        assert step.user_id in self.roster
        item = (step.user_id, step.what)
        if step.type == "updated":
            assert item in self.on
            return
        assert (item in self.on) == (step.type == "deleted")
        (self.on.add if step.type == "added" else self.on.remove)(item)

    _participantAudio = _participantVideo = _participantApplicationSharing = _modality


class Meetings(RuleBasedStateMachine):
    """Three users with two clients each; what every client was told adds up to what it may see."""

    meeting: Meeting | None

    @initialize(kind=st.sampled_from(MeetingType))
    def begin(self, kind: MeetingType) -> None:
        members = {ALICE: UserType.MODERATOR, BOB: UserType.REGISTERED, CAROL: UserType.REGISTERED}
        self.meeting = replace(fresh(kind), members=members)
        clients = [conversation_of(user, client) for user in USERS for client in (0, 1)]
        self.replicas = [Replica(client) for client in clients]

    def apply(self, command: Command) -> None:
        if self.meeting is None:
            return
        try:
            now, _ = decide(self.meeting, command, NOW)
        except DomainError:
            return
        for replica in self.replicas:
            for step in news(replica.conversation, self.meeting, now):
                replica.read(step)
        self.meeting = now

    @rule(user=st.sampled_from(USERS), client=st.integers(0, 1), enters=st.booleans())
    def joins(self, user: UUID, client: int, enters: bool) -> None:
        self.apply(join(user, client, enters))

    @rule(by=st.sampled_from(USERS), user=st.sampled_from(USERS), yes=st.booleans())
    def decides(self, by: UUID, user: UUID, yes: bool) -> None:
        self.apply(UpdateQueued(by=by, user=user, status=ACCEPTED if yes else REJECTED))

    @rule(by=st.sampled_from(USERS), user=st.sampled_from(USERS), role=st.sampled_from(UserType))
    def sets_member(self, by: UUID, user: UUID, role: UserType) -> None:
        self.apply(SetMember(by=by, user=user, user_type=role))

    @rule(by=st.sampled_from(USERS), user=st.sampled_from(USERS))
    def ejects(self, by: UUID, user: UUID) -> None:
        self.apply(Eject(by=by, user=user))

    @rule(user=st.sampled_from(USERS))
    def leaves(self, user: UUID) -> None:
        self.apply(Leave(by=user))

    @rule(user=st.sampled_from(USERS), on=st.booleans())
    def speaks(self, user: UUID, on: bool) -> None:
        self.apply(SetAudio(by=user, target=user, enabled=on))

    @rule(user=st.sampled_from(USERS), client=st.integers(0, 1))
    def falls_silent(self, user: UUID, client: int) -> None:
        self.apply(ChannelGone(queue_id=queue_of(user, client)))

    @rule(start=st.booleans())
    def starts_or_stops(self, start: bool) -> None:
        self.apply(Start(by=ALICE) if start else Stop(by=ALICE))

    @invariant()
    def what_was_told_is_what_is_seen(self) -> None:
        for replica in getattr(self, "replicas", []):
            scene = rules.scene(self.meeting) if self.meeting else None
            seen = rules.sight(replica.conversation, scene)
            assert replica.open == (seen.standing != "out")
            assert replica.connecting == (seen.standing == "lobby")
            assert replica.roster == set(seen.people)
            for name, people in replica.lists.items():
                assert people == {user for user, item in seen.people.items() if item.place == name}
            assert len(replica.on) == sum(len(item.used) for item in seen.people.values())


TestMeetings = Meetings.TestCase
TestMeetings.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
