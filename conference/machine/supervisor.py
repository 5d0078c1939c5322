"""`parley up`: the servers, the API processes and the workers of one machine, under one process.

Order of start: data directory, PostgreSQL, Valkey, migrations, workers and API processes, readiness, links.
Order of stop: API processes, workers, Valkey, PostgreSQL. Everything is bounded in time. If this process is
killed, the kernel ends its children (`dies_with_parent`), and the next start clears what may be left.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal

import aiohttp
import structlog

from conference.machine import reach
from conference.machine.child import Child
from conference.machine.datadir import ServerUrls, locked, write_urls
from conference.machine.demo import demo_links
from conference.machine.embedded import EmbeddedError, PostgresServer, ValkeyServer
from conference.machine.ports import Kind, free, own_address, refused
from conference.storage.migrate import migrate
from conference.tokens import load_secret
from config.settings import THIS_MACHINE, Settings

log = structlog.get_logger(__name__)

_READY_WITHIN = 60.0
_PORT_WITHIN = 5.0  # the kernel may still be ending a killed predecessor
_POLL = 0.1
_WATCH_INTERVAL = 0.5
_SERVER_DELAY = 5.0
_API_PATIENCE = 12.0
_SFU_PATIENCE = 5.0
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class SupervisorError(RuntimeError):
    """It could not be brought up; the text says what to do."""


async def run_until_signalled(settings: Settings, *, api: int, workers: int, demo: bool) -> int:
    """Bring everything up, keep it up until SIGINT, SIGTERM or SIGHUP, take it down. The exit code.

    A second signal while stopping kills what is left. Raises SupervisorError, EmbeddedError,
    DataDirError, UnreachableError or MigrationError when it can't be brought up; nothing is left running then.
    """
    stop = asyncio.Event()
    with locked(settings.data_dir):
        supervisor = Supervisor(settings, api=api, workers=workers)
        loop = asyncio.get_running_loop()
        for sign in _stop_signals():
            loop.add_signal_handler(sign, _on_signal, stop, supervisor)
        keeping = asyncio.create_task(supervisor.keep(demo=demo))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({keeping, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            keeping.cancel()
            await asyncio.wait({keeping, stopping})
            await supervisor.close()
        if not keeping.cancelled():
            keeping.result()
    return 0


def _stop_signals() -> list[signal.Signals]:
    """A hangup that is ignored (nohup) stays ignored."""
    always = [signal.SIGINT, signal.SIGTERM]
    return always if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [*always, signal.SIGHUP]


def _on_signal(stop: asyncio.Event, supervisor: Supervisor) -> None:
    if stop.is_set():
        supervisor.hurry()
    stop.set()


class Supervisor:
    """`keep` brings everything up and watches it until cancelled; `close` takes it down."""

    def __init__(self, settings: Settings, *, api: int, workers: int) -> None:
        self._settings = settings
        self._postgres = None if settings.database_url else PostgresServer(settings.data_dir)
        self._valkey = None if settings.redis_url else ValkeyServer(settings.data_dir)
        self._http_ports = [settings.http_port + number for number in range(api)]
        self._media_ports = [settings.media_port + number for number in range(workers)]
        self._apis: list[Child] = []
        self._workers: list[Child] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def keep(self, *, demo: bool) -> None:
        await self._check_ports()
        load_secret(self._settings)
        await self._reach_servers()
        self._start_servers()
        urls = ServerUrls(database_url=self._database_url(), redis_url=self._redis_url())
        write_urls(self._settings.data_dir, urls)
        for name in await migrate(urls.database_url):
            log.info("migration applied", name=name)
        self._start_children(urls)
        await self._until_ready()
        await self._say_hello(demo)
        await self._watch_servers()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await _stop_all(self._apis)
        await _stop_all(self._workers)
        # They block, and that is fine: nothing else is left to run.
        if self._valkey:
            self._valkey.stop()
        if self._postgres:
            self._postgres.stop()
        log.info("stopped")

    def hurry(self) -> None:
        for child in (*self._apis, *self._workers):
            child.kill()

    def _start_servers(self) -> None:
        """Blocking: a server ends with the thread that started it, so that must be the main one."""
        for server in (self._postgres, self._valkey):
            if server and not server.running():
                server.start()
                log.info("server started", server=type(server).__name__, pid=server.pid)

    async def _reach_servers(self) -> None:
        """Those that are not ours to start."""
        if url := self._settings.database_url:
            async with reach.database(self._settings, url):
                pass
        if url := self._settings.redis_url:
            await reach.redis(self._settings, url)

    async def _watch_servers(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_INTERVAL)
            try:
                self._start_servers()
            except EmbeddedError as error:
                log.error("server does not start", error=str(error), again_in=_SERVER_DELAY)
                await asyncio.sleep(_SERVER_DELAY)

    def _start_children(self, urls: ServerUrls) -> None:
        common = {
            "PARLEY_DATABASE_URL": urls.database_url,
            "PARLEY_REDIS_URL": urls.redis_url,
            "PARLEY_DATA_DIR": str(self._settings.data_dir),
            "PARLEY_MEDIA_HOST": self._settings.media_host,
        }
        for port in self._media_ports:
            self._workers.append(
                Child(
                    f"sfu:{port}",
                    ["sfu"],
                    {**common, "PARLEY_MEDIA_PORT": str(port)},
                    stop_signal=signal.SIGINT,
                    patience=_SFU_PATIENCE,
                )
            )
        for port in self._http_ports:
            self._apis.append(
                Child(
                    f"api:{port}",
                    ["api"],
                    {**common, "PARLEY_HTTP_PORT": str(port)},
                    stop_signal=signal.SIGTERM,
                    patience=_API_PATIENCE,
                )
            )
        for child in (*self._workers, *self._apis):
            self._tasks.append(asyncio.create_task(child.keep(), name=child.name))

    async def _until_ready(self) -> None:
        """Every API process says so; each of them wants the database, Redis and a worker."""
        try:
            async with asyncio.timeout(_READY_WITHIN), aiohttp.ClientSession() as http:
                for port in self._http_ports:
                    while not await _is_ready(http, f"{self._address(port)}/readyz"):
                        self._raise_if_one_ended()
                        await asyncio.sleep(_POLL)
        except TimeoutError:
            raise SupervisorError(
                f"not ready within {_READY_WITHIN:.0f} s; the lines above say why, and so may `parley doctor`"
            ) from None

    def _raise_if_one_ended(self) -> None:
        for child in (*self._workers, *self._apis):
            if child.ends:
                raise SupervisorError(
                    f"{child.name} ended ({child.last_end}) before it was ready; see above"
                )

    async def _check_ports(self) -> None:
        wanted: list[tuple[Kind, str, int]] = [
            *(("tcp", self._settings.http_host, port) for port in self._http_ports),
            *(("udp", self._settings.media_host, port) for port in self._media_ports),
        ]
        deadline = asyncio.get_running_loop().time() + _PORT_WITHIN
        for kind, host, port in wanted:
            try:
                while not free(kind, host, port):
                    if asyncio.get_running_loop().time() > deadline:
                        raise OSError(errno.EADDRINUSE, "taken")
                    await asyncio.sleep(_POLL)
            except OSError as error:
                raise SupervisorError(refused(kind, host, port, error)) from None

    async def _say_hello(self, demo: bool) -> None:
        first, *others = map(self._shown, self._http_ports)
        addresses = [(self._settings.public_url or first).rstrip("/"), *others]
        lines = ["", "Parley is ready: " + "  ".join(addresses)]
        if demo:
            secret = load_secret(self._settings)
            inner = self._address(self._http_ports[0])
            for name, link in (await demo_links(inner, addresses[0], secret)).items():
                lines.append(f"  {name:<18} {link}")
        lines += self._open_to_others()
        lines += ["Ctrl-C stops everything.", ""]
        with contextlib.suppress(BrokenPipeError):
            print("\n".join(lines), flush=True)

    def _open_to_others(self) -> list[str]:
        """What else they need who find the page at one of this machine's addresses."""
        if not self._wildcard:
            return []
        lines = []
        if not self._settings.public_url:
            lines += [
                "Browsers give camera and microphone to https:// only (a proxy, named by PARLEY_PUBLIC_URL) and,",
                f"on this machine, to {self._address(self._http_ports[0])}",
            ]
        if self._settings.media_host == THIS_MACHINE:
            lines.append("Media is for this machine only; PARLEY_MEDIA_HOST=0.0.0.0 opens it")
        return lines

    @property
    def _wildcard(self) -> bool:
        return self._settings.http_host in _LOOPBACK

    def _address(self, port: int) -> str:
        """How this machine reaches it."""
        host = self._settings.http_host
        return _url(_LOOPBACK.get(host, host), port)

    def _shown(self, port: int) -> str:
        """How others do, where they may."""
        host = self._settings.http_host
        return _url(own_address(host) if self._wildcard else host, port)

    def _database_url(self) -> str:
        return self._postgres.url if self._postgres else self._settings.database_url or ""

    def _redis_url(self) -> str:
        return self._valkey.url if self._valkey else self._settings.redis_url or ""


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _stop_all(children: list[Child]) -> None:
    await asyncio.gather(*(child.stop() for child in children))


async def _is_ready(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url, timeout=aiohttp.ClientTimeout(total=5)) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
