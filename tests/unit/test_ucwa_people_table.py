"""Who may use which of the resources of me and people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

from conference.ucwa.engine.call import Endpoint
from conference.ucwa.people.composition import People
from config.settings import Settings

NOBODY = cast(Any, None)  # nothing is asked of the database here


def endpoints() -> list[Endpoint]:
    people = People(NOBODY, NOBODY, Settings(), "example.com", lambda: datetime.now(UTC), uuid4)
    return people.endpoints()


def test_somebody_anonymous_may_see_themselves_and_nothing_else() -> None:
    assert [each.path for each in endpoints() if each.anonymous] == ["me"]


def test_all_but_the_hubs_need_a_scope() -> None:
    free = {each.path for each in endpoints() if not each.scopes}
    assert free == {"me", "people"}


def test_what_changes_a_contact_list_needs_its_scope() -> None:
    for each in endpoints():
        if each.method != "GET" and each.path.startswith(("people/contacts", "people/group")):
            assert each.scopes == {"Contacts.ReadWrite"}, each.path


def test_no_path_has_a_method_twice() -> None:
    keys = [(each.method, each.path) for each in endpoints()]
    assert len(keys) == len(set(keys))
