"""Entity tags of resources, the conditions of requests on them, and the property that a PUT must pass back."""

from __future__ import annotations

import zlib
from uuid import UUID, uuid5

import msgspec

from conference.ucwa.engine.resource import Resource

PLEASE = "please pass this in a PUT request"

_PUT_TOKENS = UUID("2e9d2c8f-8f6c-4d6c-9f6e-6a1f0f8d5b1e")
_encoder = msgspec.json.Encoder(order="deterministic")


def of(resource: Resource) -> str:
    """An unsigned 32-bit number in decimal, of its rel, properties and links: what is embedded does not count."""
    described = (resource.rel, resource.href, resource.properties, resource.links)
    return str(zlib.crc32(_encoder.encode(described)))


def tagged(resource: Resource) -> Resource:
    """With its etag in the body, where its pages show it."""
    return msgspec.structs.replace(resource, etag=of(resource))


_WEAK = "W/"


def matches(condition: str, etag: str) -> bool:
    """Whether an If-Match names the tag, or any (`*`). By strong comparison: a weak tag, whose `W/` stays, is never the
    same as ours (RFC 9110 sections 8.8.3.2 and 13.1.1)."""
    return any(_opaque(part) in ("*", etag) for part in _parts(condition))


def is_known(condition: str, etag: str) -> bool:
    """Whether an If-None-Match names the tag, or any. By weak comparison (RFC 9110 section 13.1.2)."""
    return any(_opaque(part.removeprefix(_WEAK)) in ("*", etag) for part in _parts(condition))


def _parts(condition: str) -> list[str]:
    return [part.strip() for part in condition.split(",")]


def _opaque(tag: str) -> str:
    """Quoted or not: clients write either. Our tags have neither quote nor comma."""
    return tag.strip('"')


def put_token(*parts: str) -> dict[str, str]:
    """The property that a PUT on this resource must pass back: its name is a GUID, the same for the same parts."""
    return {str(uuid5(_PUT_TOKENS, "/".join(parts))): PLEASE}


def is_put_token(name: str, value: object) -> bool:
    """Whether a property is such a one."""
    if value != PLEASE:
        return False
    try:
        UUID(name)
    except ValueError:
        return False
    return True
