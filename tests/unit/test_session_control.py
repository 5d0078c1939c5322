"""What the worker remembers of commands."""

from __future__ import annotations

import asyncio
from uuid import UUID

import msgspec
import pytest

from schemas import sfu as wire
from schemas.sfu import Command, WorkerRecord
from sfu.session.session import Result
from sfu.worker.control import REPLIES_KEPT, Control
from sfu.worker.redis_clock import RedisClock

REDIS_TIME = 1_800_000_000.0


class Desk:
    """A control that nobody connects to Redis."""

    def __init__(self) -> None:
        self.seconds = 7.0
        self.executed: list[str] = []
        self.control = Control(
            "redis://127.0.0.1:1",
            "worker",
            execute=self.execute,
            record=self.record,
            monotonic=lambda: self.seconds,
        )
        self.control._clock.heard(REDIS_TIME, self.seconds)

    def execute(self, command: Command) -> Result:
        self.executed.append(command.id)
        return wire.Answered(sdp="x" * 1000)

    def record(self) -> WorkerRecord:
        raise AssertionError("nobody registers")

    def command(self, name: str, within: float = 5.0) -> None:
        command = Command(
            id=name,
            reply_to="alice",
            deadline=self.control._clock.now() + within,
            meeting=UUID(int=1),
            epoch=1,
            body=wire.RemovePeer(user=UUID(int=2)),
        )
        self.control._command(msgspec.msgpack.encode(command))

    @property
    def remembered(self) -> list[str]:
        return list(self.control._replies)


def test_replies_are_kept_until_the_commands_deadline() -> None:
    desk = Desk()
    desk.command("1")
    desk.seconds += 5.0
    desk.command("1", within=0.0)
    assert (desk.executed, desk.remembered) == (["1"], ["1"])
    desk.seconds += 0.1
    desk.command("2")
    assert desk.remembered == ["2"]


def test_nor_does_it_take_another_command_to_forget_them() -> None:
    desk = Desk()
    desk.command("1")
    desk.seconds += 5.1
    desk.control._forget_replies()
    assert not desk.remembered


def test_replies_are_bounded() -> None:
    desk = Desk()
    for number in range(REPLIES_KEPT + 2):
        desk.command(str(number))
    assert len(desk.remembered) == REPLIES_KEPT
    assert desk.remembered[0] == "2"


def test_what_comes_again_after_its_deadline_is_not_done_again() -> None:
    desk = Desk()
    desk.command("1")
    desk.seconds += 5.1
    desk.control._forget_replies()
    desk.command("1", within=-0.1)
    assert desk.executed == ["1"]
    assert desk.control.counters["commands_late"] == 1


def test_nothing_is_late_before_the_clock_of_redis_is_known() -> None:
    clock = RedisClock(lambda: 5.0)
    assert clock.now() == 0.0


def test_the_clock_follows_the_answers_that_were_quick() -> None:
    seconds = 100.0
    clock = RedisClock(lambda: seconds)
    clock.heard(1000.0, asked_at=99.0)
    assert clock.now() == 1000.5, "a slow answer is better than none"
    clock.heard(2000.0, asked_at=99.8)
    assert clock.now() == pytest.approx(2000.1), "the clock was set"
    clock.heard(9999.0, asked_at=99.0)
    assert clock.now() == pytest.approx(2000.1), "an answer that came late tells little"
    seconds = 110.0
    assert clock.now() == pytest.approx(2010.1)


async def test_a_defect_in_one_duty_does_not_end_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sfu.worker.control._RETRY_DELAYS", (0.0,))
    desk = Desk()
    turns = 0
    enough = asyncio.Event()

    async def work() -> None:
        nonlocal turns
        turns += 1
        if turns == 3:
            enough.set()
        raise KeyError("a defect")

    task = asyncio.create_task(desk.control._forever(work))
    try:
        async with asyncio.timeout(5):
            await enough.wait()
    finally:
        task.cancel()
    assert desk.control.counters["control_failed"] >= 2


def test_a_notice_that_cannot_be_written_is_passed_over() -> None:
    desk = Desk()
    user = UUID(int=2)
    desk.control.notify(_notice(wire.Offered(user=user, sdp="\ud800", streams=[])))
    desk.control.notify(_notice(wire.AudioConnected(user=user)))
    assert desk.control.counters["telling_failed"] == 1
    assert len(desk.control._outbox) == 1


def _notice(body: wire.Offered | wire.AudioConnected) -> wire.Notice:
    return wire.Notice(worker="worker", meeting=UUID(int=1), epoch=1, body=body)
