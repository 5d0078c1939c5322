"""A family of three routes in this one file, with a form of errors, events and a sweep of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from aiohttp.web_urldispatcher import UrlDispatcher
from rig_meetings import SECRET, WITHIN, Api, token_for

from conference.api.auth import caller
from conference.api.body import path_id
from conference.api.family import Family, Shared
from conference.api.openapi import Operation
from conference.app import FAMILIES, create_app
from conference.bus.channels import Batch
from conference.bus.poll_terms import plain
from conference.domain.facts import Audience, Outgoing
from conference.errors import NotFound
from conference.services.changes import Decided, Observer
from conference.storage.meetings import Connection
from conference.tokens import issue, user_named
from config.settings import Settings
from schemas.errors import Problem
from schemas.events import MeetingEvent


class Rung(MeetingEvent, frozen=True, kw_only=True, tag="TOY_RUNG"):
    name: str


class Toy(Family):
    """A bell is a channel that rings when any meeting starts, and goes once it was heard and nobody said to keep it."""

    name = "toy"
    prefixes: Sequence[str] = ("/toy",)
    open_paths: Collection[str] = ("/toy",)
    token_mark = "toy!"
    guests_join_at = "/toy"
    about = "A toy.\n"

    def __init__(self, shared: Shared) -> None:
        self._channels = shared.channels
        self._bells: set[UUID] = set()
        self._heard: set[UUID] = set()
        self.observers: Sequence[Observer] = [self._ring]

    def operations(self) -> list[Operation]:
        return [
            _operation("greet", "GET", "/toy", self._greet, public=True),
            _operation("hang", "POST", "/toy/bells", self._hang),
            _operation("hear", "GET", "/toy/bells/{bell}", self._hear),
        ]

    def render(self, request: web.Request, status: int, problem: Problem) -> web.Response:
        return web.Response(status=status, text=f"no ({problem.code}): {problem.message}")

    def add_routes(self, router: UrlDispatcher) -> None:
        router.add_get("/bellfounder", self._greet)

    def spelled(self, path: str) -> str:
        return "/toy" if path == "/bellfounder" else path

    def cookie_token(self, request: web.Request) -> str | None:
        return request.cookies.get("toy")

    def admits_guests(self, path: str) -> bool:
        return path.startswith("/toy/bells")

    async def owned(self, channels: Collection[UUID]) -> Collection[UUID]:
        return self._bells.intersection(channels)

    async def channel_closed(self, channel: UUID) -> None:
        self._bells.discard(channel)
        self._heard.discard(channel)

    async def sweep(self) -> None:
        for bell in set(self._heard):
            await self._channels.close(bell)

    async def _greet(self, request: web.Request) -> web.Response:
        return web.Response(text="ding")

    async def _hang(self, request: web.Request) -> web.Response:
        bell = await self._channels.open(caller(request).user_id)
        self._bells.add(bell)
        return web.Response(status=201, text=str(bell))

    async def _hear(self, request: web.Request) -> web.Response:
        bell = path_id(request, "bell")
        if bell not in self._bells:
            raise NotFound("no such bell", code="silence")
        _, batch = await self._channels.poll(bell, caller(request).user_id, None, plain(0.1))
        events = batch.events if isinstance(batch, Batch) else []
        rung = [_rendered(event) for event in events if b"TOY_RUNG" in event]
        if rung:
            self._heard.add(bell)
        return web.Response(text="".join(rung))

    async def _ring(self, conn: Connection, decided: Decided) -> list[Outgoing]:
        after = decided.after
        if after is None or decided.before.active or not after.active:
            return []
        rung = Rung(sent_date=decided.at, meeting_id=after.id, name=after.name)
        return [Outgoing(event=rung, audience=Audience(queues=frozenset(self._bells)))]


def _operation(
    name: str, method: str, path: str, handler: object, *, public: bool = False
) -> Operation:
    return Operation(
        id=name,
        method=method,
        path=path,
        handler=handler,  # type: ignore[arg-type]
        summary=name,
        tag="toy",
        returns={200: str},
        media_type="text/plain",
        problem=str,
        public=public,
    )


def _rendered(event: bytes) -> str:
    return f"{msgspec.json.decode(event, type=Rung).name} has begun\n"


IDLE = 0.4
RUNG = "stand-up has begun\n"


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    settings = Settings(
        database_url=database_url,
        redis_url=redis_url,
        data_dir=tmp_path,
        jwt_secret=SECRET,
        sweep_interval=0.1,
        channel_idle=IDLE,
    )
    app = create_app(settings, (*FAMILIES, Toy))
    async with TestServer(app) as server, ClientSession() as session:
        yield Api(server, session)


async def text(
    api: Api, method: str, path: str, headers: dict[str, str] | None = None
) -> tuple[int, str]:
    url = api.server.make_url(path)
    async with api.session.request(method, url, headers=headers or {}) as response:
        return response.status, await response.text()


def signed(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token_for(name)}"}


async def test_it_refuses_in_its_own_form_and_nobody_else_does(api: Api) -> None:
    assert await text(api, "GET", "/TOY/bells/x") == (
        401,
        "no (no_token): this needs a bearer token",
    )
    assert await text(api, "GET", f"/toy/bells/{uuid4()}", signed("alice")) == (
        404,
        "no (silence): no such bell",
    )
    assert (await api.call("GET", "/nowhere", headers=signed("alice"))).code == "not_found"
    assert (await api.call("GET", "/ucwa/nowhere", headers=signed("alice"))).code == "NotFound"


async def test_its_open_path_needs_no_token_however_it_is_spelled(api: Api) -> None:
    assert await text(api, "GET", "/toy") == (200, "ding")
    assert await text(api, "GET", "/bellfounder") == (200, "ding")


async def test_its_requests_carry_tokens_in_its_own_ways(api: Api) -> None:
    token = token_for("alice")
    for headers in ({"Authorization": f"Bearer toy!{token}"}, {"Cookie": f"toy={token}"}):
        assert (await text(api, "POST", "/toy/bells", headers))[0] == 201, headers
    marked = {"Authorization": f"Bearer toy!{token}"}
    assert (await api.call("GET", "/meetings", headers=marked)).status == 200
    assert (await api.call("GET", "/meetings", headers={"Cookie": f"toy={token}"})).status == 401


async def test_it_takes_guests_where_it_says_so(api: Api) -> None:
    lifetime = timedelta(minutes=1)
    token = issue(
        SECRET, user=user_named("bob"), now=datetime.now(UTC), lifetime=lifetime, meeting=uuid4()
    )
    guest = {"Authorization": f"Bearer {token}"}
    assert (await text(api, "POST", "/toy/bells", guest))[0] == 201
    assert (await text(api, "GET", "/toy/else", guest))[0] == 403
    refused = await api.call("GET", "/meetings", headers=guest)
    assert refused.json["message"].endswith("join it through /ucwa or /toy")


async def test_it_is_described_beside_the_others(api: Api) -> None:
    described = (await api.call("GET", "/openapi.json")).json
    assert {"/toy", "/toy/bells", "/toy/bells/{bell}", "/meetings", "/ucwa"} <= set(
        described["paths"]
    )
    assert described["info"]["description"].endswith("\n\nA toy.\n")


async def test_it_is_shown_changes_and_renders_what_it_makes_of_them(api: Api) -> None:
    _, bell = await text(api, "POST", "/toy/bells", signed("alice"))
    await api.person("bob").started_meeting()
    assert await text(api, "GET", f"/toy/bells/{bell}", signed("alice")) == (200, RUNG)


async def test_its_channels_end_by_its_own_sweep_alone(api: Api) -> None:
    _, bell = await text(api, "POST", "/toy/bells", signed("alice"))
    alice = api.person("alice")
    await alice.open_channel()
    await _gone(api, "HEAD", f"/channels/{alice.queue_id}/events")
    await api.person("bob").started_meeting()
    assert await text(api, "GET", f"/toy/bells/{bell}", signed("alice")) == (200, RUNG)
    await _gone(api, "GET", f"/toy/bells/{bell}")


async def _gone(api: Api, method: str, path: str) -> None:
    """Until a sweep has closed it."""
    async with asyncio.timeout(WITHIN):
        while (await text(api, method, path, signed("alice")))[0] != 404:
            await asyncio.sleep(0.05)


async def test_without_families_our_own_api_is_all_there_is(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = Settings(
        database_url=database_url, redis_url=redis_url, data_dir=tmp_path, jwt_secret=SECRET
    )
    async with TestServer(create_app(settings, ())) as server, ClientSession() as session:
        api = Api(server, session)
        assert (await api.call("GET", "/meetings", headers=signed("alice"))).status == 200
        assert (await api.call("GET", "/ucwa", headers=signed("alice"))).code == "not_found"
        paths = (await api.call("GET", "/openapi.json")).json["paths"]
        assert not [path for path in paths if path.startswith("/ucwa")]
