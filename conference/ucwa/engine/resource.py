"""A UCWA resource as data: one description, out of which JSON and XML are made.

Addresses without a leading slash are relative to the application that asks, so that one description serves them
all; see `render_json` and `render_xml`. A link that is absent says that the capability is not there now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

Scalar = str | int | bool | datetime
Value = Scalar | Sequence[Scalar] | Sequence[Mapping[str, Scalar]]
"""A property's value. A sequence becomes a JSON array and an XML propertyList."""


class Link(msgspec.Struct, frozen=True):
    href: str
    title: str | None = None
    revision: str | None = None


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """`href` is its `self`. A value that is a sequence of links or resources always renders as an array, however
    many there are; a single one never does. `etag`: shown in the body, where its pages show it."""

    rel: str
    href: str
    properties: Mapping[str, Value] = {}
    links: Mapping[str, Link | Sequence[Link]] = {}
    embedded: Mapping[str, Resource | Sequence[Resource]] = {}
    etag: str | None = None


# --- events -----------------------------------------------------------------------------------

EventType = Literal["added", "updated", "deleted", "started", "completed"]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What an event is sent by, about or in."""

    rel: str
    href: str
    title: str | None = None


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why something failed or ended, in the form of an error."""

    code: str
    subcode: str | None = None
    message: str | None = None


class NewsItem(msgspec.Struct, frozen=True, kw_only=True):
    """One event of an application. `inside` is rendered as `in`; `resource` is embedded under the link's rel."""

    sender: Target
    type: EventType
    link: Target
    inside: Target | None = None
    status: Literal["Success", "Failure"] | None = None
    reason: Reason | None = None
    resource: Resource | None = None


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of the event channel. `href` is its self; `links` has next, resync or resume. Items that follow
    each other and have the same sender are rendered under one; order is kept, so that senders recur."""

    href: str
    links: Mapping[str, Link]
    items: Sequence[NewsItem] = ()
