/* One UDP socket and everything that passes through it: datagrams to tracks, tracks to legs.
 *
 * `path_drain_batch` reads up to BATCH datagrams, forwards what is media, and leaves for Python, as events, what
 * is not. Packets that came together leave together, viewer by viewer. No memory is taken per packet.
 */
#ifndef PARLEY_PATH_H
#define PARLEY_PATH_H

#ifndef _GNU_SOURCE
#error "recvmmsg and sendmmsg need _GNU_SOURCE"
#endif

#include "outbox.h"

enum {
    RX_STRIDE = MAX_DATAGRAM + 64, /* no power of two: all headers would share few cache sets */
    MAX_EVENTS = 3 * BATCH,
    RTCP_MINIMUM = 8,
    MAX_SRTP = 1500, /* what a protected packet may be long, as in pylibsrtp */
    SRTP_REPLAY_FAIL = 9,
    SRTP_REPLAY_OLD = 10,
};

typedef int (*ReceiveCall)(int, struct mmsghdr *, unsigned int, int, struct timespec *);
typedef int (*SrtpRemoveCall)(void *context, uint32_t ssrc);

typedef struct {
    SrtpCall protect;
    SrtpCall protect_rtcp;
    SrtpCall unprotect;
    SrtpCall unprotect_rtcp;
    SrtpRemoveCall remove_stream;
} Srtp;

enum event_kind { EVENT_STUN, EVENT_DTLS, EVENT_RTCP, EVENT_UNKNOWN, EVENT_STARTED, EVENT_KEYFRAME };

/* What is for Python. `data` is in the batch and good until the next one. */
typedef struct {
    uint8_t kind;
    uint8_t payload_type;
    uint8_t place; /* in the batch: whose address */
    uint32_t ssrc;
    int64_t id; /* transport or track */
    const uint8_t *data;
    int length;
} Event;

typedef struct {
    Counters counters;
    ForwardTime forward_time;
    Srtp srtp;
    Addresses addresses;
    Mappings mappings;
    int fd;
    int family;
    int64_t now_us;
    ReceiveCall receive;
    int leg_count;
    /* the batch */
    int64_t batch_began_ns;
    uint64_t batch_forwarded; /* packets that some viewer was to get */
    int event_count;
    int active_count;
    Event events[MAX_EVENTS];
    Packet packets[BATCH];
    Track *active[BATCH]; /* tracks with packets to forward */
    SocketAddress from[BATCH];
    struct mmsghdr headers[BATCH];
    struct iovec vectors[BATCH];
    uint8_t data[BATCH * RX_STRIDE];
    Outbox outbox;
} Path;

static Path *path_open(int fd, int family, const Srtp *srtp, uint64_t seed)
{
    Path *path = calloc(1, sizeof *path);
    if (!path)
        return NULL;
    if (!addresses_open(&path->addresses, seed)) {
        free(path);
        return NULL;
    }
    path->fd = path->outbox.fd = fd;
    path->family = family;
    path->srtp = *srtp;
    path->receive = recvmmsg;
    path->outbox.send = sendmmsg;
    path->outbox.protect = srtp->protect;
    path->outbox.seal = gcm_seal_for_this_machine(false);
    path->outbox.counters = &path->counters;
    path->outbox.window = 1;
    int size = 0;
    socklen_t length = sizeof size;
    /* Known to the kernel since Linux 4.18; others refuse the question. */
    path->outbox.segmentation = getsockopt(fd, SOL_UDP, UDP_SEGMENT, &size, &length) == 0;
    for (int place = 0; place < BATCH; place++) {
        struct msghdr *header = &path->headers[place].msg_hdr;
        path->vectors[place] = (struct iovec){path->data + place * RX_STRIDE, MAX_DATAGRAM};
        header->msg_iov = &path->vectors[place];
        header->msg_iovlen = 1;
        header->msg_name = &path->from[place];
        header->msg_namelen = sizeof path->from[place];
    }
    return path;
}

static void path_close(Path *path)
{
    free(path->addresses.entries);
    free(path);
}

