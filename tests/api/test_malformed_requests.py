"""Bytes that are no request, or hardly one: refused in the family's form, never a bug's answer, never a traceback."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import logging
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from channel_api import SECRET, Server, serving, token_of

from config.settings import Settings

BODY = b'{"name":"x","meetingType":"permanent"}'
FORM = b"grant_type=password&username=alice&password=x"
FAMILIES = {
    # the line up to the version, the body that would be right
    "meetings": (b"POST /meetings", BODY),
    "audio": (b"PUT /meetings/00000000-0000-4000-8000-000000000000/audio", b'{"enabled":true}'),
    "channels": (b"POST /channels", b""),
    "users": (b"GET /users/00000000-0000-4000-8000-000000000000", b""),
    "ucwa": (
        b"POST /ucwa/v1/applications",
        b'{"userAgent":"x","endpointId":"1","culture":"en-US"}',
    ),
    "token": (b"POST /WebTicket/oauthtoken", FORM),
    "page": (b"GET /join/abcdefghij", b""),
    "script": (b"GET /web/js/app.js", b""),
    "nowhere": (b"GET /nowhere", b""),
}
TYPE = {"token": b"application/x-www-form-urlencoded"}
CHUNKED = b"Transfer-Encoding: chunked\r\n"
LATE = 0.8


def coded(coding: bytes, body: bytes, length: int | None = None) -> tuple[bytes, bytes]:
    size = len(body) if length is None else length
    return b"Content-Encoding: %s\r\nContent-Length: %d\r\n" % (coding, size), body


def headed(line: bytes) -> tuple[bytes, bytes]:
    return line + b"\r\n", b""


ODD = {
    **{
        f"{coding} over {what}": coded(coding.encode(), body)
        for coding in (
            "gzip",
            "deflate",
            "br",
            "zstd",
            "compress",
            "x",
            "gzip, gzip",
            "GZIP",
            "\xff",
        )
        for what, body in (
            ("a plain body", BODY),
            ("garbage", b"\x1f\x8b" + b"\xff" * 40),
            ("half a body", gzip.compress(BODY)[:-20]),
            ("deflated garbage", zlib.compress(BODY)[:-5] + b"xxxxx"),
        )
    },
    "a bomb": coded(b"gzip", gzip.compress(b" " * 30_000_000)),
    "many members": coded(b"gzip", gzip.compress(b"") * 3000),
    "chunks that are none": (CHUNKED, b"zz\r\nxx\r\n0\r\n\r\n"),
    "a chunk that is longer": (CHUNKED, b"5\r\nabcdefgh\r\n0\r\n\r\n"),
    "a negative chunk": (CHUNKED, b"-5\r\nabcde\r\n0\r\n\r\n"),
    "a huge chunk size": (CHUNKED, b"f" * 40 + b"\r\n"),
    "a bad trailer": (CHUNKED, b"1\r\nx\r\n0\r\n\x00: x\r\n\r\n"),
    "gzip in bad chunks": (b"Content-Encoding: gzip\r\n" + CHUNKED, b"4\r\nabcd\r\n0\r\n\r\n"),
    "chunked twice": (b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n"),
    "another transfer coding": (b"Transfer-Encoding: gzip\r\n", b"x"),
    "both lengths": (CHUNKED + b"Content-Length: 3\r\n", b"0\r\n\r\n"),
    "two lengths": (b"Content-Length: 1\r\nContent-Length: 2\r\n", b"xx"),
    "a negative length": (b"Content-Length: -1\r\n", b""),
    "a length in words": (b"Content-Length: many\r\n", b""),
    "a length beyond counting": (b"Content-Length: " + b"9" * 30 + b"\r\n", b""),
    "a length with a plus": (b"Content-Length: +3\r\n", b"{}\n"),
    "no colon": headed(b"nonsense"),
    "no name": headed(b": x"),
    "a blank before the colon": headed(b"X-A : x"),
    "NUL in a header": headed(b"X-A: a\x00b"),
    "a bare CR": headed(b"X-A: a\rb"),
    "a long header": headed(b"X-A: " + b"x" * 9000),
    "many headers": (b"".join(b"X-%d: x\r\n" % number for number in range(300)), b""),
    "a folded header": headed(b"X-A: a\r\n b"),
    "bytes in a name": headed(b"X-\xff: x"),
    "bytes in an id": headed(b"X-Request-Id: \xff\xfe"),
    "bytes in a cookie": headed(b"Cookie: ZM_AUTH_TOKEN=\xff\xfe; \x01=2; ="),
    "an endless cookie": headed(b"Cookie: " + b"a=b; " * 1500),
    "quotes in a cookie": headed(b'Cookie: ZM_AUTH_TOKEN="a\\"b\\303\\;"; $Path=/'),
    "bytes in a token": headed(b"Authorization: Bearer \xff\xfe.a.b"),
    "another scheme": headed(b"Authorization: Basic YTpi"),
    "bytes in the type": headed(b"Content-Type: \xff/\xfe; charset=\xff"),
    "an unknown charset": headed(b"Content-Type: application/json; charset=nonsense"),
    "a type without end": headed(b'Content-Type: a/b; x="' + b'\\"' * 200),
    "bytes in Accept": headed(b"Accept: \xff;q=nonsense, */*;q=1.5"),
    "dates that are none": headed(
        b"If-Modified-Since: \xff\r\nIf-Range: x\r\nIf-Unmodified-Since: 0"
    ),
    "an early date": headed(b"If-Modified-Since: Mon, 01 Jan 0000 00:00:00 GMT"),
    "ranges that are none": headed(b"Range: bytes=9-1,x"),
    "a huge range": headed(b"Range: bytes=" + b"9" * 5000 + b"-"),
    "etags that are none": headed(b'If-None-Match: "a, W/\xff\r\nIf-Match: *, *'),
    "an expectation": headed(b"Expect: more"),
    "an upgrade": headed(b"Connection: Upgrade\r\nUpgrade: h2c"),
    "a socket without a key": headed(
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \xff"
    ),
    "odd origins": headed(b"Origin: \xff\r\nSec-Fetch-Site: \xff\r\nCookie: ZM_AUTH_TOKEN=a"),
    "a channel id of bytes": headed(b"queue-id: " + b"\xff" * 36),
    "a forwarded address": headed(b"X-Forwarded-For: \xff\r\nForwarded: for=\xff"),
}
HOSTS = {
    "none": b"",
    "two": b"Host: a\r\nHost: b\r\n",
    "empty": b"Host: \r\n",
    "half an address": b"Host: [::1\r\n",
    "a port that is none": b"Host: a:99999\r\n",
    "a port in words": b"Host: a:b\r\n",
    "with a user": b"Host: u@a\r\n",
    "with a path": b"Host: a/b\r\n",
    "a blank": b"Host: a b\r\n",
    "bytes": b"Host: \xff\r\n",
    "a long one": b"Host: " + b"a" * 5000 + b"\r\n",
    "percent": b"Host: %zz\r\n",
}
LINES = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n",
    "nothing": b"\r\n" * 50,
    "no version": b"GET /meetings\r\n\r\n",
    "version 3": b"GET /meetings HTTP/3.0\r\nHost: a\r\n\r\n",
    "a version in words": b"GET /meetings HTTP/x\r\nHost: a\r\n\r\n",
    "a method of bytes": b"\xff\xff /meetings HTTP/1.1\r\nHost: a\r\n\r\n",
    "a long path": b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "a stranger's proxy": b"GET http://b:99999/meetings HTTP/1.1\r\nHost: a\r\n\r\n",
    "no authority": b"GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT": b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a bad CONNECT": b"CONNECT [ HTTP/1.1\r\nHost: a\r\n\r\n",
    "OPTIONS *": b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "PRI": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    **{
        f"{method.decode()} {path!r}": method + b" " + path + b" HTTP/1.1\r\nHost: a\r\n%s\r\n"
        for method in (b"GET", b"DELETE")
        for path in (
            b"/public/join/%00",
            b"/public/join/a\x01b",
            b"/public/join/%ff%fe",
            b"/public/join/\xff\xfe",
            b"/public/join/%ED%A0%80",
            b"/public/meetings/%00",
            b"/meetings/%00",
            b"/meetings/%2e%2e/%2f",
            b"/channels/%00/events?ack=%00",
            b"/channels/00000000-0000-4000-8000-000000000000/events?ack=1&timeout=%ff",
            b"/channels/00000000-0000-4000-8000-000000000000/events?ack=%D9%A1",
            b"/channels/00000000-0000-4000-8000-000000000000/events?ack=" + b"9" * 5000,
            b"/channels/00000000-0000-4000-8000-000000000000/events?ack=1&timeout=1e999",
            b"/channels/00000000-0000-4000-8000-000000000000/stream?lastEventId=" + b"9" * 5000,
            b"/users?userIds=%00,%ff",
            b"/users?" + b"userIds=&" * 800,
            b"/web/%00",
            b"/web/%ff/../x",
            b"/web/" + b"../" * 500,
            b"/join/%00",
            b"/join/\xff",
            b"/ucwa/v1/applications/%00",
            b"/ucwa/v1/applications/%ff/me?%00=%ff",
            b"/ucwa/v1/applications/1/people/%ED%A0%80?a=%",
            b"/autodiscover/autodiscoverservice.svc/root?originalDomain=%00",
            b"//",
            b"/?a=%00#b",
            b"/%",
        )
    },
}
LINES = {name: raw.replace(b"%s", b"") for name, raw in LINES.items()}


@pytest.fixture
async def server(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Server]:
    settings = Settings(
        database_url=database_url,
        redis_url=redis_url,
        data_dir=tmp_path,
        jwt_secret=SECRET,
        read_timeout=LATE,
        ucwa_answer_within=LATE,
    )
    async with serving(settings) as server:
        yield server


class Answer(msgspec.Struct):
    status: int
    headers: dict[str, str]
    body: bytes


async def ask(server: Server, *parts: bytes, pause: float = 0.0) -> list[Answer]:
    """What comes back, until the server closes or is silent."""
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        with contextlib.suppress(ConnectionError):  # answered before all was said
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause)
        found = []
        async with asyncio.timeout(10):
            while (answer := await _read(reader)) is not None:
                found.append(answer)
                if answer.headers.get("connection", "").lower() == "close" or not pause:
                    break
        return found
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader) -> Answer | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    line, *fields = head.decode("latin-1").strip().split("\r\n")
    headers = {
        name.lower(): value for name, _, value in (field.partition(": ") for field in fields)
    }
    status = int(line.split()[1])
    if status == 100:
        return await _read(reader)
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Answer(status, headers, body)


def assert_refused_in_form(answer: Answer, path: str, name: str = "") -> None:
    assert answer.status < 500, (name, answer)
    if answer.status < 400:
        return
    if not answer.body and answer.status in (412, 416):  # of a file
        return
    said = answer.body.decode()
    for leak in ("Error(", "Exception", "aiohttp", "Traceback", "Brotli", "backports"):
        assert leak not in said
    if "html" in answer.headers["content-type"]:
        return
    if path.startswith("/WebTicket"):
        assert msgspec.json.decode(said).keys() == {"error", "error_description"}
        return
    if "xml" in answer.headers["content-type"]:
        assert "<reason" in said
        return
    assert answer.headers["content-type"].startswith("application/json"), (name, answer)
    assert {"code", "message"} <= msgspec.json.decode(said).keys()
    if path.lower().startswith("/ucwa"):
        assert "X-MS-UcwaVersion".lower() in answer.headers


@pytest.fixture
def quiet(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> AsyncIterator[None]:
    """Nothing is logged as an error, nor with a traceback."""
    yield
    # After the test `caplog.records` are those of its taking down only.
    records = caplog.get_records("call")
    assert [record for record in records if record.levelno >= logging.ERROR] == []
    printed = "".join(capfd.readouterr())
    assert "Traceback" not in printed
    assert "[error" not in printed


def request_of(family: str, fields: bytes, body: bytes, host: bytes = b"Host: a\r\n") -> bytes:
    line, _ = FAMILIES[family]
    kind = TYPE.get(family, b"application/json")
    given = b"" if b"Content-Type" in fields else b"Content-Type: %s\r\n" % kind
    token = b"" if b"Authorization" in fields or b"Cookie" in fields else token_of("alice").encode()
    signed = b"Authorization: Bearer %s\r\n" % token if token else b""
    return line + b" HTTP/1.1\r\n" + host + given + signed + fields + b"\r\n" + body


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("family", FAMILIES)
async def test_odd_heads_and_bodies(server: Server, family: str) -> None:
    path = FAMILIES[family][0].split()[1].decode()
    for name, (fields, body) in ODD.items():
        got = await ask(server, request_of(family, fields, body))
        assert got, name
        for answer in got:
            assert_refused_in_form(answer, path, name)
        line = FAMILIES[family][0]
        if " over " in name and line.startswith((b"POST /m", b"PUT", b"POST /ucwa")):
            assert got[0].status in (400, 415), (name, got[0])
    assert (await ask(server, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"))[0].status == 200


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("coding", [b"gzip", b"deflate"])
async def test_a_body_that_comes_after_its_head_and_is_not_packed_is_no_defect(
    server: Server, coding: bytes
) -> None:
    """What is left of it is read, and found wanting, once more after the answer."""
    fields = b"Content-Encoding: %s\r\nContent-Length: %d\r\n" % (coding, len(BODY))
    head = request_of("meetings", fields, b"")
    answers = await ask(server, head + BODY, pause=0.05)
    assert [answer.status for answer in answers] == [415]


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("family", FAMILIES)
async def test_odd_hosts(server: Server, family: str) -> None:
    path = FAMILIES[family][0].split()[1].decode()
    for name, host in HOSTS.items():
        for fields in (b"", b"Authorization: Bearer x\r\n", b"Cookie: ZM_AUTH_TOKEN=x\r\n"):
            (answer,) = await ask(server, request_of(family, fields, b"", host))
            assert answer.status in (400, 413), (name, answer)
            assert_refused_in_form(answer, path)


@pytest.mark.usefixtures("quiet")
async def test_odd_lines(server: Server) -> None:
    for name, raw in LINES.items():
        for token in (b"", b"Authorization: Bearer %s\r\n" % token_of("alice").encode()):
            signed = raw.replace(b"Host: a\r\n", b"Host: a\r\n" + token)
            path = raw.split(b" ")[1].decode("latin-1") if raw.count(b" ") > 1 else "/"
            for answer in await ask(server, signed):
                assert_refused_in_form(answer, path if path.startswith("/") else "/", name)
    assert (await ask(server, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"))[0].status == 200


async def test_a_monitor_from_before_there_was_a_host_is_answered(server: Server) -> None:
    assert (await ask(server, b"GET /healthz HTTP/1.0\r\n\r\n"))[0].status == 200
    assert (await ask(server, b"GET /meetings HTTP/1.0\r\n\r\n"))[0].status == 400


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_compressed_body_is_read(server: Server, coding: str) -> None:
    packed = gzip.compress(BODY) if coding == "gzip" else zlib.compress(BODY)
    fields, body = coded(coding.encode(), packed)
    (answer,) = await ask(server, request_of("meetings", fields, body))
    assert answer.status == 200
    fields, body = coded(coding.encode(), BODY)
    (answer,) = await ask(server, request_of("meetings", fields, body))
    assert (answer.status, answer.headers["accept-encoding"]) == (415, "gzip, deflate")


# --- slowly -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    "parts",
    [
        (b"G",),
        (b"GET /healthz HTTP/1.1\r\n", b"Host: a\r\n"),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /heal", b"thz HT"),
        tuple(
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-A: xxxxxxxxxxxxxxxxx"[i : i + 1]
            for i in range(20)
        ),
    ],
)
async def test_a_head_that_comes_too_slowly_is_408(
    server: Server, parts: tuple[bytes, ...]
) -> None:
    started = asyncio.get_running_loop().time()
    answers = await ask(server, *parts, pause=0.03)
    assert answers[-1].status == 408
    assert msgspec.json.decode(answers[-1].body)["code"] == "request_timeout"
    assert asyncio.get_running_loop().time() - started < LATE + 3


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("family", ["meetings", "audio", "ucwa", "token"])
async def test_a_body_that_comes_too_slowly_is_408(server: Server, family: str) -> None:
    path = FAMILIES[family][0].split()[1].decode()
    head = request_of(family, b"Content-Length: 1000\r\n", b"")
    answers = await ask(server, head, b"{", b" ", pause=0.05)
    assert answers[0].status == 408
    assert_refused_in_form(answers[0], path)


async def test_a_connection_that_waits_for_its_next_request_is_not_slow(server: Server) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for _ in range(2):
        writer.write(request)
        answer = await _read(reader)
        assert answer
        assert answer.status == 200
        await asyncio.sleep(LATE + 0.3)
    writer.close()
