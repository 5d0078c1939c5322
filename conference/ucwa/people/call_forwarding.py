"""callForwardingSettings: kept for the user's programs. Nobody is called by phone here."""

from __future__ import annotations

from conference.domain.directory import (
    ActivePeriod,
    CallForwarding,
    CallForwardingState,
    UnansweredCallHandling,
)
from conference.ucwa.engine import etags
from conference.ucwa.engine.call import Call, Endpoint, Reply, Scope
from conference.ucwa.engine.resource import Link, Resource
from conference.ucwa.people import hrefs as hrefs
from conference.ucwa.people.me_service import MeService

_SCOPES: frozenset[Scope] = frozenset(("User.ReadWrite",))


class CallForwardingViews:
    def __init__(self, service: MeService) -> None:
        self._service = service

    async def get(self, call: Call) -> Reply:
        return _reply(await self._service.forwarding(call.app.user_id), call)

    async def put(self, call: Call) -> Reply:
        inputs, default = call.inputs, CallForwarding()
        wanted = CallForwarding(
            active_period=inputs.choice("activePeriod", ActivePeriod) or default.active_period,
            active_setting=inputs.choice("activeSetting", CallForwardingState)
            or default.active_setting,
            unanswered_call_handling=inputs.choice("unansweredCallHandling", UnansweredCallHandling)
            or default.unanswered_call_handling,
        )
        return _reply(
            await self._service.set_forwarding(
                call.app.user_id,
                _consistent(wanted),
                lambda before: call.require_match(etags.of(_settings(before, call))),
            ),
            call,
        )

    async def turn_off(self, call: Call) -> Reply:
        await self._service.set_forwarding(call.app.user_id, CallForwarding(), lambda _: None)
        return Reply(status=204)


def endpoints(views: CallForwardingViews) -> list[Endpoint]:
    return [
        Endpoint(
            method="GET",
            path=hrefs.CALL_FORWARDING,
            view=views.get,
            rel="callForwardingSettings",
            summary="Where the user's calls go",
            scopes=_SCOPES,
            anonymous=False,
        ),
        Endpoint(
            method="PUT",
            path=hrefs.CALL_FORWARDING,
            view=views.put,
            rel="callForwardingSettings",
            summary="Say where the user's calls go",
            scopes=_SCOPES,
            anonymous=False,
            inputs={
                "activePeriod": "Always or Workhours",
                "activeSetting": "None, ImmediateForward or SimultaneousRing",
                "unansweredCallHandling": "Enabled or Disabled",
            },
        ),
        Endpoint(
            method="POST",
            path=hrefs.TURN_OFF_CALL_FORWARDING,
            view=views.turn_off,
            rel="turnOffCallForwarding",
            summary="Forward no calls",
            scopes=_SCOPES,
            anonymous=False,
            returns=204,
        ),
    ]


def _consistent(wanted: CallForwarding) -> CallForwarding:
    """What is forwarded at once is never unanswered."""
    if wanted.active_setting is not CallForwardingState.IMMEDIATE_FORWARD:
        return wanted
    return CallForwarding(active_period=wanted.active_period, active_setting=wanted.active_setting)


def _reply(given: CallForwarding, call: Call) -> Reply:
    shown = etags.tagged(_settings(given, call))
    return Reply(resource=shown, etag=shown.etag)


def _settings(given: CallForwarding, call: Call) -> Resource:
    return Resource(
        rel="callForwardingSettings",
        href=hrefs.CALL_FORWARDING,
        properties={
            "activePeriod": given.active_period.value,
            "activeSetting": given.active_setting.value,
            "unansweredCallHandling": given.unanswered_call_handling.value,
            **etags.put_token("callForwardingSettings", str(call.app.user_id)),
        },
        links={"turnOffCallForwarding": Link(hrefs.TURN_OFF_CALL_FORWARDING)},
    )
