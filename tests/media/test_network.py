"""What real networks do: lose packets, change addresses, fall silent, and carry rubbish."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable

import pytest
import webrtc
from lossy_proxy import in_front_of
from media_rig import (
    Camera,
    Controller,
    Participant,
    both_paths,
    controlling,
    running_worker,
    until,
)

from schemas.sfu import AudioConnected, ConnectionLost, Failed, OfferVideo, VideoLive
from sfu.worker.worker import Worker

Join = Callable[[], Participant]


@both_paths
async def test_five_percent_loss_is_repaired(
    worker: Worker, controller: Controller, join: Join
) -> None:
    async with in_front_of(worker) as proxy:
        alice, bob = join(), join()
        camera = Camera(noise=True)
        await alice.publish(camera=camera)
        await controller.notice(VideoLive, user=alice.user)
        await bob.subscribe(alice.feed())
        await bob.sees(alice.feed(), 5)

        proxy.loss = 0.05
        sent, decoded, began = camera.sent, await bob.decoded(), time.monotonic()
        before = worker.counters()
        await until(
            lambda: proxy.counters["up_lost"] >= 15 and proxy.counters["down_lost"] >= 15,
            within=15,
            what="enough loss for the test to mean something",
        )
        await asyncio.sleep(max(0, began + 4 - time.monotonic()))
        sent, decoded = camera.sent - sent, await bob.decoded() - decoded
        after = worker.counters()

        def grown(name: str) -> int:
            return after[name] - before.get(name, 0)

        assert grown("nacks_sent") > 5, "the worker asks the publisher again"
        assert grown("rtx_recovered") > 5, "and gets what it asked for"
        assert grown("nacks_answered") > 5, "the viewer gets what it asks for"
        assert decoded > 0.8 * sent, f"{decoded} of {sent} frames decoded"


async def test_a_changed_address_is_followed(
    worker: Worker, controller: Controller, join: Join
) -> None:
    async with in_front_of(worker) as proxy:
        alice, bob = join(), join()
        await alice.join_audio()
        await bob.join_audio()
        await alice.publish()
        await bob.subscribe(alice.feed())
        await bob.sees(alice.feed())
        await bob.hears()
        before = {peer.selected for peer in worker.endpoint._peers}

        await proxy.move()
        await bob.sees(alice.feed(), 10, within=10)
        await bob.hears(within=10)
        await until(lambda: not before & {peer.selected for peer in worker.endpoint._peers})
        assert worker.counters()["addresses_proven"] >= 2 * len(before), "old ones and new ones"
        assert worker.counters()["addresses_changed"] == len(before)
        assert not controller.seen(ConnectionLost)


async def test_a_silent_participant_is_let_go(redis_url: str) -> None:
    async with (
        running_worker(redis_url, peer_timeout=1.5) as worker,
        controlling(redis_url, worker) as controller,
        in_front_of(worker) as proxy,
    ):
        alice = Participant(controller)
        try:
            await alice.join_audio()
            await alice.publish()
            await controller.notice(VideoLive, user=alice.user)
            await controller.notice(AudioConnected, user=alice.user)
            proxy.close()
            await controller.notice(ConnectionLost, connection="audio", within=6)
            lost = await controller.notice(ConnectionLost, connection="video", within=6)
            assert lost.user == alice.user
            assert (lost.code, lost.reason) == ("silent", "silent")
            await until(lambda: not any(worker.leftovers().values()), what="all tables empty")
        finally:
            await alice.close()


async def test_rubbish_on_the_port_disturbs_nobody(
    worker: Worker, controller: Controller, join: Join, caplog: pytest.LogCaptureFixture
) -> None:
    alice, bob = join(), join()
    await alice.publish()
    await bob.subscribe(alice.feed())
    await bob.sees(alice.feed())

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
        target = worker.candidates[0]
        for first in (0, 1, 20, 22, 63, 64, 127, 128, 144, 191, 192, 255):
            for length in (1, 2, 4, 8, 12, 20, 30, 100, 1200, 1500):
                attacker.sendto(bytes([first]) + os.urandom(length - 1), target)
            await asyncio.sleep(0)
        # Truncated attribute behind a correct header: aioice's own parser would raise struct.error.
        header = bytes.fromhex("0001000a2112a442") + bytes(12)
        attacker.sendto(header + bytes.fromhex("00240004000000000025"), target)
        await until(lambda: worker.counters().get("stun_malformed", 0) >= 20)
        await until(lambda: worker.counters().get("dtls_unknown_address", 0) >= 20)

    await bob.sees(alice.feed(), 10)
    assert worker.counters()["read_failed"] == 0
    assert worker.counters()["tick_failed"] == 0
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_handshake_of_rubbish_ends_only_itself(
    worker: Worker, controller: Controller, join: Join
) -> None:
    """DTLS from a checked address that is no DTLS: the client's real handshake still succeeds."""
    alice = join()
    async with in_front_of(worker) as proxy:
        rubbish = [bytes([22]) + os.urandom(60), bytes([20, 254, 253]) + bytes(10), bytes([23])]
        forward = proxy.from_client
        inserted = 0

        def with_rubbish(data: bytes, client: tuple[str, int]) -> None:
            nonlocal inserted
            forward(data, client)
            if 20 <= data[0] <= 63:
                for item in rubbish:
                    forward(item, client)
                    inserted += 1

        proxy.from_client = with_rubbish  # type: ignore[method-assign]
        await alice.publish()
        await controller.notice(VideoLive, user=alice.user)
        assert inserted


