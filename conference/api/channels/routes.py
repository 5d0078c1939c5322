"""The operations of the channels family."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec

from conference.api.channels.sse import SseView
from conference.api.channels.views import ChannelViews
from conference.api.channels.websocket import WebsocketView
from conference.api.openapi import Operation, Parameter
from conference.services.channels import BACK_WITHIN, ChannelService
from config.settings import Settings
from schemas.channels import ChannelOpened, Polled

_NOT_YOURS = "no such channel of the caller's"


def operations(service: ChannelService, settings: Settings) -> list[Operation]:
    views = ChannelViews(service, settings)
    return [
        Operation(
            id="openChannel",
            method="POST",
            path="/channels",
            handler=views.open,
            summary="Open an event channel",
            tag="channels",
            returns={201: ChannelOpened},
            refuses={403: "the user has too many (LimitExceeded)"},
        ),
        Operation(
            id="pollChannel",
            method="GET",
            path="/channels/{queueId}/events",
            handler=views.poll,
            head=views.look,
            summary="Wait for events",
            description=(
                "Answers once there are events, or without any after `timeout` seconds. Asking for `ack` + 1 "
                "acknowledges them; asking for the same `ack` again gives the same events again."
            ),
            tag="channels",
            parameters=[
                Parameter(
                    name="ack",
                    place="query",
                    type=Annotated[int, msgspec.Meta(ge=1)],
                    description="The position to read; follow `events`, `next` and `resync`.",
                    required=True,
                ),
                Parameter(
                    name="timeout",
                    place="query",
                    type=float,
                    description="Seconds to wait at most; taken into the server's bounds.",
                ),
            ],
            returns={200: Polled},
            refuses={
                400: "ack is not an integer from 1 on, or timeout is not a number",
                404: _NOT_YOURS,
                409: "a newer poll of the channel took this one's place",
            },
        ),
        Operation(
            id="streamChannel",
            method="GET",
            path="/channels/{queueId}/stream",
            handler=SseView(service).stream,
            summary="Read events as server-sent events",
            description=(
                "Each event carries its number as id; `Last-Event-ID` acknowledges and resumes. Named events: "
                "`resync` (read the state anew), `replaced` and `closed` (do not reconnect). A page, which "
                "can't set headers, gives its token as `access_token` in the query."
            ),
            tag="channels",
            parameters=[
                Parameter(
                    name="Last-Event-ID", place="header", type=Annotated[int, msgspec.Meta(ge=0)]
                )
            ],
            returns={200: str},
            media_type="text/event-stream",
            refuses={400: "Last-Event-ID is not a number", 404: _NOT_YOURS},
        ),
        Operation(
            id="openWebsocket",
            method="GET",
            path="/events",
            handler=WebsocketView(service).events,
            summary="Read events over a WebSocket",
            description=(
                "The first frame is `websocketConnected` with the queueId of a new channel, or of the one "
                "resumed by `queueId`. A page gives its token as the subprotocol `bearer.<token>`, beside "
                "`parley`, or as `access_token` in the query. A client of the published API may offer its version "
                "(`1.6.2`) as the subprotocol, and gets it back; events keep their names."
            ),
            tag="channels",
            parameters=[
                Parameter(
                    name="queueId",
                    place="query",
                    type=UUID,
                    description="A channel to resume.",
                ),
                Parameter(
                    name="after",
                    place="query",
                    type=Annotated[int, msgspec.Meta(ge=0)],
                    description="The number of the last event that the client has; else what it confirmed.",
                ),
            ],
            returns={101: None},
            refuses={
                400: "not a WebSocket handshake, no subprotocol that we speak, or `after` is not a number",
                403: "another site's page, with the cookie",
                404: _NOT_YOURS,
            },
        ),
        Operation(
            id="leaveChannel",
            method="POST",
            path="/channels/{queueId}/going",
            handler=views.going,
            summary="Say that the client goes, and may come back at once",
            description=(
                "For a page that is closed or reloaded, which can't know which. Who joined a meeting with the "
                f"channel leaves {BACK_WITHIN:.0f} seconds later, unless the channel is read or they joined with "
                "another one by then."
            ),
            tag="channels",
            returns={204: None},
            refuses={404: _NOT_YOURS},
        ),
        Operation(
            id="closeChannel",
            method="DELETE",
            path="/channels/{queueId}",
            handler=views.close,
            summary="Close the channel; who joined a meeting with it leaves",
            tag="channels",
            returns={204: None},
            refuses={404: _NOT_YOURS},
        ),
    ]
