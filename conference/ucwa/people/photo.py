"""photo and contactPhoto: a picture of the user, or of somebody else; drawn where nobody gave one."""

from __future__ import annotations

import re
import zlib
from datetime import timedelta
from email.utils import format_datetime

from conference.services.changes import Clock
from conference.storage.users import Card
from conference.ucwa.engine.call import Call, Endpoint, Reply, Scope
from conference.ucwa.engine.inputs import Inputs, wrong
from conference.ucwa.people import hrefs as hrefs
from conference.ucwa.people import identicon
from conference.ucwa.people.directory import Directory
from conference.ucwa.people.me_service import MeService
from conference.ucwa.people.path import address_of

_MINE: frozenset[Scope] = frozenset(("User.ReadWrite",))
_OTHERS: frozenset[Scope] = frozenset(("Contacts.ReadWrite",))
_SIZE = re.compile(r"HR(\d{1,4})X(\d{1,4})", re.IGNORECASE)
_SIDE = 48
_LEAST, _MOST = 16, 648
_FRESH = timedelta(hours=1)
_QUERY = {"size": f"HR48X48 and the like, from {_LEAST} to {_MOST}; of pictures that are drawn"}


class PhotoViews:
    def __init__(self, directory: Directory, service: MeService, clock: Clock) -> None:
        self._directory = directory
        self._service = service
        self._clock = clock

    async def mine(self, call: Call) -> Reply:
        return await self._reply(await self._directory.card(call.app.user_id), call)

    async def contact(self, call: Call) -> Reply:
        card = await self._directory.find(call.app.user_id, address_of(call))
        return await self._reply(card, call)

    async def _reply(self, card: Card, call: Call) -> Reply:
        side = _side(call.query)
        given = await self._service.photo(card.user.id) if card.photo else None
        if given is not None:
            content, kind = given.content, given.content_type
        else:
            content, kind = identicon.png(self._directory.address_of(card), side), "image/png"
        headers = {
            "Expires": format_datetime(self._clock() + _FRESH, usegmt=True),
            "Cache-Control": f"private, max-age={_FRESH.total_seconds():.0f}",
            "X-Content-Type-Options": "nosniff",
        }
        etag = str(zlib.crc32(content))
        return Reply(body=content, content_type=kind, headers=headers, etag=etag)


def endpoints(views: PhotoViews) -> list[Endpoint]:
    return [
        Endpoint(
            method="GET",
            path=hrefs.PHOTO,
            view=views.mine,
            rel="photo",
            summary="The user's picture, JPEG or PNG",
            scopes=_MINE,
            anonymous=False,
            gives="image/png",
            batched=False,
            query=_QUERY,
        ),
        Endpoint(
            method="GET",
            path=f"{hrefs.PEOPLE}/{{address}}/contactPhoto",
            view=views.contact,
            rel="contactPhoto",
            summary="Somebody's picture, JPEG or PNG",
            scopes=_OTHERS,
            anonymous=False,
            gives="image/png",
            batched=False,
            query=_QUERY,
        ),
    ]


def _side(query: Inputs) -> int:
    text = query.text("size", 32)
    if text is None:
        return _SIDE
    found = _SIZE.fullmatch(text)
    side = min(int(found[1]), int(found[2])) if found else 0
    if not _LEAST <= side <= _MOST:
        raise wrong("size", f"must be as HR48X48, from {_LEAST} to {_MOST}")
    return side
