"""`parley api`, with one route that it does not have: publish an event to a channel."""

from __future__ import annotations

import sys

from aiohttp import web

from conference import app as composition
from conference.api.body import path_id
from conference.bus.channels import ChannelBus
from conference.commands import processes

buses: list[ChannelBus] = []
create_app = composition.create_app


class KnownBus(ChannelBus):
    """The composition root keeps its bus to itself; the bench needs it."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        buses.append(self)


async def publish(request: web.Request) -> web.Response:
    await buses[0].publish(None, [path_id(request, "queueId")], await request.read())
    return web.Response(status=204)


def create_app_with_publish(*args: object) -> web.Application:
    application = create_app(*args)  # type: ignore[arg-type]
    application.router.add_post("/bench/{queueId}", publish)
    return application


if __name__ == "__main__":
    composition.ChannelBus = KnownBus  # type: ignore[misc]
    composition.create_app = create_app_with_publish
    sys.exit(processes.api())
