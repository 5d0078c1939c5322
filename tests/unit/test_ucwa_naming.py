"""What UCWA's endpoints are called in the OpenAPI document."""

from __future__ import annotations

from conference.ucwa.engine.call import Call, Endpoint, Reply
from conference.ucwa.engine.naming import heading, identifiers, key

EXTENSION = "onlineMeetingExtension"


async def _view(call: Call) -> Reply:
    return Reply()


def _get(path: str, rel: str) -> Endpoint:
    return Endpoint(method="GET", path=path, view=_view, rel=rel, summary="")


LOBBY = _get("communication/conversations/{c}/lobby", "lobby")
OWN = _get("onlineMeetings/myOnlineMeetings/{m}/extensions/{e}", EXTENSION)
JOINED = _get("communication/conversations/{c}/onlineMeeting/extensions/{e}", EXTENSION)
USER = _get("/discovery/user", "user")
ROOTS = [_get("/ucwa", "root"), _get("/discovery/root", "root")]


def test_a_name_is_the_method_and_the_rel_unless_two_would_be_alike() -> None:
    found = identifiers([LOBBY, OWN, JOINED, USER, *ROOTS])
    assert [found[key(item)] for item in (LOBBY, OWN, JOINED, USER, *ROOTS)] == [
        "getLobby",
        "getOnlineMeetingExtensionOfMyOnlineMeetings",
        "getOnlineMeetingExtensionOfConversations",
        "ucwaGetUser",
        "ucwaGetRootOfUcwa",
        "ucwaGetRootOfDiscovery",
    ]


def test_headings_go_by_the_hub() -> None:
    assert [heading(item) for item in (LOBBY, OWN, USER)] == [
        "UCWA: conversations",
        "UCWA: online meetings",
        "UCWA: applications",
    ]
