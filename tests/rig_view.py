"""What a client that only follows events believes about a meeting: to be compared with what it would read."""

from __future__ import annotations

from typing import Any

import msgspec

Json = dict[str, Any]


class View(msgspec.Struct):
    """Without flags for those who are not told of them."""

    active: bool = False
    participants: dict[str, set[str]] = {}
    """Who is in, and what they have on: audio, video, screen."""
    waiting: set[str] = set()

    def apply(self, event: Json) -> None:
        user = event.get("userId", "")
        match event["type"].removeprefix("MEETING_"):
            case "STARTED":
                self.active = True
            case "STOPPED" | "DELETED":
                self.active = False
                self.participants.clear()
                self.waiting.clear()
            case "PARTICIPANT_JOINED":
                self.participants[user] = set()
                self.waiting.discard(user)
            case "PARTICIPANT_LEFT":
                del self.participants[user]
            case "WAITING_PARTICIPANT_JOINED":
                self.waiting.add(user)
            case "WAITING_PARTICIPANT_ACCEPTED" | "WAITING_PARTICIPANT_REJECTED":
                self.waiting.discard(user)
            case "AUDIO_STREAM_CHANGED":
                self._switch(user, "audio", event["active"])
            case "MEDIA_STREAM_CHANGED":
                self._switch(user, event["mediaType"].lower(), event["active"])

    def _switch(self, user: str, stream: str, active: bool) -> None:
        if active:
            self.participants[user].add(stream)
        else:
            self.participants[user].discard(stream)


def read(meeting: Json, waiting: list[str]) -> View:
    """The same, from the meeting and its queue as the API gives them."""
    return View(
        active=meeting["active"],
        participants={
            item["userId"]: {
                stream for stream in ("audio", "video", "screen") if item[f"{stream}StreamEnabled"]
            }
            for item in meeting["participants"]
        },
        waiting=set(waiting),
    )
