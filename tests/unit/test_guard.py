"""What raises in a loop is counted, told ever more rarely, and costs the others nothing."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from sfu.guard import Guard


def test_the_others_get_their_turn() -> None:
    guard, served = Guard(), []
    for name in ("alice", "bob", "carol"):
        with guard.over("turn", user=name):
            if name == "bob":
                raise ZeroDivisionError
            served.append(name)
    assert served == ["alice", "carol"]
    assert guard.counters == {"turn_failed": 1}


def test_it_is_told_whose_turn_it_was_and_not_every_time() -> None:
    guard = Guard()
    with structlog.testing.capture_logs() as told:
        for number in range(100):
            with guard.over("turn", number=number):
                raise ValueError("broken")
    assert [entry["times"] for entry in told] == [1, 2, 4, 8, 16, 32, 64]
    assert told[0]["number"] == 0
    assert isinstance(told[0]["exc_info"], ValueError)
    assert guard.counters["turn_failed"] == 100


def test_what_is_to_end_ends() -> None:
    with pytest.raises(asyncio.CancelledError), Guard().over("turn"):
        raise asyncio.CancelledError
