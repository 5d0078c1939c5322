"""What path.pyx uses of the headers beside it."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "ingress.h" nogil:
    int64_t monotonic_ns()
    enum:
        BATCH
        MAX_PROTECTED
        FORWARD_BUCKETS
        COUNTER_COUNT
        NO_PAYLOAD_TYPE
        RTCP_MINIMUM
        LEGS_PER_PACKET
        MAX_CNAME
        MAX_UFRAG
        TRANSACTION_SIZE
        SHA1_BLOCK
        MISSING_AGE_US
    int EVENT_STUN, EVENT_DTLS, EVENT_RTCP, EVENT_UNKNOWN, EVENT_STARTED, EVENT_KEYFRAME
    int CODEC_OTHER, CODEC_VP8, CODEC_VP9, CODEC_H264, CODEC_AV1

    ctypedef int (*SrtpCall)(void*, void*, int*) noexcept
    ctypedef int (*SrtpRemoveCall)(void*, uint32_t) noexcept
    ctypedef struct Srtp:
        SrtpCall protect
        SrtpCall protect_rtcp
        SrtpCall unprotect
        SrtpCall unprotect_rtcp
        SrtpRemoveCall remove_stream
    ctypedef struct Counters:
        uint64_t in_rtp
    const char* counter_names[]
    ctypedef struct ForwardTime:
        uint64_t count
        uint64_t sum_us
        uint64_t within[]
    int forward_bucket(int64_t)
    int64_t forward_bound_us(int)
    uint64_t forward_within(const ForwardTime*, int64_t)

    ctypedef struct SocketAddress:
        pass
    ctypedef unsigned int socklen_t
    ctypedef struct AddressKey:
        pass
    ctypedef struct AddressEntry:
        void* transport
        int64_t heard_us
    ctypedef struct Addresses:
        pass
    AddressKey address_key(const SocketAddress*)
    AddressEntry* address_entry(const Addresses*, const AddressKey*)
    bint addresses_put(Addresses*, const AddressKey*, void*)
    void addresses_remove(Addresses*, const AddressKey*)

    ctypedef struct MappingTable:
        uint8_t payload_types[128]
        uint8_t identifiers[256]
    ctypedef struct Mapping:
        pass
    ctypedef struct Mappings:
        pass
    Mapping* mapping_take(Mappings*, const MappingTable*)

    ctypedef struct Arrival:
        int64_t us
        uint16_t number
    ctypedef struct Arrivals:
        uint32_t first
        uint32_t count
        uint32_t room
        Arrival* log
    ctypedef struct Echo:
        int64_t arrived_us
        uint32_t last_sr
        uint32_t delay
    ctypedef struct HmacKey:
        pass
    ctypedef struct Consent:
        HmacKey key
        char ufrag[]
    void hmac_set_key(HmacKey*, const uint8_t*, size_t)
    bint transaction_known(const Consent*, const uint8_t*)
    ctypedef struct Transport:
        void* send
        void* receive
        SocketAddress address
        socklen_t address_length
        int64_t number
        int64_t last_received_us
        int64_t nominated_us
        int transport_cc_id
        int mid_id
        Arrivals arrivals
        Echo echo
        Consent consent
    bint transport_seal_with(Transport*, const uint8_t*, int, const uint8_t*)
    void transport_free(Transport*)
    bint transport_add_stream(Transport*, uint32_t, Track*, bint)
    void* transport_stream(const Transport*, uint32_t)
    void unknown_claimed(Transport*, uint32_t)

    ctypedef struct Reception:
        uint64_t packets
        uint64_t octets
        int64_t base
        int64_t highest
        int64_t jitter
    ctypedef struct Hole:
        int64_t number
        int64_t since_us
    ctypedef struct Missing:
        int first
        int last
        int count
        Hole* holes
    void missing_expire(Missing*, int64_t)
    ctypedef struct LegList:
        int count
    ctypedef struct Track:
        Transport* transport
        LegList waiting
        int torn
        bint audio
        bint muted
        uint8_t audio_level_id
        uint8_t loudest
        uint32_t clock_rate
        uint32_t ssrc
        uint32_t level_count
        uint32_t level_total
        uint32_t bare_count
        uint32_t bare_octets
        uint64_t keyframes
        uint64_t recovered
        int64_t id
        Reception reception
        uint8_t codecs[128]
        uint8_t originals[128]
        uint32_t clock_rates[128]
        Missing missing
    Track* track_open(bint, int64_t)
    bint track_mute(Track*, bint)

    ctypedef struct LegState:
        uint64_t packets
        uint64_t octets
        int64_t last_sent_us
        uint32_t last_timestamp
    ctypedef struct Leg:
        LegState state
        bint audio
        bint has_rtx
        uint32_t ssrc
        uint32_t clock_rate
        uint32_t rtx_ssrc
        uint64_t retransmitted
        uint64_t missed
        uint8_t rtx[128]
    bint leg_holds(Leg*, uint16_t, int64_t)
    uint64_t leg_recent_octets(const LegState*, int64_t)
    Leg* leg_open(Transport*, bint, uint32_t, uint16_t, int64_t)
    bint leg_set_source(Leg*, Track*, Mapping*)
    void leg_unhook(Leg*)
    void leg_free(Leg*)

    bint leg_is_sending(const Leg*, int64_t)
    int reports_write(uint8_t*, Leg**, int, const char*, int64_t, uint64_t)

    ctypedef struct Outlet:
        int fd
        int waiting_count
    ctypedef struct Outbox:
        Outlet outlet
        bint segmentation
        void* seal
    bint outlet_retry(Outlet*)
    int REPAIR_SENT, REPAIR_NO_ROOM
    int outbox_repair(Outbox*, Leg*, uint16_t, int64_t*)
    void outbox_flush(Outbox*)
    bint outlet_control(Outlet*, uint8_t*, size_t, SocketAddress*, socklen_t)

    ctypedef struct Event:
        uint8_t kind
        uint8_t payload_type
        uint8_t place
        uint32_t ssrc
        int64_t id
        const uint8_t* data
        int length
    ctypedef struct Path:
        Counters counters
        ForwardTime forward_time
        Addresses addresses
        Mappings mappings
        int fd
        int64_t now_us
        Track** heard
        int heard_count
        int event_count
        Event events[]
        SocketAddress from_ "from" []
        Outbox outbox
    Path* path_open(int, int, const Srtp*, uint64_t)
    void path_close(Path*)
    void path_remove_track(Path*, Track*)
    bint path_set_rtx(Path*, Track*, uint32_t)
    void path_now(Path*, int64_t)
    int path_drain_batch(Path*, int)
    void path_count_unprotected(Path*)
    void path_limit_sends(Path*, int)
    void path_seal_narrowly(Path*)
