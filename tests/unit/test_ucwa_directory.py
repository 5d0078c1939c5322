"""Phone numbers as people write them, and pictures of those who gave none."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conference.domain.directory import Phone, PhoneType, Profile, phone_uri, rel_of
from conference.ucwa.people import identicon


@pytest.mark.parametrize(
    ("written", "uri"),
    [
        ("+1 (425) 555-4321", "tel:+14255554321"),
        ("tel:+14255554321", "tel:+14255554321"),
        ("tel:+1425554321;ext=54321", "tel:+1425554321;ext=54321"),
        ("4711", "tel:4711"),
        ("", ""),
        ("   ", ""),
        ("tel:", ""),
    ],
)
def test_numbers(written: str, uri: str) -> None:
    assert phone_uri(written) == uri


@pytest.mark.parametrize(
    "written", ["alice", "+1 425 CALL ME", "tel:+1;<script>", "1" * 40, ";ext=1", "sip:1@x", "+"]
)
def test_what_is_no_number(written: str) -> None:
    assert phone_uri(written) is None


@given(st.text(max_size=60))
def test_a_number_is_read_again_as_itself(written: str) -> None:
    uri = phone_uri(written)
    if uri:
        assert phone_uri(uri) == uri


def test_a_profile_without_a_phone_has_an_empty_one() -> None:
    profile = Profile().with_phone(PhoneType.HOME, Phone(number="tel:1"))
    assert profile.phone(PhoneType.HOME).number == "tel:1"
    assert profile.phone(PhoneType.WORK) == Phone()


def test_groups_by_their_ids() -> None:
    assert [rel_of(each) for each in ("default", "pinned", "12")] == [
        "defaultGroup",
        "pinnedGroup",
        "group",
    ]


@pytest.mark.parametrize("side", [16, 48, 49, 648])
def test_identicon_is_a_png(side: int) -> None:
    content = identicon.png("alice@example.com", side)
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    chunks = dict(_chunks(content))
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (width, height, depth, colour) == (side, side, 8, 3)
    pixels = zlib.decompress(chunks[b"IDAT"])
    assert len(pixels) == side * (side + 1)
    rows = [pixels[y * (side + 1) + 1 : (y + 1) * (side + 1)] for y in range(side)]
    assert {0, 1} == set(b"".join(rows))


def test_identicons_differ_and_stay() -> None:
    alice, bob = (identicon.png(f"{name}@example.com", 48) for name in ("alice", "bob"))
    assert alice != bob
    assert alice == identicon.png("alice@example.com", 48)


def _chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        kind, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack(">I", content[at + 8 + length : at + 12 + length])
        assert checksum == zlib.crc32(kind + data)
        found.append((kind, data))
        at += length + 12
    return found
