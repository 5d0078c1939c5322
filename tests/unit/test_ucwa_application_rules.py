"""Which user agents are refused, and how events of an application's channel become one package."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conference.ucwa.application import Application, is_refused
from conference.ucwa.engine.news import News, merged
from conference.ucwa.engine.resource import EventType, NewsItem, Resource, Target
from schemas.events import Event

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ME = Target(rel="me", href="me")
LOBBY = Target(rel="lobby", href="lobby")


@pytest.mark.parametrize(
    ("user_agent", "patterns", "refused"),
    [
        ("ContosoApp/1.0", [], False),
        ("ContosoApp/1.0", ["ContosoApp/1.0"], True),
        ("contosoapp/1.0", ["CONTOSOAPP/*"], True),
        ("ContosoApp/1.0", ["ContosoApp"], False),
        ("ContosoApp/1.0", ["Other/*", "*/1.?"], True),
        ("ContosoApp/10", ["*/1.?"], False),
        ("Bot [beta]", ["Bot [[]beta]"], True),
        ("", ["*"], True),
    ],
)
def test_refused_user_agents(user_agent: str, patterns: list[str], refused: bool) -> None:
    assert is_refused(user_agent, patterns) == refused


# --- merging ----------------------------------------------------------------------------------


def item(
    what: str, kind: EventType = "updated", version: int = 0, inside: Target | None = None
) -> NewsItem:
    resource = Resource(rel="x", href=what, properties={"version": version})
    link = Target(rel="x", href=what)
    return NewsItem(sender=ME, type=kind, link=link, inside=inside, resource=resource)


@pytest.mark.parametrize(
    ("items", "kept"),
    [
        ([], []),
        ([item("a", version=1), item("a", version=2)], [1]),
        ([item("a"), item("b"), item("a")], [1, 2]),
        ([item("a"), item("a", "deleted"), item("a", "added"), item("a")], [0, 1, 2, 3]),
        ([item("a", inside=LOBBY), item("a")], [0, 1]),
        ([item("a", "added"), item("a"), item("a")], [0, 2]),
        ([item("a", "started"), item("a"), item("a", "completed")], [0, 1, 2]),
        ([item("a", "added"), item("a", "deleted")], [0, 1]),
        ([item("a", "added"), item("a", "added")], [0, 1]),
    ],
)
def test_updates_merge_to_the_last(items: list[NewsItem], kept: list[int]) -> None:
    assert merged(items) == [items[place] for place in kept]


ITEMS = st.lists(
    st.builds(
        item,
        what=st.sampled_from("abc"),
        kind=st.sampled_from(["added", "updated", "deleted", "started", "completed"]),
        version=st.integers(0, 9),
        inside=st.sampled_from([None, LOBBY]),
    )
)


def replayed(items: list[NewsItem]) -> dict[str, object]:
    """What a client knows that goes through the events one by one."""
    known: dict[str, object] = {}
    for each in items:
        if each.type == "deleted":
            known.pop(each.link.href, None)
        else:
            known[each.link.href] = each.resource
    return known


@given(ITEMS)
def test_a_client_ends_up_knowing_the_same(items: list[NewsItem]) -> None:
    kept = merged(items)
    assert replayed(kept) == replayed(items)
    assert [each for each in kept if each.type != "updated"] == [
        each for each in items if each.type != "updated"
    ]
    assert merged(kept) == kept


# --- rendering --------------------------------------------------------------------------------


class Happened(Event, frozen=True, kw_only=True, tag="TEST_HAPPENED"):
    number: int


class Unknown(Event, frozen=True, kw_only=True, tag="TEST_UNKNOWN"):
    pass


def told(event: Happened, application: Application) -> list[NewsItem]:
    return [item(f"{application.id}-{event.number}")] * (event.number > 0)


APPLICATION = Application(
    id="105",
    user_id=UUID(int=1),
    culture="en-us",
    user_agent="Tests/1.0",
    endpoint_id="phone",
    type="Browser",
    created_at=NOW,
)


def test_what_nobody_renders_is_left_out() -> None:
    events = [Unknown(sent_date=NOW), *(Happened(sent_date=NOW, number=n) for n in (2, 0, 1))]
    encoded = [msgspec.json.encode(event) for event in events]
    found = News([{Happened: told}]).of(encoded, APPLICATION)
    assert [each.link.href for each in found] == ["105-2", "105-1"]
    assert not News([]).of(encoded, APPLICATION)


def test_an_event_is_rendered_by_one_part_only() -> None:
    with pytest.raises(ValueError, match="TEST_HAPPENED is rendered twice"):
        News([{Happened: told}, {Happened: told}])
