"""The servers that are compared: how each is started, and how a client speaks to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import aiohttp
import asyncpg
import msgspec

from conference import tokens
from conference.machine.embedded import PostgresServer, ValkeyServer
from conference.machine.embedded.process import dies_with_parent
from conference.storage.migrate import migrate
from conference.ucwa.conversations.facts import ConversationNews, Step
from schemas.channels import ChannelOpened

_HERE = Path(__file__).parent
_READY_WITHIN = 20.0
_STOP_WITHIN = 15.0
_POLL_TIMEOUT = 600
_NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
_SECRET = "a secret that is only for this benchmark"
_USERS = 50
_NUMBER = re.compile(rb'"n":([0-9]+)')
_CONVERSATION = re.compile(rb"/conversations/([0-9a-f-]{36})")


class TargetFailed(Exception):
    """It did not start."""


class Target:
    """A server under test. Requests are whole HTTP messages as bytes."""

    name = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def missing(cls) -> str | None:
        """Why it can't be compared here."""
        return None

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def helpers(self) -> list[int]:
        """Processes whose CPU is shown beside the server's own."""
        return []

    async def start(self) -> None:
        raise NotImplementedError

    async def open_channels(self, count: int) -> None:
        """Before anything is polled."""

    def poll_request(self, channel: int, answered: int, head: bytes) -> bytes:
        """The poll after `answered` answers; `head` is the last one's, or empty."""
        raise NotImplementedError

    def event(self, number: int) -> bytes:
        """About as long as most are, with a number to know it by."""
        return (
            b'{"type":"MEETING_PARTICIPANT_JOINED","sentDate":"2026-11-21T12:00:00Z",'
            b'"meetingId":"497f6eca-6276-4993-bfeb-53cbbbba6f08","n":%d}' % number
        )

    def numbers(self, body: bytes) -> list[int]:
        """Of the events in an answer."""
        return [int(found) for found in _NUMBER.findall(body)]

    def publish_request(self, channel: int, body: bytes) -> bytes:
        raise NotImplementedError

    async def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            await asyncio.to_thread(self._process.wait, _STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    async def _launch(self, command: list[str], environment: dict[str, str] | None = None) -> None:
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220  # it returns at once
                command,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=dies_with_parent(signal.SIGTERM),
            )
        async with asyncio.timeout(_READY_WITHIN):
            while not _listens(self.port):
                if self._process.poll() is not None:
                    text = (self.folder / f"{self.name}.log").read_text()[-2000:]
                    raise TargetFailed(f"{self.name} ended at once: {text}")
                await asyncio.sleep(0.05)


class Bare(Target):
    """A dict of futures in aiohttp."""

    name = "aiohttp"

    async def start(self) -> None:
        await self._launch([sys.executable, str(_HERE / "bare.py"), str(self.port)])

    def poll_request(self, channel: int, answered: int, head: bytes) -> bytes:
        return b"GET /sub/c%d HTTP/1.1\r\nHost: x\r\n\r\n" % channel

    def publish_request(self, channel: int, body: bytes) -> bytes:
        return b"POST /pub/c%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (
            channel,
            len(body),
            body,
        )


class Nchan(Target):
    """nginx with nchan: queues in memory, in C."""

    name = "nchan"

    @classmethod
    def missing(cls) -> str | None:
        if shutil.which("nginx") is None or not _NCHAN.exists():
            return "no nginx with nchan (Debian: nginx-light libnginx-mod-nchan)"
        return None

    async def start(self) -> None:
        settings = self.folder / "nginx.conf"
        settings.write_text(
            f"""
            load_module {_NCHAN}; daemon off; worker_processes 1; worker_rlimit_nofile 65536;
            pid {self.folder}/nginx.pid; error_log {self.folder}/nginx-error.log;
            {"user root;" if os.geteuid() == 0 else ""}
            events {{ worker_connections 32768; }}
            http {{
              access_log off; keepalive_requests 100000000; client_body_temp_path {self.folder};
              server {{
                listen 127.0.0.1:{self.port} backlog=1024;
                location ~ ^/sub/(.+)$ {{ nchan_subscriber longpoll; nchan_channel_id $1;
                  nchan_subscriber_first_message oldest; }}
                location ~ ^/pub/(.+)$ {{ nchan_publisher; nchan_channel_id $1;
                  nchan_message_buffer_length 100; nchan_message_timeout 10m; }}
              }}
            }}"""
        )
        await self._launch(["nginx", "-c", str(settings), "-p", str(self.folder)])

    @property
    def pid(self) -> int:
        """The worker's, which does the work."""
        master = super().pid
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        return int(children[0])

    def poll_request(self, channel: int, answered: int, head: bytes) -> bytes:
        position = b""
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b": ")
            if name.lower() == b"last-modified":
                position += b"If-Modified-Since: %s\r\n" % value
            elif name.lower() == b"etag":
                position += b"If-None-Match: %s\r\n" % value
        return b"GET /sub/c%d HTTP/1.1\r\nHost: x\r\n%s\r\n" % (channel, position)

    def publish_request(self, channel: int, body: bytes) -> bytes:
        return b"POST /pub/c%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (
            channel,
            len(body),
            body,
        )


