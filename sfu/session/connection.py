"""What the connections of a participant have in common: the worker's tools, and answering a client's offer."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

import msgspec

from sfu.guard import Guard
from sfu.path.streams import Streams
from sfu.sdp.answers import our_setup
from sfu.sdp.bundle import Carried
from sfu.sdp.local import LocalTransport, Rejected, Section, render
from sfu.sdp.remote import RemoteTransport, Setup
from sfu.transport.endpoint import Endpoint
from sfu.transport.peer import Peer, PeerOwner


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

    A renewed offer is told apart by what changed.

    | fragment and password | fingerprints or role | it is |
    |---|---|---|
    | the same | the same | the same connection, renegotiated |
    | both others | the same | an ICE restart; a ClientHello shows whether DTLS begins anew as well |
    | the same, of another m-line | the same | another transport of the client's, with sockets and DTLS of its own |
    | the same | others | a new DTLS association over the same addresses (RFC 8842 section 3) |
    | both others | others | a new connection that takes the old one's place |

    Our own fragment and password change with theirs, and only then (RFC 8839 section 4.4).
    """

    def __init__(self, media: Media) -> None:
        self.peer: Peer | None = None
        self._media = media
        self._setup: Setup = "passive"
        self._tag = ""
        """The m-line whose transport it is."""
        self._writer = Writer()

    @property
    def transport(self) -> int | None:
        """The packet path's number, once connected."""
        return self.peer.transport if self.peer and self.peer.state == "connected" else None

    def replaces(self, transport: RemoteTransport) -> bool:
        """Whether this offer is for a connection other than the present one."""
        peer = self.peer
        if peer is None or peer.state == "closed":
            return True
        restarts = peer.restarts(transport.ufrag, transport.password)
        return restarts and peer.fingerprints != transport.fingerprints

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
        transport, now_us = carried.transport, self._media.now_us()
        former_tag, self._tag = self._tag, (carried.group or (carried.media[0].mid,))[0]
        if self.replaces(transport):
            self.close()
            self.peer = self._media.endpoint.open_peer(owner, now_us)
            self._setup = our_setup(transport.setup)
        elif self.peer and self.peer.restarts(transport.ufrag, transport.password):
            self.peer.renew_credentials(now_us)
        elif self.peer and self._tag != former_tag:
            # Browsers do that when the m-line that carried the transport is stopped.
            self.peer.may_begin_anew(now_us)
        assert self.peer is not None
        if transport.setup != "actpass":
            # Left the choice, an answer keeps the roles as they are (RFC 8842 section 5.5).
            self._setup = our_setup(transport.setup)
        local = self._media.endpoint.local(self.peer, self._setup)
        text = self._writer.write(local, sections, bundle=carried.group, mixed=mixed)
        self.peer.set_remote(transport.ufrag, transport.password)
        active = self._setup == "active"
        self.peer.expect(
            transport.fingerprints, active=active, tls_id=transport.tls_id, now_us=now_us
        )
        return text

    def close(self) -> None:
        if self.peer is not None:
            self.peer.close()
            self.peer = None
