from __future__ import annotations

import os
import struct
from contextlib import suppress

import msgspec
import pytest
from aioice import stun as aioice_stun
from hypothesis import example, given
from hypothesis import strategies as st
from stun_writer import Attribute, signed_check

from sfu.wire import stun

PASSWORD = "correct-horse-battery-st"
SOURCE = ("192.0.2.7", 40000)


def request(
    *,
    username: str = "ours:theirs",
    password: str = PASSWORD,
    method: aioice_stun.Method = aioice_stun.Method.BINDING,
    message_class: aioice_stun.Class = aioice_stun.Class.REQUEST,
    **attributes: object,
) -> bytes:
    message = aioice_stun.Message(method, message_class)
    message.attributes["USERNAME"] = username
    message.attributes["PRIORITY"] = 1853824767
    for name, value in attributes.items():
        message.attributes[name.replace("_", "-")] = value
    message.add_message_integrity(password.encode())
    return bytes(message)


def signed(*attributes: Attribute, behind: tuple[Attribute, ...] = ()) -> bytes:
    return signed_check("ours:theirs", PASSWORD, attributes=attributes, behind=behind)


def test_a_check() -> None:
    check = stun.parse(request(ICE_CONTROLLING=7))
    assert check.local_ufrag == "ours"
    assert not check.nominated
    assert not check.claims_controlled
    assert stun.authentic(check, PASSWORD)
    assert not stun.authentic(check, PASSWORD + "x")


def test_a_nomination() -> None:
    assert stun.parse(request(ICE_CONTROLLING=7, USE_CANDIDATE=None)).nominated


def test_the_answer_tells_the_source_and_is_signed() -> None:
    check = stun.parse(request())
    for source in (SOURCE, ("2001:db8::1", 5)):
        answer = aioice_stun.parse_message(stun.success(check, source, PASSWORD))
        assert answer.message_class == aioice_stun.Class.RESPONSE
        assert answer.transaction_id == check.transaction
        assert answer.attributes["XOR-MAPPED-ADDRESS"] == source
        assert answer.check_message_integrity(PASSWORD.encode())
        assert "FINGERPRINT" in answer.attributes


@given(
    st.one_of(
        st.ip_addresses(v=4).map(str),
        st.ip_addresses(v=6).map(str),
    ),
    st.integers(1, 0xFFFF),
    st.binary(min_size=12, max_size=12),
    st.text("abcdefgh0123456789", min_size=22, max_size=32),
)
def test_answers_are_to_the_byte_what_aioice_would_write(
    host: str, port: int, transaction: bytes, password: str
) -> None:
    check = msgspec.structs.replace(stun.parse(request(password=password)), transaction=transaction)
    expected = aioice_stun.Message(
        aioice_stun.Method.BINDING, aioice_stun.Class.RESPONSE, transaction
    )
    expected.attributes["XOR-MAPPED-ADDRESS"] = (host, port)
    expected.add_message_integrity(password.encode())
    assert stun.success(check, (host, port), password) == bytes(expected)
    conflict = aioice_stun.Message(aioice_stun.Method.BINDING, aioice_stun.Class.ERROR, transaction)
    conflict.attributes["ERROR-CODE"] = (487, "Role Conflict")
    conflict.add_message_integrity(password.encode())
    assert stun.role_conflict(check, password) == bytes(conflict)


def test_a_zone_is_no_part_of_the_address() -> None:
    check = stun.parse(request())
    with_zone = stun.success(check, ("fe80::1%eth0", 5), PASSWORD)
    assert with_zone == stun.success(check, ("fe80::1", 5), PASSWORD)


def test_of_two_names_the_first_counts() -> None:
    """RFC 8489 section 14: of attributes that come twice, only the first."""
    twice = (
        b"".join(struct.pack("!HH", 6, 4) + name for name in (b"aa:b", b"cc:d"))
        + struct.pack("!HH", 8, 20)
        + bytes(20)
    )
    message = HEADER[:2] + struct.pack("!H", len(twice)) + HEADER[4:] + twice
    assert stun.parse(message).local_ufrag == "aa"


def test_a_role_conflict() -> None:
    check = stun.parse(request(ICE_CONTROLLED=7))
    assert check.claims_controlled
    answer = aioice_stun.parse_message(stun.role_conflict(check, PASSWORD))
    assert answer.message_class == aioice_stun.Class.ERROR
    assert answer.error_code == 487
    assert answer.check_message_integrity(PASSWORD.encode())


def test_what_has_to_be_understood_and_is_not_is_named() -> None:
    """RFC 8489 section 14.13; from 0x8000 on nobody has to understand anything."""
    data = signed(
        (0x0002, b"a"), (0x7FFF, b""), (0x8000, b"abc"), (0xC057, bytes(4)), (0x0012, b"")
    )
    check = stun.parse(data)
    assert check.unknown == (0x0002, 0x7FFF, 0x0012)
    assert stun.authentic(check, PASSWORD)
    answer = aioice_stun.parse_message(stun.unknown_attributes(check, PASSWORD))
    assert answer.message_class == aioice_stun.Class.ERROR
    assert answer.error_code == 420
    assert answer.transaction_id == check.transaction
    assert answer.check_message_integrity(PASSWORD.encode())
    raw = stun.unknown_attributes(check, PASSWORD)
    assert bytes.fromhex("000a0006 00027fff00120000") in raw