async def test_a_handshake_that_does_not_come_is_given_up(
    worker: Worker, controller: Controller, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sfu.transport.peer.HANDSHAKE_TIMEOUT", 0.5)
    alice = join()
    async with in_front_of(worker) as proxy:
        forward = proxy.from_client

        def without_dtls(data: bytes, client: tuple[str, int]) -> None:
            if not 20 <= data[0] <= 63:
                forward(data, client)

        proxy.from_client = without_dtls  # type: ignore[method-assign]
        await alice.publish()
        lost = await controller.notice(ConnectionLost, user=alice.user)
        assert (lost.code, lost.reason) == ("handshake_unfinished", "DTLS handshake timed out")
        assert worker.counters()["lost_handshake_unfinished"] == 1
        await until(lambda: not any(worker.leftovers().values()), what="all tables empty")


async def test_another_certificate_than_the_offered_one_is_refused(
    worker: Worker, controller: Controller, join: Join
) -> None:
    alice = join()
    connection = webrtc.RTCPeerConnection()
    camera = Camera()
    connection.add_transceiver(camera.track)
    offer = await connection.create_offer()
    await connection.set_local_description(offer)
    lines = offer.sdp.split("\r\n")
    forged = [
        line[:-2] + ("00" if line[-2:] != "00" else "11") if "a=fingerprint" in line else line
        for line in lines
    ]
    body = OfferVideo(user=alice.user, kind="video", sdp="\r\n".join(forged))
    answer = await controller.answered(body)
    await connection.set_remote_description(
        webrtc.RTCSessionDescriptionInit(type="answer", sdp=answer)
    )
    lost = await controller.notice(ConnectionLost, user=alice.user)
    assert lost.code == "wrong_certificate"
    assert "a=fingerprint" in lost.reason
    assert worker.counters()["lost_wrong_certificate"] == 1
    assert not controller.seen(VideoLive)
    await until(lambda: not any(worker.leftovers().values()), what="all tables empty")
    connection.close()
    await camera.stop()


@pytest.mark.parametrize(
    "sdp", ["", "v=0", "x" * 1000, "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n"]
)
async def test_bad_sdp_is_answered_with_a_reason(
    controller: Controller, join: Join, sdp: str
) -> None:
    alice = join()
    result = await controller.call(OfferVideo(user=alice.user, kind="video", sdp=sdp))
    assert isinstance(result, Failed)
    assert result.code == "bad_sdp"
    assert result.reason


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("announced", ["::1", "127.0.0.1"])
async def test_one_socket_serves_ipv6_and_ipv4(redis_url: str, announced: str) -> None:
    async with (
        running_worker(redis_url, media_host="::", media_announced=[announced]) as worker,
        controlling(redis_url, worker) as controller,
    ):
        alice, bob = Participant(controller), Participant(controller)
        try:
            await alice.publish()
            await bob.subscribe(alice.feed())
            await bob.sees(alice.feed())

            def selected() -> set[str]:
                return {peer.selected[0] for peer in worker.endpoint._peers if peer.selected}

            # At first a client may try another address of its own.
            await until(lambda: selected() == {announced}, what=f"{selected()}")
        finally:
            await alice.close()
            await bob.close()
