"""Offers that are renewed, restarted, repeated, left unanswered, or answered by a client that began anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import webrtc
from media_rig import Camera, Controller, Microphone, Participant, until

from schemas.sfu import (
    AnswerInbound,
    AudioConnected,
    ConnectionLost,
    Failed,
    Offered,
    OfferVideo,
    VideoLive,
)
from sfu.session import viewer as inbound_module
from sfu.worker.worker import Worker

Join = Callable[[], Participant]


async def test_a_renewed_audio_offer_keeps_the_connection(
    worker: Worker, controller: Controller, join: Join
) -> None:
    alice, bob = join(), join()
    await alice.join_audio()
    await bob.join_audio()
    await bob.hears()
    peers = set(worker.endpoint._peers)
    await alice.join_audio(enabled=False)
    assert set(worker.endpoint._peers) == peers
    assert len(controller.seen(AudioConnected, user=alice.user)) == 1
    await alice.join_audio(enabled=True)
    await bob.hears()


async def test_an_ice_restart_keeps_dtls_and_media(
    worker: Worker, controller: Controller, join: Join
) -> None:
    alice, bob = join(), join()
    await alice.join_audio()
    await bob.join_audio()
    await bob.hears()
    peer = next(peer for peer in worker.endpoint._peers if peer.owner.user == alice.user)  # type: ignore[attr-defined]
    former = peer.ufrag
    await alice.join_audio(restart=True)
    assert peer.ufrag != former
    await until(lambda: peer.ufrags == [peer.ufrag], what="the former credentials are dropped")
    assert peer.state == "connected"
    assert worker.leftovers()["peers"] == 2
    await bob.hears()
    assert len(controller.seen(AudioConnected, user=alice.user)) == 1


async def test_a_new_connection_takes_the_place_of_the_old_one(
    worker: Worker, controller: Controller, join: Join
) -> None:
    """A reloaded page: another certificate. Its viewers' m-lines stay as they are."""
    alice, bob = join(), join()
    await alice.publish()
    await bob.subscribe(alice.feed())
    await bob.sees(alice.feed())
    offers = len(controller.seen(Offered, user=bob.user))
    former = alice.outgoing["video"]
    camera = alice._cameras["video"]

    await alice.publish()
    await until(lambda: len(controller.seen(VideoLive, user=alice.user)) == 2)
    await bob.sees(alice.feed(), 10)
    assert len(controller.seen(Offered, user=bob.user)) == offers
    assert not controller.seen(ConnectionLost)
    assert worker.leftovers()["peers"] == 2
    former.close()
    await camera.stop()
    await bob.sees(alice.feed())


async def test_a_viewer_that_began_anew_gets_its_inbound_connection_back(
    worker: Worker, controller: Controller, join: Join
) -> None:
    alice, bob = join(), join()
    await alice.publish()
    await bob.subscribe(alice.feed())
    await bob.sees(alice.feed())
    former, bob.inbound = bob.inbound, None
    await bob.subscribe(alice.feed())  # what it has already: asks for a fresh offer
    await until(lambda: bob.inbound)
    await bob.sees(alice.feed())
    assert worker.leftovers()["peers"] == 2
    assert former
    former.close()
    await bob.sees(alice.feed())


async def test_a_repeated_subscription_restarts_ice_on_the_same_connection(
    worker: Worker, controller: Controller, join: Join
) -> None:
    alice, bob = join(), join()
    await alice.publish()
    await bob.subscribe(alice.feed())
    await bob.sees(alice.feed())
    peer = next(p for p in worker.endpoint._peers if isinstance(p.owner, inbound_module.Inbound))
    former = peer.ufrag
    await bob.subscribe(alice.feed())
    await until(lambda: peer.ufrag != former and peer.ufrags == [peer.ufrag])
    assert peer.state == "connected"
    await bob.sees(alice.feed())


