"""What an operator gets wrong, looked at one by one. Each check says what it found and what to do about it."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import resource
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import asyncpg
import msgspec
from redis import asyncio as aioredis

from conference.machine import reach
from conference.machine.announcing import addresses
from conference.machine.datadir import read_urls, supervisor_pid
from conference.machine.embedded import PACKAGES
from conference.machine.embedded.process import HOW_TO_HAVE_SERVERS
from conference.machine.finding import Finding
from conference.machine.ports import Kind, free, used_by
from conference.machine.reach import place
from conference.storage.migrate import MigrationError, pending
from config.settings import Settings
from schemas.sfu import WORKER_KEY_PREFIX, WorkerRecord

_WITHIN = 5.0
_OLDEST_POSTGRES = 13
_OLDEST_REDIS = (6, 2)  # XAUTOCLAIM
_CLOCK_SKEW = 1.0
_FILES_WANTED = 16_384
_FILES_NEEDED = 1_024
_UDP_BUFFER = 4 * 1024 * 1024
_SECRET_LENGTH = 32
_NATIVE_MODULE = "sfu.native.path"


async def examine(settings: Settings, as_up: Settings) -> list[Finding]:
    """All checks, in the order in which one would go about it. Never raises for what it examines.

    `as_up`: the same settings with the defaults of `parley up`.
    """
    urls = read_urls(settings.data_dir)
    database = settings.database_url or (urls.database_url if urls else None)
    redis = settings.redis_url or (urls.redis_url if urls else None)
    embedded = supervisor_pid(settings.data_dir)
    return [
        *ports(settings, embedded),
        *addresses(settings, as_up),
        *await _server("database", database, bool(settings.database_url), embedded, _database),
        *await _server("redis", redis, bool(settings.redis_url), embedded, _redis),
        files(resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
        *udp_buffers(Path("/proc/sys/net/core")),
        native(settings.native, native_origin()),
        secret(settings),
    ]


def ports(settings: Settings, supervisor: int | None) -> list[Finding]:
    wanted: list[tuple[str, Kind, str, int]] = [
        ("http port", "tcp", settings.http_host, settings.http_port),
        ("media port", "udp", settings.media_host, settings.media_port),
    ]
    return [_port(*each, supervisor) for each in wanted]


def _port(check: str, kind: Kind, host: str, port: int, supervisor: int | None) -> Finding:
    place = f"{kind.upper()} {host}:{port}"
    variable = "PARLEY_HTTP" if kind == "tcp" else "PARLEY_MEDIA"
    try:
        if free(kind, host, port):
            return Finding(check=check, level="ok", found=f"{place} is free")
    except OSError as error:
        return Finding(
            check=check,
            level="fail",
            found=f"{place} can't be listened on: {error.strerror}",
            advice=f"set {variable}_HOST to an address of this machine, {variable}_PORT to one above 1023",
        )
    user = used_by(kind, port)
    if supervisor is not None and "conference" in user:
        return Finding(check=check, level="ok", found=f"{place} is in use by Parley: {user}")
    return Finding(
        check=check,
        level="fail",
        found=f"{place} is in use by {user}",
        advice=f"end it, or set {variable}_PORT to another port (if it is Parley, all is well)",
    )


async def _server(
    check: str,
    url: str | None,
    external: bool,
    supervisor: int | None,
    examine_it: Callable[[str], Awaitable[list[Finding]]],
) -> list[Finding]:
    if not external and supervisor is None:
        if importlib.util.find_spec(PACKAGES[check]) is None:
            found = "none is set, and the embedded one is not installed"
            return [Finding(check=check, level="fail", found=found, advice=HOW_TO_HAVE_SERVERS)]
        return [
            Finding(check=check, level="ok", found="embedded, not running (`parley up` starts it)")
        ]
    variable = f"PARLEY_{check.upper()}_URL"
    if url is None:
        return [Finding(check=check, level="warn", found="embedded, starting; look again")]
    try:
        return await asyncio.wait_for(examine_it(url), _WITHIN)
    except reach.TROUBLE as error:
        return [
            Finding(
                check=check,
                level="fail",
                found=f"{place(url)} does not answer: {reach.reason(error)}",
                advice=f"check {variable} and that the server runs and lets this machine in",
            )
        ]


async def _database(url: str) -> list[Finding]:
    connection = await asyncpg.connect(url, timeout=_WITHIN)
    try:
        version = connection.get_server_version()
        release = await connection.fetchval("show server_version")
        asked = datetime.now(UTC)
        theirs: datetime = await connection.fetchval("select clock_timestamp()")
    finally:
        await connection.close()
    found = f"PostgreSQL {release} at {place(url)}"
    first = Finding(check="database", level="ok", found=found)
    if version.major < _OLDEST_POSTGRES:
        first = Finding(
            check="database",
            level="fail",
            found=found,
            advice=f"PostgreSQL {_OLDEST_POSTGRES} or newer is needed",
        )
    return [first, await _schema(url), clock("database", (theirs - asked).total_seconds())]


async def _schema(url: str) -> Finding:
    try:
        missing = await pending(url)
    except MigrationError as error:
        return Finding(
            check="schema", level="fail", found=str(error), advice="see docs/operations.md"
        )
    if missing:
        return Finding(
            check="schema",
            level="fail",
            found=f"{len(missing)} migration(s) missing: {', '.join(missing)}",
            advice="run `parley migrate`",
        )
    return Finding(check="schema", level="ok", found="up to date")


async def _redis(url: str) -> list[Finding]:
    async with aioredis.from_url(url, socket_timeout=_WITHIN) as client:
        info = await client.info("server")
        memory = await client.config_get("maxmemory-policy")
        asked = time.time()
        seconds, micros = await client.time()
        records = await _workers(client)
    return [
        redis_version(info, place(url)),
        eviction(memory.get("maxmemory-policy") or ""),
        clock("redis", seconds + micros / 1e6 - asked),
        workers(records),
    ]


async def _workers(client: aioredis.Redis) -> list[WorkerRecord]:
    keys = [key async for key in client.scan_iter(f"{WORKER_KEY_PREFIX}*")]
    values = await client.mget(keys) if keys else []
    return [
        msgspec.msgpack.decode(value, type=WorkerRecord)
        for value in values
        if isinstance(value, bytes)
    ]


def redis_version(info: dict[str, str], place: str) -> Finding:
    name = "Valkey" if "valkey_version" in info else "Redis"
    text = str(info.get("valkey_version") or info["redis_version"])
    found = f"{name} {text} at {place}"
    spoken = tuple(int(part) for part in str(info["redis_version"]).split(".")[:2])
    if spoken < _OLDEST_REDIS:
        wanted = ".".join(map(str, _OLDEST_REDIS))
        return Finding(
            check="redis", level="fail", found=found, advice=f"Redis {wanted} or newer, or Valkey"
        )
    return Finding(check="redis", level="ok", found=found)


def eviction(policy: str) -> Finding:
    check = "redis memory"
    if policy in ("noeviction", ""):
        return Finding(check=check, level="ok", found=f"maxmemory-policy {policy or 'unknown'}")
    return Finding(
        check=check,
        level="warn",
        found=f"maxmemory-policy {policy} may drop clients' event channels",
        advice="set maxmemory-policy noeviction",
    )


def workers(records: list[WorkerRecord]) -> Finding:
    check = "workers"
    if not records:
        return Finding(
            check=check,
            level="warn",
            found="no SFU worker is registered",
            advice="start one with `parley sfu`, with the same PARLEY_REDIS_URL",
        )
    each = [
        f"{record.id} ({'native' if record.native else 'pure Python'}, "
        f"{record.meetings} meetings, load {record.load:.0%}{', draining' if record.draining else ''}; "
        f"announces {', '.join(record.media)})"
        for record in records
    ]
    return Finding(check=check, level="ok", found="; ".join(sorted(each)))


def clock(other: str, ahead: float) -> Finding:
    """Deadlines of commands and token lifetimes are compared across machines."""
    check = f"clock of {other}"
    if abs(ahead) <= _CLOCK_SKEW:
        return Finding(check=check, level="ok", found=f"{abs(ahead) * 1000:.0f} ms from ours")
    return Finding(
        check=check,
        level="fail",
        found=f"{abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} ours",
        advice="keep both machines' time with NTP (`timedatectl set-ntp true`)",
    )


def files(limit: int) -> Finding:
    """Each parked poll is an open file. The hard limit counts: processes raise the soft one to it."""
    check = "open files"
    if limit == resource.RLIM_INFINITY or limit >= _FILES_WANTED:
        shown = "unlimited" if limit == resource.RLIM_INFINITY else str(limit)
        return Finding(check=check, level="ok", found=f"limit {shown}")
    return Finding(
        check=check,
        level="fail" if limit < _FILES_NEEDED else "warn",
        found=f"limit {limit}: about as many clients at once per API process",
        advice=f"raise it to {_FILES_WANTED} or more (LimitNOFILE= of the unit, or ulimit -Hn)",
    )


def udp_buffers(kernel: Path) -> list[Finding]:
    """A worker asks for large socket buffers; the kernel grants no more than these."""
    return [_buffer(kernel, name) for name in ("rmem_max", "wmem_max")]


def _buffer(kernel: Path, name: str) -> Finding:
    setting = f"net.core.{name}"
    try:
        size = int((kernel / name).read_text())
    except (OSError, ValueError):  # not shown inside some containers
        return Finding(check="udp buffers", level="ok", found=f"{setting} can't be read here")
    if size >= _UDP_BUFFER:
        return Finding(check="udp buffers", level="ok", found=f"{setting} = {size}")
    return Finding(
        check="udp buffers",
        level="warn",
        found=f"{setting} = {size}: bursts of media may be dropped by the kernel",
        advice=f"sysctl -w {setting}={_UDP_BUFFER} (and in /etc/sysctl.d to keep it)",
    )


def native(wanted: Literal["auto", "on", "off"], origin: str | None) -> Finding:
    check = "packet path"
    if wanted == "off":
        return Finding(check=check, level="ok", found="pure Python, as PARLEY_NATIVE=off says")
    if origin:
        return Finding(check=check, level="ok", found=f"compiled ({origin})")
    return Finding(
        check=check,
        level="fail" if wanted == "on" else "warn",
        found="pure Python: the compiled module is missing, which costs many times the CPU",
        advice="install gcc and python3-dev, then install Parley anew",
    )


def native_origin() -> str | None:
    """The file of the compiled packet path, when it is there and loads."""
    try:
        module = importlib.import_module(_NATIVE_MODULE)
    except ImportError:
        return None
    return module.__file__


def secret(settings: Settings) -> Finding:
    check = "token secret"
    if settings.jwks_url and not settings.jwt_secret:
        return Finding(check=check, level="ok", found=f"keys from {settings.jwks_url}")
    if settings.jwt_secret is None:
        return Finding(check=check, level="ok", found=f"kept in {settings.data_dir}")
    if len(settings.jwt_secret) >= _SECRET_LENGTH:
        return Finding(check=check, level="ok", found="set")
    return Finding(
        check=check,
        level="warn",
        found=f"PARLEY_JWT_SECRET has {len(settings.jwt_secret)} characters and can be guessed",
        advice=f"use {_SECRET_LENGTH} random ones or more, or leave it unset",
    )
