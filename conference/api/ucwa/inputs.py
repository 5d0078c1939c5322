"""The inputs of a request, from JSON, XML or the query: names in any case, values checked when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from conference.errors import BadRequest

Given = str | int | bool | None | Sequence[str | int | bool | None]
Choice = TypeVar("Choice", bound=StrEnum)


class Inputs:
    """Each reader gives None for a name that is absent or null, and raises BadRequest (ParameterValidationFailure)
    that names the input when its value will not do."""

    def __init__(self, given: Mapping[str, Given] | None = None) -> None:
        self._given = {name.lower(): (name, value) for name, value in (given or {}).items()}

    def __contains__(self, name: str) -> bool:
        """Whether the name was given at all, also as null."""
        return name.lower() in self._given

    def items(self) -> Iterator[tuple[str, Given]]:
        """Everything as it was written, for resources with free properties."""
        return iter(self._given.values())

    def text(self, name: str, longest: int = 1024) -> str | None:
        raise NotImplementedError

    def required(self, name: str, longest: int = 1024) -> str:
        raise NotImplementedError

    def texts(self, name: str) -> list[str] | None:
        raise NotImplementedError

    def number(self, name: str, least: int, most: int) -> int | None:
        raise NotImplementedError

    def flag(self, name: str) -> bool | None:
        raise NotImplementedError

    def date(self, name: str) -> datetime | None:
        raise NotImplementedError

    def choice(self, name: str, kind: type[Choice]) -> Choice | None:
        """A value of the enumeration, in any case."""
        raise NotImplementedError


def wrong(name: str, why: str) -> BadRequest:
    return BadRequest(
        f"{name}: {why}", code="ParameterValidationFailure", details={"parameters": {name: why}}
    )
