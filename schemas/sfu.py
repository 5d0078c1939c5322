"""The contract between API processes and SFU workers. Both sides import this and nothing of each other.

Commands travel on the Redis pub/sub channel `command_channel(worker)` as msgpack. The reply travels on
the pub/sub channel named in the command's `reply_to`. Notices are entries of the Redis stream
`NOTICE_STREAM` (field `n`, msgpack). A worker that is alive keeps `worker_key(id)` (msgpack
`WorkerRecord`) with a time to live of `WORKER_TTL` seconds and refreshes it every second.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal
from uuid import UUID

import msgspec

NOTICE_STREAM = "parley:notices"
NOTICE_FIELD = b"n"
NOTICE_STREAM_CAP = 10_000
WORKER_KEY_PREFIX = "parley:worker:"
WORKER_TTL = 3.0
HEARTBEAT_INTERVAL = 1.0

VideoKind = Literal["video", "screen"]
Connection = Literal["audio", "video", "screen", "inbound"]


def command_channel(worker: str) -> str:
    return f"parley:sfu:{worker}"


def worker_key(worker: str) -> str:
    return f"{WORKER_KEY_PREFIX}{worker}"


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="op"):
    """Base of the tagged unions below: the class name is the tag."""


class Feed(msgspec.Struct, frozen=True):
    """One forwarded video: whose, and which."""

    user: UUID
    kind: VideoKind


# --- commands -------------------------------------------------------------------------------


class OfClient(Message, frozen=True, kw_only=True):
    """Base of the commands about a user's connections. `client` is the event channel of the client that they
    belong to; None: not told.

    Who comes back with another client is the same user. An offer or a subscription of another client takes the
    place of all that the former one had; any other command for a client that is not the present one does nothing.
    """

    user: UUID
    client: UUID | None = None


class OpenMeeting(Message, frozen=True, kw_only=True, tag=True):
    """Hold the meeting here. Every other command opens it too; this one only reserves the place."""


class CloseMeeting(Message, frozen=True, kw_only=True, tag=True):
    """Close every connection of the meeting. Unknown meeting: done."""


class OfferAudio(OfClient, frozen=True, kw_only=True, tag=True):
    """A client's offer for its audio connection, first or renewed. `enabled` false: enters muted. Reply: Answered."""

    sdp: str
    enabled: bool


class OfferVideo(OfClient, frozen=True, kw_only=True, tag=True):
    """A client's offer to publish camera or screen, first or renewed. Reply: Answered."""

    kind: VideoKind
    sdp: str


class StopVideo(OfClient, frozen=True, kw_only=True, tag=True):
    """The client stopped publishing. The worker drops the viewers' m-lines and re-offers by itself. Reply: Done."""

    kind: VideoKind


class SetAudio(OfClient, frozen=True, kw_only=True, tag=True):
    """Open or close the microphone at the worker: closed, its packets reach nobody. Reply: Done or no_session."""

    enabled: bool


class Subscribe(OfClient, frozen=True, kw_only=True, tag=True):
    """Change what the user sees. Reply: Done; offers come as notices.

    A feed that is not live yet is remembered and offered once it is. A change that only repeats what the user
    has asks for a fresh offer, with new ICE credentials: a client that lost its inbound connection answers it
    with a new one.
    """

    subscribe: list[Feed]
    unsubscribe: list[Feed]


class AnswerInbound(OfClient, frozen=True, kw_only=True, tag=True):
    """The client's answer to the outstanding inbound offer. Reply: Done, bad_sdp, or no_session."""

    sdp: str


class RemovePeer(OfClient, frozen=True, kw_only=True, tag=True):
    """Close all connections of the user in this meeting, forget its subscriptions. Reply: Done (also when unknown)."""


class Report(Message, frozen=True, kw_only=True, tag=True):
    """Tell what the worker holds, a page at a time: `after` so many entries. Reply: Held.

    It is about the worker: the command's meeting and epoch mean nothing. Who comes or goes between two pages may
    be missing from both; whoever compares does so again and again.
    """

    after: int = 0


Body = (
    OpenMeeting
    | CloseMeeting
    | OfferAudio
    | OfferVideo
    | StopVideo
    | SetAudio
    | Subscribe
    | AnswerInbound
    | RemovePeer
    | Report
)


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """`deadline`: past it the worker does not start. It is seconds by the clock of Redis (TIME), which both sides can
    ask: their own clocks need not agree.

    The same `id` again gets the same reply.
    """

    id: str
    reply_to: str
    deadline: float
    meeting: UUID
    epoch: int
    body: Body


