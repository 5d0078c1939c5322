"""Janus VideoRoom as Debian packages it, driven over its HTTP API."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import msgspec

from load import kernel, sdp
from load.dtls import Identity
from load.peer import Peer
from load.publishing import Stream
from load.shapes import Load, Media
from load.stage import ADDRESS, ServerFailed, Stage, Viewer, in_turns, launch

_PROGRAM = "janus"
_LIBRARIES = Path("/usr/lib") / "x86_64-linux-gnu" / "janus"
_PORT = 18088
_URL = f"http://127.0.0.1:{_PORT}/janus"
_REPLY_WITHIN = 60.0

_CONFIGURATION = """
general: {{
    configs_folder = "{folder}"
    plugins_folder = "{libraries}/plugins"
    transports_folder = "{libraries}/transports"
    events_folder = "{libraries}/events"
    loggers_folder = "{libraries}/loggers"
    debug_level = 2
    event_loops = 1
}}
nat: {{ ice_enforce_list = "{address}" }}
media: {{ }}
plugins: {{ disable = "{plugins}" }}
transports: {{ disable = "{transports}" }}
loggers: {{ disable = "libjanus_jsonlog.so" }}
"""
_HTTP_CONFIGURATION = """
general: {{ json = "compact", base_path = "/janus", http = true, port = {port}, ip = "127.0.0.1", https = false }}
"""


class _Plugin(msgspec.Struct, kw_only=True):
    data: dict[str, msgspec.Raw] = {}


class _Session(msgspec.Struct, kw_only=True):
    id: int = 0


class _Jsep(msgspec.Struct, kw_only=True):
    type: str
    sdp: str


class _Message(msgspec.Struct, kw_only=True):
    """The parts of Janus's replies and events that we read."""

    janus: str
    transaction: str = ""
    sender: int = 0
    data: _Session | None = None
    plugindata: _Plugin | None = None
    jsep: _Jsep | None = None


class Janus:
    """One process, one room."""

    name = "janus"

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="bench-janus-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._control: _Control | None = None

    @staticmethod
    def missing() -> str | None:
        if shutil.which(_PROGRAM) is None or not _LIBRARIES.is_dir():
            return "janus is not installed (Debian: apt-get install janus)"
        return None

    @staticmethod
    def refuses(load: Load) -> str | None:
        return None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServerFailed("janus is not running")
        return self._process.pid

    async def start(self) -> None:
        self._write_configuration()
        log = self._folder / "janus.log"
        self._process = launch([_PROGRAM, "-F", str(self._folder)], log)
        self._control = _Control()
        try:
            await self._control.open(self._process)
        except ServerFailed as error:
            tail = log.read_text(errors="replace")[-1500:]
            raise ServerFailed(f"{error}\n{tail}") from None

    async def counters(self, *, fresh: bool) -> dict[str, int]:
        return {}

    async def stop(self) -> None:
        if self._control is not None:
            await self._control.close()
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                await asyncio.to_thread(self._process.wait, 5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5)
        shutil.rmtree(self._folder, ignore_errors=True)

    async def set_up(self, stage: Stage, identity: Identity) -> None:
        if self._control is None:
            raise ServerFailed("janus is not running")
        room = _Room(self._control, stage, identity)
        await room.open()
        people = range(len(stage.load.people))
        await in_turns(people, room.publish)
        await in_turns(people, room.subscribe)

    def _write_configuration(self) -> None:
        plugins = _all_but(_LIBRARIES / "plugins", "libjanus_videoroom.so")
        transports = _all_but(_LIBRARIES / "transports", "libjanus_http.so")
        main = _CONFIGURATION.format(
            folder=self._folder,
            libraries=_LIBRARIES,
            address=ADDRESS,
            plugins=plugins,
            transports=transports,
        )
        (self._folder / "janus.jcfg").write_text(main)
        http = _HTTP_CONFIGURATION.format(port=_PORT)
        (self._folder / "janus.transport.http.jcfg").write_text(http)
        (self._folder / "janus.plugin.videoroom.jcfg").write_text("general: { }\n")


