"""onlineMeeting: the meeting of a conversation, read-only."""

from __future__ import annotations

from conference.errors import NotFound
from conference.ucwa import sip
from conference.ucwa.conversations import hrefs
from conference.ucwa.conversations.path import EITHER, conversation_id
from conference.ucwa.conversations.service import ConversationService
from conference.ucwa.engine.call import Call, Endpoint, Reply
from conference.ucwa.engine.resource import Link, Resource, Value
from conference.ucwa.meetings.extension_views import Attached
from conference.ucwa.meetings.rules import OnlineMeeting
from conference.ucwa.meetings.service import OnlineMeetingService
from conference.ucwa.meetings.settings_views import PHONE
from conference.ucwa.people import hrefs as people_hrefs
from conference.ucwa.people.directory import Directory

EXTENSIONS = "communication/conversations/{conversationId}/onlineMeeting/extensions"


class OnlineMeetingViews:
    def __init__(
        self,
        service: ConversationService,
        online_meetings: OnlineMeetingService,
        directory: Directory,
        *,
        dial_in: bool,
    ) -> None:
        """`dial_in`: whether there is a number to call."""
        self._service = service
        self._online_meetings = online_meetings
        self._directory = directory
        self._dial_in = dial_in

    async def get(self, call: Call) -> Reply:
        found = await self._service.get(call.app, conversation_id(call))
        shown = await self._online_meetings.of_meeting(found.meeting.id)
        if shown is None:
            raise NotFound("the meeting is over")
        organizer = await self._contact(call, shown)
        inside = found.sight.standing == "in"
        dial_in = self._dial_in and not call.app.anonymous
        return Reply(
            resource=online_meeting(shown, inside=inside, organizer=organizer, dial_in=dial_in)
        )

    async def _contact(self, call: Call, shown: OnlineMeeting) -> str | None:
        """The organizer's address, where the caller finds them in the directory."""
        if call.app.anonymous:
            return None
        address = sip.address(shown.organizer_uri)
        return address if await self._directory.find_all(call.app.user_id, [address]) else None

    async def attached(self, call: Call) -> Attached:
        """Where the extensions of the conversation's meeting are. Raises NotFound in the lobby."""
        found = await self._service.get(call.app, conversation_id(call))
        if found.sight.standing != "in":
            raise NotFound("you are not in the meeting yet")
        address = f"{hrefs.online_meeting(found.meeting.id)}/extensions"
        return Attached(meeting_id=found.meeting.id, address=address)


def online_meeting(
    shown: OnlineMeeting, *, inside: bool, organizer: str | None = None, dial_in: bool = False
) -> Resource:
    """`inside`: whether its viewer is in. Who is invited, and what is attached, is not for the lobby. `organizer`:
    the address of a contact. `dial_in`: whether its viewer may read which number to call."""
    href = hrefs.online_meeting(shown.meeting_id)
    properties: dict[str, Value] = {
        "accessLevel": shown.access_level.value,
        "automaticLeaderAssignment": shown.automatic_leader_assignment.value,
        "conferenceId": shown.conference_id,
        "description": shown.description or "",
        "entryExitAnnouncement": shown.entry_exit_announcement.value,
        "joinUrl": shown.join_url,
        "largeMeeting": "Disabled",
        "legacyOnlineMeetingUri": shown.legacy_uri,
        "lobbyBypassForPhoneUsers": shown.lobby_bypass_for_phone_users.value,
        "onlineMeetingId": shown.online_meeting_id,
        "onlineMeetingRel": shown.rel,
        "onlineMeetingUri": shown.uri,
        "organizerName": shown.organizer_name,
        "organizerUri": shown.organizer_uri,
        "phoneUserAdmission": shown.phone_user_admission.value,
        "subject": shown.subject,
    }
    if shown.expiration is not None:
        properties["expirationTime"] = shown.expiration
    links = {"conversation": Link(hrefs.conversation(shown.meeting_id))}
    if organizer is not None:
        links["organizer"] = Link(people_hrefs.contact(organizer))
    if dial_in:
        links["phoneDialInInformation"] = Link(PHONE)
    if inside:
        properties["attendees"] = list(shown.attendees)
        properties["leaders"] = list(shown.leaders)
        links["onlineMeetingExtensions"] = Link(f"{href}/extensions")
    return Resource(rel="onlineMeeting", href=href, properties=properties, links=links)


def endpoints(views: OnlineMeetingViews) -> list[Endpoint]:
    return [
        Endpoint(
            method="GET",
            path="communication/conversations/{conversationId}/onlineMeeting",
            view=views.get,
            rel="onlineMeeting",
            summary="The meeting of a conversation, read-only",
            scopes=EITHER,
        )
    ]
