"""Whoever is out, or muted, is so within five seconds of everything being back, whatever died in between.

Every order to a worker, each in a meeting of its own, times what can happen to it: Redis killed, Redis paused, the
API process killed between its commit and its command (or between the command and the commit), the worker paused.
Real processes and real media. The worker's Unix clock is an hour behind all along, the API's half an hour ahead.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import webrtc
from aiohttp import ClientError, ClientSession
from media_rig import Camera, Microphone, inbound_stats, patient
from rig_meetings import SECRET, Api, Json, Person
from ucwa_process import Address

from conference.machine.embedded import ValkeyServer
from conference.machine.embedded.process import dies_with_parent

BACK_WITHIN = 5.0
PAUSED = 4.5
"""Longer than a command may take, so that those that waited for the worker come too late."""
SETTINGS = {"COMMAND_TIMEOUT": "3", "CHANNEL_GRACE": "600", "MEDIA_HOST": "127.0.0.1"}

pytestmark = (
    pytest.mark.slow
)  # the processes alone take seconds to start, and what dies has to be back


# --- processes ----------------------------------------------------------------------------------


class Process:
    """`parley api` or `parley sfu`, with a clock that is off."""

    def __init__(self, command: str, clock: int, environ: dict[str, str], directory: Path) -> None:
        self.death = directory / f"{command}.death"
        self._command = command
        self._log = directory / f"{command}.log"
        self._environ = {**environ, "ODD_CLOCK": str(clock), "ODD_DEATH": str(self.death)}
        self._running: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self._running = await asyncio.create_subprocess_exec(
                sys.executable,
                str(Path(__file__).with_name("odd_process.py")),
                self._command,
                env=self._environ,
                stdout=log,
                stderr=log,
                preexec_fn=dies_with_parent(signal.SIGKILL),
            )

    async def died(self) -> None:
        assert self._running is not None
        async with asyncio.timeout(patient(10)):
            assert await self._running.wait() == -signal.SIGKILL

    def signal(self, sign: signal.Signals) -> None:
        assert self._running is not None
        self._running.send_signal(sign)

    async def kill(self) -> None:
        if self._running is not None and self._running.returncode is None:
            self._running.kill()
            await self._running.wait()


class World:
    """One of everything."""

    def __init__(self, valkey: ValkeyServer, worker: Process, process: Process, api: Api) -> None:
        self.valkey, self.worker, self.process, self.api = valkey, worker, process, api

    async def ready(self) -> None:
        """The API answers, and knows of Redis and of the worker."""
        async with asyncio.timeout(patient(20)):
            while not await self._answers("/readyz"):
                await asyncio.sleep(0.05)

    async def api_back(self) -> None:
        await self.process.start()
        async with asyncio.timeout(patient(20)):
            while not await self._answers("/healthz"):
                await asyncio.sleep(0.05)

    async def _answers(self, path: str) -> bool:
        try:
            return (await self.api.call("GET", path)).status == 200
        except ClientError:
            return False


@asynccontextmanager
async def running(database_url: str, valkey: ValkeyServer, directory: Path) -> AsyncIterator[World]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {
        **os.environ,
        "PARLEY_DATABASE_URL": database_url,
        "PARLEY_REDIS_URL": valkey.url,
        "PARLEY_DATA_DIR": str(directory),
        "PARLEY_JWT_SECRET": SECRET,
        "PARLEY_HTTP_PORT": str(port),
        "PARLEY_MEDIA_PORT": "0",
        **{f"PARLEY_{name}": value for name, value in SETTINGS.items()},
    }
    worker = Process("sfu", -3600, environ, directory)
    process = Process("api", 1800, environ, directory)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(ClientSession())
        for started in (worker, process):
            stack.push_async_callback(started.kill)
            await started.start()
        world = World(valkey, worker, process, Api(Address(port), session))  # type: ignore[arg-type]
        await world.ready()
        yield world


@pytest.fixture
async def world(
    database_url: str, private_valkey: Callable[[], ValkeyServer], tmp_path: Path
) -> AsyncIterator[World]:
    async with running(database_url, private_valkey(), tmp_path) as world:
        yield world


# --- meetings -----------------------------------------------------------------------------------


class Call:
    """Somebody in a meeting with libwebrtc's connections."""

    def __init__(self, person: Person, path: str) -> None:
        self.person, self.path = person, path
        self.microphone: Microphone | None = None
        self.camera: Camera | None = None
        self.audio = webrtc.RTCPeerConnection()
        self.video = webrtc.RTCPeerConnection()
        self.inbound = webrtc.RTCPeerConnection()

    async def talk(self) -> None:
        self.microphone = Microphone()
        self.audio.add_transceiver(self.microphone.track)
        assert await self.put("audio/offer", {"sdp": await _offer(self.audio)}) == 204
        answer = await self.person.until("MEETING_AUDIO_ANSWERED")
        await _answered(self.audio, answer["sdp"])
        assert await self.put("audio", {"enabled": True}) == 204

    async def show(self) -> None:
        self.camera = Camera(10, 160, 90)
        self.video.add_transceiver(
            self.camera.track, webrtc.RTCRtpTransceiverInit(direction="sendonly")
        )
        body = {"type": "video", "enabled": True, "sdp": await _offer(self.video)}
        assert await self.put("media", body) == 204
        await _answered(self.video, (await self.person.until("MEETING_SDP_ANSWERED"))["sdp"])

    async def watch(self, other: Call) -> None:
        assert await self.subscribe(other, on=True) == 204
        offered = await self.person.until("MEETING_SDP_OFFERED")
        await self.inbound.set_remote_description(
            webrtc.RTCSessionDescriptionInit(type="offer", sdp=offered["sdp"])
        )
        answer = await self.inbound.create_answer()
        await self.inbound.set_local_description(answer)
        assert await self.put("media/answer", {"sdp": answer.sdp}) == 204

    async def subscribe(self, other: Call, *, on: bool) -> int:
        stream = [{"userId": other.person.id, "type": "video"}]
        body = {"subscribe": stream if on else [], "unsubscribe": [] if on else stream}
        return await self.put("media/subscribe", body)

    async def put(self, what: str, body: Json) -> int:
        return (await self.person.put(f"{self.path}/{what}", body)).status

    async def received(self) -> int:
        """Packets of everybody else's."""
        found = [
            *await inbound_stats(self.audio, "audio"),
            *await inbound_stats(self.inbound, "video"),
        ]
        return sum(stats.packets_received or 0 for stats in found)

    async def close(self) -> None:
        if self.microphone is not None:
            await self.microphone.stop()
        if self.camera is not None:
            await self.camera.stop()
        for connection in (self.audio, self.video, self.inbound):
            connection.close()


