"""The event channel: GET events, answered when there is something to tell."""

from __future__ import annotations

import math
from urllib.parse import urlencode

from conference.bus.channels import Resync
from conference.bus.poll_terms import DefaultTerms, PollTerms
from conference.ucwa.applications.event_service import EventService
from conference.ucwa.engine.call import Call, Endpoint, Reply
from conference.ucwa.engine.inputs import Inputs, wrong
from conference.ucwa.engine.news import News
from conference.ucwa.engine.resource import Link, NewsItem, Package

LONGEST = 1800.0
"""Seconds that a client may ask to wait for anything."""

_LARGEST_ACK = (
    10**15
)  # larger ones are out of any channel's range anyway, and Lua counts in doubles
_PRIORITY_MOST = 10**6


class EventViews:
    def __init__(
        self, service: EventService, news: News, default: DefaultTerms, silence: float
    ) -> None:
        """`default`: what holds where a client says nothing; it can't ask for a shorter timeout, nor for a shorter
        hold than the medium one. `silence`: seconds after which a client has to resume."""
        self._service = service
        self._news = news
        self._default = default
        self._silence = silence

    async def read(self, call: Call) -> Reply:
        items: list[NewsItem] = []

        def wanted(events: list[bytes]) -> bool:
            nonlocal items
            items = self._news.of(events, call.app)
            return bool(items)

        asked, found = await self._service.read(
            call.app, call.instance_id, _ack(call.query), self._terms(call.query), wanted, call.client
        )  # fmt: skip
        if isinstance(found, Resync):
            links = {"resync": Link(_address(found.ack, call.instance_id))}
            package = Package(href=_address(asked, call.instance_id), links=links)
        else:
            following = _address(asked + found.counts, call.instance_id)
            package = Package(
                href=_address(asked, call.instance_id),
                links={"resume" if found.resumed else "next": Link(following)},
                items=items if found.events else (),
            )
        return Reply(
            package=package,
            headers={"Cache-Control": "no-store"},
            closing=self._service.answering_all,
        )

    def _terms(self, query: Inputs) -> PollTerms:
        default = self._default
        priority = query.number("priority", -(10**17), 10**17)
        return PollTerms(
            default=default,
            silence=self._silence,
            timeout=_seconds(query, "timeout", default.timeout),
            medium=_seconds(query, "medium", default.medium),
            low=_seconds(query, "low", default.medium),
            priority=None if priority is None else min(max(priority, 0), _PRIORITY_MOST),
        )


def _ack(query: Inputs) -> int | None:
    """Any number may be asked for; what is out of range is told to resync."""
    ack = query.number("ack", -(10**17), 10**17)
    return None if ack is None else min(max(ack, 0), _LARGEST_ACK)


def _seconds(query: Inputs, name: str, least: float) -> float | None:
    """Taken into the bounds, not refused: clients ask for less than the least."""
    text = query.text(name, 30)
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if math.isnan(seconds):
        raise wrong(name, "must be a number of seconds")
    return min(max(seconds, least), LONGEST)


def _address(ack: int, instance_id: str | None) -> str:
    own = {"instanceId": instance_id} if instance_id else {}
    return f"events?{urlencode({'ack': ack, **own})}"


def endpoints(views: EventViews) -> list[Endpoint]:
    return [
        Endpoint(
            method="GET",
            path="events",
            view=views.read,
            rel="events",
            summary="Wait for events; asking for the next package says that this one arrived",
            query={
                "ack": "the package to read; without it the first that is not acknowledged",
                "timeout": "seconds after which the answer comes without events",
                "medium": "seconds for which events of medium urgency may wait for others",
                "low": "seconds for which events of low urgency may",
                "priority": "a request of a lower one does not take the place of a waiting one",
                "instanceId": "whose channel it is",
            },
            batched=False,
            waits=True,
        )
    ]
