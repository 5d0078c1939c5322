/* One SRTP association with one remote: its contexts, its address, the streams it sends us. */

enum {
    MAX_UNKNOWN = 32,
    MAX_RTCP_SOURCES = 64,
    MAX_UFRAG = 15,
    TRANSACTIONS = 32, /* of answered checks that are remembered: more than a minute of them */
    MAX_ARRIVALS = 4096,
    FIRST_ARRIVALS = 32,
    TELL_EVERY_US = 1000000,
};

typedef struct {
    Track *track;
    uint32_t ssrc;
    bool is_rtx;
} Stream;

typedef struct {
    int64_t told_us;
    uint32_t ssrc;
} UnknownStream;

/* A ring that forgets the oldest. It starts over when all has been taken, and grows with need. */
typedef struct {
    uint32_t first;
    uint32_t count;
    uint32_t room; /* a power of two, at most MAX_ARRIVALS */
    Arrival *log;
} Arrivals;

/* The ICE credentials under which checks may be answered here; without a fragment: none. Whose checks were answered
 * outlives them: a ring that begins at `taken` modulo its size. */
typedef struct {
    HmacKey key;
    char ufrag[MAX_UFRAG + 1];
    uint32_t taken;
    uint8_t transactions[TRANSACTIONS][TRANSACTION_SIZE];
} Consent;

struct Transport {
    /* sending */
    void *send;
    GcmKey *seal; /* what RTP is sealed with here; NULL: libsrtp does it, with `send` */
    SocketAddress address;
    socklen_t address_length;
    struct Transport *next_pending; /* in this batch */
    Leg *pending; /* legs with something to send */
    Leg **pending_end;
    /* receiving */
    void *receive;
    Stream *streams;
    int stream_count;
    int transport_cc_id;
    int mid_id;
    int64_t last_received_us;
    int64_t nominated_us;
    int64_t number;
    Arrivals arrivals;
    Echo echo;
    Consent consent;
    int unknown_count;
    int rtcp_source_count;
    UnknownStream *unknown; /* in order of first sight; MAX_UNKNOWN of them, once there is one */
    uint32_t *rtcp_sources; /* room for a power of two */
};

static bool transport_seal_with(Transport *transport, const uint8_t *key, int length, const uint8_t *salt)
{
    transport->seal = aligned_alloc(64, sizeof(GcmKey));
    if (transport->seal)
        gcm_set_key(transport->seal, key, length, salt);
    return transport->seal != NULL;
}

void transport_close(Transport *transport)
{
    if (transport->seal)
        explicit_bzero(transport->seal, sizeof(GcmKey));
    free(transport->seal);
    free(transport->arrivals.log);
    free(transport->unknown);
    free(transport->rtcp_sources);
    free(transport->streams);
    free(transport);
}

static Stream *transport_stream(const Transport *transport, uint32_t ssrc)
{
    for (int at = 0; at < transport->stream_count; at++)
        if (transport->streams[at].ssrc == ssrc)
            return &transport->streams[at];
    return NULL;
}

static bool transport_add_stream(Transport *transport, uint32_t ssrc, Track *track, bool is_rtx)
{
    size_t count = (size_t)transport->stream_count + 1;
    Stream *streams = realloc(transport->streams, count * sizeof(Stream));
    if (!streams)
        return false;
    transport->streams = streams;
    streams[transport->stream_count++] = (Stream){track, ssrc, is_rtx};
    return true;
}

static void transport_remove_streams(Transport *transport, const Track *track)
{
    int kept = 0;
    for (int at = 0; at < transport->stream_count; at++)
        if (transport->streams[at].track != track)
            transport->streams[kept++] = transport->streams[at];
    transport->stream_count = kept;
}

static int unknown_index(const Transport *transport, uint32_t ssrc)
{
    for (int at = 0; at < transport->unknown_count; at++)
        if (transport->unknown[at].ssrc == ssrc)
            return at;
    return -1;
}

static void unknown_remove(Transport *transport, int index)
{
    UnknownStream *unknown = transport->unknown;
    int behind = --transport->unknown_count - index;
    memmove(unknown + index, unknown + index + 1, (size_t)behind * sizeof *unknown);
}

static bool unknown_open(Transport *transport)
{
    if (!transport->unknown)
        transport->unknown = malloc(MAX_UNKNOWN * sizeof *transport->unknown);
    return transport->unknown != NULL;
}

