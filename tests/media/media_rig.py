"""A real worker, a controller that speaks to it over Redis as the API side does, and libwebrtc participants."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar
from uuid import UUID, uuid4

os.environ.setdefault("WRTC_ALLOW_LOOPBACK", "1")

import msgspec
import pytest
import webrtc
from redis import asyncio as aioredis

from config.settings import Settings
from config.tasks import end
from schemas import sfu as wire
from sfu.path.choice import native_available
from sfu.worker.worker import Worker

NATIVE = os.environ.get("PARLEY_NATIVE", "auto")
"""Which packet path the workers of these tests have."""

both_paths = pytest.mark.parametrize(
    "worker", ["off", *(["on"] if native_available() else [])], indirect=True
)
"""Runs a test once for each packet path that is installed."""

T = TypeVar("T")
N = TypeVar("N")


def patient(seconds: float) -> float:
    """So long on a machine of one's own; longer where others keep the processors busy."""
    return seconds * min(5.0, max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)))


async def until(condition: Callable[[], T], within: float = 10.0, what: str = "condition") -> T:
    """Poll until the condition is true; its value."""
    limit = time.monotonic() + patient(within)
    while not (value := condition()):
        if time.monotonic() > limit:
            raise AssertionError(f"not within {within} s: {what}")
        await asyncio.sleep(0.01)
    return value


@asynccontextmanager
async def running_worker(redis_url: str, **changes: object) -> AsyncIterator[Worker]:
    """A worker on loopback in this loop, registered; closed at the end."""
    values = {"media_host": "127.0.0.1", "native": NATIVE, **changes}
    worker = Worker(msgspec.convert(values, Settings), redis_url, 0)
    serving = asyncio.create_task(worker.serve())
    try:
        async with asyncio.timeout(patient(10)):
            await worker.registered()
        yield worker
    finally:
        worker.stop()
        async with asyncio.timeout(patient(10)):
            await serving
            await worker.close()


class Controller:
    """The API side's half of the contract, for one meeting."""

    def __init__(self, redis: aioredis.Redis, worker: str, meeting: UUID) -> None:
        self.meeting = meeting
        self.worker = worker
        self.epoch = 1
        self.notices: list[wire.Notice] = []
        self._redis = redis
        self._reply_to = f"test:replies:{uuid4().hex}"
        self._pending: dict[str, asyncio.Future[wire.Reply]] = {}
        self._listeners: list[Callable[[wire.Notice], None]] = []

    async def call(
        self,
        body: wire.Body,
        *,
        epoch: int | None = None,
        command_id: str | None = None,
        deadline: float | None = None,
    ) -> wire.Done | wire.Answered | wire.Failed:
        command = wire.Command(
            id=command_id or uuid4().hex,
            reply_to=self._reply_to,
            deadline=deadline if deadline is not None else time.time() + patient(5),
            meeting=self.meeting,
            epoch=self.epoch if epoch is None else epoch,
            body=body,
        )
        future = asyncio.get_running_loop().create_future()
        self._pending[command.id] = future
        data = msgspec.msgpack.encode(command)
        assert await self._redis.publish(wire.command_channel(self.worker), data) == 1
        async with asyncio.timeout(patient(5)):
            reply: wire.Reply = await future
        return reply.result

    async def answered(self, body: wire.Body) -> str:
        result = await self.call(body)
        assert isinstance(result, wire.Answered), result
        return result.sdp

    async def done(self, body: wire.Body) -> None:
        result = await self.call(body)
        assert isinstance(result, wire.Done), result

    def on_notice(self, listener: Callable[[wire.Notice], None]) -> None:
        self._listeners.append(listener)

    def seen(self, kind: type[N], /, **fields: object) -> list[N]:
        """Notices of this kind so far whose fields have these values."""
        return [
            notice.body
            for notice in self.notices
            if isinstance(notice.body, kind)
            and all(getattr(notice.body, name) == value for name, value in fields.items())
        ]

    async def notice(self, kind: type[N], /, within: float = 10.0, **fields: object) -> N:
        found = await until(lambda: self.seen(kind, **fields), within, f"{kind.__name__} {fields}")
        return found[0]

    async def run(self, ready: asyncio.Event) -> None:
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(self._reply_to)
            reading = asyncio.create_task(self._read_notices())
            ready.set()
            try:
                async for message in pubsub.listen():
                    if message["type"] == "message":
                        self._reply(message["data"])
            finally:
                await end([reading])

    def _reply(self, data: bytes) -> None:
        reply = msgspec.msgpack.decode(data, type=wire.Reply)
        future = self._pending.pop(reply.id, None)
        if future is not None and not future.done():
            future.set_result(reply)

    async def _read_notices(self) -> None:
        last = b"0"
        while True:
            for _, entries in await self._redis.xread({wire.NOTICE_STREAM: last}, block=500):
                for entry_id, fields in entries:
                    last = entry_id
                    self._take(fields[wire.NOTICE_FIELD])

    def _take(self, data: bytes) -> None:
        notice = msgspec.msgpack.decode(data, type=wire.Notice)
        if notice.meeting != self.meeting or notice.worker != self.worker:
            return
        self.notices.append(notice)
        for listener in list(self._listeners):
            listener(notice)


