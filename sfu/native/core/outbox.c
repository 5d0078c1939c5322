/* What leaves: packets are written and protected one behind the other, gathered into messages, and sent in one
 * system call. A run of equal size to one viewer, the last one possibly shorter, is one message that the kernel
 * or the network card cuts up (UDP_SEGMENT).
 *
 * When the socket is full audio waits and a video leg gives up the rest of its frame. That is known only after the
 * whole window was written, so the legs in it are put back to where they were and told again what went out and
 * what did not.
 */

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum {
    WINDOW_MESSAGES = 64,
    WINDOW_ENTRIES = 1024,
    WINDOW_BYTES = 256 * 1024,
    MAX_SEGMENTS_SENT = 64,
    MAX_MESSAGE = 65000, /* below what fits an IPv4 or IPv6 packet */
    NOT_WRITTEN = 0xFFFF,
    NOT_PROTECTED = 0xFFFE,
};

typedef struct {
    Transport *transport;
    uint32_t at;
    uint32_t bytes;
    uint16_t size; /* of every segment but the last */
    uint16_t segments;
    bool full; /* a shorter segment ended it */
} Message;

enum entry_kind { ENTRY_MEDIA, ENTRY_REPAIR };

typedef struct {
    Leg *leg;
    const Packet *packet;
    uint32_t at;
    uint16_t bytes;
    uint16_t message; /* or NOT_WRITTEN, NOT_PROTECTED */
    uint8_t kind;
} Entry;

typedef struct {
    Outlet outlet;
    bool segmentation; /* the kernel takes UDP_SEGMENT */
    uint64_t window;
    SrtpCall protect;
    GcmSeal seal; /* NULL: this machine leaves it to libsrtp */
    Counters *counters;
    int64_t now_us;
    /* the window */
    uint32_t used;
    int message_count;
    int entry_count;
    int saved_count;
    Message messages[WINDOW_MESSAGES];
    Entry entries[WINDOW_ENTRIES];
    struct {
        Leg *leg;
        LegState state;
    } saved[WINDOW_ENTRIES];
    struct mmsghdr headers[WINDOW_MESSAGES];
    struct iovec vectors[WINDOW_MESSAGES];
    union {
        char bytes[CMSG_SPACE(sizeof(uint16_t))];
        struct cmsghdr aligned;
    } controls[WINDOW_MESSAGES];
    uint8_t data[WINDOW_BYTES + MAX_PROTECTED];
} Outbox;

/* --- sending a window ------------------------------------------------------------------------------------ */

static void outbox_address(Outbox *outbox, int index)
{
    Message *message = &outbox->messages[index];
    struct msghdr *header = &outbox->headers[index].msg_hdr;
    outbox->vectors[index] = (struct iovec){outbox->data + message->at, message->bytes};
    header->msg_name = &message->transport->address;
    header->msg_namelen = message->transport->address_length;
    header->msg_iov = &outbox->vectors[index];
    header->msg_iovlen = 1;
    header->msg_control = NULL;
    header->msg_controllen = 0;
    header->msg_flags = 0;
    if (message->segments < 2)
        return;
    header->msg_control = outbox->controls[index].bytes;
    header->msg_controllen = sizeof outbox->controls[index].bytes;
    struct cmsghdr *control = CMSG_FIRSTHDR(header);
    control->cmsg_level = SOL_UDP;
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    memcpy(CMSG_DATA(control), &message->size, sizeof(uint16_t));
}

static void outbox_count(Outbox *outbox, int from, int sent)
{
    Counters *counters = outbox->counters;
    for (int index = from; index < from + sent; index++) {
        const Message *message = &outbox->messages[index];
        counters->datagrams_out += message->segments;
        counters->bytes_out += message->bytes;
        counters->native_messages++;
        if (message->segments > 1) {
            counters->native_gso_messages++;
            counters->native_gso_segments += message->segments;
        }
    }
}

/* The kernel or the card refuses to cut this message: send its segments one by one. How many it took before it
 * was full. */
static int outbox_send_singly(Outbox *outbox, Message *message)
{
    uint32_t at = 0;
    for (int segment = 0; segment < message->segments; segment++) {
        uint32_t bytes = message->bytes - at < message->size ? message->bytes - at : message->size;
        if (outlet_transmit(&outbox->outlet, outbox->data + message->at + at, bytes, &message->transport->address,
                            message->transport->address_length) == SENT_FULL)
            return segment;
        at += bytes;
    }
    return message->segments;
}

