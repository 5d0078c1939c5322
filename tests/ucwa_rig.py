"""Programs that use UCWA over real HTTP: in JSON or in XML, which they see as the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4
from xml.etree import ElementTree

import msgspec
from multidict import CIMultiDict
from rig_meetings import WITHIN, Api, Json, running_api, token_for
from yarl import URL

NAMESPACE = "{http://schemas.microsoft.com/rtc/2012/03/ucwa}"
APPLICATIONS = "/ucwa/v1/applications"


class Answer(msgspec.Struct):
    """What came back. `json` is the body as JSON would have it, whatever it was written in."""

    status: int
    json: Json
    headers: CIMultiDict[str]
    raw: bytes

    @property
    def href(self) -> str:
        return str(self.json["_links"]["self"]["href"])

    @property
    def etag(self) -> str:
        """Of the header, without its quotes."""
        return self.headers["ETag"].strip('"')

    @property
    def subcode(self) -> str | None:
        """An error's."""
        found: str | None = self.json.get("subcode")
        return found

    def link(self, *rels: str) -> str:
        """The address under the last rel, in the resource embedded under those before it."""
        found = self.json
        for rel in rels[:-1]:
            found = found["_embedded"][rel]
        return str(found["_links"][rels[-1]]["href"])

    def embedded(self, rel: str) -> Json:
        return self.json["_embedded"][rel]


class Program:
    """One program of a user: signed in, and once started with an application and its event channel."""

    def __init__(self, api: Api, name: str, token: str | None = None, *, xml: bool = False) -> None:
        self.name = name
        self.xml = xml
        self.token = token or token_for(name)
        self.application = ""
        self.next = ""
        self._api = api

    # --- requests -----------------------------------------------------------------------------

    async def call(
        self,
        method: str,
        address: str,
        body: Json = None,
        headers: dict[str, str] | None = None,
        data: bytes | None = None,
    ) -> Answer:
        """`body` is written in the program's form, `data` sent as it is."""
        form = "application/xml" if self.xml else "application/json"
        sent = {"Authorization": f"Bearer {self.token}", "Accept": form}
        if body is not None:
            data = to_xml(body) if self.xml else msgspec.json.encode(body)
        if data is not None:
            sent["Content-Type"] = form
        return await request(self._api, method, address, {**sent, **(headers or {})}, data)

    async def get(self, address: str, **headers: str) -> Answer:
        return await self.call("GET", address, headers=_named(headers))

    async def post(self, address: str, body: Json = None, **headers: str) -> Answer:
        return await self.call("POST", address, body, _named(headers))

    async def put(self, address: str, body: Json = None, **headers: str) -> Answer:
        return await self.call("PUT", address, body, _named(headers))

    async def delete(self, address: str, **headers: str) -> Answer:
        return await self.call("DELETE", address, headers=_named(headers))

    async def follow(self, *rels: str) -> Answer:
        """GET what the application links to by the last rel, within the resources embedded under the others."""
        return await self.get((await self.dashboard()).link(*rels))

    async def dashboard(self) -> Answer:
        found = await self.get(self.application)
        assert found.status == 200, found
        return found

    # --- the application ----------------------------------------------------------------------

    async def start(self, **inputs: Json) -> Answer:
        """Create the application, or find it. Events are read from its beginning."""
        root = await self.get("/ucwa")
        user = await self.get(root.link("user"))
        defaults = {
            "userAgent": "Tests/1.0",
            "endpointId": str(uuid4()),
            "culture": "en-US",
        }
        given = {name.lower() for name in inputs}
        left = {name: value for name, value in defaults.items() if name.lower() not in given}
        created = await self.post(user.link("applications"), {**left, **inputs})
        assert created.status in (200, 201), created
        self.application = created.href
        self.next = created.link("events")
        return created

    async def poll(self, timeout: float = 0.3, **more: str) -> Answer:
        """One pending GET; the next one acknowledges what it brought."""
        extra = "".join(f"&{name}={value}" for name, value in more.items())
        answer = await self.get(f"{self.next}&timeout={timeout}{extra}")
        if answer.status == 200:
            links = answer.json["_links"]
            self.next = next(
                links[rel]["href"] for rel in ("next", "resync", "resume") if rel in links
            )
        return answer

    async def events(self, timeout: float = 0.3) -> list[Json]:
        """Every event until none comes for so many seconds, each with its `sender`."""
        found: list[Json] = []
        while True:
            answer = await self.poll(timeout)
            assert answer.status == 200, answer
            some = events_of(answer)
            if not some and "next" in answer.json["_links"]:
                return found
            found += some

    async def until(
        self, rel: str, kind: str, where: Callable[[Json], bool] = lambda event: True
    ) -> Json:
        """The next event of this type about this rel; those before it are skipped, those beside it lost."""
        async with asyncio.timeout(WITHIN):
            while True:
                for event in events_of(await self.poll(5)):
                    if event["link"]["rel"] == rel and event["type"] == kind and where(event):
                        return event


