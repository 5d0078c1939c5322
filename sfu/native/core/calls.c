/* The calls of core.h that no other file has: what Python asks, in terms of what stands before. */

/* --- the path ---------------------------------------------------------------------------------------------- */

void path_leave_socket(Path *path) { path->fd = path->outbox.outlet.fd = -1; }

void path_begin_drain(Path *path, int64_t now_us)
{
    path_now(path, now_us);
    outlet_retry(&path->outbox.outlet);
}

const Event *path_event(const Path *path, int index)
{
    return index < path->event_count ? &path->events[index] : NULL;
}

void path_send(Path *path, const uint8_t *data, size_t length, const uint8_t *address, size_t address_length)
{
    SocketAddress to;
    socklen_t to_length = address_read(&to, address, address_length);
    outlet_control(&path->outbox.outlet, data, length, &to, to_length);
}

/* There is room behind the data for a trailer. */
static void path_seal_rtcp(Path *path, Transport *transport, uint8_t *data, int length)
{
    if (path->srtp.protect_rtcp(transport->send, data, &length) != 0) {
        path->counters.send_failed++;
        return;
    }
    outlet_control(&path->outbox.outlet, data, (size_t)length, &transport->address, transport->address_length);
}

void path_send_rtcp(Path *path, Transport *transport, const uint8_t *compound, size_t length)
{
    uint8_t data[MAX_PROTECTED];
    if (length < RTCP_MINIMUM || length > MAX_PROTECTED - MAX_SRTCP_TRAILER) {
        path->counters.send_failed++;
        return;
    }
    memcpy(data, compound, length);
    path_seal_rtcp(path, transport, data, (int)length);
}

uint64_t path_media_in(const Path *path) { return path->counters.in_rtp; }

const char *path_counter(const Path *path, int index, uint64_t *value)
{
    const uint64_t *values = (const uint64_t *)&path->counters;
    switch (index - COUNTER_COUNT) {
    case 0: *value = path->forward_time.count; return "forward_us_count";
    case 1: *value = path->forward_time.sum_us; return "forward_us_sum";
    default: break;
    }
    if (index > COUNTER_COUNT)
        return NULL;
    *value = values[index];
    return counter_names[index];
}

uint64_t path_forwarded_in(const Path *path, int bucket, int64_t *bound_us)
{
    *bound_us = bucket < FORWARD_BUCKETS ? forward_bound_us(bucket) : 0;
    return *bound_us ? path->forward_time.within[bucket] : 0;
}

/* --- transports -------------------------------------------------------------------------------------------- */

Transport *transport_open(int64_t number, void *receive, void *send, const uint8_t *address, size_t length)
{
    Transport *transport = calloc(1, sizeof *transport);
    if (!transport)
        return NULL;
    transport->number = number;
    transport->receive = receive;
    transport->send = send;
    transport_select(transport, address, length);
    return transport;
}

bool path_seal_with(const Path *path, Transport *transport, const uint8_t *key, int length, const uint8_t *salt)
{
    return !path->outbox.seal || transport_seal_with(transport, key, length, salt);
}

void transport_select(Transport *transport, const uint8_t *address, size_t length)
{
    transport->address_length = address_read(&transport->address, address, length);
}

static AddressKey address_key_read(const uint8_t *bytes, size_t length)
{
    SocketAddress address;
    address_read(&address, bytes, length);
    return address_key(&address);
}

bool path_claim(Path *path, Transport *transport, const uint8_t *address, size_t length)
{
    AddressKey key = address_key_read(address, length);
    return addresses_put(&path->addresses, &key, transport);
}

void path_forget(Path *path, const uint8_t *address, size_t length)
{
    AddressKey key = address_key_read(address, length);
    addresses_remove(&path->addresses, &key);
}

int64_t path_owner(const Path *path, const uint8_t *address, size_t length)
{
    AddressKey key = address_key_read(address, length);
    const Transport *owner = address_entry(&path->addresses, &key)->transport;
    return owner ? owner->number : 0;
}

int64_t path_heard_from_us(const Path *path, const Transport *transport, const uint8_t *address, size_t length)
{
    AddressKey key = address_key_read(address, length);
    const AddressEntry *entry = address_entry(&path->addresses, &key);
    return entry->transport == transport ? entry->heard_us : 0;
}

void transport_answer_checks(Transport *transport, const uint8_t *ufrag, size_t ufrag_length,
                             const uint8_t *password, size_t password_length)
{
    Consent *consent = &transport->consent;
    memset(consent->ufrag, 0, sizeof consent->ufrag);
    if (ufrag_length > MAX_UFRAG || password_length > SHA1_BLOCK)
        return;
    memcpy(consent->ufrag, ufrag, ufrag_length);
    hmac_set_key(&consent->key, password, password_length);
}

bool transport_answered(const Transport *transport, const uint8_t *transaction)
{
    return transaction_known(&transport->consent, transaction);
}

TransportTimes transport_times(const Transport *transport)
{
    return (TransportTimes){transport->last_received_us, transport->nominated_us};
}

Echo transport_echo(const Transport *transport) { return transport->echo; }

bool transport_take_arrival(Transport *transport, Arrival *arrival)
{
    return arrivals_take(&transport->arrivals, arrival);
}

bool transport_has_stream(const Transport *transport, uint32_t ssrc)
{
    return transport_stream(transport, ssrc) != NULL;
}

