"""What an application reads of the events in its channel: rendered by the part each belongs to, and merged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
import structlog

from conference.ucwa.application import Application
from conference.ucwa.engine.resource import NewsItem, Target
from schemas.events import Event

# A renderer takes the one event type it is filed under, which a mapping's type cannot say: hence Any.
Renderer: TypeAlias = Callable[[Any, Application], list[NewsItem]]
Renderers: TypeAlias = Mapping[type[Event], Renderer]


_log = structlog.get_logger(__name__)


class _Tagged(msgspec.Struct):
    type: str


class News:
    """Pure: the same events render the same, however often and wherever a batch is sent."""

    def __init__(self, parts: Iterable[Renderers]) -> None:
        """Each of `parts` renders event types of its own; what nobody renders is left out."""
        self._reported: set[Renderer] = set()
        self._tag = msgspec.json.Decoder(_Tagged)
        self._known: dict[str, tuple[msgspec.json.Decoder[Event], Renderer]] = {}
        for part in parts:
            for kind, renderer in part.items():
                tag = str(kind.__struct_config__.tag)
                if tag in self._known:
                    raise ValueError(f"{tag} is rendered twice")
                self._known[tag] = (msgspec.json.Decoder(kind), renderer)

    def of(self, events: Sequence[bytes], application: Application) -> list[NewsItem]:
        """What a batch says to the application, in order."""
        return merged([item for event in events for item in self._rendered(event, application)])

    def _rendered(self, event: bytes, application: Application) -> list[NewsItem]:
        known = self._known.get(self._tag.decode(event).type)
        if known is None:
            return []
        decoder, renderer = known
        try:
            return renderer(decoder.decode(event), application)
        except Exception:  # it would be read anew by every poll, and the channel end with it
            self._report(known)
            return []

    def _report(self, known: tuple[msgspec.json.Decoder[Event], Renderer]) -> None:
        """Once for each renderer: what is wrong with one event is so with many."""
        if known[1] in self._reported:
            return
        self._reported.add(known[1])
        _log.exception("ucwa_event_passed_over")


def merged(items: Sequence[NewsItem]) -> list[NewsItem]:
    """Of updates of one target, in the same place, only the last: it says what the others said, or more.

    Anything else about the target in between keeps them apart. Nothing else is merged.
    """
    kept: list[NewsItem | None] = list(items)
    last_update: dict[str, dict[tuple[Target, Target | None], int]] = {}
    for place, item in enumerate(items):
        updates = last_update.setdefault(item.link.href, {})
        if item.type != "updated":
            updates.clear()
            continue
        key = (item.sender, item.inside)
        if (earlier := updates.get(key)) is not None:
            kept[earlier] = None
        updates[key] = place
    return [item for item in kept if item is not None]