async def test_changes_wait_for_the_outstanding_answer(controller: Controller, join: Join) -> None:
    alice, bob, carol = join(), join(), join()
    for one in (alice, bob):
        await one.publish()
        await controller.notice(VideoLive, user=one.user)
    carol.answering = False
    await carol.subscribe(alice.feed())
    await carol.subscribe(bob.feed())
    first = await controller.notice(Offered, user=carol.user)
    assert len(first.streams) == 1
    await asyncio.sleep(0.1)
    assert len(controller.seen(Offered, user=carol.user)) == 1
    carol.answering = True
    carol._offers.put_nowait(first)
    await carol.sees(alice.feed())
    await carol.sees(bob.feed())
    assert len(controller.seen(Offered, user=carol.user)) == 2


async def test_an_unanswered_offer_is_repeated_and_given_up(
    worker: Worker, controller: Controller, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbound_module, "ANSWER_TIMEOUT_US", 500_000)
    alice, bob = join(), join()
    await alice.publish()
    await controller.notice(VideoLive, user=alice.user)
    bob.answering = False
    await bob.subscribe(alice.feed())
    await until(lambda: len(controller.seen(Offered, user=bob.user)) == 3)
    offers = controller.seen(Offered, user=bob.user)
    assert offers[0] == offers[1] == offers[2]
    lost = await controller.notice(ConnectionLost, user=bob.user)
    assert (lost.connection, lost.reason) == ("inbound", "offer not answered")
    assert worker.leftovers()["peers"] == 1

    late = AnswerInbound(user=bob.user, sdp="v=0")
    assert isinstance(await controller.call(late), Failed)
    bob.answering = True
    await bob.subscribe(alice.feed())
    await bob.sees(alice.feed())


async def test_wrong_answers_change_nothing(
    worker: Worker, controller: Controller, join: Join
) -> None:
    alice, bob = join(), join()
    await alice.publish()
    await controller.notice(VideoLive, user=alice.user)
    bob.answering = False
    await bob.subscribe(alice.feed())
    offered = await controller.notice(Offered, user=bob.user)
    own_offer = alice.outgoing["video"].local_description
    assert own_offer
    two_lines = own_offer.sdp + own_offer.sdp[own_offer.sdp.index("m=") :].replace(
        "a=mid:0", "a=mid:1"
    )
    for sdp in ("", "v=0", two_lines, own_offer.sdp.replace("a=mid:0", "a=mid:9")):
        result = await controller.call(AnswerInbound(user=bob.user, sdp=sdp))
        assert isinstance(result, Failed)
        assert result.code == "bad_sdp"
    bob.answering = True
    bob._offers.put_nowait(offered)
    await bob.sees(alice.feed())


async def test_simulcast_is_answered_with_one_encoding(controller: Controller, join: Join) -> None:
    """Without rids in the answer a browser sends the first encoding only; its SSRC is learned."""
    alice, bob = join(), join()
    connection = webrtc.RTCPeerConnection()
    camera = Camera(15, 640, 360)
    encodings = [
        webrtc.RTCRtpEncodingParameters(rid=rid, scale_resolution_down_by=scale)
        for rid, scale in (("q", 4.0), ("h", 2.0), ("f", 1.0))
    ]
    connection.add_transceiver(
        camera.track,
        webrtc.RTCRtpTransceiverInit(direction="sendonly", send_encodings=encodings),
    )
    offer = await connection.create_offer()
    assert "a=simulcast:send" in offer.sdp
    assert "a=ssrc:" not in offer.sdp
    await connection.set_local_description(offer)
    answer = await controller.answered(OfferVideo(user=alice.user, kind="video", sdp=offer.sdp))
    assert "simulcast" not in answer
    assert "rid" not in answer
    await connection.set_remote_description(
        webrtc.RTCSessionDescriptionInit(type="answer", sdp=answer)
    )
    await controller.notice(VideoLive, user=alice.user)
    await bob.subscribe(alice.feed())
    await bob.sees(alice.feed(), 10)
    connection.close()
    await camera.stop()


