"""Applications on a real database and Valkey: what is one, what ends it, and what is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
from channel_rig import MEETING, Rig

from conference.errors import DomainError, Gone, NotFound
from conference.storage import channels
from conference.ucwa.application import Application, Ending, Identity
from conference.ucwa.applications import store as applications
from conference.ucwa.applications.service import ApplicationService, Rules

ALICE, BOB = UUID(int=10), UUID(int=11)
PHONE = Identity(culture="en-us", user_agent="ContosoApp/1.0", endpoint_id="phone", type="Browser")
TABLET = msgspec.structs.replace(PHONE, endpoint_id="tablet")
LAPTOP = msgspec.structs.replace(PHONE, endpoint_id="laptop")
RULES = Rules(most=2, idle=900, activity_idle=1800, remembered=3600)


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Desk:
    """An API process's service, and who was told of endings."""

    def __init__(self, rig: Rig, clock: Clock, rules: Rules = RULES) -> None:
        self.rig = rig
        self.clock = clock
        self.service = ApplicationService(rig.pool, rig.service, rules, now=clock, new_id=uuid4)
        self.ended: list[str] = []
        self.service.on_ended.append(self._on_ended)

    async def _on_ended(self, application: Application) -> None:
        self.ended.append(application.id)

    async def new(
        self, identity: Identity = PHONE, instance: str | None = None, user: UUID = ALICE
    ) -> Application:
        created = await self.service.create(user, identity, instance)
        assert created.new
        return created.application

    async def refusal(self, application: Application, user: UUID | None = None) -> str:
        """The subcode that a request gets."""
        with pytest.raises((NotFound, Gone)) as caught:
            await self.service.get(user or application.user_id, application.id)
        kind = NotFound if caught.value.code == Ending.DELETED else Gone
        assert type(caught.value) is kind
        return caught.value.code


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def rig(pool: asyncpg.Pool, redis_url: str) -> AsyncIterator[Rig]:
    async with Rig(pool, redis_url) as rig:
        yield rig


@pytest.fixture
def desk(rig: Rig, clock: Clock) -> Desk:
    return Desk(rig, clock)


async def test_the_same_identity_is_the_same_application(desk: Desk) -> None:
    first = await desk.service.create(ALICE, PHONE)
    again = await desk.service.create(ALICE, PHONE)
    assert (first.new, again.new) == (True, False)
    assert again.application == first.application
    assert again.instance == first.instance
    others = [TABLET, msgspec.structs.replace(PHONE, culture="de"), BOB]
    found = {first.application.id}
    for other in others:
        user, identity = (ALICE, other) if isinstance(other, Identity) else (other, PHONE)
        found.add((await desk.service.create(user, identity)).application.id)
    assert len(found) == 4


async def test_each_instance_has_its_own_channel(desk: Desk) -> None:
    one = await desk.service.create(ALICE, PHONE, "one")
    two = await desk.service.create(ALICE, PHONE, "two")
    again = await desk.service.create(ALICE, PHONE, "two")
    assert (one.new, two.new, again.new) == (True, True, False)
    assert one.application == two.application == again.application
    assert one.instance.queue_id != two.instance.queue_id == again.instance.queue_id
    assert await desk.service.channel(one.application.id, "two") == two.instance.queue_id
    assert await desk.service.channel(one.application.id, None) == one.instance.queue_id
    with pytest.raises(NotFound) as caught:
        await desk.service.channel(one.application.id, "three")
    assert caught.value.code == "ApplicationNotFound"


async def test_many_who_create_it_at_once_get_one(desk: Desk) -> None:
    created = await asyncio.gather(*(desk.service.create(ALICE, PHONE, "tab") for _ in range(8)))
    assert sum(each.new for each in created) == 1
    assert len({each.application.id for each in created}) == 1
    assert len({each.instance.queue_id for each in created}) == 1
    assert await channels.all_ids(desk.rig.pool) == [created[0].instance.queue_id]


async def test_deleting_an_instance_leaves_the_others(desk: Desk) -> None:
    application = await desk.new(instance="one")
    await desk.service.create(ALICE, PHONE, "two")
    queue = await desk.service.channel(application.id, "one")
    await desk.service.delete(application, "one")
    assert await desk.service.get(ALICE, application.id) == application
    assert await channels.owner(desk.rig.pool, queue) is None
    assert not desk.ended
    await desk.service.delete(application, "two")
    assert await desk.refusal(application) == "ApplicationNotFound"
    assert set(desk.ended) == {application.id}
    assert await channels.all_ids(desk.rig.pool) == []


async def test_a_deleted_application_can_be_made_anew(desk: Desk) -> None:
    old = await desk.new()
    await desk.service.delete(old, None)
    new = await desk.new()
    assert new.id != old.id
    assert await desk.refusal(old) == "ApplicationNotFound"


