"""The worker's one UDP port: which peer each datagram belongs to.

STUN is told apart by the credentials it carries, DTLS by the address it comes from once a check from there
was authentic, and RTP and RTCP are the packet path's. What belongs to nobody is counted and dropped.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Protocol

import structlog

from schemas.sfu import Loss
from sfu.guard import Guard
from sfu.path.interface import Datagram, Inbound, PacketPath
from sfu.sdp.local import LocalTransport
from sfu.sdp.remote import Setup
from sfu.transport.dtls import Certificate
from sfu.transport.peer import Peer, PeerOwner
from sfu.wire import stun
from sfu.wire.address import Address
from sfu.wire.bucket import Bucket

UNKNOWN_CHECKS_PER_SECOND = 2000
"""Checks from addresses that no peer uses yet; parsing and verifying one takes about 50 µs."""
RENEWALS_PER_SECOND = 100
"""Handshakes of connected clients, all together; one takes about a millisecond."""
CONNECT_TIMEOUT_US = 8_000_000
"""Without a check for so long after both descriptions are there, a client can't reach the port."""
CLAIM_AFTER_US = 5_000_000
"""An address that was heard from for its peer this recently is not given to another one."""

log = structlog.get_logger(__name__)


class MediaSink(Protocol):
    """Who takes what the packet path leaves for Python, STUN and DTLS aside."""

    def rtcp_received(self, transport: int, compound: bytes, now_us: int) -> None: ...

    def track_started(self, track: int) -> None: ...

    def keyframe_seen(self, track: int, now_us: int) -> None: ...

    def transport_closed(self, transport: int) -> None:
        """The path has dropped it with its tracks and legs."""
        ...


