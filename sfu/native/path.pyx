# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The packet path in native code. What a packet goes through is in core/; here is what Python asks."""

import secrets

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from sfu.path.counters import FORWARD_BOUNDS_US
from sfu.native.core cimport *
from sfu.native.core_test cimport *
from sfu.native.srtp import context, context_address, function_addresses, session_key
from sfu.native.wire import from_wire, to_wire
from sfu.path.interface import (
    Datagram,
    Echo as EchoTold,
    Inbound,
    Levels,
    ReceiveStats,
    Repaired,
    SendStats,
    UnknownStream,
)


_addresses = function_addresses()
cdef Srtp _srtp
_srtp.protect = <SrtpCall><uintptr_t>_addresses["srtp_protect"]
_srtp.protect_rtcp = <SrtpCall><uintptr_t>_addresses["srtp_protect_rtcp"]
_srtp.unprotect = <SrtpCall><uintptr_t>_addresses["srtp_unprotect"]
_srtp.unprotect_rtcp = <SrtpCall><uintptr_t>_addresses["srtp_unprotect_rtcp"]
_srtp.remove_stream = <SrtpRemoveCall><uintptr_t>_addresses["srtp_remove_stream"]

cdef dict _CODECS = {"VP8": CODEC_VP8, "VP9": CODEC_VP9, "H264": CODEC_H264, "AV1": CODEC_AV1}

cdef int MAX_PER_DRAIN = 256
"""The event loop gets its turn after so many; the socket stays readable and calls again."""

cdef int64_t MAX_DRAIN_NS = 10_000_000
"""Or after so long: with thousands of viewers a few packets are much work."""


cdef class _Transport:
    """Python's share of a transport: it keeps libsrtp's contexts, and knows what has to go with it."""

    cdef Transport* c
    cdef object receive
    cdef object send
    cdef list accepted
    cdef list tracks
    cdef list legs
    cdef list leg_ssrcs
    """Every SSRC ever sent from here. Taken twice, SRTP would use the same key stream twice."""


cdef class _Track:
    cdef Track* c
    cdef _Transport transport
    cdef object spec


cdef class _Leg:
    cdef Leg* c
    cdef _Transport transport
    cdef object kind


