"""The operations of the channels family."""

from __future__ import annotations

from typing import Annotated

import msgspec

from conference.api.channels.views import ChannelViews
from conference.api.openapi import Operation, Parameter
from conference.services.channels import ChannelService
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
        ),
        Operation(
            id="pollChannel",
            method="GET",
            path="/channels/{queueId}/events",
            handler=views.poll,
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