static void path_count_unprotected(Path *path) { path->counters.send_failed++; }

/* For tests, since a real socket can't be made full at will: messages that it still takes. */
static int limited_room;

static int send_limited(int fd, struct mmsghdr *headers, unsigned int count, int flags)
{
    if (limited_room <= 0) {
        errno = EAGAIN;
        return -1;
    }
    if (count > (unsigned int)limited_room)
        count = (unsigned int)limited_room;
    int sent = sendmmsg(fd, headers, count, flags);
    limited_room -= sent > 0 ? sent : 0;
    return sent;
}

/* Negative: without a limit. */
static void path_limit_sends(Path *path, int room)
{
    limited_room = room;
    path->outbox.send = room < 0 ? sendmmsg : send_limited;
}

/* For tests, on a machine that could do better. */
static void path_seal_narrowly(Path *path) { path->outbox.seal = gcm_seal_for_this_machine(true); }

static void path_now(Path *path, int64_t now_us) { path->now_us = path->outbox.now_us = now_us; }

/* --- who feeds whom ---------------------------------------------------------------------------------------- */

static bool list_add(LegList *list, Leg *leg, int *index)
{
    if (list->count == list->room) {
        int room = list->room ? 2 * list->room : 4;
        Leg **legs = realloc(list->legs, (size_t)room * sizeof(Leg *));
        if (!legs)
            return false;
        list->legs = legs;
        list->room = room;
    }
    *index = list->count;
    list->legs[list->count++] = leg;
    return true;
}

/* A leg may sit in `waiting` of one track and flow from another, so that memory for both places is taken when it
 * starts to wait: beginning, in the middle of a batch, can't fail. */
static bool list_reserve(LegList *list, int count)
{
    if (list->room >= count)
        return true;
    int room = list->room ? list->room : 4;
    while (room < count)
        room *= 2;
    Leg **legs = realloc(list->legs, (size_t)room * sizeof(Leg *));
    if (!legs)
        return false;
    list->legs = legs;
    list->room = room;
    return true;
}

static void leg_cancel_pending(Leg *leg)
{
    if (!leg->pending)
        return;
    LegList *waiting = &leg->pending->waiting;
    Leg *moved = waiting->legs[--waiting->count];
    waiting->legs[leg->waiting_index] = moved;
    moved->waiting_index = leg->waiting_index;
    mapping_release(leg->pending_mapping);
    leg->pending = NULL;
    leg->pending_mapping = NULL;
}

static void leg_leave(Leg *leg)
{
    Track *track = leg->source;
    if (track) {
        LegList *flowing = &track->flowing;
        Leg *moved = flowing->legs[--flowing->count];
        flowing->legs[leg->flowing_index] = moved;
        moved->flowing_index = leg->flowing_index;
        track->torn -= leg->state.torn;
        leg->source = NULL;
    }
    leg_end(leg);
}

static void leg_unhook(Leg *leg)
{
    leg_cancel_pending(leg);
    leg_leave(leg);
}

/* Takes over `mapping`'s user, also on failure, which is want of memory. */
static bool leg_await(Leg *leg, Track *track, Mapping *mapping)
{
    leg_cancel_pending(leg);
    if (!list_reserve(&track->flowing, track->flowing.count + track->waiting.count + 1) ||
        !list_add(&track->waiting, leg, &leg->waiting_index)) {
        mapping_release(mapping);
        return false;
    }
    leg->pending = track;
    leg->pending_mapping = mapping;
    return true;
}

static bool leg_set_source(Leg *leg, Track *track, Mapping *mapping)
{
    if (leg->source == track) {
        leg_cancel_pending(leg);
        if (leg->era->mapping == mapping)
            mapping_release(mapping);
        else
            leg_remap(leg, mapping);
        return true;
    }
    if (leg->audio)
        leg_unhook(leg);
    return leg_await(leg, track, mapping);
}

