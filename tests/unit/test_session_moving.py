"""Where media goes when checks come from elsewhere: at the wire, over both packet paths."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aioice import stun as aioice_stun
from dtls_client import Client
from ice_client import SECOND, IceClient, Wire
from path_rig import PathFactory

from sfu.wire import stun


@pytest.fixture
async def wire(path_factory: PathFactory) -> AsyncIterator[Wire]:
    wire = Wire(path_factory)
    yield wire
    await wire.close()


@pytest.fixture
async def alice(wire: Wire) -> IceClient:
    client = wire.client()
    await client.connect()
    assert client.media_goes_to() == {"home"}
    return client


async def test_a_check_that_somebody_sends_again_moves_nothing(
    wire: Wire, alice: IceClient
) -> None:
    """Whichever of the worker's two places has answered it first."""
    first = alice.check("home", nominate=True)
    await wire.settle()
    assert len(alice.at["home"].answers) == 2
    again = wire.client()
    again.answering = False
    again.send("elsewhere", first)
    for _ in range(20):
        await wire.wait(1)
        again.send("elsewhere", first)
    await wire.settle()
    assert again.at["elsewhere"].bytes == 0
    assert wire.count("stun_replayed") == 21
    assert alice.media_goes_to() == {"home"}


async def test_a_check_that_was_caught_before_it_arrived_moves_nothing(
    wire: Wire, alice: IceClient
) -> None:
    """New to the worker, authentic, nominated, and from whom it is not: only an answer to ours would show that."""
    victim = 0
    for _ in range(50):
        before = alice.sent
        alice.answering = False
        alice.check("victim", nominate=True)
        victim += alice.sent - before
        await wire.wait(1)
        assert alice.media_goes_to() == {"home"}
    assert alice.at["victim"].requests, "it was asked"
    assert alice.at["victim"].bytes <= 3 * victim


async def test_what_a_stranger_is_sent_is_bounded_by_what_came_from_there(wire: Wire) -> None:
    """One check and one ClientHello with somebody else's address: the handshake's timers send no more."""
    mallory = wire.client()
    mallory.answering = False
    mallory.describe()
    mallory.check("victim", nominate=True)
    mallory.dtls, mallory.dtls_from = Client(), "nowhere"
    mallory.send("victim", mallory.dtls.takes([]))
    for _ in range(30):
        await wire.settle(2)
        await asyncio.sleep(0.1)
    await wire.wait(20)
    assert 0 < mallory.at["victim"].bytes <= 3 * mallory.sent


async def test_the_first_flight_waits_for_the_answer_and_goes_then(wire: Wire) -> None:
    client = wire.client()
    client.answering = False
    client.describe()
    client.check("home")
    client.dtls, client.dtls_from = Client(), "nowhere"
    client.send("home", client.dtls.takes([]))
    await wire.settle()
    assert client.at["home"].dtls == []
    (asked,) = client.at["home"].requests
    client.send("home", stun.success(stun.parse(asked), wire.address, client.password))
    await wire.settle()
    assert len(client.at["home"].dtls) == 1


async def test_our_check_is_one_that_another_implementation_takes(
    wire: Wire, alice: IceClient
) -> None:
    (asked,) = alice.at["home"].requests
    message = aioice_stun.parse_message(asked)
    assert message.check_message_integrity(alice.password.encode())
    assert message.attributes["USERNAME"] == f"{alice.ufrag}:{alice.peer.ufrag}"
    assert "ICE-CONTROLLED" in message.attributes


async def test_a_client_whose_address_changes_is_followed_when_the_old_one_is_silent(
    wire: Wire, alice: IceClient
) -> None:
    """A NAT that forgets: the client itself sees no other pair, and nominates nothing."""
    await wire.wait(0.5)
    alice.check("away")
    await wire.settle()
    assert len(alice.at["away"].requests) == 1
    assert alice.media_goes_to() == {"home"}
    await wire.wait(1)
    alice.check("away")
    await wire.settle()
    assert alice.media_goes_to() == {"home"}, "silent for a second and a half"
    await wire.wait(1)
    assert alice.media_goes_to() == {"away"}
    for _ in range(20):
        await wire.wait(2)
        alice.check("away")
        await wire.settle()
        assert alice.media_goes_to() == {"away"}
    assert alice.owner.lost == []
    assert len(alice.owner.transports) == 1


async def test_a_client_that_nominates_another_pair_is_followed(
    wire: Wire, alice: IceClient
) -> None:
    """Though it goes on checking the former one, whose nomination the path has answered."""
    wire.now_us += 1000
    alice.check("home", nominate=True)
    await wire.settle()
    wire.now_us += 1000
    alice.check("home")
    alice.check("away", nominate=True)
    await wire.settle()
    assert alice.media_goes_to() == {"away"}


