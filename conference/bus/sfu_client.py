"""Commands to SFU workers: published, answered on this process's own reply channel, bounded in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast
from uuid import UUID, uuid4

import msgspec
import structlog

from conference.bus import keys
from conference.bus.link import RedisLink
from conference.errors import BadRequest, Conflict, MediaFailed, TooManyRequests, Unavailable
from schemas.sfu import (
    Answered,
    Body,
    Command,
    Done,
    Failed,
    FailureCode,
    Held,
    Reply,
    Report,
    Result,
    command_channel,
)

_NO_MEETING = UUID(int=0)
_CLOCK_GOOD_FOR = 5.0  # seconds; clocks run apart slowly, and are set now and then
_MORE_THAN_FITS = 1000  # pages of one report

_log = structlog.get_logger(__name__)


class SfuFailure(MediaFailed):
    """The worker refused or failed. `failure` is its own code: a stale epoch means that the meeting moved."""

    def __init__(self, failure: FailureCode, reason: str) -> None:
        super().__init__(reason, code=f"media_{failure}")
        self.failure = failure


class WorkerGone(MediaFailed):
    """Nobody received the command: the worker is not there."""

    code = "worker_gone"


class WorkerSilent(MediaFailed):
    """No reply in time. Whether the command ran is not known; it may be repeated."""

    code = "worker_silent"


class SfuClient:
    """Pending calls fail with Unavailable when the reply channel is lost, and when the client closes."""

    def __init__(
        self,
        link: RedisLink,
        *,
        timeout: float,
        new_id: Callable[[], UUID] = uuid4,
    ) -> None:
        """`timeout`: seconds to wait for a reply."""
        self._lane = link.lane
        self._subscriber = link.subscriber
        self._reply_to = keys.reply_channel(link.process)
        self._timeout = timeout
        self._new_id = new_id
        self._pending: dict[str, asyncio.Future[Result]] = {}
        self._clock_offset = 0.0
        self._clock_asked_at: float | None = None
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(Reply)
        link.subscriber.subscribe(self._reply_to, self._on_reply, on_lost=self._lost)

    async def call(self, worker: str, meeting: UUID, epoch: int, body: Body) -> Done | Answered:
        """Have a worker do something.

        Raises BadRequest (the SDP), Conflict (a limit), TooManyRequests (by this participant), SfuFailure, WorkerGone,
        WorkerSilent, and Unavailable (Redis).
        """
        result = await self._ask(worker, meeting, epoch, body)
        if isinstance(result, Held):
            raise MediaFailed("the media worker answered something else", code="no_answer")
        return result

    async def held(self, worker: str) -> list[Held]:
        """All that a worker holds, in pages. Raises as `call` does."""
        pages: list[Held] = []
        after: int | None = 0
        while after is not None and len(pages) < _MORE_THAN_FITS:
            page = await self._ask(worker, _NO_MEETING, 0, Report(after=after))
            if not isinstance(page, Held):
                raise MediaFailed("the media worker does not tell what it holds", code="no_answer")
            pages.append(page)
            after = page.next
        return pages

    def close(self) -> None:
        """Fail what is pending. Idempotent."""
        self._fail_all()

    async def _ask(
        self, worker: str, meeting: UUID, epoch: int, body: Body
    ) -> Done | Answered | Held:
        await self._subscriber.ready()
        command = Command(
            id=str(self._new_id()),
            reply_to=self._reply_to,
            deadline=await self._redis_time() + self._timeout,
            meeting=meeting,
            epoch=epoch,
            body=body,
        )
        result = await self._result_of(worker, command)
        if isinstance(result, Failed):
            raise _error_of(result)
        return result

    async def _redis_time(self) -> float:
        """Unix time as Redis has it, which workers ask too: whose own clock is wrong is obeyed all the same."""
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        if self._clock_asked_at is None or asked_at - self._clock_asked_at > _CLOCK_GOOD_FOR:
            reply = cast("tuple[bytes, bytes]", await self._lane.call(b"TIME"))
            redis_time = int(reply[0]) + int(reply[1]) / 1_000_000
            self._clock_offset = redis_time - (asked_at + loop.time()) / 2
            self._clock_asked_at = asked_at
        return loop.time() + self._clock_offset

    async def _result_of(self, worker: str, command: Command) -> Result:
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._pending[command.id] = future
        try:
            async with asyncio.timeout(self._timeout):
                receivers = await self._lane.call(
                    b"PUBLISH", command_channel(worker), self._encoder.encode(command)
                )
                if receivers == 0:
                    raise WorkerGone(f"media worker {worker} is not there")
                return await future
        except TimeoutError:
            raise WorkerSilent(f"media worker {worker} does not answer") from None
        finally:
            del self._pending[command.id]
            if not future.cancel() and not future.cancelled():
                future.exception()  # seen: the publishing itself failed, as this did

    def _on_reply(self, data: bytes) -> None:
        try:
            reply = self._decoder.decode(data)
        except msgspec.MsgspecError as error:
            _log.warning("sfu_reply_malformed", error=str(error))
            return
        future = self._pending.get(reply.id)
        if future and not future.done():  # else it came too late, or was sent twice
            future.set_result(reply.result)

    def _lost(self) -> None:
        self._clock_asked_at = None  # another server may have another clock
        self._fail_all()

    def _fail_all(self) -> None:
        for future in self._pending.values():
            if not future.done():
                future.set_exception(Unavailable("the connection to media workers was lost"))


def _error_of(failed: Failed) -> BadRequest | Conflict | TooManyRequests | SfuFailure:
    if failed.code == "bad_sdp":
        return BadRequest(failed.reason, code="bad_sdp")
    if failed.code == "limit":
        return Conflict(failed.reason, code="too_many_subscriptions")
    if failed.code == "too_many":
        return TooManyRequests(failed.reason, code="too_much_media", retry_after=5)
    return SfuFailure(failed.code, failed.reason)
