"""One worker and one meeting per test, unless a test makes its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from media_rig import NATIVE, Controller, Participant, controlling, running_worker

from sfu.worker.worker import Worker


@pytest.fixture
async def worker(redis_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Worker]:
    async with running_worker(redis_url, native=getattr(request, "param", NATIVE)) as running:
        yield running


@pytest.fixture
async def controller(redis_url: str, worker: Worker) -> AsyncIterator[Controller]:
    async with controlling(redis_url, worker) as controller:
        yield controller


@pytest.fixture
async def join(controller: Controller) -> AsyncIterator[Callable[[], Participant]]:
    """Call it for a participant; all are closed at the end."""
    everybody: list[Participant] = []

    def make() -> Participant:
        everybody.append(Participant(controller))
        return everybody[-1]

    yield make
    for participant in everybody:
        await participant.close()
