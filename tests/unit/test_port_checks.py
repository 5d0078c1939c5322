"""Consent checks, which the path answers itself where they change nothing."""

from __future__ import annotations

import itertools
import random
import socket
from collections.abc import Callable

import pytest
from aioice import stun as aioice_stun
from path_rig import Remote, Rig, rtp

from sfu.wire import stun

UFRAG, PASSWORD = "ab12cd34", "0123456789abcdef01234567"
Attributes = dict[str, object]


def check(
    attributes: Attributes | None = None,
    *,
    username: str = f"{UFRAG}:theirs",
    password: str = PASSWORD,
    transaction: bytes = b"transaction!",
) -> bytes:
    message = aioice_stun.Message(
        aioice_stun.Method.BINDING, aioice_stun.Class.REQUEST, transaction_id=transaction
    )
    message.attributes["USERNAME"] = username
    message.attributes["PRIORITY"] = 7
    message.attributes |= {"ICE-CONTROLLING": 5} if attributes is None else attributes
    message.add_message_integrity(password.encode())
    data: bytes = bytes(message)
    return data


@pytest.fixture
def remote(rig: Rig) -> Remote:
    remote = rig.remote()
    rig.path.answer_checks(remote.transport, UFRAG, PASSWORD)
    return remote


@pytest.mark.parametrize(
    "attributes",
    [
        {"ICE-CONTROLLING": 5},
        {"ICE-CONTROLLING": 5, "USE-CANDIDATE": None},
        {"SOFTWARE": "a client", "ICE-CONTROLLING": 5},
        {"ERROR-CODE": (400, "no error"), "ICE-CONTROLLING": 5},
        {},
    ],
)
def test_a_check_is_answered_and_nobody_told(
    rig: Rig, remote: Remote, attributes: Attributes
) -> None:
    data = check(attributes)
    remote.send_raw(data)
    assert rig.drain(7).stun == []
    assert remote.receive_raw() == [stun.success(stun.parse(data), remote.address, PASSWORD)]
    assert rig.count("in_stun") == 1
    assert rig.path.last_received_us(remote.transport) == rig.now_us


def test_what_aioice_reads_of_the_answer(rig: Rig, remote: Remote) -> None:
    remote.send_raw(check())
    rig.drain()
    (data,) = remote.receive_raw()
    answer = aioice_stun.parse_message(data)
    assert answer.message_class is aioice_stun.Class.RESPONSE
    assert answer.transaction_id == b"transaction!"
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == remote.address


@pytest.mark.parametrize("host", ["::1", "127.0.0.1"])
def test_also_on_a_socket_of_both_families(
    path_factory: Callable[[socket.socket], object], host: str
) -> None:
    rig = Rig(path_factory, "::")  # type: ignore[arg-type]
    remote = rig.remote(host)
    rig.path.answer_checks(remote.transport, UFRAG, PASSWORD)
    data = check()
    remote.send_raw(data)
    assert rig.drain().stun == []
    assert remote.receive_raw() == [stun.success(stun.parse(data), remote.address, PASSWORD)]
    rig.close()


def test_what_is_known_of_where_it_came_from(rig: Rig, remote: Remote) -> None:
    other = Remote(rig.path, rig.port, number=9)
    rig.path.close_transport(other.transport)
    assert rig.path.heard_from_us(remote.transport, remote.address) == 0
    remote.send_raw(check())
    rig.drain()
    first = rig.now_us
    assert rig.path.heard_from_us(remote.transport, remote.address) == first
    assert rig.path.heard_from_us(remote.transport, other.address) == 0
    rig.path.accept(remote.transport, other.address)
    rig.path.accept(remote.transport, remote.address)
    assert rig.path.heard_from_us(remote.transport, remote.address) == first, "still its own"
    other.send_raw(remote.protects.protect(rtp(1, 2, 3)))
    rig.drain(9)
    assert rig.path.heard_from_us(remote.transport, other.address) == rig.now_us > first
    assert rig.path.last_received_us(remote.transport) == rig.now_us
    assert rig.path.heard_from_us(remote.transport, remote.address) == first
    remote.send(rtp(2, 3, 3))
    other.send_raw(bytes([128]) + bytes(40))
    rig.drain(9)
    assert rig.path.heard_from_us(remote.transport, other.address) < rig.now_us, "not authentic"
    rig.path.forget(other.address)
    assert rig.path.heard_from_us(remote.transport, other.address) == 0
    other.close()