async def _offer(connection: webrtc.RTCPeerConnection) -> str:
    offered = await connection.create_offer()
    await connection.set_local_description(offered)
    return str(offered.sdp)


async def _answered(connection: webrtc.RTCPeerConnection, sdp: str) -> None:
    await connection.set_remote_description(
        webrtc.RTCSessionDescriptionInit(type="answer", sdp=sdp)
    )


class Pair:
    """Alice moderates and listens; Bob is the one that is heard, or seen."""

    def __init__(self, alice: Call, bob: Call) -> None:
        self.alice, self.bob = alice, bob

    async def received(self) -> int:
        return await self.alice.received() + await self.bob.received()

    async def flows(self) -> None:
        start = await self.received()
        async with asyncio.timeout(patient(15)):
            while await self.received() < start + 10:
                await asyncio.sleep(0.05)

    async def falls_silent(self, within: float) -> None:
        try:
            async with asyncio.timeout(patient(within)):
                before = -1
                while (now := await self.received()) != before:
                    before = now
                    await asyncio.sleep(0.4)
        except TimeoutError:
            raise AssertionError(f"packets go on after {within} s") from None

    async def close(self) -> None:
        await self.alice.close()
        await self.bob.close()


class Order:
    """What is asked of the API, and so of the worker."""

    sees = False
    """Whether it is about Bob's camera, or his microphone."""
    refused: Collection[int] = ()
    """Besides 200 and 204: that it was not done, and is to be asked again."""
    dies_at: str
    """See odd_process.py."""
    flag = ""
    """What of Bob's is off afterwards."""

    async def ask(self, pair: Pair) -> int:
        raise NotImplementedError


class Stop(Order):
    dies_at = "CloseMeeting"

    async def ask(self, pair: Pair) -> int:
        return (await pair.alice.person.post(f"{pair.alice.path}/stop")).status


class Leave(Order):
    dies_at = "RemovePeer"

    async def ask(self, pair: Pair) -> int:
        return (await pair.bob.person.post(f"{pair.bob.path}/leave")).status


class Remove(Order):
    dies_at = "RemovePeer"

    async def ask(self, pair: Pair) -> int:
        path = f"{pair.alice.path}/members/{pair.bob.person.id}"
        return (await pair.alice.person.delete(path)).status


class Mute(Order):
    dies_at = "SetAudio"
    flag = "audioStreamEnabled"
    refused = (424, 503)

    async def ask(self, pair: Pair) -> int:
        body = {"enabled": False, "userToModerate": pair.bob.person.id}
        return await pair.alice.put("audio", body)


class CameraOff(Order):
    sees = True
    dies_at = "StopVideo+"
    flag = "videoStreamEnabled"
    refused = (424, 503)

    async def ask(self, pair: Pair) -> int:
        return await pair.bob.put("media", {"type": "video", "enabled": False})


