"""Structured logs on stderr: readable lines or JSON, with the ids bound in context, without secrets.

Bind with `structlog.contextvars.bound_contextvars(request_id=..., meeting_id=...)`; the standard library's
loggers come out in the same form.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Literal, TextIO

import structlog

HIDDEN = "***"

# They log every check and packet below these levels.
_QUIET = {
    "aioice": logging.WARNING,
    "aiortc": logging.WARNING,
    "aiohttp.access": logging.WARNING,
    "asyncio": logging.WARNING,
}

_SECRET_NAMES = re.compile(
    r"secret|password|passwd|authorization|cookie|token|credential|database_url|redis_url|^jwt",
    re.I,
)
# A JWT, an Authorization header's value, and the user part of a URL.
_SECRET_TEXT = re.compile(
    r"eyJ[\w-]+\.[\w-]+\.[\w-]*|(?<=[Bb]earer )[^\s\"',]+|(?<=://)[^/\s@\"']*:[^/\s@\"']*(?=@)"
)

Event = MutableMapping[str, object]


def configure(
    form: Literal["console", "json"],
    level: Literal["debug", "info", "warning", "error"],
    *,
    process: str | None = None,
    stream: TextIO | None = None,
) -> None:
    """Set up logging for this process, named `process` in its lines. Call once, first thing."""
    output = stream or sys.stderr
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if process:
        shared.append(_named(process))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.StackInfoRenderer(),
                structlog.processors.format_exc_info,
                hide_secrets,
                _renderer(form, output),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name, floor in _QUIET.items():
        logging.getLogger(name).setLevel(max(floor, root.level))


def hide_secrets(logger: object, method: str, event: Event) -> Event:
    """A processor: values under a telling name, and tokens and passwords inside any text, become `***`."""
    for key, value in event.items():
        event[key] = HIDDEN if _SECRET_NAMES.search(key) and value else _clean(value)
    return event


def _clean(value: object) -> object:
    if isinstance(value, str):
        return _SECRET_TEXT.sub(HIDDEN, value)
    if isinstance(value, dict):
        return hide_secrets(None, "", dict(value))
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value


def _named(process: str) -> structlog.types.Processor:
    def add(logger: object, method: str, event: Event) -> Event:
        event.setdefault("process", process)
        return event

    return add


def _renderer(form: Literal["console", "json"], output: TextIO) -> structlog.types.Processor:
    if form == "json":
        return structlog.processors.JSONRenderer(default=str)
    return structlog.dev.ConsoleRenderer(
        colors=output.isatty(),
        exception_formatter=structlog.dev.plain_traceback,
        pad_event_to=0,
    )