/* An SSRC that is no track's any more is unknown like others; whether it takes the place of `*evicted`. Without
 * memory it is told of as a new one. */
static bool unknown_retire(Transport *transport, uint32_t ssrc, int64_t now_us, uint32_t *evicted)
{
    if (!unknown_open(transport))
        return false;
    bool evicts = transport->unknown_count == MAX_UNKNOWN;
    if (evicts) {
        *evicted = transport->unknown[0].ssrc;
        unknown_remove(transport, 0);
    }
    transport->unknown[transport->unknown_count++] = (UnknownStream){now_us - TELL_EVERY_US, ssrc};
    return evicts;
}

/* Whether an SSRC of no track may be opened: libsrtp keeps state for every one, so a peer may not bring any
 * number of them. The oldest makes room once it was told about long enough ago; then `*evicted` is its SSRC. */
static bool unknown_admit(Transport *transport, uint32_t ssrc, int64_t now_us, bool *evicts, uint32_t *evicted)
{
    *evicts = false;
    if (!unknown_open(transport))
        return false;
    if (transport->unknown_count < MAX_UNKNOWN || unknown_index(transport, ssrc) >= 0)
        return true;
    if (now_us - transport->unknown[0].told_us < TELL_EVERY_US)
        return false;
    *evicts = true;
    *evicted = transport->unknown[0].ssrc;
    unknown_remove(transport, 0);
    return true;
}

/* Whether to tell of it now: at most once a second. There is room: it was admitted. */
static bool unknown_tell(Transport *transport, uint32_t ssrc, int64_t now_us)
{
    int index = unknown_index(transport, ssrc);
    if (index < 0) {
        index = transport->unknown_count++;
        transport->unknown[index].ssrc = ssrc;
    } else if (now_us - transport->unknown[index].told_us < TELL_EVERY_US) {
        return false;
    }
    transport->unknown[index].told_us = now_us;
    return true;
}

static void unknown_claimed(Transport *transport, uint32_t ssrc)
{
    int index = unknown_index(transport, ssrc);
    if (index >= 0)
        unknown_remove(transport, index);
}

static bool rtcp_source_known(const Transport *transport, uint32_t ssrc)
{
    for (int at = 0; at < transport->rtcp_source_count; at++)
        if (transport->rtcp_sources[at] == ssrc)
            return true;
    return false;
}

/* False when there are too many, or no memory. */
static bool rtcp_source_add(Transport *transport, uint32_t ssrc)
{
    uint32_t count = (uint32_t)transport->rtcp_source_count;
    if (count == MAX_RTCP_SOURCES)
        return false;
    if (!(count & (count - 1))) { /* nothing, or a power of two: full */
        uint32_t *sources = realloc(transport->rtcp_sources, (count ? 2 * count : 1) * sizeof *sources);
        if (!sources)
            return false;
        transport->rtcp_sources = sources;
    }
    transport->rtcp_sources[transport->rtcp_source_count++] = ssrc;
    return true;
}

/* Without memory, as many are kept as there is room for. */
static void arrivals_grow(Arrivals *arrivals)
{
    uint32_t room = arrivals->room ? 2 * arrivals->room : FIRST_ARRIVALS;
    Arrival *log = realloc(arrivals->log, room * sizeof *log);
    if (!log)
        return;
    arrivals->log = log;
    arrivals->room = room;
}

static void arrivals_add(Arrivals *arrivals, uint16_t number, int64_t now_us)
{
    /* A ring that grows has not wrapped: what begins elsewhere does not grow until it is empty. */
    if (arrivals->count == arrivals->room && !arrivals->first && arrivals->room < MAX_ARRIVALS)
        arrivals_grow(arrivals);
    if (!arrivals->room)
        return;
    arrivals->log[(arrivals->first + arrivals->count) % arrivals->room] = (Arrival){now_us, number};
    if (arrivals->count < arrivals->room)
        arrivals->count++;
    else
        arrivals->first = (arrivals->first + 1) % arrivals->room;
}

static bool arrivals_take(Arrivals *arrivals, Arrival *oldest)
{
    if (!arrivals->count)
        return false;
    *oldest = arrivals->log[arrivals->first];
    arrivals->first = --arrivals->count ? (arrivals->first + 1) % arrivals->room : 0;
    return true;
}