@asynccontextmanager
async def controlling(redis_url: str, worker: Worker) -> AsyncIterator[Controller]:
    redis = aioredis.Redis.from_url(redis_url)
    controller = Controller(redis, worker.id, uuid4())
    ready = asyncio.Event()
    task = asyncio.create_task(controller.run(ready))
    try:
        await asyncio.wait_for(ready.wait(), patient(5))
        yield controller
    finally:
        await end([task])
        await redis.aclose()


class Camera:
    """A moving picture of large squares, or of `noise`: then enough packets a frame for loss to mean something."""

    def __init__(self, fps: int = 15, width: int = 320, height: int = 180, *, noise: bool = False):
        self.generator = webrtc.VideoTrackGenerator()
        self.track = self.generator.track
        self.sent = 0
        self._fps, self._width, self._height = fps, width, height
        self._grain = 2 if noise else 32
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        writer = self.generator.writable.get_writer()
        texture = self._texture(2 * self._height)
        size = self._width * self._height
        chroma = bytes([128]) * (size // 2)
        began = time.monotonic()
        while True:
            start = self.sent * 3 % self._height * self._width
            init = webrtc.VideoFrameBufferInit(
                format="I420",
                coded_width=self._width,
                coded_height=self._height,
                timestamp=int((time.monotonic() - began) * 1_000_000),
            )
            await writer.write(webrtc.VideoFrame(texture[start : start + size] + chroma, init))
            self.sent += 1
            await asyncio.sleep(max(0, began + self.sent / self._fps - time.monotonic()))

    def _texture(self, rows: int) -> bytes:
        """Twice the same picture below itself, so that it can scroll for ever."""
        lines: list[bytes] = []
        while len(lines) < rows // 2:
            values = os.urandom(self._width // self._grain + 1)
            line = b"".join(bytes([value]) * self._grain for value in values)[: self._width]
            lines += [line] * self._grain
        return b"".join(lines[: rows // 2] * 2)

    async def stop(self) -> None:
        await end([self._task])


class Microphone:
    """A tone that can be silenced, in frames of 10 ms."""

    RATE = 48_000

    def __init__(self, *, loud: bool = True) -> None:
        self.loud = loud
        self.track = webrtc.MediaStreamTrackGenerator("audio")
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        writer = self.track.writable.get_writer()
        frames = self.RATE // 100
        # A square wave of 400 Hz; any voice-like level will do.
        tone = b"".join(
            (8000 if i // 60 % 2 else -8000).to_bytes(2, "little", signed=True)
            for i in range(frames)
        )
        silence = bytes(len(tone))
        began = time.monotonic()
        for number in range(1 << 30):
            init = webrtc.AudioDataInit(
                format="s16",
                sample_rate=self.RATE,
                number_of_frames=frames,
                number_of_channels=1,
                timestamp=number * 10_000,
                data=tone if self.loud else silence,
            )
            await writer.write(webrtc.AudioData(init))
            await asyncio.sleep(max(0, began + (number + 1) / 100 - time.monotonic()))

    async def stop(self) -> None:
        await end([self._task])


class Participant:
    """One user in libwebrtc: the four connections of the meetings API."""

    def __init__(self, controller: Controller) -> None:
        self.user = uuid4()
        self.controller = controller
        self.audio: webrtc.RTCPeerConnection | None = None
        self.outgoing: dict[str, webrtc.RTCPeerConnection] = {}
        self.inbound: webrtc.RTCPeerConnection | None = None
        self.tracks: dict[str, webrtc.MediaStreamTrack] = {}
        """Inbound video tracks by stream id."""
        self.microphone: Microphone | None = None
        self.answering = True
        self.refused: list[wire.Failed] = []
        """Answers that the worker did not take."""
        self._cameras: dict[str, Camera] = {}
        self._offers: asyncio.Queue[wire.Offered] = asyncio.Queue()
        self._task = asyncio.create_task(self._answer_offers())
        controller.on_notice(self._notice)

    # audio

    async def join_audio(
        self, *, slots: int = 0, enabled: bool = True, loud: bool = True, restart: bool = False
    ) -> None:
        if self.audio is None:
            self.audio = webrtc.RTCPeerConnection()
            self.microphone = Microphone(loud=loud)
            self.audio.add_transceiver(self.microphone.track)
            for _ in range(slots):
                self.audio.add_transceiver(
                    "audio", webrtc.RTCRtpTransceiverInit(direction="recvonly")
                )
        if restart:
            self.audio.restart_ice()
        await self._offer(
            self.audio, lambda sdp: wire.OfferAudio(user=self.user, sdp=sdp, enabled=enabled)
        )

    async def set_audio(self, enabled: bool) -> None:
        await self.controller.done(wire.SetAudio(user=self.user, enabled=enabled))

    # video

    async def publish(self, kind: wire.VideoKind = "video", camera: Camera | None = None) -> None:
        connection = webrtc.RTCPeerConnection()
        self._cameras[kind] = camera or Camera()
        self.outgoing[kind] = connection
        connection.add_transceiver(
            self._cameras[kind].track, webrtc.RTCRtpTransceiverInit(direction="sendonly")
        )
        await self._offer(
            connection, lambda sdp: wire.OfferVideo(user=self.user, kind=kind, sdp=sdp)
        )

    async def unpublish(self, kind: wire.VideoKind = "video") -> None:
        await self.controller.done(wire.StopVideo(user=self.user, kind=kind))
        await self.drop(kind)

    async def drop(self, kind: wire.VideoKind = "video") -> None:
        """Close the connection without telling anybody but the worker's DTLS."""
        await self._cameras.pop(kind).stop()
        self.outgoing.pop(kind).close()

    async def subscribe(self, *feeds: wire.Feed, without: tuple[wire.Feed, ...] = ()) -> None:
        await self.controller.done(
            wire.Subscribe(user=self.user, subscribe=list(feeds), unsubscribe=list(without))
        )

    def feed(self, kind: wire.VideoKind = "video") -> wire.Feed:
        return wire.Feed(self.user, kind)

    async def leave(self) -> None:
        await self.controller.done(wire.RemovePeer(user=self.user))

    # figures

    async def decoded(self, feed: wire.Feed | None = None) -> int:
        """Frames decoded of a feed so far; of all together by default."""
        total = 0
        for stats in await inbound_stats(self.inbound, "video"):
            if feed is None or stats.track_identifier in self._track_ids(feed):
                total += stats.frames_decoded or 0
        return total

    def _track_ids(self, feed: wire.Feed) -> set[str]:
        track = self.tracks.get(f"{feed.user}/{feed.kind}")
        return {track.id} if track else set()

    async def sees(self, feed: wire.Feed, frames: int = 5, within: float = 10.0) -> None:
        """Wait until so many more frames are decoded."""
        start = await self.decoded(feed)
        limit = time.monotonic() + patient(within)
        while await self.decoded(feed) < start + frames:
            if time.monotonic() > limit:
                got = await self.decoded(feed) - start
                raise AssertionError(f"{got} of {frames} frames of {feed} in {within} s")
            await asyncio.sleep(0.03)

    async def audio_packets(self) -> list[int]:
        """Packets received so far, by audio m-line."""
        found = await inbound_stats(self.audio, "audio")
        return [s.packets_received or 0 for s in sorted(found, key=lambda s: int(s.mid or 0))]

    async def hears(self, packets: int = 20, within: float = 10.0) -> None:
        """Wait until so many more audio packets have come."""
        start = sum(await self.audio_packets())
        limit = time.monotonic() + patient(within)
        while (got := sum(await self.audio_packets()) - start) < packets:
            assert time.monotonic() < limit, f"{got} of {packets} audio packets in {within} s"
            await asyncio.sleep(0.03)

    async def close(self) -> None:
        await end([self._task])
        for camera in self._cameras.values():
            await camera.stop()
        if self.microphone:
            await self.microphone.stop()
        for connection in [self.audio, self.inbound, *self.outgoing.values()]:
            if connection is not None:
                connection.close()

    # inside

    async def _offer(
        self, connection: webrtc.RTCPeerConnection, body: Callable[[str], wire.Body]
    ) -> None:
        offer = await connection.create_offer()
        await connection.set_local_description(offer)
        answer = await self.controller.answered(body(offer.sdp))
        await connection.set_remote_description(
            webrtc.RTCSessionDescriptionInit(type="answer", sdp=answer)
        )

    def _notice(self, notice: wire.Notice) -> None:
        if isinstance(notice.body, wire.Offered) and notice.body.user == self.user:
            self._offers.put_nowait(notice.body)

    async def _answer_offers(self) -> None:
        while True:
            offered = await self._offers.get()
            if not self.answering:
                continue
            if self.inbound is None:
                self.inbound = webrtc.RTCPeerConnection()
                self.inbound.on("track", self._on_track)
            connection = self.inbound
            try:
                await self._answer(connection, offered)
            except (webrtc.PythonWebRTCExceptionBase, asyncio.CancelledError):
                if connection is self.inbound:
                    raise
                # The test closed it meanwhile: who comes back begins anew.

    async def _answer(self, connection: webrtc.RTCPeerConnection, offered: wire.Offered) -> None:
        await connection.set_remote_description(
            webrtc.RTCSessionDescriptionInit(type="offer", sdp=offered.sdp)
        )
        answer = await connection.create_answer()
        await connection.set_local_description(answer)
        body = wire.AnswerInbound(user=self.user, sdp=answer.sdp)
        result = await self.controller.call(body)
        if isinstance(result, wire.Failed):
            self.refused.append(result)

    def _on_track(self, event: webrtc.RTCTrackEvent) -> None:
        for stream in event.streams:
            self.tracks[stream.id] = event.track


async def inbound_stats(
    connection: webrtc.RTCPeerConnection | None, kind: str
) -> list[webrtc.RTCInboundRtpStreamStats]:
    if connection is None:
        return []
    report = await connection.get_stats()
    return [
        stats
        for stats in report.values()
        if isinstance(stats, webrtc.RTCInboundRtpStreamStats) and stats.kind == kind
    ]
