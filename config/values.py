"""What a setting may say, beyond its type; and types and rules in words, for who wrote it otherwise."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin
from urllib.parse import SplitResult, urlsplit

import msgspec

THIS_MACHINE = "this-machine"
"""A media_host: every address of this machine, for clients on this machine."""

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.IGNORECASE | re.ASCII)


class Rule(msgspec.Struct, frozen=True):
    """`holds` of one value; `words` complete "it must be"."""

    holds: Callable[[str], bool]
    words: str


def is_host_name(text: str) -> bool:
    """RFC 1123 section 2.1: the last label of a name is not a number, so 999.1.1.1 is neither name nor address."""
    labels = text.removesuffix(".").split(".")
    return all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit() and len(text) < 254


def _is_host(text: str) -> bool:
    return _address(text) is not None or is_host_name(text)


def _is_media_host(text: str) -> bool:
    return text == THIS_MACHINE or _address(text) is not None


def _is_destination(text: str) -> bool:
    address = _address(text.strip())
    return not (address is None or address.is_unspecified or address.is_multicast)


def _is_origin(text: str) -> bool:
    """Nothing but scheme, host and port: pages and their parts lie at the root."""
    parts = _url(text, "http", "https")
    if parts is None or parts.path not in ("", "/"):
        return False
    return bool(parts.hostname) and "@" not in parts.netloc and not (parts.query or parts.fragment)


def _is_web_address(text: str) -> bool:
    parts = _url(text, "http", "https")
    return parts is not None and bool(parts.hostname)


def _is_database_url(text: str) -> bool:
    return _url(text, "postgresql", "postgres") is not None


def _is_redis_url(text: str) -> bool:
    parts = _url(text, "redis", "rediss", "unix")
    if parts is None:
        return False
    if parts.scheme == "unix":
        return bool(parts.path)
    return bool(parts.hostname) and re.fullmatch(r"(/\d*)?", parts.path) is not None


def _url(text: str, *schemes: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        if "," not in parts.netloc:  # PostgreSQL's several hosts, each with a port
            _ = parts.port
    except ValueError:
        return None
    return parts if parts.scheme in schemes and not re.search(r"\s", text) else None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


_WEB = Rule(_is_web_address, "an http:// or https:// address")

RULES: Mapping[str, Rule] = {
    "http_host": Rule(
        _is_host, "an IP address or a name of this machine; 0.0.0.0 is every IPv4 address of it"
    ),
    "media_host": Rule(
        _is_media_host,
        f"an IP address of this machine; 0.0.0.0 is every IPv4 address of it, :: those of IPv6 too, "
        f"{THIS_MACHINE} is all of them for clients on this machine",
    ),
    "media_announced": Rule(
        _is_destination, "IP addresses that clients can send to, with commas between them"
    ),
    "public_url": Rule(
        _is_origin, "http:// or https://, a host and perhaps a port, as https://meet.example.com"
    ),
    "database_url": Rule(_is_database_url, "postgresql://user:password@host:port/database"),
    "redis_url": Rule(
        _is_redis_url, "redis://host:port/0, rediss://host:port/0 or unix:///path/of/the/socket"
    ),
    "jwks_url": _WEB,
    "ucwa_help_url": _WEB,
    "ucwa_invitation_help_url": _WEB,
    "ucwa_invitation_legal_url": _WEB,
    "ucwa_invitation_logo_url": _WEB,
    "ucwa_dial_in_url": _WEB,
    "ucwa_dial_in_internal_url": _WEB,
}


_PLAIN: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number of seconds"),
    (Path, "a path"),
)


def in_words(kind: object) -> str:
    """What a value of a setting's type looks like."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return in_words(arguments[0]) + _bounds(kind)
    if origin is Literal:
        return "one of " + ", ".join(map(str, arguments))
    if origin is list:
        return f"{in_words(arguments[0])}, or several with commas between them"
    if origin in (Union, UnionType):
        return in_words(next(each for each in arguments if each is not NoneType))
    return next((words for type_, words in _PLAIN if kind is type_), "a text")


def _bounds(kind: object) -> str:
    said = [
        f" {word} {bound:.15g}"
        for meta in get_args(kind)[1:]
        for word, bound in (("from", meta.ge), ("above", meta.gt), ("up to", meta.le))
        if bound is not None
    ]
    return "".join(said)
