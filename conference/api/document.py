"""What /openapi.json says of this domain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from conference.api import openapi
from conference.api.openapi import Json, Operation

_TITLE = "Parley"
_DESCRIPTION = """\
Meetings with a waiting room, durable event channels and forwarded media.

Open a channel (`POST /channels`) and keep polling it; create and start a meeting; join it with the channel's id in
the header `queue-id`; then negotiate media. Answers and offers of the media side, and everything that others do,
come as events on the channel.

Ids are UUIDs, and what is not one is not found. Names of values (`permanent`, `ACCEPTED` ...) may be written in any
case. Dates carry their offset. What is not set is left out. A refusal has the form of `Problem`.
"""


def describe(operations: Sequence[Operation], version: str, families: Iterable[str] = ()) -> Json:
    """`families`: what each says of itself, a paragraph each."""
    text = "\n".join([_DESCRIPTION, *families])
    return openapi.document(operations, title=_TITLE, version=version, description=text)
