"""Inputs out of a JSON body."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeGuard

import msgspec

from conference.api.repeats import repeated
from conference.errors import BadRequest
from conference.ucwa.engine.inputs import Given, Scalar

_NAMES_MOST = 1000

_BOM = b"\xef\xbb\xbf"
"""Some libraries write it, and a parser may ignore it (RFC 8259 section 8.1)."""

_decoder = msgspec.json.Decoder(float_hook=str)
"""No input is a fraction; a free property that is one keeps the digits as they were written."""


def inputs(body: bytes) -> tuple[Mapping[str, Given], Collection[str]]:
    """And the names of what has no place in a resource's properties: objects, lists of lists.

    Raises BadRequest (DeserializationFailure).
    """
    text = body.removeprefix(_BOM)
    try:
        found = _decoder.decode(text)
        twice = repeated(text)
    except RecursionError:
        raise _failure("the body is nested too deep") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise _failure(f"the body is not JSON: {error}") from None
    if twice is not None:
        raise _failure(f"{twice} is given twice")
    if found is None:  # what some clients make of no inputs
        return {}, ()
    if not isinstance(found, dict):
        raise _failure("the body must be a JSON object")
    if len(found) > _NAMES_MOST:
        raise _failure(f"the body has more than {_NAMES_MOST} names")
    given = {str(name): value for name, value in found.items() if _is_given(value)}
    return given, found.keys() - given.keys()


def _is_given(value: object) -> TypeGuard[Given]:
    if isinstance(value, list):
        return all(_is_scalar(item) for item in value)
    return _is_scalar(value)


def _is_scalar(value: object) -> TypeGuard[Scalar]:
    return value is None or isinstance(value, str | int)


def _failure(why: str) -> BadRequest:
    return BadRequest(why, code="DeserializationFailure")
