"""aiortc as it comes: one published video, given to each viewer by its MediaRelay. A process of its own."""

from __future__ import annotations

import asyncio
import sys

import msgspec
from aiohttp import web
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay


class Description(msgspec.Struct):
    sdp: str


class Relay:
    """Offers come by HTTP: to publish, or to watch what is published."""

    def __init__(self) -> None:
        self._relay = MediaRelay()
        self._connections: list[RTCPeerConnection] = []
        self._track: asyncio.Future[MediaStreamTrack] = asyncio.get_running_loop().create_future()

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes([web.post("/publish", self.publish), web.post("/watch", self.watch)])
        app.on_shutdown.append(self.close)
        return app

    async def publish(self, request: web.Request) -> web.Response:
        connection = self._connection()
        connection.on("track", self._track.set_result)
        return await self._answer(connection, request)

    async def watch(self, request: web.Request) -> web.Response:
        connection = self._connection()
        connection.addTrack(self._relay.subscribe(await self._track, buffered=False))
        return await self._answer(connection, request)

    async def close(self, _: web.Application) -> None:
        for connection in self._connections:
            await connection.close()

    def _connection(self) -> RTCPeerConnection:
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._connections.append(connection)
        return connection

    @staticmethod
    async def _answer(connection: RTCPeerConnection, request: web.Request) -> web.Response:
        offer = msgspec.json.decode(await request.read(), type=Description)
        await connection.setRemoteDescription(RTCSessionDescription(sdp=offer.sdp, type="offer"))
        await connection.setLocalDescription(await connection.createAnswer())
        answer = Description(connection.localDescription.sdp)
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")


async def _serve(port: int) -> None:
    runner = web.AppRunner(Relay().app())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
