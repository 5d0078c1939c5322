"""One client transport: its credentials, its addresses, its DTLS associations, and the path's transport from them."""

from __future__ import annotations

import asyncio
import secrets
import weakref
from typing import Literal, Protocol

from schemas.sfu import Loss
from sfu.path.interface import PacketPath, UnknownStream
from sfu.sdp.remote import Fingerprint
from sfu.transport.associations import Associations
from sfu.transport.attempt import Attempt
from sfu.transport.credentials import Credentials, Freshness
from sfu.transport.dtls import Certificate, MediaKeys
from sfu.transport.pairs import Pairs
from sfu.wire import stun
from sfu.wire.address import Address
from sfu.wire.bucket import Bucket

MAX_ADDRESSES = 8
"""Checked addresses of one client that are remembered; browsers try a few per interface."""
HANDSHAKE_TIMEOUT = 8.0
"""With what the first check may take, a client is told within ten seconds what is wrong."""
CHECKS_PER_SECOND = 100
"""Of one client, beside those that the path answers: browsers send one every 50 ms while they look for a way."""
RECORDS_PER_SECOND = 100
"""Datagrams of DTLS of one client; a handshake has about five."""

CLOSED_BY_CLIENT = Loss.CLOSED

PeerState = Literal["new", "connecting", "connected", "closed"]


class PeerOwner(Protocol):
    """Who is told what becomes of a peer."""

    def peer_connected(self, peer: Peer) -> None:
        """Once for each association: `peer.transport` is another one then, and the former is about to be closed."""
        ...

    def peer_lost(self, peer: Peer, reason: Loss) -> None:
        """Called once, never after `close`; the peer is closed already."""
        ...

    def unknown_stream(self, peer: Peer, stream: UnknownStream) -> None:
        """RTP that no track claims came over the peer's transport."""
        ...


class PeerRegistry(Protocol):
    """What a peer needs of the endpoint it lives on."""

    path: PacketPath
    certificate: Certificate

    def credentials_added(self, peer: Peer, ufrag: str) -> None: ...

    def credentials_dropped(self, ufrag: str) -> None: ...

    def address_dropped(self, peer: Peer, address: Address) -> None: ...

    def transport_opened(self, peer: Peer, transport: int) -> None: ...

    def transport_closed(self, transport: int) -> None: ...

    def may_renew(self, now_us: int) -> bool:
        """Whether the worker has time for one handshake more that no description has asked for."""
        ...

    def peer_closed(self, peer: Peer) -> None: ...

    def count(self, name: str) -> None: ...

    def keep(self, task: asyncio.Task[None]) -> None:
        """Own a task until it ends."""
        ...


