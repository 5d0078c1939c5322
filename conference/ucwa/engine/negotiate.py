"""In which form to answer (Accept, RFC 9110 section 12.5.1), and in which form the request's body is."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from conference.errors import NotAcceptable, UnsupportedMediaType

Syntax = Literal["json", "xml"]

_SYNTAXES: dict[str, Syntax] = {
    "application/json": "json",
    "application/xml": "xml",
    "application/vnd.microsoft.com.ucwa+json": "json",
    "application/vnd.microsoft.com.ucwa+xml": "xml",
}
_CHARSETS = frozenset(("", "utf-8", "utf8", "us-ascii"))
_RANGES_MOST = 50


@dataclass(frozen=True, slots=True)
class Form:
    """How an answer is written: the media type that was asked for, and its syntax."""

    media_type: str
    syntax: Syntax

    @property
    def content_type(self) -> str:
        return f"{self.media_type}; charset=utf-8"


JSON = Form("application/json", "json")
"""Without a wish, and for a refusal when nothing of what was asked for is there."""


def form_of(accept: str) -> Form:
    """Of the types that may be answered the one most wished for, of equals the first named. Raises NotAcceptable."""
    if not accept.strip():
        return JSON
    best, best_wish = None, 0.0
    ranges = _ranges(accept)
    unwanted = {media_type for media_type, wish in ranges if not wish}
    for media_type, wish in ranges:
        form = _form(media_type, unwanted)
        if form is not None and wish > best_wish:
            best, best_wish = form, wish
    if best is None:
        raise NotAcceptable(f"this can be had as {', '.join(_SYNTAXES)}")
    return best


def form_or_json(accept: str) -> Form:
    try:
        return form_of(accept)
    except NotAcceptable:
        return JSON


def wants_html(accept: str) -> bool:
    """A browser's navigation names HTML first; a program never does."""
    return next((name == "text/html" for name, wish in _ranges(accept) if wish), False)


def wants_resource(accept: str) -> bool:
    """Whether a form of ours is named, and HTML is not: so ask programs, and no browser."""
    wanted = {name for name, wish in _ranges(accept) if wish}
    return "text/html" not in wanted and not wanted.isdisjoint(_SYNTAXES)


def names_html(accept: str) -> bool:
    """As every browser does."""
    return any(name == "text/html" and wish for name, wish in _ranges(accept))


def syntax_of(content_type: str) -> Syntax:
    """Of a request's body. Raises UnsupportedMediaType."""
    media_type, parameters = parameterized(content_type)
    syntax = _SYNTAXES.get(media_type)
    if syntax is None:
        raise UnsupportedMediaType(
            f"a body may be {', '.join(_SYNTAXES)}", code="UnsupportedMediaType"
        )
    if parameters.get("charset", "").lower() not in _CHARSETS:
        raise UnsupportedMediaType("a body must be in UTF-8", code="UnsupportedMediaType")
    return syntax


def require(media_type: str, content_type: str) -> None:
    """Raises UnsupportedMediaType for a body of any other type."""
    if parameterized(content_type)[0] != media_type:
        raise UnsupportedMediaType(f"the body must be {media_type}", code="UnsupportedMediaType")


def parameterized(value: str) -> tuple[str, dict[str, str]]:
    """A media type in lower case and its parameters, unquoted."""
    first, *rest = _split(value, ";")
    parameters = {}
    for part in rest:
        name, equals, text = part.partition("=")
        if equals:
            parameters[name.strip().lower()] = _unquoted(text.strip())
    return first.strip().lower(), parameters


def _ranges(accept: str) -> list[tuple[str, float]]:
    found = []
    for part in _split(accept, ",")[:_RANGES_MOST]:
        media_type, parameters = parameterized(part)
        found.append((media_type, _wish(parameters.get("q", "1"))))
    return found


def _wish(text: str) -> float:
    """What is not a number from 0 to 1 counts as not said."""
    try:
        wish = float(text)
    except ValueError:
        return 1.0
    return wish if 0.0 <= wish <= 1.0 else 1.0


def _form(media_range: str, unwanted: Collection[str]) -> Form | None:
    """Of a range the first type that is not refused by its name, which says more than the range does."""
    if media_range in ("*/*", "application/*"):
        left = (media_type for media_type in _SYNTAXES if media_type not in unwanted)
        media_range = next(left, "")
    syntax = _SYNTAXES.get(media_range)
    return Form(media_range, syntax) if syntax else None


def _split(text: str, separator: str) -> list[str]:
    """Not where the separator stands in quotes (RFC 9110 section 5.6.4)."""
    parts, start, quoted, at = [], 0, False, 0
    while at < len(text):
        character = text[at]
        if quoted and character == "\\":
            at += 1
        elif character == '"':
            quoted = not quoted
        elif character == separator and not quoted:
            parts.append(text[start:at])
            start = at + 1
        at += 1
    return [*parts, text[start:]]


def _unquoted(text: str) -> str:
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    plain, escaped = [], False
    for character in text[1:-1]:
        if character == "\\" and not escaped:
            escaped = True
            continue
        plain.append(character)
        escaped = False
    return "".join(plain)
