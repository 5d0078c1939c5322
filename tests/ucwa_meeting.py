"""Programs that meet: joining over UCWA, and what they are told in short."""

from __future__ import annotations

from rig_meetings import Api, Json
from ucwa_rig import Answer, Program, told


async def program(api: Api, name: str, *, xml: bool = False, **inputs: Json) -> Program:
    """With an application, whose events have been read so far."""
    found = Program(api, name, xml=xml)
    await found.start(**inputs)
    return found


async def scheduled(organizer: Program, **inputs: Json) -> str:
    """The onlineMeetingUri of a new online meeting with a lobby: nobody but the organizer walks in."""
    address = (await organizer.dashboard()).link("onlineMeetings", "myOnlineMeetings")
    created = await organizer.post(
        address, {"subject": "Planning", "accessLevel": "Locked", **inputs}
    )
    assert created.status == 201, created
    return str(created.json["onlineMeetingUri"])


async def join(program: Program, uri: str, **inputs: Json) -> Answer:
    """The answer to joining."""
    address = (await program.dashboard()).link("communication", "joinOnlineMeeting")
    return await program.post(address, {"onlineMeetingUri": uri, **inputs})


async def joined(program: Program, uri: str, **inputs: Json) -> Answer:
    """The conversation that joining began."""
    begun = await join(program, uri, **inputs)
    assert begun.status == 201, begun
    invitation = await program.get(begun.headers["Location"])
    return await program.get(invitation.link("conversation"))


async def started(program: Program, **inputs: Json) -> Answer:
    """The conversation of a new ad-hoc meeting."""
    begun = await program.post(
        (await program.dashboard()).link("communication", "startOnlineMeeting"), inputs
    )
    assert begun.status == 201, begun
    invitation = await program.get(begun.headers["Location"])
    return await program.get(invitation.link("conversation"))


async def uri_of(program: Program, conversation: Answer) -> str:
    return str((await program.get(conversation.link("onlineMeeting"))).json["onlineMeetingUri"])


async def news(program: Program) -> list[str]:
    """What the program was told since it read last."""
    return told(await program.events())


def many(found: Json) -> list[Json]:
    """XML does not tell one from many."""
    return found if isinstance(found, list) else [found]


def hrefs(links: Json) -> list[str]:
    return [link["href"] for link in many(links)]


ENTERED = [
    "started onlineMeetingInvitation",
    "added conversation",
    "added localParticipant",
    "added onlineMeeting in conversation",
    "updated conversation",
]
"""What comes first of all, in the lobby as in the meeting."""
