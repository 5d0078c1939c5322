"""SIP URIs of people and meetings, there and back."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conference.ucwa import sip

ID = UUID(int=7)


class Person(msgspec.Struct, frozen=True):
    id: UUID = ID
    email: str = ""


def test_people() -> None:
    assert (
        sip.uri_of(Person(email="Alice@Example.com"), "parley.example") == "sip:alice@example.com"
    )
    assert sip.uri_of(Person(), "parley.example") == f"sip:{ID}@parley.example"
    assert sip.user_id(f"{ID}@parley.example", "Parley.example") == ID
    assert sip.user_id(f"{ID}@example.com", "parley.example") is None
    assert sip.user_id("alice@parley.example", "parley.example") is None


@pytest.mark.parametrize(
    "email", ["bob", "b ob@x", "b;ob@x", "b?ob@x", "a@b@c", "<b@x>", "sip:b@x", "b@", "\x00@x"]
)
def test_an_email_that_is_no_address_is_as_none(email: str) -> None:
    assert sip.uri_of(Person(email=email), "parley.example") == f"sip:{ID}@parley.example"


@given(st.text(max_size=30))
def test_every_uri_of_a_person_is_read_back(email: str) -> None:
    person = Person(email=email)
    uri = sip.uri_of(person, "parley.example")
    assert sip.address(uri) == sip.address_of(person, "parley.example")
    focus = sip.focus_uri(uri, "AB12CD34")
    assert sip.parse_focus(focus) == (sip.address(uri), "AB12CD34")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sip:alice@example.com", "alice@example.com"),
        ("SIP:Alice@Example.Com", "alice@example.com"),
        (" alice@example.com ", "alice@example.com"),
        ("sip:alice@example.com;transport=tls", "alice@example.com"),
        ("sip:alice@example.com?subject=x", "alice@example.com"),
        ("<sip:alice@example.com>", "alice@example.com"),
        ("<sip:alice@example.com;transport=tls>", "alice@example.com"),
        ("sip:alice@example.com:5061", "alice@example.com:5061"),
        ("sip:o'brien+x@example.com", "o'brien+x@example.com"),
    ],
)
def test_addresses(uri: str, expected: str) -> None:
    assert sip.address(uri) == expected


NO_ADDRESSES = ["", "sip:", "alice", "sip:@example.com", "sip:alice@", "a b@c", "a@b@c", "a\x00@b"]
NO_ADDRESSES += ["mailto:a@b", "tel:+1@b", "<a@b", '"a"@b', "a,b@c", "<<a@b>>"]


@pytest.mark.parametrize("uri", NO_ADDRESSES)
def test_no_addresses(uri: str) -> None:
    with pytest.raises(ValueError, match="is not a SIP URI"):
        sip.address(uri)


def test_meetings() -> None:
    focus = sip.focus_uri("sip:alice@example.com", "AB12CD34")
    assert focus == "sip:alice@example.com;gruu;opaque=app:conf:focus:id:AB12CD34"
    legacy = sip.legacy_uri(focus, ID)
    assert legacy == f"conf:{focus}?conversation-id={ID.hex}"


@given(
    st.from_regex(r"[a-z0-9.]{1,20}@[a-z0-9.]{1,20}", fullmatch=True),
    st.from_regex(r"[A-Z0-9]{8}", fullmatch=True),
    st.booleans(),
    st.booleans(),
)
def test_both_forms_lead_to_the_meeting(
    organizer: str, key: str, legacy: bool, lower: bool
) -> None:
    uri = sip.focus_uri(f"sip:{organizer}", key)
    uri = sip.legacy_uri(uri, ID) if legacy else uri
    assert sip.parse_focus(uri.lower() if lower else uri) == (organizer, key)


@pytest.mark.parametrize(
    "uri", ["", "sip:alice@example.com", "sip:;gruu;opaque=app:conf:focus:id:X", "https://x/join/y"]
)
def test_other_uris_are_no_meetings(uri: str) -> None:
    assert sip.parse_focus(uri) is None


@given(st.text())
def test_any_text_is_looked_at(text: str) -> None:
    sip.parse_focus(text)
