"""Extensions of online meetings over HTTP, in JSON and XML: a program's own data, who reads it and who writes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rig_meetings import SECRET, Api, Json, Person
from ucwa_rig import Answer, Program, running_ucwa

from conference.tokens import issue, user_named
from conference.ucwa.meetings import extension_rules as extension

REL = "onlineMeetingExtension"
ORGANIZER, PARTICIPANT = "RoamedOrganizerData", "RoamedParticipantData"


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_ucwa(database_url, redis_url, tmp_path) as api:
        yield api


@pytest.fixture(params=["json", "xml"])
async def alice(api: Api, request: pytest.FixtureRequest) -> Program:
    return await started(api, "alice", xml=request.param == "xml")


@pytest.fixture
async def address(alice: Program) -> str:
    """Of the extensions of a new meeting of alice's."""
    return (await meeting(alice)).link("onlineMeetingExtensions")


async def started(api: Api, name: str, **how: Json) -> Program:
    program = Program(api, name, **how)
    await program.start()
    return program


async def meeting(alice: Program, **inputs: Json) -> Answer:
    meetings = (await alice.dashboard()).link("onlineMeetings", "myOnlineMeetings")
    return await alice.post(meetings, inputs)


def own(answer: Answer) -> dict[str, Json]:
    return {name: value for name, value in answer.json.items() if not name.startswith("_")}


def ids(answer: Answer) -> list[str]:
    found = answer.json.get("_embedded", {}).get(REL, [])
    return [one["id"] for one in (found if isinstance(found, list) else [found])]


def named_by(program: Program, address: str) -> str:
    """The same address below another program's application."""
    return f"{program.application}/onlineMeetings/{address.partition('/onlineMeetings/')[2]}"


# --- attaching --------------------------------------------------------------------------------


async def test_a_program_attaches_its_data(alice: Program, address: str) -> None:
    data = {"id": "a 1/ü", "type": PARTICIPANT, "color": "red", "Größe": "12", "href": "x"}
    added = await alice.post(address, data)
    assert added.status == 201
    assert own(added) == {"rel": REL, **data}
    assert added.headers["Location"] == added.href == f"{address}/a%201%2F%C3%BC"
    found = await alice.get(added.href)
    assert (found.status, found.json, found.etag) == (200, added.json, added.etag)
    all_of_them = await alice.get(address)
    assert all_of_them.json["rel"] == "onlineMeetingExtensions"
    assert ids(all_of_them) == ["a 1/ü"]


async def test_their_order_stays(alice: Program, address: str) -> None:
    for name in ("c", "a", "b"):
        await alice.post(address, {"id": name, "z": "1", "y": "2", "x": "3"})
    assert ids(await alice.get(address)) == ["c", "a", "b"]
    changed = await alice.put(f"{address}/a", {"m": "1", "l": "2"})
    assert [name for name in changed.json if len(name) == 1] == ["m", "l"]
    assert ids(await alice.get(address)) == ["c", "a", "b"]


async def test_one_is_an_array_too(api: Api) -> None:
    alice = await started(api, "alice")
    created = await meeting(alice)
    address = created.link("onlineMeetingExtensions")
    assert (await alice.get(address)).embedded(REL) == []
    await alice.post(address, {"id": "1"})
    assert len((await alice.get(address)).embedded(REL)) == 1
    assert len((await alice.get(created.href)).embedded(REL)) == 1


async def test_id_and_type_may_be_left_out(alice: Program, address: str) -> None:
    added = await alice.post(address, {"color": "red"})
    assert added.status == 201
    assert len(added.json["id"]) == 36
    assert added.json["type"] == "Undefined"
    other = await alice.post(address, {})
    assert other.json["id"] != added.json["id"]


async def test_data_may_stand_in_the_query(alice: Program, address: str) -> None:
    added = await alice.post(f"{address}?instanceId=tab-1&id=1&color=red")
    assert added.status == 201
    assert own(added) == {"rel": REL, "id": "1", "type": "Undefined", "color": "red"}


