"""The base of every JSON type that leaves or enters Parley."""

from __future__ import annotations

import msgspec


class Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """JSON in camelCase; fields that equal their default (that is: absent ones) are left out.

    Give a default only to fields that may be absent on the wire, so that `false` is still sent.
    """


class StrictWire(Wire, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request body: an unknown property is refused with its name."""
