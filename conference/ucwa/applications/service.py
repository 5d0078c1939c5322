"""UCWA applications: created, found, and ended, by their users or by themselves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import asyncpg
import msgspec
import structlog

from conference.errors import Gone, NotFound
from conference.services.periodic import alone
from conference.storage.channels import Connection
from conference.ucwa.application import Application, Ending, Identity, Instance, is_refused
from conference.ucwa.applications import store as applications

OnEnded = Callable[[Application], Awaitable[None]]

_TOUCH_EVERY = timedelta(seconds=15)
"""How exactly it is known when an application was used last."""
_STALE_AFTER = timedelta(seconds=30)
_REMEMBERED = 50_000
_MESSAGES = {
    Ending.DELETED: "no such application of yours; create one",
    Ending.TOO_MANY: "you created more applications than may be, and this was the least recently used",
    Ending.INACTIVE: "the application held no pending GET, or reported no activity, for too long",
    Ending.USER_AGENT: "this user agent is no longer supported",
}

_log = structlog.get_logger(__name__)


class Channels(Protocol):
    async def open(self, user_id: UUID) -> UUID: ...

    async def close(self, queue_id: UUID) -> None: ...

    async def silent(self, for_seconds: float) -> list[UUID]: ...


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds. `most`: a user's applications. `refused`: patterns of user agents that may not."""

    most: int
    idle: float
    activity_idle: float
    remembered: float
    refused: Sequence[str] = ()


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """`new`: the application, or this instance of it, was not there before."""

    application: Application
    instance: Instance
    new: bool


