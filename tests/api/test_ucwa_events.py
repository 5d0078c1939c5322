"""The event channel over HTTP, in JSON and in XML: packages, bounds, and what is told when they do not hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
from channel_rig import Rig, until
from rig_meetings import WITHIN, Api
from ucwa_numbers import (
    NOW,
    number_of,
    numbers,
    queue_of,
    tell,
    tell_what_nobody_renders,
)
from ucwa_people import subscribe
from ucwa_rig import Answer, Program, events_of, running_ucwa

from conference.domain.facts import Urgency
from conference.ucwa.conversations.facts import ConversationNews, Step

Start = Callable[..., Awaitable["Client"]]


class Client:
    """A program with an application, and what publishes to its channel."""

    def __init__(self, api: Api, program: Program, rig: Rig, queue: UUID) -> None:
        self.api = api
        self.program = program
        self.rig = rig
        self.queue = queue
        self.address = program.next.partition("?")[0]

    async def get(self, **query: Any) -> Answer:
        pairs = "&".join(f"{name}={value}" for name, value in query.items())
        return await asyncio.wait_for(self.program.get(f"{self.address}?{pairs}"), WITHIN)

    async def parked(self, **query: Any) -> asyncio.Task[Answer]:
        """A poll, once it waits."""
        before = await self._reader()
        poll = asyncio.ensure_future(self.get(**{"timeout": WITHIN, **query}))

        async def waits() -> bool:
            return await self._reader() not in (None, before)

        await until(waits)
        return poll

    async def tell(self, *told: int, urgency: Urgency = Urgency.HIGH) -> None:
        await tell(self.rig, self.queue, *told, urgency=urgency)

    async def _reader(self) -> object:
        return await self.rig.link.lane.call(b"HGET", f"parley:channel:{self.queue}", b"reader")


@pytest.fixture
async def start(
    pool: asyncpg.Pool, database_url: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[Start]:
    """Call it for a client of a server with these settings."""
    async with AsyncExitStack() as stack:
        rig = await stack.enter_async_context(Rig(pool, redis_url))

        async def start(xml: bool = False, instance: str | None = None, **settings: Any) -> Client:
            running = running_ucwa(database_url, redis_url, tmp_path, **settings)
            api = await stack.enter_async_context(running)
            program = Program(api, "alice", xml=xml)
            inputs = {"instanceId": instance} if instance else {}
            created = await program.start(**inputs)
            return Client(api, program, rig, await queue_of(rig, created.href))

        yield start


@pytest.fixture(params=["json", "xml"])
async def client(start: Start, request: pytest.FixtureRequest) -> Client:
    return await start(xml=request.param == "xml")


def links(answer: Answer) -> dict[str, str]:
    return {rel: link["href"] for rel, link in answer.json["_links"].items()}


# --- packages ---------------------------------------------------------------------------------


async def test_a_package_says_what_to_ask_for_next(client: Client) -> None:
    await client.tell(1, 2)
    answer = await client.get(ack=1)
    assert answer.status == 200
    assert links(answer) == {
        "self": f"{client.address}?ack=1",
        "next": f"{client.address}?ack=2",
    }
    assert numbers(answer) == [1, 2]
    assert [event["type"] for event in events_of(answer)] == ["deleted", "deleted"]
    assert answer.headers["Cache-Control"] == "no-store"


async def test_a_package_is_repeated_until_it_is_acknowledged(client: Client) -> None:
    await client.tell(1)
    first = await client.get(ack=1)
    await client.tell(2)
    assert (await client.get(ack=1)).raw == first.raw
    assert numbers(await client.get(ack=2)) == [2]


async def test_a_waiting_request_is_answered_by_the_first_event(client: Client) -> None:
    poll = await client.parked(ack=1)
    await client.tell(1)
    assert numbers(await poll) == [1]


async def test_senders_recur_and_keep_their_order(client: Client) -> None:
    for number in (1, 2):
        news = ConversationNews(
            sent_date=NOW,
            meeting_id=UUID(int=number),
            viewer=UUID(int=1),
            steps=(
                Step(what="onlineMeeting", type="added"),
                Step(what="conversation", type="deleted"),
            ),
        )
        await client.rig.bus.publish(uuid4(), [client.queue], msgspec.json.encode(news))
    answer = await client.get(ack=1)
    senders = [sender["rel"] for sender in answer.json["sender"]]
    assert senders == ["conversation", "communication", "conversation", "communication"]
    assert [number_of(event) for event in events_of(answer) if event["type"] == "deleted"] == [1, 2]


async def test_an_instance_keeps_its_name_in_the_links(start: Start) -> None:
    client = await start(instance="a&b")
    assert client.program.next.endswith("/events?ack=1&instanceId=a%26b")
    answer = await client.program.get(client.program.next)
    assert links(answer)["next"].endswith("/events?ack=2&instanceId=a%26b")


async def test_without_a_position_the_current_one_is_read(client: Client) -> None:
    await client.tell(1)
    await client.get(ack=1)
    await client.get(ack=2)
    await client.tell(2)
    answer = await client.program.get(client.address)
    assert links(answer)["self"].endswith("?ack=2"), "it was answered empty, and not acknowledged"
    answer = await client.program.get(links(answer)["next"])
    assert numbers(answer) == [2]


async def test_names_in_the_query_are_of_any_case(client: Client) -> None:
    await client.tell(1)
    assert numbers(await client.get(ACK=1, TimeOut=1, PRIORITY=3)) == [1]


# --- positions that do not hold ---------------------------------------------------------------


@pytest.mark.parametrize("ack", [-1, 0, 3, 10**15, 10**17 - 1])
async def test_out_of_range(client: Client, ack: int) -> None:
    await client.tell(1)
    await client.get(ack=1)
    answer = await client.get(ack=ack)
    assert answer.status == 200
    assert set(links(answer)) == {"self", "resync"}
    assert answer.json["sender"] == []
    again = await client.program.get(links(answer)["resync"])
    assert numbers(again) == [1], "the first package that is not acknowledged"


@pytest.mark.parametrize(
    "query",
    [{"ack": "one"}, {"ack": ""}, {"ack": "1.5"}, {"timeout": "soon"}, {"timeout": "nan"},
     {"medium": "x"}, {"low": "x"}, {"priority": "high"}],
)  # fmt: skip
async def test_what_is_no_number_is_named(client: Client, query: dict[str, str]) -> None:
    refused = await client.get(**{"ack": 1, **query})
    assert (refused.status, refused.subcode) == (400, "ParameterValidationFailure")
    assert list(refused.json["parameters"]) == list(query)


async def test_emptied_redis(client: Client) -> None:
    await client.tell(1)
    await client.rig.link.lane.call(b"FLUSHALL")
    answer = await client.get(ack=1)
    assert set(links(answer)) == {"self", "resync"}
    await client.tell(2)
    assert numbers(await client.program.get(links(answer)["resync"])) == [2]


# --- waiting ----------------------------------------------------------------------------------


async def test_an_empty_answer_has_links_only(client: Client) -> None:
    answer = await client.get(ack=1)
    assert answer.status == 200
    assert answer.json["sender"] == []
    assert links(answer) == {"self": f"{client.address}?ack=1", "next": f"{client.address}?ack=2"}
    if not client.program.xml:
        assert msgspec.json.decode(answer.raw).keys() == {"_links", "sender"}


async def test_a_timeout_is_taken_into_its_bounds_and_sticks(start: Start) -> None:
    client = await start(ucwa_poll_timeout=0.2)
    begun = monotonic()
    await client.get(ack=1, timeout=0)
    assert monotonic() - begun >= 0.2
    begun = monotonic()
    await client.get(ack=2, timeout=0.5)
    await client.get(ack=3)
    assert monotonic() - begun >= 1.0


async def test_medium_events_are_held_and_released(start: Start) -> None:
    client = await start(ucwa_poll_timeout=WITHIN, ucwa_hold_medium=100, ucwa_hold_low=100)
    poll = await client.parked(ack=1)
    await client.tell(1, urgency=Urgency.LOW)
    await client.tell(2, urgency=Urgency.MEDIUM)
    await client.tell(3)
    assert numbers(await poll) == [1, 2, 3]


async def test_a_hold_that_is_asked_for(start: Start) -> None:
    client = await start(ucwa_poll_timeout=WITHIN, ucwa_hold_medium=0.1, ucwa_hold_low=100)
    begun = monotonic()
    poll = await client.parked(ack=1, medium=0.3, low=0)
    await client.tell(1, urgency=Urgency.MEDIUM)
    assert numbers(await poll) == [1]
    assert monotonic() - begun >= 0.3
    begun = monotonic()
    await client.tell(2, urgency=Urgency.LOW)
    assert numbers(await client.get(ack=2)) == [2]
    assert monotonic() - begun >= 0.09, "as short as a medium one may be, and not shorter"


async def test_what_nobody_renders_neither_answers_nor_counts(client: Client) -> None:
    async def held() -> int:
        found = await client.rig.link.lane.call(b"LLEN", f"parley:events:{client.queue}")
        assert isinstance(found, int)
        return found

    async def passed_over() -> bool:
        return await held() == 0

    poll = await client.parked(ack=1)
    for _ in range(3):
        await tell_what_nobody_renders(client.rig, client.queue)
    await until(passed_over)
    await client.tell(1)
    answer = await poll
    assert numbers(answer) == [1]
    assert links(answer)["next"].endswith("?ack=2")
    assert await held() == 1, "what was of no use is not kept"


# --- two at once ------------------------------------------------------------------------------


async def test_a_second_request_takes_the_place_of_the_first(client: Client) -> None:
    older = await client.parked(ack=1)
    newer = await client.parked(ack=1)
    replaced = await older
    assert replaced.status == 409
    assert (replaced.json["code"], replaced.subcode) == ("Conflict", "PGetReplaced")
    await client.tell(1)
    assert numbers(await newer) == [1]


async def test_but_not_one_of_lower_priority(client: Client) -> None:
    older = await client.parked(ack=1, priority=2)
    refused = await client.get(ack=1, priority=1)
    assert (refused.status, refused.subcode) == (409, "PGetReplaced")
    await client.tell(1)
    assert numbers(await older) == [1]


async def test_a_request_that_is_told_to_resync_replaces_nobody(client: Client) -> None:
    older = await client.parked(ack=1)
    assert "resync" in links(await client.get(ack=9))
    await client.tell(1)
    assert numbers(await older) == [1]


# --- silence, ends ----------------------------------------------------------------------------


async def test_after_a_long_silence_the_client_resumes(start: Start) -> None:
    client = await start(ucwa_resume_after=60)
    await client.get(ack=1)
    name = str(client.queue).encode()
    await client.rig.link.lane.call(b"ZINCRBY", b"parley:seen", -61_000, name)
    await client.tell(1)
    answer = await client.get(ack=2)
    assert set(links(answer)) == {"self", "resume"}
    assert numbers(answer) == [1]
    following = await client.program.get(links(answer)["resume"])
    assert set(links(following)) == {"self", "next"}


@pytest.mark.parametrize("alone", [True, False])
async def test_who_resumes_has_no_subscriptions_left(start: Start, alone: bool) -> None:
    """Unless another instance of the application is there to have them."""
    client = await start(instance="one", ucwa_resume_after=60)
    program = client.program
    if not alone:
        inputs = {"endpointId": "phone", "instanceId": "two"}
        application = {"culture": "en-US", "userAgent": "Tests/1.0", **inputs}
        program.application = (await program.start(**application)).href
        await program.start(**{**application, "instanceId": "three"})
        client = Client(
            client.api, program, client.rig, await queue_of(client.rig, program.application)
        )
    subscription = (await subscribe(program, "bob@example.com")).href
    instance = program.application.partition("?")[2]
    first = await program.get(f"{client.address}?{instance}")
    name = str(client.queue).encode()
    await client.rig.link.lane.call(b"ZINCRBY", b"parley:seen", -61_000, name)
    answer = await program.get(links(first)["next"])
    assert "resume" in links(answer)
    assert (await program.get(subscription)).status == (404 if alone else 200)


async def test_a_waiting_request_hears_why_the_application_ended(start: Start) -> None:
    client = await start(ucwa_applications_max=1)
    poll = await client.parked(ack=1)
    await Program(client.api, "alice").start()
    gone = await poll
    assert (gone.status, gone.subcode) == (410, "TooManyApplications")


async def test_a_waiting_request_hears_that_the_application_was_deleted(client: Client) -> None:
    poll = await client.parked(ack=1)
    assert (await client.program.delete(client.program.application)).status == 204
    gone = await poll
    assert (gone.status, gone.subcode) == (404, "ApplicationNotFound")


async def test_a_server_that_stops_answers_who_waits(client: Client) -> None:
    poll = await client.parked(ack=1)
    await client.api.server.close()
    answer = await poll
    assert answer.status == 200
    assert answer.json["sender"] == []
    assert answer.headers["Connection"].lower() == "close"


# --- its form in XML --------------------------------------------------------------------------


async def test_the_form_in_xml(start: Start) -> None:
    client = await start(xml=True)
    await client.tell(1)
    answer = await client.get(ack=1)
    conversation = f"{client.program.application}/communication/conversations/{UUID(int=1)}"
    assert answer.raw.decode() == (
        '<?xml version="1.0" encoding="utf-8"?>'
        f'<events href="{client.address}?ack=1" xmlns="http://schemas.microsoft.com/rtc/2012/03/ucwa">'
        f'<link rel="next" href="{client.address}?ack=2"/>'
        f'<sender rel="communication" href="{client.program.application}/communication">'
        f'<deleted rel="conversation" href="{conversation}"/></sender></events>'
    )
