"""Names that stand twice in an object of JSON: found wherever they are, in time that grows with the text alone."""

from __future__ import annotations

import time

import pytest

from conference.api.repeats import repeated


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"{}", None),
        (b'{"a": 1, "b": {"a": 1}}', None),
        (b'[{"a": 1}, {"a": 1}]', None),
        (b'{"a": 1, "A": 1}', None),
        (b'{"a": 1, "a": 1}', "a"),
        (b'{"b": [{"a": 1, "c": 2, "a": 1}]}', "a"),
        (rb'{"a": 1, "\u0061": 1}', "a"),
        (b'{"n": 1' + b"0" * 5000 + b', "n": 2}', "n"),
    ],
)
def test_which_name_stands_twice(raw: bytes, name: str | None) -> None:
    assert repeated(raw) == name


def test_the_worst_that_a_body_may_hold_takes_no_minutes() -> None:
    """One name twice among as many as a mebibyte has: to count each among all would take minutes."""
    names = b",".join(b'"a%d":0' % number for number in range(95_000))
    raw = b"{%s,%s}" % (names, b'"a5":0')
    assert len(raw) < 1 << 20
    begun = time.process_time()
    assert repeated(raw) == "a5"
    assert time.process_time() - begun < 2
