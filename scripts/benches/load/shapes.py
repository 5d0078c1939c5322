"""What is sent and who receives it: the loads, as data. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

SILENT = 127


@dataclass(frozen=True)
class Media:
    """A stream: bursts ("frames") per second, packets in each, octets of an RTP packet; ranges are inclusive."""

    frames: float
    packets: tuple[int, int]
    size: tuple[int, int]
    level: int = SILENT
    """Audio: -dBov, 0 is loudest (RFC 6464)."""


@dataclass(frozen=True)
class Person:
    audio: Media | None = None
    video: Media | None = None
    unseen: Media | None = None
    """A second video that nobody subscribes to: it stands for simulcast layers that are received and dropped."""
    sees: tuple[int, ...] = ()
    slots: int = 0
    """How many speakers the person hears."""

    def sends(self) -> list[tuple[str, Media]]:
        """By name: audio, video, unseen."""
        named = (("audio", self.audio), ("video", self.video), ("unseen", self.unseen))
        return [(name, media) for name, media in named if media is not None]


@dataclass(frozen=True)
class Load:
    name: str
    title: str
    people: tuple[Person, ...]
    cpu_goal: float | None = None
    """Percent of a core that the server is to take: packets come as much faster or slower as that needs."""

    @property
    def moonshot(self) -> bool:
        """More than a machine may hold: to be climbed to, not to be thrown at it."""
        return self.name.partition("@")[0] in MOONSHOTS

    @property
    def idle(self) -> bool:
        """Nobody sends: people only stay connected."""
        return not any(person.sends() for person in self.people)

    def heard_by(self, listener: int) -> tuple[int, ...]:
        """The loudest others, as many as the listener has slots for."""
        speaking = [
            (person.audio.level, index)
            for index, person in enumerate(self.people)
            if person.audio is not None and index != listener
        ]
        return tuple(index for _, index in sorted(speaking)[: self.people[listener].slots])

    @property
    def legs(self) -> int:
        """Forwarded streams: each is one publisher's media on its way to one viewer."""
        return sum(
            len(person.sees) + len(self.heard_by(index)) for index, person in enumerate(self.people)
        )

    def occupying(self, percent: float, suffix: str) -> Load:
        """The same people at the rate at which the server takes so much of a core."""
        title = f"{self.title}, at {percent:g} % of a core"
        return replace(self, name=self.name + suffix, title=title, cpu_goal=percent)


def fan(
    name: str, viewers: int, packets_a_second: float, size: int = 1200, burst: int = 10
) -> Load:
    """One camera, many viewers; equal packets, ten to a frame."""
    camera = Media(packets_a_second / burst, (burst, burst), (size, size))
    people = (Person(video=camera), *(Person(sees=(0,)) for _ in range(viewers)))
    return Load(name, f"1 publisher, {viewers} viewers, {packets_a_second:g} packets/s", people)


def meeting(name: str, count: int, speaking: int, slots: int) -> Load:
    """Everyone sends audio and video and sees everyone; `speaking` of them are loud enough to be heard."""
    camera = Media(30, (4, 6), (650, 1150))
    people = tuple(
        Person(
            audio=Media(50, (1, 1), (100, 100), _level(index, speaking)),
            video=camera,
            sees=tuple(other for other in range(count) if other != index),
            slots=slots,
        )
        for index in range(count)
    )
    return Load(name, f"meeting of {count}, all video, {slots} speakers", people)


def listening(name: str, speakers: int, listeners: int, slots: int, rate: float, size: int) -> Load:
    """Audio only: some speak, everybody (listeners and speakers) hears `slots` of them."""
    people = tuple(
        Person(audio=Media(rate, (1, 1), (size, size), 10 + 3 * index), slots=slots)
        if index < speakers
        else Person(slots=slots)
        for index in range(speakers + listeners)
    )
    title = f"audio, {speakers} speak, {listeners} only listen, {slots} slots"
    return Load(name, title, people)