async def test_values_are_texts(api: Api) -> None:
    alice = await started(api, "alice")
    address = (await meeting(alice)).link("onlineMeetingExtensions")
    added = await alice.post(address, {"id": 7, "n": 1, "yes": True, "f": 1.50, "none": None})
    assert own(added) == {
        "rel": REL,
        "id": "7",
        "type": "Undefined",
        "n": "1",
        "yes": "true",
        "f": "1.5",
    }


async def test_what_can_not_be_kept_is_named(api: Api) -> None:
    """Not left out in silence, as it is where unknown names mean nothing."""
    alice = await started(api, "alice")
    address = (await meeting(alice)).link("onlineMeetingExtensions")
    for value in ({"deep": 1}, [1], [{"deep": 1}]):
        refused = await alice.post(address, {"id": "a", "shape": value})
        assert (refused.status, refused.subcode) == (400, "ParameterValidationFailure")
        assert list(refused.json["parameters"]) == ["shape"]
    whole = {"id": "a", "_links": {"self": {"href": "/"}}, "_embedded": {}, "rel": "x"}
    assert (await alice.post(address, whole)).status == 201


async def test_names_of_ours_are_no_data(api: Api) -> None:
    """A program may PUT what it was given, whole."""
    alice = await started(api, "alice")
    address = (await meeting(alice)).link("onlineMeetingExtensions")
    added = await alice.post(address, {"id": "1", "color": "red"})
    token = {"6a8b1bd1-6a7d-4d2c-9a53-0d2c1a0a8e51": "please pass this in a PUT request"}
    body = {**added.json, "etag": "1", "self": "x", "Rel": "y", "color": "blue", **token}
    changed = await alice.put(added.href, body)
    assert own(changed) == {"rel": REL, "id": "1", "type": "Undefined", "color": "blue"}
    refused = await alice.put(added.href, {"_color": "red"})
    assert (refused.status, refused.subcode) == (400, "ParameterValidationFailure")


