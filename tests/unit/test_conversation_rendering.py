"""Every step that can be told renders, and the same however often; what crosses the outbox comes back whole."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args
from uuid import UUID

import msgspec
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from conference.ucwa.application import Application
from conference.ucwa.applications.communication import Communication, CommunicationChanged
from conference.ucwa.conversations.events import NEWS, told
from conference.ucwa.conversations.facts import (
    ConversationNews,
    ConversationState,
    ConversationView,
    Ending,
    Importance,
    InvitationView,
    Modality,
    Person,
    Place,
    Step,
    StepType,
    Subject,
)
from conference.ucwa.conversations.participant_views import participant_modality
from conference.ucwa.engine.news import News
from conference.ucwa.engine.resource import NewsItem
from schemas.events import (
    AudioAnswered,
    Event,
    ParticipantSubscribed,
    SdpAnswered,
    SdpOffered,
    SubscribedStream,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MEETING, ALICE, BOB, CAROL = UUID(int=7), UUID(int=1), UUID(int=2), UUID(int=3)
APPLICATION = Application(
    id="a1",
    user_id=ALICE,
    culture="en-US",
    user_agent="Tests/1.0",
    endpoint_id="e",
    type="Browser",
    created_at=NOW,
)
VIEW = ConversationView(
    meeting_id=MEETING,
    state=ConversationState.CONFERENCED,
    subject="Planning",
    importance=Importance.NORMAL,
    thread_id="t",
    created=NOW,
    participant_count=2,
    modalities=(Modality.AUDIO,),
    leader=True,
)
INVITATION = InvitationView(
    id="i1",
    operation_id="op",
    subject="",
    importance=Importance.NORMAL,
    thread_id="t",
    online_meeting_uri="sip:alice@example.com;gruu;opaque=app:conf:focus:id:ABCDEFGH",
)
PEOPLE = (
    Person(user_id=ALICE, name="Alice", uri="sip:alice@example.com", place="leaders"),
    Person(user_id=BOB, name="Bob", uri="sip:bob@example.com", place="lobby"),
)


def event(*steps: Step, over: bool = False, ending: Ending | None = None) -> ConversationNews:
    return ConversationNews(
        sent_date=NOW,
        meeting_id=MEETING,
        viewer=ALICE,
        steps=steps,
        conversation=None if over else VIEW,
        people=PEOPLE,
        gone={CAROL: "Carol"},
        invitation=INVITATION,
        ending=ending,
    )


def only(*steps: Step, over: bool = False, ending: Ending | None = None) -> NewsItem:
    (item,) = told(event(*steps, over=over, ending=ending), APPLICATION)
    return item


@pytest.mark.parametrize("what", get_args(Subject))
@pytest.mark.parametrize("kind", get_args(StepType))
def test_every_step_renders(what: Subject, kind: StepType) -> None:
    item = only(Step(what=what, type=kind, user_id=BOB))
    assert (item.link.rel, item.type) == (what, kind)
    if item.resource is not None:
        assert item.resource.href == item.link.href


def test_admit_and_reject_only_while_waiting() -> None:
    waits = only(Step(what="participant", type="added", user_id=BOB, inside="lobby"))
    assert waits.resource is not None
    assert {"admit", "reject"} <= set(waits.resource.links)
    assert waits.inside is not None
    assert waits.inside.rel == "lobby"
    assert waits.link.title == "Bob"
    own = only(Step(what="participant", type="added", user_id=ALICE))
    assert own.resource is not None
    assert set(own.resource.links) == {"conversation", "me", "participantAudio"}


@pytest.mark.parametrize(
    ("person", "viewer", "leader", "acts"),
    [
        ("open", ALICE, False, {"muteAudio"}),
        ("muted", ALICE, False, {"unmuteAudio"}),
        ("open", BOB, True, {"muteAudio"}),
        ("muted", BOB, True, set()),
        ("open", BOB, False, set()),
        ("muted", BOB, False, set()),
    ],
)
def test_who_may_mute_whom(person: str, viewer: UUID, leader: bool, acts: set[str]) -> None:
    """Leaders close microphones; only their owners open them."""
    alice = replace(PEOPLE[0], modalities=(Modality.AUDIO,) if person == "open" else ())
    shown = participant_modality(MEETING, alice, Modality.AUDIO, viewer, leader=leader)
    assert set(shown.links) - {"participant"} == acts
    assert shown.properties == {
        "audioSourceId": str(ALICE),
        "audioDirection": "SendReceive" if person == "open" else "ReceiveOnly",
        "audioMuted": person != "open",
    }
    assert all(shown.links[act].href == f"{shown.href}/{act}" for act in acts)


def test_how_joining_completes() -> None:
    completed = Step(what="onlineMeetingInvitation", type="completed")
    assert only(completed).status == "Success"
    assert only(completed).reason is None
    denied = only(completed, over=True, ending="Denied")
    assert denied.status == "Failure"
    assert denied.reason is not None
    assert denied.reason.subcode == "Denied"
    withdrawn = only(completed, over=True)
    assert withdrawn.reason is not None
    assert withdrawn.reason.subcode == "Canceled"


STATES: dict[Ending | None, str] = {
    "Denied": "Declined",
    "Ejected": "Declined",
    "Canceled": "Cancelled",
    None: "Cancelled",
    "Timeout": "Failed",
    "Ended": "Failed",
    "Removed": "Failed",
}


def test_how_an_invitation_stands() -> None:
    """In the states that there are for one; Disconnected is none of them."""
    step = Step(what="onlineMeetingInvitation", type="completed")
    begun = only(Step(what="onlineMeetingInvitation", type="started")).resource
    assert begun is not None
    assert begun.properties["state"] == "Connecting"
    entered = only(step).resource
    assert entered is not None
    assert entered.properties["state"] == "Connected"
    assert set(STATES) == {*get_args(Ending), None}
    for ending, state in STATES.items():
        failed = only(step, over=True, ending=ending).resource
        assert failed is not None
        assert failed.properties["state"] == state
        assert not failed.links, "there is nothing any more that it leads to"


@pytest.mark.parametrize("inside", [None, "lobby", "attendees"])
def test_who_is_gone_is_named(inside: Place | None) -> None:
    step = Step(what="participant", type="deleted", user_id=CAROL, inside=inside)
    item = only(step)
    assert (item.link.rel, item.link.title, item.resource) == ("participant", "Carol", None)
    off = only(Step(what="participantAudio", type="deleted", user_id=CAROL))
    assert off.inside is not None
    assert off.inside.title == "Carol"
    nameless = only(Step(what="participant", type="deleted", user_id=UUID(int=9)))
    assert nameless.link.title is None


@pytest.mark.parametrize("ending", get_args(Ending))
def test_why_a_conversation_is_over(ending: Ending) -> None:
    item = only(Step(what="conversation", type="deleted"), over=True, ending=ending)
    assert item.resource is None
    assert item.reason is not None
    assert item.reason.subcode == ending
    left = only(Step(what="conversation", type="deleted"), over=True)
    assert left.reason is None, "its user left"


def test_a_conversation_is_added_before_anything_is_known_of_it() -> None:
    item = only(Step(what="conversation", type="added"))
    assert item.resource is not None
    assert item.resource.properties["state"] == "Connecting"
    assert item.resource.properties["participantCount"] == 0
    assert "lobby" not in item.resource.links


SAMPLES: list[Event] = [
    event(*(Step(what=what, type="added", user_id=BOB) for what in get_args(Subject))),
    CommunicationChanged(sent_date=NOW, communication=Communication()),
    AudioAnswered(sent_date=NOW, meeting_id=MEETING, user_id=ALICE, sdp="v=0"),
    SdpAnswered(sent_date=NOW, meeting_id=MEETING, user_id=ALICE, media_type="SCREEN", sdp="v=0"),
    SdpOffered(sent_date=NOW, meeting_id=MEETING, user_id=ALICE, media_type="VIDEO", sdp="v=0"),
    ParticipantSubscribed(
        sent_date=NOW,
        meeting_id=MEETING,
        user_id=ALICE,
        streams=[SubscribedStream(type="video", user_id=BOB, mid="0")],
    ),
]


def test_every_event_of_the_part_has_a_sample() -> None:
    assert {type(sample) for sample in SAMPLES} == set(NEWS)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_a_batch_renders_the_same_each_time(sample: Event) -> None:
    news, encoded = News([NEWS]), msgspec.json.encode(sample)
    assert msgspec.json.decode(encoded, type=type(sample)) == sample
    first = news.of([encoded], APPLICATION)
    assert first == news.of([encoded], APPLICATION)
    assert first


def test_an_event_that_raises_is_passed_over() -> None:
    """Every poll reads it again until it is acknowledged: it would end the channel."""

    def raises(event: Event, application: Application) -> list[NewsItem]:
        raise ValueError("nobody thought of this")

    broken = News([{**NEWS, CommunicationChanged: raises}])
    encoded = [msgspec.json.encode(sample) for sample in SAMPLES]
    with capture_logs() as logs:
        for _ in range(2):
            found = broken.of(encoded, APPLICATION)
            assert found == News([NEWS]).of([encoded[0], *encoded[2:]], APPLICATION)
    assert [entry["event"] for entry in logs] == ["ucwa_event_passed_over"], "once"
    other = b'{"type": "UCWA_CONVERSATION", "steps": 5}'
    assert News([NEWS]).of([other, encoded[2]], APPLICATION) == News([NEWS]).of(
        [encoded[2]], APPLICATION
    )


def test_offers_and_answers_of_different_connections_are_kept_apart() -> None:
    """Updates of one target are merged: an answer for the camera is not one for the microphone."""
    encoded = [msgspec.json.encode(sample) for sample in SAMPLES[2:]]
    items = News([NEWS]).of(encoded, APPLICATION)
    assert [item.link.href.rpartition("/")[2] for item in items] == [
        "audio",
        "screen",
        "inbound",
        "subscriptions",
    ]
