"""A real API process, and one route that it does not have: publish an event to a channel."""

from __future__ import annotations

import asyncio
import os
import sys

import uvloop
from aiohttp import web

from conference import app as composition
from conference.api.body import path_id
from conference.bus.channels import ChannelBus
from config import logging as logs
from config.settings import load

buses: list[ChannelBus] = []


class KnownBus(ChannelBus):
    """The composition root keeps its bus to itself; the bench needs it."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        buses.append(self)


async def publish(request: web.Request) -> web.Response:
    await buses[0].publish(None, [path_id(request, "queueId")], await request.read())
    return web.Response(status=204)


async def main(port: int) -> None:
    settings = load(os.environ)
    logs.configure(settings.log_format, settings.log_level, process="api")
    composition.ChannelBus = KnownBus  # type: ignore[misc]
    application = composition.create_app(settings)
    application.router.add_post("/bench/{queueId}", publish)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(main(int(sys.argv[1])))