@pytest.mark.parametrize("codec", ["VP9", "AV1"])
async def test_other_codecs_are_forwarded(controller: Controller, join: Join, codec: str) -> None:
    alice, bob = join(), join()
    connection = webrtc.RTCPeerConnection()
    camera = Camera(10, 160, 90)
    transceiver = connection.add_transceiver(
        camera.track, webrtc.RTCRtpTransceiverInit(direction="sendonly")
    )
    capabilities = webrtc.RTCRtpSender.get_capabilities("video")
    assert capabilities
    chosen = [c for c in capabilities.codecs if c.mime_type == f"video/{codec}"]
    rtx = [c for c in capabilities.codecs if c.mime_type == "video/rtx"]
    transceiver.set_codec_preferences(chosen + rtx)
    offer = await connection.create_offer()
    await connection.set_local_description(offer)
    answer = await controller.answered(OfferVideo(user=alice.user, kind="video", sdp=offer.sdp))
    assert f"{codec}/90000" in answer
    await connection.set_remote_description(
        webrtc.RTCSessionDescriptionInit(type="answer", sdp=answer)
    )
    await controller.notice(VideoLive, user=alice.user)
    await bob.subscribe(alice.feed())
    await bob.sees(alice.feed(), 5)
    connection.close()
    await camera.stop()


async def test_a_viewer_may_close_its_connection_while_an_offer_is_on_the_way(
    worker: Worker, controller: Controller, join: Join
) -> None:
    alice, bob = join(), join()
    await alice.publish()
    await bob.subscribe(alice.feed())
    await bob.sees(alice.feed())
    bob.answering = False
    await bob.subscribe(alice.feed())
    offered = await until(lambda: controller.seen(Offered, user=bob.user)[1:])
    assert bob.inbound
    former = next(p for p in worker.endpoint._peers if isinstance(p.owner, inbound_module.Inbound))
    bob.inbound.close()
    bob.inbound = None
    await until(lambda: former.state == "closed")
    bob.answering = True
    bob._offers.put_nowait(offered[0])
    await bob.sees(alice.feed())
    assert not controller.seen(ConnectionLost)
    assert worker.leftovers()["peers"] == 2


async def test_a_client_that_comes_back_with_its_certificate(
    worker: Worker, controller: Controller, join: Join
) -> None:
    """Loaded again, or crashed: the fingerprint is the same, the association is not."""
    alice, bob = join(), join()
    certificate = await webrtc.RTCPeerConnection.generate_certificate("ECDSA")
    config = webrtc.RTCConfiguration(certificates=[certificate])
    alice.audio = webrtc.RTCPeerConnection(config)
    alice.microphone = Microphone()
    alice.audio.add_transceiver(alice.microphone.track)
    await alice.join_audio()
    await bob.join_audio(slots=1)
    await bob.hears()
    former, alice.audio = alice.audio, webrtc.RTCPeerConnection(config)
    alice.audio.add_transceiver(alice.microphone.track)
    await alice.join_audio()
    await until(lambda: len(controller.seen(AudioConnected, user=alice.user)) == 2)
    former.close()
    await bob.hears()
    await alice.hears()
    assert worker.leftovers()["peers"] == 2
    assert not controller.seen(ConnectionLost)


async def test_sound_goes_on_when_the_first_transceiver_is_stopped(
    worker: Worker, controller: Controller, join: Join
) -> None:
    """It carried the transport; a browser moves what is left to another one, with DTLS of its own."""
    alice, bob = join(), join()
    await alice.join_audio(slots=1)
    await bob.join_audio(slots=1)
    await alice.hears()
    await bob.hears()
    assert alice.audio
    assert alice.microphone
    alice.audio.get_transceivers()[0].stop()
    await alice.join_audio()
    await alice.hears(50)
    alice.audio.add_transceiver(alice.microphone.track)
    await alice.join_audio()
    await alice.hears()
    await bob.hears(50)
    alice.audio.get_transceivers()[-1].stop()
    await alice.join_audio()
    await alice.hears(50)
    assert not controller.seen(ConnectionLost)
    assert worker.leftovers()["peers"] == 2
