"""note: a sentence that the user leaves for others; an empty POST takes it away."""

from __future__ import annotations

from conference.ucwa.engine.call import Call, Endpoint, Reply, Scope
from conference.ucwa.engine.resource import Resource
from conference.ucwa.people import hrefs as hrefs
from conference.ucwa.people.presence_rules import NoteType
from conference.ucwa.people.presence_service import PresenceService

LONGEST = 500

_SCOPES: frozenset[Scope] = frozenset(("User.ReadWrite",))


class NoteViews:
    def __init__(self, service: PresenceService) -> None:
        self._service = service

    async def get(self, call: Call) -> Reply:
        return Reply(resource=note((await self._service.published(call.app)).note))

    async def write(self, call: Call) -> Reply:
        await self._service.set_note(call.app, call.inputs.text("message", LONGEST) or "")
        return Reply(status=204)


def endpoints(views: NoteViews) -> list[Endpoint]:
    return [
        Endpoint(
            method="GET",
            path=hrefs.own("note"),
            view=views.get,
            rel="note",
            summary="The user's note",
            scopes=_SCOPES,
            anonymous=False,
        ),
        Endpoint(
            method="POST",
            path=hrefs.own("note"),
            view=views.write,
            rel="note",
            summary="Leave a note, or none",
            scopes=_SCOPES,
            anonymous=False,
            returns=204,
            inputs={"message": f"at most {LONGEST} characters"},
        ),
    ]


def note(message: str) -> Resource:
    return Resource(rel="note", href=hrefs.own("note"), properties=properties(message))


def properties(message: str) -> dict[str, str]:
    return {"message": message, "type": NoteType.PERSONAL.value}