async def test_strangers_do_not_find_it(desk: Desk) -> None:
    application = await desk.new()
    assert await desk.refusal(application, BOB) == "ApplicationNotFound"
    await desk.service.end(application, Ending.INACTIVE)
    assert await desk.refusal(application) == "InactiveApplicationExpired"
    assert await desk.refusal(application, BOB) == "ApplicationNotFound"


async def test_one_too_many_ends_the_least_recently_used(desk: Desk, clock: Clock) -> None:
    phone = await desk.new(PHONE)
    clock.pass_by(60)
    tablet = await desk.new(TABLET)
    clock.pass_by(60)
    await desk.service.get(ALICE, phone.id)
    clock.pass_by(60)
    await desk.new(PHONE, user=BOB)
    laptop = await desk.new(LAPTOP)
    assert await desk.refusal(tablet) == "TooManyApplications"
    assert set(desk.ended) == {tablet.id}
    for application in (phone, laptop):
        assert await desk.service.get(ALICE, application.id) == application


async def test_tombstones_go_after_their_time(desk: Desk, clock: Clock) -> None:
    application = await desk.new()
    await desk.service.end(application, Ending.INACTIVE)
    clock.pass_by(RULES.remembered - 1)
    await desk.service.sweep()
    assert await desk.refusal(application) == "InactiveApplicationExpired"
    clock.pass_by(2)
    await desk.service.sweep()
    assert await desk.refusal(application) == "ApplicationNotFound"


async def test_refused_user_agents(desk: Desk, rig: Rig, clock: Clock) -> None:
    application = await desk.new()
    strict = Desk(rig, clock, msgspec.structs.replace(RULES, refused=["contoso*/1.?"]))
    assert await strict.refusal(application) == "UserAgentNotAllowed"
    with pytest.raises(Gone) as caught:
        await strict.service.create(ALICE, TABLET)
    assert caught.value.code == "UserAgentNotAllowed"
    newer = msgspec.structs.replace(PHONE, user_agent="ContosoApp/2.0")
    await strict.new(newer)


async def test_without_reports_of_activity_an_available_one_ends(desk: Desk, clock: Clock) -> None:
    phone, tablet = await desk.new(PHONE), await desk.new(TABLET)
    async with desk.rig.pool.acquire() as conn:
        assert await desk.service.make_available(conn, phone)
        assert not await desk.service.make_available(conn, phone)
    assert not await desk.service.report_activity(tablet)
    clock.pass_by(RULES.activity_idle - 1)
    assert await desk.service.report_activity(phone)
    clock.pass_by(RULES.activity_idle - 1)
    await desk.service.sweep()
    assert (await desk.service.get(ALICE, phone.id)).available
    clock.pass_by(2)
    await desk.service.sweep()
    assert await desk.refusal(phone) == "InactiveApplicationExpired"
    assert not (await desk.service.get(ALICE, tablet.id)).available


async def test_in_a_meeting_nobody_need_report_activity(desk: Desk, clock: Clock) -> None:
    application = await desk.new()
    pool = desk.rig.pool
    async with pool.acquire() as conn:
        await desk.service.make_available(conn, application)
    await pool.execute(
        """insert into meetings (id, name, meeting_type, owner_id, join_code, active, created_at)
           values ($1, 'call', 'permanent', $2, 'abcdefghij', true, now())""",
        MEETING,
        ALICE,
    )
    await pool.execute(
        """insert into participants (meeting_id, user_id, queue_id, wants_audio, wants_video, joined_at)
           values ($1, $2, $3, true, false, now())""",
        MEETING,
        ALICE,
        await desk.service.channel(application.id, None),
    )
    clock.pass_by(RULES.activity_idle + 1)
    await desk.service.sweep()
    assert await desk.service.get(ALICE, application.id)
    await pool.execute("delete from participants")
    await desk.service.sweep()
    assert await desk.refusal(application) == "InactiveApplicationExpired"


async def silence(rig: Rig, queue: UUID, seconds: float = 3600) -> None:
    """As if the channel had not been read for so long."""
    await rig.link.lane.call(b"ZINCRBY", b"parley:seen", int(-seconds * 1000), str(queue).encode())


async def test_without_a_pending_get_one_ends(desk: Desk, clock: Clock) -> None:
    application = await desk.new()
    queue = await desk.service.channel(application.id, None)
    await silence(desk.rig, queue)
    await desk.service.sweep()
    assert await desk.service.get(ALICE, application.id), "a channel never read lives by requests"
    await applications.mark_polled(desk.rig.pool, queue)
    await desk.service.sweep()
    assert await desk.refusal(application) == "InactiveApplicationExpired"
    assert await channels.all_ids(desk.rig.pool) == []


