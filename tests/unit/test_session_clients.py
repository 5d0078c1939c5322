"""Whose connections a worker has: which client's, what it tells of them, what one may take, one that fails."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sdp_samples import CHROMIUM_AUDIO_SLOTS, CHROMIUM_VIDEO
from sfu_stubs import StubPath

from schemas import sfu as wire
from sfu.path.streams import Streams
from sfu.session.connection import Media
from sfu.session.session import MAX_AWAITED, NoticeBody, Session, SessionCommand
from sfu.session.viewer import Inbound
from sfu.transport.dtls import Certificate
from sfu.transport.endpoint import Endpoint
from sfu.transport.peer import Peer
from sfu.worker.allowance import SAVED_US, SHARE, Allowance
from sfu.worker.meetings import CLOSE_AT_ONCE_US, REPORTED_AT_ONCE, Meetings

CERTIFICATE = Certificate()
MEETING, BOB, CAROL = UUID(int=1), UUID(int=2), UUID(int=3)
FORMER, PRESENT = UUID(int=8), UUID(int=9)
NOBODYS = wire.Feed(UUID(int=99), "video")


class Desk:
    """A worker's meetings, without its port."""

    def __init__(self) -> None:
        self.now_us = 0
        self.cpu_us = 0
        path = StubPath()
        self.endpoint = Endpoint(path, CERTIFICATE, [("127.0.0.1", 7882)])
        self.media = Media(
            endpoint=self.endpoint,
            streams=Streams(path),
            cname="worker",
            now_us=lambda: self.now_us,
            cpu_us=lambda: self.cpu_us,
        )
        self.told: list[NoticeBody] = []
        self.meetings = Meetings(self.media, lambda session, body: self.told.append(body))

    def ask(self, body: wire.Body, meeting: UUID = MEETING) -> wire.Result:
        command = wire.Command(
            id=uuid4().hex, reply_to="alice", deadline=0, meeting=meeting, epoch=1, body=body
        )
        return self.meetings.execute(command)

    def publish(self, client: UUID | None, user: UUID = BOB) -> None:
        audio = wire.OfferAudio(user=user, client=client, sdp=CHROMIUM_AUDIO_SLOTS, enabled=True)
        video = wire.OfferVideo(user=user, client=client, kind="video", sdp=CHROMIUM_VIDEO)
        for offer in (audio, video):
            assert isinstance(self.ask(offer), wire.Answered)

    def subscribe(self, user: UUID, meeting: UUID = MEETING) -> None:
        self.ask(wire.Subscribe(user=user, subscribe=[NOBODYS], unsubscribe=[]), meeting)

    def held(self) -> list[wire.HeldMeeting]:
        report = self.ask(wire.Report())
        assert isinstance(report, wire.Held)
        return report.meetings

    def of_bob(self) -> wire.HeldUser:
        (meeting,) = self.held()
        (bob,) = [user for user in meeting.users if user.user == BOB]
        return bob

    @property
    def session(self) -> Session:
        (session,) = self.meetings
        return session


def test_a_worker_tells_what_it_holds() -> None:
    desk = Desk()
    desk.publish(PRESENT)
    desk.now_us += 1_500_000
    assert desk.held() == [
        wire.HeldMeeting(
            meeting=MEETING,
            epoch=1,
            users=[wire.HeldUser(user=BOB, client=PRESENT, audio=True, video=1.5, screen=None)],
        )
    ]
    desk.ask(wire.SetAudio(user=BOB, client=PRESENT, enabled=False))
    desk.ask(wire.StopVideo(user=BOB, client=PRESENT, kind="video"))
    bob = desk.of_bob()
    assert (bob.audio, bob.video) == (False, None)
    desk.ask(wire.RemovePeer(user=BOB, client=PRESENT))
    assert desk.held()[0].users == []


def test_whose_connections_were_lost_is_still_told_until_they_are_removed() -> None:
    """A subscription outlives its connection, and somebody who is out must not keep one."""
    desk = Desk()
    desk.subscribe(CAROL)
    assert [user.user for user in desk.held()[0].users] == [CAROL]
    desk.ask(wire.RemovePeer(user=CAROL))
    assert desk.held()[0].users == []


