"""Batches: several requests in one body, answered in their order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from rig_meetings import Api
from ucwa_rig import Answer, Program, parsed, running_ucwa

from conference.ucwa.engine import negotiate

REQUEST = "Content-Type: application/http; msgtype=request\r\n\r\n"


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_ucwa(database_url, redis_url, tmp_path) as api:
        yield api


@pytest.fixture
async def alice(api: Api) -> Program:
    program = Program(api, "alice")
    await program.start(culture="en-US", userAgent="Batcher/1.0", endpointId="1")
    return program


def part(request: str) -> str:
    """`request` has LF line ends, to be read here."""
    return REQUEST + request.replace("\n", "\r\n")


async def send(
    program: Program,
    *parts: str,
    content_type: str = "multipart/batching;boundary=B",
    end: str = "--",
) -> Answer:
    body = "".join(f"--B\r\n{part}\r\n" for part in parts) + f"--B{end}\r\n"
    return await program.call(
        "POST",
        (await program.dashboard()).link("batch"),
        headers={"Content-Type": content_type, "Accept": "multipart/batching"},
        data=body.encode(),
    )


class Response(msgspec.Struct):
    status: int
    headers: dict[str, str]
    raw: str

    @property
    def json(self) -> dict[str, object]:
        return parsed(self.raw.encode(), self.headers["content-type"].partition(";")[0])


def responses(answer: Answer) -> list[Response]:
    """Read line by line, as the known client does."""
    assert answer.status == 200, answer
    media_type, parameters = negotiate.parameterized(answer.headers["Content-Type"])
    assert media_type == "multipart/batching"
    delimiter = f"--{parameters['boundary']}"
    text = answer.raw.decode()
    assert text.endswith(f"{delimiter}--\r\n")
    found = []
    for piece in text.split(f"{delimiter}\r\n")[1:]:
        lines = piece.removesuffix(f"{delimiter}--\r\n").split("\r\n")
        assert lines[:2] == ["Content-Type: application/http; msgtype=response", ""]
        version, status, _ = lines[2].split(" ", 2)
        assert version == "HTTP/1.1"
        head, body = lines[3 : lines.index("", 3)], lines[lines.index("", 3) + 1 :]
        assert len(body) == 2, "one line of body, and the line before the boundary"
        headers = dict(line.split(": ", 1) for line in head)
        found.append(Response(int(status), {k.lower(): v for k, v in headers.items()}, body[0]))
    return found


@pytest.mark.parametrize(
    ("content_type", "end"),
    [
        ("multipart/batching;boundary=B", "--"),
        ('multipart/batching; boundary="B"', "--"),
        ("Multipart/Batching; Boundary=B; charset=utf-8", "--"),
        ("multipart/batching;boundary=B", ""),
    ],
)
async def test_parts_are_answered_in_order(alice: Program, content_type: str, end: str) -> None:
    answer = await send(
        alice,
        part(f"GET {alice.application} HTTP/1.1\nHost: x\nAccept: application/json\n\n"),
        part(f"GET {alice.application}/nowhere HTTP/1.1\nAccept: application/xml\n\n"),
        part("GET https://fe1.contoso.com:443/ucwa HTTP/1.1\n\n"),
        content_type=content_type,
        end=end,
    )
    application, missing, root = responses(answer)
    assert application.status == 200
    assert application.json["userAgent"] == "Batcher/1.0"
    assert application.headers["etag"] == f'"{application.json["etag"]}"'
    assert (missing.status, missing.json["code"]) == (404, "NotFound")
    assert missing.headers["content-type"].startswith("application/xml")
    assert (root.status, root.json["rel"]) == (200, "root")


async def test_parts_have_bodies_and_conditions(alice: Program) -> None:
    etag = (await alice.dashboard()).etag
    inputs = '{"culture":"de-DE","userAgent":"Inner","endpointId":"2"}'
    xml = (
        "<input><property name='culture'>de-DE</property>"
        "<property name='userAgent'>Inner</property><property name='endpointId'>2</property></input>"
    )
    create = "POST /ucwa/v1/applications HTTP/1.1\nContent-Type: application/"
    answer = await send(
        alice,
        part(f"GET {alice.application} HTTP/1.1\nIf-None-Match: {etag}\n\n"),
        part(f"{create}json\n\n{inputs}"),
        part(f"POST /ucwa/v1/applications HTTP/1.1\nData: {inputs}\n\n"),
        part(f"{create}vnd.microsoft.com.ucwa+json\nData: {inputs}\n\n"),
        part(f"{create}xml\nAccept: application/xml\n\n{xml}"),
        part(f"DELETE {alice.application} HTTP/1.1\n\n"),
        part(f"GET {alice.application} HTTP/1.1\n\n"),
    )
    same, created, again, typed, in_xml, deleted, gone = responses(answer)
    assert (same.status, same.raw) == (304, "")
    assert created.status == 201
    assert created.headers["location"]
    assert "set-cookie" not in created.headers
    assert (again.status, typed.status, in_xml.status) == (200, 200, 200)
    assert again.json["etag"] == in_xml.json["etag"] == created.json["etag"]
    assert (deleted.status, deleted.raw) == (204, "")
    assert (gone.status, gone.json["subcode"]) == (404, "ApplicationNotFound")


async def test_what_may_not_be_in_a_batch(alice: Program) -> None:
    events = (await alice.dashboard()).link("events")
    answer = await send(
        alice,
        part(f"POST {alice.application}/batch HTTP/1.1\nContent-Type: multipart/batching\n\n"),
        part(f"GET {events} HTTP/1.1\n\n"),
        part("GET /ucwa/xframe HTTP/1.1\n\n"),
        part(f"GET {alice.application} HTTP/1.1\nAuthorization: Bearer other\n\n"),
        part(f"GET {alice.application} HTTP/1.1\nAuthorization: Bearer {alice.token}\n\n"),
        part(f"PUT {alice.application} HTTP/1.1\n\n"),
        part(f"GET {alice.application} HTTP/1.1\nAccept: image/png\n\n"),
        part("GET /users HTTP/1.1\n\n"),
        part("GET http://[ HTTP/1.1\n\n"),
        part("nonsense\n\n"),
        "",
    )
    found = responses(answer)
    statuses = [400, 400, 400, 400, 200, 405, 406, 404, 400, 400, 400]
    assert [response.status for response in found] == statuses
    assert found[5].headers["allow"] == "DELETE,GET"
    assert all("code" in response.json for response in found if response.status >= 400)


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("multipart/mixed;boundary=B", b"--B--", 415),
        ("multipart/batching", b"--B--", 400),
        ("multipart/batching;boundary=", b"--B--", 400),
        (f"multipart/batching;boundary={'B' * 300}", b"--B--", 400),
        ("multipart/batching;boundary=B", b"", 400),
        ("multipart/batching;boundary=B", b"nothing", 400),
        ("multipart/batching;boundary=B", b"--B--\r\n", 400),
        ("multipart/batching;boundary=B", b"x" * (1 << 21), 413),
    ],
)
async def test_what_is_no_batch(
    alice: Program, content_type: str, body: bytes, status: int
) -> None:
    link = (await alice.dashboard()).link("batch")
    refused = await alice.call("POST", link, headers={"Content-Type": content_type}, data=body)
    assert refused.status == status
    assert refused.json["code"] in ("BadRequest", "UnsupportedMediaType", "EntityTooLarge")


async def test_too_many_at_once_run_nothing(alice: Program) -> None:
    create = part(
        "POST /ucwa/v1/applications HTTP/1.1\nContent-Type: application/json\n\n"
        '{"culture":"x","userAgent":"Never","endpointId":"9"}'
    )
    look = part(f"GET {alice.application} HTTP/1.1\n\n")
    refused = await send(alice, create, *[look] * 100)
    assert (refused.status, refused.json["code"]) == (429, "TooManyRequests")
    assert refused.headers["Retry-After"]
    alone = part(create.removeprefix(REQUEST).replace("\r\n", "\n"))
    (created,) = responses(await send(alice, alone))
    assert created.status == 201, "it was not there before"
    many = await asyncio.gather(*[send(alice, *[look] * 60) for _ in range(2)])
    assert sorted(answer.status for answer in many) == [200, 429]
    assert len(responses(await send(alice, *[look] * 100))) == 100, "all is free again"


async def test_too_many_at_once_at_two_processes(
    api: Api, alice: Program, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    look = part(f"GET {alice.application} HTTP/1.1\n\n")
    async with running_ucwa(database_url, redis_url, tmp_path) as other_api:
        other = Program(other_api, "alice")
        other.application = alice.application
        many = await asyncio.gather(*[send(each, *[look] * 60) for each in (alice, other)])
        assert sorted(answer.status for answer in many) == [200, 429]
        for each in (alice, other):
            assert (await send(each, *[look] * 100)).status == 200, "all is free again"
