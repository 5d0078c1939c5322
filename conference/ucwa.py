"""The composition of the UCWA family: its services, the endpoints that they serve, and what runs by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from conference.api.openapi import Operation
from conference.api.ucwa import applications as application_views
from conference.api.ucwa import discovery, routes
from conference.api.ucwa.applications import ApplicationViews, Hub
from conference.api.ucwa.call import Endpoint
from conference.api.ucwa.dispatch import Dispatch
from conference.services.channels import ChannelService
from conference.services.ucwa.applications import ApplicationService, Rules
from config.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Shared:
    """What the family uses of what serves all."""

    pool: asyncpg.Pool
    channels: ChannelService
    settings: Settings
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]


class Ucwa:
    def __init__(self, shared: Shared) -> None:
        self._settings = settings = shared.settings
        self.applications = ApplicationService(
            shared.pool,
            shared.channels,
            _rules(settings),
            now=shared.now,
            new_id=shared.new_id,
        )
        shared.channels.on_closed.append(self.applications.channel_closed)

    def operations(self) -> list[Operation]:
        """Every endpoint of the family."""
        settings = self._settings
        return routes.operations(
            self._endpoints(),
            Dispatch(self.applications, settings),
            secure=(settings.public_url or "").startswith("https://"),
            read_within=settings.ucwa_answer_within,
        )

    async def sweep(self) -> None:
        """One round of what no request does."""
        await self.applications.sweep()

    def _endpoints(self) -> list[Endpoint]:
        return [
            *discovery.endpoints(),
            *application_views.endpoints(ApplicationViews(self.applications, self._dashboard())),
        ]

    def _dashboard(self) -> dict[str, Hub]:
        """What the application embeds, in the order shown."""
        return {}


def _rules(settings: Settings) -> Rules:
    return Rules(
        most=settings.ucwa_applications_max,
        idle=settings.ucwa_application_idle,
        activity_idle=settings.ucwa_activity_idle,
        remembered=settings.ucwa_tombstones,
        refused=settings.ucwa_refused_user_agents,
    )
