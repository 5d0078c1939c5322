"""A request's inputs, whatever they are written in."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from multidict import MultiMapping

from conference.errors import BadRequest
from conference.ucwa.engine import negotiate, read_json, read_xml
from conference.ucwa.engine.inputs import IGNORED_NAMES, Given, Inputs, wrong

_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML can't say (1.0 section 2.2): taken in, it could not be shown again. Nor does PostgreSQL take NUL."""


def body_inputs(body: bytes, content_type: str) -> Inputs:
    """None at all out of an empty body, or a blank one. Raises BadRequest, UnsupportedMediaType."""
    if not body.strip():
        return Inputs()
    if negotiate.syntax_of(content_type) == "xml":
        return _checked(read_xml.inputs(body))
    return _checked(*read_json.inputs(body))


def query_inputs(query: MultiMapping[str]) -> Inputs:
    """A name that is repeated is a list. Raises BadRequest."""
    names = dict.fromkeys(query)
    values: dict[str, Given] = {}
    for name in names:
        given = query.getall(name)
        values[name] = given[0] if len(given) == 1 else given
    return _checked(values)


def is_fit(text: str) -> bool:
    """Whether the text can be kept and shown again."""
    return _UNFIT.search(text) is None


def _checked(given: Mapping[str, Given], unfit: Collection[str] = ()) -> Inputs:
    _check_names([*given, *unfit])
    for name, value in given.items():
        if not all(is_fit(text) for text in _texts(name, value)):
            raise BadRequest(
                "the request has characters that no text has", code="DeserializationFailure"
            )
    return Inputs(given, unfit)


def _check_names(names: Collection[str]) -> None:
    """Names have no case, so that of two that differ in nothing else one would get lost."""
    seen: dict[str, str] = {}
    for name in names:
        if name.lower() in IGNORED_NAMES:
            continue
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise wrong(name, f"is given twice, also as {other}: names have no case")


def _texts(name: str, value: Given) -> Iterable[str]:
    yield name
    for item in value if isinstance(value, list | tuple) else (value,):
        if isinstance(item, str):
            yield item
