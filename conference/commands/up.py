"""`parley up`: everything on one machine."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter, validators

from conference.commands import CommandError
from conference.machine.supervisor import run_until_signalled
from config import logging as logs
from config.settings import THIS_MACHINE, Settings, load

Count = Annotated[int, Parameter(validator=validators.Number(gte=1, lte=64))]
_LAST_PORT = 65535

PortNumber = Annotated[int | None, Parameter(validator=validators.Number(gte=1, lte=_LAST_PORT))]

# A demo on one machine: nothing of it can be reached from outside unless someone says so.
DEFAULTS = {"media_host": THIS_MACHINE}


def up(
    *,
    api: Count = 1,
    workers: Count = 1,
    http_port: PortNumber = None,
    media_port: PortNumber = None,
    data_dir: Path | None = None,
    demo: bool = True,
) -> int:
    """Run everything on this machine and print links to a demo meeting. Ctrl-C stops it all.

    PostgreSQL and Valkey come with the installation and keep their data in the data directory, unless
    PARLEY_DATABASE_URL and PARLEY_REDIS_URL name servers of yours. A process that ends is started again.
    Media comes from this machine only, unless PARLEY_MEDIA_HOST says otherwise.

    Parameters
    ----------
    api
        API processes; number k listens on the HTTP port + k.
    workers
        SFU workers; number k takes the media port + k.
    http_port
        First HTTP port (TCP), as PARLEY_HTTP_PORT.
    media_port
        First media port (UDP), as PARLEY_MEDIA_PORT.
    data_dir
        Where data is kept, as PARLEY_DATA_DIR.
    demo
        Make the demo meeting and print its links.
    """
    settings = _settings(http_port, media_port, data_dir)
    _check_range("HTTP", settings.http_port, api)
    _check_range("MEDIA", settings.media_port, workers)
    logs.configure(settings.log_format, settings.log_level, process="up")
    return asyncio.run(run_until_signalled(settings, api=api, workers=workers, demo=demo))


def _settings(http_port: int | None, media_port: int | None, data_dir: Path | None) -> Settings:
    settings = load(os.environ, defaults=DEFAULTS)
    return msgspec.structs.replace(
        settings,
        http_port=settings.http_port if http_port is None else http_port,
        media_port=settings.media_port if media_port is None else media_port,
        data_dir=(data_dir or settings.data_dir).absolute(),
    )


def _check_range(name: str, first: int, count: int) -> None:
    if not 0 < first <= _LAST_PORT + 1 - count:
        raise CommandError(
            f"PARLEY_{name}_PORT must be from 1 up to {_LAST_PORT + 1 - count}, so that {count} in a row are there; "
            f"it is {first}"
        )
