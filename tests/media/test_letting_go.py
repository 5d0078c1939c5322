"""What closes is let go of at once: the garbage collector, which runs rarely, is not waited for."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator

import pytest
from media_rig import Controller, Participant, both_paths, until

from schemas import sfu as wire
from sfu.session.audio import AudioConnection
from sfu.session.publication import Publication
from sfu.session.viewer import Inbound
from sfu.transport.peer import Peer
from sfu.worker.worker import Worker

Join = Callable[[], Participant]
_HELD = (AudioConnection, Inbound, Peer, Publication)


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def held() -> list[weakref.ref[object]]:
    """Connections that exist; nothing here keeps them."""
    return [weakref.ref(item) for item in gc.get_objects() if type(item) in _HELD]


@both_paths
async def test_connections_go_when_they_are_closed(
    worker: Worker, controller: Controller, join: Join, no_collector: None
) -> None:
    alice, bob = join(), join()
    before = {id(ref()) for ref in held()}
    await alice.join_audio()
    await alice.publish()
    await controller.notice(wire.VideoLive, user=alice.user)
    await bob.subscribe(alice.feed())
    await bob.sees(alice.feed())
    made = [ref for ref in held() if id(ref()) not in before]
    assert {type(ref()) for ref in made} == set(_HELD)
    for one in (alice, bob):
        assert await controller.call(wire.RemovePeer(user=one.user)) == wire.Done()
    await until(lambda: not any(ref() for ref in made), what="every connection is let go of")
