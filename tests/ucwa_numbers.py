"""Events that carry a number through an application's channel, put there as another process would."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec
from channel_rig import Rig
from rig_meetings import Json
from ucwa_rig import Answer, events_of

from conference.domain.facts import Urgency
from conference.ucwa.conversations.facts import ConversationNews, Step
from schemas.events import ParticipantJoined

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def numbered(number: int) -> ConversationNews:
    """communication says: conversation `number` deleted."""
    return ConversationNews(
        sent_date=NOW,
        meeting_id=UUID(int=number),
        viewer=UUID(int=1),
        steps=(Step(what="conversation", type="deleted"),),
    )


def numbers(answer: Answer) -> list[int]:
    return [number_of(event) for event in events_of(answer)]


def number_of(event: Json) -> int:
    return UUID(event["link"]["href"].rpartition("/")[2]).int


async def queue_of(rig: Rig, application: str) -> UUID:
    """The event channel of an application, given its address."""
    address, _, query = application.rpartition("/")[2].partition("?")
    found: UUID = await rig.pool.fetchval(
        "select queue_id from ucwa_instances where application_id = $1 and instance_id = $2",
        address,
        query.removeprefix("instanceId="),
    )
    return found


async def tell(rig: Rig, queue: UUID, *told: int, urgency: Urgency = Urgency.HIGH) -> None:
    for number in told:
        event = msgspec.json.encode(numbered(number))
        assert await rig.bus.publish(uuid4(), [queue], event, urgency=urgency)


async def tell_what_nobody_renders(rig: Rig, queue: UUID) -> None:
    event = ParticipantJoined(sent_date=NOW, meeting_id=UUID(int=1), user_id=UUID(int=2))
    assert await rig.bus.publish(uuid4(), [queue], msgspec.json.encode(event))
