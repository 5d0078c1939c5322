"""A Parley worker, driven as an API process drives it: commands and notices over Redis (schemas/sfu.py)."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from uuid import uuid4

from conference.machine.embedded.valkey import ValkeyServer
from load import kernel, sdp
from load.dtls import Identity
from load.parley_control import WorkerControl
from load.peer import Peer
from load.publishing import Stream
from load.shapes import Load, Media
from load.stage import ADDRESS, ServerFailed, Stage, Viewer, in_turns, launch
from schemas.sfu import (
    HEARTBEAT_INTERVAL,
    AnswerInbound,
    Feed,
    OfferAudio,
    OfferVideo,
    Subscribe,
    VideoKind,
)

_NATIVE_MODULE = "sfu.native.path"
_PORT = 17882
_OFFER_WITHIN = 60.0
_KINDS: dict[str, VideoKind] = {"video": "video", "unseen": "screen"}


class Parley:
    """One worker process with a Valkey of its own."""

    name = "parley"
    native = "auto"

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="bench-parley-"))
        self._valkey = ValkeyServer(self._folder, durable=False)
        self._process: subprocess.Popen[bytes] | None = None
        self._control: WorkerControl | None = None

    @staticmethod
    def missing() -> str | None:
        if importlib.util.find_spec("sfu.worker.worker") is None:
            return "there is no sfu.worker.worker yet"
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
        self._control = WorkerControl(self._valkey.url)
        try:
            await self._control.open(self._process)
        except ServerFailed as error:
            tail = self._log.read_text(errors="replace")[-3000:]
            raise ServerFailed(f"{error}\n{tail}") from None

    async def counters(self, *, fresh: bool) -> dict[str, int]:
        if fresh:
            await asyncio.sleep(1.2 * HEARTBEAT_INTERVAL)
        return {} if self._control is None else await self._control.counters()

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


class _Meeting:
    """A load as one meeting: everybody publishes, then everybody subscribes."""

    def __init__(self, control: WorkerControl, stage: Stage, identity: Identity) -> None:
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
