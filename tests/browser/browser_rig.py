"""What browser tests are made of: the system under test, people with a page each, and bounded waiting."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import msgspec
import redis.asyncio as redis
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from conference.machine.embedded.valkey import ValkeyServer
from conference.tokens import issue, user_named
from schemas import sfu

ROOT = Path(__file__).parents[2]
ARTIFACTS = ROOT / "test-artifacts"
BARE_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--allow-loopback-in-peer-connection",
]
CHROMIUM_FLAGS = [
    *BARE_FLAGS,
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream=device-count=2,fps=15",
    "--autoplay-policy=no-user-gesture-required",
]
WORKERS = 2
READY_WITHIN = 60.0
PATIENCE = 45.0
"""Seconds that anything may take that is not itself measured; machines that test are often busy."""
expect.set_options(timeout=PATIENCE * 1000)
SECRET = "browser-tests-only-" + "0" * 32


class Parley:
    """`parley up` as a subprocess on free ports, with two workers."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._http_port = _free_port(socket.SOCK_STREAM)
        self._media_port = _free_port(socket.SOCK_DGRAM, WORKERS)
        self._log = data_dir / "up.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.address = f"http://127.0.0.1:{self._http_port}"

    def __enter__(self) -> Parley:
        command = [sys.executable, "-m", "conference", "up", "--no-demo"]
        command += ["--workers", str(WORKERS)]
        command += ["--http-port", str(self._http_port), "--media-port", str(self._media_port)]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PARLEY_")}
        environment |= {
            "PARLEY_DATA_DIR": str(self._data_dir),
            "PARLEY_JWT_SECRET": SECRET,
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        self._await_ready(self._process)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        ARTIFACTS.mkdir(exist_ok=True)
        (ARTIFACTS / "browser-up.log").write_bytes(self._log.read_bytes())

    def token(self, name: str, display: str | None = None) -> str:
        """`display`: a name other than alice's Alice."""
        user, now = user_named(name, display=display), datetime.now(UTC)
        return issue(SECRET, user=user, now=now, lifetime=timedelta(hours=1))

    def worker_of(self, meeting_id: str) -> int:
        """The process id of the worker that took the meeting last."""
        (*_, name) = re.findall(
            rf"meeting_opened .*meeting_id={meeting_id} process=(\S+)", self.log
        )
        return int(re.findall(rf"process started .*child={name} pid=(\d+)", self.log)[-1])

    async def notice(self, meeting_id: str, body: sfu.FeedPaused) -> None:
        """What a worker would say of the meeting on its present connections."""
        epoch = int(
            re.findall(rf"meeting_opened .*?epoch=(\d+) meeting_id={meeting_id}", self.log)[-1]
        )
        notice = sfu.Notice(worker="sfu", meeting=UUID(meeting_id), epoch=epoch, body=body)
        async with redis.from_url(ValkeyServer(self._data_dir).url) as client:
            await client.xadd(sfu.NOTICE_STREAM, {sfu.NOTICE_FIELD: msgspec.msgpack.encode(notice)})

    @property
    def log(self) -> str:
        return re.sub(r"\x1b\[[0-9;]*m", "", self._log.read_text(errors="replace"))

    def children(self, kind: str) -> list[int]:
        """Process ids of the living children, `api` or `sfu`."""
        found = re.findall(rf"process started .*child={kind}:\d+ pid=(\d+)", self.log)
        return [int(pid) for pid in found if Path(f"/proc/{pid}").exists()]

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while "Parley is ready" not in self.log:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise AssertionError(f"parley up did not get ready:\n{self.log[-3000:]}")
            time.sleep(0.1)


@dataclass
class Meeting:
    """A meeting, and alice's way to it by HTTP."""

    http: aiohttp.ClientSession
    headers: dict[str, str]
    id: str
    code: str

    @classmethod
    async def create(
        cls, http: aiohttp.ClientSession, headers: dict[str, str], kind: str = "scheduled"
    ) -> Meeting:
        body = {"name": "Weekly planning", "meetingType": kind}
        async with http.post("/meetings", json=body, headers=headers) as response:
            made = await response.json()
            assert response.status == 200, made
        return cls(http, headers, made["id"], made["joinCode"])

    async def another(self, kind: str) -> Meeting:
        return await self.create(self.http, self.headers, kind)

    async def participants(self) -> dict[str, dict[str, Any]]:
        async with self.http.get(f"/meetings/{self.id}", headers=self.headers) as response:
            data = await response.json()
            assert response.status == 200, data
        return {each["userId"]: each for each in data["participants"]}

    async def delete(self) -> None:
        async with self.http.delete(f"/meetings/{self.id}", headers=self.headers) as response:
            assert response.status in (204, 404)


@dataclass
class Person:
    """Somebody with a browser."""

    name: str
    user_id: str
    link: str
    context: BrowserContext
    page: Page
    errors: list[str]

    async def open(self) -> None:
        await self.page.goto(self.link)
        await self.page.wait_for_selector(".lobby")

    async def knock(self) -> None:
        """Ask to be let in, or go in, whichever the button says."""
        await self.page.click(".lobby-side .primary")

    async def enter(self) -> None:
        """For moderators."""
        await self.open()
        await self.knock()
        await self.page.wait_for_selector(".room")

    async def press(self, tool: str) -> None:
        await self.page.click(f"[data-tool={tool}]")

    def tile(self, other: Person, kind: str = "video") -> str:
        """The selector of somebody's picture on this page."""
        return f'.tile[data-user="{other.user_id}"][data-kind="{kind}"]'

    async def until(self, condition: str, argument: Any = None, seconds: float = PATIENCE) -> Any:
        """Polls a JavaScript function on the page until it gives something true, and returns that."""
        return await until(lambda: self.page.evaluate(condition, argument), condition, seconds)

    async def lines(self) -> list[dict[str, Any]]:
        """The figures of every stream of this page."""
        figures = await self.page.evaluate("async () => (await parley.meeting.figures()).lines")
        return list(figures)

    async def frames_of(self, other: Person, kind: str = "video") -> int:
        """How many frames of the other's picture were decoded on the present connection."""
        key = f"{other.user_id}/{kind}"
        found = [line for line in await self.lines() if line["source"] == key]
        return max((line.get("frames") or 0 for line in found), default=0)

    async def sees(self, other: Person, kind: str = "video", more: int = 3) -> None:
        """Waits until further frames of the other's picture are decoded."""
        before = await self.frames_of(other, kind)

        async def growing() -> bool:
            now = await self.frames_of(other, kind)
            return now >= more + (before if now >= before else 0)

        await until(growing, f"{self.name} sees {other.name}'s {kind}", PATIENCE)

    async def sees_anew(self, other: Person, before: int, seconds: float) -> None:
        """Waits until frames are decoded on a new connection, whose count began again below `before`."""

        async def fresh() -> bool:
            return 3 <= await self.frames_of(other) < before

        await until(fresh, f"{self.name} sees {other.name} again", seconds)

    async def heard(self) -> tuple[int, float]:
        """Audio packets and energy received so far, over all slots."""
        found = [x for x in await self.lines() if x["direction"] == "in" and x["media"] == "audio"]
        return sum(x["packets"] for x in found), sum(x.get("energy") or 0 for x in found)

    async def hears(self) -> None:
        """Waits until sound that is not silence arrives anew."""
        packets, energy = await self.heard()

        async def growing() -> bool:
            now_packets, now_energy = await self.heard()
            if now_packets < packets:  # a new connection counts from nothing
                return now_packets > 10 and now_energy > 0
            return now_packets > packets + 10 and now_energy > energy

        await until(growing, f"{self.name} hears somebody", PATIENCE)

    async def faces(self) -> list[str]:
        """The labels of all people's tiles."""
        labels = self.page.locator('.tile[data-kind="video"] .name')
        return sorted(await labels.all_inner_texts())

    async def shot(self, name: str) -> None:
        await self.page.screenshot(path=ARTIFACTS / f"{name}.png")


@dataclass
class Host:
    """Gives people a browser context each."""

    parley: Parley
    browser: Browser
    stack: AsyncExitStack

    async def invite(
        self, name: str, meeting: Meeting, display: str | None = None, **context: Any
    ) -> Person:
        options = {"viewport": {"width": 1180, "height": 740}, **context}
        made = await self.browser.new_context(**options)
        self.stack.push_async_callback(made.close)
        page = await made.new_page()
        token = self.parley.token(name, display)
        link = f"{self.parley.address}/join/{meeting.code}#token={token}"
        return Person(name, str(user_named(name).id), link, made, page, note_errors(page))


async def admit(moderator: Person, guest: Person) -> None:
    """The guest knocks, the moderator lets them in from the notice."""
    await guest.open()
    await guest.knock()
    await guest.page.wait_for_selector("text=Waiting to be let in")
    await moderator.page.click(".toast button:has-text('Admit')")
    await guest.page.wait_for_selector(".room")


async def until(probe: Any, what: str, seconds: float) -> Any:
    """Polls an awaitable until it gives something true. Raises AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = await probe()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.1)


def note_errors(page: Page) -> list[str]:
    """Collects what goes wrong on the page. Refusals of requests are part of some tests, nothing else is."""
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            errors.append(message.text)

    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", note)
    return errors


def _free_port(kind: socket.SocketKind, run: int = 1) -> int:
    """The first of `run` consecutive free ports."""
    for _ in range(100):
        with ExitStack() as stack:
            first = stack.enter_context(socket.socket(socket.AF_INET, kind))
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                for further in range(1, run):
                    probe = stack.enter_context(socket.socket(socket.AF_INET, kind))
                    probe.bind(("127.0.0.1", port + further))
            except (OSError, OverflowError):
                continue
            return port
    raise AssertionError("no free ports")
