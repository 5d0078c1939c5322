"""The scripts' state machine against a small model, over random histories, on a real Valkey.

The model is what docs/events.md promises, in the plainest form: a list of events, a number acknowledged, a number
frozen. It has no keys, no readers' names and no wakeups; the scripts must not differ from it in any answer.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar
from uuid import UUID, uuid4

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from conference.bus import channels, keys, streams
from conference.bus.channels import Batch, ChannelBus, Resync
from conference.bus.link import RedisLink
from conference.bus.poll_terms import DefaultTerms, PollTerms, plain
from conference.bus.readers import ChannelMissing
from conference.bus.streams import Handed, Restart, Stream
from conference.domain.facts import Urgency
from conference.errors import PollReplaced

CAP = 6
MOST = 3
AT_ONCE = 0.001
HOLDING = PollTerms(
    default=DefaultTerms(timeout=1, medium=9, low=9), timeout=AT_ONCE, medium=1000, low=1000
)
Wanted = Callable[[list[bytes]], bool]


def is_wanted(number: int) -> bool:
    return number % 7 == 0


def some_wanted(events: list[bytes]) -> bool:
    return any(is_wanted(int(event)) for event in events)


@dataclass
class Model:
    """One channel as its clients may see it."""

    batch: int = 1
    held: list[int] = field(default_factory=list)  # not acknowledged, oldest first
    frozen: int = 0  # of them, in the batch that was sent
    handed: int = 0  # of them, given to the stream that reads
    last: int = 0  # number of the newest event
    empty_batch: int = 0  # the batch, when a reader was told that it is empty

    @property
    def acked(self) -> int:
        return self.last - len(self.held)

    def append(self, event: int) -> None:
        self.last += 1
        self.held.append(event)
        if len(self.held) <= CAP:
            return
        if self.handed:
            self._drop((self.handed + 1) // 2)
        else:
            self.held.clear()
            self.frozen = 0
            self.batch += 2

    def poll(self, ack: int, wanted: Callable[[int], bool]) -> list[int] | int:
        """Events (none: it is told that there are none), or the position to resync from."""
        if ack == self.batch + 1 and (self.frozen or self.empty_batch == self.batch):
            self._drop(self.frozen)
            self.batch = ack
        elif ack != self.batch:
            return self.batch
        self.handed = 0
        while self.empty_batch != self.batch:
            if events := self._freeze():
                if any(map(wanted, events)):
                    return events
                self._drop(self.frozen)
            else:
                self.empty_batch = self.batch
        return []

    def _freeze(self) -> list[int]:
        self.handed = 0
        self.frozen = self.frozen or min(len(self.held), MOST)
        if self.frozen:
            self.empty_batch = 0
        return self.held[: self.frozen]

    def holds(self, position: int) -> bool:
        return self.acked <= position <= self.last

    def confirm(self, position: int) -> None:
        if self.holds(position):
            self._drop(position - self.acked)

    def begin_stream(self, position: int | None) -> int:
        """The position that the stream goes on from."""
        self.frozen = 0
        if position is not None:
            self.confirm(position)
        self.batch += 2
        self.handed = 0
        return position if position is not None and self.holds(position) else self.acked

    def read_stream(self, position: int) -> tuple[int, list[int]] | None:
        """The new position and its events; None when the old one does not hold."""
        if not self.holds(position):
            return None
        start = position - self.acked
        events = self.held[start : start + MOST]
        self.handed = max(self.handed, start + len(events))
        return position + len(events), events

    def _drop(self, count: int) -> None:
        del self.held[:count]
        self.handed = max(0, self.handed - count)
        self.frozen = 0


class ChannelMachine(RuleBasedStateMachine):
    url: ClassVar[str]

    @initialize()
    def open(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.link = RedisLink(self.url)
        self.bus = ChannelBus(self.link, cap=CAP, channels_of=_nobody)
        self.queue = uuid4()
        self.model = Model()
        self.event_ids: dict[int, UUID] = {}
        self.numbers = itertools.count(1)
        self.stream: Stream | None = None
        self.loop.run_until_complete(self._start())

    async def _start(self) -> None:
        self.link.start()
        await self.bus.create(self.queue)

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.run_until_complete(self.link.close())
            self.loop.close()

    def run(self, work):  # type: ignore[no-untyped-def]
        return self.loop.run_until_complete(asyncio.wait_for(work, 10))

    @rule(count=st.integers(1, 4), urgency=st.sampled_from(Urgency))
    def append(self, count: int, urgency: Urgency) -> None:
        for _ in range(count):
            number = next(self.numbers)
            event_id = self.event_ids[number] = uuid4()
            event = b"%d" % number
            assert self.run(self.bus.publish(event_id, [self.queue], event, urgency=urgency))
            self.model.append(number)

    @precondition(lambda self: self.event_ids)
    @rule(data=st.data())
    def append_again(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.event_ids)))
        again = self.run(self.bus.publish(self.event_ids[number], [self.queue], b"%d" % number))
        assert not again

    @rule(offset=st.integers(-3, 3))
    def poll(self, offset: int) -> None:
        """Repeats (0), acknowledges (1), goes back or skips, from where the model is."""
        self._poll(offset, plain(AT_ONCE))

    @rule(offset=st.sampled_from([0, 0, 0, 0, 1, 1, 1, 2, -1]), holding=st.booleans())
    def poll_for_some(self, offset: int, holding: bool) -> None:
        """Which comes back with what it held when its time is over."""
        self._poll(offset, HOLDING if holding else plain(AT_ONCE), some_wanted)

    def _poll(self, offset: int, terms: PollTerms, wanted: Wanted | None = None) -> None:
        ack = max(1, self.model.batch + offset)
        expected = self.model.poll(ack, is_wanted if wanted else _anything)
        found = self.run(self.bus.poll(self.queue, ack, terms, wanted))
        if isinstance(expected, int):
            assert found == Resync(expected)
        else:
            assert found == Batch([b"%d" % number for number in expected])
            self._stream_is_replaced()

    @rule(offset=st.none() | st.integers(-2, 8))
    def begin_stream(self, offset: int | None) -> None:
        self._close_stream()
        position = None if offset is None else max(0, self.model.acked + offset)
        expected = self.model.begin_stream(position)
        self.stream = self.bus.stream(self.queue)
        holds = self.run(self.stream.open(position))
        assert holds == (position is None or position == expected)
        assert self.stream.position == expected

    @precondition(lambda self: self.stream is not None)
    @rule()
    def read_stream(self) -> None:
        assert self.stream
        expected = self.model.read_stream(self.stream.position)
        found = self.run(self.stream.read(AT_ONCE))
        if expected is None:
            assert found == Restart(self.model.acked)
        else:
            position, events = expected
            assert found == Handed(position, [b"%d" % number for number in events])

    @precondition(lambda self: self.stream is not None)
    @rule(back=st.integers(0, 3))
    def confirm(self, back: int) -> None:
        assert self.stream
        position = self.stream.position - back
        if not self.model.holds(self.stream.position):
            return
        self.model.confirm(position)
        self.stream.confirm(position)
        self.read_stream()

    @rule()
    def lose_redis(self) -> None:
        """Emptied. The next read finds the channel missing; what it held before counts no more."""
        old = self.model
        with redis.Redis.from_url(self.url) as client:
            client.flushall()
        with pytest.raises(ChannelMissing):
            self.run(self.bus.poll(self.queue, old.batch, plain(AT_ONCE)))
        self._close_stream()
        assert not self.event_ids or not self._heard_of_missing_channel()
        self._let_milliseconds_pass(old.batch + 2)
        batch = self.run(self.bus.create(self.queue, lost=True))
        assert batch > old.batch + 2
        self.model = Model(batch=batch, last=batch - 1)
        for ack in (old.batch, old.batch + 1):
            assert self.run(self.bus.poll(self.queue, ack, plain(AT_ONCE))) == Resync(batch)
        self.event_ids.clear()

    @invariant()
    def nothing_more_is_kept_than_the_cap(self) -> None:
        if hasattr(self, "queue"):
            with redis.Redis.from_url(self.url) as client:
                assert client.llen(f"{keys.EVENTS}{self.queue}") == len(self.model.held) <= CAP

    def _heard_of_missing_channel(self) -> bool:
        """An event for a channel that Redis does not have makes no channel."""
        self.run(self.bus.publish(uuid4(), [self.queue], b"0"))
        with redis.Redis.from_url(self.url) as client:
            return bool(client.exists(f"{keys.STATE}{self.queue}", f"{keys.EVENTS}{self.queue}"))

    def _let_milliseconds_pass(self, position: int) -> None:
        """A rebuilt channel begins at the time in milliseconds, and Redis is not lost twice in one."""
        with redis.Redis.from_url(self.url) as client:
            for _ in range(1_000):
                seconds, microseconds = client.time()
                if seconds * 1000 + microseconds // 1000 > position:
                    return
        raise AssertionError("Redis' clock stands still")

    def _stream_is_replaced(self) -> None:
        if self.stream:
            with pytest.raises(PollReplaced):
                self.run(self.stream.read(AT_ONCE))
            self._close_stream()

    def _close_stream(self) -> None:
        if self.stream:
            self.run(_closed(self.stream))
            self.stream = None


def _anything(number: int) -> bool:
    return True


async def _closed(stream: Stream) -> None:
    stream.close()


async def _nobody(_users: object) -> list[UUID]:
    return []


@pytest.mark.timeout(300)
def test_the_scripts_do_what_the_model_does(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "MOST_EVENTS", MOST)
    monkeypatch.setattr(streams, "MOST_EVENTS", MOST)
    monkeypatch.setattr(ChannelMachine, "url", redis_url, raising=False)
    run_state_machine_as_test(
        ChannelMachine,
        settings=settings(
            max_examples=80,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
