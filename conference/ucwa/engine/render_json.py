"""Resources, events and refusals in JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import TypeVar

import msgspec

from conference.ucwa.engine import dates
from conference.ucwa.engine.errors import Fault
from conference.ucwa.engine.resource import (
    Link,
    NewsItem,
    Package,
    Reason,
    Resource,
    Scalar,
    Target,
    Value,
)
from conference.ucwa.engine.urls import Place

Json = dict[str, object]
Item = TypeVar("Item")

_encoder = msgspec.json.Encoder()
_DATE = re.compile(rb'(?<!\\)"/Date\((-?[0-9]+)\)/"')


def resource(described: Resource, place: Place) -> bytes:
    return _encode(_resource(described, place))


def package(described: Package, place: Place) -> bytes:
    return _encode(_package(described, place))


def fault(described: Fault) -> bytes:
    return _encoder.encode(described)


def _encode(value: Json) -> bytes:
    r"""Readers of .NET know a date by its escaped slashes, which are the same to all others."""
    return _DATE.sub(rb'"\\/Date(\1)\\/"', _encoder.encode(value))


def _resource(described: Resource, place: Place) -> Json:
    found: Json = {"rel": described.rel}
    for name, value in described.properties.items():
        found[name] = _value(value)
    links: Json = {"self": {"href": place.href(described.href)}}
    for rel, link in described.links.items():
        links[rel] = _one_or_many(link, lambda one: _link(one, place))
    found["_links"] = links
    if described.embedded:
        found["_embedded"] = {
            rel: _one_or_many(inner, lambda one: _resource(one, place))
            for rel, inner in described.embedded.items()
        }
    if described.etag is not None:
        found["etag"] = described.etag
    return found


def _one_or_many(value: Item | Sequence[Item], render: Callable[[Item], Json]) -> object:
    """What may be there more than once is an array however often it is; what may not never is."""
    if isinstance(value, Sequence):
        return [render(one) for one in value]
    return render(value)


def _link(link: Link, place: Place) -> Json:
    found: Json = {"href": place.href(link.href)}
    if link.title is not None:
        found["title"] = link.title
    if link.revision is not None:
        found["revision"] = link.revision
    return found


def _value(value: Value) -> object:
    if isinstance(value, str | int | datetime):
        return _scalar(value)
    return [
        {name: _scalar(inner) for name, inner in item.items()}
        if isinstance(item, Mapping)
        else _scalar(item)
        for item in value
    ]


def _scalar(value: Scalar) -> str | int | bool:
    return dates.for_json(value) if isinstance(value, datetime) else value


# --- events -----------------------------------------------------------------------------------


def _package(described: Package, place: Place) -> Json:
    links: Json = {"self": {"href": place.href(described.href)}}
    for rel, link in described.links.items():
        links[rel] = _link(link, place)
    # an answer without events has the array too: clients loop over it unchecked
    return {"_links": links, "sender": list(_senders(described.items, place))}


def _senders(items: Iterable[NewsItem], place: Place) -> Iterable[Json]:
    for sender, group in groupby(items, key=lambda item: item.sender):
        yield {**_target(sender, place), "events": [_event(item, place) for item in group]}


def _event(item: NewsItem, place: Place) -> Json:
    found: Json = {"link": _target(item.link, place)}
    if item.inside is not None:
        found["in"] = _target(item.inside, place)
    if item.status is not None:
        found["status"] = item.status
    if item.reason is not None:
        found["reason"] = _reason(item.reason)
    if item.resource is not None:
        found["_embedded"] = {item.link.rel: _resource(item.resource, place)}
    found["type"] = item.type
    return found


def _target(target: Target, place: Place) -> Json:
    found: Json = {"rel": target.rel, "href": place.href(target.href)}
    if target.title is not None:
        found["title"] = target.title
    return found


def _reason(reason: Reason) -> Json:
    parts = (("code", reason.code), ("subcode", reason.subcode), ("message", reason.message))
    return {name: text for name, text in parts if text is not None}