/* --- tracks ------------------------------------------------------------------------------------------------ */

static bool track_add_stream(Track *track, uint32_t ssrc, bool is_rtx)
{
    if (!transport_add_stream(track->transport, ssrc, track, is_rtx))
        return false;
    unknown_claimed(track->transport, ssrc);
    return true;
}

Track *path_add_track(Path *path, Transport *transport, const TrackSpec *spec)
{
    Track *track = track_open(transport, spec);
    if (!track)
        return NULL;
    if (!track_add_stream(track, spec->ssrc, false) ||
        (spec->has_rtx && !track_add_stream(track, spec->rtx_ssrc, true))) {
        path_remove_track(path, track);
        return NULL;
    }
    if (spec->transport_cc_id)
        transport->transport_cc_id = spec->transport_cc_id;
    if (spec->mid_id)
        transport->mid_id = spec->mid_id;
    return track;
}

void track_add_codec(Track *track, int payload_type, enum codec codec, uint32_t clock_rate, int rtx)
{
    if (payload_type < 0 || payload_type > 127)
        return;
    track->codecs[payload_type] = (uint8_t)codec;
    track->clock_rates[payload_type] = clock_rate;
    if (0 <= rtx && rtx <= 127)
        track->originals[rtx] = (uint8_t)payload_type;
}

bool track_is_awaited(const Track *track)
{
    return !track->muted && (track->waiting.count || track->torn);
}

ReceiveFigures track_figures(const Track *track)
{
    const Reception *reception = &track->reception;
    int64_t expected = reception->base ? reception->highest - reception->base + 1 : 0;
    return (ReceiveFigures){
        .highest_sequence = reception->highest > FIRST_CYCLE ? reception->highest - FIRST_CYCLE : 0,
        .expected = expected,
        .lost = expected - (int64_t)reception->packets,
        .jitter = reception->jitter >> 4,
        .packets = reception->packets,
        .octets = reception->octets,
        .keyframes = track->keyframes,
        .recovered = track->recovered,
    };
}

int path_heard_count(const Path *path) { return path->heard_count; }

int path_missing(Path *path, int place, int64_t *track, uint16_t *sequences)
{
    Track *heard = path->heard[place];
    Missing *missing = &heard->missing;
    *track = heard->id;
    if (!missing->count || heard->muted)
        return 0;
    missing_expire(missing, path->now_us);
    int count = 0;
    for (int at = missing->first; at < missing->last; at++)
        if (missing->holes[at].since_us >= 0)
            sequences[count++] = (uint16_t)missing->holes[at].number;
    return count;
}

bool path_take_levels(Path *path, int place, LevelFigures *levels)
{
    Track *track = path->heard[place];
    if (!track->level_count && !track->bare_count)
        return false;
    *levels = (LevelFigures){
        .track = track->id,
        .count = track->level_count,
        .total = track->level_total,
        .bare_count = track->bare_count,
        .bare_octets = track->bare_octets,
        .loudest = track->loudest,
    };
    track->level_count = track->level_total = track->bare_count = track->bare_octets = 0;
    track->loudest = SILENCE;
    return true;
}

/* --- legs -------------------------------------------------------------------------------------------------- */

void leg_add_rtx(Leg *leg, int payload_type, uint8_t rtx)
{
    if (0 <= payload_type && payload_type <= 127)
        leg->rtx[payload_type] = rtx;
}

bool path_feed(Path *path, Leg *leg, Track *track, const MappingTable *table, int64_t now_us)
{
    path_now(path, now_us);
    if (!track) {
        leg_unhook(leg);
        return true;
    }
    Mapping *mapping = mapping_take(&path->mappings, table);
    return mapping && leg_set_source(leg, track, mapping);
}

/* libsrtp's state of a stream that is not sent any more; there may be none yet. */
static void path_retire_sent(const Path *path, const Transport *transport, uint32_t ssrc)
{
    path->srtp.remove_stream(transport->send, htonl(ssrc));
}

void path_remove_leg(Path *path, Leg *leg)
{
    path_retire_sent(path, leg->transport, leg->ssrc);
    if (leg->has_rtx)
        path_retire_sent(path, leg->transport, leg->rtx_ssrc);
    leg_free(leg);
}

bool path_holds(const Path *path, Leg *leg, uint16_t sequence) { return leg_holds(leg, sequence, path->now_us); }

enum repaired path_repair(Path *path, Leg *leg, uint16_t sequence, int64_t *room)
{
    return outbox_repair(&path->outbox, leg, sequence, room);
}

void path_flush(Path *path) { outbox_flush(&path->outbox); }

void path_report(Path *path, Transport *transport, Leg *const *legs, int count, const char *cname, int64_t now_us,
                 uint64_t now_ntp)
{
    uint8_t data[MAX_PROTECTED];
    path_seal_rtcp(path, transport, data, reports_write(data, legs, count, cname, now_us, now_ntp));
}

SendFigures path_leg_figures(const Path *path, const Leg *leg)
{
    return (SendFigures){
        .packets = leg->state.packets,
        .octets = leg->state.octets,
        .recent_octets = leg_recent_octets(&leg->state, path->now_us),
        .retransmitted = leg->retransmitted,
        .missed = leg->missed,
        .last_sent_us = leg->state.last_sent_us,
        .last_timestamp = leg->state.last_timestamp,
        .clock_rate = leg->clock_rate,
    };
}
