"""Media calls and notices, with a stand-in for the worker on a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from rig_meetings import (
    Api,
    Json,
    Person,
    Worker,
    eventually,
    kinds,
    obliging,
    running_api,
    running_worker,
)

from schemas import sfu

SDP = "v=0 offer"


@pytest.fixture
async def worker(redis_url: str) -> AsyncIterator[Worker]:
    async with running_worker(redis_url) as worker:
        yield worker


@pytest.fixture
async def api(
    worker: Worker, database_url: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[Api]:
    async with running_api(database_url, redis_url, tmp_path) as api:
        yield api


class Room:
    """Alice, moderator, and Bob, both in; Carol is a member and not in; Dave is nobody here."""

    def __init__(self, api: Api) -> None:
        self.alice, self.bob = api.person("alice"), api.person("bob")
        self.carol, self.dave = api.person("carol"), api.person("dave")
        self.path = ""
        self.id = ""

    async def prepare(self, **bob: bool) -> Room:
        self.path = await self.alice.started_meeting()
        self.id = self.path[10:]
        for person in (self.bob, self.carol):
            await self.alice.put(f"{self.path}/members/{person.id}", {"userType": "registered"})
        await self.alice.join(self.path)
        await self.bob.join(self.path, **bob)
        await self.quiet()
        return self

    async def quiet(self) -> None:
        await self.alice.seen()
        await self.bob.seen()

    async def of_bob(self) -> Json:
        participants = (await self.alice.state(self.path))["participants"]
        (found,) = [item for item in participants if item["userId"] == self.bob.id]
        return found

    async def media(self, by: Person, **body: Json) -> int:
        return (await by.put(f"{self.path}/media", body)).status

    async def audio(self, by: Person, **body: Json) -> int:
        return (await by.put(f"{self.path}/audio", body)).status


@pytest.fixture
async def room(api: Api) -> Room:
    return await Room(api).prepare()


def refusing(code: sfu.FailureCode, *kinds: type) -> object:
    def reply(command: sfu.Command) -> sfu.Done | sfu.Answered | sfu.Failed:
        if isinstance(command.body, kinds):
            return sfu.Failed(code=code, reason="because")
        return obliging(command)

    return reply


# --- camera and screen ------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "upper"), [("video", "VIDEO"), ("SCREEN", "SCREEN")])
async def test_publishing(room: Room, worker: Worker, kind: str, upper: str) -> None:
    assert await room.media(room.bob, type=kind, enabled=True, sdp=SDP) == 204
    (answered,) = await room.bob.seen()
    assert answered["type"] == "MEETING_SDP_ANSWERED"
    assert (answered["userId"], answered["mediaType"]) == (room.bob.id, upper)
    assert answered["sdp"] == f"answer to {SDP}"
    assert await room.alice.seen() == [], "told once it is really up"
    flag = f"{kind.lower()}StreamEnabled"
    assert (await room.of_bob())[flag] is True
    (offer,) = worker.asked(sfu.OfferVideo)
    assert (str(offer.user), offer.kind, offer.sdp) == (room.bob.id, kind.lower(), SDP)

    await worker.notice(room.id, 1, sfu.VideoLive(user=UUID(room.bob.id), kind=kind.lower()))
    event = await room.alice.until("MEETING_MEDIA_STREAM_CHANGED")
    assert (event["userId"], event["mediaType"], event["active"]) == (room.bob.id, upper, True)
    assert kinds(await room.bob.seen()) == ["MEDIA_STREAM_CHANGED"], "the actor too"

    assert await room.media(room.bob, type=kind, enabled=False) == 204
    (event,) = await room.alice.seen()
    assert event["active"] is False
    assert (await room.of_bob())[flag] is False
    assert len(worker.asked(sfu.StopVideo)) == 1
    assert await room.media(room.bob, type=kind, enabled=False) == 204
    assert len(worker.asked(sfu.StopVideo)) == 1, "off already: nothing to do"


TOO_MUCH = [
    ("x" * 70_000, "longer than 64 KiB"),
    ("\u00e9" * 40_000, "longer than 64 KiB"),
    ("a=x\r\n" * 2_000, "more than 1536 lines"),
    ("m=audio 9 RTP/AVP 0" + "\nm=audio 9 RTP/AVP 0" * 60, "more than 48 m-lines"),
    ("m=audio 9 RTP/AVP 0" + "\na=ssrc:1 x" * 600, "more than 512 lines of one m-line"),
    ("v=0\nm=audio 9 RTP/AVP" + " 1" * 200, "an m-line with more than 100 formats"),
    ("a=fmtp:96 " + "\na;b;c" * 900, "more than 1536 format parameters"),
    ("a=" + "x" * 5_000, "a line of more than 4096 characters"),
]


async def test_a_description_that_is_too_much_does_not_get_to_a_worker(
    room: Room, worker: Worker
) -> None:
    for sdp, reason in TOO_MUCH:
        switch = {"type": "video", "enabled": True, "sdp": sdp}
        for path, body in (("/media", switch), ("/audio/offer", {"sdp": sdp})):
            refused = await room.bob.put(f"{room.path}{path}", body)
            assert (refused.status, refused.code) == (400, "bad_sdp")
            assert refused.json["message"] == f"sdp: {reason}"
    refused = await room.bob.put(f"{room.path}/media/answer", {"sdp": "x" * 400_000})
    assert (refused.status, refused.code) == (400, "bad_sdp")
    assert refused.json["message"] == "sdp: longer than 384 KiB"
    for kind in (sfu.OfferVideo, sfu.OfferAudio, sfu.AnswerInbound):
        assert not worker.asked(kind)


async def test_offering_again_is_answered_again(room: Room, worker: Worker) -> None:
    for sdp in ("first", "second"):
        assert await room.media(room.bob, type="video", enabled=True, sdp=sdp) == 204
        (answered,) = await room.bob.seen()
        assert answered["sdp"] == f"answer to {sdp}"
    assert len(worker.asked(sfu.OfferVideo)) == 2


async def test_publishing_is_refused_in_order(room: Room, api: Api) -> None:
    nowhere = await room.bob.put(f"/meetings/{uuid4()}/media", {"type": "video", "enabled": True})
    assert (nowhere.status, nowhere.code) == (400, "sdp_missing")
    body = {"type": "video", "enabled": True, "sdp": SDP}
    assert (await room.bob.put(f"/meetings/{uuid4()}/media", body)).code == "no_such_meeting"
    for person in (room.carol, room.dave):
        refused = await person.put(f"{room.path}/media", body)
        assert (refused.status, refused.code) == (404, "not_a_participant")
    assert await room.media(room.bob, type="audio", enabled=True, sdp=SDP) == 400
    assert await room.media(room.bob, type="video", enabled=True, sdp="") == 400


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("bad_sdp", 400, "bad_sdp"),
        ("internal", 424, "media_internal"),
        ("late", 424, "media_late"),
        ("stale_epoch", 424, "stale_epoch"),
        ("draining", 424, "no_worker"),
    ],
)
async def test_what_the_worker_refuses_is_said(
    room: Room, worker: Worker, code: sfu.FailureCode, status: int, error: str
) -> None:
    worker.reply = refusing(code, sfu.OfferVideo, sfu.OfferAudio)
    body = {"type": "video", "enabled": True, "sdp": SDP}
    refused = await room.bob.put(f"{room.path}/media", body)
    assert (refused.status, refused.code) == (status, error)
    assert (await room.of_bob())["videoStreamEnabled"] is False
    refused = await room.bob.put(f"{room.path}/audio/offer", {"sdp": SDP})
    assert (refused.status, refused.code) == (status, error)
    assert await room.bob.seen() == []


async def test_a_silent_worker_is_not_waited_for(room: Room, worker: Worker) -> None:
    worker.reply = lambda command: None
    body = {"type": "video", "enabled": True, "sdp": SDP}
    refused = await room.bob.put(f"{room.path}/media", body)
    assert (refused.status, refused.code) == (424, "worker_silent")
    assert (await room.of_bob())["videoStreamEnabled"] is False


async def test_leaving_while_the_worker_answers(room: Room, worker: Worker, api: Api) -> None:
    """The offer made a connection for someone who is out by then: it is closed again."""
    import asyncio

    gate = asyncio.Event()
    released: list[sfu.Command] = []

    def held(command: sfu.Command) -> sfu.Done | None:
        if isinstance(command.body, sfu.OfferVideo):
            released.append(command)
            gate.set()
            return None
        return sfu.Done()

    worker.reply = held
    body = {"type": "video", "enabled": True, "sdp": SDP}
    asking = asyncio.create_task(room.bob.put(f"{room.path}/media", body))
    await asyncio.wait_for(gate.wait(), 5)
    assert (await room.bob.post(f"{room.path}/leave")).status == 204
    import msgspec

    reply = sfu.Reply(id=released[0].id, result=sfu.Answered(sdp="late"))
    await worker.redis.publish(released[0].reply_to, msgspec.msgpack.encode(reply))
    assert (await asking).status == 404
    assert len(worker.asked(sfu.RemovePeer)) == 2, "once for leaving, once for the late answer"


# --- what a participant sees ------------------------------------------------------------------


async def test_subscribing_and_the_offer_that_follows(room: Room, worker: Worker) -> None:
    streams = [
        {"userId": room.alice.id, "type": "VIDEO"},
        {"userId": room.dave.id, "type": "screen"},
    ]
    body = {"subscribe": streams, "unsubscribe": streams[:1]}
    assert (await room.bob.put(f"{room.path}/media/subscribe", body)).status == 204
    (asked,) = worker.asked(sfu.Subscribe)
    assert str(asked.user) == room.bob.id
    assert [(str(feed.user), feed.kind) for feed in asked.subscribe] == [
        (room.alice.id, "video"),
        (room.dave.id, "screen"),
    ]
    assert len(asked.unsubscribe) == 1
    stream = sfu.OfferedStream(user=UUID(room.alice.id), kind="video", mid="0")
    offered = sfu.Offered(user=UUID(room.bob.id), sdp="an offer", streams=[stream])
    await worker.notice(room.id, 1, offered)
    subscribed = await room.bob.until("MEETING_PARTICIPANT_SUBSCRIBED")
    assert subscribed["streams"] == [{"type": "video", "userId": room.alice.id, "mid": "0"}]
    event = await room.bob.until("MEETING_SDP_OFFERED")
    assert (event["sdp"], event["mediaType"], event["userId"]) == (
        "an offer",
        "VIDEO",
        room.bob.id,
    )
    assert await room.alice.seen() == [], "nobody else is told"
    assert (await room.bob.put(f"{room.path}/media/answer", {"sdp": "yes"})).status == 204
    (answer,) = worker.asked(sfu.AnswerInbound)
    assert answer.sdp == "yes"


async def test_subscribing_is_refused_in_order(room: Room, worker: Worker) -> None:
    empty = {"subscribe": [], "unsubscribe": []}
    refused = await room.bob.put(f"/meetings/{uuid4()}/media/subscribe", empty)
    assert (refused.status, refused.code) == (400, "no_subscription")
    one = {"subscribe": [{"userId": room.alice.id, "type": "video"}], "unsubscribe": []}
    for body in (
        {"subscribe": one["subscribe"]},
        {"subscribe": [{"userId": "x", "type": "video"}], "unsubscribe": []},
        {"subscribe": [{"userId": room.alice.id, "type": "audio"}], "unsubscribe": []},
        {"subscribe": [{"userId": room.alice.id}], "unsubscribe": []},
    ):
        assert (await room.bob.put(f"{room.path}/media/subscribe", body)).status == 400
    assert worker.asked(sfu.Subscribe) == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (
            "/media/subscribe",
            {"subscribe": [{"userId": str(uuid4()), "type": "video"}], "unsubscribe": []},
        ),
        ("/media/answer", {"sdp": SDP}),
        ("/audio/offer", {"sdp": SDP}),
    ],
)
async def test_media_calls_are_for_those_in_the_meeting(
    room: Room, path: str, body: object
) -> None:
    assert (await room.bob.put(f"/meetings/{uuid4()}{path}", body)).status == 404
    assert (await room.dave.put(f"{room.path}{path}", body)).status == 403
    absent = await room.carol.put(f"{room.path}{path}", body)
    assert (absent.status, absent.code) == (404, "not_a_participant")
    assert (await room.bob.put(f"{room.path}{path}", {})).status == 400
    assert (await room.bob.put(f"{room.path}{path}", {**body, "x": 1})).status == 400


async def test_an_answer_without_a_session(room: Room, worker: Worker) -> None:
    worker.reply = refusing("no_session", sfu.AnswerInbound)
    refused = await room.bob.put(f"{room.path}/media/answer", {"sdp": SDP})
    assert (refused.status, refused.code) == (424, "media_no_session")


# --- microphone -------------------------------------------------------------------------------


async def test_one_enters_muted_and_opens_the_microphone(room: Room, worker: Worker) -> None:
    assert (await room.bob.put(f"{room.path}/audio/offer", {"sdp": SDP})).status == 204
    (answered,) = await room.bob.seen()
    assert answered["type"] == "MEETING_AUDIO_ANSWERED"
    assert (answered["userId"], answered["sdp"]) == (room.bob.id, f"answer to {SDP}")
    (offer,) = worker.asked(sfu.OfferAudio)
    assert offer.enabled is False
    assert await room.audio(room.bob, enabled=True) == 204
    (event,) = await room.alice.seen()
    assert event["type"] == "MEETING_AUDIO_STREAM_CHANGED"
    assert (event["userId"], event["active"]) == (room.bob.id, True)
    assert "moderatorId" not in event
    assert [body.enabled for body in worker.asked(sfu.SetAudio)] == [True]
    assert await room.audio(room.bob, enabled=True) == 204
    assert await room.alice.seen() == []
    assert len(worker.asked(sfu.SetAudio)) == 2, "whoever asks again may have a reason"


async def test_a_moderator_mutes(room: Room, worker: Worker) -> None:
    await room.audio(room.bob, enabled=True)
    await room.quiet()
    assert await room.audio(room.alice, enabled=False, userToModerate=room.bob.id) == 204
    (event,) = await room.bob.seen()
    assert (event["active"], event["moderatorId"]) == (False, room.alice.id)
    assert [body.enabled for body in worker.asked(sfu.SetAudio)] == [True, False]
    assert await room.audio(room.alice, enabled=False, userToModerate=room.bob.id) == 204
    assert await room.bob.seen() == [], "muted already"
    assert await room.audio(room.bob, enabled=True) == 204


async def test_muting_is_refused_in_order(room: Room) -> None:
    body = {"enabled": True, "userToModerate": room.carol.id}
    refused = await room.bob.put(f"{room.path}/audio", body)
    assert (refused.status, refused.code) == (404, "not_a_participant")
    body = {"enabled": True, "userToModerate": room.alice.id}
    refused = await room.bob.put(f"{room.path}/audio", body)
    assert (refused.status, refused.code) == (400, "unmute_other")
    body = {"enabled": False, "userToModerate": room.alice.id}
    refused = await room.bob.put(f"{room.path}/audio", body)
    assert (refused.status, refused.code) == (403, "not_a_moderator")
    assert await room.audio(room.carol, enabled=True) == 404
    assert (await room.bob.put(f"/meetings/{uuid4()}/audio", {"enabled": True})).status == 404
    assert await room.audio(room.bob, enabled="yes") == 400
    assert await room.audio(room.bob, enabled=False, userToModerate="x") == 400


async def test_a_flag_set_before_the_offer_goes_along_with_it(room: Room, worker: Worker) -> None:
    worker.reply = refusing("no_session", sfu.SetAudio)
    assert await room.audio(room.bob, enabled=True) == 204
    assert (await room.of_bob())["audioStreamEnabled"] is True
    await room.bob.put(f"{room.path}/audio/offer", {"sdp": SDP})
    (offer,) = worker.asked(sfu.OfferAudio)
    assert offer.enabled is True


async def test_a_mute_that_the_worker_can_not_do_is_undone(room: Room, worker: Worker) -> None:
    await room.audio(room.bob, enabled=True)
    await room.quiet()
    worker.reply = refusing("internal", sfu.SetAudio)
    refused = await room.alice.put(
        f"{room.path}/audio", {"enabled": False, "userToModerate": room.bob.id}
    )
    assert (refused.status, refused.code) == (424, "media_internal")
    assert (await room.of_bob())["audioStreamEnabled"] is True
    assert [event["active"] for event in await room.bob.seen()] == [False, True]


async def test_the_wish_from_joining_is_honoured_once_connected(api: Api, worker: Worker) -> None:
    room = await Room(api).prepare(audio=True)
    assert (await room.of_bob())["audioStreamEnabled"] is False
    await room.bob.put(f"{room.path}/audio/offer", {"sdp": SDP})
    await room.bob.seen()
    up = sfu.AudioConnected(user=UUID(room.bob.id))
    await worker.notice(room.id, 1, up)
    event = await room.alice.until("MEETING_AUDIO_STREAM_CHANGED")
    assert (event["userId"], event["active"]) == (room.bob.id, True)
    assert (await room.of_bob())["audioStreamEnabled"] is True
    await eventually(lambda: [body.enabled for body in worker.asked(sfu.SetAudio)] == [True])
    await room.audio(room.bob, enabled=False)
    await room.quiet()
    await worker.notice(room.id, 1, up)
    await worker.notice(room.id, 1, sfu.Talking(user=UUID(room.bob.id), talking=True))
    await room.alice.until("MEETING_PARTICIPANT_TALKING")
    assert (await room.of_bob())["audioStreamEnabled"] is False, "once"


@pytest.mark.parametrize("by_moderator", [False, True])
async def test_the_wish_is_dropped_when_somebody_decides(
    api: Api, worker: Worker, by_moderator: bool
) -> None:
    room = await Room(api).prepare(audio=True)
    if by_moderator:
        await room.audio(room.alice, enabled=False, userToModerate=room.bob.id)
    else:
        await room.audio(room.bob, enabled=False)
    await worker.notice(room.id, 0, sfu.AudioConnected(user=UUID(room.bob.id)))
    await worker.notice(room.id, 1, sfu.AudioConnected(user=UUID(room.bob.id)))
    await worker.notice(room.id, 1, sfu.Talking(user=UUID(room.bob.id), talking=True))
    await room.alice.until("MEETING_PARTICIPANT_TALKING")
    assert (await room.of_bob())["audioStreamEnabled"] is False


# --- notices ----------------------------------------------------------------------------------


async def test_talking_is_told_to_participants(room: Room, worker: Worker) -> None:
    await room.carol.open_channel()
    for talking in (True, False):
        await worker.notice(room.id, 1, sfu.Talking(user=UUID(room.bob.id), talking=talking))
        for person in (room.alice, room.bob):
            event = await person.until("MEETING_PARTICIPANT_TALKING")
            assert (event["userId"], event["isTalking"]) == (room.bob.id, talking)
    assert await room.carol.seen() == []


async def test_who_a_picture_pauses_for_is_told_and_nobody_else(room: Room, worker: Worker) -> None:
    feed = sfu.Feed(UUID(room.alice.id), "screen")
    for paused in (True, False):
        await worker.notice(
            room.id, 1, sfu.FeedPaused(user=UUID(room.bob.id), feed=feed, paused=paused)
        )
        event = await room.bob.until("MEETING_SUBSCRIPTION_PAUSED")
        told = event["userId"], event["mediaType"], event["paused"]
        assert told == (room.alice.id, "SCREEN", paused)
    stranger = UUID(room.carol.id)
    await worker.notice(room.id, 1, sfu.FeedPaused(user=stranger, feed=feed, paused=True))
    await worker.notice(room.id, 0, sfu.FeedPaused(user=UUID(room.bob.id), feed=feed, paused=True))
    await worker.notice(room.id, 1, sfu.Talking(user=UUID(room.bob.id), talking=True))
    for person in (room.alice, room.bob):
        kinds: list[str] = []
        while "MEETING_PARTICIPANT_TALKING" not in kinds:
            kinds += [event["type"] for event in await person.seen()]
        assert "MEETING_SUBSCRIPTION_PAUSED" not in kinds


async def test_a_lost_connection_switches_off(room: Room, worker: Worker) -> None:
    bob = UUID(room.bob.id)
    await room.media(room.bob, type="video", enabled=True, sdp=SDP)
    await room.audio(room.bob, enabled=True)
    await room.quiet()
    await worker.notice(room.id, 1, sfu.ConnectionLost(user=bob, connection="inbound", reason="x"))
    await worker.notice(room.id, 1, sfu.ConnectionLost(user=bob, connection="video", reason="x"))
    event = await room.alice.until("MEETING_MEDIA_STREAM_CHANGED")
    assert (event["userId"], event["active"]) == (room.bob.id, False)
    await worker.notice(room.id, 1, sfu.ConnectionLost(user=bob, connection="audio", reason="x"))
    event = await room.alice.until("MEETING_AUDIO_STREAM_CHANGED")
    assert event["active"] is False
    state = await room.of_bob()
    assert (state["audioStreamEnabled"], state["videoStreamEnabled"]) == (False, False)
    await worker.notice(room.id, 1, sfu.AudioConnected(user=bob))
    event = await room.alice.until("MEETING_AUDIO_STREAM_CHANGED")
    assert event["active"] is True, "the microphone was open; it is again once he is back"


@pytest.mark.parametrize("connection", ["audio", "video", "screen", "inbound"])
async def test_whose_connection_is_lost_is_told_why(
    room: Room, worker: Worker, connection: sfu.Connection
) -> None:
    loss = sfu.Loss.WRONG_CERTIFICATE
    await room.quiet()
    await worker.notice(
        room.id,
        1,
        sfu.ConnectionLost(
            user=UUID(room.bob.id), connection=connection, reason=loss.value, code=loss.code
        ),
    )
    event = await room.bob.until("MEETING_CONNECTION_LOST")
    assert (event["userId"], event["connection"]) == (room.bob.id, connection)
    assert event["reason"] == "wrong_certificate"
    assert event["message"] == loss.value
    assert await room.alice.seen() == [], "and nobody else: nothing of bob's was on"


async def test_notices_of_the_past_are_dropped(room: Room, worker: Worker) -> None:
    await room.media(room.bob, type="video", enabled=True, sdp=SDP)
    await room.quiet()
    bob = UUID(room.bob.id)
    for meeting, epoch, user in (
        (room.id, 0, bob),
        (str(uuid4()), 1, bob),
        (room.id, 1, UUID(room.carol.id)),
    ):
        await worker.notice(meeting, epoch, sfu.VideoLive(user=user, kind="video"))
        await worker.notice(meeting, epoch, sfu.Talking(user=user, talking=True))
        await worker.notice(meeting, epoch, sfu.Offered(user=user, sdp="x", streams=[]))
        lost = sfu.ConnectionLost(user=user, connection="video", reason="x")
        await worker.notice(meeting, epoch, lost)
    await worker.notice(room.id, 1, sfu.VideoLive(user=bob, kind="video"))
    event = await room.alice.until("MEETING_MEDIA_STREAM_CHANGED")
    assert event["active"] is True
    assert kinds(await room.bob.seen()) == ["MEDIA_STREAM_CHANGED"]


# --- letting go -------------------------------------------------------------------------------


async def test_the_worker_lets_go_of_who_left(room: Room, worker: Worker) -> None:
    await room.bob.post(f"{room.path}/leave")
    assert [str(body.user) for body in worker.asked(sfu.RemovePeer)] == [room.bob.id]
    await room.bob.join(room.path)
    newer = await api_person(room.bob)
    await newer.join(room.path)
    assert len(worker.asked(sfu.RemovePeer)) == 2, "taken over"
    await room.alice.delete(f"{room.path}/members/{room.bob.id}")
    assert len(worker.asked(sfu.RemovePeer)) == 3, "removed from the list"
    assert worker.asked(sfu.CloseMeeting) == []
    await room.alice.post(f"{room.path}/leave")
    assert len(worker.asked(sfu.CloseMeeting)) == 1


async def api_person(person: Person) -> Person:
    other = Person(person._api, person.user.name)
    await other.open_channel()
    return other


@pytest.mark.parametrize("how", ["stop", "delete"])
async def test_the_worker_lets_go_of_what_ended(room: Room, worker: Worker, how: str) -> None:
    if how == "stop":
        await room.alice.post(f"{room.path}/stop")
    else:
        await room.alice.delete(room.path)
    (command,) = [item for item in worker.commands if isinstance(item.body, sfu.CloseMeeting)]
    assert (str(command.meeting), command.epoch) == (room.id, 1)


async def test_a_dead_worker_does_not_hold_anyone_back(room: Room, worker: Worker) -> None:
    await worker.die()
    assert (await room.bob.post(f"{room.path}/leave")).status == 204
    assert (await room.alice.post(f"{room.path}/stop")).status == 200


async def test_without_a_worker_media_fails_and_the_rest_works(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with running_api(database_url, redis_url, tmp_path) as api:
        room = await Room(api).prepare()
        refused = await room.bob.put(f"{room.path}/audio/offer", {"sdp": SDP})
        assert (refused.status, refused.code) == (424, "no_worker")
        assert await room.audio(room.bob, enabled=True) == 204
        async with running_worker(redis_url) as worker:
            assert (await room.bob.put(f"{room.path}/audio/offer", {"sdp": SDP})).status == 204
            assert worker.asked(sfu.OfferAudio)[0].enabled is True
