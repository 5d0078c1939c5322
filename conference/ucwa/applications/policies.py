"""What the operators of this domain allow a program to do, as far as it is for them to say."""

from __future__ import annotations

from conference.ucwa.engine.call import Call, Endpoint, Reply
from conference.ucwa.engine.resource import Resource

ENABLED, DISABLED = "Enabled", "Disabled"

_POLICIES = {
    "allowDeviceContactsSync": DISABLED,
    "audioOnlyOnWifi": DISABLED,
    "callLogArchiving": DISABLED,
    "clientExchangeConnectivity": DISABLED,
    "customerExperienceImprovementProgram": DISABLED,
    "emoticons": DISABLED,
    "encryptAppData": DISABLED,
    "exchangeUnifiedMessaging": DISABLED,
    "htmlMessaging": DISABLED,
    "locationRequired": "No",
    "logging": DISABLED,
    "loggingLevel": "Off",
    "messageArchiving": DISABLED,
    "messagingUrls": DISABLED,
    "multiViewJoin": ENABLED,
    "photos": ENABLED,
    "saveCallLogs": ENABLED,
    "saveCredentials": ENABLED,
    "saveMessagingHistory": DISABLED,
    "sharingOnlyOnWifi": DISABLED,
    "softwareQualityMetrics": DISABLED,
    "telephonyMode": "AudioVideo",
    "useLocationForE911Only": DISABLED,
    "videoOnlyOnWifi": DISABLED,
}


async def _get(call: Call) -> Reply:
    return Reply(resource=Resource(rel="policies", href="policies", properties=_POLICIES))


def endpoints() -> list[Endpoint]:
    return [
        Endpoint(
            method="GET",
            path="policies",
            view=_get,
            rel="policies",
            summary="What programs of this domain may do",
        )
    ]
