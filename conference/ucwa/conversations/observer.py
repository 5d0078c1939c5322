"""Tells UCWA applications of every change of a meeting they are in, whichever API family caused it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from uuid import UUID

import msgspec

from conference.domain.admission import Join
from conference.domain.facts import Audience, Outgoing
from conference.errors import Forbidden
from conference.services.changes import Decided
from conference.storage import users
from conference.storage.meetings import Connection
from conference.ucwa.conversations import rules as rules
from conference.ucwa.conversations import store as conversations
from conference.ucwa.conversations.facts import ConversationNews, Ending, Step
from conference.ucwa.conversations.roster import People, contacts_of, people_in
from conference.ucwa.conversations.rules import Conversation, Scene
from conference.ucwa.conversations.store import Watcher


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How many a meeting and its lobby hold, for those who come by UCWA."""

    participants: int
    lobby: int


class ConversationWatch:
    """An observer of `MeetingChanges`. A meeting without conversations costs it one query."""

    def __init__(self, limits: Limits, domain: str, *, everyone: bool) -> None:
        """`domain`: of the SIP URIs of people without an e-mail address. `everyone`: organisations see each other."""
        self._limits = limits
        self._domain = domain
        self._everyone = everyone

    async def __call__(self, conn: Connection, decided: Decided) -> list[Outgoing]:
        """Raises Forbidden (TooManyParticipants, TooManyLobbyParticipants) for an application that joins."""
        if decided.before == decided.after:
            return []
        watchers = await conversations.watching(conn, decided.before.id)
        if not watchers:
            return []
        self._require_room(decided, watchers)
        before = rules.scene(decided.before)
        after = rules.scene(decided.after) if decided.after else None
        told = [(watcher, rules.news(watcher.conversation, before, after)) for watcher in watchers]
        people = await people_in(
            conn,
            decided.after or decided.before,
            _shown(steps for _, steps in told) | _viewers(told),
            self._domain,
        )
        names = await _names(conn, [steps for _, steps in told])
        await _forget(conn, decided, [watcher.conversation for watcher in watchers])
        return [
            self._outgoing(watcher, steps, people, names, decided, after)
            for watcher, steps in told
            if steps
        ]

    def _outgoing(
        self,
        watcher: Watcher,
        steps: list[Step],
        people: People,
        names: Mapping[UUID, str],
        decided: Decided,
        after: Scene | None,
    ) -> Outgoing:
        conversation = watcher.conversation
        over = rules.standing(conversation, decided.after) == "out"
        shown = _shown([steps])
        contacts = shown & contacts_of(conversation.user_id, people, everyone=self._everyone)
        event = ConversationNews(
            sent_date=decided.at,
            meeting_id=decided.before.id,
            viewer=conversation.user_id,
            conversation=None if over or after is None else rules.view(conversation, after),
            steps=tuple(steps),
            people=tuple(person for user, person in people.items() if user in shown),
            gone={user: names[user] for user in rules.gone(steps) if user in names},
            contacts=tuple(user for user in people if user in contacts),
            invitation=conversation.invitation if _tells_of_joining(steps) else None,
            ending=_ending(conversation, decided) if over else None,
        )
        return Outgoing(event=event, audience=Audience(queues=watcher.queues))

    def _require_room(self, decided: Decided, watchers: list[Watcher]) -> None:
        command, before, after = decided.command, decided.before, decided.after
        if not isinstance(command, Join) or after is None:
            return
        if all(watcher.conversation.queue_id != command.queue_id for watcher in watchers):
            return
        if _grew_beyond(before.participants, after.participants, self._limits.participants):
            raise Forbidden("the meeting is full", code="TooManyParticipants")
        if _grew_beyond(rules.waiting(before), rules.waiting(after), self._limits.lobby):
            raise Forbidden(
                "the lobby of the meeting is full; try again later", code="TooManyLobbyParticipants"
            )


def _grew_beyond(before: Collection[UUID], after: Collection[UUID], limit: int) -> bool:
    return len(after) > limit and len(after) > len(before)


def _shown(told: Iterable[list[Step]]) -> set[UUID]:
    """Whose names the news need: of those who are gone none are shown."""
    return {
        step.user_id
        for steps in told
        for step in steps
        if step.user_id is not None and step.type != "deleted"
    }


async def _names(conn: Connection, told: Iterable[list[Step]]) -> dict[UUID, str]:
    """Of those whose end is told; whoever has none is left out."""
    gone = {user for steps in told for user in rules.gone(steps)}
    found = await users.named(conn, gone) if gone else []
    return {user.id: user.name for user in found if user.name}


def _viewers(told: Iterable[tuple[Watcher, list[Step]]]) -> set[UUID]:
    """Whose company says whom they find in the directory."""
    return {watcher.conversation.user_id for watcher, steps in told if _shown([steps])}


async def _forget(conn: Connection, decided: Decided, watched: Collection[Conversation]) -> None:
    """A conversation is gone once its user is out."""
    over = [item for item in watched if rules.standing(item, decided.after) == "out"]
    if over:
        ids = [item.application_id for item in over]
        await conversations.delete(conn, decided.before.id, ids)


def _tells_of_joining(steps: list[Step]) -> bool:
    return any(step.what == "onlineMeetingInvitation" for step in steps)


def _ending(conversation: Conversation, decided: Decided) -> Ending | None:
    return rules.ending(conversation, decided.before, decided.after, decided.command)