/* Send the window's messages. True when all are gone; otherwise the socket became full at byte `*stopped`. */
static bool outbox_send_messages(Outbox *outbox, uint32_t *stopped)
{
    Counters *counters = outbox->counters;
    int first = 0;
    *stopped = 0;
    if (!outlet_retry(&outbox->outlet))
        return false;
    for (int index = 0; index < outbox->message_count; index++)
        outbox_address(outbox, index);
    while (first < outbox->message_count) {
        Message *message = &outbox->messages[first];
        unsigned int count = (unsigned int)(outbox->message_count - first);
        int sent = outbox->outlet.send(outbox->outlet.fd, outbox->headers + first, count, MSG_DONTWAIT);
        counters->native_send_calls++;
        if (sent > 0) {
            outbox_count(outbox, first, sent);
            first += sent;
            continue;
        }
        *stopped = message->at;
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent == 0 || socket_is_full(errno))
            return false;
        if (message->segments > 1) {
            counters->native_gso_refused++;
            /* EIO: the device can't sum what it cuts. Anything else may be this message's own fault. */
            outbox->segmentation = outbox->segmentation && errno != EIO;
            int taken = outbox_send_singly(outbox, message);
            *stopped += (uint32_t)taken * message->size;
            if (taken < message->segments)
                return false;
        } else {
            counters->send_failed++;
        }
        first++;
    }
    return true;
}

static void outbox_replay_media(Outbox *outbox, const Entry *entry, bool sent)
{
    Leg *leg = entry->leg;
    int64_t ours;
    if (leg->audio) {
        if (!sent && entry->message != NOT_WRITTEN)
            outlet_wait(&outbox->outlet, leg->transport, outbox->data + entry->at, entry->bytes);
        return;
    }
    if (!sent && entry->message != NOT_WRITTEN)
        outbox->counters->forwarded--; /* was counted when it was written */
    enum verdict verdict = leg_judge(leg, entry->packet, &ours);
    if (verdict == VERDICT_DROP)
        leg_drop(leg, entry->packet);
    if (verdict != VERDICT_SEND)
        return;
    if (sent) {
        leg_sent(leg, entry->packet, outbox->now_us);
    } else {
        leg_unsent(leg, entry->packet);
        outbox->counters->send_full_video++;
    }
}

static void outbox_replay_repair(Outbox *outbox, const Entry *entry, bool sent)
{
    if (sent)
        return;
    if (entry->leg->audio) {
        outlet_wait(&outbox->outlet, entry->leg->transport, outbox->data + entry->at, entry->bytes);
        return;
    }
    entry->leg->retransmitted--;
    outbox->counters->retransmitted--;
    outbox->counters->send_full_video++;
}

/* Everything from byte `stopped` on has not left. */
static void outbox_replay(Outbox *outbox, uint32_t stopped)
{
    for (int index = 0; index < outbox->saved_count; index++)
        leg_restore(outbox->saved[index].leg, &outbox->saved[index].state);
    for (int index = 0; index < outbox->entry_count; index++) {
        const Entry *entry = &outbox->entries[index];
        bool sent = entry->message == NOT_PROTECTED || (entry->message != NOT_WRITTEN && entry->at < stopped);
        if (entry->kind == ENTRY_MEDIA)
            outbox_replay_media(outbox, entry, sent);
        else
            outbox_replay_repair(outbox, entry, sent);
    }
}

static void outbox_flush(Outbox *outbox)
{
    uint32_t stopped;
    if (outbox->message_count && !outbox_send_messages(outbox, &stopped))
        outbox_replay(outbox, stopped);
    outbox->used = 0;
    outbox->message_count = outbox->entry_count = outbox->saved_count = 0;
    outbox->window++;
}

/* --- filling it ------------------------------------------------------------------------------------------ */

/* Where the next packet is to be written, with room for MAX_PROTECTED bytes. */
static uint8_t *outbox_room(Outbox *outbox)
{
    if (outbox->used > WINDOW_BYTES - MAX_PROTECTED || outbox->entry_count == WINDOW_ENTRIES ||
        outbox->message_count == WINDOW_MESSAGES)
        outbox_flush(outbox);
    return outbox->data + outbox->used;
}

static bool outbox_joins(const Outbox *outbox, const Transport *transport, int bytes)
{
    if (!outbox->segmentation || !outbox->message_count)
        return false;
    const Message *last = &outbox->messages[outbox->message_count - 1];
    return last->transport == transport && !last->full && bytes <= last->size &&
           last->segments < MAX_SEGMENTS_SENT && last->bytes + (uint32_t)bytes <= MAX_MESSAGE;
}

