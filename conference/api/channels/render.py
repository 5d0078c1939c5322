"""Addresses and bodies of the channels family."""

from __future__ import annotations

from uuid import UUID

import msgspec

from conference.bus.channels import Batch, Resync
from schemas.channels import Polled

_encoder = msgspec.json.Encoder()


def events_address(queue_id: UUID, ack: int) -> str:
    return f"/channels/{queue_id}/events?ack={ack}"


def polled(queue_id: UUID, ack: int, result: Batch | Resync) -> bytes:
    """The answer to a poll."""
    if isinstance(result, Resync):
        resync = events_address(queue_id, result.ack)
        return _encoder.encode(Polled(queue_id=queue_id, ack=ack, events=[], resync=resync))
    events = [msgspec.Raw(event) for event in result.events]
    following = events_address(queue_id, ack + result.counts)
    return _encoder.encode(Polled(queue_id=queue_id, ack=ack, events=events, next=following))