class Parley(Target):
    """An API process with everything in it: tokens, middleware, PostgreSQL, Valkey."""

    name = "parley"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._postgres = PostgresServer(folder)
        self._valkey = ValkeyServer(folder)
        self._headers: list[bytes] = []
        self._queues: list[bytes] = []

    def helpers(self) -> list[int]:
        return [self._valkey.pid] if self._valkey.pid else []

    async def start(self) -> None:
        await asyncio.to_thread(self._postgres.start)
        await asyncio.to_thread(self._valkey.start)
        await migrate(self._postgres.url)
        await self._launch(
            [sys.executable, str(_HERE / "api.py")],
            {
                "PARLEY_HTTP_PORT": str(self.port),
                "PARLEY_DATABASE_URL": self._postgres.url,
                "PARLEY_REDIS_URL": self._valkey.url,
                "PARLEY_DATA_DIR": str(self.folder),
                "PARLEY_JWT_SECRET": _SECRET,
                "PARLEY_LOG_LEVEL": "warning",
                **self.settings(),
            },
        )

    def settings(self) -> dict[str, str]:
        """More of the process's environment."""
        return {}

    async def open_channels(self, count: int) -> None:
        now = datetime.now(UTC)
        people = [tokens.user_named(f"user{n}") for n in range(_USERS)]
        bearers = [
            tokens.issue(_SECRET, user=user, now=now, lifetime=timedelta(hours=4))
            for user in people
        ]
        numbers = iter(range(count))
        queues: dict[int, bytes] = {}
        async with aiohttp.ClientSession(f"http://127.0.0.1:{self.port}") as session:

            async def open_some() -> None:
                for number in numbers:
                    bearer = bearers[number % _USERS]
                    queues[number] = await self._open(session, number, bearer)

            await asyncio.gather(*[open_some() for _ in range(16)])
        self._queues = [queues[number] for number in range(count)]
        self._headers = [
            b"Host: x\r\nAuthorization: Bearer %s\r\n" % bearers[number % _USERS].encode()
            for number in range(count)
        ]

    async def _open(self, session: aiohttp.ClientSession, number: int, bearer: str) -> bytes:
        """The queue id of a new channel."""
        headers = {"Authorization": f"Bearer {bearer}"}
        async with session.post("/channels", headers=headers) as response:
            opened = msgspec.json.decode(await response.read(), type=ChannelOpened)
        return str(opened.queue_id).encode()

    def poll_request(self, channel: int, answered: int, head: bytes) -> bytes:
        return b"GET /channels/%s/events?ack=%d&timeout=%d HTTP/1.1\r\n%s\r\n" % (
            self._queues[channel],
            answered + 1,
            _POLL_TIMEOUT,
            self._headers[channel],
        )

    def publish_request(self, channel: int, body: bytes) -> bytes:
        return b"POST /bench/%s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s" % (
            self._queues[channel],
            self._headers[channel],
            len(body),
            body,
        )

    async def stop(self) -> None:
        await super().stop()
        await asyncio.to_thread(self._valkey.stop)
        await asyncio.to_thread(self._postgres.stop)


class Ucwa(Parley):
    """The same process, and UCWA applications in place of channels."""

    name = "ucwa"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._events: list[bytes] = []

    def settings(self) -> dict[str, str]:
        return {"PARLEY_UCWA_APPLICATIONS_MAX": "1000000"}

    def event(self, number: int) -> bytes:
        news = ConversationNews(
            sent_date=datetime(2026, 11, 21, 12, tzinfo=UTC),
            meeting_id=UUID(int=number),
            viewer=UUID(int=1),
            steps=(Step(what="conversation", type="deleted"),),
        )
        return msgspec.json.encode(news)

    def numbers(self, body: bytes) -> list[int]:
        return [UUID(found.decode()).int for found in _CONVERSATION.findall(body)]

    async def open_channels(self, count: int) -> None:
        await super().open_channels(count)
        rows = await self._rows(
            """select a.endpoint_id, a.id, i.queue_id
               from ucwa_applications a join ucwa_instances i on i.application_id = a.id"""
        )
        found = {int(row["endpoint_id"]): row for row in rows}
        self._queues = [str(found[number]["queue_id"]).encode() for number in range(count)]
        self._events = [
            b"/ucwa/v1/applications/%s/events" % found[number]["id"].encode()
            for number in range(count)
        ]

    async def _open(self, session: aiohttp.ClientSession, number: int, bearer: str) -> bytes:
        inputs = {"culture": "en-US", "userAgent": "Bench/1.0", "endpointId": str(number)}
        headers = {"Authorization": f"Bearer {bearer}", "Accept": "application/json"}
        address = "/ucwa/v1/applications"
        async with session.post(address, json=inputs, headers=headers) as response:
            if response.status != 201:
                raise TargetFailed(f"no application: {await response.text()}")
        return b""

    def poll_request(self, channel: int, answered: int, head: bytes) -> bytes:
        return b"GET %s?ack=%d&timeout=%d HTTP/1.1\r\nAccept: application/json\r\n%s\r\n" % (
            self._events[channel],
            answered + 1,
            _POLL_TIMEOUT,
            self._headers[channel],
        )

    async def _rows(self, query: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self._postgres.url)
        try:
            return await connection.fetch(query)
        finally:
            await connection.close()


TARGETS: dict[str, type[Target]] = {target.name: target for target in (Bare, Nchan, Parley)}
"""Compared with each other by scripts/bench channels."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
        return True
    return False
