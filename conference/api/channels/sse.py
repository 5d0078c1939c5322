"""A channel as server-sent events (WHATWG HTML, section 9.2).

Each event's id is its number in the channel; `Last-Event-ID` acknowledges what came up to it and resumes after it.
"""

from __future__ import annotations

import asyncio
from uuid import UUID

import msgspec
from aiohttp import hdrs, web

from conference.api.auth import caller
from conference.api.body import path_id
from conference.api.channels import query
from conference.bus.streams import Handed, Restart
from conference.errors import NotFound, PollReplaced, Unavailable
from conference.services.channels import ChannelService, Following
from schemas.channels import StreamClosed, StreamReplaced, StreamResync

HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent: proxies cut connections that are silent for 30 to 60."""
WRITE_WITHIN = 30.0
"""A client that takes nothing for this long is given up; it can resume."""
_RECONNECT_AFTER = b"retry: 2000\n\n"  # milliseconds
_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back
}

_encoder = msgspec.json.Encoder()


class SseView:
    def __init__(self, service: ChannelService, *, heartbeat: float = HEARTBEAT) -> None:
        self._service = service
        self._heartbeat = heartbeat

    async def stream(self, request: web.Request) -> web.StreamResponse:
        queue_id = path_id(request, "queueId")
        position = query.last_event_id(request)
        user_id = caller(request).user_id
        if request.method == hdrs.METH_HEAD:
            await self._service.require_own(queue_id, user_id)
            return web.Response(headers=_HEADERS)
        async with self._service.follow(queue_id, user_id, request.transport) as following:
            holds = await following.begin(position)
            response = web.StreamResponse(headers=_HEADERS)
            await response.prepare(request)
            try:
                await self._send(response, _RECONNECT_AFTER)
                if not holds:
                    await self._send(response, _resync(queue_id, following.position))
                await self._pass_on(queue_id, following, response)
            except PollReplaced:
                await self._send(response, _named("replaced", StreamReplaced(queue_id=queue_id)))
            except NotFound:
                await self._send(response, _named("closed", StreamClosed(queue_id=queue_id)))
            except (Unavailable, ConnectionResetError, TimeoutError):
                pass  # the client reconnects and resumes, once it can
            return response

    async def _pass_on(
        self, queue_id: UUID, following: Following, response: web.StreamResponse
    ) -> None:
        while not following.ended:
            found = await following.read(self._heartbeat)
            if isinstance(found, Restart):
                await self._send(response, _resync(queue_id, found.position))
            elif found.events:
                await self._send(response, _events(found))
            else:
                await self._send(response, b": still here\n\n")

    @staticmethod
    async def _send(response: web.StreamResponse, data: bytes) -> None:
        async with asyncio.timeout(WRITE_WITHIN):
            await response.write(data)


def _events(handed: Handed) -> bytes:
    """JSON has no line break outside of strings and none unescaped in them, so one data line does."""
    first = handed.position - len(handed.events) + 1
    return b"".join(
        b"id: %d\ndata: %s\n\n" % (number, event)
        for number, event in enumerate(handed.events, first)
    )


def _resync(queue_id: UUID, position: int) -> bytes:
    event = StreamResync(queue_id=queue_id, position=position)
    return b"id: %d\n%s" % (position, _named("resync", event))


def _named(name: str, event: msgspec.Struct) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), _encoder.encode(event))
