"""aiortc's own MediaRelay: it decodes what is published and encodes it for each viewer, so the video is real."""

from __future__ import annotations

import asyncio
import shutil
import struct
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import aiohttp
import msgspec
from aiortc.codecs.vpx import Vp8Encoder
from av import VideoFrame

from load import rtp, sdp
from load.dtls import Identity
from load.peer import Peer
from load.publishing import Stream
from load.relay_server import Description
from load.shapes import Load, Media
from load.stage import ADDRESS, ServerFailed, Stage, Viewer, launch

_PORT = 18089
_SIZE = 320, 240
_CLIP_FRAMES = 60
_MOST_FRAMES = 30
_MOST = 20
"""Viewers: each costs an encoder."""


class FrameViewer(Viewer):
    """Counts frames: the relay cuts them into packets of its own."""

    def delivered(self) -> int:
        return sum(peer.frames_received for peer in self.peers)


class ClipStream(Stream):
    """Sends the frames of a clip over and over; each fits a packet and the first is a keyframe."""

    def __init__(
        self, index: int, peer: Peer, media: Media, wire: sdp.Wire, clip: list[bytes]
    ) -> None:
        self._clip = clip
        self._next = 0
        super().__init__(index, peer, media, wire)

    def payload(self, position: int, keyframe: bool, room: int) -> bytes:
        place = 0 if keyframe else self._next
        self._next = (place + 1) % len(self._clip)
        recorded = self._clip[place]
        return recorded[:2] + struct.pack("!H", 0x8000 | (self.picture & 0x7FFF)) + recorded[4:]


class AiortcRelay:
    """One publisher, few viewers, video only."""

    name = "aiortc-relay"

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="bench-relay-"))
        self._log = self._folder / "relay.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._http: aiohttp.ClientSession | None = None

    @staticmethod
    def missing() -> str | None:
        return None

    @staticmethod
    def refuses(load: Load) -> str | None:
        if load.idle:
            return "it has nothing to relay"
        publisher, *viewers = load.people
        video = publisher.video
        if video is None or video.frames > _MOST_FRAMES or video.packets != (1, 1):
            return "it decodes and encodes: only a real video, a packet a frame"
        if len(viewers) > _MOST or any(each.sends() for each in viewers):
            return f"it decodes and encodes: only one video to at most {_MOST} viewers"
        return None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServerFailed("the relay is not running")
        return self._process.pid

    async def start(self) -> None:
        self._process = self._launch()
        self._http = aiohttp.ClientSession(base_url=f"http://127.0.0.1:{_PORT}")
        for _ in range(200):
            if self._process.poll() is not None:
                raise ServerFailed(f"the relay ended at once\n{self._last_words()}")
            try:
                await self._http.get("/")
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)
                continue
            return
        raise ServerFailed("the relay does not answer")

    async def counters(self, *, fresh: bool) -> dict[str, int]:
        return {}

    async def stop(self) -> None:
        if self._http is not None:
            await self._http.close()
        if self._process is not None:
            # Its decoder threads outlive a polite end, and it holds nothing worth one.
            self._process.kill()
            self._process.wait(5)
        shutil.rmtree(self._folder, ignore_errors=True)

    async def set_up(self, stage: Stage, identity: Identity) -> None:
        media = stage.load.people[0].video
        if media is None:
            raise ServerFailed("the relay has nothing to relay")
        clip = record_clip(media.frames)
        peer = self._peer(stage, identity, "publisher")
        sending = sdp.sending("video")
        remote = await self._offer("/publish", sdp.offer(peer.local, [sending]))
        await peer.connect(remote, controlling=True)
        wire = sdp.negotiated(sending, remote.media[0])
        stream = ClipStream(0, peer, media, wire, clip)
        stage.add_stream(stream)
        for index in range(1, len(stage.load.people)):
            viewer = self._peer(stage, identity, f"viewer {index}")
            offer = sdp.offer(viewer.local, [], ["video"])
            await viewer.connect(await self._offer("/watch", offer), controlling=True)
            stage.viewers.append(FrameViewer(viewer.name, [viewer], [stream], traceable=False))

    def _last_words(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]

    def _launch(self) -> subprocess.Popen[bytes]:
        program = Path(__file__).with_name("relay_server.py")
        return launch([sys.executable, str(program), str(_PORT)], self._log)

    async def _offer(self, path: str, offer: str) -> sdp.Remote:
        if self._http is None:
            raise ServerFailed("the relay is not running")
        body = msgspec.json.encode(Description(offer))
        async with self._http.post(path, data=body) as response:
            if response.status != 200:
                raise ServerFailed(f"the relay answered {response.status}")
            return sdp.parse(msgspec.json.decode(await response.read(), type=Description).sdp)

    def _peer(self, stage: Stage, identity: Identity, name: str) -> Peer:
        peer = Peer(identity, ADDRESS, f"relay {name}")
        stage.peers.append(peer)
        return peer


def record_clip(frames_a_second: float) -> list[bytes]:
    """VP8 payloads of a square that moves over grey, one packet a frame. Raises ServerFailed."""
    encoder = Vp8Encoder()
    clip: list[bytes] = []
    for number in range(_CLIP_FRAMES):
        frame = _picture(number)
        frame.pts = number
        frame.time_base = Fraction(1, max(int(frames_a_second), 1))
        payloads, _ = encoder.encode(frame, force_keyframe=number == 0)
        if len(payloads) != 1 or len(payloads[0]) + rtp.HEADER_LENGTH > 1200:
            raise ServerFailed("the clip's frames don't fit a packet each")
        clip.append(payloads[0])
    return clip


def _picture(number: int) -> VideoFrame:
    width, height = _SIZE
    luma = bytearray([110]) * (width * height)
    left = 4 * number % (width - 32)
    for row in range(100, 132):
        start = row * width + left
        luma[start : start + 32] = bytes([200]) * 32
    frame = VideoFrame(width, height, "yuv420p")
    grey = b"\x80" * (len(luma) // 4)
    for plane, content in zip(frame.planes, (bytes(luma), grey, grey), strict=True):
        plane.update(_with_stride(content, plane.width, plane.line_size))
    return frame


def _with_stride(content: bytes, width: int, stride: int) -> bytes:
    padding = bytes(stride - width)
    return b"".join(content[at : at + width] + padding for at in range(0, len(content), width))
