"""core.h, as path.pyx calls it."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "core.h" nogil:
    int ADDRESS_SIZE, BATCH, NO_PAYLOAD_TYPE, MAX_CNAME, TRANSACTION_SIZE
    enum:  # sizes of arrays
        MAX_MISSING
        LEGS_PER_PACKET
    int EVENT_STUN, EVENT_DTLS, EVENT_RTCP, EVENT_UNKNOWN, EVENT_STARTED
    int CODEC_OTHER, CODEC_VP8, CODEC_VP9, CODEC_H264, CODEC_AV1
    int REPAIR_SENT, REPAIR_NO_ROOM

    ctypedef int (*SrtpCall)(void*, void*, int*) noexcept
    ctypedef int (*SrtpRemoveCall)(void*, uint32_t) noexcept
    ctypedef struct Srtp:
        SrtpCall protect, protect_rtcp, unprotect, unprotect_rtcp
        SrtpRemoveCall remove_stream
    ctypedef struct Event:
        uint8_t kind, payload_type
        uint32_t ssrc
        int length
        int64_t id
        const uint8_t *data
        const uint8_t *address
    ctypedef struct Echo:
        int64_t arrived_us
        uint32_t last_sr, delay
    ctypedef struct Arrival:
        int64_t us
        uint16_t number
    ctypedef struct TransportTimes:
        int64_t last_received_us, nominated_us
    ctypedef struct TrackSpec:
        int64_t id
        uint32_t ssrc, rtx_ssrc, clock_rate
        int transport_cc_id, mid_id
        uint8_t audio_level_id
        bint audio, has_rtx
    ctypedef struct ReceiveFigures:
        int64_t highest_sequence, expected, lost, jitter
        uint64_t packets, octets, keyframes, recovered
    ctypedef struct LevelFigures:
        int64_t track
        uint32_t count, total, bare_count, bare_octets
        uint8_t loudest
    ctypedef struct LegSpec:
        int64_t id
        uint32_t ssrc, rtx_ssrc
        uint16_t first_sequence
        bint audio, has_rtx
    ctypedef struct MappingTable:
        uint8_t payload_types[128]
        uint8_t identifiers[256]
    ctypedef struct SendFigures:
        uint64_t packets, octets, recent_octets, retransmitted, missed
        int64_t last_sent_us
        uint32_t last_timestamp, clock_rate

    ctypedef struct Path
    ctypedef struct Transport
    ctypedef struct Track
    ctypedef struct Leg

    Path* path_open(int fd, int family, const Srtp* srtp, uint64_t seed)
    void path_leave_socket(Path*)
    void path_close(Path*)
    void path_begin_drain(Path*, int64_t now_us)
    int path_drain_batch(Path*, int limit)
    const Event* path_event(const Path*, int index)
    void path_send(Path*, const uint8_t* data, size_t, const uint8_t* address, size_t)
    void path_send_rtcp(Path*, Transport*, const uint8_t* compound, size_t)
    uint64_t path_media_in(const Path*)
    const char* path_counter(const Path*, int index, uint64_t* value)
    uint64_t path_forwarded_in(const Path*, int bucket, int64_t* bound_us)

    Transport* transport_open(int64_t number, void* receive, void* send, const uint8_t* address, size_t)
    bint path_seal_with(const Path*, Transport*, const uint8_t* key, int length, const uint8_t* salt)
    void transport_close(Transport*)
    bint path_claim(Path*, Transport*, const uint8_t* address, size_t)
    void path_forget(Path*, const uint8_t* address, size_t)
    int64_t path_owner(const Path*, const uint8_t* address, size_t)
    int64_t path_heard_from_us(const Path*, const Transport*, const uint8_t* address, size_t)
    void transport_select(Transport*, const uint8_t* address, size_t)
    void transport_answer_checks(Transport*, const uint8_t* ufrag, size_t, const uint8_t* password, size_t)
    bint transport_answered(const Transport*, const uint8_t* transaction)
    TransportTimes transport_times(const Transport*)
    Echo transport_echo(const Transport*)
    bint transport_take_arrival(Transport*, Arrival*)
    bint transport_has_stream(const Transport*, uint32_t ssrc)

    Track* path_add_track(Path*, Transport*, const TrackSpec*)
    void track_add_codec(Track*, int payload_type, int codec, uint32_t clock_rate, int rtx)
    bint path_set_rtx(Path*, Track*, uint32_t ssrc)
    bint track_mute(Track*, bint muted)
    void path_remove_track(Path*, Track*)
    bint track_is_awaited(const Track*)
    ReceiveFigures track_figures(const Track*)
    int path_heard_count(const Path*)
    int path_missing(Path*, int place, int64_t* track, uint16_t* sequences)
    bint path_take_levels(Path*, int place, LevelFigures*)

    Leg* leg_open(Transport*, const LegSpec*)
    void leg_add_rtx(Leg*, int payload_type, uint8_t rtx)
    bint path_feed(Path*, Leg*, Track*, const MappingTable*, int64_t now_us)
    void path_remove_leg(Path*, Leg*)
    bint path_holds(const Path*, Leg*, uint16_t sequence)
    int path_repair(Path*, Leg*, uint16_t sequence, int64_t* room)
    void path_flush(Path*)
    bint leg_is_sending(const Leg*, int64_t now_us)
    void path_report(Path*, Transport*, Leg**, int count, const char* cname, int64_t now_us, uint64_t now_ntp)
    SendFigures path_leg_figures(const Path*, const Leg*)
