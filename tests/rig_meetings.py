"""People who use the meetings API over real HTTP, and a stand-in for a media worker on the real Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer
from multidict import CIMultiDict
from redis import asyncio as aioredis

from conference.app import create_app
from conference.tokens import issue, user_named
from config.settings import Settings
from schemas import sfu

SECRET = "a secret that only these tests use."
WITHIN = 15.0
"""Seconds that anything awaited here may take."""

Json = Any
JOIN = {"audioStreamEnabled": False, "videoStreamEnabled": False}


class Answer(msgspec.Struct):
    """What came back."""

    status: int
    json: Json
    headers: CIMultiDict[str]

    @property
    def code(self) -> str:
        """The error's code."""
        return str(self.json["code"])


class Person:
    """Someone with a token and, once asked for, a channel."""

    def __init__(self, api: Api, name: str) -> None:
        self.user = user_named(name)
        self.id = str(self.user.id)
        self.headers = {"Authorization": f"Bearer {token_for(name)}"}
        self.queue_id = ""
        self._api = api
        self._next = ""

    async def call(
        self, method: str, path: str, json: Json = None, headers: dict[str, str] | None = None
    ) -> Answer:
        return await self._api.call(method, path, json, {**self.headers, **(headers or {})})

    async def get(self, path: str) -> Answer:
        return await self.call("GET", path)

    async def post(self, path: str, json: Json = None, **headers: str) -> Answer:
        return await self.call("POST", path, json, headers)

    async def put(self, path: str, json: Json = None) -> Answer:
        return await self.call("PUT", path, json)

    async def delete(self, path: str) -> Answer:
        return await self.call("DELETE", path)

    async def open_channel(self) -> str:
        """Another channel; events are read from it from now on."""
        opened = (await self.post("/channels")).json
        self.queue_id, self._next = opened["queueId"], opened["events"]
        return self.queue_id

    async def new_meeting(self, kind: str = "permanent", **fields: Json) -> str:
        """The path of a new meeting."""
        body = {"name": "stand-up", "meetingType": kind, **fields}
        created = await self.post("/meetings", body)
        assert created.status == 200, created
        return f"/meetings/{created.json['id']}"

    async def started_meeting(self, kind: str = "permanent") -> str:
        path = await self.new_meeting(kind)
        assert (await self.post(f"{path}/start")).status == 200
        return path

    async def try_join(
        self, path: str, *, audio: bool = False, video: bool = False, queue_id: str | None = None
    ) -> Answer:
        if not self.queue_id:
            await self.open_channel()
        body = {"audioStreamEnabled": audio, "videoStreamEnabled": video}
        headers = {"queue-id": queue_id or self.queue_id}
        return await self.call("POST", f"{path}/join", body, headers)

    async def join(self, path: str, **how: Json) -> str:
        """ACCEPTED or WAITING."""
        joined = await self.try_join(path, **how)
        assert joined.status == 200, joined
        return str(joined.json["status"])

    async def state(self, path: str) -> Json:
        return (await self.get(path)).json

    async def seen(self, *, quiet: float = 0.15) -> list[Json]:
        """Events that have come and were not read yet: until none comes for `quiet` seconds."""
        found: list[Json] = []
        while True:
            answer = await self.get(f"{self._next}&timeout={quiet}")
            assert answer.status == 200, answer
            self._next = answer.json.get("next") or answer.json["resync"]
            if not answer.json["events"]:
                return found
            found += answer.json["events"]

    async def until(self, kind: str, where: Callable[[Json], bool] = lambda event: True) -> Json:
        """The next event of this kind; those before it are skipped."""
        async with asyncio.timeout(WITHIN):
            while True:
                answer = await self.get(f"{self._next}&timeout=1")
                self._next = answer.json.get("next") or answer.json["resync"]
                for event in answer.json["events"]:
                    if event["type"] == kind and where(event):
                        return event


def token_for(name: str, *, now: datetime | None = None, lifetime: float = 3600) -> str:
    return issue(
        SECRET,
        user=user_named(name),
        now=now or datetime.now(UTC),
        lifetime=timedelta(seconds=lifetime),
    )


class Api:
    """One API process's application, served on a port of its own."""

    def __init__(self, server: TestServer, session: ClientSession) -> None:
        self.server = server
        self.session = session

    def person(self, name: str) -> Person:
        return Person(self, name)

    async def people(self, *names: str) -> list[Person]:
        """With a channel each."""
        found = [self.person(name) for name in names]
        for person in found:
            await person.open_channel()
        return found

    async def call(
        self,
        method: str,
        path: str,
        json: Json = None,
        headers: dict[str, str] | None = None,
        data: bytes | None = None,
    ) -> Answer:
        async with self.session.request(
            method, self.server.make_url(path), json=json, data=data, headers=headers
        ) as response:
            raw = await response.read()
            is_json = response.content_type == "application/json" and raw
            return Answer(
                response.status,
                msgspec.json.decode(raw) if is_json else raw,
                CIMultiDict(response.headers),
            )