def events_of(answer: Answer) -> list[Json]:
    """In order, each with who sent it."""
    return [
        {**event, "sender": {"rel": sender["rel"], "href": sender["href"]}}
        for sender in answer.json["sender"]
        for event in sender["events"]
    ]


def told(events: list[Json]) -> list[str]:
    """`added participant`, and `added participant in lobby`."""
    return [
        f"{event['type']} {event['link']['rel']}"
        + (f" in {event['in']['rel']}" if "in" in event else "")
        for event in events
    ]


async def request(
    api: Api, method: str, address: str, headers: dict[str, str], data: bytes | None = None
) -> Answer:
    url = URL(address, encoded=True)
    if not url.absolute:
        url = api.server.make_url(url)
    async with api.session.request(method, url, data=data, headers=headers) as response:
        raw = await response.read()
        if response.status == 201 and "ucwa" in url.path.lower():
            assert "Location" in response.headers, "clients read it unchecked"
        return Answer(
            response.status,
            parsed(raw, response.content_type),
            CIMultiDict(response.headers),
            raw,
        )


def parsed(raw: bytes, content_type: str) -> Json:
    """None for what is neither JSON nor XML."""
    if not raw:
        return None
    if content_type.endswith("json"):
        return msgspec.json.decode(raw)
    return (
        from_xml(raw) if content_type.endswith("xml") and NAMESPACE[1:-1].encode() in raw else None
    )


@asynccontextmanager
async def running_ucwa(
    database_url: str, redis_url: str, data_dir: Path, **changed: Any
) -> AsyncIterator[Api]:
    """The whole application on the real servers. `changed` are settings; without them nothing is waited for long."""
    quick = {"ucwa_poll_timeout": 0.05, "ucwa_hold_medium": 0.05, "ucwa_hold_low": 0.1}
    async with running_api(database_url, redis_url, data_dir, **{**quick, **changed}) as api:
        yield api


def _named(headers: dict[str, str]) -> dict[str, str]:
    """if_match -> If-Match."""
    return {name.replace("_", "-"): value for name, value in headers.items()}


# --- XML --------------------------------------------------------------------------------------


def to_xml(body: Json) -> bytes:
    """Inputs as UCWA's XML has them."""
    root = ElementTree.Element("input", xmlns=NAMESPACE.strip("{}"))
    for name, value in body.items():
        if value is None:
            continue
        kind = "propertyList" if isinstance(value, list) else "property"
        element = ElementTree.SubElement(root, kind, name=name)
        if isinstance(value, list):
            for item in value:
                ElementTree.SubElement(element, "item").text = str(item)
        else:
            element.text = str(value)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def from_xml(raw: bytes) -> Json:
    """As the JSON of the same resource, but for values (all texts) and for what is there once: no array."""
    root = ElementTree.fromstring(raw)
    kind = root.tag.removeprefix(NAMESPACE)
    return {"resource": _resource, "events": _events, "reason": _reason}[kind](root)


def _resource(element: ElementTree.Element) -> Json:
    links: Json = {"self": {"href": element.get("href")}}
    found: Json = {"_links": links}
    embedded: Json = {}
    for child in element:
        kind, rel = child.tag.removeprefix(NAMESPACE), child.get("rel", "")
        if kind == "link":
            _collect(links, rel, {k: v for k, v in child.attrib.items() if k != "rel"})
        elif kind == "property":
            found[child.get("name", "")] = child.text or ""
        elif kind == "propertyList":
            found[child.get("name", "")] = [_item(item) for item in child]
        else:
            _collect(embedded, rel, _resource(child))
    return {**found, "_embedded": embedded} if embedded else found


def _item(element: ElementTree.Element) -> Json:
    if len(element):
        return {child.get("name"): child.text or "" for child in element}
    return element.text or ""


def _collect(into: Json, rel: str, value: Json) -> None:
    if rel not in into:
        into[rel] = value
    elif isinstance(into[rel], list):
        into[rel].append(value)
    else:
        into[rel] = [into[rel], value]


def _events(element: ElementTree.Element) -> Json:
    links: Json = {"self": {"href": element.get("href")}}
    senders = []
    for child in element:
        if child.tag == f"{NAMESPACE}link":
            links[child.get("rel")] = {"href": child.get("href")}
        else:
            senders.append({**child.attrib, "events": [_event(event) for event in child]})
    return {"_links": links, "sender": senders}


def _event(element: ElementTree.Element) -> Json:
    link = dict(element.attrib)
    status = link.pop("status", None)
    found: Json = {"link": link, "type": element.tag.removeprefix(NAMESPACE)}
    if status is not None:
        found["status"] = status
    for child in element:
        kind = child.tag.removeprefix(NAMESPACE)
        if kind == "resource":
            found["_embedded"] = {child.get("rel"): _resource(child)}
        else:
            found[kind] = _reason(child) if kind == "reason" else dict(child.attrib)
    return found


def _reason(element: ElementTree.Element) -> Json:
    found: Json = {}
    for child in element:
        name = child.tag.removeprefix(NAMESPACE)
        found[name] = {p.get("name"): p.text or "" for p in child} if len(child) else child.text
    return found
