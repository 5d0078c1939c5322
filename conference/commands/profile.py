"""`parley user profile` and `parley user photo`: what others find in the directory."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from conference.commands import CommandError
from conference.commands.servers import connected
from conference.domain.directory import Phone, PhoneType, Profile, phone_uri
from conference.storage import users
from conference.tokens import user_named
from conference.ucwa.people import store as people
from conference.ucwa.people.store import Photo
from config.settings import Settings, load

PHOTO_MOST = 256 * 1024

_KINDS = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}


def profile(
    name: str,
    *,
    title: str | None = None,
    department: str | None = None,
    company: str | None = None,
    office: str | None = None,
    work: str | None = None,
    mobile: str | None = None,
    home: str | None = None,
    other: str | None = None,
) -> int:
    """Change what the directory says of a user, and print it as JSON. An empty text takes something away.

    Parameters
    ----------
    name
        A short name such as alice, or a UUID, as in `parley user add`.
    title
        Such as Engineer.
    department
        Department.
    company
        Company; else the organisation is shown.
    office
        Where the office is.
    work
        Phone number at work; the user can't change it.
    mobile
        Mobile phone number.
    home
        Phone number at home.
    other
        Another phone number.
    """
    given = {
        "title": title,
        "department": department,
        "company": company,
        "office_location": office,
    }
    numbers = {
        PhoneType.WORK: work,
        PhoneType.MOBILE: mobile,
        PhoneType.HOME: home,
        PhoneType.OTHER: other,
    }
    phones = {kind: _number(text) for kind, text in numbers.items() if text is not None}
    texts = {field: text for field, text in given.items() if text is not None}
    changed = asyncio.run(_change(load(os.environ), name, texts, phones))
    print(msgspec.json.encode(changed).decode())
    return 0


def photo(name: str, file: Path | None = None, *, remove: bool = False) -> int:
    """Give a user a picture, in place of the one that is drawn.

    Parameters
    ----------
    name
        A short name such as alice, or a UUID, as in `parley user add`.
    file
        A JPEG or PNG of at most 256 KiB.
    remove
        Take the picture away.
    """
    if (file is None) != remove:
        raise CommandError("name a FILE, or say --remove")
    picture = None if file is None else _picture(file)
    asyncio.run(_put(load(os.environ), name, picture))
    return 0


def _number(text: str) -> str:
    found = phone_uri(text)
    if found is None:
        raise CommandError(f"{text!r} is no phone number, as +1 425 555 4321")
    return found


def _picture(file: Path) -> Photo:
    content = file.read_bytes()
    kind = next((kind for start, kind in _KINDS.items() if content.startswith(start)), None)
    if kind is None:
        raise CommandError(f"{file} is neither JPEG nor PNG")
    if len(content) > PHOTO_MOST:
        raise CommandError(f"{file} has more than {PHOTO_MOST // 1024} KiB")
    return Photo(content_type=kind, content=content)


async def _change(
    settings: Settings, name: str, texts: dict[str, str], phones: dict[PhoneType, str]
) -> Profile:
    async with connected(settings) as connection, connection.transaction():
        user_id = user_named(name).id
        found = await users.lock_profile(connection, user_id)
        if found is None:
            raise _unknown(name)
        changed = msgspec.structs.replace(found, **texts)
        for kind, number in phones.items():
            shown = found.phone(kind).include_in_contact_card
            changed = changed.with_phone(kind, Phone(number=number, include_in_contact_card=shown))
        await users.save_profile(connection, user_id, changed)
    return changed


async def _put(settings: Settings, name: str, picture: Photo | None) -> None:
    async with connected(settings) as connection:
        user_id = user_named(name).id
        if await users.card(connection, user_id) is None:
            raise _unknown(name)
        if picture is None:
            await people.remove_photo(connection, user_id)
        else:
            await people.put_photo(connection, user_id, picture, datetime.now(UTC))


def _unknown(name: str) -> CommandError:
    return CommandError(f"nobody is known by that name: parley user add {name}")
