"""A channel over a WebSocket: each event one text frame.

The client's `{"type":"ping"}` gets `{"type":"pong"}`. After events the server sends a protocol ping (RFC 6455,
section 5.5.2) that carries their position; the pong proves that the client has them, and acknowledges them.
"""

from __future__ import annotations

import asyncio
import re
from uuid import UUID

import msgspec
from aiohttp import WSCloseCode, WSMsgType, hdrs, web

from conference.api.auth import caller, is_token
from conference.api.body import uuid
from conference.api.channels import query
from conference.bus.streams import Restart
from conference.errors import BadRequest, NotFound, PollReplaced, Unavailable
from conference.services.channels import ChannelService, Following
from config.tasks import end
from schemas.channels import Ping, Pong, StreamResync, WebsocketConnected

SUBPROTOCOL = "parley"
"""Chosen when offered. A browser offers it beside `bearer.<token>`, which must not be echoed."""
_VERSION = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){1,2}")
PING_INTERVAL = 30.0
"""Seconds between protocol pings to a client that gets no events."""
REPLACED = 4409
CLOSED = 4404
_PONG_WITHIN = 15.0
_WRITE_WITHIN = 30.0
_LARGEST_FRAME = 4096  # clients send pings only

_encoder = msgspec.json.Encoder()
_ping_decoder = msgspec.json.Decoder(Ping)


class WebsocketView:
    def __init__(self, service: ChannelService, *, ping_interval: float = PING_INTERVAL) -> None:
        self._service = service
        self._ping_interval = ping_interval

    async def events(self, request: web.Request) -> web.StreamResponse:
        user_id = caller(request).user_id
        resumed = _queue_id(request)
        position = query.position(request, "after") if resumed else None
        socket = web.WebSocketResponse(
            protocols=_subprotocols(request), autoping=False, max_msg_size=_LARGEST_FRAME
        )
        if request.method != hdrs.METH_GET or not socket.can_prepare(request):
            raise BadRequest("this address takes WebSocket connections only", code="no_websocket")
        queue_id = resumed or await self._service.open(user_id)
        async with self._service.follow(queue_id, user_id, request.transport) as following:
            holds = await following.begin(position)
            await socket.prepare(request)
            connection = _Connection(socket, queue_id, following, self._ping_interval)
            await connection.run(holds)
        return socket


class _Connection:
    """One client's socket: a task that listens, beside the one that passes events on."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        queue_id: UUID,
        following: Following,
        ping_interval: float,
    ) -> None:
        self._socket = socket
        self._queue_id = queue_id
        self._following = following
        self._ping_interval = ping_interval
        self._sent = following.position
        self._pinged_at: float | None = None

    async def run(self, holds: bool) -> None:
        listening = asyncio.create_task(self._listen(), name="websocket listener")
        passing_on = asyncio.create_task(self._pass_on(holds), name="websocket sender")
        try:
            await asyncio.wait([listening, passing_on], return_when=asyncio.FIRST_COMPLETED)
            code = passing_on.result() if passing_on.done() else WSCloseCode.OK
        except (ConnectionResetError, TimeoutError):
            code = WSCloseCode.GOING_AWAY
        finally:
            await end([listening, passing_on])
        await self._socket.close(code=code)

    async def _pass_on(self, holds: bool) -> int:
        """Until the stream ends; the close code that says why."""
        position = self._following.position
        await self._send(WebsocketConnected(queue_id=self._queue_id, position=position))
        if not holds:
            await self._send(StreamResync(queue_id=self._queue_id, position=position))
        try:
            while not self._following.ended:
                await self._pass_on_some()
        except PollReplaced:
            return REPLACED
        except NotFound:
            return CLOSED
        except Unavailable:
            return WSCloseCode.TRY_AGAIN_LATER
        return WSCloseCode.GOING_AWAY

    async def _pass_on_some(self) -> None:
        found = await self._following.read(self._ping_interval)
        if isinstance(found, Restart):
            await self._send(StreamResync(queue_id=self._queue_id, position=found.position))
            return
        for event in found.events:
            await self._send_text(event)
        self._sent = found.position
        await self._ping()

    async def _ping(self) -> None:
        """One at a time: what was sent while one is out is covered by the next."""
        now = asyncio.get_running_loop().time()
        if self._pinged_at is None:
            self._pinged_at = now
            await self._socket.ping(b"%d" % self._sent)
        elif now - self._pinged_at > _PONG_WITHIN:
            raise TimeoutError("no pong")

    async def _listen(self) -> None:
        async for message in self._socket:
            if message.type == WSMsgType.TEXT:
                await self._answer(message.data)
            elif message.type == WSMsgType.PING:
                await self._socket.pong(message.data)
            elif message.type == WSMsgType.PONG:
                await self._on_pong(message.data)

    async def _answer(self, text: str) -> None:
        try:
            _ping_decoder.decode(text)
        except msgspec.MsgspecError:
            return  # nothing else is understood, nor harmful
        await self._send(Pong())

    async def _on_pong(self, data: bytes) -> None:
        self._pinged_at = None
        if not (data.isdigit() and len(data) < 17):
            return  # unasked for (RFC 6455 allows it), and not ours
        self._following.confirm(min(int(data), self._sent))
        if int(data) < self._sent:
            await self._ping()

    async def _send(self, message: msgspec.Struct) -> None:
        await self._send_text(_encoder.encode(message))

    async def _send_text(self, encoded: bytes) -> None:
        async with asyncio.timeout(_WRITE_WITHIN):
            await self._socket.send_frame(encoded, WSMsgType.TEXT)


def _queue_id(request: web.Request) -> UUID | None:
    """The channel to resume, if any. Raises NotFound for what can't be one."""
    text = request.query.get("queueId")
    if text is None:
        return None
    found = uuid(text)
    if found is None:
        raise NotFound("queueId is not a UUID, so nothing has it", code="not_a_uuid")
    return found


def _subprotocols(request: web.Request) -> tuple[str, ...]:
    """Those that may be chosen; a browser closes the socket when it offered some and none is.

    Clients of the published API offer their version. Raises BadRequest when there are only others.
    """
    offered = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL)
    if offered is None:
        return ()
    names = [name.strip() for name in offered.split(",")]
    known = (SUBPROTOCOL, *(name for name in names if _VERSION.fullmatch(name)))
    if any(name in known or is_token(name) for name in names):
        return known
    raise BadRequest(
        f"none of these subprotocols is spoken here; offer {SUBPROTOCOL}", code="bad_subprotocol"
    )
