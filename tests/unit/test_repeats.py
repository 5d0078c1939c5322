from __future__ import annotations

import json
import time

import pytest

from conference.api.repeats import repeated


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("{}", None),
        ('[1, "a", null]', None),
        ('{"a": 1, "A": 1}', None),
        ('{"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]}', None),
        ('{"a": 1, "a": 1}', "a"),
        ('{"a": 1, "\\u0061": 2}', "a"),
        ('{"x": [{"b": 1, "c": 2, "b": 3}]}', "b"),
        ('{"": 1, "": 2}', ""),
        ('{"a": ' + "9" * 9000 + "}", None),
    ],
)
def test_a_name_that_stands_twice_in_one_object(raw: str, name: str | None) -> None:
    assert repeated(raw) == name
    assert repeated(raw.encode()) == name


@pytest.mark.parametrize(
    "raw",
    [
        json.dumps({f"n{number}": 1 for number in range(60_000)})[:-1] + ', "n1": 2}',
        "{" + ",".join(['"a": 1'] * 100_000) + "}",
        "[" + ",".join(['{"a": 1, "a": 2}'] * 50_000) + "]",
    ],
)
def test_it_costs_what_reading_costs(raw: str) -> None:
    """In CPU time, of bodies of about a megabyte: no name is compared with each other one."""
    begun = time.process_time()
    assert repeated(raw)
    assert time.process_time() - begun < 0.5
