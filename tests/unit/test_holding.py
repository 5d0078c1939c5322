"""What a worker is told when it holds something else than it should."""

from __future__ import annotations

from uuid import UUID

import pytest

from conference.domain.holding import (
    SETTLED,
    Dark,
    Due,
    Entitled,
    Microphone,
    Order,
    dark,
    orders,
    together,
)
from schemas.sfu import Body, CloseMeeting, HeldMeeting, HeldUser, RemovePeer, StopVideo

MEETING, BOB, CAROL = UUID(int=1), UUID(int=2), UUID(int=3)
CLIENT, FORMER = UUID(int=8), UUID(int=9)
EPOCH = 4
OLD, FRESH = SETTLED + 1, SETTLED - 1


def user(
    *,
    client: UUID | None = CLIENT,
    audio: bool | None = None,
    video: float | None = None,
    screen: float | None = None,
) -> HeldUser:
    return HeldUser(user=BOB, client=client, audio=audio, video=video, screen=screen)


def entitled(*, audio: bool = False, video: bool = False, screen: bool = False) -> Entitled:
    return Entitled(client=CLIENT, audio=audio, video=video, screen=screen)


def held(*users: HeldUser, epoch: int = EPOCH) -> list[HeldMeeting]:
    return [HeldMeeting(meeting=MEETING, epoch=epoch, users=list(users))]


def due(present: Entitled | None) -> dict[UUID, Due]:
    return {MEETING: Due(epoch=EPOCH, users={BOB: present} if present else {})}


def order(body: Body, epoch: int = EPOCH) -> Order:
    return Order(meeting=MEETING, epoch=epoch, body=body)


OUT = order(RemovePeer(user=BOB, client=CLIENT))


@pytest.mark.parametrize(
    ("has", "should", "expected"),
    [
        pytest.param(user(), None, [OUT], id="out"),
        pytest.param(user(audio=True, video=OLD), None, [OUT], id="out, all at once"),
        pytest.param(user(), entitled(), [], id="in, nothing yet"),
        pytest.param(
            user(client=FORMER),
            entitled(),
            [order(RemovePeer(user=BOB, client=FORMER))],
            id="another client",
        ),
        pytest.param(user(client=None), entitled(), [], id="a client that was not told"),
        pytest.param(
            user(client=None), None, [order(RemovePeer(user=BOB))], id="out, client not told"
        ),
        pytest.param(
            user(audio=True), entitled(), [Microphone(meeting=MEETING, user=BOB)], id="muted"
        ),
        pytest.param(
            user(audio=False),
            entitled(audio=True),
            [Microphone(meeting=MEETING, user=BOB)],
            id="unmuted",
        ),
        pytest.param(user(audio=True), entitled(audio=True), [], id="open as it should be"),
        pytest.param(user(), entitled(audio=True), [], id="on, before its client offered"),
        pytest.param(
            user(video=OLD, screen=OLD),
            entitled(screen=True),
            [order(StopVideo(user=BOB, client=CLIENT, kind="video"))],
            id="camera off",
        ),
        pytest.param(
            user(video=OLD, screen=OLD),
            entitled(video=True),
            [order(StopVideo(user=BOB, client=CLIENT, kind="screen"))],
            id="screen off",
        ),
        pytest.param(user(video=FRESH), entitled(), [], id="camera being switched on"),
    ],
)
def test_a_user(has: HeldUser, should: Entitled | None, expected: list[Order]) -> None:
    assert list(orders(held(has), due(should))) == expected


@pytest.mark.parametrize("epoch", [EPOCH - 1, EPOCH + 1])
def test_a_meeting_of_another_placement_is_closed_as_it_is_held(epoch: int) -> None:
    found = list(orders(held(user(), epoch=epoch), due(entitled())))
    assert found == [order(CloseMeeting(), epoch)]


def test_a_meeting_that_is_not_due_here_is_closed() -> None:
    assert list(orders(held(user(audio=True)), {})) == [order(CloseMeeting())]
    assert list(orders(held(), {})) == [order(CloseMeeting())], "also when nobody is in it"


def test_flags_of_what_the_worker_does_not_have() -> None:
    lost = Dark(meeting=MEETING, epoch=EPOCH, user=BOB, kind="video")
    assert list(dark(held(user()), due(entitled(video=True)))) == [lost]
    assert list(dark([], due(entitled(video=True)))) == [lost], "nor the meeting"
    assert list(dark(held(user(video=0.0)), due(entitled(video=True)))) == []
    assert list(dark(held(user(screen=OLD)), due(entitled(video=True)))) == [lost]
    assert list(dark(held(user()), due(entitled(audio=True)))) == [], "microphones keep theirs"


def test_the_pages_of_a_report_are_one() -> None:
    carol = HeldUser(user=CAROL, client=CLIENT, audio=None, video=None, screen=None)
    assert together([held(user()), held(carol)]) == held(user(), carol)
