"""JSON in and out."""

from __future__ import annotations

import asyncio
from typing import TypeVar
from uuid import UUID

import msgspec
from aiohttp import hdrs, web
from aiohttp.http_exceptions import ContentEncodingError, HttpProcessingError

from conference.api.connection import READ_WITHIN, unknown_coding
from conference.api.repeats import repeated
from conference.errors import BadRequest, NotFound

Body = TypeVar("Body")

READ_LIMIT = web.AppKey("read_within", float)
"""Seconds that a client may take for a body."""

_CODINGS = frozenset(("", "identity", "gzip", "deflate", "br", "zstd"))
"""Those that the server takes off while it reads (RFC 9110 section 8.4.1), or refuses by itself."""
_encoder = msgspec.json.Encoder()
_UUID_LENGTH = 36


async def read(request: web.Request, kind: type[Body]) -> Body:
    """The request's JSON body. Raises BadRequest that names the field that is wrong, missing or unknown, and what
    `whole` raises."""
    raw = await whole(request, request.app.get(READ_LIMIT, READ_WITHIN))
    if not raw:
        raise BadRequest("the request needs a JSON body", code="no_body")
    try:
        body = msgspec.json.decode(raw, type=kind)
        twice = repeated(raw)
    except msgspec.ValidationError as error:
        raise BadRequest(str(error), code="bad_body") from None
    except RecursionError:
        raise BadRequest("the body is nested too deeply", code="bad_json") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise BadRequest(f"the body is not JSON: {error}", code="bad_json") from None
    if twice is not None:
        raise BadRequest(f"$.{twice}: is there twice", code="bad_json")
    return body


async def whole(request: web.Request, within: float) -> bytes:
    """The request's body, empty when there is none. Raises HTTPRequestTimeout (408), HTTPRequestEntityTooLarge,
    BadRequest, and UnsupportedMediaType for a content coding that is not known or not kept to.

    `within`: seconds that the client may take.
    """
    if not request.can_read_body:
        return b""
    if request.headers.get(hdrs.CONTENT_ENCODING, "").strip().lower() not in _CODINGS:
        raise unknown_coding()
    limit = asyncio.timeout(within)
    try:
        async with limit:
            return await request.read()
    except TimeoutError:
        if not limit.expired():
            raise
        raise web.HTTPRequestTimeout(text="the body did not come in time") from None
    except (HttpProcessingError, web.RequestPayloadError) as error:
        if isinstance(error.__cause__ or error, ContentEncodingError):
            raise unknown_coding() from None
        raise BadRequest(
            "the body ends early, or its chunks are not chunks", code="bad_body"
        ) from None


def answer(value: object, status: int = 200) -> web.Response:
    return web.Response(body=_encoder.encode(value), status=status, content_type="application/json")


def no_content() -> web.Response:
    return web.Response(status=204)


def path_id(request: web.Request, name: str) -> UUID:
    """An id in the path. Raises NotFound for what is not a UUID: nothing can have it."""
    text = request.match_info[name]
    found = uuid(text)
    if found is None:
        raise NotFound(f"{name} is not a UUID, so nothing has it", code="not_a_uuid")
    return found


def uuid(text: str) -> UUID | None:
    """The canonical form alone, not the others that `UUID` reads."""
    if len(text) != _UUID_LENGTH:
        return None
    try:
        return UUID(text)
    except ValueError:
        return None
