"""How passwords are kept, and how long guessing takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from conference import passwords
from conference.ucwa.applications.sign_in_rules import FREE_TRIES, LONGEST_WAIT, wait_until

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_a_password_matches_itself_alone() -> None:
    kept = passwords.hashed("correct horse ß")
    assert passwords.matches("correct horse ß", kept)
    assert not passwords.matches("correct horse", kept)
    assert not passwords.matches("", kept)
    assert passwords.hashed("correct horse ß") != kept, "each has a salt of its own"
    assert "horse" not in kept


@pytest.mark.parametrize(
    "kept",
    [None, "", "scrypt$15$AAAA", "plain$15$AAAA$AAAA", "scrypt$x$AAAA$AAAA", "scrypt$15$A$A"],
)
def test_what_is_not_kept_by_us_matches_nothing(kept: str | None) -> None:
    assert not passwords.matches("", kept)


def test_the_cost_is_part_of_the_hash() -> None:
    kept = passwords.hashed("secret")
    assert kept.startswith("scrypt$15$")
    assert not passwords.matches("secret", kept.replace("$15$", "$14$"))


@pytest.mark.parametrize(
    ("tries", "wait"),
    [(0, 0), (FREE_TRIES - 1, 0), (FREE_TRIES, 1), (FREE_TRIES + 1, 2), (FREE_TRIES + 3, 8)],
)
def test_each_vain_try_doubles_the_wait(tries: int, wait: int) -> None:
    assert wait_until(tries, NOW) == NOW + timedelta(seconds=wait)


def test_nobody_is_kept_out_for_long() -> None:
    assert wait_until(10**9, NOW) == NOW + LONGEST_WAIT
