"""A client that begins DTLS anew, one that can't begin at all, and whoever only seems to be a client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from aiortc.rtcdtlstransport import RTCCertificate
from dtls_client import Client
from ice_client import SECOND, IceClient, Wire
from path_rig import PathFactory

from schemas.sfu import Loss
from sfu.transport import associations, attempt, endpoint
from sfu.transport.peer import RECORDS_PER_SECOND

FATAL = b"\x15\xfe\xfd\x00\x00" + bytes(5) + b"\x01\x00\x02\x02\x28"
"""An alert in the clear."""


@pytest.fixture
async def wire(path_factory: PathFactory) -> AsyncIterator[Wire]:
    wire = Wire(path_factory)
    yield wire
    await wire.close()


@pytest.fixture
async def alice(wire: Wire) -> IceClient:
    client = wire.client()
    await client.connect()
    return client


async def connected_again(wire: Wire, client: IceClient, times: int = 2) -> None:
    async with asyncio.timeout(10):
        while len(client.owner.transports) < times:
            await wire.settle(1)
    await wire.settle()


def begin_anew(client: IceClient, name: str = "home") -> None:
    """As after a crash: with the certificate that it has kept."""
    client.dtls = Client()
    client.hello(name)


async def test_a_hello_on_a_known_pair_begins_a_new_association(
    wire: Wire, alice: IceClient
) -> None:
    begin_anew(alice)
    await connected_again(wire, alice)
    first, second = alice.owner.transports
    assert first != second
    assert alice.peer.transport == second
    assert alice.dtls
    assert alice.dtls.finished
    assert alice.media_goes_to() == {"home"}
    assert wire.endpoint.leftovers()["transports"] == 1
    with pytest.raises(KeyError):
        wire.path.last_received_us(first or 0)
    alice.send("home", alice.dtls.close())
    await wire.settle()
    assert alice.owner.lost == [Loss.CLOSED], "the new one ends as any does"
    assert not any(wire.endpoint.leftovers().values())


async def test_the_former_association_stays_until_the_new_one_stands(
    wire: Wire, alice: IceClient
) -> None:
    """Somebody sends a hello in alice's name: alice gets an answer that she did not ask for, and all goes on."""
    alice.dtls_from = "nowhere"
    alice.send("home", Client().takes([]))
    await wire.settle()
    assert wire.count("dtls_renewals") == 1
    assert alice.media_goes_to() == {"home"}
    assert len(alice.owner.transports) == 1
    alice.send("home", FATAL)
    await wire.settle()
    assert wire.count("dtls_renewals_failed") == 1, (
        "a fatal alert in the clear ends what was begun in the clear"
    )
    assert alice.owner.lost == []
    assert alice.media_goes_to() == {"home"}


async def test_when_both_associations_are_over_the_client_is_lost(
    wire: Wire, alice: IceClient
) -> None:
    """The former one's end is heard while another is on its way."""
    former = alice.dtls
    assert former
    alice.dtls_from = "nowhere"
    alice.send("home", Client().takes([]))
    await wire.settle()
    alice.send("home", former.close())
    await wire.settle()
    assert alice.owner.lost == []
    alice.send("home", FATAL)
    await wire.settle()
    assert alice.owner.lost == [Loss.HANDSHAKE_REFUSED]


async def test_whoever_has_another_certificate_ends_nothing(wire: Wire, alice: IceClient) -> None:
    former = alice.dtls
    alice.dtls = Client(certificate=RTCCertificate.generateCertificate())
    alice.hello("home")
    async with asyncio.timeout(10):
        while not wire.count("dtls_renewals_failed"):
            await wire.settle(1)
    assert alice.owner.lost == []
    assert len(alice.owner.transports) == 1
    assert alice.media_goes_to() == {"home"}
    assert former
    alice.send("home", former.close())
    await wire.settle()
    assert alice.owner.lost == [Loss.CLOSED]


async def test_a_hello_that_comes_late_begins_nothing(wire: Wire) -> None:
    client = wire.client()
    client.describe()
    client.check("home", nominate=True)
    client.dtls = Client()
    flight = client.dtls.takes([])
    client.send("home", flight)
    await connected_again(wire, client, 1)
    client.send("home", flight)
    await wire.settle()
    assert wire.count("dtls_renewals") == 0


async def test_of_two_hellos_the_one_that_gets_on_has_time(wire: Wire, alice: IceClient) -> None:
    """A hello a moment later does not take the place of a handshake that runs."""
    begin_anew(alice)
    wire.drain()
    alice.dtls_from = "nowhere"
    alice.send("home", Client().takes([]))
    wire.drain()
    alice.dtls_from = "home"
    await connected_again(wire, alice)
    assert wire.count("dtls_hellos_refused") == 1
    assert wire.count("dtls_renewals") == 1


