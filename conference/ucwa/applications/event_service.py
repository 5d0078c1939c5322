"""The event channels of applications, read by pending GET."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

from conference.bus.channels import Batch, Resync
from conference.bus.poll_terms import PollTerms
from conference.errors import NotFound, PollReplaced
from conference.services.channels import ChannelService
from conference.ucwa.application import Application, Instance
from conference.ucwa.applications.service import ApplicationService

OnResumed = Callable[[Application], Awaitable[None]]
Wanted = Callable[[list[bytes]], bool]


class EventService:
    def __init__(self, applications: ApplicationService, channels: ChannelService) -> None:
        self._applications = applications
        self._channels = channels
        self.on_resumed: list[OnResumed] = []
        """Called before the only client of an application is told that it was away too long, perhaps repeatedly."""

    async def read(
        self,
        application: Application,
        instance_id: str | None,
        ack: int | None,
        terms: PollTerms,
        wanted: Wanted,
        client: asyncio.BaseTransport | None = None,
    ) -> tuple[int, Batch | Resync]:
        """The position asked for, which without `ack` is the current one, and what is there.

        Raises PollReplaced (PGetReplaced), and NotFound or Gone when the application ends meanwhile.
        """
        try:
            asked, found = await self._poll(application, instance_id, ack, terms, wanted, client)
        except PollReplaced as replaced:
            raise PollReplaced(replaced.message, code="PGetReplaced") from None
        if isinstance(found, Batch) and found.resumed:
            await self._resumed(application, instance_id)
        return asked, found

    @property
    def answering_all(self) -> bool:
        """The process shuts down: a client does better to reconnect elsewhere."""
        return self._channels.answering_all

    async def _poll(
        self,
        application: Application,
        instance_id: str | None,
        ack: int | None,
        terms: PollTerms,
        wanted: Wanted,
        client: asyncio.BaseTransport | None,
    ) -> tuple[int, Batch | Resync]:
        user_id = application.user_id
        instance = await self._instance(application, instance_id)
        for again in (True, False):
            try:
                return await self._channels.poll(
                    instance.queue_id, user_id, ack, terms, wanted, client
                )
            except NotFound:
                closed = instance.queue_id
            # says why, when it is the application that ended
            await self._applications.get(user_id, application.id)
            instance = await self._applications.instance(application.id, instance_id)
            if not again or instance.queue_id == closed:
                break
        raise _no_channel(closed)

    async def _resumed(self, application: Application, instance_id: str | None) -> None:
        instance = await self._applications.instance(application.id, instance_id)
        if not await self._applications.is_alone(instance):
            return
        for hook in self.on_resumed:
            await hook(application)

    async def _instance(self, application: Application, instance_id: str | None) -> Instance:
        found = await self._applications.instance(application.id, instance_id, fresh=False)
        await self._applications.polled(found, instance_id)
        return found


def _no_channel(queue_id: UUID) -> NotFound:
    return NotFound(
        f"the event channel {queue_id} is closed; create the application again",
        code="ApplicationNotFound",
    )
