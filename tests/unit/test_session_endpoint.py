"""Which peer a datagram belongs to: credentials, addresses, silence, and what belongs to nobody."""

from __future__ import annotations

from aioice import stun as aioice_stun
from sfu_stubs import StubPath

from schemas.sfu import Loss
from sfu.path.interface import Datagram, Inbound, UnknownStream
from sfu.transport.dtls import Certificate
from sfu.transport.endpoint import CLAIM_AFTER_US, UNKNOWN_CHECKS_PER_SECOND, Endpoint
from sfu.transport.peer import MAX_ADDRESSES, Peer
from sfu.wire.address import Address

HOME: Address = ("192.0.2.10", 5000)
AWAY: Address = ("198.51.100.7", 6000)
SECOND = 1_000_000
CERTIFICATE = Certificate()


class Owner:
    def __init__(self) -> None:
        self.lost: list[Loss] = []

    def peer_connected(self, peer: Peer) -> None:
        raise AssertionError("no handshake here")

    def peer_lost(self, peer: Peer, reason: Loss) -> None:
        assert peer.state == "closed"
        self.lost.append(reason)

    def unknown_stream(self, peer: Peer, stream: UnknownStream) -> None: ...


class Desk:
    def __init__(self) -> None:
        self.path = StubPath()
        self.endpoint = Endpoint(self.path, CERTIFICATE, [("192.0.2.1", 7882)])
        self.owner = Owner()
        self.now_us = 10 * SECOND

    def open(self) -> Peer:
        return self.endpoint.open_peer(self.owner, self.now_us)

    def check(
        self,
        peer: Peer,
        source: Address = HOME,
        *,
        nominate: bool = False,
        password: str | None = None,
        role: str = "ICE-CONTROLLING",
        ufrag: str | None = None,
        transaction: bytes | None = None,
    ) -> aioice_stun.Message | None:
        """The answer to a check, if there is one."""
        message = aioice_stun.Message(
            aioice_stun.Method.BINDING, aioice_stun.Class.REQUEST, transaction_id=transaction
        )
        message.attributes["USERNAME"] = f"{ufrag or peer.ufrag}:theirs"
        message.attributes[role] = 5
        if nominate:
            message.attributes["USE-CANDIDATE"] = None
        message.add_message_integrity((password or peer.password).encode())
        before = len(self.path.sent)
        inbound = Inbound(stun=[Datagram(bytes(message), source)])
        self.endpoint.dispatch(inbound, self.now_us)
        if len(self.path.sent) == before:
            return None
        data, target = self.path.sent[-1]
        assert target == source
        return aioice_stun.parse_message(data)


def test_a_check_is_answered_and_its_address_learned() -> None:
    desk = Desk()
    peer = desk.open()
    answer = desk.check(peer)
    assert answer
    assert answer.message_class == aioice_stun.Class.RESPONSE
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == HOME
    assert answer.check_message_integrity(peer.password.encode())
    assert peer.selected == HOME


def test_the_nominated_pair_is_followed() -> None:
    desk = Desk()
    peer = desk.open()
    desk.check(peer)
    desk.check(peer, AWAY)
    assert peer.selected == HOME, "merely checked"
    desk.check(peer, AWAY, nominate=True)
    assert peer.selected == AWAY
    desk.check(peer, HOME, nominate=True)
    assert peer.selected == HOME


def test_a_wrong_password_gets_no_answer() -> None:
    desk = Desk()
    peer = desk.open()
    assert desk.check(peer, password="x" * 24) is None
    assert desk.check(peer, ufrag="unknown1") is None
    assert peer.selected is None
    assert desk.endpoint.counters["stun_not_authentic"] == 1
    assert desk.endpoint.counters["stun_unknown_user"] == 1
    assert desk.endpoint.leftovers()["addresses"] == 0


def test_a_client_that_wants_to_be_controlled_is_told_not_to() -> None:
    desk = Desk()
    peer = desk.open()
    answer = desk.check(peer, role="ICE-CONTROLLED")
    assert answer
    assert answer.error_code == 487
    assert peer.selected is None


