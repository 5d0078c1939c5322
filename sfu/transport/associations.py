"""The DTLS associations of one client: the one that stands, and the one that is on its way.

A ClientHello begins an association wherever it finds one (RFC 6347 section 4.2.8): a page that is loaded again with the
certificate it has kept, a browser that moves its m-lines to another transport. The former one is kept until the new one
stands, so that whoever sends a hello in a client's name gets nothing but an answer to the client, and ends nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from schemas.sfu import Loss
from sfu.sdp.remote import Fingerprint
from sfu.transport.attempt import Attempt
from sfu.transport.dtls import MediaKeys, Role
from sfu.wire import dtls_records
from sfu.wire.address import Address
from sfu.wire.bucket import Bucket

GRACE_US = 8_000_000
"""Whoever may begin a new association may end the former one first."""
RENEWALS_PER_SECOND = 0.5
RENEWALS = 3
"""Handshakes that a client may begin at once; each costs about a millisecond."""

log = structlog.get_logger(__name__)


class AssociationsOwner(Protocol):
    def attempt(self) -> Attempt:
        """A new one."""
        ...

    def patience(self) -> float:
        """Seconds that a handshake may take."""
        ...

    def may_renew(self) -> bool:
        """Whether the worker has time for one handshake more that no description has asked for."""
        ...

    def stands(self, attempt: Attempt, keys: MediaKeys) -> bool:
        """The handshake is over; False: nothing can be sent to the client. What was sent before is sent no more."""
        ...

    def gone(self, reason: Loss) -> None:
        """No association stands or is on its way."""
        ...

    def count(self, name: str) -> None: ...

    def keep(self, task: asyncio.Task[None]) -> None: ...


class Associations:
    """`now_us` is the time of the last thing that happened to the client."""

    def __init__(self, owner: AssociationsOwner, now_us: Callable[[], int]) -> None:
        self.fingerprints: frozenset[Fingerprint] = frozenset()
        self._owner = owner
        self._now_us = now_us
        self._role: Role = "server"
        self._expected: tuple[frozenset[Fingerprint], Role, str | None] | None = None
        self._rising: Attempt | None = owner.attempt()
        self._standing: Attempt | None = None
        self._demanded = False
        """The client's description demands another association than the standing one."""
        self._announced_us: int | None = None
        self._unanswered = False
        self._renewals = Bucket(RENEWALS_PER_SECOND, RENEWALS)

    @property
    def begun(self) -> bool:
        """Whether a handshake runs, or is over."""
        return self._standing is not None or (
            self._rising is not None and self._rising.task is not None
        )

    def expect(
        self, fingerprints: frozenset[Fingerprint], role: Role, tls_id: str | None = None
    ) -> None:
        """The client's certificate must match. As a client we send the first flight.

        Other fingerprints, another role or another `tls-id` demand a new association (RFC 8842 section 3).
        """
        former, present = self._expected, (fingerprints, role, tls_id)
        self.fingerprints, self._role, self._expected = fingerprints, role, present
        self._unanswered = False
        if former is not None and former != present:
            # As a server we wait for its hello, and the former association may go on until then.
            self._demanded = role == "client"
            self._renew()

    def may_begin_anew(self, *, by_us: bool) -> None:
        """A description restarts ICE, or moves to another transport of the client's.

        `by_us`: it is the answer that will tell whom to expect; `expect` is called once it is there.
        """
        self._announced_us = self._now_us()
        self._unanswered = by_us

    def begin(self, address: Address) -> None:
        """Whom to expect is known, and where something can be sent to: let the first handshake run."""
        if self._rising is not None and not self.begun:
            self._rising.follow(address)
            self._start(self._rising)

    def follow(self, address: Address | None) -> None:
        """Where a handshake goes for which nothing has come yet; and more may be sent now."""
        if self._rising is not None:
            self._rising.follow(address)
            self._rising.release()

    def received(self, data: bytes, address: Address) -> bool:
        """False when there is no room for it."""
        for attempt in self._addressees(data):
            attempt.came_from(address)
            taken = attempt.association.received(data)
            if taken == "ended":
                self._ended(attempt)
                break
            if taken == "full":
                return False
        return True

    def close(self, selected: Address | None) -> None:
        """Say goodbye. Nothing is told."""
        rising, standing = self._rising, self._standing
        self._rising = self._standing = None
        if standing is not None:
            standing.address = selected or standing.address
            standing.drop(farewell=True)
        if rising is not None:
            rising.drop(farewell=True)

    # whose a datagram is

    def _addressees(self, data: bytes) -> tuple[Attempt, ...]:
        """Which associations it may be for; nobody's is dropped."""
        random = dtls_records.client_random(data)
        if random is not None:
            return self._greeted(random)
        rising, standing = self._rising, self._standing
        if rising is None or standing is None:
            return tuple(attempt for attempt in (rising, standing) if attempt is not None)
        if dtls_records.is_sealed_alert(data):
            return standing, rising
        rising.got_on_us = self._now_us()
        return (rising,)

    def _greeted(self, random: bytes) -> tuple[Attempt, ...]:
        """By a ClientHello: of the handshake that is on its way, of the one that is over, or of a new one."""
        if self._rising is not None and self._rising.greet(random, self._now_us()):
            return (self._rising,)
        if self._standing is not None and self._standing.greeted_with(random):
            return (self._standing,)
        if not self._may_begin():
            return ()
        rising = self._renew()
        rising.greet(random, self._now_us())
        return (rising,)

    def _may_begin(self) -> bool:
        rising = self._rising
        if (
            self._role == "client"
            or self._unanswered
            or (rising and not rising.yields(self._now_us()))
        ):
            self._owner.count("dtls_hellos_refused")
            return False
        if not self._renewals.take(self._now_us()) or not self._owner.may_renew():
            self._owner.count("dtls_hellos_limited")
            return False
        return True

    # the handshake

    def _renew(self) -> Attempt:
        """Begin a handshake beside the association that stands, in the place of one that is on its way."""
        self._owner.count("dtls_renewals")
        running = self.begun
        if self._rising is not None:
            self._rising.drop(farewell=False)
        rising = self._rising = self._owner.attempt()
        if running:
            self._start(rising)
        return rising

    def _start(self, attempt: Attempt) -> None:
        attempt.task = asyncio.create_task(self._shake_hands(attempt))
        self._owner.keep(attempt.task)

    async def _shake_hands(self, attempt: Attempt) -> None:
        keys, failure = None, Loss.FAILED
        try:
            async with asyncio.timeout(self._owner.patience()):
                keys = await attempt.association.shake_hands(self._role, self.fingerprints)
            failure = attempt.association.failure
        except TimeoutError:
            failure = Loss.HANDSHAKE_UNFINISHED
        except Exception:
            # Libraries read what the client shows as its certificate: whatever they raise is this client's affair.
            if attempt is not self._rising:
                return  # it was dropped, perhaps with its owner
            self._owner.count("handshakes_raised")
            log.warning("handshake_raised", exc_info=True)
        if attempt is not self._rising:
            return
        attempt.task = None
        if keys is None:
            self._failed(attempt, failure)
            return
        self._stand(attempt, keys)

    def _failed(self, attempt: Attempt, failure: Loss) -> None:
        if self._standing is None or self._demanded:
            self._owner.gone(failure)
            return
        # Perhaps it was not even the client that began it.
        self._owner.count("dtls_renewals_failed")
        self._rising = None
        attempt.drop(farewell=False)

    def _stand(self, attempt: Attempt, keys: MediaKeys) -> None:
        former, self._standing, self._rising = self._standing, attempt, None
        self._demanded, self._announced_us = False, None
        if former is not None:
            former.drop(farewell=False)
        if not self._owner.stands(attempt, keys):
            self._owner.gone(Loss.ADDRESS_TAKEN)
            return
        for data in attempt.association.backlog():
            if attempt.address is not None:
                self.received(data, attempt.address)

    def _ended(self, attempt: Attempt) -> None:
        """By the client, which may be about to begin another one."""
        if attempt is not self._standing:
            return
        if self._rising is None and not self._unanswered and self._announced_lately():
            self._renew()
        if self._rising is None:
            self._owner.gone(Loss.CLOSED)
            return
        self._standing = None
        attempt.drop(farewell=False)

    def _announced_lately(self) -> bool:
        if self._announced_us is None:
            return False
        return self._now_us() - self._announced_us < GRACE_US
