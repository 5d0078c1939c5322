"""Accept, Content-Type, and which endpoint a path is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conference.errors import NotAcceptable, NotFound
from conference.ucwa.engine import negotiate
from conference.ucwa.engine.call import Call, Endpoint, Reply
from conference.ucwa.engine.table import Table, WrongMethod

VENDOR = "application/vnd.microsoft.com.ucwa"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("application/xml", "application/xml"),
        ("APPLICATION/XML", "application/xml"),
        (f"{VENDOR}+json", f"{VENDOR}+json"),
        (f"{VENDOR}+xml; q=0.5", f"{VENDOR}+xml"),
        ("application/json;q=0.2, application/xml;q=0.9", "application/xml"),
        ("application/json, application/xml", "application/json"),
        ("application/xml, application/json", "application/xml"),
        ("text/html, application/xml;q=0.9, */*;q=0.8", "application/xml"),
        ("text/html, */*;q=0.1", "application/json"),
        ("application/json;q=0, */*", "application/xml"),
        ("application/*;q=0.1, application/json;q=0", "application/xml"),
        ("application/xml;q=nonsense", "application/xml"),
        ("application/xml;q=7", "application/xml"),
        ('text/html;x="a,b", application/xml', "application/xml"),
        ("application/json; charset=utf-8", "application/json"),
    ],
)
def test_the_form_that_is_asked_for(accept: str, media_type: str) -> None:
    form = negotiate.form_of(accept)
    assert form.media_type == media_type
    assert form.content_type == f"{media_type}; charset=utf-8"
    assert form.syntax == ("xml" if media_type.endswith("xml") else "json")


@pytest.mark.parametrize("accept", ["text/html", "application/xml;q=0", "image/*", "json", ",;"])
def test_what_is_not_there(accept: str) -> None:
    with pytest.raises(NotAcceptable, match=r"application/json"):
        negotiate.form_of(accept)
    assert negotiate.form_or_json(accept) is negotiate.JSON


@pytest.mark.parametrize(
    ("accept", "wants"),
    [
        ("text/html,application/xhtml+xml,*/*;q=0.8", True),
        ("application/json, text/html", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_only_a_browser_wants_html(accept: str, wants: bool) -> None:
    assert negotiate.wants_html(accept) is wants


def test_parameters_may_be_quoted() -> None:
    found = negotiate.parameterized('Multipart/Batching; Boundary="a;\\"b"; charset=utf-8; odd')
    assert found == ("multipart/batching", {"boundary": 'a;"b', "charset": "utf-8"})


@given(st.text(max_size=200))
def test_any_header_has_an_answer(text: str) -> None:
    negotiate.parameterized(text)
    negotiate.form_or_json(text)
    negotiate.wants_html(text)


# --- paths ------------------------------------------------------------------------------------


async def view(call: Call) -> Reply:
    return Reply()


def endpoint(method: str, path: str) -> Endpoint:
    return Endpoint(method=method, path=path, view=view, rel=path, summary="")  # type: ignore[arg-type]


TABLE = Table(
    [
        endpoint("GET", "conversations/{conversationId}"),
        endpoint("DELETE", "conversations/{conversationId}"),
        endpoint("GET", "conversations/special"),
        endpoint("GET", "conversations/{conversationId}/lobby"),
        endpoint("GET", ""),
        endpoint("GET", "/ucwa"),
    ]
)
BASE = "/ucwa/v1/applications/1"


@pytest.mark.parametrize(
    ("path", "rel", "params"),
    [
        ("/ucwa", "/ucwa", {}),
        (BASE, "", {}),
        (f"{BASE}/conversations/special", "conversations/special", {}),
        (
            f"{BASE}/conversations/a%20b",
            "conversations/{conversationId}",
            {"conversationId": "a b"},
        ),
        (
            f"{BASE}/conversations/special/lobby",
            "conversations/{conversationId}/lobby",
            {"conversationId": "special"},
        ),
    ],
)
def test_a_path_is_found(path: str, rel: str, params: dict[str, str]) -> None:
    found, inside = TABLE.find("GET", path)
    application = {"applicationId": "1"} if path.startswith(BASE) else {}
    assert (found.rel, inside) == (rel, {**application, **params})


@pytest.mark.parametrize("path", ["/ucwa/", f"{BASE}/", f"{BASE}/conversations/", "/meetings", ""])
def test_other_paths_are_not(path: str) -> None:
    with pytest.raises(NotFound):
        TABLE.find("GET", path)


def test_other_methods_are_named() -> None:
    with pytest.raises(WrongMethod) as refused:
        TABLE.find("POST", f"{BASE}/conversations/1")
    assert refused.value.allowed == ["DELETE", "GET"]
