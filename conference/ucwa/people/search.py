"""search: people of the directory by a part of their name, address, organisation or number."""

from __future__ import annotations

from conference.storage.users import Card
from conference.ucwa.engine.call import Call, Endpoint, Reply
from conference.ucwa.engine.inputs import wrong
from conference.ucwa.engine.resource import Resource
from conference.ucwa.people import hrefs as hrefs
from conference.ucwa.people.contact_views import ContactCards
from conference.ucwa.people.directory import Directory
from conference.ucwa.people.path import uri_in

_LONGEST = 256
_LIMIT, _MOST = 50, 100


class SearchViews:
    def __init__(self, directory: Directory, cards: ContactCards) -> None:
        self._directory = directory
        self._cards = cards

    async def search(self, call: Call) -> Reply:
        limit = call.query.number("limit", 1, _MOST) or _LIMIT
        found, more = await self._found(call, limit)
        return Reply(
            resource=Resource(
                rel="search",
                href=hrefs.SEARCH,
                properties={"moreResultsAvailable": more},
                embedded={
                    "contact": await self._cards.shown(call.app.user_id, found),
                    "distributionGroup": [],
                },
            )
        )

    async def _found(self, call: Call, limit: int) -> tuple[list[Card], bool]:
        viewer = call.app.user_id
        text = (call.query.text("query", _LONGEST) or "").strip()
        if text:
            return await self._directory.search(viewer, text.removeprefix("sip:"), limit)
        if not call.query.text("mail", _LONGEST):
            raise wrong("query", "is required: a part of a name, or of an address")
        found = await self._directory.find_all(viewer, [uri_in(call.query, "mail")])
        return list(found.values()), False


def endpoints(views: SearchViews) -> list[Endpoint]:
    return [
        Endpoint(
            method="GET",
            path=hrefs.SEARCH,
            view=views.search,
            rel="search",
            summary="Find people",
            scopes=frozenset(("Contacts.ReadWrite",)),
            anonymous=False,
            revision=2,
            query={
                "query": f"a part of a name, address or number, at most {_LONGEST} characters",
                "mail": "or a whole e-mail address",
                "limit": f"how many to show at most, 1 to {_MOST}",
            },
        )
    ]