async def test_without_requests_one_that_was_never_polled_ends(desk: Desk, clock: Clock) -> None:
    application = await desk.new()
    await silence(desk.rig, await desk.service.channel(application.id, None))
    clock.pass_by(RULES.idle + 1)
    await desk.service.sweep()
    assert await desk.refusal(application) == "InactiveApplicationExpired"


async def test_an_idle_instance_goes_alone(desk: Desk) -> None:
    application = await desk.new(instance="one")
    await desk.service.create(ALICE, PHONE, "two")
    one = await desk.service.channel(application.id, "one")
    await applications.mark_polled(desk.rig.pool, one)
    await silence(desk.rig, one)
    assert await desk.service.owned([one, uuid4()]) == {one}
    await desk.service.sweep()
    assert await channels.owner(desk.rig.pool, one) is None
    assert await desk.service.get(ALICE, application.id) == application


async def test_many_sweep_and_delete_at_once(desk: Desk, rig: Rig, clock: Clock) -> None:
    """What goes is one instance, not what is left after it."""
    desks = [desk, *(Desk(rig, clock) for _ in range(3))]
    application = await desk.new(instance="one")
    await desk.service.create(ALICE, PHONE, "two")
    one = await desk.service.channel(application.id, "one")
    await applications.mark_polled(desk.rig.pool, one)
    await silence(desk.rig, one)
    await asyncio.gather(*(each.service.sweep() for each in desks))
    assert await desk.service.get(ALICE, application.id) == application
    results = await asyncio.gather(
        *(each.service.delete(application, "one") for each in desks), return_exceptions=True
    )
    assert all(isinstance(result, NotFound) for result in results)
    assert await desk.service.get(ALICE, application.id) == application


async def test_without_an_id_the_unnamed_instance_goes_or_else_all(desk: Desk) -> None:
    application = await desk.new()
    await desk.service.create(ALICE, PHONE, "one")
    await desk.service.create(ALICE, PHONE, "two")
    await desk.service.delete(application, None)
    assert await desk.service.get(ALICE, application.id) == application
    await desk.service.delete(application, None)
    assert await desk.refusal(application) == "ApplicationNotFound"
    assert await channels.all_ids(desk.rig.pool) == []


async def test_a_channel_that_others_close_takes_its_instance_along(desk: Desk) -> None:
    desk.rig.service.on_closed.append(desk.service.channel_closed)
    application = await desk.new(instance="one")
    await desk.service.create(ALICE, PHONE, "two")
    for instance in ("one", "two"):
        await desk.service.get(ALICE, application.id)
        await desk.rig.service.close(await desk.service.channel(application.id, instance))
    assert await desk.refusal(application) == "ApplicationNotFound"


async def test_what_a_dead_process_left_undone_a_sweep_completes(desk: Desk) -> None:
    application = await desk.new()
    async with desk.rig.pool.acquire() as conn:
        await applications.bury(conn, application, Ending.TOO_MANY, desk.clock.now)
    assert await desk.refusal(application) == "TooManyApplications"
    again = await desk.new()
    assert again.id != application.id
    await desk.service.sweep()
    assert desk.ended == [application.id]
    left = await desk.rig.pool.fetch("select id from ucwa_applications")
    assert [row["id"] for row in left] == [again.id]
    assert await desk.refusal(application) == "TooManyApplications"


async def test_a_stale_answer_is_only_given_to_its_user(desk: Desk, clock: Clock) -> None:
    application = await desk.new()
    await desk.service.get(ALICE, application.id)
    await desk.rig.pool.execute("delete from ucwa_applications")
    assert await desk.service.get(ALICE, application.id, fresh=False) == application
    for user, seconds in ((BOB, 0), (ALICE, 31)):
        clock.pass_by(seconds)
        with pytest.raises(DomainError):
            await desk.service.get(user, application.id, fresh=False)


async def test_one_that_can_not_be_ended_keeps_no_other_alive(desk: Desk, clock: Clock) -> None:
    """A round ends all that are due; what it could not it tries again."""
    stuck, other = await desk.new(PHONE), await desk.new(TABLET)
    failing = True

    async def fails(application: Application) -> None:
        if failing and application.id == stuck.id:
            raise RuntimeError("nobody thought of this")

    desk.service.on_ended.insert(0, fails)
    clock.pass_by(RULES.activity_idle + 1)
    async with desk.rig.pool.acquire() as conn:
        for application in (stuck, other):
            await applications.bury(conn, application, Ending.INACTIVE, clock.now)
    for _ in range(2):
        await desk.service.sweep()
        assert desk.ended == [other.id]
    failing = False
    await desk.service.sweep()
    assert desk.ended == [other.id, stuck.id]