static bool track_mute(Track *track, bool muted)
{
    if (track->muted == muted)
        return true;
    track->muted = muted;
    bool fits = true;
    while (muted && track->flowing.count) {
        Leg *leg = track->flowing.legs[track->flowing.count - 1];
        Mapping *mapping = leg->era->mapping;
        mapping->users++;
        leg_leave(leg);
        if (leg->pending)
            mapping_release(mapping);
        else
            fits = leg_await(leg, track, mapping) && fits;
    }
    return fits;
}

static void track_detach(Track *track)
{
    while (track->flowing.count)
        leg_leave(track->flowing.legs[track->flowing.count - 1]);
    while (track->waiting.count)
        leg_cancel_pending(track->waiting.legs[track->waiting.count - 1]);
}

/* The memory itself goes with the last era that names the track. */
static void track_remove(Track *track)
{
    track_detach(track);
    transport_remove_streams(track->transport, track);
    cache_close(&track->cache);
    free(track->flowing.legs);
    free(track->waiting.legs);
    track->flowing = track->waiting = (LegList){0};
    track->removed = true;
    track_release(track);
}

static void leg_free(Leg *leg)
{
    leg_unhook(leg);
    uint32_t eras = leg->era_count < MAX_ERAS ? leg->era_count : MAX_ERAS;
    for (uint32_t index = 0; index < eras; index++)
        era_release(&leg->eras[index]);
    free(leg);
}

/* --- forwarding -------------------------------------------------------------------------------------------- */

static void path_forward_leg(Path *path, Leg *leg, const Track *track)
{
    for (int index = 0; index < track->batch_count; index++)
        outbox_forward(&path->outbox, leg, &path->packets[track->batch[index]]);
}

/* Several tracks: what they have for one viewer leaves together. */
static void path_forward_by_transport(Path *path)
{
    Transport *first = NULL;
    Transport **end = &first;
    for (int index = 0; index < path->active_count; index++) {
        LegList *flowing = &path->active[index]->flowing;
        for (int place = 0; place < flowing->count; place++) {
            Leg *leg = flowing->legs[place];
            Transport *transport = leg->transport;
            if (!transport->pending) {
                transport->next_pending = NULL;
                *end = transport;
                end = &transport->next_pending;
                transport->pending_end = &transport->pending;
            }
            leg->next_pending = NULL;
            *transport->pending_end = leg;
            transport->pending_end = &leg->next_pending;
        }
    }
    for (Transport *transport = first; transport; transport = transport->next_pending) {
        for (Leg *leg = transport->pending; leg; leg = leg->next_pending)
            path_forward_leg(path, leg, leg->source);
        transport->pending = NULL;
    }
}

/* Send on what the batch has brought so far. */
static void path_forward(Path *path)
{
    if (path->active_count == 1) {
        const Track *track = path->active[0];
        for (int place = 0; place < track->flowing.count; place++)
            path_forward_leg(path, track->flowing.legs[place], track);
    } else if (path->active_count) {
        path_forward_by_transport(path);
    }
    outbox_flush(&path->outbox);
    for (int index = 0; index < path->active_count; index++)
        path->active[index]->batch_count = 0;
    path->active_count = 0;
    if (path->batch_forwarded) {
        int64_t passed_us = (monotonic_ns() - path->batch_began_ns) / 1000;
        forward_time_add(&path->forward_time, passed_us, path->batch_forwarded);
        path->batch_forwarded = 0;
    }
}

/* Let those who wait begin here: video at a keyframe, audio at the newest packet with sound. */
static void path_begin(Path *path, Track *track, const Packet *packet)
{
    bool newest = has_media(packet) && packet->number == track->newest;
    if (!(track->audio ? newest : packet->keyframe))
        return;
    bool forwarded = false;
    int waiting = track->waiting.count, kept = 0;
    for (int index = 0; index < waiting; index++) {
        Leg *leg = track->waiting.legs[index];
        Mapping *mapping = leg->pending_mapping;
        if (mapping->table.payload_types[packet->payload_type] == NO_PAYLOAD_TYPE) {
            leg->waiting_index = kept;
            track->waiting.legs[kept++] = leg;
            continue;
        }
        if (!forwarded)
            path_forward(path); /* what came before belongs to the sources of before */
        forwarded = true;
        leg->pending = NULL;
        leg->pending_mapping = NULL;
        leg_leave(leg);
        leg_begin(leg, track, mapping, packet, path->now_us);
        leg->source = track;
        track->torn += leg->state.torn;
        list_add(&track->flowing, leg, &leg->flowing_index);
    }
    track->waiting.count = kept;
}

