"""The published examples of onlineMeetingExtension and application: their requests get the responses shown there.

What is put in for the examples' own: the ids of application and meeting, and the token. Methods are written in upper
case, as HTTP has them (RFC 9110 section 9.1); lengths of bodies are those of what is sent.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from rig_meetings import WITHIN, Api, Json
from ucwa_rig import APPLICATIONS, Program, running_ucwa

EXTENSION = (
    "/ucwa/v1/applications/192/onlineMeetings/myOnlineMeetings/943"
    "/onlineMeetingExtensions/onlineMeetingExtension"
)

GET_JSON = f"""\
Get https://fe1.contoso.com:443{EXTENSION} HTTP/1.1
Authorization: Bearer cwt=PHNhbWw6QXNzZXJ0aW9uIHhtbG5...uZm8
Host: fe1.contoso.com
Accept: application/json
if-none-match: dee2eaf8-7ad8-474c-a557-5dc070f8fccc
"""
GET_XML = f"""\
Get https://fe1.contoso.com:443{EXTENSION} HTTP/1.1
Authorization: Bearer cwt=PHNhbWw6QXNzZXJ0aW9uIHhtbG5...uZm8
Host: fe1.contoso.com
Accept: application/xml
if-none-match: 8d0db68a-b75e-4e2e-9460-742345c48a62
"""
DELETE = f"""\
Delete https://fe1.contoso.com:443{EXTENSION} HTTP/1.1
Authorization: Bearer cwt=PHNhbWw6QXNzZXJ0aW9uIHhtbG5...uZm8
Host: fe1.contoso.com
"""
PUT_JSON = f"""\
Put https://fe1.contoso.com:443{EXTENSION} HTTP/1.1
Authorization: Bearer cwt=PHNhbWw6QXNzZXJ0aW9uIHhtbG5...uZm8
Host: fe1.contoso.com
Content-Type: application/json
Accept: application/json
Content-Length: 46
{{
  "id" : "917823",
  "type" : "RoamedParticipantData"
}}"""
PUT_XML = f"""\
Put https://fe1.contoso.com:443{EXTENSION} HTTP/1.1
Authorization: Bearer cwt=PHNhbWw6QXNzZXJ0aW9uIHhtbG5...uZm8
Host: fe1.contoso.com
Content-Type: application/xml
Accept: application/xml
Content-Length: 198
<?xml version="1.0" encoding="utf-8"?>
<input xmlns="http://schemas.microsoft.com/rtc/2012/03/ucwa">
  <property name="id">917823</property>
  <property name="type">RoamedParticipantData</property>
</input>"""
JSON_RESPONSE = f"""\
{{
  "rel" : "onlineMeetingExtension",
  "id" : "917823",
  "type" : "RoamedParticipantData",
  "_links" : {{
    "self" : {{
      "href" : "{EXTENSION}"
    }}
  }}
}}"""
XML_RESPONSE = f"""\
<?xml version="1.0" encoding="utf-8"?>
<resource rel="onlineMeetingExtension" href="{EXTENSION}" xmlns="http://schemas.microsoft.com/rtc/2012/03/ucwa">
  <property name="rel">onlineMeetingExtension</property>
  <property name="id">917823</property>
  <property name="type">RoamedParticipantData</property>
</resource>"""
JSON_COMPACT = '{"id":"917823","type":"RoamedParticipantData"}'
"""What the example's Content-Length of 46 counts."""


@dataclass
class Got:
    """A response, as it came over the wire."""

    status_line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Stage:
    """alice's application and her online meeting, in place of the examples' 192 and 943."""

    api: Api
    alice: Program
    ids: dict[str, str] = field(default_factory=dict)

    def filled(self, text: str) -> str:
        for example, ours in self.ids.items():
            text = text.replace(example, ours)
        return text

    async def send(self, example: str, body: str | None = None) -> Got:
        """The example's own lines, but for `body`."""
        head, own = self._parts(example)
        sent = (own if body is None else body).encode()
        lines = [
            re.sub(r"^Content-Length: .*", f"Content-Length: {len(sent)}", line) for line in head
        ]
        return await self._exchange("\r\n".join(lines).encode() + b"\r\n\r\n" + sent)

    def _parts(self, example: str) -> tuple[list[str], str]:
        lines = self.filled(example).rstrip("\n").split("\n")
        begins = next((i for i, line in enumerate(lines) if line[:1] in ("{", "<")), len(lines))
        method, rest = lines[0].split(" ", 1)
        return [f"{method.upper()} {rest}", *lines[1:begins]], "\n".join(lines[begins:])

    async def _exchange(self, request: bytes) -> Got:
        async with asyncio.timeout(WITHIN):
            reader, writer = await asyncio.open_connection(
                self.api.server.host, self.api.server.port
            )
            try:
                writer.write(request)
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = dict(line.split(": ", 1) for line in head[1:] if line)
                length = int(headers.get("Content-Length", "0"))
                return Got(head[0], headers, await reader.readexactly(length))
            finally:
                writer.close()