@pytest.mark.parametrize(
    "body",
    [
        wire.OfferAudio(user=BOB, client=PRESENT, sdp=CHROMIUM_AUDIO_SLOTS, enabled=False),
        wire.OfferVideo(user=BOB, client=PRESENT, kind="screen", sdp=CHROMIUM_VIDEO),
        wire.Subscribe(user=BOB, client=PRESENT, subscribe=[NOBODYS], unsubscribe=[]),
    ],
    ids=lambda body: type(body).__name__,
)
def test_another_client_takes_the_place_of_the_former(body: wire.Body) -> None:
    desk = Desk()
    desk.publish(FORMER)
    desk.ask(body)
    bob = desk.of_bob()
    assert (bob.client, bob.video) == (PRESENT, None)
    assert bob.audio is (False if isinstance(body, wire.OfferAudio) else None)


@pytest.mark.parametrize(
    "body",
    [
        wire.StopVideo(user=BOB, client=FORMER, kind="video"),
        wire.SetAudio(user=BOB, client=FORMER, enabled=False),
        wire.AnswerInbound(user=BOB, client=FORMER, sdp="v=0"),
        wire.RemovePeer(user=BOB, client=FORMER),
    ],
    ids=lambda body: type(body).__name__,
)
def test_an_order_for_a_client_that_is_gone_does_nothing(body: wire.Body) -> None:
    desk = Desk()
    desk.publish(PRESENT)
    result = desk.ask(body)
    assert isinstance(result, wire.Done) or (
        isinstance(result, wire.Failed) and result.code == "no_session"
    )
    assert desk.of_bob() == wire.HeldUser(
        user=BOB, client=PRESENT, audio=True, video=0.0, screen=None
    )


def test_who_does_not_tell_the_client_means_whichever_there_is() -> None:
    desk = Desk()
    desk.publish(PRESENT)
    desk.ask(wire.SetAudio(user=BOB, enabled=False))
    assert desk.of_bob().audio is False
    desk.publish(None)
    assert desk.of_bob().client == PRESENT
    desk.ask(wire.RemovePeer(user=BOB))
    assert desk.held()[0].users == []


@pytest.mark.parametrize("count", [REPORTED_AT_ONCE - 2, REPORTED_AT_ONCE, 1300])
def test_a_long_report_has_pages(count: int) -> None:
    desk = Desk()
    desk.ask(wire.OpenMeeting(), UUID(int=5))
    for number in range(count):
        desk.subscribe(UUID(int=1000 + number))
    found: list[UUID] = []
    meetings: set[UUID] = set()
    after: int | None = 0
    while after is not None:
        page = desk.ask(wire.Report(after=after))
        assert isinstance(page, wire.Held)
        assert sum(1 + len(meeting.users) for meeting in page.meetings) <= REPORTED_AT_ONCE + 1
        found += [user.user for meeting in page.meetings for user in meeting.users]
        meetings |= {meeting.meeting for meeting in page.meetings}
        after = page.next
    assert sorted(found, key=int) == [UUID(int=1000 + number) for number in range(count)]
    assert meetings == {MEETING, UUID(int=5)}


def test_who_subscribes_to_what_is_live_is_offered_it() -> None:
    desk = Desk()
    desk.publish(None)
    publication = desk.session._publications[wire.Feed(BOB, "video")]
    publication.track_started()
    desk.told.clear()
    body = wire.Subscribe(user=CAROL, subscribe=[wire.Feed(BOB, "video")], unsubscribe=[])
    assert desk.ask(body) == wire.Done()
    (offered,) = desk.told
    assert isinstance(offered, wire.Offered)
    assert [(stream.user, stream.kind) for stream in offered.streams] == [(BOB, "video")]


# --- what one may take --------------------------------------------------------------------------


def awaited(count: int, start: int = 1) -> list[wire.Feed]:
    return [wire.Feed(UUID(int=10_000 + start + number), "video") for number in range(count)]


def test_subscriptions_to_nobody_are_bounded() -> None:
    desk = Desk()

    def ask(subscribe: list[wire.Feed], unsubscribe: list[wire.Feed]) -> wire.Result:
        body = wire.Subscribe(user=CAROL, subscribe=subscribe, unsubscribe=unsubscribe)
        return desk.ask(body)

    assert ask(awaited(MAX_AWAITED), []) == wire.Done()
    one_more = ask(awaited(1, start=5000), [])
    assert isinstance(one_more, wire.Failed)
    assert (one_more.code, "unsubscribe some" in one_more.reason) == ("limit", True)
    assert len(desk.session._inbound[CAROL].wanted) == MAX_AWAITED
    assert ask(awaited(3), []) == wire.Done(), "nothing more than there is"
    assert ask(awaited(1, start=5000), awaited(1)) == wire.Done(), "one for another"
    assert ask([], awaited(100)) == wire.Done()
    desk.publish(None)
    assert ask([wire.Feed(BOB, "video"), *awaited(99)], []) == wire.Done(), "live ones come on top"


