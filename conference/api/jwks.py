"""Keys of others: a JSON Web Key Set (RFC 7517) at an address, fetched when needed and kept for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import aiohttp
import msgspec
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from conference.errors import Unavailable

_log = structlog.get_logger(__name__)


class JwksKeys:
    """The key set at an address, fetched when needed and kept for a while."""

    _KEEP = 600.0
    _PAUSE = 30.0
    """Between two fetches, whatever unknown key ids come in."""
    _TIMEOUT = aiohttp.ClientTimeout(total=5.0)
    _LARGEST = 1 << 20

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._clock = clock
        self._keys: KeySet | None = None
        self._fetched = float("-inf")
        self._tried = float("-inf")
        self._one_at_a_time = asyncio.Lock()

    async def get(self, key_id: str | None) -> KeySet:
        """Raises Unavailable when there are no keys and none can be fetched."""
        async with self._one_at_a_time:
            if self._wanted(key_id) and self._clock() - self._tried >= self._PAUSE:
                await self._fetch()
        if self._keys is None:
            raise Unavailable("the key server that signs tokens can't be reached")
        return self._keys

    def _wanted(self, key_id: str | None) -> bool:
        if self._keys is None or self._clock() - self._fetched > self._KEEP:
            return True
        return key_id is not None and all(key.kid != key_id for key in self._keys)

    async def _fetch(self) -> None:
        self._tried = self._clock()
        try:
            self._keys = _asymmetric(await self._download())
        except (
            aiohttp.ClientError,
            TimeoutError,
            ValueError,
            msgspec.DecodeError,
            JoseError,
        ) as error:
            _log.warning("jwks_fetch_failed", url=self._url, error=repr(error))
            return
        self._fetched = self._clock()

    async def _download(self) -> bytes:
        async with (
            aiohttp.ClientSession(timeout=self._TIMEOUT) as session,
            session.get(self._url) as response,
        ):
            response.raise_for_status()
            body = await response.content.read(self._LARGEST + 1)
        if len(body) > self._LARGEST:
            raise ValueError("the key set is too large")
        return body


class _KeySet(msgspec.Struct):
    keys: list[dict[str, str | list[str]]]


def _asymmetric(body: bytes) -> KeySet:
    """A shared secret has no place in a public key set: such keys are left out."""
    found = msgspec.json.decode(body, type=_KeySet)
    return KeySet.import_key_set(
        {"keys": [key for key in found.keys if key.get("kty") in ("RSA", "EC")]}
    )
