"""What the endpoints are called in the OpenAPI document, and under which heading each stands."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from conference.ucwa.engine.call import Endpoint
from conference.ucwa.engine.urls import APPLICATION, path_of

Key = tuple[str, str]
"""Method and path."""

_PARAMETER = re.compile(r"{\w+}")
_HEADINGS = {
    "communication": "UCWA: conversations",
    "onlineMeetings": "UCWA: online meetings",
    "me": "UCWA: me",
    "people": "UCWA: people",
}
HEADING = "UCWA: applications"


def key(endpoint: Endpoint) -> Key:
    return endpoint.method, endpoint.path


def heading(endpoint: Endpoint) -> str:
    """By the hub that leads there."""
    return _HEADINGS.get(endpoint.path.partition("/")[0], HEADING)


def identifiers(endpoints: Iterable[Endpoint]) -> Mapping[Key, str]:
    """`getLobby`: the method and the rel. Where two would be called alike, their paths tell them apart:
    `getOnlineMeetingExtensionsOfConversations`, and at worst the whole path is the name."""
    known = list(endpoints)
    found: dict[Key, str] = {}
    for name in (_plain, _with_hub, _whole):
        left = [endpoint for endpoint in known if key(endpoint) not in found]
        uses = Counter(name(endpoint) for endpoint in left)
        found |= {key(item): name(item) for item in left if uses[name(item)] == 1}
    return found


def _plain(endpoint: Endpoint) -> str:
    return _method(endpoint) + capital(endpoint.rel)


def _with_hub(endpoint: Endpoint) -> str:
    """With what it belongs to: the second name of its path, after the hub."""
    literal = [part for part in endpoint.path.split("/") if not _PARAMETER.match(part)]
    return _plain(endpoint) + f"Of{capital(literal[1])}" if literal[1:] else _plain(endpoint)


def _whole(endpoint: Endpoint) -> str:
    words = re.findall(r"[A-Za-z]+[0-9]*", path_of(endpoint.path).replace(APPLICATION, ""))
    return _method(endpoint) + "".join(capital(word) for word in words)


def _method(endpoint: Endpoint) -> str:
    """Above applications the rels are words that other families use too (`user`)."""
    method = endpoint.method.lower()
    return f"ucwa{capital(method)}" if endpoint.path.startswith("/") else method


def capital(word: str) -> str:
    return word[0].upper() + word[1:]
