"""The dashboard of online meetings, and what this installation allows, presets and offers for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from conference.api.auth import Caller
from conference.errors import NotFound
from conference.ucwa.application import Application
from conference.ucwa.engine.call import Call, Endpoint, Reply, View
from conference.ucwa.engine.resource import Link, Resource, Value
from conference.ucwa.meetings.views import ASSIGNED, MEETINGS
from config.settings import Settings

DASHBOARD = "onlineMeetings"
_DEFAULTS = f"{DASHBOARD}/defaultValues"
_ELIGIBLE = f"{DASHBOARD}/eligibleValues"
_INVITATION = f"{DASHBOARD}/customInvitation"
_POLICIES = f"{DASHBOARD}/policies"
PHONE = f"{DASHBOARD}/phoneDialInInformation"
_REGION = f"{PHONE}/dialInRegions/{{regionId}}"


class OnlineMeetingSettingsViews:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def hub(self, application: Application, caller: Caller) -> Resource:
        """As the application embeds it."""
        return dashboard(self._settings, anonymous=caller.meeting is not None)

    async def dashboard(self, call: Call) -> Reply:
        return Reply(resource=await self.hub(call.app, call.caller))

    async def policies(self, call: Call) -> Reply:
        return Reply(resource=policies(self._settings))

    async def defaults(self, call: Call) -> Reply:
        return Reply(resource=default_values(self._settings))

    async def eligible(self, call: Call) -> Reply:
        return Reply(resource=eligible_values(self._settings))

    async def invitation(self, call: Call) -> Reply:
        return Reply(resource=invitation(self._settings))

    async def phone(self, call: Call) -> Reply:
        if self._settings.ucwa_dial_in_number is None:
            raise NotFound("nobody can dial in here")
        return Reply(resource=phone(self._settings))

    async def region(self, call: Call) -> Reply:
        regions = {region.href: region for region in _regions(self._settings.ucwa_dial_in_regions)}
        found = regions.get(_REGION.format(regionId=call.params["regionId"]))
        if found is None:
            raise NotFound("there is no such region")
        return Reply(resource=found)


# --- resources --------------------------------------------------------------------------------


def dashboard(settings: Settings, *, anonymous: bool = False) -> Resource:
    """Somebody anonymous organizes nothing."""
    links = {
        "myOnlineMeetings": Link(MEETINGS),
        "onlineMeetingDefaultValues": Link(_DEFAULTS),
        "onlineMeetingEligibleValues": Link(_ELIGIBLE),
        "onlineMeetingInvitationCustomization": Link(_INVITATION),
        "onlineMeetingPolicies": Link(_POLICIES),
    }
    if settings.ucwa_assigned_meetings:
        links["myAssignedOnlineMeeting"] = Link(ASSIGNED)
    if settings.ucwa_dial_in_number is not None:
        links["phoneDialInInformation"] = Link(PHONE)
    return Resource(rel="onlineMeetings", href=DASHBOARD, links={} if anonymous else links)


def policies(settings: Settings) -> Resource:
    """Nothing is recorded or announced here; speech goes over IP, and by telephone where there is a bridge."""
    dialled = settings.ucwa_dial_in_number is not None
    return Resource(
        rel="onlineMeetingPolicies",
        href=_POLICIES,
        properties={
            "entryExitAnnouncement": "Disabled",
            "externalUserMeetingRecording": "Disabled",
            "meetingRecording": "Disabled",
            "meetingSize": settings.ucwa_meeting_size_max,
            "phoneUserAdmission": "Enabled" if dialled else "Disabled",
            "voipAudio": "Enabled",
        },
    )


def default_values(settings: Settings) -> Resource:
    return Resource(
        rel="onlineMeetingDefaultValues",
        href=_DEFAULTS,
        properties={
            "accessLevel": settings.ucwa_access_level,
            "automaticLeaderAssignment": settings.ucwa_leader_assignment,
            "defaultOnlineMeetingRel": "myOnlineMeetings",
            "entryExitAnnouncement": settings.ucwa_announcements[0],
            "lobbyBypassForPhoneUsers": "Disabled",
            "participantsWarningThreshold": settings.ucwa_participants_warning,
        },
    )


def eligible_values(settings: Settings) -> Resource:
    links = {"myOnlineMeetings": Link(MEETINGS)}
    if settings.ucwa_assigned_meetings:
        links["myAssignedOnlineMeeting"] = Link(ASSIGNED)
    return Resource(
        rel="onlineMeetingEligibleValues",
        href=_ELIGIBLE,
        properties={
            "accessLevels": settings.ucwa_access_levels,
            "automaticLeaderAssignments": settings.ucwa_leader_assignments,
            "eligibleOnlineMeetingRels": list(links),
            "entryExitAnnouncements": settings.ucwa_announcements,
            "lobbyBypassForPhoneUsersSettings": ["Disabled", "Enabled"],
        },
        links=links,
    )


def invitation(settings: Settings) -> Resource:
    return Resource(
        rel="onlineMeetingInvitationCustomization",
        href=_INVITATION,
        properties=_given(
            {
                "enterpriseHelpUrl": settings.ucwa_help_url,
                "invitationFooterText": settings.ucwa_invitation_footer,
                "invitationHelpUrl": settings.ucwa_invitation_help_url,
                "invitationLegalUrl": settings.ucwa_invitation_legal_url,
                "invitationLogoUrl": settings.ucwa_invitation_logo_url,
            }
        ),
    )


def phone(settings: Settings) -> Resource:
    return Resource(
        rel="phoneDialInInformation",
        href=PHONE,
        properties=_given(
            {
                "defaultRegion": settings.ucwa_dial_in_region,
                "externalDirectoryUri": settings.ucwa_dial_in_url,
                "internalDirectoryUri": settings.ucwa_dial_in_internal_url,
                "isAudioConferenceProviderEnabled": False,
                "tollFreeNumbers": settings.ucwa_dial_in_toll_free,
                "tollNumber": settings.ucwa_dial_in_number,
            }
        ),
        embedded={"dialInRegion": _regions(settings.ucwa_dial_in_regions)},
    )


def _regions(written: Sequence[str]) -> list[Resource]:
    """Each is `Name;number;languages`."""
    found = []
    for index, text in enumerate(written):
        name, number, languages = (part.strip() for part in f"{text};;".split(";")[:3])
        found.append(
            Resource(
                rel="dialInRegion",
                href=_REGION.format(regionId=index),
                properties={"languages": languages.split(), "name": name, "number": number},
            )
        )
    return found


def _given(values: Mapping[str, Value | None]) -> dict[str, Value]:
    return {name: value for name, value in values.items() if value is not None}


# --- the table --------------------------------------------------------------------------------


def endpoints(views: OnlineMeetingSettingsViews) -> list[Endpoint]:
    return [
        Endpoint(
            method="GET",
            path=DASHBOARD,
            view=views.dashboard,
            rel="onlineMeetings",
            summary="The dashboard of online meetings",
        ),
        _setting(_POLICIES, views.policies, "onlineMeetingPolicies", "What meetings here can"),
        _setting(_DEFAULTS, views.defaults, "onlineMeetingDefaultValues", "What is preset"),
        _setting(_ELIGIBLE, views.eligible, "onlineMeetingEligibleValues", "What may be chosen"),
        _setting(
            _INVITATION,
            views.invitation,
            "onlineMeetingInvitationCustomization",
            "What invitations should carry",
        ),
        _setting(PHONE, views.phone, "phoneDialInInformation", "How to dial in"),
        _setting(_REGION, views.region, "dialInRegion", "The number of a region"),
    ]


def _setting(path: str, view: View, rel: str, summary: str) -> Endpoint:
    return Endpoint(method="GET", path=path, view=view, rel=rel, summary=summary, anonymous=False)