class Unsubscribe(Order):
    sees = True
    dies_at = "Subscribe+"
    refused = (424, 503)

    async def ask(self, pair: Pair) -> int:
        return await pair.alice.subscribe(pair.bob, on=False)


ORDERS = (Stop(), Leave(), Remove(), Mute(), CameraOff(), Unsubscribe())


class Hall:
    """A meeting for each order, and one that nobody touches."""

    def __init__(self) -> None:
        self.pairs: dict[Order, Pair] = {}
        self.untouched: Pair | None = None

    async def fill(self, api: Api) -> None:
        built = await asyncio.gather(*[_pair(api, n, o) for n, o in enumerate((*ORDERS, Order()))])
        *pairs, self.untouched = built
        self.pairs = dict(zip(ORDERS, pairs, strict=True))
        await asyncio.gather(*[pair.flows() for pair in built])

    async def close(self) -> None:
        for pair in (*self.pairs.values(), self.untouched):
            if pair is not None:
                await pair.close()


async def _pair(api: Api, number: int, order: Order) -> Pair:
    alice, bob = await api.people(f"alice{number}", f"bob{number}")
    path = await alice.started_meeting()
    await alice.put(f"{path}/members/{bob.id}", {"userType": "registered"})
    for person in (alice, bob):
        await person.join(path)
    pair = Pair(Call(alice, path), Call(bob, path))
    if order.sees:
        await pair.bob.show()
        await pair.alice.watch(pair.bob)
    else:
        await pair.bob.talk()
        await pair.alice.talk()
        if isinstance(order, Mute):
            assert await pair.alice.put("audio", {"enabled": False}) == 204
    return pair


@pytest.fixture
async def hall(world: World) -> AsyncIterator[Hall]:
    hall = Hall()
    try:
        await hall.fill(world.api)
        yield hall
    finally:
        await hall.close()


# --- what can happen ----------------------------------------------------------------------------


async def all_obeyed(
    world: World,
    hall: Hall,
    away: Callable[[], Awaitable[None]],
    back: Callable[[], Awaitable[None]],
) -> None:
    """All orders while something is away. What is committed holds soon after it is back, without a word more."""
    await away()
    statuses = await asyncio.gather(*[order.ask(pair) for order, pair in hall.pairs.items()])
    for order, status in zip(ORDERS, statuses, strict=True):
        assert status in (200, 204, *order.refused), type(order).__name__
    await back()
    done = [o for o, status in zip(ORDERS, statuses, strict=True) if status in (200, 204)]
    await asyncio.gather(*[hall.pairs[order].falls_silent(BACK_WITHIN) for order in done])
    await world.ready()
    for order in hall.pairs.keys() - set(done):
        assert await order.ask(hall.pairs[order]) in (200, 204), "asked again it is done"
        await hall.pairs[order].falls_silent(BACK_WITHIN)
    assert hall.untouched is not None
    await hall.untouched.flows()


async def test_redis_is_killed(world: World, hall: Hall) -> None:
    async def away() -> None:
        world.valkey.kill()

    async def back() -> None:
        await asyncio.to_thread(world.valkey.start)

    await all_obeyed(world, hall, away, back)


async def test_redis_is_paused(world: World, hall: Hall) -> None:
    pid = world.valkey.pid
    assert pid is not None

    async def away() -> None:
        os.kill(pid, signal.SIGSTOP)

    async def back() -> None:
        os.kill(pid, signal.SIGCONT)

    await all_obeyed(world, hall, away, back)


async def test_the_worker_is_paused(world: World, hall: Hall) -> None:
    async def away() -> None:
        world.worker.signal(signal.SIGSTOP)

    async def back() -> None:
        await asyncio.sleep(PAUSED)
        world.worker.signal(signal.SIGCONT)

    await all_obeyed(world, hall, away, back)


async def test_the_api_process_is_killed_half_way(world: World, hall: Hall) -> None:
    for order, pair in hall.pairs.items():
        world.process.death.write_text(order.dies_at)
        with pytest.raises(ClientError):
            await order.ask(pair)
        await world.process.died()
        await world.api_back()
        await pair.falls_silent(BACK_WITHIN)
        if order.flag:
            await _flag_is_off(pair, order.flag)
    assert hall.untouched is not None
    await hall.untouched.flows()


async def _flag_is_off(pair: Pair, flag: str) -> None:
    """Nor does the state say, in the end, that it was on."""
    async with asyncio.timeout(patient(10)):
        while True:
            state = await pair.alice.person.state(pair.alice.path)
            (bob,) = [p for p in state["participants"] if p["userId"] == pair.bob.person.id]
            if not bob[flag]:
                return
            await asyncio.sleep(0.2)