class Peer:
    """A client's transport, from its first description until it is closed.

    Opened with our credentials; `expect` says whom the handshake has to prove; checks bring addresses; with
    both, the handshake runs, and the packet path gets the keys.
    """

    def __init__(self, registry: PeerRegistry, owner: PeerOwner, now_us: int) -> None:
        self.state: PeerState = "new"
        self.transport: int | None = None
        self.opened_us = now_us
        self.expected_us = 0
        """When it was known whom to expect; 0 until then."""
        self.last_check_us = 0
        self.owner = owner
        self.checks = Bucket(CHECKS_PER_SECOND, CHECKS_PER_SECOND)
        self.records = Bucket(RECORDS_PER_SECOND, RECORDS_PER_SECOND)
        # By a proxy: what is closed goes at once, while the collector of cycles runs rarely.
        myself: Peer = weakref.proxy(self)
        self.pairs = Pairs(
            lambda address: myself._path_heard_us(address), lambda: myself._path_nominated_us()
        )
        self._now_us = now_us
        """Of the last thing that happened to it."""
        self._registry = registry
        self._credentials = Credentials()
        self._tie_breaker = secrets.randbits(64)
        self._associations = Associations(myself, lambda: myself._now_us)
        self._left_checks: tuple[str, str] | None = None
        registry.credentials_added(self, self.ufrag)

    # credentials

    @property
    def ufrag(self) -> str:
        return self._credentials.ufrag

    @property
    def password(self) -> str:
        return self._credentials.password

    @property
    def ufrags(self) -> list[str]:
        return self._credentials.ufrags

    def password_of(self, ufrag: str) -> str | None:
        return self._credentials.password_of(ufrag)

    def renew_credentials(self, now_us: int = 0, *, by_us: bool = False) -> None:
        """An ICE restart. The client may go on with its association, or begin another one.

        `by_us`: in an offer of ours; what is to come is known when its answer is there.
        """
        self._now_us = max(now_us, self._now_us)
        self._credentials.renew()
        self._associations.may_begin_anew(by_us=by_us)
        self._registry.credentials_added(self, self.ufrag)
        self._leave_checks()

    def may_begin_anew(self, now_us: int) -> None:
        """The client's description lets expect another association, under the credentials that are there."""
        self._now_us = max(now_us, self._now_us)
        self._associations.may_begin_anew(by_us=False)

    def adopt_credentials(self, other: Peer) -> None:
        """Take over the credentials of a peer that this one replaces: its offer is what the client answered."""
        for ufrag in self.ufrags:
            self._registry.credentials_dropped(ufrag)
        self._credentials.adopt(other.ufrag, other.password)
        self._registry.credentials_added(self, self.ufrag)

    def restarts(self, ufrag: str, password: str) -> bool:
        """Whether a description of the client with these restarts ICE."""
        return self._credentials.restarts(ufrag, password)

    def set_remote(self, ufrag: str, password: str) -> None:
        """The client's credentials, under which it answers checks of ours."""
        if self._credentials.remote == (ufrag, password):
            return
        self._credentials.remote = ufrag, password
        self.pairs.ask_anew()
        for address in self.addresses:
            self._ask(address)

    # addresses

    @property
    def selected(self) -> Address | None:
        return self.pairs.selected

    @property
    def addresses(self) -> list[Address]:
        """Those checked, in order of their last checks."""
        return self.pairs.addresses

    def freshness(self, transaction: bytes, address: Address) -> Freshness:
        """Of an authentic check: whether it has come before, and from where."""
        by_path = self.transport is not None and self._registry.path.answered(
            self.transport, transaction
        )
        return self._credentials.freshness(transaction, address, self.selected if by_path else None)

    def checked(
        self, address: Address, ufrag: str, *, nominated: bool, now_us: int, size: int = 0
    ) -> None:
        """An authentic connectivity check of so many bytes came from this address."""
        self._now_us = self.last_check_us = now_us
        era = self._credentials.era_of(ufrag) if nominated else 0
        if self.pairs.checked(address, era, now_us):
            self._remember(address)
        self.pairs.received(address, size)
        if nominated and ufrag == self.ufrag:
            self._drop_former_credentials()
        self._ask(address)
        self._go_on()

    def answered(self, response: stun.Response, address: Address, now_us: int) -> bool:
        """An answer to a check of ours; False: it is none, or not authentic."""
        self._now_us = now_us
        if not self.pairs.awaited(address) or self.pairs.awaited(address) != response.transaction:
            return False
        if not stun.authentic(response, self._credentials.remote[1]):
            return False
        self.pairs.prove(address, now_us)
        self.count("addresses_proven")
        self._go_on()
        return True

    def send(self, data: bytes, address: Address) -> bool:
        """STUN or DTLS; False: no more may be sent there before more has come from it."""
        if not self.pairs.spend(address, len(data)):
            self.count("unproven_held_back")
            return False
        self._registry.path.send(data, address)
        return True

    def tick(self, now_us: int) -> None:
        """Once a second: what is to be done without anything having come."""
        self._now_us = now_us
        for address in self.pairs.restless(now_us):
            self._ask(address)
        self._follow()

    def forget(self, address: Address) -> None:
        """The address is somebody else's now, or one too many."""
        self.pairs.forget(address)
        self._registry.address_dropped(self, address)

    # the handshake

    @property
    def fingerprints(self) -> frozenset[Fingerprint]:
        return self._associations.fingerprints

    def expect(
        self,
        fingerprints: frozenset[Fingerprint],
        *,
        active: bool,
        tls_id: str | None = None,
        now_us: int = 0,
    ) -> None:
        """The client's certificate must match; `active`: we send the first flight."""
        self._now_us = max(now_us, self._now_us)
        self.expected_us = self.expected_us or self._now_us
        self._associations.expect(fingerprints, "client" if active else "server", tls_id)
        self._connect_when_ready()

    def dtls_received(self, data: bytes, address: Address, now_us: int) -> bool:
        """False when there is no room for it."""
        if self.state == "closed":
            return False
        self._now_us = now_us
        self.pairs.received(address, len(data))
        return self._associations.received(data, address)

    # end

    def close(self) -> None:
        """Idempotent. The client is told by a DTLS alert; the owner is not told."""
        if self.state == "closed":
            return
        self.state = "closed"
        if self.transport is not None:
            self._registry.path.close_transport(self.transport)
        self._associations.close(self.selected)
        self._registry.peer_closed(self)

    def lose(self, reason: str) -> None:
        """Close and tell the owner. The reason is a `Loss`, or the words of one."""
        if self.state == "closed":
            return
        loss = Loss(reason)
        self.count(f"lost_{loss.code}")
        self.close()
        self.owner.peer_lost(self, loss)

    # what its associations ask and tell (AssociationsOwner)

    def attempt(self) -> Attempt:
        attempt = Attempt(self._registry.certificate, self.send, self._now_us)
        attempt.follow(self.selected)
        return attempt

    def patience(self) -> float:
        return HANDSHAKE_TIMEOUT

    def may_renew(self) -> bool:
        return self._registry.may_renew(self._now_us)

    def stands(self, attempt: Attempt, keys: MediaKeys) -> bool:
        """The path goes over to the new keys; then the former transport ends."""
        address = self._landing(attempt)
        if address is None:
            # Its only address was claimed by another peer while the handshake ran.
            return False
        path, former = self._registry.path, self.transport
        self.transport = path.open_transport(keys.receive, keys.send, address, keys.master)
        for known in self.addresses:
            if known != address:
                path.accept(self.transport, known)
        self.pairs.settle(address)
        self._left_checks = None
        self._leave_checks()
        self.state = "connected"
        self._registry.transport_opened(self, self.transport)
        self.owner.peer_connected(self)
        if former is not None:
            path.close_transport(former)
            self._registry.transport_closed(former)
        return True

    def gone(self, reason: Loss) -> None:
        self.lose(reason)

    def count(self, name: str) -> None:
        self._registry.count(name)

    def keep(self, task: asyncio.Task[None]) -> None:
        self._registry.keep(task)

    # inside

    def _path_heard_us(self, address: Address) -> int:
        if self.transport is None:
            return 0
        return self._registry.path.heard_from_us(self.transport, address)

    def _path_nominated_us(self) -> int:
        return self._registry.path.nominated_us(self.transport) if self.transport else 0

    def _remember(self, address: Address) -> None:
        if self.transport is not None:
            self._registry.path.accept(self.transport, address)
        superfluous = self.pairs.superfluous(MAX_ADDRESSES)
        if superfluous is not None:
            self.forget(superfluous)

    def _ask(self, address: Address) -> None:
        """Send a check of our own there, if it is time: who answers it is there."""
        ufrag, password = self._credentials.remote
        if not ufrag:
            return
        transaction = self.pairs.ask(address, secrets.token_bytes(12), self._now_us)
        if transaction:
            username = f"{ufrag}:{self.ufrag}"
            self.send(stun.request(username, password, transaction, self._tie_breaker), address)

    def _go_on(self) -> None:
        """Something came that may let something else go on."""
        self._follow()
        self._leave_checks()
        self._connect_when_ready()
        self._associations.follow(self.selected)

    def _follow(self) -> None:
        if not self.pairs.move(self._now_us):
            return
        self.count("addresses_changed")
        if self.transport is not None and self.selected is not None:
            self._registry.path.select(self.transport, self.selected)
        self._leave_checks()

    def _drop_former_credentials(self) -> None:
        for ufrag in self._credentials.former:
            self._registry.credentials_dropped(ufrag)
        self._credentials.drop_former()

    def _leave_checks(self) -> None:
        """To the path, unless a check may still change something here: which credentials are good, which pair."""
        if self.transport is None:
            return
        ours, selected = self._credentials, self.selected
        nominated = selected is not None and self.pairs.era(selected) == ours.era
        good = nominated and not ours.former
        credentials = (ours.ufrag, ours.password) if good else ("", "")
        if credentials != self._left_checks:
            self._left_checks = credentials
            self._registry.path.answer_checks(self.transport, *credentials)

    def _connect_when_ready(self) -> None:
        if self.state != "new" or not self.fingerprints or self.selected is None:
            return
        self.state = "connecting"
        self._associations.begin(self.selected)

    def _landing(self, attempt: Attempt) -> Address | None:
        """Where media goes first: where the client has shown to be, by the handshake or by an answer to a check."""
        address, known = attempt.address, self.addresses
        if address is not None and attempt.proves(address):
            self.pairs.prove(address, self._now_us)
        # The first time the client has had its choice; a later handshake shows where it is now.
        order = (address, self.selected) if self.pairs.settled else (self.selected, address)
        for at in order:
            if at is not None and self.pairs.is_proven(at):
                return at
        return attempt.first if attempt.first in known else None
