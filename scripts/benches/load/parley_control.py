"""Commands to a Parley worker and news from it, over Redis as schemas/sfu.py has it."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import time
from uuid import UUID

import msgspec
from redis import asyncio as aioredis

from load.stage import ServerFailed
from schemas.sfu import (
    NOTICE_FIELD,
    NOTICE_STREAM,
    WORKER_KEY_PREFIX,
    Answered,
    Body,
    Command,
    Done,
    Failed,
    Feed,
    Notice,
    Offered,
    Reply,
    VideoLive,
    WorkerRecord,
    command_channel,
    worker_key,
)

_REPLY_WITHIN = 30.0
_READY_WITHIN = 20.0
_Streams = list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]


class WorkerControl:
    """Commands, their replies, and the notices of one worker."""

    def __init__(self, redis_url: str) -> None:
        self.live: set[Feed] = set()
        self._redis: aioredis.Redis = aioredis.Redis.from_url(redis_url, protocol=2)
        self._worker = ""
        self._reply_to = f"bench:{secrets.token_hex(8)}"
        self._waiting: dict[str, asyncio.Future[Done | Answered | Failed]] = {}
        self._offers: dict[UUID, asyncio.Queue[Offered]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._failure: ServerFailed | None = None

    async def open(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for the worker's registration. Raises ServerFailed."""
        listening = asyncio.Event()
        self._tasks = [
            asyncio.create_task(self._read_replies(listening)),
            asyncio.create_task(self._read_notices()),
        ]
        await listening.wait()
        deadline = time.monotonic() + _READY_WITHIN
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise ServerFailed(f"the worker ended at once ({process.returncode})")
            keys = [key async for key in self._redis.scan_iter(f"{WORKER_KEY_PREFIX}*")]
            value = await self._redis.get(keys[0]) if keys else None
            if isinstance(value, bytes):
                self._worker = msgspec.msgpack.decode(value, type=WorkerRecord).id
                return
            await asyncio.sleep(0.05)
        raise ServerFailed("the worker did not register")

    async def counters(self) -> dict[str, int]:
        """Of the worker's last heartbeat."""
        value = await self._redis.get(worker_key(self._worker))
        if not isinstance(value, bytes):
            raise ServerFailed("the worker is no longer registered")
        return msgspec.msgpack.decode(value, type=WorkerRecord).counters

    async def call(self, meeting: UUID, body: Body) -> str:
        """The answer's SDP, or nothing. Raises ServerFailed."""
        identifier = secrets.token_hex(8)
        command = Command(
            id=identifier,
            reply_to=self._reply_to,
            deadline=time.time() + _REPLY_WITHIN,
            meeting=meeting,
            epoch=1,
            body=body,
        )
        future: asyncio.Future[Done | Answered | Failed] = (
            asyncio.get_running_loop().create_future()
        )
        self._waiting[identifier] = future
        try:
            channel = command_channel(self._worker)
            await self._redis.publish(channel, msgspec.msgpack.encode(command))
            async with asyncio.timeout(_REPLY_WITHIN):
                result = await future
        except TimeoutError:
            raise ServerFailed(f"no reply to {type(body).__name__}") from None
        finally:
            self._waiting.pop(identifier, None)
        if isinstance(result, Failed):
            raise ServerFailed(f"{type(body).__name__}: {result.code}, {result.reason}")
        return result.sdp if isinstance(result, Answered) else ""

    def offers(self, user: UUID) -> asyncio.Queue[Offered]:
        return self._offers.setdefault(user, asyncio.Queue())

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._redis.aclose()

    async def _read_replies(self, listening: asyncio.Event) -> None:
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(self._reply_to)
            listening.set()
            while True:
                message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=10)
                if message is None:
                    continue
                reply = msgspec.msgpack.decode(message["data"], type=Reply)
                future = self._waiting.get(reply.id)
                if future is not None and not future.done():
                    future.set_result(reply.result)

    async def _read_notices(self) -> None:
        last: bytes | str = "0"
        while True:
            found = await self._redis.xread({NOTICE_STREAM: last}, count=500, block=1000)
            for _, entries in msgspec.convert(found or [], _Streams):
                for entry, fields in entries:
                    last = entry
                    self._noticed(msgspec.msgpack.decode(fields[NOTICE_FIELD], type=Notice))

    def _noticed(self, notice: Notice) -> None:
        body = notice.body
        if isinstance(body, Offered):
            self.offers(body.user).put_nowait(body)
        elif isinstance(body, VideoLive):
            self.live.add(Feed(body.user, body.kind))