def test_a_check_that_comes_again_is_answered_and_is_no_sign_of_life(
    rig: Rig, remote: Remote
) -> None:
    """Whoever has seen one can send it again; a client that got no answer does, too (RFC 8489 section 6.2.1)."""
    remote.send_raw(check(transaction=b"the first 12"))
    rig.drain(7)
    heard = rig.path.last_received_us(remote.transport)
    assert rig.path.answered(remote.transport, b"the first 12")
    assert not rig.path.answered(remote.transport, b"the other 12")
    remote.send_raw(check(transaction=b"the first 12"))
    assert rig.drain(7).stun == []
    assert len(remote.receive_raw()) == 2
    assert rig.path.last_received_us(remote.transport) == heard < rig.now_us
    for number in range(40):
        remote.send_raw(check(transaction=number.to_bytes(12, "big")))
    rig.drain(7)
    assert not rig.path.answered(remote.transport, b"the first 12"), "forgotten: memory is bounded"
    assert not rig.path.answered(remote.transport, (7).to_bytes(12, "big"))
    assert all(rig.path.answered(remote.transport, n.to_bytes(12, "big")) for n in range(8, 40))


def changed(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    "data",
    [
        check(password="1" * 24),
        check(username="ab12cd35:theirs"),
        check(username="ab12cd3:theirs"),
        check(username=UFRAG),
        check({"ICE-CONTROLLED": 5}),
        check({"REQUESTED-TRANSPORT": 5}),
        check({"XOR-PEER-ADDRESS": ("192.0.2.1", 5)}),
        changed(check(), 30),
        changed(check(), -1),
        check()[:-4],
        check() + bytes(4),
        stun.success(stun.parse(check()), ("127.0.0.1", 5), PASSWORD),
        b"\0\1" + bytes(18),
    ],
    ids=itertools.count(),
)
def test_everything_else_is_told(rig: Rig, remote: Remote, data: bytes) -> None:
    remote.send_raw(data)
    (told,) = rig.drain(7).stun
    assert (told.data, told.address) == (data, remote.address)
    assert remote.receive_raw() == []
    assert rig.path.last_received_us(remote.transport) == 0


def test_so_are_checks_from_another_address(rig: Rig, remote: Remote) -> None:
    other = Remote(rig.path, rig.port, number=9)
    rig.path.close_transport(other.transport)
    rig.path.accept(remote.transport, other.address)
    other.send_raw(check())
    assert [item.address for item in rig.drain().stun] == [other.address]
    rig.path.select(remote.transport, other.address)
    other.send_raw(check())
    remote.send_raw(check())
    assert [item.address for item in rig.drain().stun] == [remote.address]
    assert len(other.receive_raw()) == 1
    other.close()


def test_so_is_everything_without_credentials_or_with_others(rig: Rig, remote: Remote) -> None:
    rig.path.answer_checks(remote.transport, "", "")
    remote.send_raw(check())
    assert len(rig.drain().stun) == 1
    rig.path.answer_checks(remote.transport, "other", PASSWORD)
    remote.send_raw(check())
    remote.send_raw(check(username="other:x"))
    assert len(rig.drain().stun) == 1
    assert len(remote.receive_raw()) == 1
    with pytest.raises(KeyError):
        rig.path.answer_checks(99, UFRAG, PASSWORD)


@pytest.mark.parametrize("length", range(0, 130, 3))
def test_signatures_of_any_length(rig: Rig, remote: Remote, length: int) -> None:
    """SHA-1 fills up to blocks of 64 bytes, of which these go over several ends."""
    data = check({"SOFTWARE": "x" * length})
    remote.send_raw(data)
    assert rig.drain().stun == []
    assert remote.receive_raw() == [stun.success(stun.parse(data), remote.address, PASSWORD)]


def test_whatever_is_answered_python_would_have_answered(rig: Rig, remote: Remote) -> None:
    chance = random.Random(1)
    answered = 0
    for _ in range(2000):
        data = bytearray(check(chance.choice([{}, {"USE-CANDIDATE": None}, {"SOFTWARE": "abc"}])))
        for _ in range(chance.randrange(3)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        remote.send_raw(bytes(data))
        told = rig.drain().stun
        answers = remote.receive_raw()
        assert len(told) + len(answers) <= 1
        if answers:
            answered += 1
            parsed = stun.parse(bytes(data))
            assert stun.authentic(parsed, PASSWORD)
            assert answers == [stun.success(parsed, remote.address, PASSWORD)]
    assert 500 < answered < 1500