def test_a_participant_has_a_share_of_the_loop_and_the_others_have_theirs() -> None:
    desk = Desk()
    desk.publish(None)
    unmute = wire.SetAudio(user=BOB, enabled=True)
    handle = desk.session.handle

    def takes_long(body: SessionCommand) -> wire.Result:
        desk.cpu_us += 40_000
        return handle(body)

    desk.session.handle = takes_long  # type: ignore[method-assign]
    answers = [desk.ask(unmute) for _ in range(20)]
    assert answers[:12] == [wire.Done()] * 12
    refused = answers[-1]
    assert isinstance(refused, wire.Failed)
    assert (refused.code, "try again in" in refused.reason) == ("too_many", True)
    assert desk.ask(wire.SetAudio(user=BOB, enabled=False)) == wire.Done(), "muting never waits"
    assert desk.ask(wire.StopVideo(user=BOB, kind="video")) == wire.Done()
    assert desk.ask(wire.SetAudio(user=CAROL, enabled=False)).code == "no_session"  # type: ignore[union-attr]
    desk.now_us += 60_000_000
    desk.meetings.forget_idle(desk.now_us)
    assert len(desk.meetings._allowance) == 0, "who owes nothing takes no memory"
    assert desk.ask(unmute) == wire.Done()
    assert desk.ask(wire.RemovePeer(user=BOB)) == wire.Done()


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 3_000_000), st.integers(0, 200_000)), min_size=1, max_size=60
    )
)
def test_in_the_long_run_nobody_takes_more_than_the_share(steps: list[tuple[int, int]]) -> None:
    allowance = Allowance()
    now = taken = worst = 0
    for pause, cost in steps:
        now += pause
        if allowance.wait(BOB, now) == 0:
            allowance.spend(BOB, cost, now)
            taken, worst = taken + cost, max(worst, cost)
        assert taken <= SAVED_US + worst + now * SHARE + 1
    allowance.forget_paid(now + 10**12)
    assert len(allowance) == 0


def test_a_large_meeting_is_closed_a_little_at_a_time() -> None:
    desk = Desk()
    users = [UUID(int=100 + number) for number in range(40)]
    for user in users:
        desk.publish(None, user)
    desk.session._publications[wire.Feed(users[0], "video")].track_started()
    for user in users[:10]:
        feed = wire.Feed(users[0], "video")
        body = wire.Subscribe(user=user, subscribe=[feed], unsubscribe=[])
        assert desk.ask(body) == wire.Done()
    viewers = [viewer._peer for viewer in desk.session._inbound.values() if viewer._peer]
    assert len(viewers) == 10
    desk.told.clear()
    close = Peer.close

    def slow(peer: Peer) -> None:
        desk.now_us += 500
        close(peer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Peer, "close", slow)
        assert desk.ask(wire.CloseMeeting()) == wire.Done()
        assert len(desk.meetings) == 0, "nobody can do anything in it any more"
        assert desk.endpoint.peers == 90 - CLOSE_AT_ONCE_US // 500
        for peer in [*viewers, *list(desk.endpoint._peers)[:5]]:
            peer.lose("silent")
        assert desk.told == [], "who closed it knows"
        while desk.meetings.close_some(desk.now_us + 5_000):
            pass
    assert desk.endpoint.peers == 0


# --- one that fails -----------------------------------------------------------------------------


def test_one_connection_that_cannot_be_closed_keeps_no_other_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk()
    for user in (BOB, CAROL):
        desk.publish(None, user)
    close = Peer.close
    failed: list[Peer] = []

    def broken(peer: Peer) -> None:
        if not failed:
            failed.append(peer)
            raise KeyError("a defect")
        close(peer)

    monkeypatch.setattr(Peer, "close", broken)
    desk.ask(wire.CloseMeeting())
    assert desk.endpoint.peers == 1, "all but the one"
    assert desk.media.guard.counters["closing_failed"] == 1
    assert len(desk.meetings) == 0


def test_one_viewer_that_cannot_be_updated_keeps_no_other_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk()
    users = [UUID(int=100 + number) for number in range(4)]
    for user in users:
        desk.subscribe(user)
    told: list[UUID] = []

    def update(inbound: Inbound) -> None:
        if inbound.user == users[1]:
            raise KeyError("a defect")
        told.append(inbound.user)

    monkeypatch.setattr(Inbound, "update", update)
    desk.session._feeds_changed()
    assert desk.session.catch_up(1_000_000) is False
    assert told == [users[0], users[2], users[3]]
    assert desk.media.guard.counters["viewing_failed"] == 1
