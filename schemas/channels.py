"""Wire types of event channels."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec

from schemas.wire import Wire

Encoded = Annotated[
    msgspec.Raw, msgspec.Meta(extra_json_schema={"$ref": "#/components/schemas/Event"})
]
"""An event as it was encoded."""


class ChannelOpened(Wire, frozen=True, kw_only=True):
    """`events` is the first address to poll."""

    queue_id: UUID
    events: str


class Polled(Wire, frozen=True, kw_only=True):
    """A poll's answer. `next` acknowledges these events when it is asked for.

    With `resync` instead of `next` events may be missing: read the state anew, and poll on from that address.
    `events` are passed through as they were encoded.
    """

    queue_id: UUID
    ack: int
    events: list[Encoded]
    next: str | None = None
    resync: str | None = None


class WebsocketConnected(
    Wire, frozen=True, kw_only=True, tag_field="type", tag="websocketConnected"
):
    """The first frame. `position` is the number of the last event before those that follow."""

    queue_id: UUID
    position: int


class StreamResync(Wire, frozen=True, kw_only=True, tag_field="type", tag="resync"):
    """Events may be missing: read the state anew. The stream goes on after `position`."""

    queue_id: UUID
    position: int


class StreamReplaced(Wire, frozen=True, kw_only=True, tag_field="type", tag="replaced"):
    """A newer reader of the channel took this stream's place; do not reconnect."""

    queue_id: UUID


class StreamClosed(Wire, frozen=True, kw_only=True, tag_field="type", tag="closed"):
    """The channel was closed; do not reconnect."""

    queue_id: UUID


class Ping(Wire, frozen=True, kw_only=True, tag_field="type", tag="ping"):
    """From a WebSocket client."""


class Pong(Wire, frozen=True, kw_only=True, tag_field="type", tag="pong"):
    """The answer to its ping."""
