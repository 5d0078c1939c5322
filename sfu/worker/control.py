"""The worker's side of the control contract (schemas/sfu.py) over Redis: commands in; replies and notices out.

Nothing here waits for Redis on a caller's behalf. What has to go out is queued and sent in order by one
task, so that a slow or absent Redis delays news and never media. A defect in one command, notice or record is
counted, logged and passed over.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Coroutine
from contextlib import suppress

import msgspec
import structlog
from redis import asyncio as aioredis
from redis.exceptions import RedisError
from redis.typing import EncodableT

from config.tasks import end
from schemas.sfu import (
    HEARTBEAT_INTERVAL,
    NOTICE_FIELD,
    NOTICE_STREAM,
    NOTICE_STREAM_CAP,
    WORKER_TTL,
    Command,
    Failed,
    Notice,
    Reply,
    Result,
    WorkerRecord,
    command_channel,
    worker_key,
)
from sfu.guard import Guard
from sfu.worker.redis_clock import RedisClock

OUTBOX_LIMIT = 10_000
"""Replies and notices that wait for Redis; past it the oldest are dropped and counted."""
REPLIES_KEPT = 2048
"""For commands that come again, until their deadlines."""
SOCKET_TIMEOUT = 5.0
PING_INTERVAL = 2.0
"""A command channel on which nothing came for so long is asked whether it still is one, and given up if it isn't."""
_BATCH = 128
_RETRY_DELAYS = (0.1, 0.2, 0.5, 1.0)

log = structlog.get_logger(__name__)

_TROUBLE = (RedisError, OSError, TimeoutError)


