"""JSON in which one name stands twice in an object. Readers differ about which one counts (RFC 8259 section 4), so
what a proxy let pass might not be what is done: it is refused."""

from __future__ import annotations

import json


def repeated(raw: bytes | str) -> str | None:
    """A name that an object has twice, escapes resolved; None when there is none.

    Raises ValueError for what is not JSON in UTF-8, RecursionError for what is nested too deeply.
    """
    found: list[str] = []

    def look(pairs: list[tuple[str, object]]) -> None:
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                found.append(name)
                return
            seen.add(name)

    json.loads(raw, object_pairs_hook=look, parse_int=_ignored, parse_float=_ignored)
    return found[0] if found else None


def _ignored(number: str) -> None:
    """Numbers of thousands of digits are not worth reading here."""