/* --- packets in -------------------------------------------------------------------------------------------- */

static void path_tell(Path *path, Event event)
{
    path->events[path->event_count++] = event;
}

static bool path_unwrap(Path *path, const Track *track, Packet *packet)
{
    uint8_t payload_type = track->originals[packet->payload_type];
    if (payload_type == NO_PAYLOAD_TYPE) {
        path->counters.drop_unknown_payload_type++;
        return false;
    }
    if (!rtx_unwrap(packet, payload_type, track->ssrc)) {
        path->counters.drop_probe++;
        return false;
    }
    return true;
}

static bool path_take(Path *path, Track *track, Packet *packet, bool recovered)
{
    switch (track_take(track, packet, path->now_us, recovered)) {
    case TAKEN_DUPLICATE: path->counters.drop_duplicate++; return false;
    case TAKEN_LATE: path->counters.drop_late++; return false;
    default: path->counters.rtx_recovered += recovered; return true;
    }
}

static void path_tell_of(Path *path, Track *track, const Packet *packet)
{
    if (!has_media(packet)) {
        path->counters.drop_probe++;
        return;
    }
    if (!track->started && track->codecs[packet->payload_type] != CODEC_NONE) {
        track->started = true;
        path_tell(path, (Event){.kind = EVENT_STARTED, .id = track->id});
    }
    if (packet->keyframe)
        path_tell(path, (Event){.kind = EVENT_KEYFRAME, .id = track->id});
}

static void path_route(Path *path, Track *track, Packet *packet, bool is_rtx)
{
    if (is_rtx && !path_unwrap(path, track, packet))
        return;
    if (track->codecs[packet->payload_type] == CODEC_NONE)
        path->counters.drop_unknown_payload_type++;
    if (!path_take(path, track, packet, is_rtx))
        return;
    path_tell_of(path, track, packet);
    if (track->muted) {
        path->counters.drop_muted++;
        return;
    }
    if (track->waiting.count)
        path_begin(path, track, packet);
    if (!track->flowing.count)
        return;
    if (!track->batch_count)
        path->active[path->active_count++] = track;
    track->batch[track->batch_count++] = (uint8_t)(packet - path->packets);
    path->batch_forwarded++;
}

static void path_log_arrival(Transport *transport, const Packet *packet, int64_t now_us)
{
    Element element;
    if (!transport->transport_cc_id || !packet->extension_at)
        return;
    if (find_element(packet, transport->transport_cc_id, &element) && element.value_end - element.value_at >= 2)
        arrivals_add(transport->arrivals, get16(packet->data + element.value_at), now_us);
}

static void path_refuse(Path *path, int status)
{
    if (status == SRTP_REPLAY_FAIL || status == SRTP_REPLAY_OLD)
        path->counters.drop_replayed++;
    else
        path->counters.drop_unauthentic++;
}

static bool path_admit(Path *path, Transport *transport, uint32_t ssrc)
{
    bool evicts;
    uint32_t evicted = 0;
    bool admitted = unknown_admit(transport, ssrc, path->now_us, &evicts, &evicted);
    if (evicts)
        path->srtp.remove_stream(transport->receive, htonl(evicted));
    return admitted;
}

