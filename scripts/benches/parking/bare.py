"""The yardstick: a long poll as simple as aiohttp allows. No queue, no acknowledgement, no second process."""

from __future__ import annotations

import asyncio
import sys

import uvloop
from aiohttp import web

waiting: dict[str, asyncio.Future[bytes]] = {}


async def subscribe(request: web.Request) -> web.Response:
    channel = request.match_info["channel"]
    future = waiting[channel] = asyncio.get_running_loop().create_future()
    return web.Response(body=await future, content_type="application/json")


async def publish(request: web.Request) -> web.Response:
    future = waiting.pop(request.match_info["channel"])
    future.set_result(await request.read())
    return web.Response(status=204)


async def main(port: int) -> None:
    app = web.Application()
    app.router.add_get("/sub/{channel}", subscribe)
    app.router.add_post("/pub/{channel}", publish)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(main(int(sys.argv[1])))
