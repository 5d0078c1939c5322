"""Applications: created once for a program, shown as a dashboard, deleted when it exits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from urllib.parse import urlencode

from msgspec.structs import replace

from conference.api.auth import Caller
from conference.ucwa.application import Application, Identity
from conference.ucwa.applications.service import ApplicationService
from conference.ucwa.engine import documents, etags
from conference.ucwa.engine.call import Call, Endpoint, Reply
from conference.ucwa.engine.documents import MethodMetadata, MethodParameter, OptionsMetadata
from conference.ucwa.engine.inputs import wrong
from conference.ucwa.engine.resource import Link, Resource
from conference.ucwa.engine.urls import APPLICATIONS, Place

Hub = Callable[[Application, Caller], Awaitable[Resource]]
"""Builds one of the resources that are embedded in the dashboard."""

_LONGEST = 100
_NETWORK = {
    "chassisID": "of the switch",
    "ip": "the client's address",
    "mac": "the client's address in its network",
    "portID": "of the switch",
    "rssi": "how well the client hears its access point",
    "subnetID": "the client's network",
    "wapBSSID": "which access point that is",
}
"""What else a client tells of its network."""
_METHODS = OptionsMetadata(
    (
        MethodMetadata("GET"),
        MethodMetadata("OPTIONS"),
        MethodMetadata(
            "POST",
            tuple(
                MethodParameter(name)
                for name in ("culture", "endpointId", "instanceId", "type", "userAgent")
            ),
        ),
    )
)


class NetworkType(StrEnum):
    EXTERNAL = "External"
    INTERNAL = "Internal"


class ApplicationViews:
    def __init__(self, service: ApplicationService, dashboard: Mapping[str, Hub]) -> None:
        """`dashboard`: what is embedded, by its rel, in the order shown."""
        self._service = service
        self._dashboard = dashboard

    async def create(self, call: Call) -> Reply:
        inputs = call.inputs
        anonymous = call.caller.meeting is not None
        identity = Identity(
            culture=inputs.required("culture", _LONGEST),
            user_agent=inputs.required("userAgent", _LONGEST),
            endpoint_id=(inputs.text if anonymous else inputs.required)("endpointId", _LONGEST)
            or "",
            type=inputs.text("type", _LONGEST) or "Browser",
        )
        instance_id = inputs.text("instanceId", _LONGEST) or None
        created = await self._service.create(
            call.caller.user_id, identity, instance_id, anonymous=anonymous
        )
        shown = await self._shown(created.application, call.caller, instance_id)
        return Reply(
            status=201 if created.new else 200,
            resource=shown,
            application=created.application,
            location=shown.href,
            etag=shown.etag,
        )

    async def get(self, call: Call) -> Reply:
        shown = await self._shown(call.app, call.caller, call.instance_id)
        return Reply(resource=shown, etag=shown.etag)

    async def delete(self, call: Call) -> Reply:
        if call.conditional:
            shown = await self._shown(call.app, call.caller, call.instance_id)
            call.require_match(etags.of(shown))
        await self._service.delete(call.app, call.instance_id)
        return Reply(status=204)

    async def all(self, call: Call) -> Reply:
        """Each instance of the caller's as it sees itself; what is embedded in it is there to be fetched."""
        found = await self._service.of(call.caller.user_id)
        shown = [_listed(application, instance) for application, instance in found]
        return Reply(
            resource=Resource(
                rel="applications", href=APPLICATIONS, embedded={"application": shown}
            )
        )

    async def options(self, call: Call) -> Reply:
        return Reply(document=documents.options(_METHODS), headers={"Allow": "GET,OPTIONS,POST"})

    async def report_network(self, call: Call) -> Reply:
        """Where a client is in the network makes no difference to what we offer."""
        inputs = call.inputs
        if inputs.choice("clientNetworkType", NetworkType) is None:
            raise wrong("clientNetworkType", f"is required: {' or '.join(NetworkType)}")
        for name in _NETWORK:
            inputs.text(name)
        return Reply(status=201, location="reportMyNetwork")

    async def _shown(
        self, application: Application, caller: Caller, instance_id: str | None
    ) -> Resource:
        application = replace(application, instance_id=instance_id or "")
        hubs = await asyncio.gather(*(hub(application, caller) for hub in self._dashboard.values()))
        embedded = dict(zip(self._dashboard, hubs, strict=True))
        return etags.tagged(dashboard(application, instance_id, embedded))


def _listed(application: Application, instance_id: str) -> Resource:
    """With addresses that need no application to be relative to."""
    shown, place = dashboard(application, instance_id or None, {}), Place(application.id)
    links = {
        rel: replace(link, href=place.href(link.href))
        for rel, link in shown.links.items()
        if isinstance(link, Link)
    }
    return replace(shown, href=place.href(shown.href), links=links)


def dashboard(
    application: Application, instance_id: str | None, embedded: Mapping[str, Resource]
) -> Resource:
    """The application as one of its instances sees it."""
    own = {"instanceId": instance_id} if instance_id else {}
    named = {"endpointId": application.endpoint_id} if application.endpoint_id else {}
    links = {
        "batch": Link("batch"),
        "events": Link(f"events?{urlencode({'ack': 1, **own})}"),
        "policies": Link("policies"),
    }
    if not application.anonymous:
        links["reportMyNetwork"] = Link("reportMyNetwork")
    return Resource(
        rel="application",
        href=f"?{urlencode(own)}" if own else "",
        properties={
            "culture": application.culture,
            "userAgent": application.user_agent,
            "type": application.type,
            "id": application.id,
            **named,
            **own,
        },
        links=links,
        embedded=embedded,
    )


def endpoints(views: ApplicationViews) -> list[Endpoint]:
    inputs = {
        "culture": "required: the program's language, as en-US; at most 100 characters, as are all of these",
        "userAgent": "required: what the program calls itself",
        "endpointId": "names the device; required but of anonymous callers",
        "instanceId": "names a tab or process, which gets an event channel of its own",
        "type": "Browser, when absent",
    }
    instance = {"instanceId": "which instance of the application asks"}
    return [
        Endpoint(
            method="POST",
            path=APPLICATIONS,
            view=views.create,
            rel="applications",
            summary="Create an application, or find the one of the same culture, userAgent, endpointId and type",
            inputs=inputs,
            revision=2,
            returns=201,
            returns_known=200,
        ),
        Endpoint(
            method="GET",
            path=APPLICATIONS,
            view=views.all,
            rel="applications",
            summary="Your applications, each of their instances",
            revision=2,
        ),
        Endpoint(
            method="OPTIONS",
            path=APPLICATIONS,
            view=views.options,
            rel="applications",
            summary="What can be done there",
            revision=2,
            document=documents.OptionsMetadata,
        ),
        Endpoint(
            method="GET",
            path="",
            view=views.get,
            rel="application",
            summary="The application as a dashboard of what it can do",
            query=instance,
        ),
        Endpoint(
            method="DELETE",
            path="",
            view=views.delete,
            rel="application",
            summary="Drop an instance; with the last one the application ends",
            query=instance,
            returns=204,
        ),
        Endpoint(
            method="POST",
            path="reportMyNetwork",
            view=views.report_network,
            rel="reportMyNetwork",
            summary="Tell where in the network the program is",
            anonymous=False,
            inputs={
                "clientNetworkType": f"required: {' or '.join(NetworkType)}",
                **{name: f"read, and not used: {what}" for name, what in _NETWORK.items()},
            },
            returns=201,
            empty=True,
        ),
    ]