static void path_take_rtp(Path *path, Transport *transport, int place, uint8_t *data, int length)
{
    Packet *packet = &path->packets[place];
    Counters *counters = &path->counters;
    uint32_t ssrc = get32(data + 8);
    Stream *stream = transport_stream(transport, ssrc);
    if (!stream && !path_admit(path, transport, ssrc)) {
        counters->drop_unknown_ssrc++;
        return;
    }
    int status = length > MAX_SRTP ? -1 : path->srtp.unprotect(transport->receive, data, &length);
    if (status != 0) {
        path_refuse(path, status);
        return;
    }
    transport->last_received_us = path->now_us;
    counters->in_rtp++;
    if (!rtp_parse(packet, data, length)) {
        counters->drop_malformed++;
        return;
    }
    path_log_arrival(transport, packet, path->now_us);
    if (stream) {
        path_route(path, stream->track, packet, stream->is_rtx);
        return;
    }
    counters->drop_unknown_ssrc++;
    if (unknown_tell(transport, ssrc, path->now_us))
        path_tell(path, (Event){.kind = EVENT_UNKNOWN,
                                .payload_type = packet->payload_type,
                                .ssrc = ssrc,
                                .id = transport->number});
}

static void path_take_rtcp(Path *path, Transport *transport, uint8_t *data, int length)
{
    uint32_t ssrc = get32(data + 4);
    bool known = rtcp_source_known(transport, ssrc);
    if (!known && transport->rtcp_source_count == MAX_RTCP_SOURCES) {
        path->counters.drop_unknown_ssrc++;
        return;
    }
    int status = length > MAX_SRTP ? -1 : path->srtp.unprotect_rtcp(transport->receive, data, &length);
    if (status != 0) {
        path_refuse(path, status);
        return;
    }
    if (!known)
        transport->rtcp_sources[transport->rtcp_source_count++] = ssrc;
    transport->last_received_us = path->now_us;
    path->counters.in_rtcp++;
    path_tell(path, (Event){.kind = EVENT_RTCP, .id = transport->number, .data = data, .length = length});
}

static void path_take_media(Path *path, int place, uint8_t *data, int length)
{
    AddressKey key = address_key(&path->from[place]);
    Transport *transport = address_entry(&path->addresses, &key)->transport;
    if (!transport)
        path->counters.drop_unknown_address++;
    else if (192 <= data[1] && data[1] <= 223) /* RFC 5761 section 4 */
        path_take_rtcp(path, transport, data, length);
    else if (length < RTP_FIXED)
        path->counters.drop_not_media++;
    else
        path_take_rtp(path, transport, place, data, length);
}

/* Demultiplex by the first byte, RFC 7983. */
static void path_take_datagram(Path *path, int place, uint8_t *data, int length)
{
    Counters *counters = &path->counters;
    counters->datagrams_in++;
    counters->bytes_in += (uint64_t)length;
    if (length >= MAX_DATAGRAM) {
        counters->drop_oversize++;
        return;
    }
    uint8_t first = length ? data[0] : 255;
    if (128 <= first && first <= 191 && length >= RTCP_MINIMUM) {
        path_take_media(path, place, data, length);
        return;
    }
    Event event = {.place = (uint8_t)place, .data = data, .length = length};
    if (!address_port(&path->from[place])) {
        counters->drop_not_media++; /* nobody can be answered at port 0 */
        return;
    }
    if (first <= 3) {
        event.kind = EVENT_STUN;
        counters->in_stun++;
    } else if (20 <= first && first <= 63) {
        event.kind = EVENT_DTLS;
        counters->in_dtls++;
    } else {
        counters->drop_not_media++;
        return;
    }
    path_tell(path, event);
}

/* How many datagrams were read, up to `limit`; less than that many: the socket is empty. Its events are good until
 * the next call. */
static int path_drain_batch(Path *path, int limit)
{
    path->event_count = 0;
    int count = path->receive(path->fd, path->headers, (unsigned int)limit, MSG_DONTWAIT, NULL);
    path->counters.native_receive_calls++;
    if (count < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
            return 0;
        /* An ICMP error of some peer, told on the next read: it says nothing about the socket. */
        path->counters.receive_failed++;
        path->counters.datagrams_in++;
        path->counters.drop_not_media++;
        return limit;
    }
    path->batch_began_ns = monotonic_ns();
    for (int place = 0; place < count; place++) {
        path->headers[place].msg_hdr.msg_namelen = sizeof path->from[place];
        path_take_datagram(path, place, path->data + place * RX_STRIDE, (int)path->headers[place].msg_len);
    }
    path_forward(path);
    return count;
}

#endif
