"""How long who guesses has to wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from conference.ucwa.applications.sign_in_rules import (
    CROWD,
    crowd,
    crowd_waits_until,
    place,
    wait_until,
)

THEN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("tries", "seconds"), [(0, 0), (4, 0), (5, 1), (6, 2), (10, 32), (11, 60), (10**6, 60)]
)
def test_one_place_waits_ever_longer(tries: int, seconds: int) -> None:
    assert wait_until(tries, THEN) == THEN + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("tries", "after", "left"), [(0, 0, 0), (3, 29, 3), (3, 30, 2), (3, 3600, 0), (3, -60, 3)]
)
def test_tries_from_everywhere_are_forgotten_one_by_one(tries: int, after: int, left: int) -> None:
    assert crowd(tries, THEN, THEN + timedelta(seconds=after)) == left


@pytest.mark.parametrize(("tries", "seconds"), [(0, 0), (CROWD - 1, 0), (CROWD, 30)])
def test_all_places_wait_for_many(tries: int, seconds: int) -> None:
    assert crowd_waits_until(tries, THEN) == THEN + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("/run/socket", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_places(address: str | None, found: str) -> None:
    assert place(address) == found
