"""What `parley doctor` says of one thing that it looked at."""

from __future__ import annotations

from typing import Literal

import msgspec

Level = Literal["ok", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """`advice` is empty when all is well."""

    check: str
    level: Level
    found: str
    advice: str = ""
