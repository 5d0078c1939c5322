"""myOnlineMeetings, myOnlineMeeting, myAssignedOnlineMeeting: what an organizer schedules and decides."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from conference.domain.door import AccessLevel, LeaderAssignment
from conference.errors import NotFound
from conference.ucwa import sip
from conference.ucwa.engine import etags
from conference.ucwa.engine.call import Call, Endpoint, Reply, Scope
from conference.ucwa.engine.inputs import Choice, Inputs, wrong
from conference.ucwa.engine.resource import Link, Resource, Value
from conference.ucwa.meetings import extension_views as extension_views
from conference.ucwa.meetings.extension_rules import Extension
from conference.ucwa.meetings.extension_service import ExtensionService
from conference.ucwa.meetings.extension_views import Attached
from conference.ucwa.meetings.rules import Announcement, OnlineMeeting, Switch, Wishes
from conference.ucwa.meetings.service import OnlineMeetingService
from config.settings import Settings

MEETINGS = "onlineMeetings/myOnlineMeetings"
ONE = f"{MEETINGS}/{{onlineMeetingId}}"
EXTENSIONS = f"{ONE}/onlineMeetingExtensions"
ASSIGNED = "onlineMeetings/myAssignedOnlineMeeting"

_MANAGE: frozenset[Scope] = frozenset(("Meetings.ReadWrite",))
_USE: frozenset[Scope] = frozenset(
    ("Conversations.Initiate", "Conversations.Receive", "Meetings.ReadWrite")
)
_SUBJECT_LONGEST = 1024
_DESCRIPTION_LONGEST = 8192
_UNSET = "none"


class OnlineMeetingViews:
    def __init__(
        self, service: OnlineMeetingService, extensions: ExtensionService, settings: Settings
    ) -> None:
        self._service = service
        self._extensions = extensions
        self._settings = settings

    async def all(self, call: Call) -> Reply:
        found = await self._service.of_organizer(call.caller.user_id)
        data = await self._extensions.of_meetings([meeting.meeting_id for meeting in found])
        shown = [resource(meeting, data.get(meeting.meeting_id, [])) for meeting in found]
        return Reply(resource=collection(shown))

    async def create(self, call: Call) -> Reply:
        created = await self._service.create(call.caller.user_id, self._wishes(call.inputs))
        shown = resource(created, [])
        return Reply(status=201, resource=shown, location=shown.href, etag=shown.etag)

    async def get(self, call: Call) -> Reply:
        return await self._reply(await self._asked(call))

    async def put(self, call: Call) -> Reply:
        def check(current: OnlineMeeting) -> None:
            call.require_match(etags.of(resource(current, [])))

        key = await self._key(call)
        wishes = self._wishes(call.inputs)
        changed = await self._service.put(call.caller.user_id, key, wishes, check)
        return await self._reply(changed)

    async def delete(self, call: Call) -> Reply:
        if call.conditional:
            call.require_match(etags.of(resource(await self._asked(call), [])))
        await self._service.delete(call.caller.user_id, await self._key(call))
        return Reply(status=204)

    async def attached(self, call: Call) -> Attached:
        """Where the extensions of the meeting in the path are. Also for those who do not organize it: they are
        shown what concerns them."""
        meeting = await self._service.by_key(call.params["onlineMeetingId"])
        if meeting is None:
            raise NotFound("there is no such online meeting")
        address = _extensions_of(meeting.online_meeting_id)
        return Attached(meeting_id=meeting.meeting_id, address=address)

    async def _asked(self, call: Call) -> OnlineMeeting:
        key = call.params.get("onlineMeetingId")
        if key is None:
            return await self._service.assigned(call.caller.user_id)
        return await self._service.get(call.caller.user_id, key)

    async def _key(self, call: Call) -> str:
        key = call.params.get("onlineMeetingId")
        if key is not None:
            return key
        return (await self._service.assigned(call.caller.user_id)).online_meeting_id

    async def _reply(self, meeting: OnlineMeeting) -> Reply:
        data = await self._extensions.of_meetings([meeting.meeting_id])
        shown = resource(meeting, data.get(meeting.meeting_id, []))
        return Reply(resource=shown, etag=shown.etag)

    def _wishes(self, inputs: Inputs) -> Wishes:
        """What is absent stays None: the default."""
        allowed = self._settings
        return Wishes(
            subject=inputs.text("subject", _SUBJECT_LONGEST),
            description=inputs.text("description", _DESCRIPTION_LONGEST),
            access_level=_access_level(inputs, allowed.ucwa_access_levels),
            automatic_leader_assignment=_eligible(
                inputs,
                "automaticLeaderAssignment",
                LeaderAssignment,
                allowed.ucwa_leader_assignments,
            ),
            entry_exit_announcement=_eligible(
                inputs, "entryExitAnnouncement", Announcement, allowed.ucwa_announcements
            ),
            lobby_bypass_for_phone_users=inputs.choice("lobbyBypassForPhoneUsers", Switch),
            phone_user_admission=inputs.choice("phoneUserAdmission", Switch),
            attendees=_addresses(inputs, "attendees"),
            leaders=_addresses(inputs, "leaders"),
            expiration=inputs.date("expirationTime"),
        )


# --- in ---------------------------------------------------------------------------------------


def _access_level(inputs: Inputs, allowed: Collection[str]) -> AccessLevel | None:
    """None is a value too, and leaves it to the default."""
    if (inputs.text("accessLevel") or "").lower() == _UNSET:
        return None
    return _eligible(inputs, "accessLevel", AccessLevel, allowed)


def _eligible(
    inputs: Inputs, name: str, kind: type[Choice], allowed: Collection[str]
) -> Choice | None:
    found = inputs.choice(name, kind)
    if found is not None and found.value not in allowed:
        raise wrong(name, f"{found.value} is not eligible, but {', '.join(allowed)}")
    return found


def _addresses(inputs: Inputs, name: str) -> tuple[str, ...]:
    try:
        return tuple(sip.address(uri) for uri in inputs.texts(name) or ())
    except ValueError as error:
        raise wrong(name, str(error)) from None


# --- out --------------------------------------------------------------------------------------


def collection(shown: Sequence[Resource]) -> Resource:
    embedded = {
        rel: found
        for rel in ("myOnlineMeeting", "myAssignedOnlineMeeting")
        if (found := [one for one in shown if one.rel == rel])
    }
    return Resource(rel="myOnlineMeetings", href=MEETINGS, embedded=embedded)


def resource(meeting: OnlineMeeting, extensions: Sequence[Extension]) -> Resource:
    assigned = meeting.rel == "myAssignedOnlineMeeting"
    rel = "myAssignedOnlineMeeting" if assigned else "myOnlineMeeting"
    data = _extensions_of(meeting.online_meeting_id)
    return etags.tagged(
        Resource(
            rel=rel,
            href=ASSIGNED if assigned else f"{MEETINGS}/{meeting.online_meeting_id}",
            properties={
                **_properties(meeting),
                **etags.put_token(rel, meeting.online_meeting_id),
            },
            links={"onlineMeetingExtensions": Link(data)},
            embedded={
                extension_views.REL: [
                    extension_views.resource(extension, data, extension.id)
                    for extension in extensions
                ]
            }
            if extensions
            else {},
        )
    )


def _properties(meeting: OnlineMeeting) -> dict[str, Value]:
    found: dict[str, Value | None] = {
        "accessLevel": meeting.access_level.value,
        "attendees": meeting.attendees,
        "automaticLeaderAssignment": meeting.automatic_leader_assignment.value,
        "conferenceId": meeting.conference_id,
        "description": meeting.description,
        "entryExitAnnouncement": meeting.entry_exit_announcement.value,
        "expirationTime": meeting.expiration,
        "joinUrl": meeting.join_url,
        "leaders": meeting.leaders,
        "legacyOnlineMeetingUri": meeting.legacy_uri,
        "lobbyBypassForPhoneUsers": meeting.lobby_bypass_for_phone_users.value,
        "onlineMeetingId": meeting.online_meeting_id,
        "onlineMeetingRel": meeting.rel,
        "onlineMeetingUri": meeting.uri,
        "organizerUri": meeting.organizer_uri,
        "phoneUserAdmission": meeting.phone_user_admission.value,
        "subject": meeting.subject,
    }
    return {name: value for name, value in found.items() if value is not None}


def _extensions_of(online_meeting_id: str) -> str:
    return EXTENSIONS.format(onlineMeetingId=online_meeting_id)


# --- the table --------------------------------------------------------------------------------

_INPUTS = {
    "subject": "what it is about",
    "description": "more about it",
    "accessLevel": "who walks in: Everyone, SameEnterprise, Invited, Locked; None leaves it to the default",
    "automaticLeaderAssignment": "who leads on entering: Disabled, SameEnterprise, Everyone",
    "attendees": "SIP URIs of those invited",
    "leaders": "SIP URIs of those who lead, besides the organizer",
    "expirationTime": "when it may be removed: from one year ago to ten years from now",
    "entryExitAnnouncement": "Unsupported, Disabled, Enabled",
    "lobbyBypassForPhoneUsers": "Disabled, Enabled",
    "phoneUserAdmission": "Disabled, Enabled",
}


def endpoints(views: OnlineMeetingViews) -> list[Endpoint]:
    return [
        Endpoint(
            method="GET",
            path=MEETINGS,
            view=views.all,
            rel="myOnlineMeetings",
            summary="The online meetings that you organize",
            scopes=_MANAGE,
            anonymous=False,
        ),
        Endpoint(
            method="POST",
            path=MEETINGS,
            view=views.create,
            rel="myOnlineMeetings",
            summary="Schedule an online meeting",
            scopes=_MANAGE,
            inputs=_INPUTS,
            anonymous=False,
            returns=201,
        ),
        *_one(views, ONE, "myOnlineMeeting", "an online meeting of yours"),
        *_one(
            views, ASSIGNED, "myAssignedOnlineMeeting", "the online meeting that is yours to stay"
        ),
    ]


def _one(views: OnlineMeetingViews, path: str, rel: str, what: str) -> list[Endpoint]:
    return [
        Endpoint(
            method="GET",
            path=path,
            view=views.get,
            rel=rel,
            summary=f"Read {what}",
            scopes=_USE,
            anonymous=False,
        ),
        Endpoint(
            method="PUT",
            path=path,
            view=views.put,
            rel=rel,
            summary=f"Change {what}: what is left out returns to its default",
            scopes=_USE,
            inputs=_INPUTS,
            anonymous=False,
        ),
        Endpoint(
            method="DELETE",
            path=path,
            view=views.delete,
            rel=rel,
            summary=f"Remove {what}, with everything attached to it",
            scopes=_USE,
            anonymous=False,
            returns=204,
        ),
    ]
