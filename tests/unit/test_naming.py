"""Names of users that commands take: those that make an address which clients can use."""

from __future__ import annotations

from uuid import UUID

import pytest

from conference.commands import CommandError
from conference.commands.naming import named
from conference.ucwa import sip


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "bob;x",
        "bob?x",
        "a/b",
        "b,c",
        "sip:bob",
        "bob@x",
        ".bob",
        "bo..b",
        "bo\nb",
        "bób",
        "b" * 65,
    ],
)
def test_a_name_that_makes_an_odd_address_is_refused(name: str) -> None:
    with pytest.raises(CommandError, match="makes no address"):
        named(name)


@pytest.mark.parametrize(
    "email",
    [
        "bob",
        "bob@",
        "@example.com",
        "bob;gruu@example.com",
        "bob@999",
        "bob@10.0.0.1",
        "a@b@c.d",
        "b b@c.d",
        '"b"@c.d',
    ],
)
def test_an_odd_address_is_refused(email: str) -> None:
    with pytest.raises(CommandError, match="no e-mail address"):
        named("bob", email=email)


@pytest.mark.parametrize("display", ["bo\nb", "b" * 257, "\x1b[1mbob"])
def test_an_odd_displayed_name_is_refused(display: str) -> None:
    with pytest.raises(CommandError, match="displayed name"):
        named("bob", display=display)


@pytest.mark.parametrize(
    ("name", "email", "address"),
    [
        ("bob", None, "bob@example.com"),
        ("Bob Smith", None, "bob.smith@example.com"),
        ("bob", "Bob.O'Neil+x@mail-1.example.com", "bob.o'neil+x@mail-1.example.com"),
        ("bób", "bob@example.com", "bob@example.com"),
    ],
)
def test_what_is_taken_is_the_address_of_a_sip_uri_too(
    name: str, email: str | None, address: str
) -> None:
    user = named(name, email=email)
    assert sip.address(sip.uri_of(user, "parley.example")) == address


def test_an_id_is_taken_as_the_user() -> None:
    text = "0f2d7dfe-6b3a-4a6a-9f8b-0d7e5c1b2a3d"
    assert named(text).id == UUID(text)