class Control:
    """`execute` carries a command out; `record` says what the registry shall know of the worker."""

    def __init__(
        self,
        redis_url: str,
        worker: str,
        *,
        execute: Callable[[Command], Result],
        record: Callable[[], WorkerRecord],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._worker = worker
        self._execute = execute
        self._record = record
        self._monotonic = monotonic
        self._clock = RedisClock(monotonic)
        self._guard = Guard(self.counters)
        self._redis = aioredis.Redis.from_url(redis_url, socket_timeout=SOCKET_TIMEOUT)
        self._outbox: deque[tuple[str | None, bytes]] = deque()
        self._work = asyncio.Event()
        self._registered = asyncio.Event()
        self._news = asyncio.Event()
        self._replies: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._commands = msgspec.msgpack.Decoder(Command)
        self._encoder = msgspec.msgpack.Encoder()

    async def run(self) -> None:
        """Listen, send and keep the registration fresh, until cancelled."""
        works = (self._listen, self._send, self._heartbeat)
        tasks = [asyncio.create_task(self._forever(work)) for work in works]
        try:
            await asyncio.gather(*tasks)
        finally:
            await end(tasks)

    async def registered(self) -> None:
        """Wait for the first registration: from then on, meetings may be placed here."""
        await self._registered.wait()

    def notify(self, notice: Notice) -> None:
        with self._guard.over("telling"):
            self._queue(None, self._encoder.encode(notice))

    def announce(self) -> None:
        """Write the record soon: a worker that begins to drain should not wait for its next heartbeat."""
        self._news.set()

    async def register(self) -> None:
        """Write the record, and read the clock of Redis on the way."""
        value = self._encoder.encode(self._record())
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.set(worker_key(self._worker), value, px=int(WORKER_TTL * 1000))
        pipeline.time()
        asked_at = self._monotonic()
        _, (seconds, microseconds) = await pipeline.execute()
        self._clock.heard(seconds + microseconds / 1_000_000, asked_at)

    async def close(self) -> None:
        """Take the registration back, send what waits, and disconnect. Call after `run` has ended."""
        with suppress(*_TROUBLE):
            async with asyncio.timeout(1.0):
                await self._redis.delete(worker_key(self._worker))
                while self._outbox:
                    await self._send_batch()
        await self._redis.aclose()

    # commands

    async def _listen(self) -> None:
        try:
            async with self._redis.pubsub() as pubsub:
                await pubsub.subscribe(command_channel(self._worker))
                asked = False
                while True:
                    message = await pubsub.get_message(timeout=PING_INTERVAL)
                    if message is not None:
                        asked = False
                        await self._message(message)
                    elif asked:
                        raise TimeoutError("nothing comes on the command channel")
                    else:
                        # A connection that went away without a word would never bring anything again.
                        asked = True
                        await pubsub.ping()
        finally:
            # Who hears no commands must not be given meetings: no heartbeat until subscribed again.
            self._registered.clear()

    async def _message(self, message: dict[str, object]) -> None:
        if message["type"] == "subscribe":
            await self.register()
            self._registered.set()
        elif message["type"] == "message" and isinstance(message["data"], bytes):
            self._command(message["data"])

    def _command(self, data: bytes) -> None:
        try:
            command = self._commands.decode(data)
        except msgspec.DecodeError as error:
            self.counters["commands_malformed"] += 1
            log.warning("command_malformed", error=str(error))
            return
        _, reply = self._replies.get(command.id, (0.0, None))
        if reply is None:
            reply = self._encoder.encode(Reply(id=command.id, result=self._result(command)))
            self._replies[command.id] = command.deadline, reply
            self._forget_replies()
        else:
            self.counters["commands_repeated"] += 1
        self._queue(command.reply_to, reply)

    def _result(self, command: Command) -> Result:
        if self._clock.now() > command.deadline:
            self.counters["commands_late"] += 1
            return Failed(code="late", reason="the deadline had passed")
        try:
            return self._execute(command)
        except Exception:
            # A defect in one command must not end the worker with everybody else's media.
            self.counters["commands_failed"] += 1
            log.exception("command_failed", command=type(command.body).__name__)
            return Failed(code="internal", reason="the worker failed; its log says why")

    def _forget_replies(self) -> None:
        """A command that comes again after its deadline is refused, so nobody wants those replies any more."""
        now = self._clock.now()
        while self._replies:
            oldest = next(iter(self._replies))
            deadline, _ = self._replies[oldest]
            if deadline >= now and len(self._replies) <= REPLIES_KEPT:
                return
            del self._replies[oldest]

    # what goes out

    def _queue(self, channel: str | None, payload: bytes) -> None:
        if len(self._outbox) >= OUTBOX_LIMIT:
            self._outbox.popleft()
            self.counters["outbox_dropped"] += 1
        self._outbox.append((channel, payload))
        self._work.set()

    async def _send(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            while self._outbox:
                await self._send_batch()

    async def _send_batch(self) -> None:
        """Send some of the outbox; what Redis did not take stays in it. A notice may then come twice."""
        batch = [self._outbox.popleft() for _ in range(min(_BATCH, len(self._outbox)))]
        try:
            pipeline = self._redis.pipeline(transaction=False)
            for channel, payload in batch:
                if channel is not None:
                    pipeline.publish(channel, payload)
                    continue
                fields: dict[EncodableT, EncodableT] = {NOTICE_FIELD: payload}
                pipeline.xadd(NOTICE_STREAM, fields, maxlen=NOTICE_STREAM_CAP, approximate=True)
            await pipeline.execute()
        except BaseException:
            # Cancelled or failed alike: nothing that waited may get lost.
            self._outbox.extendleft(reversed(batch))
            self._work.set()
            raise

    async def _heartbeat(self) -> None:
        while True:
            if self._registered.is_set():
                await self.register()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), HEARTBEAT_INTERVAL)
            self._news.clear()
            self._forget_replies()

    async def _forever(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Run `work` again whenever it fails, a little later each time: by Redis, or by a defect of ours."""
        failures = 0
        while True:
            started = self._monotonic()
            try:
                await work()
            except Exception as error:
                failures = 0 if self._monotonic() - started > 10 else failures
                self._failed(work.__name__, error, first=failures == 0)
                await asyncio.sleep(_RETRY_DELAYS[min(failures, len(_RETRY_DELAYS) - 1)])
                failures += 1

    def _failed(self, work: str, error: Exception, *, first: bool) -> None:
        outage = isinstance(error, _TROUBLE)
        self.counters["redis_failures" if outage else "control_failed"] += 1
        if not first:
            return
        if outage:
            log.warning("redis_unreachable", work=work, error=repr(error))
        else:
            log.error("control_failed", work=work, exc_info=error)
