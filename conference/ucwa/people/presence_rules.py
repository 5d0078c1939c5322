"""What others see of a user: availability and activity, out of what was chosen and what the programs report.

    chosen     active       inactive     away
    (none)     Online       IdleOnline   Away
    in meeting Busy         IdleBusy     IdleBusy      (only where nothing is chosen)
    Online     Online       IdleOnline   Away
    Busy       Busy         IdleBusy     Away
    others     as chosen, active or not
    and Offline without a program that made its user available

A user has several programs; the one that was used last says how active the user is. Times are in seconds.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum

import msgspec


class Preferred(StrEnum):
    """What a user may choose (PreferredAvailability)."""

    ONLINE = "Online"
    BUSY = "Busy"
    DO_NOT_DISTURB = "DoNotDisturb"
    BE_RIGHT_BACK = "BeRightBack"
    AWAY = "Away"
    OFFWORK = "Offwork"


class Availability(StrEnum):
    """What is shown."""

    ONLINE = "Online"
    IDLE_ONLINE = "IdleOnline"
    BUSY = "Busy"
    IDLE_BUSY = "IdleBusy"
    DO_NOT_DISTURB = "DoNotDisturb"
    BE_RIGHT_BACK = "BeRightBack"
    AWAY = "Away"
    OFFLINE = "Offline"


class NoteType(StrEnum):
    """Out-of-office notes come from a calendar server, which there is none of: every note is personal."""

    PERSONAL = "Personal"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A program that made its user available: when it last reported activity, and how long that holds."""

    reported_at: datetime
    inactive_after: float


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """`activity` is in words, or one of the well-known tokens that a program translates itself."""

    availability: Availability
    activity: str


class Idleness(IntEnum):
    ACTIVE = 0
    INACTIVE = 1
    AWAY = 2


OFFLINE = Shown(availability=Availability.OFFLINE, activity="Offline")
IN_A_MEETING = "in-a-meeting"
OFF_WORK = "off-work"

_SHOWN: dict[Preferred, tuple[Availability, Availability, Availability]] = {
    Preferred.ONLINE: (Availability.ONLINE, Availability.IDLE_ONLINE, Availability.AWAY),
    Preferred.BUSY: (Availability.BUSY, Availability.IDLE_BUSY, Availability.AWAY),
    Preferred.DO_NOT_DISTURB: (Availability.DO_NOT_DISTURB,) * 3,
    Preferred.BE_RIGHT_BACK: (Availability.BE_RIGHT_BACK,) * 3,
    Preferred.AWAY: (Availability.AWAY,) * 3,
    Preferred.OFFWORK: (Availability.AWAY,) * 3,
}
# Who sits in a meeting and listens does nothing at the keyboard, and is there all the same.
_IN_A_MEETING = (Availability.BUSY, Availability.IDLE_BUSY, Availability.IDLE_BUSY)

_WORDS = {
    Availability.ONLINE: "Available",
    Availability.IDLE_ONLINE: "Inactive",
    Availability.BUSY: "Busy",
    Availability.IDLE_BUSY: "Busy",
    Availability.DO_NOT_DISTURB: "Do not disturb",
    Availability.BE_RIGHT_BACK: "Be right back",
    Availability.AWAY: "Away",
}


def idleness(source: Source, now: datetime, away_after: float) -> Idleness:
    """`away_after` counts from the moment at which the program is inactive."""
    silent = (now - source.reported_at).total_seconds()
    if silent < source.inactive_after:
        return Idleness.ACTIVE
    if silent < source.inactive_after + away_after:
        return Idleness.INACTIVE
    return Idleness.AWAY


def shown(
    preferred: Preferred | None,
    sources: Collection[Source],
    now: datetime,
    *,
    away_after: float,
    in_meeting: bool,
) -> Shown:
    """See the table above."""
    if not sources:
        return OFFLINE
    idle = min(idleness(source, now, away_after) for source in sources)
    if preferred is None and in_meeting:
        return Shown(availability=_IN_A_MEETING[idle], activity=IN_A_MEETING)
    availability = _SHOWN[preferred or Preferred.ONLINE][idle]
    activity = OFF_WORK if preferred is Preferred.OFFWORK else _WORDS[availability]
    return Shown(availability=availability, activity=activity)


def changes_at(sources: Collection[Source], now: datetime, *, away_after: float) -> datetime | None:
    """When the passing of time alone may change what is shown next; None: never."""
    moments = [
        moment for source in sources for moment in _moments(source, away_after) if moment > now
    ]
    return min(moments, default=None)


def last_active(sources: Collection[Source]) -> datetime | None:
    return max((source.reported_at for source in sources), default=None)


def signed_in_as(chosen: Preferred | None) -> Preferred | None:
    """Signing in as Online leaves the rest to the rules: being in a meeting then shows."""
    return None if chosen is Preferred.ONLINE else chosen


def _moments(source: Source, away_after: float) -> tuple[datetime, datetime]:
    inactive = source.reported_at + timedelta(seconds=source.inactive_after)
    return inactive, inactive + timedelta(seconds=away_after)
