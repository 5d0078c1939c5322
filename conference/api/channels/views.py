"""Open, poll, close. Streams have modules of their own."""

from __future__ import annotations

from aiohttp import web

from conference.api.auth import caller
from conference.api.body import answer, no_content, path_id
from conference.api.channels import query, render
from conference.bus.poll_terms import plain
from conference.services.channels import ChannelService
from config.settings import Settings
from schemas.channels import ChannelOpened

_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-store"}


class ChannelViews:
    def __init__(self, service: ChannelService, settings: Settings) -> None:
        self._service = service
        self._settings = settings

    async def open(self, request: web.Request) -> web.Response:
        queue_id = await self._service.open(caller(request).user_id)
        first = render.events_address(queue_id, 1)
        response = answer(ChannelOpened(queue_id=queue_id, events=first), 201)
        response.headers["Location"] = f"/channels/{queue_id}"
        return response

    async def close(self, request: web.Request) -> web.Response:
        await self._service.close_own(path_id(request, "queueId"), caller(request).user_id)
        return no_content()

    async def going(self, request: web.Request) -> web.Response:
        await self._service.going(path_id(request, "queueId"), caller(request).user_id)
        return no_content()

    async def look(self, request: web.Request) -> web.Response:
        """HEAD of what GET waits for: nobody's poll ends for it."""
        await self._service.require_own(path_id(request, "queueId"), caller(request).user_id)
        return web.Response(headers=_HEADERS)

    async def poll(self, request: web.Request) -> web.Response:
        queue_id = path_id(request, "queueId")
        ack = query.ack(request)
        terms = plain(query.timeout(request, self._settings))
        user_id = caller(request).user_id
        _, result = await self._service.poll(
            queue_id, user_id, ack, terms, client=request.transport
        )
        response = web.Response(body=render.polled(queue_id, ack, result), headers=_HEADERS)
        if self._service.answering_all:
            response.force_close()
        return response
