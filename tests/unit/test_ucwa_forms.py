"""UCWA's forms: inputs in, resources and events out, in JSON and in XML."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict
from ucwa_rig import from_xml, to_xml

from conference.errors import BadRequest, UnsupportedMediaType
from conference.ucwa.engine import dates, etags, render_json, render_xml
from conference.ucwa.engine.errors import fault
from conference.ucwa.engine.inputs import Inputs
from conference.ucwa.engine.reading import body_inputs, query_inputs
from conference.ucwa.engine.resource import Link, NewsItem, Package, Reason, Resource, Target
from conference.ucwa.engine.urls import Place
from schemas.errors import Problem

PLACE = Place("105")
BASE = "/ucwa/v1/applications/105"
MOMENT = datetime(2016, 9, 26, 16, 20, 29, 38904, tzinfo=UTC)


class Level(StrEnum):
    EVERYONE = "Everyone"
    LOCKED = "Locked"


# --- dates ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/Date(1360199838000)/", datetime(2013, 2, 7, 1, 17, 18, tzinfo=UTC)),
        (r"\/Date(1360199838000)\/", datetime(2013, 2, 7, 1, 17, 18, tzinfo=UTC)),
        ("/Date(1360199838000-0800)/", datetime(2013, 2, 7, 1, 17, 18, tzinfo=UTC)),
        ("/Date(-1)/", datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)),
        ("2016-09-26T16:20:29.0389049-07:00", MOMENT + timedelta(hours=7)),
        ("2016-09-26T16:20:29Z", MOMENT.replace(microsecond=0)),
        ("2016-09-26T16:20:29", MOMENT.replace(microsecond=0)),
        ("2016-09-26", datetime(2016, 9, 26, tzinfo=UTC)),
        ("/Date(99999999999999999999)/", None),
        ("/Date(9999999999999999)/", None),
        ("/Date()/", None),
        ("Date(1)", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("tomorrow", None),
        ("1" * 5000, None),
        ("", None),
    ],
)
def test_dates_come_in(text: str, expected: datetime | None) -> None:
    assert dates.parse(text) == expected


@given(
    st.datetimes(
        max_value=datetime(9999, 12, 31),  # noqa: DTZ001 - what it is given is naive
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7))]),
    )
)
def test_dates_come_back(moment: datetime) -> None:
    assert dates.parse(dates.for_xml(moment)) == moment
    back = dates.parse(dates.for_json(moment))
    assert back is not None
    assert timedelta(0) <= moment - back < timedelta(milliseconds=1)


def test_dates_go_out() -> None:
    described = Resource(
        rel="x", href="x", properties={"at": MOMENT, "said": 'say "/Date(5)/" \\', "n": "/Date(5)/"}
    )
    raw = render_json.resource(described, PLACE)
    assert rb'"at":"\/Date(1474906829038)\/"' in raw
    found = msgspec.json.decode(raw)
    assert found["said"] == 'say "/Date(5)/" \\'
    assert found["n"] == "/Date(5)/"
    in_xml = from_xml(render_xml.resource(described, PLACE))
    assert in_xml["at"] == "2016-09-26T16:20:29.0389040Z"


# --- inputs -----------------------------------------------------------------------------------


def in_json(body: Any) -> Inputs:
    return body_inputs(msgspec.json.encode(body), "application/json")


def in_xml(body: Any) -> Inputs:
    return body_inputs(to_xml(body), "application/vnd.microsoft.com.ucwa+xml; charset=UTF-8")


def in_query(body: Any) -> Inputs:
    pairs = [
        (name, str(item))
        for name, value in body.items()
        for item in (value if isinstance(value, list) else [value])
    ]
    return query_inputs(MultiDict(pairs))


WRITTEN: list[Callable[[Any], Inputs]] = [in_json, in_xml, in_query]


@pytest.mark.parametrize("written", WRITTEN)
def test_inputs_are_read_alike(written: Callable[[Any], Inputs]) -> None:
    found = written(
        {
            "Subject": "stand-up",
            "attendees": ["sip:bob@example.com", "sip:carol@example.com"],
            "duration": 11,
            "available": True,
            "expirationTime": "2016-09-26T16:20:29Z",
            "ACCESSLEVEL": "locked",
            "empty": "",
        }
    )
    assert found.text("subject") == found.required("SUBJECT") == "stand-up"
    assert found.texts("attendees") == ["sip:bob@example.com", "sip:carol@example.com"]
    assert found.number("duration", 10, 30) == 11
    assert found.flag("available") is True
    assert found.date("expirationtime") == MOMENT.replace(microsecond=0)
    assert found.choice("accessLevel", Level) is Level.LOCKED
    assert found.text("empty") == ""
    assert found.text("absent") is None
    assert found.flag("absent") is found.number("absent", 0, 1) is found.date("absent") is None
    assert "subject" in found
    assert "absent" not in found
    assert ("Subject", "stand-up") in list(found.items())


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("x" * 11, lambda found: found.text("a", 10)),
        (["x"], lambda found: found.text("a")),
        ({"x": 1}, lambda found: found.text("a")),
        ([["x"]], lambda found: found.texts("a")),
        ({}, lambda found: found.texts("A")),
        ("", lambda found: found.required("a")),
        (None, lambda found: found.required("a")),
        ([1], lambda found: found.texts("a")),
        (["x"] * 1001, lambda found: found.texts("a")),
        (["x" * 1025], lambda found: found.texts("a")),
        ("9", lambda found: found.number("a", 10, 30)),
        (31, lambda found: found.number("a", 10, 30)),
        (10.5, lambda found: found.number("a", 10, 30)),
        (True, lambda found: found.number("a", 0, 30)),
        ("1e1", lambda found: found.number("a", 0, 30)),
        ("９", lambda found: found.number("a", 0, 30)),
        ("yes", lambda found: found.flag("a")),
        (2, lambda found: found.flag("a")),
        ("soon", lambda found: found.date("a")),
        (1, lambda found: found.date("a")),
        ("Some", lambda found: found.choice("a", Level)),
        (1, lambda found: found.choice("a", Level)),
    ],
)
def test_what_will_not_do_is_named(value: Any, read: Callable[[Inputs], object]) -> None:
    with pytest.raises(BadRequest) as refused:
        read(in_json({"a": value}))
    assert refused.value.code == "ParameterValidationFailure"
    assert refused.value.details is not None
    (name,) = refused.value.details["parameters"]  # type: ignore[attr-defined]
    assert name.lower() == "a"


def test_true_in_any_case_and_whole_numbers_with_a_fraction() -> None:
    assert in_xml({"a": "True", "b": "False"}).flag("a") is True
    assert in_xml({"b": "False"}).flag("b") is False
    assert in_json({"a": 11.0}).number("a", 0, 20) == 11
    assert in_json({"a": 1.50}).text("a") == "1.5"


def test_what_is_in_the_body_wins_over_the_query() -> None:
    merged = in_json({"a": "body"}).over(in_query({"A": "query", "b": "query"}))
    assert (merged.text("a"), merged.text("b")) == ("body", "query")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'"text"',
        b"\xff",
        b'{"a": "\xff"}',
        b'{"a": "\\u0000"}',
        b'{"a\\u0001": "b"}',
        b'{"a": ["\\uffff"]}',
        b"{" + b",".join(b'"%d":1' % n for n in range(1001)) + b"}",
        b"[" * 100_000,
        b'{"a": 1, "a": 1}',
        b'{"_links": {"a": 1, "a": 1}}',
        b"\xef\xbb\xbf\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
    ],
)
def test_json_that_is_not_read(body: bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        body_inputs(body, "application/json")
    assert refused.value.code == "DeserializationFailure"


BOMB = (
    b"""<!DOCTYPE bomb [<!ENTITY a "aaaaaaaaaa">%s]><input><property name="x">&z;</property></input>"""
    % (b"".join(b'<!ENTITY %c "&%c;&%c;">' % (98 + n, 97 + n, 97 + n) for n in range(25)))
)
OUTSIDE = b"""<!DOCTYPE i [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<input><property name="a">&x;</property></input>"""


@pytest.mark.parametrize(
    "body",
    [
        BOMB,
        OUTSIDE,
        b'<!DOCTYPE input SYSTEM "http://example.com/x.dtd"><input/>',
        b"<!DOCTYPE input><input/>",
        b"<input>&unknown;</input>",
        b"<input>" + b"<a>" * 50_000,
        b"<resource>" + b"<a/>" * 20_000 + b"</resource>",
        b"<input><property>no name</property></input>",
        b'<input><property name="">no name</property></input>',
        b"<other/>",
        b"<link/>",
        b"<resources/>",
        b"<input>",
        b"<resource>",
        b'<input><property name="a">1</property><property name="a">1</property></input>',
        b'<input><property name="a">1</property><propertyList name="a"/></input>',
        b"<input></output>",
        b"{}",
        b"\xff\xfe<",
        b'<?xml version="1.0" encoding="utf-7"?><input/>',
        b"<input>%s</input>" % b"".join(b'<property name="%d"/>' % n for n in range(1001)),
        "<input><property name='a'>￿</property></input>".encode(),
    ],
)
def test_xml_that_is_not_read(body: bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        body_inputs(body, "application/xml")
    assert refused.value.code == "DeserializationFailure"


def test_xml_skips_what_is_no_input() -> None:
    found = body_inputs(
        b"""<?xml version="1.0" encoding="utf-8"?>
        <u:input xmlns:u="http://schemas.microsoft.com/rtc/2012/03/ucwa"><!-- note -->
          <link rel="self" href="/x"/>
          <u:property name="id">917&#56;23 &amp; <![CDATA[<more>]]></u:property>
          <property name="deep"><b>bold</b></property>
          <resource rel="y"><property name="inner">1</property></resource>
          <propertyList name="tags"><item>a</item>
            <item/></propertyList>
        </u:input>""",
        "application/xml",
    )
    assert dict(found.items()) == {"id": "917823 & <more>", "deep": "", "tags": ["a", ""]}


def test_xml_may_be_a_resource_that_was_read() -> None:
    """Of what it embeds and links to nothing is taken; its own properties are."""
    found = body_inputs(
        b"""\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>
        <resource rel="group" href="/g/1" xmlns="https://schemas.microsoft.com/rtc/2012/03/ucwa">
          <link rel="groupContacts" href="/g/1/contacts" title="all"/>
          <property name="rel">group</property>
          <property name="name">Friends</property>
          <propertyList name="tags"><item>a</item></propertyList>
          <resource rel="contact" href="/c">
            <link rel="contactPhoto" href="/c/photo"/>
            <property name="name">Bob</property>
            <propertyList name="tags"><item>b</item></propertyList>
            <resource rel="inner" href="/i"><property name="deep">1</property></resource>
          </resource>
          <property name="id">1</property>
        </resource>""",
        "application/xml",
    )
    assert dict(found.items()) == {"rel": "group", "name": "Friends", "tags": ["a"], "id": "1"}


def test_null_in_xml() -> None:
    found = body_inputs(
        b"""<input xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
        <property name="a" xsi:nil="true"/><propertyList name="b" xsi:nil="1"/>
        <property name="c"/></input>""",
        "application/xml",
    )
    assert ("a" in found, found.text("a"), found.texts("b"), found.text("c")) == (
        True,
        None,
        None,
        "",
    )


def test_json_may_begin_with_a_mark() -> None:
    body = b'\xef\xbb\xbf{"a": "b"}'
    assert body_inputs(body, "application/json;charset=UTF-8").text("a") == "b"


@pytest.mark.parametrize("written", WRITTEN)
def test_names_that_differ_in_case_alone(written: Callable[[Any], Inputs]) -> None:
    """One of them would get lost, and nobody could say which."""
    for names in (("Color", "color"), ("subject", "SUBJECT")):
        with pytest.raises(BadRequest) as refused:
            written(dict.fromkeys(names, "x"))
        assert refused.value.code == "ParameterValidationFailure"
        assert list((refused.value.details or {})["parameters"]) == [names[1]]


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "text/xml", "application/json; charset=utf-16", "json"]
)
def test_other_types_are_not_read(content_type: str) -> None:
    with pytest.raises(UnsupportedMediaType) as refused:
        body_inputs(b"{}", content_type)
    assert refused.value.code == "UnsupportedMediaType"


def test_an_empty_body_has_no_type() -> None:
    for body in (b"", b"\r\n", b"  \t"):
        assert list(body_inputs(body, "").items()) == []
    assert list(body_inputs(b"null", "application/json").items()) == []


# --- resources --------------------------------------------------------------------------------

INNER = Resource(rel="participant", href="p/1", properties={"name": "bob"})
FULL = Resource(
    rel="conversation",
    href="conversations/1",
    properties={
        "subject": 'a < b & "c"',
        "count": 2,
        "open": True,
        "tags": ["x", "y"],
        "none": [],
        "numbers": [{"name": "Home", "number": 5}],
    },
    links={
        "many": [Link("/a", title="one"), Link("b")],
        "note": Link("data:text/plain;charset=utf-8,Hi+x"),
        "none": [],
        "search": Link("people/search", revision="2"),
    },
    embedded={"localParticipant": INNER, "all": [INNER], "nobody": []},
    etag="31",
)


def test_a_resource_in_json() -> None:
    inner = {
        "rel": "participant",
        "name": "bob",
        "_links": {"self": {"href": f"{BASE}/p/1"}},
    }
    assert msgspec.json.decode(render_json.resource(FULL, PLACE)) == {
        "rel": "conversation",
        "subject": 'a < b & "c"',
        "count": 2,
        "open": True,
        "tags": ["x", "y"],
        "none": [],
        "numbers": [{"name": "Home", "number": 5}],
        "_links": {
            "self": {"href": f"{BASE}/conversations/1"},
            "many": [{"href": "/a", "title": "one"}, {"href": f"{BASE}/b"}],
            "note": {"href": "data:text/plain;charset=utf-8,Hi+x"},
            "none": [],
            "search": {"href": f"{BASE}/people/search", "revision": "2"},
        },
        "_embedded": {"localParticipant": inner, "all": [inner], "nobody": []},
        "etag": "31",
    }


def test_a_resource_in_xml() -> None:
    inner = (
        f'href="{BASE}/p/1"><property name="rel">participant</property>'
        '<property name="name">bob</property></resource>'
    )
    assert render_xml.resource(FULL, PLACE).decode() == (
        '<?xml version="1.0" encoding="utf-8"?>'
        f'<resource rel="conversation" href="{BASE}/conversations/1"'
        ' xmlns="http://schemas.microsoft.com/rtc/2012/03/ucwa">'
        '<link rel="many" href="/a" title="one"/>'
        f'<link rel="many" href="{BASE}/b"/>'
        '<link rel="note" href="data:text/plain;charset=utf-8,Hi+x"/>'
        f'<link rel="search" href="{BASE}/people/search" revision="2"/>'
        '<property name="rel">conversation</property>'
        '<property name="subject">a &lt; b &amp; &quot;c&quot;</property>'
        '<property name="count">2</property>'
        '<property name="open">true</property>'
        '<propertyList name="tags"><item>x</item><item>y</item></propertyList>'
        '<propertyList name="none"></propertyList>'
        '<propertyList name="numbers"><item><property name="name">Home</property>'
        '<property name="number">5</property></item></propertyList>'
        '<property name="etag">31</property>'
        f'<resource rel="localParticipant" {inner}<resource rel="all" {inner}'
        "</resource>"
    )


@given(st.text(), st.text())
def test_any_text_is_well_formed(name: str, text: str) -> None:
    described = Resource(
        rel="x", href="x", properties={"p": text, "l": [text]}, links={"y": Link("/y", title=name)}
    )
    found = from_xml(render_xml.resource(described, PLACE))
    shown = render_xml._NOT_XML.sub("�", text)
    assert found["p"] == found["l"][0] == shown
    assert found["_links"]["y"]["title"] == render_xml._NOT_XML.sub("�", name)
    if text.isprintable():
        assert msgspec.json.decode(render_json.resource(described, PLACE))["p"] == text


def test_addresses_need_an_application_unless_they_are_whole() -> None:
    assert Place().href("/ucwa") == "/ucwa"
    assert Place().href("https://meet.example.com/ucwa") == "https://meet.example.com/ucwa"
    assert PLACE.href("") == BASE
    assert PLACE.href("?instanceId=a") == f"{BASE}?instanceId=a"
    with pytest.raises(ValueError, match="relative"):
        Place().href("me")


# --- events -----------------------------------------------------------------------------------

CONVERSATION = Target(rel="conversation", href="c/1")
NEWS = Package(
    href="events?ack=1",
    links={"next": Link("events?ack=2")},
    items=[
        NewsItem(
            sender=Target(rel="communication", href="communication"),
            type="completed",
            link=Target(rel="onlineMeetingInvitation", href="i/1"),
            status="Failure",
            reason=Reason(code="Forbidden", subcode="Denied", message="no"),
        ),
        NewsItem(
            sender=CONVERSATION,
            type="added",
            link=Target(rel="localParticipant", href="p/1", title="bob"),
            inside=Target(rel="lobby", href="c/1/lobby"),
            resource=INNER,
        ),
        NewsItem(sender=CONVERSATION, type="updated", link=CONVERSATION),
        NewsItem(
            sender=Target(rel="communication", href="communication"),
            type="updated",
            link=Target(rel="communication", href="communication"),
        ),
    ],
)


def test_events_are_alike_in_both_forms() -> None:
    found = msgspec.json.decode(render_json.package(NEWS, PLACE))
    assert found["_links"] == {
        "self": {"href": f"{BASE}/events?ack=1"},
        "next": {"href": f"{BASE}/events?ack=2"},
    }
    assert [sender["rel"] for sender in found["sender"]] == [
        "communication",
        "conversation",
        "communication",
    ]
    failed = found["sender"][0]["events"][0]
    assert failed["status"] == "Failure"
    assert failed["reason"] == {"code": "Forbidden", "subcode": "Denied", "message": "no"}
    added, updated = found["sender"][1]["events"]
    assert added["in"] == {"rel": "lobby", "href": f"{BASE}/c/1/lobby"}
    assert added["link"]["title"] == "bob"
    assert added["_embedded"]["localParticipant"]["rel"] == "participant"
    assert updated == {
        "link": {"rel": "conversation", "href": f"{BASE}/c/1"},
        "type": "updated",
    }
    assert from_xml(render_xml.package(NEWS, PLACE)) == found


def test_no_events_are_an_empty_list() -> None:
    found = msgspec.json.decode(render_json.package(Package(href="events", links={}), PLACE))
    assert found["sender"] == []


# --- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "ParameterValidationFailure", (400, "BadRequest", "ParameterValidationFailure")),
        (403, "not_a_moderator", (403, "Forbidden", None)),
        (404, "ApplicationNotFound", (404, "NotFound", "ApplicationNotFound")),
        (409, "PGetReplaced", (409, "Conflict", "PGetReplaced")),
        (424, "media_failed", (503, "ServiceUnavailable", None)),
        (500, "internal", (500, "ServiceFailure", None)),
        (504, "Timeout", (504, "Timeout", "Timeout")),
        (418, "teapot", (418, "ServiceFailure", None)),
    ],
)
def test_a_refusals_code_and_subcode(
    status: int, code: str, expected: tuple[int, str, str | None]
) -> None:
    found_status, found = fault(status, Problem(code=code, message="why"))
    assert (found_status, found.code, found.subcode) == expected
    assert found.message == "why"


def test_parameters_are_told_with_400_alone() -> None:
    details: dict[str, object] = {"parameters": {"a": "is <wrong>"}}
    problem = Problem(code="ParameterValidationFailure", message="a: is <wrong>", details=details)
    _, found = fault(400, problem)
    in_json = msgspec.json.decode(render_json.fault(found))
    assert in_json == {
        "code": "BadRequest",
        "subcode": "ParameterValidationFailure",
        "message": "a: is <wrong>",
        "parameters": {"a": "is <wrong>"},
    }
    assert from_xml(render_xml.fault(found)) == in_json
    assert fault(409, problem)[1].parameters is None


# --- etags ------------------------------------------------------------------------------------


def test_an_etag_is_of_properties_and_links() -> None:
    etag = etags.of(FULL)
    assert 0 <= int(etag) < 2**32
    replace = msgspec.structs.replace
    assert etags.of(replace(FULL, embedded={}, etag="5")) == etag
    assert etags.tagged(FULL).etag == etag
    others = [
        replace(FULL, rel="other"),
        replace(FULL, properties={**FULL.properties, "count": 3}),
        replace(FULL, links={}),
    ]
    assert etag not in {etags.of(other) for other in others}


@pytest.mark.parametrize(
    ("condition", "strong", "weak"),
    [
        ('"31"', True, True),
        ("31", True, True),
        ('W/"31"', False, True),
        ("W/31", False, True),
        ('W/"31", "31"', True, True),
        ('"31", W/"31"', True, True),
        ('W/"1", W/"31"', False, True),
        ('"1", "31"', True, True),
        ("1,31", True, True),
        (', ,"31",', True, True),
        ("*", True, True),
        ('"*"', True, True),
        ('"3"', False, False),
        ("310", False, False),
        ("", False, False),
        ("dee2eaf8-7ad8-474c-a557-5dc070f8fccc", False, False),
    ],
)
def test_conditions(condition: str, strong: bool, weak: bool) -> None:
    assert etags.matches(condition, "31") is strong
    assert etags.is_known(condition, "31") is weak


def test_a_put_token_is_a_guid_with_a_request() -> None:
    ((name, value),) = etags.put_token("me", "1").items()
    assert etags.is_put_token(name, value)
    assert etags.put_token("me", "1") == {name: value}
    assert etags.put_token("me", "2") != {name: value}
    assert not etags.is_put_token(name, "else")
    assert not etags.is_put_token("subject", value)
    assert etags.is_put_token(str(uuid4()), value)
