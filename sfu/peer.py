"""One client transport: ICE-lite state, the DTLS handshake, and the path's transport that comes out of it."""

from __future__ import annotations

import asyncio
import secrets
from typing import Literal, Protocol

from sfu.dtls import Association, Certificate, MediaKeys, Role
from sfu.path import Address, PacketPath, UnknownStream
from sfu.sdp.remote import Fingerprint

HANDSHAKE_TIMEOUT = 15.0
MAX_ADDRESSES = 8
"""Checked addresses of one client that are remembered; browsers try a few per interface."""

CLOSED_BY_CLIENT = "closed by the client"

PeerState = Literal["new", "connecting", "connected", "closed"]


class PeerOwner(Protocol):
    """Who is told what becomes of a peer."""

    def peer_connected(self, peer: Peer) -> None: ...

    def peer_lost(self, peer: Peer, reason: str) -> None:
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

    def peer_closed(self, peer: Peer) -> None: ...

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
        self.remote_ufrag: str | None = None
        self.fingerprints: frozenset[Fingerprint] = frozenset()
        self.selected: Address | None = None
        self.addresses: list[Address] = []
        """Those checked, in order of their last checks."""
        self.opened_us = now_us
        self.last_check_us = 0
        self.owner = owner
        self._registry = registry
        self._former: tuple[tuple[str, str], ...] = ()
        """Fragments and passwords that are good besides ours."""
        self._association = Association(registry.certificate, self._send)
        self._role: Role = "server"
        self._task: asyncio.Task[None] | None = None
        self.ufrag = ""
        self.password = ""
        self.renew_credentials()

    # credentials

    def renew_credentials(self) -> None:
        """An ICE restart (RFC 8445 section 9): the former ones stay good until the client nominates with the new."""
        if self.ufrag:
            self._former += ((self.ufrag, self.password),)
        self.ufrag, self.password = secrets.token_hex(4), secrets.token_hex(12)
        self._registry.credentials_added(self, self.ufrag)
        self._leave_checks()

    def adopt_credentials(self, other: Peer) -> None:
        """Take over the credentials of a peer that this one replaces: its offer is what the client answered."""
        for ufrag in self.ufrags:
            self._registry.credentials_dropped(ufrag)
        self.ufrag, self.password, self._former = other.ufrag, other.password, ()
        self._registry.credentials_added(self, self.ufrag)

    def password_of(self, ufrag: str) -> str | None:
        if ufrag == self.ufrag:
            return self.password
        return next((password for former, password in self._former if former == ufrag), None)

    @property
    def ufrags(self) -> list[str]:
        return [*(former for former, _ in self._former), self.ufrag]

    # what comes in

    def expect(self, fingerprints: frozenset[Fingerprint], *, active: bool) -> None:
        """The client's certificate must match; `active`: we send the first flight."""
        self.fingerprints = fingerprints
        self._role = "client" if active else "server"
        self._connect_when_ready()

    def checked(self, address: Address, ufrag: str, *, nominated: bool, now_us: int) -> None:
        """An authentic connectivity check came from this address."""
        self.last_check_us = now_us
        known = address in self.addresses
        if known:
            self.addresses.remove(address)
        self.addresses.append(address)
        if not known:
            self._remember(address)
        if nominated or self.selected is None:
            self._select(address)
        if nominated and ufrag == self.ufrag:
            self._drop_former_credentials()
        self._connect_when_ready()

    def dtls_received(self, data: bytes) -> bool:
        """False when there is no room for it."""
        if self.state == "closed":
            return False
        taken = self._association.received(data)
        if taken == "ended":
            self.lose(CLOSED_BY_CLIENT)
        return taken != "full"

    # end

    def close(self) -> None:
        """Idempotent. The client is told by a DTLS alert; the owner is not told."""
        if self.state == "closed":
            return
        self.state = "closed"
        if self.transport is not None:
            self._registry.path.close_transport(self.transport)
        self._registry.peer_closed(self)
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self._association.close()

    def lose(self, reason: str) -> None:
        """Close and tell the owner."""
        if self.state == "closed":
            return
        self.close()
        self.owner.peer_lost(self, reason)

    # inside

    def _remember(self, address: Address) -> None:
        if self.transport is not None:
            self._registry.path.accept(self.transport, address)
        if len(self.addresses) > MAX_ADDRESSES:
            others = [known for known in self.addresses if known not in (address, self.selected)]
            self.forget(others[0])

    def forget(self, address: Address) -> None:
        """The address is somebody else's now, or one too many."""
        if address in self.addresses:
            self.addresses.remove(address)
        if self.selected == address:
            self.selected = None
        self._registry.address_dropped(self, address)

    def _select(self, address: Address) -> None:
        if self.selected == address:
            return
        self.selected = address
        if self.transport is not None:
            self._registry.path.select(self.transport, address)

    def _drop_former_credentials(self) -> None:
        for ufrag, _ in self._former:
            self._registry.credentials_dropped(ufrag)
        if self._former:
            self._former = ()
            self._leave_checks()

    def _leave_checks(self) -> None:
        """To the path, unless a check may still change something here: which credentials are good."""
        if self.transport is None:
            return
        ufrag, password = ("", "") if self._former else (self.ufrag, self.password)
        self._registry.path.answer_checks(self.transport, ufrag, password)

    def _connect_when_ready(self) -> None:
        if self.state != "new" or not self.fingerprints or self.selected is None:
            return
        self.state = "connecting"
        self._task = asyncio.create_task(self._connect())
        self._registry.keep(self._task)

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT):
                keys = await self._association.shake_hands(self._role, self.fingerprints)
        except TimeoutError:
            self.lose("DTLS handshake timed out")
            return
        finally:
            self._task = None
        if self.state == "closed":
            return
        if keys is None:
            self.lose(self._association.failure)
            return
        self._open(keys)
        for data in self._association.backlog():
            self.dtls_received(data)

    def _open(self, keys: MediaKeys) -> None:
        path = self._registry.path
        address = self.selected
        if address is None:
            # Its only address was claimed by another peer while the handshake ran.
            self.lose("address lost")
            return
        self.transport = path.open_transport(keys.receive, keys.send, address, keys.master)
        for known in self.addresses:
            if known != address:
                path.accept(self.transport, known)
        self._leave_checks()
        self.state = "connected"
        self._registry.transport_opened(self, self.transport)
        self.owner.peer_connected(self)

    def _send(self, data: bytes) -> None:
        if self.selected is not None:
            self._registry.path.send(data, self.selected)