async def test_two_nominated_pairs_do_not_make_it_flap(wire: Wire, alice: IceClient) -> None:
    moves, former = 0, {"home"}
    for number in range(600):
        alice.check("home" if number % 2 else "away", nominate=True)
        await wire.settle(4)
        wire.now_us += SECOND // 2
        now = alice.media_goes_to()
        assert len(now) == 1
        moves += now != former
        former = now
    assert moves <= 5, "in five minutes: one in each"


async def test_only_an_authentic_answer_from_there_proves_an_address(
    wire: Wire, alice: IceClient
) -> None:
    alice.answering = False
    wire.now_us += 1000
    alice.check("away", nominate=True)
    await wire.settle()
    asked = stun.parse(alice.at["away"].requests[-1])
    alice.send("away", stun.success(asked, wire.address, "x" * 24))
    alice.send("home", stun.success(asked, wire.address, alice.password))
    alice.send("nobody", stun.success(asked, wire.address, alice.password))
    other = stun.parse(stun.request("a:b", alice.password, b"another of 12"[:12], 1))
    alice.send("away", stun.success(other, wire.address, alice.password))
    await wire.settle()
    assert wire.count("stun_unexpected_response") == 4
    await wire.wait(10)
    assert alice.media_goes_to() == {"home"}
    alice.send("away", stun.success(asked, wire.address, alice.password))
    await wire.settle()
    assert alice.media_goes_to() == {"away"}


async def test_a_handshake_proves_only_the_address_that_it_went_by(wire: Wire) -> None:
    """Its end comes with somebody else's address: the one that got the answer to its beginning stays."""
    mallory = wire.client()
    mallory.answering = False
    mallory.describe()
    for _ in range(4):
        mallory.check("home", nominate=True)
        mallory.check("victim", nominate=True)
    mallory.dtls, mallory.dtls_from = Client(), "nowhere"
    mallory.send("home", mallory.dtls.takes([]))
    await wire.settle()
    mallory.send("victim", mallory.dtls.takes(mallory.at["home"].dtls))
    async with asyncio.timeout(10):
        while not mallory.owner.transports:
            await wire.settle(1)
    for _ in range(5):
        mallory.check("victim", nominate=True)
        assert mallory.media_goes_to() == {"home"}
        await wire.wait(2)


async def test_a_question_that_was_lost_is_asked_again_without_another_check(
    wire: Wire, alice: IceClient
) -> None:
    alice.answering = False
    wire.now_us += 1000
    alice.check("away", nominate=True)
    await wire.settle()
    alice.answering = True
    await wire.wait(2)
    assert len(alice.at["away"].requests) == 2
    assert alice.media_goes_to() == {"away"}


async def test_an_ice_restart_takes_media_along_at_once(wire: Wire, alice: IceClient) -> None:
    alice.check("home", nominate=True)
    alice.peer.renew_credentials(wire.now_us)
    alice.check("away", nominate=True)
    await wire.settle()
    assert alice.media_goes_to() == {"away"}
    alice.check("away", nominate=True)
    await wire.settle()
    assert len(alice.at["away"].answers) == 2


@pytest.mark.parametrize("connected", [False, True])
async def test_an_attribute_that_has_to_be_understood_is_named(wire: Wire, connected: bool) -> None:
    client = wire.client()
    if connected:
        await client.connect()
    client.at["home"].answers.clear()
    client.check("home", attributes=((0x7ABC, b"xyz"), (0x8ABC, b"")))
    await wire.settle()
    (answer,) = client.at["home"].answers
    read = aioice_stun.parse_message(answer)
    assert read.error_code == 420
    assert read.check_message_integrity(client.peer.password.encode())
    assert bytes.fromhex("000a0002 7abc0000") in answer
    assert wire.count("stun_unknown_attributes") == 1
    assert client.peer.last_check_us == (wire.now_us if connected else 0)


async def test_a_flood_of_checks_costs_only_who_sends_it(wire: Wire, alice: IceClient) -> None:
    bob = wire.client()
    await bob.connect()
    for _ in range(400):
        alice.check("home", ufrag=None, attributes=((0x7ABC, b""),))
        wire.drain()
    await wire.settle()
    assert wire.count("stun_rate_limited") >= 290
    answers = len(bob.at["home"].answers)
    bob.check("away")
    await wire.settle()
    assert len(bob.at["home"].answers) + len(bob.at["away"].answers) == answers + 1
