"""Run as a process of its own: `parley api` or `parley sfu`, with a wrong clock, and mortal where a test wants it.

Environment: ODD_CLOCK, seconds by which its Unix clock is off. ODD_DEATH, the path of a file; while it is there, the
process kills itself when it is about to send a worker one of the commands that the file names (its change is
committed by then), or, for those with a `+` behind them, once the worker has answered.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any
from uuid import UUID

from conference.bus.sfu_client import SfuClient
from schemas.sfu import Body

_time = time.time
_call = SfuClient.call


async def _mortal_call(
    client: SfuClient, worker: str, meeting: UUID, epoch: int, body: Body
) -> Any:
    name = type(body).__name__
    _die_if(name)
    result = await _call(client, worker, meeting, epoch, body)
    _die_if(name + "+")
    return result


def _die_if(moment: str) -> None:
    death = Path(os.environ["ODD_DEATH"])
    if death.exists() and moment in death.read_text().split():
        death.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    time.time = lambda: _time() + float(os.environ["ODD_CLOCK"])
    SfuClient.call = _mortal_call  # type: ignore[method-assign]
    from conference.__main__ import main

    sys.exit(main())
