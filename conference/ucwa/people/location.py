"""location: where the user says to be; an empty POST takes it away."""

from __future__ import annotations

from conference.ucwa.engine.call import Call, Endpoint, Reply, Scope
from conference.ucwa.engine.resource import Resource
from conference.ucwa.people import hrefs as hrefs
from conference.ucwa.people.presence_service import PresenceService

LONGEST = 60

_SCOPES: frozenset[Scope] = frozenset(("User.ReadWrite",))


class LocationViews:
    def __init__(self, service: PresenceService) -> None:
        self._service = service

    async def get(self, call: Call) -> Reply:
        return Reply(resource=location((await self._service.published(call.app)).location))

    async def write(self, call: Call) -> Reply:
        await self._service.set_location(call.app, call.inputs.text("location", LONGEST) or "")
        return Reply(status=204)


def endpoints(views: LocationViews) -> list[Endpoint]:
    return [
        Endpoint(
            method="GET",
            path=hrefs.own("location"),
            view=views.get,
            rel="location",
            summary="Where the user is",
            scopes=_SCOPES,
            anonymous=False,
        ),
        Endpoint(
            method="POST",
            path=hrefs.own("location"),
            view=views.write,
            rel="location",
            summary="Say where the user is, or nothing",
            scopes=_SCOPES,
            anonymous=False,
            returns=204,
            inputs={"location": f"at most {LONGEST} characters"},
        ),
    ]


def location(text: str) -> Resource:
    return Resource(rel="location", href=hrefs.own("location"), properties={"location": text})
