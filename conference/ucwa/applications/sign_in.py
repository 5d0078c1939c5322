"""Tokens for programs that have nothing but a password, or nothing but an invitation to one meeting."""

from __future__ import annotations

import asyncio
import hashlib
import math
import secrets
import unicodedata
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import asyncpg
import msgspec

from conference import passwords
from conference.errors import BadRequest, TooManyRequests
from conference.storage import passwords as rows
from conference.storage.users import User
from conference.tokens import TokenUser, issue, user_named
from conference.ucwa.applications.sign_in_rules import crowd, crowd_waits_until, wait_until

_FORGET_AFTER = timedelta(hours=1)
_AT_ONCE = 2
"""Derivations of keys, each of which takes a processor and 32 MiB."""
_WAITING_MOST = 50
"""For their turn, and in it: some seconds' worth."""
_NAME_LONGEST = 320


class Invitation(Protocol):
    """Of an online meeting."""

    @property
    def meeting_id(self) -> UUID: ...

    @property
    def online_meeting_id(self) -> str: ...

    @property
    def conference_id(self) -> str: ...

    @property
    def open_to_anonymous(self) -> bool: ...


class Meetings(Protocol):
    async def by_uri(self, uri: str) -> Invitation | None: ...


class Guest(Protocol):
    """Whom a token of a meeting speaks for."""

    @property
    def user_id(self) -> UUID: ...

    @property
    def meeting(self) -> UUID | None: ...


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """`expires_in`: seconds."""

    text: str
    expires_in: int


class SignIn:
    def __init__(
        self,
        pool: asyncpg.Pool,
        meetings: Meetings,
        secret: str | None,
        *,
        lifetime: timedelta,
        anonymous_lifetime: timedelta,
        now: Callable[[], datetime],
        new_id: Callable[[], UUID],
    ) -> None:
        """`secret` None: tokens of this domain's own don't count, so none are given out."""
        self._pool = pool
        self._meetings = meetings
        self._secret = secret
        self._lifetime = lifetime
        self._anonymous_lifetime = anonymous_lifetime
        self._now = now
        self._new_id = new_id
        self._deriving = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def with_password(self, name: str, password: str, place: str = "") -> Token:
        """`name`: a user's short name, e-mail address or SIP URI. `place`: where it comes from.

        Raises BadRequest (invalid_grant), TooManyRequests after some tries in vain.
        """
        secret = self._own_secret()
        address = _address(name)
        user_id = _id_of(address)
        # the many ways to write somebody's id are one account
        accounts = _accounts("user", address if user_id is None else str(user_id), place)
        await self._count_try(*accounts)
        async with self._pool.acquire() as conn:
            found = await rows.find(conn, address if "@" in address else "", user_id)
        if not await self._matches(password, found[1] if found else None) or found is None:
            raise _invalid_grant("no such user, or not their password")
        await self._forget_tries(accounts)
        return self._token(secret, _token_user(found[0]), self._lifetime)

    async def for_meeting(
        self, uri: str, key: str, former: Guest | None = None, place: str = ""
    ) -> Token:
        """For somebody anonymous, who may join the meeting of this URI and nothing else. `key`: the meeting's
        onlineMeetingId or conferenceId. `former`: whom the token is to speak for again.

        Raises BadRequest (invalid_grant), TooManyRequests.
        """
        secret = self._own_secret()
        accounts = _accounts("meeting", uri.strip().lower(), place)
        await self._count_try(*accounts)
        found = await self._meetings.by_uri(uri)
        if found is None or not found.open_to_anonymous or not _opens(key, found):
            raise _invalid_grant("no such meeting, or it is not open to anonymous people")
        await self._forget_tries(accounts)
        if former is not None and former.meeting != found.meeting_id:
            raise _invalid_grant("the token to be renewed is not one for this meeting")
        guest_id = former.user_id if former is not None else self._new_id()
        guest = TokenUser(id=guest_id, name="", email="")
        return self._token(secret, guest, self._anonymous_lifetime, found.meeting_id)

    async def sweep(self) -> None:
        async with self._pool.acquire() as conn:
            await rows.forget_tries_before(conn, self._now() - _FORGET_AFTER)

    async def _matches(self, password: str, kept: str | None) -> bool:
        """Raises TooManyRequests rather than have everybody wait for those who guess many names."""
        if self._waiting >= _WAITING_MOST:
            raise TooManyRequests("too many sign in at once: try again")
        self._waiting += 1
        try:
            async with self._deriving:
                return await asyncio.to_thread(passwords.matches, password, kept)
        finally:
            self._waiting -= 1

    def _own_secret(self) -> str:
        if self._secret is None:
            raise BadRequest(
                "tokens are given out elsewhere; for one of this domain's own, set PARLEY_JWT_SECRET",
                code="unsupported_grant_type",
            )
        return self._secret

    async def _count_try(self, account: bytes, account_here: bytes) -> None:
        """Before it is known whether it succeeds: many at once are no way around the wait.

        `account`: of tries from everywhere; `account_here`: of those from the same place.
        """
        now = self._now()
        async with self._pool.acquire() as conn, conn.transaction():
            everywhere = await rows.tries(conn, account, now)
            here = await rows.tries(conn, account_here, now)
            until = max(
                crowd_waits_until(everywhere.count, everywhere.last_at),
                wait_until(here.count, here.last_at),
            )
            if until > now:
                seconds = math.ceil((until - now).total_seconds())
                raise TooManyRequests(
                    f"too many tries in vain: wait {seconds} s", retry_after=seconds
                )
            still = crowd(everywhere.count, everywhere.last_at, now)
            await rows.put_tries(conn, account, still + 1, now)
            await rows.put_tries(conn, account_here, here.count + 1, now)

    async def _forget_tries(self, accounts: Collection[bytes]) -> None:
        """Those of other places go on to count: they are not this user's."""
        async with self._pool.acquire() as conn:
            await rows.forget_tries(conn, accounts)

    def _token(
        self, secret: str, user: TokenUser, lifetime: timedelta, meeting: UUID | None = None
    ) -> Token:
        text = issue(secret, user=user, now=self._now(), lifetime=lifetime, meeting=meeting)
        return Token(text=text, expires_in=int(lifetime.total_seconds()))


def _address(name: str) -> str:
    """Without a scheme or a Windows domain, in lower case."""
    if len(name) > _NAME_LONGEST:
        raise _invalid_grant("no such user, or not their password")
    plain = unicodedata.normalize("NFC", name).strip().lower()
    return plain.removeprefix("sip:").rpartition("\\")[2].strip()


def _id_of(address: str) -> UUID | None:
    """Of a short name or a UUID; who has no e-mail address has a SIP URI that begins with their id."""
    name, at, _ = address.partition("@")
    if at:
        return _uuid(name)
    return user_named(name).id if name else None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _token_user(user: User) -> TokenUser:
    return TokenUser(id=user.id, name=user.name, email=user.email, org=user.org)


def _opens(key: str, invitation: Invitation) -> bool:
    given = key.strip().upper().encode("utf-8", "surrogatepass")
    by_key = secrets.compare_digest(given, invitation.online_meeting_id.upper().encode())
    return secrets.compare_digest(given, invitation.conference_id.encode()) or by_key


def _accounts(kind: str, name: str, place: str) -> tuple[bytes, bytes]:
    """What tries are counted under: from everywhere, and from this place."""
    return _digest(f"{kind} {name}"), _digest(f"{kind} {name} from {place}")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _invalid_grant(why: str) -> BadRequest:
    return BadRequest(why, code="invalid_grant")
