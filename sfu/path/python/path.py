"""The packet path in pure Python: the UDP port of a worker and what passes through it."""

from __future__ import annotations

import socket
from time import time_ns

import msgspec
from pylibsrtp import Session as SrtpSession

from sfu.path import reports
from sfu.path.counters import Counters, ForwardTime
from sfu.path.interface import (
    Datagram,
    Echo,
    Inbound,
    LegSpec,
    Levels,
    PacketPath,
    ReceiveStats,
    Repaired,
    SendStats,
    Source,
    SrtpKeys,
    TrackSpec,
    UnknownStream,
)
from sfu.path.python.association import Transport
from sfu.path.python.router import Router
from sfu.path.python.udp import MAX_DATAGRAM, UdpSocket, WireAddress
from sfu.wire import extensions, stun
from sfu.wire.address import Address
from sfu.wire.header import FIXED_LENGTH, Packet, parse

MAX_PER_DRAIN = 256
"""The event loop gets its turn after so many; the socket stays readable and calls again."""

_RTCP_MINIMUM = 8


class PythonPath(PacketPath):
    """See `sfu.path.interface.PacketPath`. Not thread-safe: one event loop owns it."""

    def __init__(self, sock: socket.socket) -> None:
        self._counters = Counters()
        self._forward_time = ForwardTime()
        self._udp = UdpSocket(sock, self._counters)
        self._router = Router(self._counters)
        self._transports: dict[int, Transport] = {}
        self._by_address: dict[WireAddress, Transport] = {}
        self._legs: dict[int, tuple[Transport, list[int]]] = {}
        """Leg -> its transport and SSRCs."""
        self._last_transport = 0
        self._now_us = 0

    def fileno(self) -> int:
        return self._udp.fileno()

    # --- datagrams ----------------------------------------------------------------------------

    def drain(self, now_us: int) -> Inbound:
        self._now_us = now_us
        self._udp.retry()
        inbound = Inbound()
        for _ in range(MAX_PER_DRAIN):
            received = self._udp.receive()
            if received is None:
                break
            self._take(*received, inbound)
        return inbound

    def _take(self, data: bytes, address: WireAddress, came_ns: int, inbound: Inbound) -> None:
        """Demultiplex by the first byte (RFC 7983); RTP and RTCP by the second (RFC 5761)."""
        counters = self._counters
        counters.datagrams_in += 1
        counters.bytes_in += len(data)
        if len(data) >= MAX_DATAGRAM:
            counters.drop_oversize += 1
            return
        first = data[0] if data else 255
        if 128 <= first <= 191 and len(data) >= _RTCP_MINIMUM:
            transport = self._by_address.get(address)
            if transport is None:
                counters.drop_unknown_address += 1
            elif 192 <= data[1] <= 223:
                self._take_rtcp(transport, data, address, inbound)
            else:
                self._take_rtp(transport, data, address, came_ns, inbound)
        elif not address[1]:
            counters.drop_not_media += 1  # nobody can be answered at port 0
        elif first <= 3:
            counters.in_stun += 1
            if not self._answer_check(data, address):
                inbound.stun.append(Datagram(data, self._udp.from_wire(address)))
        elif 20 <= first <= 63:
            counters.in_dtls += 1
            inbound.dtls.append(Datagram(data, self._udp.from_wire(address)))
        else:
            counters.drop_not_media += 1

    def _answer_check(self, data: bytes, address: WireAddress) -> bool:
        """Whether it was a check that needs nobody's attention."""
        transport = self._by_address.get(address)
        if transport is None or transport.address != address:
            return False
        ufrag, password = transport.credentials
        try:
            check = stun.parse(data)
        except ValueError:
            return False
        if not ufrag or check.local_ufrag != ufrag or check.claims_controlled or check.unknown:
            return False
        if not stun.authentic(check, password):
            return False
        if check.transaction not in transport.transactions:
            transport.transactions.append(check.transaction)
            transport.heard(address, self._now_us)
            if check.nominated:
                transport.nominated_us = self._now_us
        answer = stun.success(check, self._udp.from_wire(address), password)
        if not self._udp.send(answer, address):
            self._counters.send_full_control += 1
        return True

    def _take_rtcp(
        self, transport: Transport, data: bytes, address: WireAddress, inbound: Inbound
    ) -> None:
        ssrc = int.from_bytes(data[4:8], "big")
        opened = transport.open_rtcp(data, ssrc, address, self._now_us)
        if opened is not None:
            inbound.rtcp.append((transport.number, opened))

    def _take_rtp(
        self,
        transport: Transport,
        data: bytes,
        address: WireAddress,
        came_ns: int,
        inbound: Inbound,
    ) -> None:
        if len(data) < FIXED_LENGTH:
            self._counters.drop_not_media += 1
            return
        ssrc = int.from_bytes(data[8:12], "big")
        opened = transport.open_rtp(data, ssrc, address, self._now_us)
        if opened is None:
            return
        try:
            packet = parse(opened)
            forwarded = self._route(transport, packet, inbound)
        except ValueError:
            self._counters.drop_malformed += 1
            return
        if forwarded:
            self._forward_time.add(time_ns() - came_ns)

    def _route(self, transport: Transport, packet: Packet, inbound: Inbound) -> bool:
        if transport.transport_cc_id and packet.extension_at:
            self._log_arrival(transport, packet)
        stream = transport.streams.get(packet.ssrc)
        if stream is None:
            self._counters.drop_unknown_ssrc += 1
            if transport.unknown.tell(packet.ssrc, self._now_us):
                inbound.unknown.append(_unknown(transport, packet))
            return False
        track, is_rtx = stream
        return self._router.receive(track, packet, self._now_us, inbound, is_rtx=is_rtx)

    def _log_arrival(self, transport: Transport, packet: Packet) -> None:
        at = extensions.find(
            packet.data,
            packet.profile,
            packet.extension_at,
            packet.extension_end,
            transport.transport_cc_id,
        )
        if at is not None and at[1] - at[0] >= 2:
            number = int.from_bytes(packet.data[at[0] : at[0] + 2], "big")
            transport.arrivals.append((number, self._now_us))

    def send(self, data: bytes, address: Address) -> None:
        if not self._udp.send(data, self._udp.to_wire(address)):
            self._counters.send_full_control += 1

    # --- transports ---------------------------------------------------------------------------

    def open_transport(
        self,
        receive: SrtpSession,
        send: SrtpSession,
        address: Address,
        keys: SrtpKeys | None = None,
    ) -> int:
        self._last_transport += 1
        wire = self._udp.to_wire(address)
        transport = Transport(self._last_transport, receive, send, wire, self._udp, self._counters)
        self._transports[transport.number] = transport
        self._claim(transport, wire)
        return transport.number

    def accept(self, transport: int, address: Address) -> None:
        self._claim(self._transports[transport], self._udp.to_wire(address))

    def _claim(self, transport: Transport, wire: WireAddress) -> None:
        former = self._by_address.get(wire)
        if former is not None and former is not transport:
            del former.heard_us[wire]
        self._by_address[wire] = transport
        transport.heard_us.setdefault(wire, 0)

    def forget(self, address: Address) -> None:
        wire = self._udp.to_wire(address)
        transport = self._by_address.pop(wire, None)
        if transport is not None:
            del transport.heard_us[wire]

    def select(self, transport: int, address: Address) -> None:
        self._transports[transport].address = self._udp.to_wire(address)

    def answer_checks(self, transport: int, ufrag: str, password: str) -> None:
        self._transports[transport].credentials = ufrag, password

    def answered(self, transport: int, transaction: bytes) -> bool:
        return transaction in self._transports[transport].transactions

    def nominated_us(self, transport: int) -> int:
        return self._transports[transport].nominated_us

    def heard_from_us(self, transport: int, address: Address) -> int:
        return self._transports[transport].heard_us.get(self._udp.to_wire(address), 0)

    def last_received_us(self, transport: int) -> int:
        return self._transports[transport].last_received_us

    def close_transport(self, transport: int) -> None:
        closing = self._transports.pop(transport, None)
        if closing is None:
            return
        for leg in list(closing.legs):
            self.remove_leg(leg)
        for track in {track for track, _ in closing.streams.values()}:
            self._router.remove_track(track)
        for wire in closing.heard_us:
            del self._by_address[wire]

    # --- tracks -------------------------------------------------------------------------------

    def add_track(self, spec: TrackSpec) -> int:
        transport = self._transports[spec.transport]
        ssrcs = _ssrcs(spec)
        if not transport.streams.keys().isdisjoint(ssrcs):
            raise ValueError("an SSRC is a track of this transport already")
        track = self._router.add_track(spec)
        for index, ssrc in enumerate(ssrcs):
            transport.streams[ssrc] = track, index > 0
            transport.unknown.claimed(ssrc)
        transport.transport_cc_id = spec.transport_cc_id or transport.transport_cc_id
        transport.mid_id = spec.mid_id or transport.mid_id
        return track

    def mute_track(self, track: int, muted: bool) -> None:
        self._router.mute_track(track, muted)

    def remove_track(self, track: int) -> None:
        spec = self._router.remove_track(track)
        if spec is None:
            return
        self._transports[spec.transport].remove_streams(track, self._now_us)

    def set_rtx(self, track: int, ssrc: int) -> None:
        transport = self._transports[self._router.spec(track).transport]
        if ssrc in transport.streams:
            raise ValueError("an SSRC is a track of this transport already")
        former = [known for known, found in transport.streams.items() if found == (track, True)]
        transport.streams[ssrc] = track, True
        transport.unknown.claimed(ssrc)
        for known in former:
            transport.retire_stream(known, self._now_us)

    # --- legs ---------------------------------------------------------------------------------

    def add_leg(self, spec: LegSpec) -> int:
        transport = self._transports[spec.transport]
        ssrcs = _ssrcs(spec)
        if not transport.leg_ssrcs.isdisjoint(ssrcs):
            raise ValueError("an SSRC once sent on a transport can't be taken again")
        leg = self._router.add_leg(spec, transport)
        transport.leg_ssrcs.update(ssrcs)
        self._legs[leg] = transport, ssrcs
        transport.legs[leg] = spec.ssrc
        return leg

    def set_source(self, leg: int, source: Source | None, now_us: int) -> None:
        self._now_us = now_us
        self._router.set_source(leg, source)

    def remove_leg(self, leg: int) -> None:
        found = self._legs.pop(leg, None)
        if found is None:
            return
        self._router.remove_leg(leg)
        transport, ssrcs = found
        del transport.legs[leg]
        transport.retire(ssrcs)

    # --- RTCP and repair ----------------------------------------------------------------------

    def send_rtcp(self, transport: int, compound: bytes) -> None:
        self._transports[transport].send_rtcp(compound)

    def send_reports(self, transport: int, cname: str, now_us: int, now_ntp: int) -> int:
        to = self._transports[transport]
        senders = []
        for leg, ssrc in to.legs.items():
            found = reports.sender_report(ssrc, self.send_stats(leg), now_us, now_ntp)
            if found is not None:
                senders.append(found)
        packets = reports.sender_compounds(cname, senders)
        for packet in packets:
            to.send_rtcp(packet)
        return len(packets)

    def echo(self, transport: int) -> Echo | None:
        return self._transports[transport].echo

    def held(self, leg: int, sequences: list[int]) -> list[int]:
        return self._router.held(leg, sequences, self._now_us)

    def retransmit(self, leg: int, sequences: list[int], most_octets: int) -> Repaired:
        return self._router.retransmit(leg, sequences, most_octets, self._now_us)

    def missing(self) -> list[tuple[int, list[int]]]:
        return self._router.missing(self._now_us)

    def arrivals(self, transport: int) -> list[tuple[int, int]]:
        log = self._transports[transport].arrivals
        taken = list(log)
        log.clear()
        return taken

    def waiting_for_keyframe(self) -> list[int]:
        return self._router.waiting_for_keyframe()

    # --- figures ------------------------------------------------------------------------------

    def receive_stats(self, track: int) -> ReceiveStats:
        return self._router.receive_stats(track)

    def send_stats(self, leg: int) -> SendStats:
        return self._router.send_stats(leg, self._now_us)

    def levels(self) -> list[Levels]:
        return self._router.levels()

    def media_in(self) -> int:
        return self._counters.in_rtp

    def counters(self) -> dict[str, int]:
        self._forward_time.write(self._counters)
        return msgspec.structs.asdict(self._counters) | self._forward_time.fine()

    def close(self) -> None:
        for transport in list(self._transports):
            self.close_transport(transport)
        self._udp.close()


def _unknown(transport: Transport, packet: Packet) -> UnknownStream:
    at = None
    if transport.mid_id and packet.extension_at:
        at = extensions.find(
            packet.data,
            packet.profile,
            packet.extension_at,
            packet.extension_end,
            transport.mid_id,
        )
    mid = packet.data[at[0] : at[1]].decode(errors="replace") if at is not None else ""
    return UnknownStream(transport.number, packet.ssrc, packet.payload_type, mid)


def _ssrcs(spec: TrackSpec | LegSpec) -> list[int]:
    """The stream's own and its retransmissions', if it has any. Raises ValueError."""
    ssrcs = [spec.ssrc] if spec.rtx_ssrc is None else [spec.ssrc, spec.rtx_ssrc]
    if len(set(ssrcs)) < len(ssrcs) or not all(0 <= ssrc <= 0xFFFFFFFF for ssrc in ssrcs):
        raise ValueError("SSRCs are distinct 32-bit numbers")
    return ssrcs