def test_an_address_in_use_is_not_given_to_another() -> None:
    desk = Desk()
    victim, attacker = desk.open(), desk.open()
    desk.check(victim, nominate=True)
    desk.now_us += CLAIM_AFTER_US - 1
    assert desk.check(attacker, HOME, nominate=True) is None
    assert attacker.selected is None
    assert victim.selected == HOME
    assert desk.endpoint.counters["stun_address_taken"] == 1
    desk.now_us += 1
    assert desk.check(attacker, HOME, nominate=True)
    assert attacker.selected == HOME
    assert victim.selected is None


def test_a_check_that_was_refused_the_address_may_come_again() -> None:
    """As clients send it that have no answer (RFC 8489 section 6.2.1)."""
    desk = Desk()
    former, present = desk.open(), desk.open()
    desk.check(former, nominate=True)
    assert desk.check(present, transaction=b"of 12 bytes!") is None
    desk.now_us += CLAIM_AFTER_US
    assert desk.check(present, transaction=b"of 12 bytes!")
    assert present.selected == HOME


def test_addresses_of_one_peer_are_bounded() -> None:
    desk = Desk()
    peer = desk.open()
    desk.check(peer, HOME, nominate=True)
    for number in range(50):
        desk.now_us += 1000
        desk.check(peer, ("203.0.113.1", 1000 + number))
    assert len(peer.addresses) == MAX_ADDRESSES
    assert desk.endpoint.leftovers()["addresses"] == MAX_ADDRESSES
    assert HOME in peer.addresses
    assert ("203.0.113.1", 1049) in peer.addresses


def test_of_too_many_addresses_the_one_checked_longest_ago_is_forgotten() -> None:
    """But the one that media goes to, however long ago that was."""
    desk = Desk()
    peer = desk.open()
    addresses: list[Address] = [("192.0.2.10", port) for port in range(1, MAX_ADDRESSES + 3)]
    desk.check(peer, addresses[0], nominate=True)
    for address in addresses[1:MAX_ADDRESSES]:
        desk.check(peer, address)
    desk.check(peer, addresses[1])  # again: the third is the oldest now
    desk.check(peer, addresses[MAX_ADDRESSES])
    assert set(peer.addresses) == set(addresses[: MAX_ADDRESSES + 1]) - {addresses[2]}
    desk.check(peer, addresses[MAX_ADDRESSES + 1])
    assert addresses[3] not in peer.addresses
    assert {addresses[0], addresses[1]} <= set(peer.addresses)


def test_checks_from_strangers_are_bounded_and_known_addresses_exempt() -> None:
    desk = Desk()
    peer = desk.open()
    desk.check(peer)
    junk = [Datagram(bytes(20), ("203.0.113.9", 1 + n)) for n in range(60000)]
    desk.endpoint.dispatch(Inbound(stun=junk[: 2 * UNKNOWN_CHECKS_PER_SECOND]), desk.now_us)
    counters = desk.endpoint.counters
    assert counters["stun_malformed"] <= UNKNOWN_CHECKS_PER_SECOND
    assert counters["stun_rate_limited"] >= UNKNOWN_CHECKS_PER_SECOND
    assert desk.check(peer), "who is known is answered all the same"
    assert desk.check(desk.open(), AWAY) is None
    desk.now_us += SECOND
    assert desk.check(desk.open(), AWAY), "and strangers a second later"


def test_new_credentials_beside_the_old_until_nominated() -> None:
    desk = Desk()
    peer = desk.open()
    desk.check(peer, nominate=True)
    former, former_password = peer.ufrag, peer.password
    peer.renew_credentials()
    assert peer.ufrag != former
    assert desk.check(peer, ufrag=former, password=former_password)
    assert desk.check(peer)
    assert len(peer.ufrags) == 2
    desk.check(peer, AWAY, nominate=True)
    assert peer.ufrags == [peer.ufrag]
    assert desk.check(peer, ufrag=former, password=former_password) is None