class ApplicationService:
    """Truth is in the database, so that any process may serve any application.

    An end is: a tombstone, `on_ended`, the channels, then the row. What a dead process left undone, a sweep
    completes.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        channels: Channels,
        rules: Rules,
        *,
        now: Callable[[], datetime],
        new_id: Callable[[], UUID],
    ) -> None:
        self._pool = pool
        self._channels = channels
        self._rules = rules
        self._now = now
        self._new_id = new_id
        self._recent: dict[str, tuple[Application, datetime]] = {}
        self._instances: dict[tuple[str, str], Instance] = {}
        self.on_ended: list[OnEnded] = []
        """Called when an application ended, before its row goes. May be called twice for one."""

    async def create(
        self,
        user_id: UUID,
        identity: Identity,
        instance_id: str | None = None,
        *,
        anonymous: bool = False,
    ) -> Created:
        """The application of this identity and its instance; either is made when it is not there.

        Raises Gone (UserAgentNotAllowed). A user's least recently used applications end when there are too many.
        """
        if is_refused(identity.user_agent, self._rules.refused):
            raise _ended(Ending.USER_AGENT)
        if known := await self._known(user_id, identity, instance_id or ""):
            return known
        queue_id = await self._channels.open(user_id)
        created, evicted = await self._add(
            user_id, identity, instance_id or "", queue_id, anonymous
        )
        if not created.new:  # made by another request meanwhile
            await self._channels.close(queue_id)
        for victim in evicted:
            _log.info("ucwa_application_evicted", application=victim.id)
            await self._complete(victim)
        return created

    async def of(self, user_id: UUID) -> list[tuple[Application, str]]:
        """Those of the user that are alive, each with every one of its instances: '' is the one without a name. The
        one used last first."""
        async with self._pool.acquire() as conn:
            return [
                (application, instance.instance_id)
                for application in await applications.least_recently_used(conn, user_id, 0)
                for instance in await applications.instances(conn, application.id)
            ]

    async def get(self, user_id: UUID, application_id: str, *, fresh: bool = True) -> Application:
        """A request of the user's application, which counts as its use. Raises NotFound and Gone.

        Without `fresh` the answer may be half a minute old: enough where Redis knows what closed meanwhile.
        """
        if not fresh and (recent := self._remembered(user_id, application_id)):
            return recent
        found = await applications.find(self._pool, application_id, user_id)
        if found is None or found.application is None or found.ending is not None:
            self._recent.pop(application_id, None)
            raise _ended(found.ending or Ending.DELETED if found else Ending.DELETED)
        application, now = found.application, self._now()
        if is_refused(application.user_agent, self._rules.refused):
            raise _ended(Ending.USER_AGENT)
        if found.used_at is None or now - found.used_at >= _TOUCH_EVERY:
            await applications.touch(self._pool, application_id, now)
        self._remember(application, now)
        return application

    async def instance(
        self, application_id: str, instance_id: str | None, *, fresh: bool = True
    ) -> Instance:
        """Without an id: the instance that gave none, or else the oldest. Raises NotFound.

        Without `fresh` it may be one that is gone: its channel is gone too then.
        """
        asked = (application_id, instance_id or "")
        if not fresh and (recent := self._instances.get(asked)):
            return recent
        self._instances.pop(asked, None)
        async with self._pool.acquire() as conn:
            found = await applications.instances(conn, application_id)
        for instance in found:
            if not instance_id or instance.instance_id == instance_id:
                self._remember_instance(asked, instance)
                return instance
        raise _no_instance()

    async def polled(self, instance: Instance, instance_id: str | None) -> None:
        """Its channel is read, and from now on has to be."""
        if instance.polled:
            return
        await applications.mark_polled(self._pool, instance.queue_id)
        self._remember_instance(
            (instance.application_id, instance_id or ""),
            msgspec.structs.replace(instance, polled=True),
        )

    async def is_alone(self, instance: Instance) -> bool:
        """Whether the application has no other instance."""
        async with self._pool.acquire() as conn:
            return await applications.queues_of(conn, instance.application_id) == [
                instance.queue_id
            ]

    async def channel(self, application_id: str, instance_id: str | None) -> UUID:
        """The queue id of an instance's event channel, found as by `instance`. Raises NotFound."""
        return (await self.instance(application_id, instance_id)).queue_id

    async def make_available(self, conn: Connection, application: Application) -> bool:
        """Within the caller's transaction; False when it was available before."""
        return await applications.make_available(conn, application.id, self._now())

    async def report_activity(self, application: Application) -> bool:
        """False when the application is not available."""
        async with self._pool.acquire() as conn:
            return await applications.report_activity(conn, application.id, self._now())

    # --- ending -------------------------------------------------------------------------------

    async def delete(self, application: Application, instance_id: str | None) -> None:
        """Drop an instance, and with the last one the application. Raises NotFound for an unknown one.

        Without an id it is the instance that gave none; where every instance gave one, the whole application.
        """
        if await self._drop(application, instance_id or "", Ending.DELETED):
            return
        if instance_id:
            raise _no_instance()
        await self.end(application, Ending.DELETED)

    async def end(self, application: Application, ending: Ending) -> None:
        """Of an application that ended: completes what is left of it."""
        async with self._pool.acquire() as conn, conn.transaction():
            await applications.lock_user(conn, application.user_id)
            if await applications.lock(conn, application.id):
                await applications.bury(conn, application, ending, self._now())
        await self._complete(application)

    async def channel_closed(self, queue_id: UUID) -> None:
        """Whoever closed it: a channel that is gone is no instance's."""
        async with self._pool.acquire() as conn:
            found = await applications.with_channel(conn, queue_id)
            if found is None:
                return
            await applications.remove_instance(conn, queue_id)
            if await applications.instances(conn, found[0].id):
                return
        await self.end(found[0], Ending.DELETED)

    async def sweep(self) -> None:
        """One round of what no request does. Every process may."""
        now = self._now()
        silent = await self._channels.silent(self._rules.idle)
        async with self._pool.acquire() as conn:
            half_ended = await applications.half_ended(conn)
            inactive = await applications.without_activity(
                conn, now - timedelta(seconds=self._rules.activity_idle)
            )
            idle = await applications.idle_instances(
                conn, silent, now - timedelta(seconds=self._rules.idle)
            )
            await applications.forget(conn, now - timedelta(seconds=self._rules.remembered))
        for application in half_ended:
            await alone(application.id, self._complete(application))
        for application in inactive:
            _log.info("ucwa_application_inactive", application=application.id)
            await alone(application.id, self.end(application, Ending.INACTIVE))
        for application, instance in idle:
            await alone(application.id, self._drop_idle(application, instance))

    async def _drop_idle(self, application: Application, instance: Instance) -> None:
        if await self._drop(application, instance.instance_id, Ending.INACTIVE):
            _log.info("ucwa_instance_idle", application=application.id)

    async def owned(self, queue_ids: Collection[UUID]) -> set[UUID]:
        """Those of the channels that are instances', and end by the rules of applications."""
        if not queue_ids:
            return set()
        async with self._pool.acquire() as conn:
            return set(await applications.among(conn, queue_ids))

    async def _drop(self, application: Application, instance_id: str, ending: Ending) -> bool:
        """The instance goes, and with the last one the application; False when there is no such instance."""
        async with self._pool.acquire() as conn, conn.transaction():
            await applications.lock_user(conn, application.user_id)
            await applications.lock(conn, application.id)
            there = await applications.instances(conn, application.id)
            dropped = next((each for each in there if each.instance_id == instance_id), None)
            if dropped is None:
                return False
            if len(there) == 1:
                await applications.bury(conn, application, ending, self._now())
            else:
                await applications.remove_instance(conn, dropped.queue_id)
        if len(there) == 1:
            await self._complete(application)
        else:
            await self._channels.close(dropped.queue_id)
        return True

    async def _complete(self, application: Application) -> None:
        self._recent.pop(application.id, None)
        for hook in self.on_ended:
            await hook(application)
        async with self._pool.acquire() as conn:
            queues = await applications.queues_of(conn, application.id)
            await applications.remove(conn, application.id)
        for queue_id in queues:
            await self._channels.close(queue_id)

    # --- beginning ----------------------------------------------------------------------------

    async def _known(self, user_id: UUID, identity: Identity, instance_id: str) -> Created | None:
        async with self._pool.acquire() as conn:
            application = await applications.of_identity(conn, user_id, identity)
            if application is None:
                return None
            instances = await applications.instances(conn, application.id)
            found = [each for each in instances if each.instance_id == instance_id]
        if not found:
            return None
        await applications.touch(self._pool, application.id, self._now())
        return Created(application=application, instance=found[0], new=False)

    async def _add(
        self, user_id: UUID, identity: Identity, instance_id: str, queue_id: UUID, anonymous: bool
    ) -> tuple[Created, list[Application]]:
        """And the applications that have to go for it, buried."""
        now = self._now()
        async with self._pool.acquire() as conn, conn.transaction():
            await applications.lock_user(conn, user_id)
            application = await applications.of_identity(conn, user_id, identity)
            if application is None:
                application = _application(self._new_id(), user_id, identity, now, anonymous)
                await applications.add(conn, application)
            for each in await applications.instances(conn, application.id):
                if each.instance_id == instance_id:
                    return Created(application=application, instance=each, new=False), []
            instance = Instance(
                application_id=application.id, instance_id=instance_id, queue_id=queue_id
            )
            await applications.add_instance(conn, instance, now)
            evicted = await applications.least_recently_used(conn, user_id, self._rules.most)
            for victim in evicted:
                await applications.bury(conn, victim, Ending.TOO_MANY, now)
        return Created(application=application, instance=instance, new=True), evicted

    def _remembered(self, user_id: UUID, application_id: str) -> Application | None:
        application, until = self._recent.get(application_id, (None, None))
        if application is None or until is None or application.user_id != user_id:
            return None
        return application if self._now() < until else None

    def _remember_instance(self, asked: tuple[str, str], instance: Instance) -> None:
        if len(self._instances) >= _REMEMBERED:
            del self._instances[next(iter(self._instances))]
        self._instances[asked] = instance

    def _remember(self, application: Application, now: datetime) -> None:
        if len(self._recent) >= _REMEMBERED:
            del self._recent[next(iter(self._recent))]
        self._recent[application.id] = (application, now + _STALE_AFTER)


def _application(
    new_id: UUID, user_id: UUID, identity: Identity, now: datetime, anonymous: bool
) -> Application:
    return Application(
        id=new_id.hex[:20],
        user_id=user_id,
        culture=identity.culture,
        user_agent=identity.user_agent,
        endpoint_id=identity.endpoint_id,
        type=identity.type,
        created_at=now,
        anonymous=anonymous,
    )


def _no_instance() -> NotFound:
    return NotFound("no such instance of the application; create it", code=Ending.DELETED.value)


def _ended(ending: Ending) -> NotFound | Gone:
    kind = NotFound if ending is Ending.DELETED else Gone
    return kind(_MESSAGES[ending], code=ending.value)
