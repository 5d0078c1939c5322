"""The inputs of a request, from JSON, XML or the query: names in any case, values checked when they are asked for."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from conference.errors import BadRequest
from conference.ucwa.engine import dates

Scalar = str | int | bool | None
Given = Scalar | Sequence[Scalar]
Choice = TypeVar("Choice", bound=StrEnum)

IGNORED_NAMES = frozenset(("rel", "etag", "self", "_links", "_embedded"))
"""No inputs: what a program passes back that changed a representation and sends it whole. In lower case."""

_INTEGER = re.compile(r"-?[0-9]{1,18}(?:\.0+)?")
_FLAGS = {"true": True, "false": False, "1": True, "0": False}
"""XML and queries have only text; pages write True, captures true."""
_ITEMS_MOST = 1000


class Inputs:
    """Each reader gives None for a name that is absent or null, and raises BadRequest (ParameterValidationFailure)
    that names the input when its value will not do."""

    def __init__(
        self, given: Mapping[str, Given] | None = None, unfit: Collection[str] = ()
    ) -> None:
        """`unfit`: names whose values have a shape that no input has. Nobody minds, unless one is asked for."""
        self._given = {name.lower(): (name, value) for name, value in (given or {}).items()}
        self._unfit = frozenset(name.lower() for name in unfit)

    def __contains__(self, name: str) -> bool:
        """Whether the name was given at all, also as null."""
        return name.lower() in self._given

    def items(self) -> Iterator[tuple[str, Given]]:
        """Everything as it was written, for resources with free properties."""
        return iter(self._given.values())

    @property
    def unfit(self) -> frozenset[str]:
        """Names, in lower case, whose values have a shape that no input has."""
        return self._unfit

    def over(self, others: Inputs) -> Inputs:
        """These, and of the others what these lack."""
        if not others._given:
            return self
        return Inputs(dict([*others.items(), *self.items()]), self._unfit)

    def text(self, name: str, longest: int = 1024) -> str | None:
        value = self._scalar(name)
        if value is None:
            return None
        if isinstance(value, bool):
            value = str(value).lower()
        return _short(name, str(value), longest)

    def required(self, name: str, longest: int = 1024) -> str:
        """As `text`, and neither absent nor empty."""
        value = self.text(name, longest)
        if not value:
            raise wrong(name, "is required")
        return value

    def texts(self, name: str) -> list[str] | None:
        value = self._value(name)
        if value is None:
            return None
        items = [value] if isinstance(value, str | int) else value
        if len(items) > _ITEMS_MOST:
            raise wrong(name, f"has more than {_ITEMS_MOST} items")
        if not all(isinstance(item, str) for item in items):
            raise wrong(name, "must be a list of texts")
        return [_short(name, str(item), 1024) for item in items]

    def number(self, name: str, least: int, most: int) -> int | None:
        value = self._scalar(name)
        if value is None:
            return None
        if isinstance(value, bool) or not _INTEGER.fullmatch(str(value)):
            raise wrong(name, "must be an integer")
        number = int(str(value).partition(".")[0])
        if not least <= number <= most:
            raise wrong(name, f"must be from {least} to {most}")
        return number

    def flag(self, name: str) -> bool | None:
        value = self._scalar(name)
        if value is None:
            return None
        found = _FLAGS.get(str(value).lower())
        if found is None:
            raise wrong(name, "must be true or false")
        return found

    def date(self, name: str) -> datetime | None:
        """In UTC. Read from the JSON form of UCWA or from ISO 8601."""
        value = self._scalar(name)
        if value is None:
            return None
        found = dates.parse(value) if isinstance(value, str) else None
        if found is None:
            raise wrong(name, "must be a date, as 2026-09-26T16:20:29Z or /Date(1790439629000)/")
        return found

    def choice(self, name: str, kind: type[Choice]) -> Choice | None:
        """A value of the enumeration, in any case."""
        value = self._scalar(name)
        if value is None:
            return None
        for member in kind:
            if member.value.lower() == str(value).lower():
                return member
        raise wrong(name, f"must be one of {', '.join(kind)}")

    def _value(self, name: str) -> Given:
        if name.lower() in self._unfit:
            raise wrong(name, "must be a single value or a list of such")
        return self._given.get(name.lower(), (name, None))[1]

    def _scalar(self, name: str) -> Scalar:
        value = self._value(name)
        if value is None or isinstance(value, str | int):
            return value
        raise wrong(name, "must be a single value, not a list")


def wrong(name: str, why: str) -> BadRequest:
    return BadRequest(
        f"{name}: {why}", code="ParameterValidationFailure", details={"parameters": {name: why}}
    )


def _short(name: str, value: str, longest: int) -> str:
    if len(value) > longest:
        raise wrong(name, f"is longer than {longest} characters")
    return value
