"""What the connections of a participant have in common: the worker's tools, and answering a client's offer."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

import msgspec

from sfu.endpoint import Endpoint
from sfu.guard import Guard
from sfu.negotiation import our_setup
from sfu.peer import Peer, PeerOwner
from sfu.sdp.bundle import Carried
from sfu.sdp.local import LocalTransport, Rejected, Section, render
from sfu.sdp.remote import RemoteTransport, Setup
from sfu.streams import Streams


class Media(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The worker's media side, as sessions use it. `now_us` reads the packet path's clock."""

    endpoint: Endpoint
    streams: Streams
    cname: str
    """Names the worker as the source of all that it sends (RFC 3550 section 6.5.1)."""
    now_us: Callable[[], int]
    cpu_us: Callable[[], int] = lambda: time.thread_time_ns() // 1000
    """CPU time of the media loop."""
    guard: Guard = msgspec.field(default_factory=Guard)


def new_ssrc() -> int:
    return secrets.randbelow((1 << 32) - 1) + 1


class Writer:
    """The `o=` line of one connection's descriptions: an id of its own and a growing version (RFC 8866 5.2)."""

    def __init__(self) -> None:
        self._session = secrets.randbits(62)
        self._version = 0

    def write(
        self,
        transport: LocalTransport,
        sections: list[Section | Rejected],
        *,
        bundle: tuple[str, ...],
        mixed: bool,
    ) -> str:
        self._version += 1
        return render(
            self._session,
            self._version,
            transport,
            sections,
            bundle=bundle,
            mixed_extensions=mixed,
        )


class Answering:
    """Our end of a connection for which the client makes the offers.

    A renewed offer is told apart by what changed. Same ufrag: the same connection, renegotiated. Another
    ufrag: an ICE restart, DTLS and keys are kept (RFC 8842 section 5.5). Another certificate: a new
    connection that takes the old one's place.
    """

    def __init__(self, media: Media) -> None:
        self.peer: Peer | None = None
        self._media = media
        self._setup: Setup = "passive"
        self._writer = Writer()

    @property
    def transport(self) -> int | None:
        """The packet path's number, once connected."""
        return self.peer.transport if self.peer and self.peer.state == "connected" else None

    def replaces(self, transport: RemoteTransport) -> bool:
        """Whether this offer is for a connection other than the present one."""
        peer = self.peer
        return peer is None or peer.state == "closed" or peer.fingerprints != transport.fingerprints

    def answer(
        self,
        owner: PeerOwner,
        carried: Carried,
        sections: list[Section | Rejected],
        *,
        mixed: bool,
    ) -> str:
        """Adopt the offer's transport and write the answer. `mixed`: with a=extmap-allow-mixed for all m-lines.

        A new connection's peer tells `owner`, who is not kept here: it would keep itself.
        """
        transport = carried.transport
        if self.replaces(transport):
            self.close()
            self.peer = self._media.endpoint.open_peer(owner, self._media.now_us())
            self._setup = our_setup(transport.setup)
        elif self.peer and self.peer.remote_ufrag != transport.ufrag:
            self.peer.renew_credentials()
        assert self.peer is not None
        self.peer.remote_ufrag = transport.ufrag
        local = self._media.endpoint.local(self.peer, self._setup)
        if self.peer.state == "new":
            self.peer.expect(transport.fingerprints, active=self._setup == "active")
        return self._writer.write(local, sections, bundle=carried.group, mixed=mixed)

    def close(self) -> None:
        if self.peer is not None:
            self.peer.close()
            self.peer = None
