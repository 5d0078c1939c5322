from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from config.logging import HIDDEN, configure, hide_secrets

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"


@pytest.fixture(autouse=True)
def restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_json_lines_carry_context_level_and_process() -> None:
    out = io.StringIO()
    configure("json", "info", process="api-1", stream=out)
    with structlog.contextvars.bound_contextvars(request_id="r1", meeting_id="m1"):
        structlog.get_logger("conference.test").info("joined", user="bob")
    line = json.loads(out.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "joined",
        "user": "bob",
        "request_id": "r1",
        "meeting_id": "m1",
        "process": "api-1",
        "level": "info",
        "logger": "conference.test",
    }


def test_standard_loggers_come_out_the_same() -> None:
    out = io.StringIO()
    configure("json", "info", process="sfu", stream=out)
    with structlog.contextvars.bound_contextvars(request_id="r2"):
        logging.getLogger("some.library").warning("took %d ms", 12, extra={"peer": "p"})
    line = json.loads(out.getvalue())
    assert (line["event"], line["request_id"], line["peer"]) == ("took 12 ms", "r2", "p")


def test_level_and_quiet_libraries() -> None:
    out = io.StringIO()
    configure("console", "info", stream=out)
    structlog.get_logger("a").debug("hidden")
    logging.getLogger("aioice.ice").info("check")
    logging.getLogger("aiortc.rtcrtpsender").info("report")
    logging.getLogger("aioice").warning("told")
    assert [line.split("]")[1].split("[")[0].strip() for line in out.getvalue().splitlines()] == [
        "told"
    ]


@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_do_not_come_out(form: str) -> None:
    out = io.StringIO()
    configure("json" if form == "json" else "console", "debug", stream=out)
    log = structlog.get_logger("a")
    log.info(
        f"got {JWT}", authorization=f"Bearer {JWT}", jwt_secret="hush", nested={"cookie": "hush"}
    )
    logging.getLogger("b").info("GET with Bearer hush, from %s", "postgresql://bob:hush@db/parley")
    try:
        raise ValueError("redis://:hush@host is bad")
    except ValueError:
        log.exception("failed", where=["amqp://x:hush@y"])
    text = out.getvalue()
    assert "hush" not in text
    assert "eyJ" not in text
    assert "ValueError: redis://" in text
    assert "db/parley" in text


def test_empty_values_are_shown_as_they_are() -> None:
    assert hide_secrets(None, "", {"database_url": None, "token": "t", "n": 1}) == {
        "database_url": None,
        "token": HIDDEN,
        "n": 1,
    }