# --- replies --------------------------------------------------------------------------------

FailureCode = Literal[
    "stale_epoch", "bad_sdp", "no_session", "draining", "late", "internal", "too_many", "limit"
]
"""too_many: this participant has asked for more than its share, later it may again. limit: it has as much as there
may be of it."""


class Done(Message, frozen=True, kw_only=True, tag=True):
    pass


class Answered(Message, frozen=True, kw_only=True, tag=True):
    sdp: str


class Failed(Message, frozen=True, kw_only=True, tag=True):
    code: FailureCode
    reason: str


class HeldUser(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What the worker has of a user. `audio`: whether the microphone is open, None without an audio connection.
    `video` and `screen`: seconds since the last offer for it, None when it is not published."""

    user: UUID
    client: UUID | None
    audio: bool | None
    video: float | None
    screen: float | None

    def published_for(self, kind: VideoKind) -> float | None:
        return self.video if kind == "video" else self.screen


class HeldMeeting(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """`users`: those of them that are on this page."""

    meeting: UUID
    epoch: int
    users: list[HeldUser]


class Held(Message, frozen=True, kw_only=True, tag=True):
    """`next`: what to ask for after this page; None: it was the last."""

    meetings: list[HeldMeeting]
    next: int | None


Result = Done | Answered | Failed | Held


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    result: Result


# --- notices --------------------------------------------------------------------------------


class OfferedStream(msgspec.Struct, frozen=True, kw_only=True):
    user: UUID
    kind: VideoKind
    mid: str


class Offered(Message, frozen=True, kw_only=True, tag=True):
    """An offer for the user's inbound connection. `streams` is the full list it carries, msid `<userId>/<kind>`."""

    user: UUID
    sdp: str
    streams: list[OfferedStream]


class AudioConnected(Message, frozen=True, kw_only=True, tag=True):
    """The user's audio connection is up (ICE and DTLS)."""

    user: UUID


class VideoLive(Message, frozen=True, kw_only=True, tag=True):
    """Camera or screen: connected, and its first packet arrived."""

    user: UUID
    kind: VideoKind


class Loss(StrEnum):
    """Why a connection was lost. The value says it in words, the name is what programs compare."""

    UNREACHABLE = "never connected"
    """No check has come: what the client sends by UDP does not arrive at the worker's media port."""
    HANDSHAKE_UNFINISHED = "DTLS handshake timed out"
    """Checks have come, but the handshake did not end in time."""
    HANDSHAKE_REFUSED = "DTLS handshake failed"
    """The client refused, or agreed to nothing that is spoken here."""
    WRONG_CERTIFICATE = "the DTLS certificate is none of those that a=fingerprint names"
    SILENT = "silent"
    """It was connected, and nothing has come for `peer_timeout`."""
    CLOSED = "closed by the client"
    UNANSWERED = "offer not answered"
    ADDRESS_TAKEN = "address lost"
    """The only address it was reached at belongs to another client now."""
    FAILED = "something went wrong here"

    @property
    def code(self) -> str:
        return self.name.lower()


class ConnectionLost(Message, frozen=True, kw_only=True, tag=True):
    """A connection went silent, closed, or never came up. Not sent for one that a command closed or replaced.

    `reason` and `code` are the words and the code of a `Loss`. Of a connection that can't come up it is told
    within ten seconds of the description.
    """

    user: UUID
    connection: Connection
    reason: str
    code: str = Loss.FAILED.code


class Talking(Message, frozen=True, kw_only=True, tag=True):
    user: UUID
    talking: bool


class FeedPaused(Message, frozen=True, kw_only=True, tag=True):
    """The user's link does not carry this feed: it is sent no more of it. Not paused: it is tried again."""

    user: UUID
    feed: Feed
    paused: bool


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    worker: str
    meeting: UUID
    epoch: int
    body: Offered | AudioConnected | VideoLive | ConnectionLost | Talking | FeedPaused


# --- registry -------------------------------------------------------------------------------


class WorkerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker says of itself. `load` is its process's CPU share of one core over the last seconds, 0..1."""

    id: str
    pid: int
    load: float
    meetings: int
    peers: int
    draining: bool
    native: bool
    media: list[str]
    tracks: int = 0
    legs: int = 0
    counters: dict[str, int] = msgspec.field(default_factory=dict)
    """Totals since the worker started; the names of the packet path's are in sfu/path/counters.py."""
