"""People meet in Chromium, through the whole system."""

from __future__ import annotations

import pytest
from browser_rig import Host, Meeting, Parley, admit

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_two_people_meet_through_the_waiting_room(host: Host, meeting: Meeting) -> None:
    alice = await host.invite("alice", meeting)
    bob = await host.invite("bob", meeting)
    await alice.enter()
    await admit(alice, bob)
    await alice.sees(bob)
    await bob.sees(alice)
    await alice.hears()
    await bob.hears()
    await alice.shot("two-people")
    assert alice.errors == bob.errors == []
