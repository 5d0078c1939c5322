"""Which endpoint a path belongs to: for the parts of a batch, which pass no router."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from conference.errors import NotFound
from conference.ucwa.engine.call import Endpoint
from conference.ucwa.engine.urls import path_of

_PARAMETER = re.compile(r"{(\w+)}")


class WrongMethod(Exception):
    """The path is somebody's, but not by this method."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self.allowed = sorted(allowed)


class Table:
    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._methods: dict[str, dict[str, Endpoint]] = {}
        for endpoint in ordered(endpoints):
            self._methods.setdefault(path_of(endpoint.path), {})[endpoint.method] = endpoint
        self._patterns = [(re.compile(_pattern(path)), path) for path in self._methods]

    def find(self, method: str, path: str) -> tuple[Endpoint, Mapping[str, str]]:
        """The endpoint and the parameters in the path. Raises NotFound, WrongMethod."""
        for pattern, template in self._patterns:
            found = pattern.fullmatch(path)
            if found is None:
                continue
            methods = self._methods[template]
            if method not in methods:
                raise WrongMethod(methods)
            return methods[method], {n: unquote(v) for n, v in found.groupdict().items()}
        raise NotFound("there is no such resource")


def ordered(endpoints: Iterable[Endpoint]) -> list[Endpoint]:
    """A literal segment before a parameter in its place, so that the first that fits is the right one."""
    return sorted(endpoints, key=lambda endpoint: _order(path_of(endpoint.path)))


def _order(path: str) -> list[tuple[bool, str]]:
    return [(segment.startswith("{"), segment) for segment in path.split("/")]


def _pattern(path: str) -> str:
    parts = _PARAMETER.split(path)
    literal, names = parts[::2], parts[1::2]
    pattern = re.escape(literal[0])
    for name, rest in zip(names, literal[1:], strict=True):
        pattern += f"(?P<{name}>[^/]+)" + re.escape(rest)
    return pattern
