"""The composition root of the API process: what there is, what it is made of, in which order it opens and closes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from uuid import uuid4

import asyncpg
import structlog
from aiohttp import web

from conference.api import document, openapi, ops, site
from conference.api.auth import Authenticator, Caller, TokenVerifier
from conference.api.body import READ_LIMIT
from conference.api.channels import routes as channel_routes
from conference.api.connection import REFUSE
from conference.api.family import Families, Family, Shared
from conference.api.jwks import JwksKeys
from conference.api.meetings import routes as meeting_routes
from conference.api.metrics import Metrics
from conference.api.middleware import Gate, stamp
from conference.api.operators import Operators
from conference.api.users import routes as user_routes
from conference.bus import keys
from conference.bus.channels import ChannelBus
from conference.bus.link import RedisLink
from conference.bus.notices import NoticeReader
from conference.bus.readers import TOUCH_INTERVAL
from conference.bus.sfu_client import SfuClient
from conference.bus.turn import Turn
from conference.bus.workers import WorkerRegistry
from conference.services import failover, reconciler
from conference.services.changes import MeetingChanges
from conference.services.channels import ChannelService
from conference.services.failover import Failover
from conference.services.media import MediaService
from conference.services.meetings import MeetingService
from conference.services.notices import NoticeHandler
from conference.services.periodic import repeat
from conference.services.placement import Placement
from conference.services.reconciler import Reconciler
from conference.services.relay import OutboxRelay
from conference.services.sweeper import Sweeper
from conference.services.users import UserService
from conference.storage import channels as channel_rows
from conference.storage.database import open_pool
from conference.storage.users import User
from conference.tokens import load_secret
from conference.ucwa.family import Ucwa
from config.settings import Settings
from config.tasks import end

FAMILIES: Sequence[type[Family]] = (Ucwa,)

_TIDY_WITHIN = 2.0
_POOL_CLOSES_WITHIN = 5.0

_log = structlog.get_logger(__name__)


def create_app(settings: Settings, families: Sequence[type[Family]] = FAMILIES) -> web.Application:
    """The application: our own API, and the `families`. Its servers (`database_url`, `redis_url`) are asked for when it
    starts, not before."""
    app = web.Application(client_max_size=settings.body_limit)
    app.on_response_prepare.append(stamp)

    async def lifetime(app: web.Application) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await _compose(app, settings, families, stack)
            yield

    app.cleanup_ctx.append(lifetime)
    return app


async def _compose(
    app: web.Application,
    settings: Settings,
    kinds: Sequence[type[Family]],
    stack: AsyncExitStack,
) -> None:
    """Everything that is closed is pushed onto `stack`, and so closes in the opposite order."""
    if settings.database_url is None or settings.redis_url is None:
        raise ValueError("the application needs a database_url and a redis_url")
    pool = await stack.enter_async_context(
        _pool(settings.database_url, settings.database_connections)
    )
    link = RedisLink(settings.redis_url)
    stack.push_async_callback(link.close)

    # the bus
    bus = ChannelBus(
        link,
        cap=settings.channel_cap,
        channels_of=lambda ids: channel_rows.of_users(pool, ids),
        touch_interval=min(
            TOUCH_INTERVAL,
            settings.channel_grace / 3,
            *(kind.shortest_silence(settings) / 3 for kind in kinds),
        ),
    )
    relay = OutboxRelay(pool, bus)
    sfu = SfuClient(link, timeout=settings.command_timeout)
    stack.callback(sfu.close)
    workers = WorkerRegistry(link)

    # use cases
    users = UserService(pool, _now, everyone=settings.people_everyone)
    channels = ChannelService(
        pool, bus, most=settings.channels_max, grace=settings.channel_grace, now=_now
    )
    changes = MeetingChanges(pool, relay, _now, uuid4)
    placement = Placement(pool, changes, sfu, workers, _TIDY_WITHIN)
    meetings = MeetingService(
        pool, relay, changes, placement, _now, uuid4, most=settings.meetings_max
    )
    media = MediaService(changes, placement, bus, _now)
    channels.on_closed.append(meetings.channel_gone)
    secret = _own_secret(settings)
    shared = Shared(
        pool=pool,
        link=link,
        relay=relay,
        channels=channels,
        changes=changes,
        placement=placement,
        meetings=meetings,
        media=media,
        settings=settings,
        secret=secret,
        now=_now,
        new_id=uuid4,
    )
    families = Families([kind(shared) for kind in kinds])
    for family in families:
        channels.on_closed.append(family.channel_closed)
        changes.observers.extend(family.observers)

    # what runs by itself
    notices = NoticeReader(link, NoticeHandler(pool, changes, media, bus, _now).handle)
    watch = Failover(pool, placement, workers)
    turn = Turn(link, keys.RECONCILING, reconciler.PERIOD)
    comparing = Reconciler(pool, changes, sfu, workers, media, turn)
    sweeper = Sweeper(
        pool,
        meetings,
        channels,
        owned=families.owned,
        grace=settings.channel_grace,
        idle=settings.channel_idle,
        unused=settings.meeting_unused,
        clock=_now,
    )

    # HTTP
    metrics = Metrics()
    views = ops.OpsViews(
        pool,
        link.ping,
        workers,
        metrics,
        lambda: len(bus.readers),
        Operators(settings.ops_token, settings.public_url),
    )
    operations = [
        *meeting_routes.operations(meetings, media),
        *channel_routes.operations(channels, settings),
        *user_routes.operations(users),
        *(operation for family in families for operation in family.operations()),
        *ops.operations(views),
    ]
    openapi.add_routes(app, operations)
    for family in families:
        family.add_routes(app.router)
    about = [family.about for family in families if family.about]
    site.add_routes(app, document.describe(operations, version("parley"), about))
    gate = Gate(
        Authenticator(
            _verifier(settings, secret),
            _remembering(users),
            families,
            public_url=settings.public_url,
        ),
        metrics,
        families,
    )
    app.middlewares.extend(gate.middlewares())
    app[REFUSE] = gate.refuse
    app[READ_LIMIT] = settings.read_timeout

    # begin; at the end nobody is left waiting before what they wait on closes
    link.start()
    bus.start()
    stack.push_async_callback(bus.close)
    await stack.enter_async_context(
        _running(
            repeat("relay", relay.run, 1.0),  # runs until cancelled; should it fail, it begins anew
            notices.run(),
            repeat("failover", watch.check, failover.INTERVAL),
            repeat("reconciler", comparing.check, reconciler.INTERVAL),
            repeat("sweep", sweeper.sweep, settings.sweep_interval),
            *(
                repeat(f"{family.name} sweep", family.sweep, settings.sweep_interval)
                for family in families
            ),
        )
    )

    async def answer_parked(app: web.Application) -> None:
        channels.answer_all()

    app.on_shutdown.append(answer_parked)


# --- helpers of the composition ---------------------------------------------------------------


def _now() -> datetime:
    return datetime.now(UTC)


def _own_secret(settings: Settings) -> str | None:
    """With keys of others, our own secret counts only when somebody set it on purpose."""
    return load_secret(settings) if settings.jwks_url is None else settings.jwt_secret


def _verifier(settings: Settings, secret: str | None) -> TokenVerifier:
    jwks = JwksKeys(settings.jwks_url) if settings.jwks_url is not None else None
    return TokenVerifier(secret, jwks, longest_life=settings.token_lifetime_max)


def _remembering(users: UserService) -> Callable[[Caller], Awaitable[None]]:
    async def seen(caller: Caller) -> None:
        user = User(id=caller.user_id, name=caller.name, email=caller.email, org=caller.org)
        await users.seen(user)

    return seen


@asynccontextmanager
async def _pool(url: str, size: int) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_pool(url, size=size)
    try:
        yield pool
    finally:
        try:
            await asyncio.wait_for(pool.close(), _POOL_CLOSES_WITHIN)
        except TimeoutError:
            _log.warning("database_pool_terminated")
            pool.terminate()


@asynccontextmanager
async def _running(*work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Tasks for as long as the context lasts. One that ends by itself is a bug, and logged."""
    tasks = [asyncio.create_task(coroutine) for coroutine in work]
    for task in tasks:
        task.add_done_callback(_log_end)
    try:
        yield
    finally:
        await end(tasks)


def _log_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        _log.error("background_work_ended", work=task.get_name(), exc_info=task.exception())