class _Control:
    """One Janus session with a handle for each peer connection, and its one long poll."""

    def __init__(self) -> None:
        self._http = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=_REPLY_WITHIN),
            connector=aiohttp.TCPConnector(limit=32),
        )
        self._session = ""
        self._waiting: dict[str, asyncio.Future[_Message]] = {}
        self._poll: asyncio.Task[None] | None = None

    async def open(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until Janus answers, and make the session. Raises ServerFailed."""
        for _ in range(200):
            if process.poll() is not None:
                raise ServerFailed(f"janus ended at once ({process.returncode})")
            try:
                created = await self._post(_URL, {"janus": "create"})
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)
                continue
            self._session = f"{_URL}/{created.data.id if created.data else 0}"
            self._poll = asyncio.create_task(self._read_events())
            return
        raise ServerFailed("janus does not answer on its HTTP port")

    async def attach(self) -> str:
        """A new VideoRoom handle; its address."""
        body = {"janus": "attach", "plugin": "janus.plugin.videoroom"}
        reply = await self._post(self._session, body)
        return f"{self._session}/{reply.data.id if reply.data else 0}"

    async def message(
        self, handle: str, body: dict[str, object], jsep: _Jsep | None = None
    ) -> _Message:
        """Send a plugin message; its event, or the reply where the plugin answers at once. Raises ServerFailed."""
        transaction = secrets.token_hex(8)
        future: asyncio.Future[_Message] = asyncio.get_running_loop().create_future()
        self._waiting[transaction] = future
        request: dict[str, object] = {"janus": "message", "body": body}
        if jsep is not None:
            request["jsep"] = jsep
        try:
            reply = await self._post(handle, request, transaction)
            if reply.janus != "success":
                async with asyncio.timeout(_REPLY_WITHIN):
                    reply = await future
        finally:
            self._waiting.pop(transaction, None)
        data = reply.plugindata.data if reply.plugindata else {}
        if "error" in data:
            raise ServerFailed(f"janus: {bytes(data['error']).decode()}")
        return reply

    async def close(self) -> None:
        if self._poll is not None:
            self._poll.cancel()
            await asyncio.gather(self._poll, return_exceptions=True)
        await self._http.close()

    async def _post(
        self, url: str, body: Mapping[str, object], transaction: str | None = None
    ) -> _Message:
        request = {**body, "transaction": transaction or secrets.token_hex(8)}
        async with self._http.post(url, data=msgspec.json.encode(request)) as response:
            return msgspec.json.decode(await response.read(), type=_Message)

    async def _read_events(self) -> None:
        while True:
            async with self._http.get(self._session, params={"maxev": "50"}) as response:
                events = msgspec.json.decode(await response.read(), type=list[_Message] | _Message)
            for event in [events] if isinstance(events, _Message) else events:
                future = self._waiting.get(event.transaction)
                if event.janus in ("event", "error") and future is not None and not future.done():
                    future.set_result(event)


class _Room:
    """A load in one VideoRoom: publishers first, then everyone subscribes."""

    def __init__(self, control: _Control, stage: Stage, identity: Identity) -> None:
        self._control = control
        self._stage = stage
        self._load: Load = stage.load
        self._identity = identity
        self._room = secrets.randbelow(1 << 30) + 1
        self._feeds: dict[int, int] = {}
        self._mids: dict[tuple[int, str], str] = {}
        self._streams: dict[tuple[int, str], Stream] = {}

    async def open(self) -> None:
        handle = await self._control.attach()
        await self._control.message(
            handle,
            {
                "request": "create",
                "room": self._room,
                "publishers": len(self._load.people) + 1,
                "bitrate": 0,
                "videocodec": "vp8",
                "audiocodec": "opus",
            },
        )

    async def publish(self, index: int) -> None:
        medias = self._load.people[index].sends()
        if not medias and not self._load.idle:
            return
        handle = await self._control.attach()
        joined = await self._control.message(
            handle, {"request": "join", "ptype": "publisher", "room": self._room}
        )
        self._feeds[index] = _number(joined, "id")
        peer = self._peer(f"publisher {index}")
        sending = [sdp.sending(kind) for kind, _ in medias] or [sdp.sending("audio")]
        answered = await self._control.message(
            handle,
            {"request": "publish", "bitrate": 0},
            _Jsep(type="offer", sdp=sdp.offer(peer.local, sending)),
        )
        remote = sdp.parse(_described(answered))
        await peer.connect(remote, controlling=True)
        for place, (kind, media) in enumerate(medias):
            self._add_stream(index, place, kind, media, peer, sending[place], remote)

    async def subscribe(self, index: int) -> None:
        person = self._load.people[index]
        watched = [(other, "video") for other in person.sees]
        watched += [(other, "audio") for other in self._load.heard_by(index)]
        if not watched:
            return
        handle = await self._control.attach()
        peer = self._peer(f"viewer {index}")
        kernel.drop_rtp(peer.socket)
        wanted = [
            {"feed": self._feeds[other], "mid": self._mids[other, kind]} for other, kind in watched
        ]
        attached = await self._control.message(
            handle,
            {"request": "join", "ptype": "subscriber", "room": self._room, "streams": wanted},
        )
        offered = _described(attached)
        await self._control.message(
            handle,
            {"request": "start"},
            _Jsep(type="answer", sdp=sdp.answer(peer.local, offered)),
        )
        await peer.connect(sdp.parse(offered), controlling=False)
        streams = [self._streams[key] for key in watched]
        self._stage.viewers.append(Viewer(peer.name, [peer], streams))

    def _peer(self, name: str) -> Peer:
        peer = Peer(self._identity, ADDRESS, f"janus {name}")
        self._stage.peers.append(peer)
        return peer

    def _add_stream(
        self,
        index: int,
        place: int,
        kind: str,
        media: Media,
        peer: Peer,
        sending: sdp.Sending,
        remote: sdp.Remote,
    ) -> None:
        stream = Stream(
            len(self._stage.streams), peer, media, sdp.negotiated(sending, remote.media[place])
        )
        self._stage.add_stream(stream)
        self._streams[index, kind] = stream
        self._mids[index, kind] = str(place)


def _described(message: _Message) -> str:
    if message.jsep is None:
        raise ServerFailed("janus sent no session description")
    return message.jsep.sdp


def _number(message: _Message, name: str) -> int:
    if message.plugindata is None:
        raise ServerFailed(f"janus sent no {name}")
    return msgspec.json.decode(message.plugindata.data[name], type=int)


def _all_but(folder: Path, kept: str) -> str:
    return ",".join(sorted(file.name for file in folder.glob("*.so") if file.name != kept))
