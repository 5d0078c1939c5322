"""Extended numbers, and the map from a source's numbers to a viewer's."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.wire.sequence import MAX_SEGMENTS, SequenceMap, extend


@pytest.mark.parametrize(
    ("sequence", "highest", "extended"),
    [
        (5, 0x10004, 0x10005),
        (4, 0x10004, 0x10004),
        (0, 0x1FFFF, 0x20000),
        (0xFFFF, 0x20000, 0x1FFFF),
        (0xFFFE, 0x10001, 0x0FFFE),
        (0x7FFF, 0x10000, 0x17FFF),
        (0x8000, 0x10000, 0x08000),
    ],
)
def test_extend_takes_the_nearest_number(sequence: int, highest: int, extended: int) -> None:
    assert extend(sequence, highest) == extended


def forwarded(numbers: SequenceMap, sequence: int) -> int | None:
    """What a leg does with a packet that it forwards."""
    if sequence <= numbers.highest:
        return numbers.late(sequence)
    out = sequence + numbers.offset
    numbers.highest = sequence
    return out


def test_real_loss_keeps_its_gap() -> None:
    numbers = SequenceMap(1)
    numbers.begin(1, 100)
    assert [forwarded(numbers, s) for s in (100, 101, 104)] == [1, 2, 5]
    assert forwarded(numbers, 102) == 3


def test_drops_on_purpose_close_their_gap() -> None:
    numbers = SequenceMap(1)
    numbers.begin(1, 100)
    forwarded(numbers, 100)
    for dropped in (101, 102, 104):
        numbers.drop(dropped)
    assert forwarded(numbers, 105) == 3
    assert forwarded(numbers, 103) == 2  # late, between the two drops
    assert forwarded(numbers, 102) is None  # was dropped: has no number


def test_a_late_drop_has_its_number_already() -> None:
    numbers = SequenceMap(1)
    numbers.begin(1, 100)
    forwarded(numbers, 100)
    forwarded(numbers, 102)
    numbers.drop(101)
    assert forwarded(numbers, 103) == 4


def test_a_switch_goes_on_without_a_gap_and_forgets_the_late() -> None:
    numbers = SequenceMap(1)
    numbers.begin(1, 100)
    forwarded(numbers, 100)
    forwarded(numbers, 102)
    numbers.begin(2, 7000)
    assert forwarded(numbers, 7000) == 4
    assert forwarded(numbers, 6999) is None
    assert numbers.source_of(3) == (1, 102, 3)
    assert numbers.source_of(4) == (2, 7000, 4)


def test_another_sources_numbers_are_not_this_ones() -> None:
    numbers = SequenceMap(1)
    numbers.begin(1, 100)
    for sequence in (100, 101, 102):
        forwarded(numbers, sequence)
    numbers.begin(2, 103)
    forwarded(numbers, 103)
    assert forwarded(numbers, 101) is None


def test_ended_it_still_answers_for_what_was_sent() -> None:
    numbers = SequenceMap(1)
    numbers.begin(1, 100)
    forwarded(numbers, 100)
    numbers.end()
    assert numbers.late(100) is None
    assert numbers.source_of(1) == (1, 100, 1)
    assert numbers.source_of(2) is None
    numbers.begin(2, 50)
    assert forwarded(numbers, 50) == 2


def test_the_viewers_numbers_wrap() -> None:
    numbers = SequenceMap(0xFFFE)
    numbers.begin(1, 100)
    assert [forwarded(numbers, 100 + i) for i in range(4)] == [0xFFFE, 0xFFFF, 0x10000, 0x10001]
    assert numbers.source_of(0xFFFF) == (1, 101, 0xFFFF)
    assert numbers.source_of(0) == (1, 102, 0x10000)


Step = tuple[Literal["send", "drop", "late", "begin", "end"], int]


class Model:
    """The same by brute force: every number that was ever promised, written down."""

    def __init__(self, first: int) -> None:
        self.next = first
        self.era = 0
        self.highest: int | None = None
        self.promised: dict[tuple[int, int], int] = {}

    def arrive(self, sequence: int, *, drop: bool) -> int | None:
        if self.highest is None:
            return None
        if sequence <= self.highest:
            return None if drop else self.promised.get((self.era, sequence))
        for missed in range(self.highest + 1, sequence):
            self._promise(missed)
        self.highest = sequence
        return None if drop else self._promise(sequence)

    def _promise(self, sequence: int) -> int:
        self.promised[self.era, sequence] = self.next
        self.next += 1
        return self.next - 1

    def begin(self, era: int, first: int) -> None:
        self.era, self.highest = era, first - 1


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["send", "send", "send", "drop", "late", "begin", "end"]),
            st.integers(0, 6),
        ),
        max_size=MAX_SEGMENTS,
    )
)
def test_the_map_agrees_with_brute_force(steps: list[Step]) -> None:
    numbers, model = SequenceMap(0xFFF0), Model(0xFFF0)
    position, era = 0x10000, 1
    numbers.begin(era, position)
    model.begin(era, position)
    for what, by in steps:
        if what == "begin":
            era, position = era + 1, position + 1000
            numbers.begin(era, position)
            model.begin(era, position)
        elif what == "end":
            numbers.end()
            model.highest = None
        elif model.highest is None:
            continue
        elif what == "late":
            assert forwarded(numbers, model.highest - by) == model.arrive(
                model.highest - by, drop=False
            )
        elif what == "drop":
            numbers.drop(model.highest + 1 + by)
            model.arrive(model.highest + 1 + by, drop=True)
        else:
            sequence = model.highest + 1 + by
            assert forwarded(numbers, sequence) == model.arrive(sequence, drop=False)
        assert numbers.next_out == model.next
    assert numbers.source_of(numbers.next_out & 0xFFFF) is None
    for (when, source), out in model.promised.items():
        assert numbers.source_of(out & 0xFFFF) == (when, source, out)
