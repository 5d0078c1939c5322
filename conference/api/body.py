"""JSON in and out."""

from __future__ import annotations

import asyncio
from typing import TypeVar
from uuid import UUID

import msgspec
from aiohttp import web

from conference.api.repeats import repeated
from conference.errors import BadRequest, NotFound

Body = TypeVar("Body")

_encoder = msgspec.json.Encoder()
_UUID_LENGTH = 36


async def read(request: web.Request, kind: type[Body]) -> Body:
    """The request's JSON body. Raises BadRequest that names the field that is wrong, missing or unknown."""
    raw = await request.read()
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
    """The request's body, empty when there is none. Raises HTTPRequestTimeout (408), HTTPRequestEntityTooLarge.

    `within`: seconds that the client may take.
    """
    if not request.can_read_body:
        return b""
    limit = asyncio.timeout(within)
    try:
        async with limit:
            return await request.read()
    except TimeoutError:
        if not limit.expired():
            raise
        raise web.HTTPRequestTimeout(text="the body did not come in time") from None


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
