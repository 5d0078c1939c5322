"""What me links to: the profile, phones, photo and call forwarding."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from rig_meetings import Api
from ucwa_people import QUICK, started
from ucwa_rig import Answer, Program, running_ucwa

from conference.domain.directory import Phone, PhoneType, Profile
from conference.storage import users
from conference.tokens import user_named
from conference.ucwa.people import store as people


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_ucwa(database_url, redis_url, tmp_path, **QUICK) as api:
        yield api


@pytest.fixture(params=["json", "xml"])
async def alice(api: Api, request: pytest.FixtureRequest) -> Program:
    return await started(api, "alice", xml=request.param == "xml")


async def me(program: Program) -> Answer:
    return await program.follow("me", "self")


async def with_profile(api_url: str, name: str, **profile: Any) -> None:
    """As `parley user profile` does."""
    connection = await asyncpg.connect(api_url)
    try:
        user_id = user_named(name).id
        await users.save_profile(connection, user_id, Profile(**profile))
    finally:
        await connection.close()


async def test_the_profile_is_shown(alice: Program, database_url: str) -> None:
    await with_profile(
        database_url,
        "alice",
        title="Engineer",
        department="R&D",
        company="Example",
        office_location="5/1380",
        phones={PhoneType.WORK: Phone(number="tel:+14255554321")},
    )
    found = (await me(alice)).json
    assert found["title"] == "Engineer"
    assert found["department"] == "R&D"
    assert found["company"] == "Example"
    assert found["officeLocation"] == "5/1380"
    assert found["workPhoneNumber"] == "tel:+14255554321"


async def test_phones(alice: Program) -> None:
    phones = await alice.get((await me(alice)).link("phones"))
    found = {each["type"]: each for each in phones.embedded("phone")}
    assert set(found) == {"Work", "Mobile", "Home", "Other"}
    assert "changeNumber" not in found["Work"]["_links"], "the operator's to change"
    mobile = await alice.get(found["Mobile"]["_links"]["self"]["href"])
    assert mobile.json["number"] == ""
    change = mobile.link("changeNumber")
    assert (await alice.post(change, {"number": "+1 (425) 555-0107"})).status == 204
    changed = await alice.get(mobile.href)
    assert changed.json["number"] == "tel:+14255550107"
    assert changed.etag != mobile.etag
    assert (await alice.get(mobile.href, if_none_match=f'"{changed.etag}"')).status == 304
    assert (await me(alice)).json["mobilePhoneNumber"] == "tel:+14255550107"
    hide = {"includeInContactCard": False}
    assert (await alice.post(mobile.link("changeVisibility"), hide)).status == 204
    hidden = (await alice.get(mobile.href)).json
    assert str(hidden["includeInContactCard"]).lower() == "false"
    assert (await alice.post(change)).status == 204, "an empty POST clears"
    assert (await alice.get(mobile.href)).json["number"] == ""


async def test_a_number_and_who_sees_it(alice: Program) -> None:
    """In one request; what is not said stays, and visibility alone may be said of nothing."""
    home = f"{(await me(alice)).link('phones')}/Home"

    async def shown() -> tuple[str, str]:
        found = (await alice.get(home)).json
        return found["number"], str(found["includeInContactCard"]).lower()

    change, show = f"{home}/changeNumber", f"{home}/changeVisibility"
    number = {"number": "4255550107"}
    assert (await alice.post(change, {**number, "includeInContactCard": False})).status == 204
    assert await shown() == ("tel:4255550107", "false")
    assert (await alice.post(change, {"number": "4255550108"})).status == 204
    assert await shown() == ("tel:4255550108", "false")
    for inputs in (None, {}, {"includeInContactCard": None}):
        assert (await alice.post(show, inputs)).status == 204
        assert await shown() == ("tel:4255550108", "false")
    assert (await alice.post(f"{show}?IncludeInContactCard=True")).status == 204
    assert await shown() == ("tel:4255550108", "true")
    refused = await alice.post(change, {**number, "includeInContactCard": "perhaps"})
    assert (refused.status, list(refused.json["parameters"])) == (400, ["includeInContactCard"])
    assert await shown() == ("tel:4255550108", "true"), "all of it or nothing"


async def test_phones_that_cannot_be(alice: Program) -> None:
    base = (await me(alice)).link("phones")
    for number in ("call me", "+1 425 555 0107 ext", "tel:+1;x"):
        refused = await alice.post(f"{base}/Home/changeNumber", {"number": number})
        assert (refused.status, refused.json["code"]) == (400, "BadRequest"), number
        assert refused.subcode == "NormalizationFailed"
        assert list(refused.json["parameters"]) == ["number"]
    longest = "+1" + " " * 68 + "4255550107"
    assert len(longest) == 80
    assert (await alice.post(f"{base}/Home/changeNumber", {"number": longest})).status == 204
    assert (await alice.get(f"{base}/Home")).json["number"] == "tel:+14255550107"
    refused = await alice.post(f"{base}/Home/changeNumber", {"number": f"{longest} "})
    assert (refused.status, refused.subcode) == (400, "ParameterValidationFailure")
    assert (await alice.post(f"{base}/Work/changeNumber", {"number": "1"})).status == 403
    assert (await alice.get(f"{base}/Fax")).status == 404


async def test_photo(alice: Program, database_url: str) -> None:
    address = (await me(alice)).link("photo")
    drawn = await alice.get(f"{address}?size=HR48X48")
    assert drawn.status == 200
    assert drawn.headers["Content-Type"] == "image/png"
    assert drawn.raw.startswith(b"\x89PNG")
    assert "Expires" in drawn.headers
    assert (await alice.get(address)).raw == drawn.raw, "the size by default"
    assert (await alice.get(address, if_none_match=f'"{drawn.etag}"')).status == 304
    assert len((await alice.get(f"{address}?size=hr648x648")).raw) > len(drawn.raw)
    for size in ("big", "HR8X8", "HR649X649", "HR99999X99999"):
        refused = await alice.get(f"{address}?size={size}")
        assert (refused.status, refused.subcode) == (400, "ParameterValidationFailure")


async def test_a_photo_that_was_given(api: Api, database_url: str) -> None:
    alice = await started(api, "alice")
    picture = people.Photo(content_type="image/jpeg", content=b"\xff\xd8\xff and so on")
    connection = await asyncpg.connect(database_url)
    try:
        await people.put_photo(connection, user_named("alice").id, picture, datetime.now(UTC))
    finally:
        await connection.close()
    found = await alice.get(f"{(await me(alice)).link('photo')}?size=HR64X64")
    assert (found.headers["Content-Type"], found.raw) == ("image/jpeg", picture.content)
    assert found.headers["X-Content-Type-Options"] == "nosniff"


async def test_call_forwarding_is_kept(alice: Program) -> None:
    address = (await me(alice)).link("callForwardingSettings")
    before = await alice.get(address)
    assert before.json["activeSetting"] == "None"
    assert before.json["etag"] == before.etag
    wanted = {"activePeriod": "Workhours", "activeSetting": "SimultaneousRing"}
    written = await alice.put(address, {**before.json, **wanted}, if_match=f'"{before.etag}"')
    assert written.status == 200
    after = await alice.get(address)
    assert after.json["activePeriod"] == "Workhours"
    assert after.etag == written.etag != before.etag
    stale = await alice.put(address, wanted, if_match=before.etag)
    assert stale.status == 412
    assert (await alice.put(address, {"activeSetting": "Sometimes"})).status == 400
    assert (await alice.get(address)).etag == after.etag, "a refusal changes nothing"
    assert (await alice.post(after.link("turnOffCallForwarding"))).status == 204
    assert (await alice.get(address)).etag == before.etag


async def test_what_is_forwarded_at_once_is_never_unanswered(alice: Program) -> None:
    address = (await me(alice)).link("callForwardingSettings")
    body = {"activeSetting": "ImmediateForward", "unansweredCallHandling": "Enabled"}
    assert (await alice.put(address, body)).json["unansweredCallHandling"] == "Disabled"


async def test_a_strict_put_needs_etag_and_token(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = {**QUICK, "ucwa_strict_put": True}
    async with running_ucwa(database_url, redis_url, tmp_path, **settings) as api:
        alice = await started(api, "alice")
        address = (await me(alice)).link("callForwardingSettings")
        found = await alice.get(address)
        wanted = {"activePeriod": "Workhours"}
        assert (await alice.put(address, wanted, if_match=found.etag)).status == 400
        assert (await alice.put(address, {**found.json, **wanted})).status == 428
        passed = await alice.put(address, {**found.json, **wanted}, if_match=found.etag)
        assert passed.status == 200
