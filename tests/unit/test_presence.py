"""What is shown of a user, out of what was chosen and what the programs report."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conference.ucwa.people import presence_rules as presence
from conference.ucwa.people.presence_rules import OFFLINE, Availability, Idleness, Preferred, Source

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
INACTIVE, AWAY = 300.0, 200.0


def ago(seconds: float, inactive_after: float = INACTIVE) -> Source:
    return Source(reported_at=NOW - timedelta(seconds=seconds), inactive_after=inactive_after)


def shown(
    preferred: Preferred | None, *sources: Source, in_meeting: bool = False
) -> tuple[str, str]:
    found = presence.shown(preferred, sources, NOW, away_after=AWAY, in_meeting=in_meeting)
    return found.availability.value, found.activity


@pytest.mark.parametrize(
    ("silent", "expected"),
    [
        (0, Idleness.ACTIVE),
        (299.9, Idleness.ACTIVE),
        (300, Idleness.INACTIVE),
        (499.9, Idleness.INACTIVE),
        (500, Idleness.AWAY),
        (1e6, Idleness.AWAY),
    ],
)
def test_silence_makes_idle(silent: float, expected: Idleness) -> None:
    assert presence.idleness(ago(silent), NOW, AWAY) is expected


@pytest.mark.parametrize(
    ("preferred", "active", "inactive", "away"),
    [
        (None, "Online", "IdleOnline", "Away"),
        (Preferred.ONLINE, "Online", "IdleOnline", "Away"),
        (Preferred.BUSY, "Busy", "IdleBusy", "Away"),
        (Preferred.DO_NOT_DISTURB, "DoNotDisturb", "DoNotDisturb", "DoNotDisturb"),
        (Preferred.BE_RIGHT_BACK, "BeRightBack", "BeRightBack", "BeRightBack"),
        (Preferred.AWAY, "Away", "Away", "Away"),
        (Preferred.OFFWORK, "Away", "Away", "Away"),
    ],
)
def test_table(preferred: Preferred | None, active: str, inactive: str, away: str) -> None:
    found = [shown(preferred, ago(seconds))[0] for seconds in (0, 300, 500)]
    assert found == [active, inactive, away]


def test_a_meeting_shows_unless_something_was_chosen() -> None:
    assert shown(None, ago(0), in_meeting=True) == ("Busy", "in-a-meeting")
    assert shown(None, ago(500), in_meeting=True) == ("IdleBusy", "in-a-meeting")
    assert shown(Preferred.ONLINE, ago(0), in_meeting=True) == ("Online", "Available")
    assert shown(Preferred.AWAY, ago(0), in_meeting=True) == ("Away", "Away")


def test_off_work_is_away_with_a_word_for_it() -> None:
    assert shown(Preferred.OFFWORK, ago(0)) == ("Away", "off-work")


def test_without_a_program_there_is_nobody() -> None:
    for preferred in (None, *Preferred):
        found = presence.shown(preferred, [], NOW, away_after=AWAY, in_meeting=True)
        assert found == OFFLINE


def test_the_program_used_last_counts() -> None:
    assert shown(None, ago(500), ago(300), ago(10)) == ("Online", "Available")
    assert shown(None, ago(500), ago(300)) == ("IdleOnline", "Inactive")
    patient = ago(400, inactive_after=600)
    assert shown(None, ago(300), patient) == ("Online", "Available"), "each has its own time"


def test_signing_in_as_online_chooses_nothing() -> None:
    assert presence.signed_in_as(Preferred.ONLINE) is None
    assert presence.signed_in_as(Preferred.BUSY) is Preferred.BUSY


def test_last_active() -> None:
    assert presence.last_active([]) is None
    assert presence.last_active([ago(30), ago(10), ago(20)]) == NOW - timedelta(seconds=10)


some_sources = st.lists(
    st.builds(ago, st.floats(0, 2000), st.sampled_from([60.0, 300.0, 900.0])), max_size=4
)


@given(st.one_of(st.none(), st.sampled_from(Preferred)), some_sources, st.booleans())
def test_nothing_changes_before_it_is_said_to(
    preferred: Preferred | None, sources: list[Source], in_meeting: bool
) -> None:
    def at(moment: datetime) -> presence.Shown:
        return presence.shown(preferred, sources, moment, away_after=AWAY, in_meeting=in_meeting)

    due = presence.changes_at(sources, NOW, away_after=AWAY)
    later = NOW + timedelta(days=1) if due is None else due - timedelta(microseconds=1)
    assert at(later) == at(NOW)
    assert due is None or due > NOW


@given(some_sources.filter(bool), st.sampled_from([Preferred.ONLINE, Preferred.BUSY]))
def test_another_program_never_makes_less_available(
    sources: list[Source], preferred: Preferred
) -> None:
    order = [
        Availability.ONLINE,
        Availability.BUSY,
        Availability.IDLE_ONLINE,
        Availability.IDLE_BUSY,
        Availability.AWAY,
    ]
    with_all = order.index(Availability(shown(preferred, *sources)[0]))
    assert with_all <= order.index(Availability(shown(preferred, sources[0])[0]))