def test_checks_are_left_to_the_path_while_one_pair_of_credentials_is_good() -> None:
    desk = Desk()
    peer = desk.open()
    desk.check(peer, nominate=True)
    assert not desk.path.checks
    peer.transport = 7
    former = peer.ufrag
    peer.renew_credentials()
    assert desk.path.checks == {7: ("", "")}
    desk.check(peer, ufrag=former, password=peer.password_of(former), nominate=True)
    assert desk.path.checks == {7: ("", "")}
    desk.check(peer, nominate=True)
    assert desk.path.checks == {7: (peer.ufrag, peer.password)}


def test_checks_of_a_pair_that_is_not_nominated_are_not_left_to_the_path() -> None:
    """What it answers is not told, and the first nomination moves media."""
    desk = Desk()
    peer = desk.open()
    peer.transport = 7
    desk.check(peer)
    assert desk.path.checks == {7: ("", "")}
    desk.check(peer, nominate=True)
    assert desk.path.checks == {7: (peer.ufrag, peer.password)}


def test_silence_is_measured_from_the_last_authentic_sign() -> None:
    desk = Desk()
    peer = desk.open()
    desk.endpoint.expire(desk.now_us + 20 * SECOND, 20 * SECOND)
    assert peer.state == "new"
    desk.now_us += 15 * SECOND
    desk.check(peer)
    desk.check(peer, AWAY, password="x" * 24)
    desk.endpoint.expire(desk.now_us + 20 * SECOND, 20 * SECOND)
    assert not desk.owner.lost
    desk.endpoint.expire(desk.now_us + 20 * SECOND + 1, 20 * SECOND)
    assert desk.owner.lost == [Loss.UNREACHABLE]
    assert not any(desk.endpoint.leftovers().values())


def test_closing_leaves_nothing_and_tells_nobody() -> None:
    desk = Desk()
    peer = desk.open()
    peer.renew_credentials()
    desk.check(peer)
    desk.check(peer, AWAY)
    peer.close()
    peer.close()
    peer.lose("late")
    assert not any(desk.endpoint.leftovers().values())
    assert not desk.owner.lost
    assert desk.check(peer) is None


def test_a_successor_answers_to_the_same_credentials() -> None:
    desk = Desk()
    former, successor = desk.open(), desk.open()
    ufrag, password = former.ufrag, former.password
    former.close()
    successor.adopt_credentials(former)
    assert desk.check(successor, ufrag=ufrag, password=password)
    assert successor.selected == HOME
    assert desk.endpoint.leftovers()["credentials"] == 1


def test_dtls_goes_by_address_and_its_queue_is_bounded() -> None:
    desk = Desk()
    peer = desk.open()
    hello = Datagram(bytes([22]) + bytes(50), HOME)
    desk.endpoint.dispatch(Inbound(dtls=[hello]), desk.now_us)
    assert desk.endpoint.counters["dtls_unknown_address"] == 1
    desk.check(peer)
    desk.endpoint.dispatch(Inbound(dtls=[hello] * 100), desk.now_us)
    assert desk.endpoint.counters["dtls_queue_full"] == 100 - 32


def test_a_source_without_a_port_is_nobody() -> None:
    desk = Desk()
    peer = desk.open()
    assert desk.check(peer, ("192.0.2.10", 0)) is None


def test_an_address_that_was_never_proven_is_kept_only_while_it_is_heard_from() -> None:
    """Else a participant could hold others' addresses by one forged check each, and live on its own."""
    desk = Desk()
    victim, attacker = desk.open(), desk.open()
    desk.check(attacker, HOME, nominate=True)
    desk.now_us += CLAIM_AFTER_US
    desk.check(attacker, AWAY)
    assert desk.check(victim, HOME)
    assert victim.selected == HOME


def test_an_address_that_was_proven_is_kept_while_its_client_lives() -> None:
    desk = Desk()
    victim, attacker = desk.open(), desk.open()
    desk.check(victim, HOME, nominate=True)
    victim.pairs.prove(HOME, desk.now_us)
    desk.now_us += CLAIM_AFTER_US
    desk.check(victim, AWAY)
    assert desk.check(attacker, HOME) is None
