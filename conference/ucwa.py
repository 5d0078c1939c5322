"""The composition of the UCWA family: its services, and the endpoints that they serve."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from conference.api.openapi import Operation
from conference.api.ucwa import discovery, routes
from conference.api.ucwa.call import Endpoint
from conference.api.ucwa.dispatch import Applications, Dispatch
from conference.domain.application import Application
from conference.errors import NotFound
from config.settings import Settings


class NoApplications:
    """Until there are any."""

    async def get(self, user_id: UUID, application_id: str, *, fresh: bool = True) -> Application:
        raise NotFound("no such application of yours; create one", code="ApplicationNotFound")


def operations(
    endpoints: Sequence[Endpoint], applications: Applications, settings: Settings
) -> list[Operation]:
    """The whole family's: `endpoints` are those of its parts."""
    dispatch = Dispatch(applications, settings)
    return routes.operations(
        [*discovery.endpoints(), *endpoints],
        dispatch,
        secure=(settings.public_url or "").startswith("https://"),
        read_within=settings.ucwa_answer_within,
    )