cdef class NativePath:
    """See `sfu.path.interface.PacketPath`. Not thread-safe: one event loop owns it."""

    cdef Path* c
    cdef object _socket
    cdef bint _dual
    cdef dict _transports
    cdef dict _tracks
    cdef dict _videos
    """Those of the tracks."""
    cdef dict _legs
    cdef int64_t _last_transport
    cdef int64_t _last_number

    def __cinit__(self, sock):
        sock.setblocking(False)
        self._socket = sock
        self._dual = sock.family == 10  # AF_INET6
        self._transports, self._tracks, self._videos, self._legs = {}, {}, {}, {}
        self.c = path_open(sock.fileno(), sock.family, &_srtp, secrets.randbits(64))
        if self.c == NULL:
            raise MemoryError

    def __del__(self):
        self.close()

    def __dealloc__(self):
        if self.c != NULL:
            path_close(self.c)

    def fileno(self):
        return self._socket.fileno()

    def close(self):
        for transport in list(self._transports):
            self.close_transport(transport)
        self._socket.close()
        path_leave_socket(self.c)

    # --- datagrams

    def drain(self, int64_t now_us):
        cdef int count, total = 0
        cdef int64_t began_ns = _monotonic_ns()
        inbound = Inbound()
        path_begin_drain(self.c, now_us)
        while total < MAX_PER_DRAIN:
            with nogil:
                count = path_drain_batch(self.c, BATCH)
            self._tell(inbound)
            total += count
            if count < BATCH or _monotonic_ns() - began_ns > MAX_DRAIN_NS:
                break
        return inbound

    cdef _tell(self, inbound):
        cdef int index = 0
        cdef const Event* event = path_event(self.c, 0)
        while event != NULL:
            if event.kind == EVENT_RTCP:
                inbound.rtcp.append((event.id, event.data[:event.length]))
            elif event.kind == EVENT_STUN:
                inbound.stun.append(_datagram(event))
            elif event.kind == EVENT_DTLS:
                inbound.dtls.append(_datagram(event))
            elif event.kind == EVENT_UNKNOWN:
                mid = event.data[:event.length].decode(errors="replace")
                inbound.unknown.append(UnknownStream(event.id, event.ssrc, event.payload_type, mid))
            elif event.kind == EVENT_STARTED:
                inbound.started.append(event.id)
            else:
                inbound.keyframes.append(event.id)
            index += 1
            event = path_event(self.c, index)

    def send(self, bytes data, address):
        cdef bytes wire = self._wire(address)
        path_send(self.c, data, len(data), wire, len(wire))

    cdef bytes _wire(self, address):
        return to_wire((address[0], address[1]), self._dual)

    # --- transports

    def open_transport(self, receive, send, address, keys=None):
        cdef _Transport transport = _Transport()
        cdef bytes wire = self._wire(address), key = b"", salt = b""
        if keys is not None:
            key, salt = session_key(keys)
        transport.receive, transport.send = context(receive), context(send)
        transport.accepted, transport.tracks, transport.legs, transport.leg_ssrcs = [], [], [], []
        transport.c = transport_open(
            self._last_transport + 1,
            <void*><uintptr_t>context_address(transport.receive),
            <void*><uintptr_t>context_address(transport.send),
            wire,
            len(wire),
        )
        if transport.c == NULL:
            raise MemoryError
        if key and not path_seal_with(self.c, transport.c, key, len(key), salt):
            transport_close(transport.c)
            raise MemoryError
        self._last_transport += 1
        self._transports[self._last_transport] = transport
        self._claim(transport, wire)
        return self._last_transport

    def accept(self, transport, address):
        self._claim(self._transports[transport], self._wire(address))

    cdef _claim(self, _Transport transport, bytes wire):
        self._disown(wire)
        if not path_claim(self.c, transport.c, wire, len(wire)):
            raise MemoryError
        transport.accepted.append(wire)

    cdef _disown(self, bytes wire):
        cdef int64_t former = path_owner(self.c, wire, len(wire))
        if former:
            (<_Transport>self._transports[former]).accepted.remove(wire)

    def forget(self, address):
        cdef bytes wire = self._wire(address)
        self._disown(wire)
        path_forget(self.c, wire, len(wire))

    def select(self, transport, address):
        cdef bytes wire = self._wire(address)
        transport_select((<_Transport>self._transports[transport]).c, wire, len(wire))

    def answer_checks(self, transport, str ufrag, str password):
        cdef bytes name = ufrag.encode(), secret = password.encode()
        transport_answer_checks(
            (<_Transport>self._transports[transport]).c, name, len(name), secret, len(secret)
        )

    def answered(self, transport, bytes transaction):
        cdef Transport* of = (<_Transport>self._transports[transport]).c
        return len(transaction) == TRANSACTION_SIZE and transport_answered(of, transaction)

    def last_received_us(self, transport):
        return transport_times((<_Transport>self._transports[transport]).c).last_received_us

    def nominated_us(self, transport):
        return transport_times((<_Transport>self._transports[transport]).c).nominated_us

    def heard_from_us(self, transport, address):
        cdef bytes wire = self._wire(address)
        return path_heard_from_us(
            self.c, (<_Transport>self._transports[transport]).c, wire, len(wire)
        )

    def close_transport(self, transport):
        cdef _Transport closing = self._transports.pop(transport, None)
        cdef bytes wire
        if closing is None:
            return
        for leg in list(closing.legs):
            self.remove_leg(leg)
        for track in list(closing.tracks):
            self.remove_track(track)
        for wire in closing.accepted:
            path_forget(self.c, wire, len(wire))
        transport_close(closing.c)
        closing.c = NULL

    # --- tracks

    def add_track(self, spec):
        cdef _Transport transport = self._transports[spec.transport]
        cdef _Track track = _Track()
        cdef TrackSpec described
        ssrcs = _ssrcs(spec)
        for ssrc in ssrcs:
            if transport_has_stream(transport.c, ssrc):
                raise ValueError("an SSRC is a track of this transport already")
        described.id = self._last_number + 1
        described.ssrc, described.rtx_ssrc = spec.ssrc, spec.rtx_ssrc or 0
        described.has_rtx = spec.rtx_ssrc is not None
        described.clock_rate = next((codec.clock_rate for codec in spec.codecs.values()), 90_000) & 0xFFFFFFFF
        described.transport_cc_id, described.mid_id = spec.transport_cc_id, spec.mid_id
        described.audio_level_id, described.audio = spec.audio_level_id & 0xFF, spec.kind == "audio"
        track.c = path_add_track(self.c, transport.c, &described)
        if track.c == NULL:
            raise MemoryError
        self._last_number += 1
        track.transport, track.spec = transport, spec
        self._tracks[self._last_number] = track
        if not described.audio:
            self._videos[self._last_number] = track
        transport.tracks.append(self._last_number)
        for payload_type, codec in spec.codecs.items():
            track_add_codec(
                track.c,
                payload_type,
                _CODECS.get(codec.name.upper(), CODEC_OTHER),
                codec.clock_rate & 0xFFFFFFFF,
                -1 if codec.rtx is None else codec.rtx,
            )
        return self._last_number

    def mute_track(self, track, bint muted):
        if not track_mute((<_Track>self._tracks[track]).c, muted):
            raise MemoryError

    def remove_track(self, track):
        cdef _Track removed = self._tracks.pop(track, None)
        if removed is None:
            return
        self._videos.pop(track, None)
        removed.transport.tracks.remove(track)
        path_remove_track(self.c, removed.c)
        removed.c = NULL

    def set_rtx(self, track, ssrc):
        cdef _Track of = self._tracks[track]
        if transport_has_stream(of.transport.c, ssrc):
            raise ValueError("an SSRC is a track of this transport already")
        if not path_set_rtx(self.c, of.c, ssrc):
            raise MemoryError

    # --- legs

    def add_leg(self, spec):
        cdef _Transport transport = self._transports[spec.transport]
        cdef _Leg leg = _Leg()
        cdef LegSpec described
        ssrcs = _ssrcs(spec)
        if any(ssrc in transport.leg_ssrcs for ssrc in ssrcs):
            raise ValueError("an SSRC once sent on a transport can't be taken again")
        _check_payload_types(spec.rtx)
        described.id = self._last_number + 1
        described.ssrc, described.rtx_ssrc = spec.ssrc, spec.rtx_ssrc or 0
        described.has_rtx = spec.rtx_ssrc is not None
        described.first_sequence, described.audio = spec.first_sequence, spec.kind == "audio"
        leg.c = leg_open(transport.c, &described)
        if leg.c == NULL:
            raise MemoryError
        self._last_number += 1
        transport.leg_ssrcs += ssrcs
        leg.transport, leg.kind = transport, spec.kind
        for payload_type, rtx in spec.rtx.items():
            leg_add_rtx(leg.c, payload_type, rtx)
        self._legs[self._last_number] = leg
        transport.legs.append(self._last_number)
        return self._last_number

    def set_source(self, leg, source, int64_t now_us):
        cdef _Leg fed = self._legs[leg]
        cdef _Track track
        cdef MappingTable table
        if source is None:
            path_feed(self.c, fed.c, NULL, NULL, now_us)
            return
        track = self._tracks[source.track]
        if track.spec.kind != fed.kind:
            raise ValueError(f"a {fed.kind} leg can't be fed from a track of {track.spec.kind}")
        _check_payload_types(source.payload_types)
        memset(table.payload_types, NO_PAYLOAD_TYPE, sizeof(table.payload_types))
        memset(table.identifiers, 0, sizeof(table.identifiers))
        for theirs, ours in source.payload_types.items():
            if 0 <= theirs < 128:
                table.payload_types[<int>theirs] = ours
        # The publisher's transport-wide numbers count its own transport: never passed to a viewer.
        for theirs, ours in source.extensions.items():
            if theirs != track.spec.transport_cc_id and 0 <= theirs < 256 and 0 <= ours < 256:
                table.identifiers[<int>theirs] = ours
        if not path_feed(self.c, fed.c, track.c, &table, now_us):
            raise MemoryError

    def remove_leg(self, leg):
        cdef _Leg removed = self._legs.pop(leg, None)
        if removed is None:
            return
        removed.transport.legs.remove(leg)
        path_remove_leg(self.c, removed.c)
        removed.c = NULL

    # --- RTCP and repair

    def send_rtcp(self, transport, bytes compound):
        path_send_rtcp(self.c, (<_Transport>self._transports[transport]).c, compound, len(compound))

    def send_reports(self, transport, str cname, int64_t now_us, uint64_t now_ntp):
        cdef _Transport to = self._transports[transport]
        cdef bytes name = cname.encode()
        cdef Leg* legs[LEGS_PER_PACKET]
        cdef Leg* leg
        cdef int count = 0, packets = 0
        if len(name) > MAX_CNAME:
            raise ValueError(f"a name of at most {MAX_CNAME} bytes is told")
        for number in to.legs:
            leg = (<_Leg>self._legs[number]).c
            if not leg_is_sending(leg, now_us):
                continue
            legs[count] = leg
            count += 1
            if count == LEGS_PER_PACKET:
                path_report(self.c, to.c, legs, count, name, now_us, now_ntp)
                count, packets = 0, packets + 1
        if count:
            path_report(self.c, to.c, legs, count, name, now_us, now_ntp)
            packets += 1
        return packets

    def echo(self, transport):
        cdef Echo echo = transport_echo((<_Transport>self._transports[transport]).c)
        return EchoTold(echo.last_sr, echo.delay, echo.arrived_us) if echo.last_sr else None

    def held(self, leg, list sequences):
        cdef Leg* asking = (<_Leg>self._legs[leg]).c
        return [asked for asked in sequences if path_holds(self.c, asking, asked & 0xFFFF)]

    def retransmit(self, leg, list sequences, int64_t most_octets):
        cdef Leg* asking = (<_Leg>self._legs[leg]).c
        cdef int packets = 0, became
        cdef int64_t room = most_octets
        for sequence in sequences:
            became = path_repair(self.c, asking, sequence & 0xFFFF, &room)
            if became == REPAIR_NO_ROOM:
                break
            packets += became == REPAIR_SENT
        with nogil:
            path_flush(self.c)
        return Repaired(packets, most_octets - room)

    def missing(self):
        cdef uint16_t sequences[MAX_MISSING]
        cdef int64_t track
        cdef int place, count, index
        found = []
        for place in range(path_heard_count(self.c)):
            count = path_missing(self.c, place, &track, sequences)
            if count:
                found.append((track, [sequences[index] for index in range(count)]))
        found.sort()  # in no order; callers need one that depends on nothing but the calls
        return found

    def arrivals(self, transport):
        cdef Transport* of = (<_Transport>self._transports[transport]).c
        cdef Arrival arrival
        taken = []
        while transport_take_arrival(of, &arrival):
            taken.append((arrival.number, arrival.us))
        return taken

    def waiting_for_keyframe(self):
        cdef _Track track
        return [number for number, track in self._videos.items() if track_is_awaited(track.c)]

    # --- figures

    def receive_stats(self, track):
        cdef ReceiveFigures of = track_figures((<_Track>self._tracks[track]).c)
        return ReceiveStats(
            packets=of.packets,
            octets=of.octets,
            highest_sequence=of.highest_sequence,
            expected=of.expected,
            lost=of.lost,
            jitter=of.jitter,
            keyframes=of.keyframes,
            rtx_recovered=of.recovered,
        )

    def send_stats(self, leg):
        cdef SendFigures of = path_leg_figures(self.c, (<_Leg>self._legs[leg]).c)
        return SendStats(
            packets=of.packets,
            octets=of.octets,
            last_timestamp=of.last_timestamp,
            last_sent_us=of.last_sent_us,
            clock_rate=of.clock_rate,
            retransmitted=of.retransmitted,
            missed=of.missed,
            recent_octets=of.recent_octets,
        )

    def levels(self):
        cdef LevelFigures of
        cdef int place
        found = []
        for place in range(path_heard_count(self.c)):
            if path_take_levels(self.c, place, &of):
                found.append(
                    Levels(
                        track=of.track,
                        count=of.count,
                        total=of.total,
                        loudest=of.loudest,
                        bare=of.bare_count,
                        bare_octets=of.bare_octets,
                    )
                )
        found.sort(key=_track_of)
        return found

    def media_in(self):
        return path_media_in(self.c)

    def counters(self):
        cdef uint64_t value
        cdef int64_t bound_us
        cdef int index = 0
        cdef const char* name = path_counter(self.c, 0, &value)
        counted, buckets = {}, []
        while name != NULL:
            counted[name.decode()] = value
            index += 1
            name = path_counter(self.c, index, &value)
        index = 0
        value = path_forwarded_in(self.c, index, &bound_us)
        while bound_us:
            if value:
                buckets.append((bound_us, value))
            index += 1
            value = path_forwarded_in(self.c, index, &bound_us)
        for most in FORWARD_BOUNDS_US:
            counted[f"forward_us_le_{most}"] = sum([count for bound, count in buckets if bound <= most])
        counted.update({f"forward_us_in_{bound}": count for bound, count in buckets})
        counted["native_legs"] = len(self._legs)
        return counted

    # --- for tests

    def _limit_sends(self, int room):
        """As if the socket were full after so many messages; a negative number lifts the limit."""
        path_limit_sends(self.c, room)

    def _use_segmentation(self, bint use):
        """Whether runs of packets may go to the kernel as one message."""
        path_use_segmentation(self.c, use)

    def _seal_narrowly(self):
        """Without AVX-512, also where there is."""
        path_seal_narrowly(self.c)

    @staticmethod
    def _forward_bound(int64_t us):
        """Of the bucket that counts this time."""
        return forward_bound_of(us)


cdef int64_t _monotonic_ns():
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <int64_t>now.tv_sec * 1_000_000_000 + now.tv_nsec


cdef _datagram(const Event* event):
    return Datagram(event.data[:event.length], from_wire(event.address[:ADDRESS_SIZE]))


def _track_of(levels):
    return levels.track


def _ssrcs(spec):
    """The stream's own and its retransmissions', if it has any. Raises ValueError."""
    ssrcs = [spec.ssrc] if spec.rtx_ssrc is None else [spec.ssrc, spec.rtx_ssrc]
    if len(set(ssrcs)) < len(ssrcs) or not all(0 <= ssrc <= 0xFFFFFFFF for ssrc in ssrcs):
        raise ValueError("SSRCs are distinct 32-bit numbers")
    return ssrcs


def _check_payload_types(mapping):
    if not all(0 <= ours <= 0x7F for ours in mapping.values()):
        raise ValueError("a payload type has seven bits")
