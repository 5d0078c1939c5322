"""What the OpenAPI document says of the family's endpoints. Resources have one general shape there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from conference.api.openapi import Parameter
from conference.ucwa.engine.call import Endpoint
from conference.ucwa.engine.naming import capital
from conference.ucwa.engine.urls import path_of

REFUSES = {
    400: "the body can't be read (DeserializationFailure) or an input will not do (ParameterValidationFailure)",
    403: "the caller may not, or the token lacks a scope",
    404: "there is no such resource, or no such application (ApplicationNotFound)",
    406: "no form that is asked for can be had",
    408: "the body did not come in time",
    409: "the state does not allow it; the subcode says what",
    410: "the application has ended; the subcode says why",
    412: "the resource has changed since the etag in If-Match",
    413: "the body is too large",
    415: "the body is neither JSON nor XML",
    428: "strict mode, and no If-Match",
    429: "too many requests at once",
    504: "it took too long",
}

_PARAMETER = re.compile(r"{(\w+)}")
_REQUIRED = "required"
"""How the description of an input that must be given begins."""
_GIVEN = str | int | bool | list[str]
_ANY = _GIVEN | None


class UcwaLink(msgspec.Struct, omit_defaults=True):
    href: str
    title: str | None = None
    revision: str | None = None


class UcwaResource(msgspec.Struct, rename={"links": "_links", "embedded": "_embedded"}):
    """A UCWA resource. Its properties stand beside these names. A link that is absent is a capability that is not
    there now; `_embedded` has resources of the same shape, by rel."""

    rel: str
    links: dict[str, UcwaLink | list[UcwaLink]]
    embedded: dict[str, object] | msgspec.UnsetType = msgspec.UNSET
    etag: str | msgspec.UnsetType = msgspec.UNSET


class UcwaSender(msgspec.Struct):
    """Who sends, and the events, each with `link`, `type` and what belongs to it."""

    rel: str
    href: str
    events: list[dict[str, object]]


class UcwaEvents(msgspec.Struct, rename={"links": "_links"}):
    """An answer of the event channel. `_links` has self, and one of next, resync and resume."""

    links: dict[str, UcwaLink]
    sender: list[UcwaSender]


def of(endpoint: Endpoint) -> str:
    parts = []
    if endpoint.scopes:
        parts.append(f"One of the scopes {', '.join(sorted(endpoint.scopes))}.")
    if not endpoint.anonymous:
        parts.append("Not with an anonymous meeting token.")
    if not endpoint.gives:
        parts.append("In JSON or XML, as Accept says.")
    if endpoint.inputs and not endpoint.reads:
        parts.append("Inputs may be sent as JSON or XML; names in any case.")
    return " ".join(parts)


def parameters(endpoint: Endpoint) -> Sequence[Parameter]:
    inside = [
        Parameter(name=name, place="path", required=True)
        for name in _PARAMETER.findall(path_of(endpoint.path))
    ]
    asked = [
        Parameter(name=name, place="query", description=text, required=_is_required(text))
        for name, text in endpoint.query.items()
    ]
    return [*inside, *asked]


def body(endpoint: Endpoint, name: str) -> object:
    """None without inputs. `name`: the endpoint's own."""
    if not endpoint.inputs or endpoint.reads:
        return None
    return _inputs(f"{capital(name)}Inputs", endpoint.inputs)


def returns(endpoint: Endpoint) -> dict[int, object]:
    """What each successful status comes with."""
    statuses = (endpoint.returns, endpoint.returns_known)
    return {status: _answer(endpoint, status) for status in statuses if status is not None}


def _answer(endpoint: Endpoint, status: int) -> object:
    if endpoint.gives:
        return str
    if status == 204 or endpoint.empty:
        return None
    if endpoint.document is not None:
        return endpoint.document
    return UcwaEvents if endpoint.rel == "events" else UcwaResource


def _inputs(name: str, inputs: Mapping[str, str]) -> object:
    """A shape of its own, so that the names and their meaning are shown."""
    fields: list[tuple[str, object] | tuple[str, object, object]] = []
    for field, text in inputs.items():
        if _is_required(text):
            fields.append((field, Annotated[_GIVEN, msgspec.Meta(description=text)]))
        else:
            kind = Annotated[_ANY, msgspec.Meta(description=text)]
            fields.append((field, kind, None))
    return msgspec.defstruct(name, fields, kw_only=True)


def _is_required(text: str) -> bool:
    return text.startswith(_REQUIRED)
