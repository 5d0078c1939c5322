"""What the shell asks of an API family, and all families together, as the shell asks them.

A family is another way to the same meetings, in one folder; `conference/app.py` makes each once and names it nowhere
else. Our own API (meetings, channels, users) is none: its form of an error is what holds where no family lives.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

import asyncpg
from aiohttp import web
from aiohttp.web_urldispatcher import UrlDispatcher

from conference.api.openapi import Operation
from conference.bus.link import RedisLink
from conference.services.changes import MeetingChanges, Observer, Relay
from conference.services.channels import ChannelService
from conference.services.media import MediaService
from conference.services.meetings import MeetingService
from conference.services.placement import Placement
from config.settings import Settings
from schemas.errors import Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Shared:
    """What a family uses of what serves all."""

    pool: asyncpg.Pool
    link: RedisLink
    relay: Relay
    channels: ChannelService
    changes: MeetingChanges
    placement: Placement
    meetings: MeetingService
    media: MediaService
    settings: Settings
    secret: str | None
    """Of this domain's own tokens; None where they don't count."""
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]


class Family(Protocol):
    """Paths are as `spelled` has them. What a family has no use for stands here as nothing."""

    name: str
    prefixes: Sequence[str]
    """What its paths begin with, in any case of letters."""
    open_paths: Collection[str] = ()
    """They need no token."""
    sign_in_paths: Collection[str] = ()
    """No token is even looked at: one comes there because the old one ran out."""
    token_mark: str = ""
    """What it writes before the tokens that it gives out. They hold in every family, with it and without."""
    guests_join_at: str | None = None
    """Where somebody joins whose token is for one meeting only."""
    about: str = ""
    """Of the whole API's description: its paragraph in Markdown, with a newline at the end."""
    observers: Sequence[Observer] = ()
    """Shown every change of a meeting."""

    def __init__(self, shared: Shared) -> None: ...

    @abstractmethod
    def operations(self) -> list[Operation]: ...

    @abstractmethod
    def render(self, request: web.Request, status: int, problem: Problem) -> web.Response:
        """A refusal, in the family's form."""

    def add_routes(self, router: UrlDispatcher) -> None:
        """What the operations don't say: paths spelled otherwise. Comes before the pages."""

    def spelled(self, path: str) -> str:
        """As the family writes what this path stands for; the path itself when it stands for nothing of its own."""
        return path

    def cookie_token(self, request: web.Request) -> str | None:
        """Of a request to one of its paths: the token in a cookie of its own, which a browser adds by itself."""
        return None

    def admits_guests(self, path: str) -> bool:
        """Whether a token for one meeting only is looked at there; for which one, the family sees to itself."""
        return False

    async def owned(self, channels: Collection[UUID]) -> Collection[UUID]:
        """Those of the channels that the family closes by rules of its own when nobody reads them."""
        return ()

    async def channel_closed(self, channel: UUID) -> None:
        """However it did; may come twice for one."""

    async def sweep(self) -> None:
        """One round of what no request does."""

    @classmethod
    def shortest_silence(cls, settings: Settings) -> float:
        """The least silence of a channel, in seconds, from which it draws a conclusion."""
        return math.inf


class Families:
    """All of them: for what is asked of each, and of the one that a path belongs to."""

    def __init__(self, families: Sequence[Family] = ()) -> None:
        self._all = tuple(families)
        self._by_prefix = tuple(
            (prefix.lower(), family) for family in families for prefix in family.prefixes
        )

    def __iter__(self) -> Iterator[Family]:
        return iter(self._all)

    def at(self, path: str) -> Family | None:
        """Whose path it is; None: our own API's, or nobody's."""
        lower = path.lower()
        return next((family for start, family in self._by_prefix if lower.startswith(start)), None)

    def spelled(self, path: str) -> str:
        for family in self._all:
            path = family.spelled(path)
        return path

    @property
    def token_marks(self) -> Sequence[str]:
        return [family.token_mark for family in self._all if family.token_mark]

    def cookie_token(self, request: web.Request) -> str | None:
        family = self.at(request.path)
        return family.cookie_token(request) if family is not None else None

    async def owned(self, channels: Collection[UUID]) -> set[UUID]:
        return {channel for family in self._all for channel in await family.owned(channels)}