async def test_the_same_id_twice(alice: Program, address: str) -> None:
    answers = await asyncio.gather(*(alice.post(address, {"id": "1"}) for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409]
    refused = next(answer for answer in answers if answer.status == 409)
    assert refused.subcode == "AlreadyExists"
    await alice.post(address, {"id": "2"})
    renamed = await alice.put(f"{address}/2", {"id": "1"})
    assert (renamed.status, renamed.subcode) == (409, "AlreadyExists")


# --- changing ---------------------------------------------------------------------------------


async def test_a_put_replaces_the_data(alice: Program, address: str) -> None:
    added = await alice.post(address, {"id": "1", "type": PARTICIPANT, "a": "1", "b": "2"})
    changed = await alice.put(added.href, {"b": "3"}, if_match=f'"{added.etag}"')
    assert changed.status == 200
    assert own(changed) == {"rel": REL, "id": "1", "type": PARTICIPANT, "b": "3"}
    assert changed.etag != added.etag
    stale = await alice.put(added.href, {"b": "4"}, if_match=added.etag)
    assert stale.status == 412
    assert own(await alice.get(added.href))["b"] == "3"


async def test_of_two_at_once_one_wins(alice: Program, address: str) -> None:
    added = await alice.post(address, {"id": "1"})
    answers = await asyncio.gather(
        *(alice.put(added.href, {"by": name}, if_match=added.etag) for name in "abcd")
    )
    assert sorted(answer.status for answer in answers) == [200, 412, 412, 412]


async def test_it_may_be_renamed(alice: Program, address: str) -> None:
    added = await alice.post(address, {"id": "1", "a": "1"})
    renamed = await alice.put(added.href, {"id": "2", "a": "1"})
    assert (renamed.status, renamed.href) == (200, f"{address}/2")
    assert (await alice.get(added.href)).status == 404
    assert (await alice.get(renamed.href)).status == 200


async def test_it_is_removed(alice: Program, address: str) -> None:
    added = await alice.post(address, {"id": "1"})
    assert (await alice.delete(added.href)).status == 204
    for gone in (
        await alice.get(added.href),
        await alice.delete(added.href),
        await alice.put(added.href, {"a": "1"}),
    ):
        assert gone.status == 404


async def test_the_only_one_needs_no_id(alice: Program, address: str) -> None:
    only = f"{address}/{REL}"
    assert (await alice.get(only)).status == 404
    assert (await alice.put(only, {"id": "1"})).status == 404
    added = await alice.post(address, {"id": "1", "a": "1"})
    found = await alice.get(only)
    assert (own(found), found.href) == (own(added), only)
    changed = await alice.put(only, {"id": "1", "a": "2"}, if_match=found.etag)
    assert (changed.status, changed.href, own(changed)["a"]) == (200, only, "2")
    await alice.post(address, {"id": "2"})
    assert (await alice.get(only)).status == 404
    named = await alice.put(only, {"id": "1", "a": "3"})
    assert (named.status, own(await alice.get(added.href))["a"]) == (200, "3")


async def test_strict_puts(database_url: str, redis_url: str, tmp_path: Path) -> None:
    async with running_ucwa(database_url, redis_url, tmp_path, ucwa_strict_put=True) as api:
        alice = await started(api, "alice")
        address = (await meeting(alice)).link("onlineMeetingExtensions")
        added = await alice.post(address, {"id": "1", "a": "1"})
        assert added.json["etag"] == added.etag
        body = {**own(added), "a": "2"}
        assert (await alice.put(added.href, body)).status == 428
        plain = await alice.put(added.href, {"a": "2"}, if_match=added.etag)
        assert plain.status == 400
        changed = await alice.put(added.href, body, if_match=added.etag)
        assert (changed.status, changed.json["a"]) == (200, "2")
        assert set(changed.json) == set(added.json), "the token is no data"


# --- limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"id": ""}, "id"),
        ({"id": "x" * (extension.NAME_LONGEST + 1)}, "id"),
        ({"type": "RoamedData"}, "type"),
        ({"n" * (extension.NAME_LONGEST + 1): "x"}, "n" * extension.NAME_LONGEST),
        ({"a": "x" * (extension.VALUE_LONGEST + 1)}, "a"),
        ({"a": ["x", "y"]}, "a"),
        ({f"a{i}": "x" for i in range(extension.PROPERTIES_MOST + 1)}, "id"),
        ({f"a{i}": "x" * extension.VALUE_LONGEST for i in range(9)}, "id"),
    ],
)
async def test_what_is_too_much(
    alice: Program, address: str, body: dict[str, Json], named: str
) -> None:
    refused = await alice.post(address, body)
    assert (refused.status, refused.subcode) == (400, "ParameterValidationFailure")
    assert list(refused.json["parameters"]) == [named]
    assert ids(await alice.get(address)) == []


async def test_there_may_be_too_many(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conference.ucwa.meetings.extension_service.MOST", 2)
    alice = await started(api, "alice")
    address = (await meeting(alice)).link("onlineMeetingExtensions")
    answers = await asyncio.gather(*(alice.post(address, {"id": name}) for name in "abcd"))
    assert sorted(answer.status for answer in answers) == [201, 201, 403, 403]
    refused = next(answer for answer in answers if answer.status == 403)
    assert refused.subcode == "LimitExceeded"


async def test_it_goes_with_its_meeting(api: Api, alice: Program, address: str) -> None:
    await alice.post(address, {"id": "1"})
    assert (await alice.delete(address.rpartition("/")[0])).status == 204
    assert (await alice.get(address)).status == 404


# --- who may ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        ("Conversations.Initiate", 200),
        ("Conversations.Receive", 200),
        ("Meetings.ReadWrite", 403),
        ("User.ReadWrite", 403),
    ],
)
async def test_scopes(api: Api, scope: str, status: int) -> None:
    alice = await started(api, "alice")
    address = (await meeting(alice)).link("onlineMeetingExtensions")
    added = await alice.post(address, {"id": "1"})
    alice.token = issue(
        SECRET,
        user=user_named("alice"),
        scope=[scope],
        now=datetime.now(UTC),
        lifetime=timedelta(hours=1),
    )
    for answer in (
        await alice.get(address),
        await alice.get(added.href),
        await alice.put(added.href, {"a": "1"}),
    ):
        assert answer.status == status