class Endpoint:
    """All peers of the worker, by credentials, by address and by transport."""

    def __init__(
        self, path: PacketPath, certificate: Certificate, candidates: Iterable[Address]
    ) -> None:
        self.path = path
        self.certificate = certificate
        self.candidates = tuple(candidates)
        self.sink: MediaSink | None = None
        self.counters: Counter[str] = Counter()
        self._by_ufrag: dict[str, Peer] = {}
        self._by_address: dict[Address, Peer] = {}
        self._by_transport: dict[int, Peer] = {}
        self._peers: set[Peer] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._strangers = Bucket(UNKNOWN_CHECKS_PER_SECOND, UNKNOWN_CHECKS_PER_SECOND)
        self._renewals = Bucket(RENEWALS_PER_SECOND, RENEWALS_PER_SECOND)
        self._guard = Guard(self.counters)

    # peers

    def open_peer(self, owner: PeerOwner, now_us: int) -> Peer:
        peer = Peer(self, owner, now_us)
        self._peers.add(peer)
        return peer

    def local(self, peer: Peer, setup: Setup) -> LocalTransport:
        """The peer's side of a description."""
        return LocalTransport(
            ufrag=peer.ufrag,
            password=peer.password,
            fingerprint=self.certificate.fingerprint,
            setup=setup,
            candidates=self.candidates,
        )

    @property
    def peers(self) -> int:
        return len(self._peers)

    def leftovers(self) -> dict[str, int]:
        """How many entries each table holds: all zero when nobody is connected."""
        return {
            "peers": len(self._peers),
            "credentials": len(self._by_ufrag),
            "addresses": len(self._by_address),
            "transports": len(self._by_transport),
        }

    def expire(self, now_us: int, timeout_us: int) -> None:
        """Close peers that sent nothing authentic for so long: neither a check nor a packet; or can't begin."""
        for peer in list(self._peers):
            # Of thousands nearly all are at rest, and media waits meanwhile.
            if not self._rests(peer, now_us, timeout_us):
                with self._guard.over("expiry"):
                    self._expire(peer, now_us, timeout_us)

    def _rests(self, peer: Peer, now_us: int, timeout_us: int) -> bool:
        if peer.state != "connected" or not peer.pairs.calm:
            return False
        return now_us - self._heard_us(peer) <= timeout_us

    def _expire(self, peer: Peer, now_us: int, timeout_us: int) -> None:
        if _never_began(peer, now_us) or now_us - self._heard_us(peer) > timeout_us:
            self.counters["peers_expired"] += 1
            peer.lose(Loss.SILENT if peer.state == "connected" else Loss.UNREACHABLE)
        else:
            peer.tick(now_us)

    async def close(self) -> None:
        """Close every peer and wait until their last words are sent."""
        for peer in list(self._peers):
            peer.close()
        if self._tasks:
            await asyncio.wait(self._tasks)

    # datagrams

    def dispatch(self, inbound: Inbound, now_us: int) -> None:
        """Hand on what one drain of the socket left for Python."""
        guard = self._guard
        for datagram in inbound.stun:
            with guard.over("stun"):
                self._stun(datagram, now_us)
        for datagram in inbound.dtls:
            with guard.over("dtls"):
                self._dtls(datagram, now_us)
        if self.sink is None:
            return
        for stream in inbound.unknown:
            if peer := self._by_transport.get(stream.transport):
                with guard.over("unknown_stream"):
                    peer.owner.unknown_stream(peer, stream)
        for track in inbound.started:
            with guard.over("track_started"):
                self.sink.track_started(track)
        for track in inbound.keyframes:
            with guard.over("keyframe"):
                self.sink.keyframe_seen(track, now_us)
        for transport, compound in inbound.rtcp:
            with guard.over("rtcp"):
                self.sink.rtcp_received(transport, compound, now_us)

    def _stun(self, datagram: Datagram, now_us: int) -> None:
        address = datagram.address
        if address[1] == 0:
            # Nobody can be answered there, and the socket would refuse to try.
            self.counters["stun_malformed"] += 1
            return
        owner = self._by_address.get(address)
        if not (owner.checks if owner else self._strangers).take(now_us):
            self.counters["stun_rate_limited"] += 1
            return
        try:
            if stun.is_response(datagram.data):
                self._response(stun.parse_response(datagram.data), owner, address, now_us)
            else:
                self._check(stun.parse(datagram.data), datagram, now_us)
        except ValueError:
            self.counters["stun_malformed"] += 1

    def _response(
        self, response: stun.Response, owner: Peer | None, address: Address, now_us: int
    ) -> None:
        if owner is None or not owner.answered(response, address, now_us):
            self.counters["stun_unexpected_response"] += 1

    def _check(self, check: stun.Check, datagram: Datagram, now_us: int) -> None:
        address = datagram.address
        peer = self._by_ufrag.get(check.local_ufrag)
        password = peer.password_of(check.local_ufrag) if peer else None
        if peer is None or password is None:
            self.counters["stun_unknown_user"] += 1
            return
        if not stun.authentic(check, password):
            self.counters["stun_not_authentic"] += 1
            return
        if check.unknown:
            self.counters["stun_unknown_attributes"] += 1
            self.path.send(stun.unknown_attributes(check, password), address)
            return
        if check.claims_controlled:
            self.counters["stun_role_conflicts"] += 1
            self.path.send(stun.role_conflict(check, password), address)
            return
        freshness = peer.freshness(check.transaction, address)
        if freshness == "replayed":
            self.counters["stun_replayed"] += 1
            return
        # What was refused the address is sent again by a client that has no answer.
        if freshness == "new" or self._by_address.get(address) is not peer:
            if not self._claim(address, peer, now_us):
                self.counters["stun_address_taken"] += 1
                return
            size = len(datagram.data)
            peer.checked(
                address, check.local_ufrag, nominated=check.nominated, now_us=now_us, size=size
            )
        peer.send(stun.success(check, address, password), address)

    def _claim(self, address: Address, peer: Peer, now_us: int) -> bool:
        """Give the address to the peer, unless another one is alive on it.

        Without this, a participant could send a check of its own from somebody else's (forged) address and
        take over that one's media.
        """
        owner = self._by_address.get(address)
        if owner is peer:
            return True
        if owner is not None:
            if now_us - self._heard_at_us(owner, address) < CLAIM_AFTER_US:
                return False
            owner.forget(address)
        self._by_address[address] = peer
        return True

    def _dtls(self, datagram: Datagram, now_us: int) -> None:
        peer = self._by_address.get(datagram.address)
        if peer is None:
            self.counters["dtls_unknown_address"] += 1
        elif not peer.records.take(now_us):
            self.counters["dtls_rate_limited"] += 1
        elif not peer.dtls_received(datagram.data, datagram.address, now_us):
            self.counters["dtls_queue_full"] += 1

    def _heard_at_us(self, peer: Peer, address: Address) -> int:
        """When the peer was last heard from in a way that tells of this address: if it is proven, in any."""
        if peer.pairs.is_proven(address):
            return self._heard_us(peer)
        return peer.pairs.heard_us(address)

    def _heard_us(self, peer: Peer) -> int:
        heard = max(peer.opened_us, peer.last_check_us)
        if peer.transport is not None:
            heard = max(heard, self.path.last_received_us(peer.transport))
        return heard

    # what peers tell (PeerRegistry)

    def credentials_added(self, peer: Peer, ufrag: str) -> None:
        self._by_ufrag[ufrag] = peer

    def credentials_dropped(self, ufrag: str) -> None:
        self._by_ufrag.pop(ufrag, None)

    def address_dropped(self, peer: Peer, address: Address) -> None:
        if self._by_address.get(address) is peer:
            del self._by_address[address]
            self.path.forget(address)

    def transport_opened(self, peer: Peer, transport: int) -> None:
        self._by_transport[transport] = peer
        self.counters["peers_connected"] += 1

    def transport_closed(self, transport: int) -> None:
        self._by_transport.pop(transport, None)
        if self.sink is not None:
            self.sink.transport_closed(transport)

    def may_renew(self, now_us: int) -> bool:
        return self._renewals.take(now_us)

    def count(self, name: str) -> None:
        self.counters[name] += 1

    def peer_closed(self, peer: Peer) -> None:
        self._peers.discard(peer)
        if peer.transport is not None:
            self.transport_closed(peer.transport)
        for ufrag in peer.ufrags:
            if self._by_ufrag.get(ufrag) is peer:
                del self._by_ufrag[ufrag]
        for address in peer.addresses:
            self.address_dropped(peer, address)

    def keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.counters["peer_task_failed"] += 1
            log.error("peer_task_failed", error=repr(error))


def _never_began(peer: Peer, now_us: int) -> bool:
    """Whether its checks should have come by now; before its description is there none can be expected."""
    if peer.state != "new" or not peer.expected_us or peer.last_check_us:
        return False
    return now_us - peer.expected_us > CONNECT_TIMEOUT_US
