"""presence: the user's availability and activity; chosen by POST, left to the rules by an empty one."""

from __future__ import annotations

from conference.ucwa.engine.call import Call, Endpoint, Reply, Scope
from conference.ucwa.engine.resource import Resource
from conference.ucwa.people import hrefs as hrefs
from conference.ucwa.people.presence_rules import Preferred, Shown
from conference.ucwa.people.presence_service import PresenceService

_SCOPES: frozenset[Scope] = frozenset(("User.ReadWrite",))


class PresenceViews:
    def __init__(self, service: PresenceService) -> None:
        self._service = service

    async def get(self, call: Call) -> Reply:
        return Reply(resource=presence((await self._service.published(call.app)).shown))

    async def choose(self, call: Call) -> Reply:
        # an empty text is an empty POST out of a query or XML
        chosen = call.inputs.choice("availability", Preferred) if _given(call) else None
        await self._service.choose(call.app, chosen)
        return Reply(status=204)


def endpoints(views: PresenceViews) -> list[Endpoint]:
    return [
        Endpoint(
            method="GET",
            path=hrefs.own("presence"),
            view=views.get,
            rel="presence",
            summary="The user's availability",
            scopes=_SCOPES,
            anonymous=False,
        ),
        Endpoint(
            method="POST",
            path=hrefs.own("presence"),
            view=views.choose,
            rel="presence",
            summary="Choose an availability, or none: then the rules apply",
            scopes=_SCOPES,
            anonymous=False,
            returns=204,
            inputs={"availability": "Online, Busy, DoNotDisturb, BeRightBack, Away or Offwork"},
        ),
    ]


def presence(shown: Shown) -> Resource:
    return Resource(
        rel="presence",
        href=hrefs.own("presence"),
        properties={"activity": shown.activity, "availability": shown.availability.value},
    )


def _given(call: Call) -> bool:
    return bool(call.inputs.text("availability"))
