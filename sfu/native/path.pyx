# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The packet path in native code. What a packet goes through is in the headers; here is what Python asks of it."""

import secrets

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc
from libc.string cimport memcpy, memset

from sfu.path.counters import FORWARD_BOUNDS_US
from sfu.native.core cimport *
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
        self.c.fd = self.c.outbox.outlet.fd = -1

    # --- datagrams

    def drain(self, int64_t now_us):
        cdef int count, total = 0
        cdef int64_t began_ns = monotonic_ns()
        inbound = Inbound()
        path_now(self.c, now_us)
        if self.c.outbox.outlet.waiting_count:
            outlet_retry(&self.c.outbox.outlet)
        while total < MAX_PER_DRAIN:
            with nogil:
                count = path_drain_batch(self.c, BATCH)
            if self.c.event_count:
                self._tell(inbound)
            total += count
            if count < BATCH or monotonic_ns() - began_ns > MAX_DRAIN_NS:
                break
        return inbound

    cdef _tell(self, inbound):
        cdef int index
        cdef Event* event
        for index in range(self.c.event_count):
            event = &self.c.events[index]
            if event.kind == EVENT_RTCP:
                inbound.rtcp.append((event.id, event.data[:event.length]))
            elif event.kind == EVENT_STUN:
                inbound.stun.append(self._datagram(event))
            elif event.kind == EVENT_DTLS:
                inbound.dtls.append(self._datagram(event))
            elif event.kind == EVENT_UNKNOWN:
                mid = event.data[:event.length].decode(errors="replace")
                inbound.unknown.append(UnknownStream(event.id, event.ssrc, event.payload_type, mid))
            elif event.kind == EVENT_STARTED:
                inbound.started.append(event.id)
            else:
                inbound.keyframes.append(event.id)

    cdef _datagram(self, Event* event):
        cdef SocketAddress* address = &self.c.from_[event.place]
        wire = PyBytes_FromStringAndSize(<const char*>address, sizeof(SocketAddress))
        return Datagram(event.data[:event.length], from_wire(wire))

    def send(self, bytes data, address):
        cdef SocketAddress to
        cdef socklen_t length = self._fill(&to, address)
        outlet_control(&self.c.outbox.outlet, <uint8_t*><const char*>data, len(data), &to, length)

    cdef socklen_t _fill(self, SocketAddress* wire, address) except 0:
        cdef bytes packed = to_wire((address[0], address[1]), self._dual)
        memset(wire, 0, sizeof(SocketAddress))
        memcpy(wire, <const char*>packed, len(packed))
        return len(packed)

    # --- transports

    def open_transport(self, receive, send, address, keys=None):
        cdef _Transport transport = _Transport()
        cdef SocketAddress wire
        cdef socklen_t length = self._fill(&wire, address)
        cdef bytes key = b"", salt = b""
        if keys is not None and self.c.outbox.seal != NULL:
            key, salt = session_key(keys)
        transport.c = <Transport*>calloc(1, sizeof(Transport))
        if transport.c == NULL:
            raise MemoryError
        if key and not transport_seal_with(transport.c, key, len(key), salt):
            transport_free(transport.c)
            raise MemoryError
        self._last_transport += 1
        transport.receive, transport.send = context(receive), context(send)
        transport.accepted, transport.tracks, transport.legs, transport.leg_ssrcs = [], [], [], []
        transport.c.number = self._last_transport
        transport.c.receive = <void*><uintptr_t>context_address(transport.receive)
        transport.c.send = <void*><uintptr_t>context_address(transport.send)
        transport.c.address, transport.c.address_length = wire, length
        self._transports[self._last_transport] = transport
        self._claim(transport, address)
        return self._last_transport

    def accept(self, transport, address):
        self._claim(self._transports[transport], address)

    cdef _claim(self, _Transport transport, address):
        cdef SocketAddress wire
        self._fill(&wire, address)
        cdef AddressKey key = address_key(&wire)
        self._disown(address, &key)
        if not addresses_put(&self.c.addresses, &key, transport.c):
            raise MemoryError
        transport.accepted.append(to_wire((address[0], address[1]), self._dual))

    cdef _disown(self, address, const AddressKey* key):
        cdef Transport* former = <Transport*>address_entry(&self.c.addresses, key).transport
        if former != NULL:
            (<_Transport>self._transports[former.number]).accepted.remove(
                to_wire((address[0], address[1]), self._dual)
            )

    def forget(self, address):
        cdef SocketAddress wire
        self._fill(&wire, address)
        cdef AddressKey key = address_key(&wire)
        self._disown(address, &key)
        addresses_remove(&self.c.addresses, &key)

    def select(self, transport, address):
        cdef _Transport chosen = self._transports[transport]
        chosen.c.address_length = self._fill(&chosen.c.address, address)

    def answer_checks(self, transport, str ufrag, str password):
        cdef Consent* consent = &(<_Transport>self._transports[transport]).c.consent
        cdef bytes name = ufrag.encode(), secret = password.encode()
        consent.ufrag[0] = 0
        if len(name) > MAX_UFRAG or len(secret) > SHA1_BLOCK:
            return  # then they are all told
        memset(consent.ufrag, 0, MAX_UFRAG + 1)
        memcpy(consent.ufrag, <const char*>name, len(name))
        hmac_set_key(&consent.key, <const uint8_t*><const char*>secret, len(secret))

    def answered(self, transport, bytes transaction):
        cdef Consent* consent = &(<_Transport>self._transports[transport]).c.consent
        if len(transaction) != TRANSACTION_SIZE:
            return False
        return transaction_known(consent, <const uint8_t*><const char*>transaction)

    def last_received_us(self, transport):
        return (<_Transport>self._transports[transport]).c.last_received_us

    def nominated_us(self, transport):
        return (<_Transport>self._transports[transport]).c.nominated_us

    def heard_from_us(self, transport, address):
        cdef SocketAddress wire
        self._fill(&wire, address)
        cdef AddressKey key = address_key(&wire)
        cdef const AddressEntry* entry = address_entry(&self.c.addresses, &key)
        if entry.transport != <void*>(<_Transport>self._transports[transport]).c:
            return 0
        return entry.heard_us

    def close_transport(self, transport):
        cdef _Transport closing = self._transports.pop(transport, None)
        cdef SocketAddress wire
        cdef AddressKey key
        if closing is None:
            return
        for leg in list(closing.legs):
            self.remove_leg(leg)
        for track in list(closing.tracks):
            self.remove_track(track)
        for packed in closing.accepted:
            memset(&wire, 0, sizeof(wire))
            memcpy(&wire, <const char*>(<bytes>packed), len(packed))
            key = address_key(&wire)
            addresses_remove(&self.c.addresses, &key)
        transport_free(closing.c)
        closing.c = NULL

    # --- tracks

    def add_track(self, spec):
        cdef _Transport transport = self._transports[spec.transport]
        cdef _Track track = _Track()
        ssrcs = _ssrcs(spec)
        for ssrc in ssrcs:
            if transport_stream(transport.c, ssrc) != NULL:
                raise ValueError("an SSRC is a track of this transport already")
        track.c = track_open(spec.kind == "audio", self._last_number + 1)
        if track.c == NULL:
            raise MemoryError
        self._last_number += 1
        track.c.transport, track.transport, track.spec = transport.c, transport, spec
        self._tracks[self._last_number] = track
        if not track.c.audio:
            self._videos[self._last_number] = track
        transport.tracks.append(self._last_number)
        self._describe(track.c, spec)
        for ssrc in ssrcs:
            if not transport_add_stream(transport.c, ssrc, track.c, ssrc != spec.ssrc):
                self.remove_track(self._last_number)
                raise MemoryError
            unknown_claimed(transport.c, ssrc)
        transport.c.transport_cc_id = spec.transport_cc_id or transport.c.transport_cc_id
        transport.c.mid_id = spec.mid_id or transport.c.mid_id
        return track.c.id

    cdef _describe(self, Track* track, spec):
        track.ssrc, track.audio_level_id = spec.ssrc, spec.audio_level_id & 0xFF
        track.clock_rate = next((codec.clock_rate for codec in spec.codecs.values()), 90_000) & 0xFFFFFFFF
        for payload_type, codec in spec.codecs.items():
            if not 0 <= payload_type < 128:
                continue  # no packet carries it
            track.codecs[<int>payload_type] = _CODECS.get(codec.name.upper(), CODEC_OTHER)
            track.clock_rates[<int>payload_type] = codec.clock_rate & 0xFFFFFFFF
            if codec.rtx is not None and 0 <= codec.rtx < 128:
                track.originals[<int>codec.rtx] = payload_type

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
        if transport_stream(of.transport.c, ssrc) != NULL:
            raise ValueError("an SSRC is a track of this transport already")
        if not path_set_rtx(self.c, of.c, ssrc):
            raise MemoryError

    # --- legs

    def add_leg(self, spec):
        cdef _Transport transport = self._transports[spec.transport]
        cdef _Leg leg = _Leg()
        ssrcs = _ssrcs(spec)
        if any(ssrc in transport.leg_ssrcs for ssrc in ssrcs):
            raise ValueError("an SSRC once sent on a transport can't be taken again")
        _check_payload_types(spec.rtx)
        leg.c = leg_open(
            transport.c, spec.kind == "audio", spec.ssrc, spec.first_sequence, self._last_number + 1
        )
        if leg.c == NULL:
            raise MemoryError
        self._last_number += 1
        transport.leg_ssrcs += ssrcs
        leg.transport = transport
        if spec.rtx_ssrc is not None:
            leg.c.has_rtx, leg.c.rtx_ssrc = True, spec.rtx_ssrc
        for payload_type, rtx in spec.rtx.items():
            if 0 <= payload_type < 128:
                leg.c.rtx[<int>payload_type] = rtx
        self._legs[self._last_number] = leg
        transport.legs.append(self._last_number)
        return self._last_number

    def set_source(self, leg, source, int64_t now_us):
        cdef Leg* fed = (<_Leg>self._legs[leg]).c
        cdef _Track track
        cdef MappingTable table
        path_now(self.c, now_us)
        if source is None:
            leg_unhook(fed)
            return
        track = self._tracks[source.track]
        if track.c.audio != fed.audio:
            kind = "audio" if fed.audio else "video"
            raise ValueError(f"a {kind} leg can't be fed from a track of {track.spec.kind}")
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
        cdef Mapping* mapping = mapping_take(&self.c.mappings, &table)
        if mapping == NULL or not leg_set_source(fed, track.c, mapping):
            raise MemoryError

    def remove_leg(self, leg):
        cdef _Leg removed = self._legs.pop(leg, None)
        if removed is None:
            return
        removed.transport.legs.remove(leg)
        self._retire(removed.transport, removed.c.ssrc)
        if removed.c.has_rtx:
            self._retire(removed.transport, removed.c.rtx_ssrc)
        leg_free(removed.c)
        removed.c = NULL

    cdef _retire(self, _Transport transport, uint32_t ssrc):
        """Free libsrtp's state of a stream that is not sent any more; there may be none yet."""
        _srtp.remove_stream(transport.c.send, ((ssrc & 0xFF) << 24) | ((ssrc & 0xFF00) << 8)
                            | ((ssrc >> 8) & 0xFF00) | (ssrc >> 24))

    # --- RTCP and repair

    def send_rtcp(self, transport, bytes compound):
        cdef uint8_t data[MAX_PROTECTED]
        cdef int length = len(compound)
        cdef Transport* to = (<_Transport>self._transports[transport]).c
        if not RTCP_MINIMUM <= length <= MAX_PROTECTED - 148:  # libsrtp's longest SRTCP trailer
            path_count_unprotected(self.c)
            return
        memcpy(data, <const char*>compound, length)
        self._send_rtcp(to, data, length)

    cdef _send_rtcp(self, Transport* to, uint8_t* data, int length):
        """There is room behind the data for a trailer."""
        if _srtp.protect_rtcp(to.send, data, &length) != 0:
            path_count_unprotected(self.c)
            return
        outlet_control(&self.c.outbox.outlet, data, length, &to.address, to.address_length)

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
                self._report(to.c, legs, count, name, now_us, now_ntp)
                count, packets = 0, packets + 1
        if count:
            self._report(to.c, legs, count, name, now_us, now_ntp)
            packets += 1
        return packets

    cdef _report(self, Transport* to, Leg** legs, int count, bytes name, int64_t now_us, uint64_t now_ntp):
        cdef uint8_t data[MAX_PROTECTED]
        self._send_rtcp(to, data, reports_write(data, legs, count, <const char*>name, now_us, now_ntp))

    def echo(self, transport):
        cdef Echo* echo = &(<_Transport>self._transports[transport]).c.echo
        return EchoTold(echo.last_sr, echo.delay, echo.arrived_us) if echo.last_sr else None

    def held(self, leg, list sequences):
        cdef Leg* asking = (<_Leg>self._legs[leg]).c
        return [asked for asked in sequences if leg_holds(asking, asked & 0xFFFF, self.c.now_us)]

    def retransmit(self, leg, list sequences, int64_t most_octets):
        cdef Leg* asking = (<_Leg>self._legs[leg]).c
        cdef int packets = 0, became
        cdef int64_t room = most_octets
        for sequence in sequences:
            became = outbox_repair(&self.c.outbox, asking, sequence & 0xFFFF, &room)
            if became == REPAIR_NO_ROOM:
                break
            packets += became == REPAIR_SENT
        with nogil:
            outbox_flush(&self.c.outbox)
        return Repaired(packets, most_octets - room)

    def missing(self):
        cdef Track* track
        cdef Missing* missing
        cdef int index, place
        found = []
        for place in range(self.c.heard_count):
            track = self.c.heard[place]
            missing = &track.missing
            if not missing.count or track.muted:
                continue
            missing_expire(missing, self.c.now_us)
            holes = []
            for index in range(missing.first, missing.last):
                if missing.holes[index].since_us >= 0:
                    holes.append(missing.holes[index].number & 0xFFFF)
            if holes:
                found.append((track.id, holes))
        found.sort()  # `heard` is in no order; callers need one that depends on nothing but the calls
        return found

    def arrivals(self, transport):
        cdef Arrivals* arrivals = &(<_Transport>self._transports[transport]).c.arrivals
        cdef Arrival* arrival
        cdef uint32_t index
        taken = []
        for index in range(arrivals.count):
            arrival = &arrivals.log[(arrivals.first + index) % arrivals.room]
            taken.append((arrival.number, arrival.us))
        arrivals.first = arrivals.count = 0
        return taken

    def waiting_for_keyframe(self):
        cdef Track* track
        found = []
        for item in self._videos.values():
            track = (<_Track>item).c
            if not track.muted and (track.waiting.count or track.torn):
                found.append(track.id)
        return found

    # --- figures

    def receive_stats(self, track):
        cdef Track* of = (<_Track>self._tracks[track]).c
        cdef Reception* reception = &of.reception
        cdef int64_t expected = reception.highest - reception.base + 1 if reception.base else 0
        return ReceiveStats(
            packets=reception.packets,
            octets=reception.octets,
            highest_sequence=max(0, reception.highest - 0x10000),
            expected=expected,
            lost=expected - <int64_t>reception.packets,
            jitter=reception.jitter >> 4,
            keyframes=of.keyframes,
            rtx_recovered=of.recovered,
        )

    def send_stats(self, leg):
        cdef Leg* of = (<_Leg>self._legs[leg]).c
        return SendStats(
            packets=of.state.packets,
            octets=of.state.octets,
            last_timestamp=of.state.last_timestamp,
            last_sent_us=of.state.last_sent_us,
            clock_rate=of.clock_rate,
            retransmitted=of.retransmitted,
            missed=of.missed,
            recent_octets=leg_recent_octets(&of.state, self.c.now_us),
        )

    def levels(self):
        cdef Track* track
        cdef int place
        found = []
        for place in range(self.c.heard_count):
            track = self.c.heard[place]
            if not track.level_count and not track.bare_count:
                continue
            found.append(
                Levels(
                    track=track.id,
                    count=track.level_count,
                    total=track.level_total,
                    loudest=track.loudest,
                    bare=track.bare_count,
                    bare_octets=track.bare_octets,
                )
            )
            track.level_count = track.level_total = track.bare_count = track.bare_octets = 0
            track.loudest = 127
        found.sort(key=_track_of)
        return found

    def media_in(self):
        return self.c.counters.in_rtp

    def counters(self):
        cdef uint64_t* values = <uint64_t*>&self.c.counters
        cdef ForwardTime* time = &self.c.forward_time
        cdef int index
        counted = {}
        for index in range(COUNTER_COUNT):
            counted[counter_names[index].decode()] = values[index]
        counted["forward_us_count"] = time.count
        counted["forward_us_sum"] = time.sum_us
        for bound in FORWARD_BOUNDS_US:
            counted[f"forward_us_le_{bound}"] = forward_within(time, bound)
        for index in range(FORWARD_BUCKETS):
            if time.within[index]:
                counted[f"forward_us_in_{forward_bound_us(index)}"] = time.within[index]
        counted["native_legs"] = len(self._legs)
        return counted

    # --- for tests

    def _limit_sends(self, int room):
        """As if the socket were full after so many messages; a negative number lifts the limit."""
        path_limit_sends(self.c, room)

    def _use_segmentation(self, bint use):
        """Whether runs of packets may go to the kernel as one message."""
        self.c.outbox.segmentation = use

    def _seal_narrowly(self):
        """Without AVX-512, also where there is."""
        path_seal_narrowly(self.c)

    @staticmethod
    def _forward_bound(int64_t us):
        """Of the bucket that counts this time."""
        return forward_bound_us(forward_bucket(us))


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
