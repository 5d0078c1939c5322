"""A Parley worker, driven as an API process drives it: commands and notices over Redis (schemas/sfu.py)."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
from redis import asyncio as aioredis

from conference.embedded.valkey import ValkeyServer
from load import kernel, sdp
from load.dtls import Identity
from load.peer import Peer
from load.publishing import Stream
from load.shapes import Load, Media
from load.stage import ADDRESS, ServerFailed, Stage, Viewer, in_turns, launch
from schemas.sfu import (
    NOTICE_FIELD,
    NOTICE_STREAM,
    WORKER_KEY_PREFIX,
    Answered,
    AnswerInbound,
    Body,
    Command,
    Done,
    Failed,
    Feed,
    Notice,
    OfferAudio,
    Offered,
    OfferVideo,
    Reply,
    Subscribe,
    VideoKind,
    VideoLive,
    WorkerRecord,
    command_channel,
)

_NATIVE_MODULE = "sfu.native.path"
_PORT = 17882
_REPLY_WITHIN = 30.0
_READY_WITHIN = 20.0
_OFFER_WITHIN = 60.0
_Streams = list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]
_KINDS: dict[str, VideoKind] = {"video": "video", "unseen": "screen"}


class Parley:
    """One worker process with a Valkey of its own."""

    name = "parley"
    native = "auto"

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="bench-parley-"))
        self._valkey = ValkeyServer(self._folder, durable=False)
        self._process: subprocess.Popen[bytes] | None = None
        self._control: _Control | None = None

    @staticmethod
    def missing() -> str | None:
        if importlib.util.find_spec("sfu.worker") is None:
            return "there is no sfu.worker yet"
        return None

    @staticmethod
    def refuses(load: Load) -> str | None:
        return None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServerFailed("the worker is not running")
        return self._process.pid

    async def start(self) -> None:
        self._valkey.start()
        self._process = self._launch()
        self._control = _Control(self._valkey.url)
        try:
            await self._control.open(self._process)
        except ServerFailed as error:
            tail = self._log.read_text(errors="replace")[-3000:]
            raise ServerFailed(f"{error}\n{tail}") from None

    async def stop(self) -> None:
        if self._control is not None:
            await self._control.close()
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                await asyncio.to_thread(self._process.wait, 10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5)
        self._valkey.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def set_up(self, stage: Stage, identity: Identity) -> None:
        if self._control is None:
            raise ServerFailed("the worker is not running")
        meeting = _Meeting(self._control, stage, identity)
        stage.pump.resume()
        people = range(len(stage.load.people))
        await in_turns(people, meeting.publish)
        await meeting.all_live()
        stage.pump.pause()
        await in_turns(people, meeting.subscribe)

    @property
    def _log(self) -> Path:
        return self._folder / "worker.log"

    def _launch(self) -> subprocess.Popen[bytes]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
        environment = {
            **kept,
            "PARLEY_REDIS_URL": self._valkey.url,
            "PARLEY_DATABASE_URL": "postgresql://unused",  # a worker has none, the command asks for it
            "PARLEY_DATA_DIR": str(self._folder),
            "PARLEY_MEDIA_HOST": ADDRESS,
            "PARLEY_MEDIA_PORT": str(_PORT + (self.native == "on")),
            "PARLEY_NATIVE": self.native,
            "PARLEY_LOG_LEVEL": "warning",
        }
        return launch([sys.executable, "-m", "conference", "sfu"], self._log, environment)


class ParleyNative(Parley):
    name = "parley-native"
    native = "on"

    @staticmethod
    def missing() -> str | None:
        if _spec(_NATIVE_MODULE) is None:
            return f"the compiled packet path ({_NATIVE_MODULE}) is not built"
        return Parley.missing()


class ParleyPython(Parley):
    name = "parley-python"
    native = "off"


class _Control:
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


class _Meeting:
    """A load as one meeting: everybody publishes, then everybody subscribes."""

    def __init__(self, control: _Control, stage: Stage, identity: Identity) -> None:
        self._control = control
        self._stage = stage
        self._load = stage.load
        self._identity = identity
        self._id = uuid4()
        self._users = [uuid4() for _ in stage.load.people]
        self._audio: dict[int, Peer] = {}
        self._streams: dict[tuple[int, str], Stream] = {}
        self._feeds: set[Feed] = set()

    async def publish(self, index: int) -> None:
        person = self._load.people[index]
        if person.audio is not None or person.slots:
            await self._connect_audio(index)
        for name, media in person.sends():
            if name != "audio":
                await self._connect_video(index, name, media)

    async def all_live(self) -> None:
        """Until the worker has seen each video. Raises ServerFailed."""
        deadline = time.monotonic() + _OFFER_WITHIN
        while missing := self._feeds - self._control.live:
            if time.monotonic() > deadline:
                raise ServerFailed(f"{len(missing)} of {len(self._feeds)} videos are not live")
            await asyncio.sleep(0.05)

    async def subscribe(self, index: int) -> None:
        person = self._load.people[index]
        heard = self._load.heard_by(index)
        peers = [self._audio[index]] if heard else []
        if person.sees:
            peers.append(await self._connect_inbound(index))
        if not peers:
            return
        watches = [self._streams[other, "video"] for other in person.sees]
        watches += [self._streams[other, "audio"] for other in heard]
        self._stage.viewers.append(Viewer(f"viewer {index}", peers, watches))

    async def _connect_audio(self, index: int) -> None:
        person = self._load.people[index]
        peer = self._peer(f"audio {index}")
        kernel.drop_rtp(peer.socket)
        sending = sdp.sending("audio", receives=person.slots > 0)
        offer = sdp.offer(peer.local, [sending], ["audio"] * max(person.slots - 1, 0))
        enabled = person.audio is not None
        body = OfferAudio(user=self._users[index], sdp=offer, enabled=enabled)
        remote = sdp.parse(await self._control.call(self._id, body))
        await peer.connect(remote, controlling=True)
        self._audio[index] = peer
        if person.audio is not None:
            self._add_stream(index, "audio", person.audio, peer, sending, remote)

    async def _connect_video(self, index: int, name: str, media: Media) -> None:
        user, kind = self._users[index], _KINDS[name]
        peer = self._peer(f"{name} {index}")
        sending = sdp.sending(name)
        body = OfferVideo(user=user, kind=kind, sdp=sdp.offer(peer.local, [sending]))
        remote = sdp.parse(await self._control.call(self._id, body))
        await peer.connect(remote, controlling=True)
        self._feeds.add(Feed(user, kind))
        self._add_stream(index, name, media, peer, sending, remote)

    async def _connect_inbound(self, index: int) -> Peer:
        """Answer offers until one carries everything subscribed to."""
        user = self._users[index]
        peer = self._peer(f"inbound {index}")
        kernel.drop_rtp(peer.socket)
        feeds = [Feed(self._users[other], "video") for other in self._load.people[index].sees]
        await self._control.call(self._id, Subscribe(user=user, subscribe=feeds, unsubscribe=[]))
        carried = 0
        while carried < len(feeds):
            try:
                async with asyncio.timeout(_OFFER_WITHIN):
                    offered = await self._control.offers(user).get()
            except TimeoutError:
                raise ServerFailed(f"offered {carried} of {len(feeds)} streams") from None
            carried = len(offered.streams)
            answer = sdp.answer(peer.local, offered.sdp)
            await self._control.call(self._id, AnswerInbound(user=user, sdp=answer))
            remote = sdp.parse(offered.sdp)
            if peer.connected:
                peer.now_hears(remote)
            else:
                await peer.connect(remote, controlling=True)
        return peer

    def _peer(self, name: str) -> Peer:
        peer = Peer(self._identity, ADDRESS, f"parley {name}")
        self._stage.peers.append(peer)
        return peer

    def _add_stream(
        self,
        index: int,
        name: str,
        media: Media,
        peer: Peer,
        sending: sdp.Sending,
        remote: sdp.Remote,
    ) -> None:
        wire = sdp.negotiated(sending, remote.media[0])
        stream = Stream(len(self._stage.streams), peer, media, wire)
        self._stage.add_stream(stream)
        self._streams[index, name] = stream


def _spec(module: str) -> object | None:
    try:
        return importlib.util.find_spec(module)
    except ModuleNotFoundError:  # its package is missing
        return None