@pytest.fixture
async def shared(api: Api, alice: Program) -> tuple[str, str]:
    """(extensions, the meeting's path in the Meeting API) of a started meeting that lets everybody in, and that bob
    leads; an extension of each type is attached."""
    await api.people("bob")
    created = await meeting(alice, accessLevel="Everyone", leaders=["sip:bob@example.com"])
    address = created.link("onlineMeetingExtensions")
    for kind in (ORGANIZER, PARTICIPANT, "Undefined"):
        assert (await alice.post(address, {"id": kind, "type": kind})).status == 201
    person = api.person("alice")
    (found,) = (await person.get("/meetings")).json
    path = f"/meetings/{found['id']}"
    await person.post(f"{path}/start")
    return address, path


async def joined(api: Api, name: str, path: str) -> Person:
    (person,) = await api.people(name)
    assert await person.join(path) == "ACCEPTED"
    return person


async def test_a_participant_reads_what_is_for_participants(
    api: Api, alice: Program, shared: tuple[str, str]
) -> None:
    address, path = shared
    carol = await started(api, "carol", xml=alice.xml)
    hers = named_by(carol, address)
    assert (await carol.get(hers)).status == 404, "not before she is in"
    person = await joined(api, "carol", path)
    assert ids(await carol.get(hers)) == [PARTICIPANT]
    assert (await carol.get(f"{hers}/{PARTICIPANT}")).status == 200
    assert (await carol.get(f"{hers}/{REL}")).json["id"] == PARTICIPANT, "the only one she sees"
    assert (await carol.get(f"{hers}/{ORGANIZER}")).status == 404
    assert (await carol.put(f"{hers}/{ORGANIZER}", {"a": "1"})).status == 404
    assert (await carol.delete(f"{hers}/{ORGANIZER}")).status == 404
    for refused in (
        await carol.put(f"{hers}/{PARTICIPANT}", {"a": "1"}),
        await carol.delete(f"{hers}/{PARTICIPANT}"),
        await carol.post(hers, {"id": "x", "type": PARTICIPANT}),
    ):
        assert refused.status == 403
    await person.post(f"{path}/leave")
    assert (await carol.get(hers)).status == 404, "nor after"
    assert ids(await alice.get(address)) == [ORGANIZER, PARTICIPANT, "Undefined"]


async def test_a_leader_writes_what_is_for_participants(
    api: Api, alice: Program, shared: tuple[str, str]
) -> None:
    address, _ = shared
    bob = await started(api, "bob", xml=alice.xml)
    his = named_by(bob, address)
    assert ids(await bob.get(his)) == [PARTICIPANT]
    assert (await bob.put(f"{his}/{PARTICIPANT}", {"a": "1"})).status == 200
    assert (await alice.get(f"{address}/{PARTICIPANT}")).json["a"] == "1"
    assert (await bob.post(his, {"id": "x", "type": PARTICIPANT})).status == 201
    assert (await bob.delete(f"{his}/x")).status == 204
    for refused in (
        await bob.put(f"{his}/{PARTICIPANT}", {"type": ORGANIZER}),
        await bob.post(his, {"id": "y", "type": ORGANIZER}),
        await bob.post(his, {"id": "y"}),
    ):
        assert refused.status == 403
    hidden = await bob.post(his, {"id": ORGANIZER, "type": PARTICIPANT})
    assert (hidden.status, hidden.subcode) == (409, "AlreadyExists")


