"""Extensions: data that programs attach to an online meeting, and who may read and write them.

type                    organizer     leaders       participants
RoamedOrganizerData     read, write
RoamedParticipantData   read, write   read, write   read
Undefined               read, write
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from conference.errors import BadRequest
from schemas.terms import Term

MOST = 100
"""Extensions of one meeting."""
PROPERTIES_MOST = 100
NAME_LONGEST = 256
"""Characters of an id, and of a property's name."""
VALUE_LONGEST = 8192
SIZE_MOST = 65_536
"""Characters of all names and values of one extension."""


class ExtensionType(Term):
    """With whom it is shared. Nothing says with whom the undefined is, so with nobody."""

    UNDEFINED = "Undefined"
    ORGANIZER = "RoamedOrganizerData"
    PARTICIPANT = "RoamedParticipantData"


class Extension(msgspec.Struct, frozen=True, kw_only=True):
    """`id` is the program's own; so are the names and values of `properties`."""

    id: str
    type: ExtensionType = ExtensionType.UNDEFINED
    properties: Mapping[str, str] = {}


Role = Literal["organizer", "leader", "participant"]
_EVERYTHING = frozenset(ExtensionType)
_SHARED = frozenset((ExtensionType.PARTICIPANT,))

READ: dict[Role, frozenset[ExtensionType]] = {
    "organizer": _EVERYTHING,
    "leader": _SHARED,
    "participant": _SHARED,
}
WRITE: dict[Role, frozenset[ExtensionType]] = {
    "organizer": _EVERYTHING,
    "leader": _SHARED,
    "participant": frozenset(),
}


def check(extension: Extension) -> Extension:
    """Raises BadRequest (ParameterValidationFailure) that names what is too long or too much."""
    if not extension.id:
        raise _wrong("id", "must not be empty")
    if len(extension.id) > NAME_LONGEST:
        raise _wrong("id", f"is longer than {NAME_LONGEST} characters")
    if len(extension.properties) > PROPERTIES_MOST:
        raise _wrong("id", f"an extension has at most {PROPERTIES_MOST} properties of its own")
    for name, value in extension.properties.items():
        if len(name) > NAME_LONGEST:
            raise _wrong(name[:NAME_LONGEST], f"the name is longer than {NAME_LONGEST} characters")
        if len(value) > VALUE_LONGEST:
            raise _wrong(name, f"is longer than {VALUE_LONGEST} characters")
    if sum(len(name) + len(value) for name, value in extension.properties.items()) > SIZE_MOST:
        raise _wrong("id", f"an extension's properties have at most {SIZE_MOST} characters in all")
    return extension


def _wrong(name: str, why: str) -> BadRequest:
    return BadRequest(
        f"{name}: {why}", code="ParameterValidationFailure", details={"parameters": {name: why}}
    )
