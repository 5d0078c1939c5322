"""The composition of the UCWA family: its services, the endpoints that they serve, and what runs by itself."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID

from aiohttp import web
from aiohttp.web_urldispatcher import UrlDispatcher

from conference.api.auth import TokenVerifier
from conference.api.family import Family, Shared
from conference.api.openapi import Operation
from conference.bus.outstanding import Outstanding
from conference.bus.poll_terms import DefaultTerms
from conference.domain.door import AccessLevel, LeaderAssignment
from conference.services.changes import Observer
from conference.services.periodic import alone
from conference.ucwa.applications import discovery, oauth, policies
from conference.ucwa.applications import event_views as events
from conference.ucwa.applications import views as application_views
from conference.ucwa.applications.communication_service import CommunicationService
from conference.ucwa.applications.event_service import EventService
from conference.ucwa.applications.event_views import EventViews
from conference.ucwa.applications.oauth import TokenView
from conference.ucwa.applications.service import ApplicationService, Rules
from conference.ucwa.applications.sign_in import SignIn
from conference.ucwa.applications.views import ApplicationViews, Hub
from conference.ucwa.conversations import (
    communication_views as communication,
)
from conference.ucwa.conversations import (
    events as conversation_news,
)
from conference.ucwa.conversations import (
    invitation_views as invitations,
)
from conference.ucwa.conversations import (
    lobby_views as lobby,
)
from conference.ucwa.conversations import (
    media_views as media,
)
from conference.ucwa.conversations import (
    meeting_views as online_meeting,
)
from conference.ucwa.conversations import (
    participant_views as participants,
)
from conference.ucwa.conversations import (
    views as conversations,
)
from conference.ucwa.conversations.communication_views import CommunicationViews
from conference.ucwa.conversations.invitation_views import InvitationViews
from conference.ucwa.conversations.joining import JoiningService
from conference.ucwa.conversations.lobby_views import LobbyViews
from conference.ucwa.conversations.media_views import MediaViews
from conference.ucwa.conversations.meeting_views import OnlineMeetingViews
from conference.ucwa.conversations.observer import ConversationWatch, Limits
from conference.ucwa.conversations.participant_views import ParticipantViews
from conference.ucwa.conversations.service import ConversationService
from conference.ucwa.conversations.views import ConversationViews
from conference.ucwa.engine import routes, spelling, token, urls
from conference.ucwa.engine.batch import OUTSTANDING_MOST, Batches
from conference.ucwa.engine.call import Endpoint
from conference.ucwa.engine.dispatch import Dispatch
from conference.ucwa.engine.news import News
from conference.ucwa.engine.origin import Origin
from conference.ucwa.engine.refusals import PREFIXES, Refusals
from conference.ucwa.meetings import (
    extension_views as extensions,
)
from conference.ucwa.meetings import (
    settings_views as online_meeting_settings,
)
from conference.ucwa.meetings import (
    views as online_meetings,
)
from conference.ucwa.meetings.extension_service import ExtensionService
from conference.ucwa.meetings.extension_views import ExtensionViews
from conference.ucwa.meetings.rules import Announcement, Defaults, Site, Switch
from conference.ucwa.meetings.service import OnlineMeetingService
from conference.ucwa.meetings.settings_views import OnlineMeetingSettingsViews
from conference.ucwa.people import hub as people
from conference.ucwa.people import me_views as me
from conference.ucwa.people.composition import People
from config.settings import Settings
from schemas.errors import Problem

_ABOUT = """\
UCWA is another way to the same meetings: begin at `/ucwa` and follow links, in JSON or XML. Its addresses are
listed here to be looked up, not to be built; its refusals have the form of `Fault`.
"""


class Ucwa(Family):
    name = "ucwa"
    prefixes: Sequence[str] = (*PREFIXES, oauth.PREFIX)
    open_paths: Collection[str] = urls.PUBLIC
    sign_in_paths: Collection[str] = (urls.TOKEN,)
    token_mark = token.MARK
    guests_join_at = urls.ROOT
    about = _ABOUT

    def __init__(self, shared: Shared) -> None:
        self._settings = settings = shared.settings
        self._secret = shared.secret
        self._outstanding = Outstanding(shared.link, OUTSTANDING_MOST)
        self._now = shared.now
        self._lobby_wait = timedelta(seconds=settings.ucwa_lobby_wait)
        self.applications = ApplicationService(
            shared.pool,
            shared.channels,
            _rules(settings),
            now=shared.now,
            new_id=shared.new_id,
        )
        self.people = People(
            shared.pool,
            shared.relay,
            settings,
            _site(settings).domain,
            shared.now,
            shared.new_id,
        )
        self.applications.on_ended.append(self.people.application_ended)
        self.events = EventService(self.applications, shared.channels)
        self.events.on_resumed.append(self.people.application_resumed)
        self.online_meetings = _online_meetings(shared)
        self.extensions = ExtensionService(shared.pool)
        self.meeting_settings = OnlineMeetingSettingsViews(settings)
        self.sign_in = _sign_in(shared, self.online_meetings)
        self.conversations = ConversationService(
            shared.pool,
            shared.meetings,
            shared.media,
            _site(settings).domain,
            everyone=settings.ucwa_people_everyone,
        )
        self.communication = CommunicationViews(
            CommunicationService(shared.pool, shared.relay, shared.now, shared.new_id),
            JoiningService(
                shared.pool,
                shared.changes,
                shared.placement,
                self.online_meetings,
                shared.now,
            ),
            self.applications,
        )
        self.observers: Sequence[Observer] = [_watch(settings)]
        self._refusals = Refusals(Origin(settings.public_url))

    def operations(self) -> list[Operation]:
        """Every endpoint of the family."""
        settings = self._settings
        endpoints = self._endpoints()
        dispatch = Dispatch(self.applications, settings)
        batches = Batches(dispatch, endpoints, self._outstanding)
        return [
            oauth.operation(
                TokenView(self.sign_in, TokenVerifier(self._secret), settings.ucwa_answer_within)
            ),
            *routes.operations(
                [*endpoints, batches.endpoint()],
                dispatch,
                origin=Origin(settings.public_url),
                read_within=settings.ucwa_answer_within,
            ),
        ]

    def add_routes(self, router: UrlDispatcher) -> None:
        spelling.add_routes(router)

    def spelled(self, path: str) -> str:
        return spelling.spelled(path)

    def render(self, request: web.Request, status: int, problem: Problem) -> web.Response:
        """As OAuth has it where tokens are given out."""
        if _is_under(oauth.PREFIX, spelling.spelled(request.path)):
            return oauth.render(request, status, problem)
        return self._refusals.render(request, status, problem)

    def cookie_token(self, request: web.Request) -> str | None:
        return token.in_cookie(request)

    def admits_guests(self, path: str) -> bool:
        return not _is_under(oauth.PREFIX, path)

    async def owned(self, channels: Collection[UUID]) -> Collection[UUID]:
        """Those of applications."""
        return await self.applications.owned(channels)

    async def channel_closed(self, channel: UUID) -> None:
        await self.applications.channel_closed(channel)

    @classmethod
    def shortest_silence(cls, settings: Settings) -> float:
        return settings.ucwa_application_idle

    async def sweep(self) -> None:
        """One round of what no request does. What one part raises costs the others nothing."""
        await alone("applications", self.applications.sweep())
        await alone("sign-in", self.sign_in.sweep())
        await alone("people", self.people.sweep())
        await alone("lobbies", self.conversations.sweep(self._now() - self._lobby_wait))

    def _endpoints(self) -> list[Endpoint]:
        return [
            *discovery.endpoints(),
            *application_views.endpoints(ApplicationViews(self.applications, self._dashboard())),
            *policies.endpoints(),
            *events.endpoints(self._event_views()),
            *communication.endpoints(self.communication),
            *self._conversations(),
            *self._online_meetings(),
            *self.people.endpoints(),
        ]

    def _conversations(self) -> list[Endpoint]:
        service = self.conversations
        return [
            *invitations.endpoints(InvitationViews(service)),
            *conversations.endpoints(ConversationViews(service)),
            *participants.endpoints(ParticipantViews(service), service),
            *lobby.endpoints(LobbyViews(service)),
            *online_meeting.endpoints(self._joined()),
            *media.endpoints(MediaViews(service)),
        ]

    def _online_meetings(self) -> list[Endpoint]:
        settings = self._settings
        own = online_meetings.OnlineMeetingViews(self.online_meetings, self.extensions, settings)
        joined = self._joined()
        strict = settings.ucwa_strict_put
        of_own = ExtensionViews(self.extensions, own.attached, strict=strict)
        of_joined = ExtensionViews(self.extensions, joined.attached, strict=strict)
        return [
            *online_meeting_settings.endpoints(self.meeting_settings),
            *online_meetings.endpoints(own),
            *extensions.endpoints(of_own, online_meetings.EXTENSIONS, anonymous=False),
            *extensions.endpoints(of_joined, online_meeting.EXTENSIONS, anonymous=True),
        ]

    def _joined(self) -> OnlineMeetingViews:
        """Meetings as those in them see them."""
        return OnlineMeetingViews(
            self.conversations,
            self.online_meetings,
            self.people.directory,
            dial_in=self._settings.ucwa_dial_in_number is not None,
        )

    def _event_views(self) -> EventViews:
        settings = self._settings
        default = DefaultTerms(
            timeout=settings.ucwa_poll_timeout,
            medium=settings.ucwa_hold_medium,
            low=settings.ucwa_hold_low,
        )
        news = News([conversation_news.NEWS, me.NEWS, people.NEWS])
        return EventViews(self.events, news, default, settings.ucwa_resume_after)

    def _dashboard(self) -> dict[str, Hub]:
        """What the application embeds, in the order shown."""
        return {
            **self.people.dashboard(),
            "onlineMeetings": self.meeting_settings.hub,
            "communication": self.communication.shown,
        }


def _is_under(prefix: str, path: str) -> bool:
    return path.lower().startswith(prefix.lower())


def _rules(settings: Settings) -> Rules:
    return Rules(
        most=settings.ucwa_applications_max,
        idle=settings.ucwa_application_idle,
        activity_idle=settings.ucwa_activity_idle,
        remembered=settings.ucwa_tombstones,
        refused=settings.ucwa_refused_user_agents,
    )


def _site(settings: Settings) -> Site:
    """Where clients find us; SIP URIs of people without an e-mail address are of the same host."""
    url = settings.public_url or f"http://{settings.http_host}:{settings.http_port}"
    return Site(domain=urlsplit(url).hostname or "localhost", public_url=url.rstrip("/"))


def _online_meetings(shared: Shared) -> OnlineMeetingService:
    settings = shared.settings
    return OnlineMeetingService(
        shared.pool,
        shared.relay,
        shared.changes,
        shared.meetings,
        _site(settings),
        Defaults(
            access_level=AccessLevel(settings.ucwa_access_level),
            automatic_leader_assignment=LeaderAssignment(settings.ucwa_leader_assignment),
            entry_exit_announcement=Announcement(settings.ucwa_announcements[0]),
            lobby_bypass_for_phone_users=Switch.DISABLED,
            phone_user_admission=Switch.DISABLED,
            lifetime=timedelta(seconds=settings.ucwa_meeting_lifetime),
        ),
        most=settings.ucwa_meetings_max,
        assigned=settings.ucwa_assigned_meetings,
        clock=shared.now,
        new_id=shared.new_id,
    )


def _sign_in(shared: Shared, online_meetings: OnlineMeetingService) -> SignIn:
    settings = shared.settings
    return SignIn(
        shared.pool,
        online_meetings,
        shared.secret,
        lifetime=_within(settings, settings.ucwa_token_lifetime),
        anonymous_lifetime=_within(settings, settings.ucwa_anonymous_token_lifetime),
        now=shared.now,
        new_id=shared.new_id,
    )


def _within(settings: Settings, seconds: float) -> timedelta:
    """A token that we would not take ourselves is not given out."""
    return timedelta(seconds=min(seconds, settings.token_lifetime_max))


def _watch(settings: Settings) -> ConversationWatch:
    limits = Limits(participants=settings.ucwa_meeting_size_max, lobby=settings.ucwa_lobby_size_max)
    return ConversationWatch(limits, _site(settings).domain, everyone=settings.ucwa_people_everyone)