@pytest.mark.parametrize("strict", [False, True])
async def test_one_etag_whichever_address_it_is_read_by(
    database_url: str, redis_url: str, tmp_path: Path, strict: bool
) -> None:
    """The organizer's and the conversation's, by its id and as the only one; what one read the other may name."""
    async with running_ucwa(database_url, redis_url, tmp_path, ucwa_strict_put=strict) as api:
        alice = await started(api, "alice")
        mine = await meeting(alice, accessLevel="Everyone")
        address = mine.link("onlineMeetingExtensions")
        first = await alice.post(address, {"id": "1", "type": PARTICIPANT, "a": "b"})
        begun = await alice.post(
            (await alice.dashboard()).link("communication", "joinOnlineMeeting"),
            {"onlineMeetingUri": mine.json["onlineMeetingUri"]},
        )
        invitation = await alice.get(begun.headers["Location"])
        conversation = await alice.get(invitation.link("conversation"))
        online = await alice.get(conversation.link("onlineMeeting"))
        joined_at = online.link("onlineMeetingExtensions")
        found = [
            await alice.get(f"{base}/{name}")
            for base in (address, joined_at)
            for name in ("1", REL)
        ]
        assert len({answer.href for answer in found}) == 4
        assert {answer.etag for answer in found} == {first.etag}
        tokens = [{k: v for k, v in answer.json.items() if len(k) == 36} for answer in found]
        assert all(token == tokens[0] for token in tokens)
        body = {**tokens[0], "a": "c"}
        assert (await alice.put(f"{joined_at}/1", body, If_Match=first.etag)).status == 200
        refused = await alice.put(f"{address}/1", body, If_Match=first.etag)
        assert refused.status == 412


@pytest.mark.parametrize("names", [("color", "Color"), ("Größe", "größe"), ("id", "ID")])
async def test_names_that_differ_in_case_alone(
    alice: Program, address: str, names: tuple[str, str]
) -> None:
    refused = await alice.post(address, dict.fromkeys(names, "x"))
    assert (refused.status, refused.subcode) == (400, "ParameterValidationFailure")
    assert list(refused.json["parameters"]) == [names[1]]
    assert ids(await alice.get(address)) == []


async def test_strangers_see_nothing(api: Api, alice: Program, shared: tuple[str, str]) -> None:
    address, _ = shared
    frank = await started(api, "frank", xml=alice.xml)
    his = named_by(frank, address)
    for refused in (
        await frank.get(his),
        await frank.get(f"{his}/{PARTICIPANT}"),
        await frank.post(his, {"id": "x", "type": PARTICIPANT}),
        await frank.put(f"{his}/{PARTICIPANT}", {}),
        await frank.delete(f"{his}/{PARTICIPANT}"),
    ):
        assert refused.status == 404


async def test_it_is_found_by_the_conversation(
    api: Api, alice: Program, shared: tuple[str, str]
) -> None:
    """A participant's program follows links from its conversation to what is attached to the meeting."""
    address, _ = shared
    carol = await started(api, "carol", xml=alice.xml)
    uri = (await alice.get(address.rpartition("/")[0])).json["onlineMeetingUri"]
    join = (await carol.dashboard()).link("communication", "joinOnlineMeeting")
    assert (await carol.post(join, {"onlineMeetingUri": uri, "operationId": "1"})).status == 201
    conversations = await carol.follow("communication", "conversations")
    link = conversations.json["_links"]["conversation"]
    (href,) = {one["href"] for one in (link if isinstance(link, list) else [link])}
    joined_meeting = await carol.get((await carol.get(href)).link("onlineMeeting"))
    found = await carol.get(joined_meeting.link("onlineMeetingExtensions"))
    assert found.status == 200
    assert ids(found) == [PARTICIPANT]
    one = found.embedded(REL)
    own_address = (one[0] if isinstance(one, list) else one)["_links"]["self"]["href"]
    assert own_address == f"{found.href}/{PARTICIPANT}"
    assert (await carol.get(own_address)).status == 200
    assert (await carol.put(own_address, {"a": "1"})).status == 403
