"""Firefox, driven over WebDriver BiDi: one WebSocket, a JSON message a command.

Playwright brings a Firefox of its own only, patched; this is the one that people have. `FirefoxPage` does what
`browser_rig.Person` asks of a page.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import signal
import tempfile
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aiohttp
from browser_rig import PATIENCE, until

PREFERENCES: dict[str, bool | int | str] = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    # Candidates as people's Firefox makes them: none of loopback, addresses behind mDNS names.
    "media.peerconnection.ice.loopback": False,
    "media.peerconnection.ice.obfuscate_host_addresses": True,
    # Nothing leaves the machine.
    "app.update.disabledForTesting": True,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.getAddons.cache.enabled": False,
    "media.gmp-manager.updateEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",
    "toolkit.telemetry.server": "",
}
_STARTED_WITHIN = 30.0
_ANSWERED_WITHIN = 30.0


class BidiError(Exception):
    """A command that the browser refused."""


class Firefox:
    """A running browser's session."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._errors: dict[str, list[str]] = {}

    async def read(self) -> None:
        """Hands answers to those who wait for them; runs as long as the browser does."""
        async for message in self._socket:
            data = json.loads(message.data)
            if answer := self._answers.pop(data.get("id"), None):
                answer.set_result(data)
            elif data.get("method") == "log.entryAdded":
                self._note(data["params"])

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Raises BidiError."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        data = await asyncio.wait_for(answer, _ANSWERED_WITHIN)
        if data["type"] == "error":
            raise BidiError(f"{method}: {data['error']}: {data['message']}")
        return dict(data["result"])

    async def page(self) -> FirefoxPage:
        """A tab, with cookies and storage of its own."""
        user = (await self.send("browser.createUserContext"))["userContext"]
        made = await self.send("browsingContext.create", type="tab", userContext=user)
        errors = self._errors.setdefault(made["context"], [])
        return FirefoxPage(self, made["context"], errors)

    def _note(self, entry: dict[str, Any]) -> None:
        errors = self._errors.get(entry["source"].get("context", ""))
        if errors is not None and entry["level"] == "error":
            errors.append(entry["text"])


class FirefoxPage:
    """A tab. Selectors are CSS, or `text=...` for what is somewhere on the page."""

    def __init__(self, browser: Firefox, context: str, errors: list[str]) -> None:
        self._browser = browser
        self._context = context
        self.errors = errors
        """What went wrong on the page."""

    async def goto(self, address: str) -> None:
        await self._browser.send(
            "browsingContext.navigate", context=self._context, url=address, wait="complete"
        )

    async def reload(self) -> None:
        await self._browser.send("browsingContext.reload", context=self._context, wait="complete")

    async def evaluate(self, function: str, argument: Any = None) -> Any:
        """What a JavaScript function gives, through JSON."""
        wrapped = f"(async () => JSON.stringify(await ({function})({json.dumps(argument)})))()"
        answer = await self._browser.send(
            "script.evaluate",
            expression=wrapped,
            target={"context": self._context},
            awaitPromise=True,
            userActivation=True,
        )
        if answer["type"] == "exception":
            raise BidiError(answer["exceptionDetails"]["text"])
        value = answer["result"].get("value")
        return None if value is None else json.loads(value)

    async def wait_for_selector(self, selector: str) -> None:
        if selector.startswith("text="):
            condition, argument = _HAS_TEXT, selector.removeprefix("text=")
        else:
            condition, argument = _IS_THERE, selector
        await until(lambda: self.evaluate(condition, argument), selector, PATIENCE)

    async def click(self, selector: str) -> None:
        await self.wait_for_selector(selector)
        await self.evaluate("(selector) => document.querySelector(selector).click()", selector)

    async def screenshot(self, path: Path) -> None:
        made = await self._browser.send("browsingContext.captureScreenshot", context=self._context)
        path.write_bytes(b64decode(made["data"]))


_IS_THERE = "(selector) => document.querySelector(selector)?.checkVisibility() ?? false"
_HAS_TEXT = "(text) => document.body.innerText.includes(text)"


@asynccontextmanager
async def running_firefox(
    program: str, preferences: Mapping[str, bool | int | str] = MappingProxyType({})
) -> AsyncIterator[Firefox]:
    """Starts one with an empty profile, and ends it. `preferences` go before `PREFERENCES`."""
    wanted = PREFERENCES | dict(preferences)
    with tempfile.TemporaryDirectory(prefix="firefox-") as profile:
        lines = (f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in wanted.items())
        (Path(profile) / "user.js").write_text("\n".join(lines))
        command = [program, "--headless", "--no-remote", "--profile", profile]
        process = await asyncio.create_subprocess_exec(
            *command,
            "--remote-debugging-port=0",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", "HOME": profile, "MOZ_CRASHREPORTER_DISABLE": "1"},
        )
        assert process.stderr is not None
        try:
            address = await asyncio.wait_for(_address(process.stderr), _STARTED_WITHIN)
            draining = asyncio.create_task(_drain(process.stderr))
            async with aiohttp.ClientSession() as http, _session(http, address) as browser:
                yield browser
            draining.cancel()
        finally:
            await _end(process)


@asynccontextmanager
async def _session(http: aiohttp.ClientSession, address: str) -> AsyncIterator[Firefox]:
    async with http.ws_connect(f"{address}/session", max_msg_size=64 << 20) as socket:
        browser = Firefox(socket)
        reading = asyncio.create_task(browser.read())
        await browser.send("session.new", capabilities={})
        await browser.send("session.subscribe", events=["log.entryAdded"])
        yield browser
        reading.cancel()


async def _address(output: asyncio.StreamReader) -> str:
    """Firefox takes a free port and says which."""
    said = []
    while line := (await output.readline()).decode(errors="replace"):
        if found := re.search(r"WebDriver BiDi listening on (ws://\S+)", line):
            return found[1]
        said.append(line)
    raise AssertionError(f"Firefox ended at its start:\n{''.join(said)}")


async def _drain(output: asyncio.StreamReader) -> None:
    while await output.read(65536):
        pass


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), 10)
    except TimeoutError:
        process.kill()
        await process.wait()
