"""multipart/batching: several HTTP requests in one body, and their responses in another.

    --B                                                      --B
    Content-Type: application/http; msgtype=request          Content-Type: application/http; msgtype=response

    GET /ucwa/v1/applications/1/me HTTP/1.1                  HTTP/1.1 200 OK
    Accept: application/json                                 Content-Type: application/json; charset=utf-8

                                                             {"rel":"me",...}
    --B--                                                    --B--

Lines end in CRLF, and the known client reads responses line by line: a body is one line. What it writes is taken as
it is: a last boundary without its two dashes, and a body as a header named Data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from multidict import CIMultiDict, CIMultiDictProxy

from conference.errors import BadRequest, DomainError
from conference.ucwa.engine import negotiate

MEDIA_TYPE = "multipart/batching"

_BOUNDARY_LONGEST = 200
_HEADERS_MOST = 50
_REQUEST_LINE = re.compile(r"([A-Za-z]{1,20}) +(\S{1,8000})(?: +HTTP/[0-9.]{1,5})?")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LINE = re.compile(rb"\r?\n")
_BLANK = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One request. `target`: a path or an absolute URL, with its query."""

    method: str
    target: str
    headers: CIMultiDictProxy[str] = field(
        default_factory=lambda: CIMultiDictProxy(CIMultiDict[str]())
    )
    body: bytes = b""


def read(body: bytes, content_type: str, most: int) -> list[Part | DomainError]:
    """The requests, in order; in the place of one that can't be read, why.

    Raises BadRequest (DeserializationFailure) when the whole can't be, and when there are more than `most` + 1:
    that one more is there tells that there are too many.
    """
    parts = _split(body, _boundary(content_type), most + 2)
    if not parts:
        raise _failure("the batch has no parts")
    return [_part_or_error(part) for part in parts[: most + 1]]


def write(responses: Iterable[tuple[int, Mapping[str, str], bytes]], boundary: str) -> bytes:
    """`responses`: status, headers, body of each."""
    written = [_response(*response) for response in responses]
    opened = b"".join(b"--" + boundary.encode() + b"\r\n" + part + b"\r\n" for part in written)
    return opened + b"--" + boundary.encode() + b"--\r\n"


def _boundary(content_type: str) -> bytes:
    boundary = negotiate.parameterized(content_type)[1].get("boundary", "")
    if not 0 < len(boundary) <= _BOUNDARY_LONGEST or not boundary.isascii():
        raise _failure("the batch's Content-Type has no boundary")
    return boundary.encode()


def _split(body: bytes, boundary: bytes, most: int) -> list[bytes]:
    """What stands between boundaries; before the first and after the last is nothing (RFC 2046 section 5.1.1)."""
    delimiter = re.compile(rb"(?:\A|\r?\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r?\n|\Z)")
    found: list[bytes] = []
    start: int | None = None
    for match in delimiter.finditer(body):
        if start is not None:
            found.append(body[start : match.start()])
        start = match.end()
        if match[1] or len(found) >= most:
            return found
    if start is None:
        raise _failure("the batch's boundary is not in its body")
    rest = body[start:]  # after a last boundary without its dashes there is nothing to speak of
    return [*found, rest] if rest.strip() else found


def _part_or_error(raw: bytes) -> Part | DomainError:
    try:
        return _part(raw)
    except BadRequest as error:
        return error


def _part(raw: bytes) -> Part:
    request = _request_of(raw)
    head, body = _halves(request)
    first, *lines = _LINE.split(head)
    line = _REQUEST_LINE.fullmatch(_text(first).strip())
    if line is None:
        raise _failure("a part begins with no request line, as GET /path HTTP/1.1")
    headers = _headers(lines)
    data = headers.pop("Data", "").encode()
    if data and not body.strip():
        body = data
        headers.setdefault(
            "Content-Type", "application/json"
        )  # the client that sends it has no other
    return Part(
        method=line[1].upper(),
        target=line[2],
        headers=CIMultiDictProxy(headers),
        body=body.strip(),
    )


def _request_of(raw: bytes) -> bytes:
    """Without the part's own headers, which say nothing that we don't know."""
    head, rest = _halves(_LINE.sub(b"", raw, count=1) if _LINE.match(raw) else raw)
    if not rest.strip():
        raise _failure("a part has no request")
    _headers(_LINE.split(head) if head else [])
    return rest.lstrip(b"\r\n")


def _halves(raw: bytes) -> tuple[bytes, bytes]:
    """Up to the first empty line, and after it."""
    if match := _LINE.match(raw):
        return b"", raw[match.end() :]
    blank = _BLANK.search(raw)
    return (raw[: blank.start()], raw[blank.end() :]) if blank else (raw, b"")


def _headers(lines: Iterable[bytes]) -> CIMultiDict[str]:
    found = CIMultiDict[str]()
    for line in lines:
        if not line.strip():
            continue
        name, colon, value = _text(line).partition(":")
        if not colon or not _HEADER_NAME.fullmatch(name.strip()):
            raise _failure("a part has a line that is no header")
        if len(found) >= _HEADERS_MOST:
            raise _failure(f"a part has more than {_HEADERS_MOST} headers")
        found.add(name.strip(), value.strip())
    return found


def _text(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise _failure("a part's head is not in UTF-8") from None


def _response(status: int, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [
        "Content-Type: application/http; msgtype=response",
        "",
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        *(f"{name}: {value}" for name, value in headers.items()),
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body


def _failure(why: str) -> BadRequest:
    return BadRequest(why, code="DeserializationFailure")
