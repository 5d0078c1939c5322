"""What a media worker holds, compared with what it should: what it has to be told. Pure.

| the worker holds             | the database says                    | order                |
|------------------------------|--------------------------------------|----------------------|
| a meeting                    | not active, placed elsewhere or anew | CloseMeeting         |
| a user                       | not in the meeting                   | RemovePeer           |
| a user, with one client      | in it with another                   | RemovePeer, that one |
| a microphone, open or closed | the other                            | the flag, once more  |
| a video, offered SETTLED ago | off                                  | StopVideo            |
| no such video                | on                                   | the flag goes off    |

The first four need no patience: the worker was asked first, so the database knows more. A camera's flag is written
after the worker took its offer; until then it is off with good reason. The last one is for two looks in a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

import msgspec

from schemas.sfu import (
    Body,
    CloseMeeting,
    HeldMeeting,
    HeldUser,
    RemovePeer,
    StopVideo,
    VideoKind,
)

SETTLED = 3.0
"""Seconds after which an offer that the worker took has been written down, or never will be."""
KINDS: tuple[VideoKind, ...] = ("video", "screen")


class Entitled(msgspec.Struct, frozen=True, kw_only=True):
    """A participant, as far as a worker has to know: the client's channel, and what is on."""

    client: UUID
    audio: bool
    video: bool
    screen: bool

    def streams(self, kind: VideoKind) -> bool:
        return self.video if kind == "video" else self.screen


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A meeting that is placed on the worker."""

    epoch: int
    users: Mapping[UUID, Entitled]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A command that brings the worker in line."""

    meeting: UUID
    epoch: int
    body: Body


class Microphone(msgspec.Struct, frozen=True, kw_only=True):
    """A microphone that is not as its flag says."""

    meeting: UUID
    user: UUID


class Dark(msgspec.Struct, frozen=True, kw_only=True):
    """A camera or screen whose flag is on and that the worker does not have."""

    meeting: UUID
    epoch: int
    user: UUID
    kind: VideoKind


def together(pages: Iterable[Iterable[HeldMeeting]]) -> list[HeldMeeting]:
    """The pages of a report as one: a meeting may be on several."""
    users: dict[tuple[UUID, int], dict[UUID, HeldUser]] = {}
    for page in pages:
        for meeting in page:
            found = users.setdefault((meeting.meeting, meeting.epoch), {})
            found |= {user.user: user for user in meeting.users}
    return [
        HeldMeeting(meeting=meeting, epoch=epoch, users=list(found.values()))
        for (meeting, epoch), found in users.items()
    ]


def orders(held: Iterable[HeldMeeting], due: Mapping[UUID, Due]) -> Iterator[Order | Microphone]:
    """What the worker has too much of, or otherwise."""
    for meeting in held:
        wanted = due.get(meeting.meeting)
        if wanted is None or wanted.epoch != meeting.epoch:
            yield Order(meeting=meeting.meeting, epoch=meeting.epoch, body=CloseMeeting())
            continue
        for user in meeting.users:
            yield from _of_user(meeting, user, wanted.users.get(user.user))


def dark(held: Iterable[HeldMeeting], due: Mapping[UUID, Due]) -> Iterator[Dark]:
    """What the worker lacks though the database has it on."""
    lit = {
        (meeting.meeting, user.user, kind)
        for meeting in held
        for user in meeting.users
        for kind in KINDS
        if user.published_for(kind) is not None
    }
    for meeting_id, wanted in due.items():
        for user_id, entitled in wanted.users.items():
            for kind in KINDS:
                if entitled.streams(kind) and (meeting_id, user_id, kind) not in lit:
                    yield Dark(meeting=meeting_id, epoch=wanted.epoch, user=user_id, kind=kind)


def _of_user(
    meeting: HeldMeeting, user: HeldUser, entitled: Entitled | None
) -> Iterator[Order | Microphone]:
    if entitled is None or user.client not in (None, entitled.client):
        yield _order(meeting, RemovePeer(user=user.user, client=user.client))
        return
    if user.audio is not None and user.audio != entitled.audio:
        yield Microphone(meeting=meeting.meeting, user=user.user)
    for kind in KINDS:
        published_for = user.published_for(kind)
        if published_for is not None and published_for > SETTLED and not entitled.streams(kind):
            yield _order(meeting, StopVideo(user=user.user, client=user.client, kind=kind))


def _order(meeting: HeldMeeting, body: Body) -> Order:
    return Order(meeting=meeting.meeting, epoch=meeting.epoch, body=body)