@pytest.fixture
async def stage(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with running_ucwa(database_url, redis_url, tmp_path) as api:
        alice = Program(api, "alice")
        await alice.start()
        meetings = (await alice.dashboard()).link("onlineMeetings", "myOnlineMeetings")
        meeting = await alice.post(meetings, {})
        first = {"id": "917823", "type": "RoamedParticipantData"}
        added = await alice.post(meeting.link("onlineMeetingExtensions"), first)
        assert added.status == 201
        ids = {
            "applications/192/": f"applications/{alice.application.rsplit('/', 1)[-1]}/",
            "myOnlineMeetings/943/": f"myOnlineMeetings/{meeting.json['onlineMeetingId']}/",
            "PHNhbWw6QXNzZXJ0aW9uIHhtbG5...uZm8": alice.token,
        }
        yield Stage(api, alice, ids)


def is_json(stage: Stage, got: Got) -> None:
    assert got.status_line == "HTTP/1.1 200 OK"
    assert got.headers["Content-Type"].partition(";")[0] == "application/json"
    assert got.headers["ETag"]
    expected = msgspec.json.decode(stage.filled(JSON_RESPONSE))
    found = msgspec.json.decode(got.body)
    assert found == expected
    assert list(found) == list(expected), "in the order of the example"


def is_xml(stage: Stage, got: Got) -> None:
    assert got.status_line == "HTTP/1.1 200 OK"
    assert got.headers["Content-Type"].partition(";")[0] == "application/xml"
    assert got.headers["ETag"]
    expected = ElementTree.canonicalize(stage.filled(XML_RESPONSE), strip_text=True)
    assert ElementTree.canonicalize(got.body.decode(), strip_text=True) == expected
    assert got.body.startswith(b"<?xml ")


async def test_get(stage: Stage) -> None:
    is_json(stage, await stage.send(GET_JSON))
    is_xml(stage, await stage.send(GET_XML))


async def test_put(stage: Stage) -> None:
    is_json(stage, await stage.send(PUT_JSON))
    is_xml(stage, await stage.send(PUT_XML))
    assert len(JSON_COMPACT) == 46
    is_json(stage, await stage.send(PUT_JSON, JSON_COMPACT))


async def test_delete(stage: Stage) -> None:
    got = await stage.send(DELETE)
    assert got.status_line == "HTTP/1.1 204 No Content"
    assert got.body == b""
    again = await stage.send(DELETE)
    assert again.status_line == "HTTP/1.1 404 Not Found"


async def test_if_none_match_is_honoured(stage: Stage) -> None:
    etag = (await stage.send(GET_JSON)).headers["ETag"]
    known = GET_JSON.replace("dee2eaf8-7ad8-474c-a557-5dc070f8fccc", etag)
    got = await stage.send(known)
    assert got.status_line == "HTTP/1.1 304 Not Modified"
    assert got.body == b""


async def test_the_examples_are_refused_without_a_token(stage: Stage) -> None:
    stage.ids["PHNhbWw6QXNzZXJ0aW9uIHhtbG5...uZm8"] = "nonsense"
    for example in (GET_JSON, GET_XML, PUT_JSON, PUT_XML, DELETE):
        assert (await stage.send(example)).status_line == "HTTP/1.1 401 Unauthorized"


async def test_the_representation_of_an_application(stage: Stage) -> None:
    inputs = {"culture": "en-us", "userAgent": "ContosoApp/1.0", "endpointId": "a917"}
    created = await stage.alice.post(APPLICATIONS, inputs)
    shown: Json = created.json
    own = shown["_links"]["self"]["href"]
    assert re.fullmatch(r"/ucwa/v1/applications/[^/?]+", own)
    assert {name: shown[name] for name in ("rel", "culture", "userAgent")} == {
        "rel": "application",
        "culture": "en-us",
        "userAgent": "ContosoApp/1.0",
    }
    for name in ("batch", "events", "policies"):
        assert shown["_links"][name]["href"].partition("?")[0] == f"{own}/{name}"
    assert {"communication", "onlineMeetings"} <= set(shown["_embedded"])
