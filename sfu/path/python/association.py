"""One SRTP association with one remote: its keys, its address, the streams it sends us."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from pylibsrtp import Error as SrtpError
from pylibsrtp import Session as SrtpSession

from sfu.path.counters import Counters
from sfu.path.interface import Echo
from sfu.path.python.udp import UdpSocket, WireAddress
from sfu.path.python.unknown import UnknownStreams
from sfu.wire import rtcp

MAX_RTCP_SOURCES = 64
TRANSACTIONS = 32
"""Of answered checks that are remembered: more than a minute of them."""
MAX_ARRIVALS = 4096
"""Several seconds of a fast stream: nobody asks for feedback that is older."""


class Transport:
    def __init__(
        self,
        number: int,
        receive: SrtpSession,
        send: SrtpSession,
        address: WireAddress,
        udp: UdpSocket,
        counters: Counters,
    ) -> None:
        self.number = number
        self.address = address
        self.heard_us = {address: 0}
        """Where its datagrams come from, and when something authentic last did."""
        self.last_received_us = 0
        self.nominated_us = 0
        self.streams: dict[int, tuple[int, bool]] = {}
        """SSRC -> (track number, whether this is its retransmission stream)."""
        self.legs: dict[int, int] = {}
        """Number -> SSRC, in order."""
        self.leg_ssrcs: set[int] = set()
        """Every SSRC ever sent from here. Taken twice, SRTP would use the same key stream twice."""
        self.transport_cc_id = 0
        self.mid_id = 0
        self.echo: Echo | None = None
        self.credentials = "", ""
        self.transactions: deque[bytes] = deque(maxlen=TRANSACTIONS)
        self.arrivals: deque[tuple[int, int]] = deque(maxlen=MAX_ARRIVALS)
        self.unknown = UnknownStreams()
        self._receive = receive
        self._send = send
        self._udp = udp
        self._counters = counters
        self._rtcp_sources: set[int] = set()

    # --- in -----------------------------------------------------------------------------------

    def heard(self, address: WireAddress, now_us: int) -> None:
        self.last_received_us = self.heard_us[address] = now_us

    def open_rtp(self, data: bytes, ssrc: int, address: WireAddress, now_us: int) -> bytes | None:
        """None, counted, when the packet is not authentic or not to be opened at all."""
        if ssrc not in self.streams and not self._admit(ssrc, now_us):
            self._counters.drop_unknown_ssrc += 1
            return None
        try:
            opened: bytes = self._receive.unprotect(data)
        except (SrtpError, ValueError) as error:
            self._refuse(error)
            return None
        self.heard(address, now_us)
        self._counters.in_rtp += 1
        return opened

    def open_rtcp(self, data: bytes, ssrc: int, address: WireAddress, now_us: int) -> bytes | None:
        """None also for reports that there is nothing to do about: what they echo is kept."""
        sources = self._rtcp_sources
        if ssrc not in sources and len(sources) >= MAX_RTCP_SOURCES:
            self._counters.drop_unknown_ssrc += 1
            return None
        try:
            opened: bytes = self._receive.unprotect_rtcp(data)
        except (SrtpError, ValueError) as error:
            self._refuse(error)
            return None
        sources.add(ssrc)
        self.heard(address, now_us)
        self._counters.in_rtcp += 1
        mere, echo = rtcp.look(opened)
        if echo is not None:
            self.echo = Echo(*echo, now_us)
        return None if mere else opened

    def _admit(self, ssrc: int, now_us: int) -> bool:
        # libsrtp keeps state for every SSRC it has opened, so a peer may not bring any number of them.
        evicted = self.unknown.make_room(ssrc, now_us)
        if evicted is not None:
            self._forget_stream(self._receive, evicted)
        return self.unknown.has_room(ssrc)

    def remove_streams(self, track: int, now_us: int) -> None:
        """Those of a track that is no more."""
        for ssrc in [ssrc for ssrc, (number, _) in self.streams.items() if number == track]:
            self.retire_stream(ssrc, now_us)

    def retire_stream(self, ssrc: int, now_us: int) -> None:
        """It is nobody's any more. libsrtp's state of it goes when others need the room."""
        del self.streams[ssrc]
        evicted = self.unknown.retire(ssrc, now_us)
        if evicted is not None:
            self._forget_stream(self._receive, evicted)

    def _refuse(self, error: Exception) -> None:
        if isinstance(error, SrtpError) and "replay" in str(error):
            self._counters.drop_replayed += 1
        else:
            self._counters.drop_unauthentic += 1

    # --- out ----------------------------------------------------------------------------------

    def send_rtp(self, data: bytes, *, audio: bool) -> bool:
        """False when the socket is full and the packet was not taken."""
        try:
            protected: bytes = self._send.protect(data)
        except (SrtpError, ValueError):
            # Too long for the buffer, or the key's life is over: lost as if on the way.
            self._counters.send_failed += 1
            return True
        if audio:
            self._udp.send_audio(protected, self.address)
            return True
        return self._udp.send(protected, self.address)

    def send_rtcp(self, compound: bytes) -> None:
        try:
            protected: bytes = self._send.protect_rtcp(compound)
        except (SrtpError, ValueError):
            self._counters.send_failed += 1
            return
        if not self._udp.send(protected, self.address):
            self._counters.send_full_control += 1

    def retire(self, ssrcs: Iterable[int]) -> None:
        """Free libsrtp's state of streams that are not sent any more."""
        for ssrc in ssrcs:
            self._forget_stream(self._send, ssrc)

    @staticmethod
    def _forget_stream(session: SrtpSession, ssrc: int) -> None:
        try:
            session.remove_stream(ssrc)
        except SrtpError:
            return  # nothing was ever sent or opened under it