def test_an_answer_does_not_list_attributes_without_end() -> None:
    check = stun.parse(signed(*((kind, b"") for kind in range(0x4000, 0x4000 + 200))))
    assert len(check.unknown) == 200
    assert len(stun.unknown_attributes(check, PASSWORD)) < 200


@pytest.mark.parametrize("kind", [0x0001, 0x0009, 0x000A, 0x0014, 0x0015, 0x0020])
def test_what_is_known_and_means_nothing_in_a_request_is_passed_over(kind: int) -> None:
    """RFC 8489 section 6.3."""
    assert stun.parse(signed((kind, bytes(8)))).unknown == ()


def test_what_is_unknown_behind_the_signature_does_not_count() -> None:
    assert stun.parse(signed(behind=((0x0002, b"a"), (0x001C, bytes(32))))).unknown == ()


def test_our_check_is_one_that_aioice_understands() -> None:
    data = stun.request("theirs:ours", PASSWORD, b"transaction!", 77)
    message = aioice_stun.parse_message(data)
    assert message.check_message_integrity(PASSWORD.encode())
    assert message.message_method == aioice_stun.Method.BINDING
    assert message.message_class == aioice_stun.Class.REQUEST
    assert message.transaction_id == b"transaction!"
    assert message.attributes["USERNAME"] == "theirs:ours"
    assert message.attributes["ICE-CONTROLLED"] == 77
    assert message.attributes["PRIORITY"] >> 24 == 110


def test_the_answer_to_our_check() -> None:
    asked = stun.parse(stun.request("theirs:ours", PASSWORD, b"transaction!", 7))
    answer = stun.parse_response(stun.success(asked, SOURCE, PASSWORD))
    assert answer.transaction == b"transaction!"
    assert stun.authentic(answer, PASSWORD)
    assert not stun.authentic(answer, "x" * 24)
    assert stun.is_response(stun.success(asked, SOURCE, PASSWORD))
    for other in (request(), stun.role_conflict(asked, PASSWORD), b""):
        with pytest.raises(ValueError, match=r"."):
            stun.parse_response(other)


def test_what_follows_the_signature_does_not_count() -> None:
    """RFC 8489 section 9: attributes behind MESSAGE-INTEGRITY are not authenticated."""
    plain = request()
    message = plain[:-8]  # without FINGERPRINT
    tampered = message + bytes.fromhex("00250000")
    tampered = tampered[:2] + struct.pack("!H", len(tampered) - 20) + tampered[4:]
    assert not stun.parse(tampered).nominated


HEADER = bytes.fromhex("00010000 2112a442") + bytes(12)


def with_attributes(raw: str) -> bytes:
    body = bytes.fromhex(raw)
    return HEADER[:2] + struct.pack("!H", len(body)) + HEADER[4:] + body


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "length"),
        (bytes(19), "length"),
        (bytes(1025), "length"),
        (HEADER[:4] + bytes(16), "cookie"),
        (bytes([0x80]) + HEADER[1:], "not STUN"),
        (HEADER + bytes(4), "does not match"),
        (with_attributes("0024000400000000")[:-1], "does not match"),
        (with_attributes("00060008 61626364"), "truncated"),
        (with_attributes("00240003 00000000"), "wrong size"),
        (with_attributes("80290004 00000000"), "wrong size"),
        (with_attributes("00080004 00000000"), "wrong size"),
        (with_attributes("00250004 00000000"), "wrong size"),
        (with_attributes("0006000461626364"), "MESSAGE-INTEGRITY"),
        (request(username="nocolon"), "USERNAME"),
        (request(method=aioice_stun.Method.ALLOCATE), "Binding"),
        (request(message_class=aioice_stun.Class.RESPONSE), "request"),
        (request(message_class=aioice_stun.Class.INDICATION), "request"),
        (request()[:-4] + bytes(4), "FINGERPRINT"),
    ],
    ids=lambda part: part if isinstance(part, str) else "bytes",  # some are random
)
def test_what_is_no_check(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        stun.parse(data)


# The packet that makes aioice's own parser raise struct.error.
CRASHER = bytes.fromhex("0001000a2112a442") + bytes(12) + bytes.fromhex("00240004000000000025")


@given(st.binary(max_size=200))
@example(CRASHER)
def test_no_bytes_raise_anything_but_value_error(data: bytes) -> None:
    for read in (stun.parse, stun.parse_response):
        with suppress(ValueError):
            read(data)


@given(st.integers(0, 150), st.integers(0, 255), st.integers(0, 40))
def test_no_damaged_check_raises_anything_but_value_error(at: int, value: int, cut: int) -> None:
    data = bytearray(request(ICE_CONTROLLING=7, USE_CANDIDATE=None))
    data[at % len(data)] = value
    try:
        check = stun.parse(bytes(data[: len(data) - cut]))
    except ValueError:
        return
    stun.authentic(check, PASSWORD)


@given(st.binary(max_size=120), st.integers(0, 30))
def test_no_attributes_behind_a_good_header_do(body: bytes, words: int) -> None:
    body = (body + os.urandom(4 * words))[: (len(body) + 4 * words) // 4 * 4]
    try:
        stun.parse(HEADER[:2] + struct.pack("!H", len(body)) + HEADER[4:] + body)
    except ValueError:
        return