def livestream(name: str, viewers: int) -> Load:
    """LiveKit's livestream: 187 packets/s of 946 octets to each viewer, 246 packets/s in."""
    seen = Media(187 / 6, (6, 6), (946, 946))
    unseen = Media(59, (1, 1), (700, 700))
    people = (Person(video=seen, unseen=unseen), *(Person(sees=(0,)) for _ in range(viewers)))
    return Load(name, f"livestream, 1 to {viewers}", people)


def large_meeting(name: str, count: int) -> Load:
    """LiveKit's meeting at 720p: 340 packets/s in from each, 34 of 122 octets out on each of N(N-1) legs."""
    low = Media(17, (2, 2), (122, 122))
    higher = Media(30, (10, 10), (1000, 1160))
    people = tuple(
        Person(
            video=low,
            unseen=higher,
            sees=tuple(other for other in range(count) if other != index),
        )
        for index in range(count)
    )
    return Load(name, f"meeting, {count} to {count}, low layers forwarded", people)


def idle(name: str, count: int) -> Load:
    """Connected, and nobody says anything."""
    return Load(name, f"{count} connected peers, nothing to forward", (Person(slots=1),) * count)


def many_legs(name: str, publishers: int, viewers: int) -> Load:
    """Every viewer sees every publisher, slowly."""
    camera = Media(2, (1, 1), (1000, 1000))
    people = (
        *(Person(video=camera) for _ in range(publishers)),
        *(Person(sees=tuple(range(publishers))) for _ in range(viewers)),
    )
    return Load(name, f"{publishers * viewers} legs: {publishers} to {viewers}", people)


LOADS: dict[str, Callable[[], Load]] = {
    "fan-60": lambda: fan("fan-60", 60, 3000),
    "fan-20": lambda: fan("fan-20", 20, 1000),
    "meeting-12": lambda: meeting("meeting-12", 12, 4, 3),
    "fan-500": lambda: fan("fan-500", 500, 300),
    "audio-100": lambda: listening("audio-100", 5, 95, 3, 50, 100),
    "fan-60-half": lambda: fan("fan-60", 60, 3000).occupying(50, "-half"),
    "meeting-12-half": lambda: meeting("meeting-12", 12, 4, 3).occupying(50, "-half"),
    "relay-3": lambda: fan("relay-3", 3, 30, 600, 1),
}
SIZED: dict[str, tuple[int, Callable[[int], Load]]] = {
    "livekit-audio": (3000, lambda size: listening(f"livekit-audio@{size}", 10, size, 10, 32, 36)),
    "livekit-meeting": (150, lambda size: large_meeting(f"livekit-meeting@{size}", size)),
    "livekit-livestream": (3000, lambda size: livestream(f"livekit-livestream@{size}", size)),
    "idle": (200, lambda size: idle(f"idle@{size}", size)),
    "width": (500, lambda size: fan(f"width@{size}", size, 300)),
    "legs": (10_000, lambda size: many_legs(f"legs@{size}", 20, size // 20)),
}
"""Loads that come in any size, with the one they have unless told."""
TARGETS = {
    "fan-60": 1 / 4,
    "fan-20": 1 / 2,
    "meeting-12": 1 / 2,
    "fan-500": 1 / 3,
    "audio-100": 1 / 2,
}
"""And what Parley may take of Janus' CPU time for a packet."""
HALF = ("fan-60-half", "meeting-12-half")
MOONSHOTS = ("livekit-audio", "livekit-meeting", "livekit-livestream")
QUICK = ("fan-60", "fan-20", "meeting-12")
EXTRAS = ("idle@200", "width@10", "width@50", "width@100", "width@500", "legs@10000")


def named(name: str) -> Load:
    """`fan-60`, or `width` or `width@50` where a load comes in sizes. Raises ValueError."""
    if name in LOADS:
        return LOADS[name]()
    base, _, size = name.partition("@")
    if base not in SIZED or (size and not size.isdecimal()):
        known = [*LOADS, *(f"{sized}@N" for sized in SIZED)]
        raise ValueError(f"no load named {name!r}; there are: {', '.join(known)}")
    usual, make = SIZED[base]
    return make(int(size) if size else usual)


def _level(index: int, speaking: int) -> int:
    """Distinct and well apart, so that everybody agrees on who is loudest."""
    return 15 + 8 * index if index < speaking else SILENT
