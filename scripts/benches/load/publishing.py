"""Ready packets, sent on time: a stream makes its next frame ahead, the pump fires frames when they are due."""

from __future__ import annotations

import heapq
import random
import struct
import threading
import time
from array import array

from load import kernel, rtp
from load.peer import Peer
from load.sdp import Wire
from load.shapes import Media

_KEYFRAME_EVERY = 2.0
_REPORT_EVERY = 1.0
_LONGEST_NAP = 0.02


class Stream:
    """One publisher's stream. Once the pump runs, only its thread may touch it, counters excepted."""

    def __init__(self, index: int, peer: Peer, media: Media, wire: Wire) -> None:
        self.index = index
        self.wire = wire
        self.interval_ns = int(1e9 / media.frames)
        """Between frames; a change counts from the next one."""
        self.sent_at: array[int] = array("q")
        """Wall-clock nanoseconds of each packet sent, by packet number."""
        self.refused = 0
        """Packets that our own kernel did not take."""
        self._peer = peer
        self._media = media
        self._random = random.Random(index)
        self._burst = kernel.Burst(media.packets[1])
        self._made = 0
        self._octets = 0
        self._sequence = self._random.randrange(1 << 15)
        self._timestamp = self._random.randrange(1 << 31)
        self.picture = self._random.randrange(1 << 15)
        self._clock_rate = 48000 if wire.kind == "audio" else 90000
        self._keyframe_frames = max(int(media.frames * _KEYFRAME_EVERY), 1)
        self._frame = 0
        self._report_frames = max(int(media.frames * _REPORT_EVERY), 1)
        peer.keyframes_tracked = peer.keyframes_tracked or wire.kind == "video"
        peer.reports_itself = True
        self.prepare()

    @property
    def sent(self) -> int:
        return len(self.sent_at)

    def slow_to(self, share: float) -> None:
        """Send the same packets at this share of the rate."""
        self.interval_ns = int(1e9 / (self._media.frames * share))

    def fire(self) -> None:
        """Send the prepared frame."""
        count = len(self._burst)
        now = time.time_ns()
        taken = self._burst.send(self._peer.socket.fileno())
        self.sent_at.extend([now] * count)
        self.refused += count - taken

    def prepare(self) -> None:
        """Make and protect the next frame."""
        count = self._random.randint(*self._media.packets)
        keyframe = self._starts_keyframe()
        for position in range(count):
            plain = self._packet(position, position == count - 1, keyframe)
            self._burst.add(self._peer.keys.send.protect(plain))
            self._octets += len(plain)
        self._frame += 1
        self._timestamp += self._clock_rate * self.interval_ns // 1_000_000_000
        self.picture += 1

    def report(self) -> None:
        """Send a sender report once a second, with what this transport hears."""
        if self._frame % self._report_frames:
            return
        compound = rtp.sender_report(
            self.wire.ssrc, self._timestamp, time.time(), self._made, self._octets, "bench"
        )
        self._peer.send_rtcp(compound)
        if self._peer.heard:
            for reports in rtp.receiver_reports(self.wire.ssrc, self._peer.heard, "bench"):
                self._peer.send_rtcp(reports)

    def _starts_keyframe(self) -> bool:
        if self.wire.kind == "audio":
            return False
        asked = self.wire.ssrc in self._peer.keyframes_wanted
        self._peer.keyframes_wanted.discard(self.wire.ssrc)
        return asked or self._frame % self._keyframe_frames == 0

    def _packet(self, position: int, last: bool, keyframe: bool) -> bytes:
        self._sequence += 1
        self._peer.transport_sequence += 1
        elements = [(self.wire.transport_cc, _short(self._peer.transport_sequence))]
        if self.wire.kind == "audio":
            elements.append((self.wire.audio_level, bytes((0x80 | self._media.level,))))
        header_extension = rtp.extension(elements)
        room = self._random.randint(*self._media.size) - rtp.HEADER_LENGTH - len(header_extension)
        return rtp.packet(
            payload_type=self.wire.payload_type,
            marker=last and self.wire.kind == "video",
            sequence=self._sequence,
            timestamp=self._timestamp,
            ssrc=self.wire.ssrc,
            header_extension=header_extension,
            payload=self.payload(position, keyframe, room),
        )

    def payload(self, position: int, keyframe: bool, room: int) -> bytes:
        """Of the frame's packet at `position`; `room` octets of it."""
        start = b""
        if self.wire.kind == "video":
            start = rtp.vp8_start(self.picture, position == 0, keyframe)
        number, self._made = self._made, self._made + 1
        return rtp.tagged(start, room, self.index, number)


class Pump:
    """A thread that fires each stream's frames when they are due. Streams may be added while it runs."""

    def __init__(self) -> None:
        self.worst_delay_ms = 0.0
        """How late a frame left, at worst, since the last `resume`: the load side's own trouble."""
        self._heap: list[tuple[int, int, Stream]] = []
        self._lock = threading.Lock()
        self._running = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._stopping = False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="pump", daemon=True)
        self._thread.start()

    def add(self, stream: Stream) -> None:
        with self._lock:
            heapq.heappush(self._heap, (time.monotonic_ns(), stream.index, stream))

    def resume(self) -> None:
        """Go on; frames that fell due in between are not made up for. Streams start evenly spread."""
        now = time.monotonic_ns()
        with self._lock:
            streams = sorted((stream for _, _, stream in self._heap), key=lambda s: s.index)
            total = max(len(streams), 1)
            self._heap = [
                (now + stream.interval_ns * place // total, stream.index, stream)
                for place, stream in enumerate(streams)
            ]
            heapq.heapify(self._heap)
        self.worst_delay_ms = 0.0
        self._idle.clear()
        self._running.set()

    def pause(self) -> None:
        """Stop between two frames; returns once nothing is being sent. Raises what ended the thread, if it has."""
        self._running.clear()
        if self._failure is not None:
            raise self._failure
        if not self._idle.wait(5.0):
            raise RuntimeError("the pump does not pause")

    def close(self) -> None:
        self._stopping = True
        self._running.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        kernel.sharpen_sleep()
        try:
            self._work()
        except Exception as error:  # raised again in `pause`, where somebody looks
            self._failure = error
            self._idle.set()

    def _work(self) -> None:
        while not self._stopping:
            if not self._running.is_set():
                self._idle.set()
                self._running.wait()
                continue
            self._turn()

    def _turn(self) -> None:
        with self._lock:
            if not self._heap:
                due, stream = time.monotonic_ns() + int(_LONGEST_NAP * 1e9), None
            else:
                due, _, stream = self._heap[0]
        wait = (due - time.monotonic_ns()) / 1e9
        if stream is None or wait > _LONGEST_NAP:
            time.sleep(_LONGEST_NAP)
            return
        if wait > 0:
            time.sleep(wait)
        self.worst_delay_ms = max(self.worst_delay_ms, (time.monotonic_ns() - due) / 1e6)
        stream.fire()
        with self._lock:
            entry = (due + stream.interval_ns, stream.index, stream)
            if self._heap and self._heap[0][2] is stream:
                heapq.heapreplace(self._heap, entry)
            else:  # a stream that is due earlier was added meanwhile
                self._heap = [e for e in self._heap if e[2] is not stream]
                self._heap.append(entry)
                heapq.heapify(self._heap)
        stream.report()
        stream.prepare()


def _short(number: int) -> bytes:
    return struct.pack("!H", number & 0xFFFF)