@asynccontextmanager
async def running_api(
    database_url: str, redis_url: str, data_dir: Path, **changed: Json
) -> AsyncIterator[Api]:
    settings = Settings(
        database_url=database_url,
        redis_url=redis_url,
        data_dir=data_dir,
        **{"jwt_secret": SECRET, "command_timeout": 3.0, **changed},
    )
    async with TestServer(create_app(settings)) as server, ClientSession() as session:
        yield Api(server, session)


# --- a media worker ---------------------------------------------------------------------------

Scripted = Callable[[sfu.Command], sfu.Done | sfu.Answered | sfu.Failed | None]
"""What to reply; None: nothing at all."""


def obliging(command: sfu.Command) -> sfu.Done | sfu.Answered:
    """Takes every offer."""
    if isinstance(command.body, sfu.OfferAudio | sfu.OfferVideo):
        return sfu.Answered(sdp=f"answer to {command.body.sdp}")
    return sfu.Done()


class Worker:
    """Speaks the workers' side of the contract, and does what it is told to."""

    def __init__(self, redis_url: str, name: str) -> None:
        self.name = name
        self.reply: Scripted = obliging
        self.held: sfu.Held | None = None
        """What it says that it holds; None: it fails to say."""
        self.silent = False
        self.reported_at: list[float] = []
        self.commands: list[sfu.Command] = []
        self.load = 0.0
        self.draining = False
        self.redis = aioredis.from_url(redis_url)
        self._pubsub = self.redis.pubsub()
        self._tasks: list[asyncio.Task[None]] = []

    def asked(self, kind: type[sfu.Message]) -> list[Any]:
        """The bodies of commands of this kind."""
        return [command.body for command in self.commands if isinstance(command.body, kind)]

    async def start(self) -> None:
        await self._pubsub.subscribe(sfu.command_channel(self.name))
        await self._pubsub.get_message(timeout=WITHIN)
        await self._register()
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._beat())]

    async def die(self) -> None:
        """As by SIGKILL: its record stays until it runs out. Idempotent."""
        async with asyncio.timeout(WITHIN):
            while pending := [task for task in self._tasks if not task.done()]:
                for task in pending:  # the Redis client swallows a cancellation now and then
                    task.cancel()
                await asyncio.wait(pending, timeout=0.2)
        await self._pubsub.aclose()
        await self.redis.aclose()

    async def forget(self) -> None:
        """Its record has run out."""
        await self.redis.delete(sfu.worker_key(self.name))

    async def notice(self, meeting: str, epoch: int, body: Any) -> None:
        notice = sfu.Notice(worker=self.name, meeting=UUID(meeting), epoch=epoch, body=body)
        entry = {sfu.NOTICE_FIELD: msgspec.msgpack.encode(notice)}
        await self.redis.xadd(sfu.NOTICE_STREAM, entry)

    async def _register(self) -> None:
        record = sfu.WorkerRecord(
            id=self.name,
            pid=1,
            load=self.load,
            meetings=0,
            peers=0,
            draining=self.draining,
            native=False,
            media=[],
        )
        await self.redis.set(
            sfu.worker_key(self.name), msgspec.msgpack.encode(record), px=int(sfu.WORKER_TTL * 1000)
        )

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(0.3)
            await self._register()

    async def _listen(self) -> None:
        async for message in self._pubsub.listen():
            if message["type"] != "message":
                continue
            command = msgspec.msgpack.decode(message["data"], type=sfu.Command)
            result: sfu.Result | None
            assert command.deadline > time.time() - WITHIN
            if isinstance(command.body, sfu.Report):
                self.reported_at.append(time.monotonic())
                result = self.held or sfu.Failed(code="internal", reason="nobody asked before")
                result = None if self.silent else result
            else:
                self.commands.append(command)
                result = self.reply(command)
            if result is not None:
                reply = msgspec.msgpack.encode(sfu.Reply(id=command.id, result=result))
                await self.redis.publish(command.reply_to, reply)


@asynccontextmanager
async def running_worker(redis_url: str, name: str | None = None) -> AsyncIterator[Worker]:
    worker = Worker(redis_url, name or f"worker-{uuid4().hex[:6]}")
    await worker.start()
    try:
        yield worker
    finally:
        await worker.die()


def kinds(events: list[Json]) -> list[str]:
    """The types of events, without their family's prefix."""
    return [event["type"].removeprefix("MEETING_") for event in events]


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN):
        while not condition():
            await asyncio.sleep(0.01)
