"""Resources, events and refusals in XML. The order within a resource is links, properties, inner resources."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import TypeVar

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

NAMESPACE = "http://schemas.microsoft.com/rtc/2012/03/ucwa"

Item = TypeVar("Item")

_DECLARATION = '<?xml version="1.0" encoding="utf-8"?>'
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;"})
_IN_ATTRIBUTE = str.maketrans({"\n": "&#10;", "\t": "&#9;"})
"""A reader takes each for a space otherwise (XML 1.0 section 3.3.3), and a lone CR for a line's end (2.11)."""


def resource(described: Resource, place: Place) -> bytes:
    return _document(_resource(described, place, described.rel, xmlns=NAMESPACE))


def package(described: Package, place: Place) -> bytes:
    return _document(_package(described, place))


def fault(described: Fault) -> bytes:
    inner = list(_reason_parts(described.code, described.subcode, described.message))
    if described.parameters:
        inner.append("<parameters>")
        inner += [_property(name, why) for name, why in described.parameters.items()]
        inner.append("</parameters>")
    return _document(_element("reason", {"xmlns": NAMESPACE}, inner))


def _document(parts: Iterator[str]) -> bytes:
    return (_DECLARATION + "".join(parts)).encode()


def _resource(described: Resource, place: Place, rel: str, **more: str) -> Iterator[str]:
    """`rel` is what it is to the one that holds it, which its own rel need not be."""
    attributes = {"rel": rel, "href": place.href(described.href), **more}
    return _element("resource", attributes, _parts(described, place))


def _parts(described: Resource, place: Place) -> Iterator[str]:
    for rel, links in described.links.items():
        for link in _all(links):
            yield from _element("link", _link(rel, link, place))
    yield _property("rel", described.rel)
    for name, value in described.properties.items():
        yield _value(name, value)
    if described.etag is not None:
        yield _property("etag", described.etag)
    for rel, inner in described.embedded.items():
        for one in _all(inner):
            yield from _resource(one, place, rel)


def _all(value: Item | Sequence[Item]) -> Sequence[Item]:
    return value if isinstance(value, Sequence) else [value]


def _link(rel: str, link: Link, place: Place) -> dict[str, str]:
    attributes = {"rel": rel, "href": place.href(link.href)}
    if link.title is not None:
        attributes["title"] = link.title
    if link.revision is not None:
        attributes["revision"] = link.revision
    return attributes


def _value(name: str, value: Value) -> str:
    if isinstance(value, str | int | datetime):
        return _property(name, value)
    items = "".join(f"<item>{_item(item)}</item>" for item in value)
    return f'<propertyList name="{_attribute(name)}">{items}</propertyList>'


def _item(item: Scalar | Mapping[str, Scalar]) -> str:
    if isinstance(item, Mapping):
        return "".join(_property(name, value) for name, value in item.items())
    return _text(_scalar(item))


def _property(name: str, value: Scalar) -> str:
    return f'<property name="{_attribute(name)}">{_text(_scalar(value))}</property>'


def _scalar(value: Scalar) -> str:
    if isinstance(value, datetime):
        return dates.for_xml(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


# --- events -----------------------------------------------------------------------------------


def _package(described: Package, place: Place) -> Iterator[str]:
    attributes = {"href": place.href(described.href), "xmlns": NAMESPACE}
    return _element("events", attributes, _package_parts(described, place))


def _package_parts(described: Package, place: Place) -> Iterator[str]:
    for rel, link in described.links.items():
        yield from _element("link", _link(rel, link, place))
    for sender, group in groupby(described.items, key=lambda item: item.sender):
        events = "".join("".join(_event(item, place)) for item in group)
        yield from _element("sender", _target(sender, place), [events])


def _event(item: NewsItem, place: Place) -> Iterator[str]:
    """An element that is named by the event's type, with the attributes of its link."""
    attributes = _target(item.link, place)
    if item.status is not None:
        attributes["status"] = item.status
    return _element(item.type, attributes, _event_parts(item, place))


def _event_parts(item: NewsItem, place: Place) -> Iterator[str]:
    if item.inside is not None:
        yield from _element("in", _target(item.inside, place))
    if item.reason is not None:
        yield from _reason(item.reason)
    if item.resource is not None:
        yield from _resource(item.resource, place, item.link.rel)


def _target(target: Target, place: Place) -> dict[str, str]:
    attributes = {"rel": target.rel, "href": place.href(target.href)}
    if target.title is not None:
        attributes["title"] = target.title
    return attributes


def _reason(reason: Reason) -> Iterator[str]:
    return _element("reason", {}, _reason_parts(reason.code, reason.subcode, reason.message))


def _reason_parts(code: str, subcode: str | None, message: str | None) -> Iterator[str]:
    for name, text in (("code", code), ("subcode", subcode), ("message", message)):
        if text is not None:
            yield f"<{name}>{_text(text)}</{name}>"


# --- characters -------------------------------------------------------------------------------


def _element(
    name: str, attributes: Mapping[str, str], inner: Iterator[str] | Sequence[str] = ()
) -> Iterator[str]:
    written = "".join(f' {key}="{_attribute(value)}"' for key, value in attributes.items())
    content = "".join(inner)
    yield f"<{name}{written}>{content}</{name}>" if content else f"<{name}{written}/>"


def _text(value: str) -> str:
    """What XML can't say at all (1.0 section 2.2) becomes the replacement character."""
    return _NOT_XML.sub("�", value).translate(_ESCAPES)


def _attribute(value: str) -> str:
    return _text(value).translate(_IN_ATTRIBUTE)