/* RFC 7714 section 8.1: the salt, with SSRC, rollover counter and sequence number laid over its end. */
static void outbox_seal(const Outbox *outbox, const GcmKey *key, uint8_t *data, int length, int payload_at,
                        int64_t number)
{
    uint8_t nonce[GCM_SALT], index[8];
    put32(index, (uint32_t)(number >> 16));
    put16(index + 4, (uint16_t)number);
    memcpy(nonce, key->salt, GCM_SALT);
    for (int at = 0; at < 4; at++)
        nonce[2 + at] ^= data[8 + at];
    for (int at = 0; at < 6; at++)
        nonce[6 + at] ^= index[at];
    outbox->seal(key, nonce, data, (size_t)payload_at, data + payload_at, (size_t)(length - payload_at));
}

/* False, counted, when it can't be protected. */
static bool outbox_protect(Outbox *outbox, const Transport *transport, int *length, int payload_at, int64_t number)
{
    uint8_t *data = outbox->data + outbox->used;
    if (transport->seal) {
        outbox_seal(outbox, transport->seal, data, *length, payload_at, number);
        *length += GCM_TAG;
        return true;
    }
    if (outbox->protect(transport->send, data, length) == 0)
        return true;
    outbox->counters->send_failed++;
    return false;
}

/* The `length` bytes at `outbox_room` are a packet: protect it and put it into a message. The message's index,
 * NOT_PROTECTED when that failed: it counts as lost on the way. */
static uint16_t outbox_add(Outbox *outbox, Transport *transport, int length, int payload_at, int64_t number,
                           uint16_t *bytes)
{
    if (!outbox_protect(outbox, transport, &length, payload_at, number))
        return NOT_PROTECTED;
    *bytes = (uint16_t)length;
    if (outbox_joins(outbox, transport, length)) {
        Message *last = &outbox->messages[outbox->message_count - 1];
        last->segments++;
        last->bytes += (uint32_t)length;
        last->full = length < last->size;
    } else {
        outbox->messages[outbox->message_count++] =
            (Message){transport, outbox->used, (uint32_t)length, (uint16_t)length, 1, false};
    }
    outbox->used += (uint32_t)length;
    return (uint16_t)(outbox->message_count - 1);
}

static void outbox_save(Outbox *outbox, Leg *leg)
{
    if (leg->audio || leg->window == outbox->window)
        return; /* audio is never taken back */
    leg->window = outbox->window;
    outbox->saved[outbox->saved_count].leg = leg;
    outbox->saved[outbox->saved_count++].state = leg->state;
}

static void outbox_forward(Outbox *outbox, Leg *leg, const Packet *packet)
{
    int64_t ours;
    uint8_t *out = outbox_room(outbox);
    outbox_save(outbox, leg);
    Entry entry = {leg, packet, outbox->used, 0, NOT_WRITTEN, ENTRY_MEDIA};
    enum verdict verdict = leg_judge(leg, packet, &ours);
    if (verdict == VERDICT_SEND) {
        leg_write(leg, leg->era, packet, ours, out);
        entry.message = outbox_add(outbox, leg->transport, packet->length, packet->payload_at, ours, &entry.bytes);
        leg_sent(leg, packet, outbox->now_us);
        outbox->counters->forwarded++;
    } else if (verdict == VERDICT_DROP) {
        leg_drop(leg, packet);
    }
    outbox->entries[outbox->entry_count++] = entry;
}

/* What became of it; `*room` is how many octets may still be sent. */
static enum repaired outbox_repair(Outbox *outbox, Leg *leg, uint16_t sequence, int64_t *room)
{
    const Era *era;
    int64_t ours;
    uint8_t *out = outbox_room(outbox);
    Packet *packet = leg_asked(leg, sequence, outbox->now_us, &era, &ours);
    if (!packet) {
        leg->missed++;
        outbox->counters->retransmit_missed++;
        return REPAIR_MISSED;
    }
    if (packet->length > *room)
        return REPAIR_NO_ROOM;
    *room -= packet->length;
    int length = leg_write_again(leg, era, packet, &ours, out);
    Entry entry = {leg, packet, outbox->used, 0, NOT_WRITTEN, ENTRY_REPAIR};
    entry.message = outbox_add(outbox, leg->transport, length, packet->payload_at, ours, &entry.bytes);
    outbox->entries[outbox->entry_count++] = entry;
    leg->retransmitted++;
    outbox->counters->retransmitted++;
    return REPAIR_SENT;
}
