"""Dates of UCWA: milliseconds since 1970 in JSON, ISO 8601 in XML; either may come in."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS = re.compile(r"(?:\\?/)Date\((-?[0-9]{1,16})(?:[+-][0-9]{4})?\)(?:\\?/)")
"""The offset that some writers add only says how to show it: the number is UTC already."""
_FRACTION = re.compile(r"(\.[0-9]{6})[0-9]+")
"""XML of .NET has seven digits."""
_LONGEST = 64


def parse(text: str) -> datetime | None:
    """In UTC; without an offset it is taken for UTC. None for what is no date of ours."""
    text = text.strip()
    if len(text) > _LONGEST:
        return None
    milliseconds = _MILLISECONDS.fullmatch(text)
    try:
        if milliseconds:
            return _EPOCH + timedelta(milliseconds=int(milliseconds[1]))
        found = datetime.fromisoformat(_FRACTION.sub(r"\1", text))
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def for_json(moment: datetime) -> str:
    r"""`/Date(1360199838000)/`. Writers of .NET escape the slashes (`\/`), which JSON reads as the same."""
    return f"/Date({(moment - _EPOCH) // timedelta(milliseconds=1)})/"


def for_xml(moment: datetime) -> str:
    """`2016-09-26T16:20:29.0389040Z`, with the seven digits that .NET writes."""
    written = moment.astimezone(UTC).isoformat(timespec="microseconds")
    return written.removesuffix("+00:00") + "0Z"
