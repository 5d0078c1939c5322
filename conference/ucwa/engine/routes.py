"""The family's endpoints as routes of the server, and as operations of its description."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from conference.api.auth import CALLER
from conference.api.body import whole
from conference.api.openapi import Handler, Operation
from conference.ucwa.engine import description, naming, negotiate
from conference.ucwa.engine.call import Endpoint
from conference.ucwa.engine.dispatch import VERSION, VERSION_HEADER, Answered, Asked, Dispatch
from conference.ucwa.engine.errors import Fault
from conference.ucwa.engine.origin import Origin
from conference.ucwa.engine.table import ordered
from conference.ucwa.engine.token import bearer
from conference.ucwa.engine.urls import path_of


def operations(
    endpoints: Iterable[Endpoint], dispatch: Dispatch, *, origin: Origin, read_within: float
) -> list[Operation]:
    """`read_within`: seconds that a client may take for a body."""
    entry = _Entry(dispatch, origin, read_within)
    known = ordered(endpoints)
    names = naming.identifiers(known)
    return [_operation(item, names[naming.key(item)], entry.handler(item)) for item in known]


class _Entry:
    def __init__(self, dispatch: Dispatch, origin: Origin, read_within: float) -> None:
        self._dispatch = dispatch
        self._origin = origin
        self._read_within = read_within

    def handler(self, endpoint: Endpoint) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            asked = await self._asked(request)
            return _response(await self._dispatch(endpoint, asked, request.match_info))

        return handle

    async def _asked(self, request: web.Request) -> Asked:
        return Asked(
            method=request.method,
            query=request.query,
            headers=request.headers,
            body=await whole(request, self._read_within),
            caller=request.get(CALLER),
            token=bearer(request),
            secure=self._origin.secure or request.secure,
            origin=self._origin.of(request),
            client=request.transport,
        )


def _response(answered: Answered) -> web.Response:
    response = web.Response(
        status=answered.status, body=answered.body or None, headers=answered.headers
    )
    response.headers[VERSION_HEADER] = VERSION
    if answered.closing:
        response.force_close()
    return response


# --- the description --------------------------------------------------------------------------


def _operation(endpoint: Endpoint, name: str, handler: Handler) -> Operation:
    return Operation(
        id=name,
        method=endpoint.method,
        path=path_of(endpoint.path),
        handler=handler,
        summary=endpoint.summary,
        description=description.of(endpoint),
        tag=naming.heading(endpoint),
        parameters=description.parameters(endpoint),
        body=description.body(endpoint, name),
        body_required=False,
        returns=description.returns(endpoint),
        media_type=endpoint.gives or negotiate.JSON.media_type,
        refuses=description.REFUSES,
        problem=Fault,
        public=endpoint.public,
    )
