"""The names of everything that API processes keep in Redis. Those shared with workers are in schemas/sfu.py."""

from __future__ import annotations

import secrets
from uuid import UUID

STATE = "parley:channel:"
"""+ queue id: hash, a channel's positions and reader. See prelude.lua."""
EVENTS = "parley:events:"
"""+ queue id: list, the events that are not acknowledged, as JSON."""
SEEN = "parley:seen"
"""Sorted set: when each channel was last read, in Redis's own time."""
ADOPTED = "parley:adopted"
"""Present while SEEN is known to hold every channel of the database."""
EVENT = "parley:event:"
"""+ event id: this event was appended."""
WAKE = "parley:wake:"
"""+ process: pub/sub, tokens of parked readers that should read again."""
REPLIES = "parley:replies:"
"""+ process: pub/sub, workers' replies to that process."""
OUTSTANDING = "parley:outstanding:"
"""+ user id: hash, how many requests each batch has under way, and until when that counts."""
NOTICE_LEASE = "parley:notices:leader"
NOTICE_GROUP = "api"
RECONCILING = "parley:reconciling"
"""Present while it is nobody's turn to compare workers with the database."""

PROCESS_LENGTH = 16


def new_process_name() -> str:
    """A name for this API process: PROCESS_LENGTH characters, since the scripts cut it off by length."""
    return secrets.token_hex(PROCESS_LENGTH // 2)


def wake_channel(process: str) -> str:
    return WAKE + process


def reply_channel(process: str) -> str:
    return REPLIES + process


def queue_key(queue_id: UUID) -> bytes:
    """A queue id as keys and scripts have it."""
    return str(queue_id).encode()
