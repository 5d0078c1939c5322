/* One UDP socket and everything that passes through it; and forwarding, from tracks to legs.
 *
 * Packets that came together leave together, viewer by viewer. No memory is taken per packet.
 */

enum {
    MAX_DATAGRAM = 2048, /* media stays below a path MTU */
    RX_STRIDE = MAX_DATAGRAM + 64, /* no power of two: all headers would share few cache sets */
    MAX_EVENTS = 3 * BATCH,
    RTCP_MINIMUM = 8,
    MAX_SRTP = 1500, /* what a protected packet may be long, as in pylibsrtp */
    MAX_SRTCP_TRAILER = 148, /* libsrtp's longest */
    SRTP_REPLAY_FAIL = 9,
    SRTP_REPLAY_OLD = 10,
};

typedef int (*ReceiveCall)(int, struct mmsghdr *, unsigned int, int, struct timespec *);

struct Path {
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
    /* tracks that packets have come of; thousands of listeners have a microphone that never sends one */
    Track **heard;
    int heard_count;
    int heard_room;
    /* the batch */
    int forwarded_count;
    int64_t forwarded_since[BATCH]; /* when the packets that some viewer is to get had come, wall clock */
    int event_count;
    int active_count;
    Event events[MAX_EVENTS];
    Packet packets[BATCH];
    Track *active[BATCH]; /* tracks with packets to forward */
    SocketAddress from[BATCH];
    Stamp stamps[BATCH];
    int64_t came_ns[BATCH]; /* wall clock */
    struct mmsghdr headers[BATCH];
    struct iovec vectors[BATCH];
    uint8_t data[BATCH * RX_STRIDE];
    Outbox outbox;
};

Path *path_open(int fd, int family, const Srtp *srtp, uint64_t seed)
{
    Path *path = calloc(1, sizeof *path);
    if (!path)
        return NULL;
    if (!addresses_open(&path->addresses, seed)) {
        free(path);
        return NULL;
    }
    path->fd = path->outbox.outlet.fd = fd;
    path->family = family;
    path->srtp = *srtp;
    path->receive = recvmmsg;
    path->outbox.outlet.send = sendmmsg;
    path->outbox.protect = srtp->protect;
    path->outbox.seal = gcm_seal_for_this_machine(false);
    path->outbox.counters = path->outbox.outlet.counters = &path->counters;
    path->outbox.window = 1;
    int size = 0;
    socklen_t length = sizeof size;
    /* Known to the kernel since Linux 4.18; others refuse the question. */
    path->outbox.segmentation = getsockopt(fd, SOL_UDP, UDP_SEGMENT, &size, &length) == 0;
    int stamped = 1;
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &stamped, sizeof stamped);
    for (int place = 0; place < BATCH; place++) {
        struct msghdr *header = &path->headers[place].msg_hdr;
        path->vectors[place] = (struct iovec){path->data + place * RX_STRIDE, MAX_DATAGRAM};
        header->msg_iov = &path->vectors[place];
        header->msg_iovlen = 1;
        header->msg_name = &path->from[place];
        header->msg_namelen = sizeof path->from[place];
        header->msg_control = path->stamps[place].bytes;
        header->msg_controllen = sizeof path->stamps[place].bytes;
    }
    return path;
}

void path_close(Path *path)
{
    free(path->addresses.entries);
    free(path->heard);
    free(path);
}

/* Without memory it is tried again at the next packet. */
static void path_hear(Path *path, Track *track)
{
    if (path->heard_count == path->heard_room) {
        int room = path->heard_room ? 2 * path->heard_room : 16;
        Track **heard = realloc(path->heard, (size_t)room * sizeof *heard);
        if (!heard)
            return;
        path->heard = heard;
        path->heard_room = room;
    }
    path->heard[path->heard_count++] = track;
    track->heard = true;
}

/* libsrtp's state of an SSRC that is no track's any more goes when others need the room. */
static void path_retire(Path *path, Transport *transport, uint32_t ssrc)
{
    uint32_t evicted;
    if (unknown_retire(transport, ssrc, path->now_us, &evicted))
        path->srtp.remove_stream(transport->receive, htonl(evicted));
}

bool path_set_rtx(Path *path, Track *track, uint32_t ssrc)
{
    Transport *transport = track->transport;
    if (!transport_add_stream(transport, ssrc, track, true))
        return false;
    unknown_claimed(transport, ssrc);
    for (int at = 0; at < transport->stream_count; at++) {
        Stream stream = transport->streams[at];
        if (stream.track != track || !stream.is_rtx || stream.ssrc == ssrc)
            continue;
        transport->streams[at] = transport->streams[--transport->stream_count];
        path_retire(path, transport, stream.ssrc);
        break; /* there is one at most */
    }
    return true;
}

void path_remove_track(Path *path, Track *track)
{
    Transport *transport = track->transport;
    for (int at = 0; at < transport->stream_count; at++)
        if (transport->streams[at].track == track)
            path_retire(path, transport, transport->streams[at].ssrc);
    for (int index = 0; track->heard && index < path->heard_count; index++) {
        if (path->heard[index] != track)
            continue;
        path->heard[index] = path->heard[--path->heard_count];
        track->heard = false;
    }
    track_remove(track);
}

static void path_now(Path *path, int64_t now_us) { path->now_us = path->outbox.now_us = now_us; }

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

static void path_time(Path *path)
{
    int64_t now_ns = path->forwarded_count ? wall_ns() : 0;
    for (int index = 0; index < path->forwarded_count; index++)
        forward_time_add(&path->forward_time, now_ns - path->forwarded_since[index]);
    path->forwarded_count = 0;
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
    path_time(path);
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