async def test_a_handshake_that_got_stuck_makes_room(wire: Wire, alice: IceClient) -> None:
    alice.dtls_from = "nowhere"
    alice.send("home", Client().takes([]))
    await wire.settle()
    wire.now_us += attempt.YIELDS_AFTER_US + 1
    begin_anew(alice)
    await connected_again(wire, alice)
    assert wire.count("dtls_renewals") == 2


async def test_hellos_without_end_cost_a_bounded_number_of_handshakes(
    wire: Wire, alice: IceClient
) -> None:
    alice.dtls_from = "nowhere"
    for _ in range(120):
        alice.send("home", Client().takes([]))
        await wire.settle(1)
        wire.now_us += SECOND // 2
    most = associations.RENEWALS + 60 * associations.RENEWALS_PER_SECOND + 1
    assert 20 < wire.count("dtls_renewals") <= most
    assert len(alice.owner.transports) == 1


async def test_the_worker_has_a_bound_for_all_together(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire.endpoint, "may_renew", lambda now_us: False)
    client = wire.client()
    await client.connect()
    begin_anew(client)
    await wire.settle()
    assert wire.count("dtls_hellos_limited") == 1
    assert wire.count("dtls_renewals") == 0


async def test_garbage_is_read_only_so_often(wire: Wire, alice: IceClient) -> None:
    for _ in range(5 * RECORDS_PER_SECOND):
        alice.send("home", bytes([22]) + bytes(60))
        wire.drain()
    assert wire.count("dtls_rate_limited") >= 3 * RECORDS_PER_SECOND
    assert alice.owner.lost == []


async def test_a_client_that_comes_back_elsewhere_after_an_ice_restart(
    wire: Wire, alice: IceClient
) -> None:
    """A page that is loaded again with its certificate: other sockets, other credentials, another association."""
    alice.ufrag, alice.password = "anew", "another-password-of-hers"
    alice.peer.renew_credentials(wire.now_us)
    alice.describe()
    alice.check("elsewhere", nominate=True)
    await wire.settle()
    begin_anew(alice, "elsewhere")
    await connected_again(wire, alice)
    assert alice.media_goes_to() == {"elsewhere"}
    assert alice.owner.lost == []


async def test_whoever_restarts_ice_may_end_the_former_association_first(
    wire: Wire, alice: IceClient
) -> None:
    """So browsers do that move their m-lines to another transport."""
    assert alice.dtls
    former = alice.dtls
    alice.peer.renew_credentials(wire.now_us)
    alice.send("home", former.close())
    await wire.settle()
    assert alice.owner.lost == []
    alice.check("elsewhere", nominate=True)
    await wire.settle()
    begin_anew(alice, "elsewhere")
    await connected_again(wire, alice)
    assert alice.media_goes_to() == {"elsewhere"}


async def test_while_an_offer_of_ours_is_unanswered_nothing_begins_anew(
    wire: Wire, alice: IceClient
) -> None:
    """The answer may name another certificate; a hello is sent again until it is heeded."""
    alice.peer.renew_credentials(wire.now_us, by_us=True)
    alice.dtls = Client()
    hello = alice.dtls.takes([])
    alice.send("home", hello)
    await wire.settle()
    assert wire.count("dtls_hellos_refused") == 1
    assert wire.count("dtls_renewals") == 0
    alice.describe()
    alice.send("home", hello)
    await connected_again(wire, alice)


async def test_whoever_ends_its_association_instead_of_answering_is_lost(
    wire: Wire, alice: IceClient
) -> None:
    alice.peer.renew_credentials(wire.now_us, by_us=True)
    assert alice.dtls
    alice.send("home", alice.dtls.close())
    await wire.settle()
    assert alice.owner.lost == [Loss.CLOSED]


async def test_so_may_whoever_moves_to_another_m_line(wire: Wire, alice: IceClient) -> None:
    """With the same credentials: Chromium's new transport takes over the former one's."""
    assert alice.dtls
    former = alice.dtls
    alice.peer.may_begin_anew(wire.now_us)
    alice.send("home", former.close())
    alice.check("elsewhere", nominate=True)
    await wire.settle()
    assert alice.owner.lost == []
    begin_anew(alice, "elsewhere")
    await connected_again(wire, alice)
    assert alice.media_goes_to() == {"elsewhere"}


async def test_long_after_a_restart_an_end_is_an_end(wire: Wire, alice: IceClient) -> None:
    alice.peer.renew_credentials(wire.now_us)
    wire.now_us += associations.GRACE_US
    assert alice.dtls
    alice.send("home", alice.dtls.close())
    await wire.settle()
    assert alice.owner.lost == [Loss.CLOSED]


