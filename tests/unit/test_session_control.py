"""What the worker remembers of commands."""

from __future__ import annotations

from uuid import UUID

import msgspec

from schemas import sfu as wire
from schemas.sfu import Command, WorkerRecord
from sfu.control import REPLIES_KEPT, Control
from sfu.session import Result


class Desk:
    """A control that nobody connects to Redis."""

    def __init__(self) -> None:
        self.unix_time = 1000.0
        self.executed: list[str] = []
        self.control = Control(
            "redis://127.0.0.1:1",
            "worker",
            execute=self.execute,
            record=self.record,
            unix_time=lambda: self.unix_time,
        )

    def execute(self, command: Command) -> Result:
        self.executed.append(command.id)
        return wire.Answered(sdp="x" * 1000)

    def record(self) -> WorkerRecord:
        raise AssertionError("nobody registers")

    def command(self, name: str, within: float = 5.0) -> None:
        command = Command(
            id=name,
            reply_to="alice",
            deadline=self.unix_time + within,
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
    desk.unix_time += 5.0
    desk.command("1", within=0.0)
    assert (desk.executed, desk.remembered) == (["1"], ["1"])
    desk.unix_time += 0.1
    desk.command("2")
    assert desk.remembered == ["2"]


def test_nor_does_it_take_another_command_to_forget_them() -> None:
    desk = Desk()
    desk.command("1")
    desk.unix_time += 5.1
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
    desk.unix_time += 5.1
    desk.control._forget_replies()
    desk.command("1", within=-0.1)
    assert desk.executed == ["1"]
    assert desk.control.counters["commands_late"] == 1
