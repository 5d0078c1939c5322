"""What calls about conversations have in common: the ids in their addresses, and their scopes."""

from __future__ import annotations

from uuid import UUID

from conference.errors import NotFound
from conference.ucwa.engine.call import Call, Scope

INITIATE: frozenset[Scope] = frozenset(("Conversations.Initiate",))
RECEIVE: frozenset[Scope] = frozenset(("Conversations.Receive",))
EITHER = INITIATE | RECEIVE


def conversation_id(call: Call) -> UUID:
    return _id(call, "conversationId")


def user_id(call: Call) -> UUID:
    return _id(call, "userId")


def _id(call: Call, name: str) -> UUID:
    """Raises NotFound: what is no id names nothing."""
    try:
        return UUID(call.params[name])
    except ValueError:
        raise NotFound("there is no such resource") from None