async def test_another_certificate_in_the_description_is_expected_of_the_next_hello(
    wire: Wire, alice: IceClient
) -> None:
    """RFC 8842 section 3: the addresses stay, the association is another one."""
    another = RTCCertificate.generateCertificate()
    alice.describe(certificate=another)
    await wire.settle()
    assert alice.media_goes_to() == {"home"}
    alice.dtls = Client(certificate=another)
    alice.hello("home")
    await connected_again(wire, alice)
    assert alice.owner.lost == []


async def test_another_role_in_the_description_makes_us_begin(wire: Wire, alice: IceClient) -> None:
    alice.dtls = Client(role="server")
    alice.describe(active=True)
    await connected_again(wire, alice)
    assert alice.dtls.finished
    assert alice.media_goes_to() == {"home"}


async def test_another_tls_id_makes_us_begin_where_it_is_ours_to_begin(wire: Wire) -> None:
    client = wire.client()
    client.dtls = Client(role="server")
    client.describe(active=True, tls_id="the first association of hers")
    client.check("home", nominate=True)
    await connected_again(wire, client, 1)
    client.describe(active=True, tls_id="the first association of hers")
    await wire.settle()
    assert len(client.owner.transports) == 1
    client.dtls = Client(role="server")
    client.describe(active=True, tls_id="the second association of hers")
    await connected_again(wire, client)


# what never begins


async def test_a_client_that_can_not_reach_the_port_is_told_within_ten_seconds(
    wire: Wire,
) -> None:
    client = wire.client()
    client.describe()
    described = wire.now_us
    while not client.owner.lost:
        await wire.wait(1)
    assert client.owner.lost == [Loss.UNREACHABLE]
    assert wire.now_us - described <= 9 * SECOND
    assert wire.count("lost_unreachable") == 1


async def test_time_counts_from_the_description_not_from_our_offer(wire: Wire) -> None:
    client = wire.client()
    await wire.wait(30)
    client.describe()
    await wire.wait(endpoint.CONNECT_TIMEOUT_US / SECOND - 1)
    assert client.owner.lost == []
    client.check("home", nominate=True)
    await wire.settle()
    await wire.wait(5)
    assert client.owner.lost == []


async def test_a_handshake_that_does_not_end_is_told(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sfu.transport.peer.HANDSHAKE_TIMEOUT", 0.2)
    client = wire.client()
    client.describe()
    client.check("home", nominate=True)
    began = time.monotonic()
    while not client.owner.lost:
        await wire.settle(1)
        await asyncio.sleep(0.01)
        assert time.monotonic() - began < 10
    assert client.owner.lost == [Loss.HANDSHAKE_UNFINISHED]
    assert wire.count("lost_handshake_unfinished") == 1


async def test_a_certificate_that_no_fingerprint_names_is_told(wire: Wire) -> None:
    client = wire.client()
    client.describe(certificate=RTCCertificate.generateCertificate())
    client.check("home", nominate=True)
    client.dtls = Client()
    client.hello("home")
    async with asyncio.timeout(10):
        while not client.owner.lost:
            await wire.settle(1)
    assert client.owner.lost == [Loss.WRONG_CERTIFICATE]
    assert wire.count("lost_wrong_certificate") == 1


async def test_whatever_a_library_raises_at_a_certificate_ends_only_this_client(
    wire: Wire, alice: IceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raises(self: object, parameters: object) -> None:
        raise ValueError("error parsing asn1 value")

    monkeypatch.setattr("sfu.transport.dtls._Transport._validate_peer_identity", raises)
    client = wire.client()
    client.describe()
    client.check("home", nominate=True)
    client.dtls = Client()
    client.hello("home")
    async with asyncio.timeout(10):
        while not client.owner.lost:
            await wire.settle(1)
    assert client.owner.lost == [Loss.FAILED]
    assert alice.owner.lost == []
    assert wire.count("handshakes_raised") == 1


async def test_one_datagram_that_raises_costs_the_others_nothing(
    wire: Wire, alice: IceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = wire.client()
    await bob.connect()
    alice.check("away")
    await wire.settle()

    def raises(*arguments: object, **named: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(alice.peer, "checked", raises)
    monkeypatch.setattr(alice.peer, "dtls_received", raises)
    monkeypatch.setattr(alice.peer, "tick", raises)
    had = len(bob.at["away"].answers)
    alice.check("away")
    alice.send("home", bytes([22]) + bytes(60))
    bob.check("away")
    await wire.settle()
    await wire.wait(1)
    assert len(bob.at["away"].answers) == had + 1
    assert [wire.count(f"{name}_failed") for name in ("stun", "dtls", "expiry")] == [1, 1, 1]
