/* The RTP packet (RFC 3550 section 5.1), its extension elements (RFC 8285) and retransmissions (RFC 4588). */

enum {
    RTP_FIXED = 12,
    RTP_MARKER = 0x80,
    RTP_PADDED = 0x20,
    ONE_BYTE_PROFILE = 0xBEDE,
};

/* One opened packet, parsed once for every leg. Offsets index `data`, and all of them are within `length`. */
typedef struct {
    uint8_t *data;
    int64_t number; /* extended */
    int64_t arrived_us;
    uint32_t timestamp;
    uint32_t ssrc;
    uint16_t length;
    uint16_t sequence;
    uint16_t profile;
    uint16_t extension_at; /* of the elements; 0 without any */
    uint16_t extension_end;
    uint16_t payload_at;
    uint16_t payload_end; /* without padding */
    uint8_t payload_type;
    uint8_t marker; /* RTP_MARKER or 0 */
    bool keyframe;  /* the first packet of one */
    Vp8 vp8;
} Packet;

static inline bool has_media(const Packet *packet) { return packet->payload_end > packet->payload_at; }

/* False when the packet's own lengths do not fit within it. */
static bool rtp_parse(Packet *packet, uint8_t *data, int length)
{
    if (length < RTP_FIXED || data[0] >> 6 != 2)
        return false;
    int payload_at = RTP_FIXED + 4 * (data[0] & 0x0F);
    packet->profile = packet->extension_at = packet->extension_end = 0;
    if (data[0] & 0x10) {
        if (length < payload_at + 4)
            return false;
        packet->profile = get16(data + payload_at);
        packet->extension_at = (uint16_t)(payload_at + 4);
        payload_at += 4 + 4 * get16(data + payload_at + 2);
    }
    if (payload_at > length)
        return false;
    int padding = 0;
    if (data[0] & RTP_PADDED) {
        if (payload_at == length || !data[length - 1] || data[length - 1] > length - payload_at)
            return false;
        padding = data[length - 1];
    }
    if (packet->extension_at)
        packet->extension_end = (uint16_t)payload_at;
    packet->data = data;
    packet->length = (uint16_t)length;
    packet->payload_type = data[1] & 0x7F;
    packet->marker = data[1] & RTP_MARKER;
    packet->sequence = get16(data + 2);
    packet->timestamp = get32(data + 4);
    packet->ssrc = get32(data + 8);
    packet->payload_at = (uint16_t)payload_at;
    packet->payload_end = (uint16_t)(length - padding);
    packet->number = packet->arrived_us = 0;
    packet->keyframe = packet->vp8.present = false;
    return true;
}

static inline bool is_two_byte(uint16_t profile) { return (profile & 0xFFF0) == 0x1000; }

typedef struct {
    int at; /* the element's own header */
    int value_at;
    int value_end;
    int id;
} Element;

/* The next element from `at` on; false after the last one and at the first that does not fit. */
static bool next_element(const Packet *packet, int at, Element *element)
{
    const uint8_t *data = packet->data;
    int end = packet->extension_end;
    bool two_byte = is_two_byte(packet->profile);
    if (!two_byte && packet->profile != ONE_BYTE_PROFILE)
        return false;
    while (at < end && data[at] == 0)
        at++;
    element->at = at;
    if (two_byte) {
        if (at + 2 > end)
            return false;
        element->id = data[at];
        element->value_at = at + 2;
        element->value_end = at + 2 + data[at + 1];
        return element->value_end <= end;
    }
    if (at >= end)
        return false;
    element->id = data[at] >> 4;
    element->value_at = at + 1;
    element->value_end = at + 2 + (data[at] & 0x0F);
    /* Id 0 with a length is neither padding nor an element, and after id 15 nothing may be read
     * (RFC 8285 section 4.2). */
    return element->id != 0 && element->id != 15 && element->value_end <= end;
}

/* The first element with this id. */
static bool find_element(const Packet *packet, int id, Element *element)
{
    int at = packet->extension_at;
    while (next_element(packet, at, element)) {
        if (element->id == id)
            return true;
        at = element->value_end;
    }
    return false;
}

/* Give the elements in `out`, a copy of the packet, the ids of another session; the length stays.
 * What has no counterpart or can't be read becomes padding. */
static void remap_elements(uint8_t *out, const Packet *packet, const uint8_t identifiers[256])
{
    int start = packet->extension_at, at = start;
    bool two_byte = is_two_byte(packet->profile);
    int highest = two_byte ? 255 : 14;
    Element element;
    memset(out + start, 0, (size_t)(packet->extension_end - start));
    if (!two_byte && packet->profile != ONE_BYTE_PROFILE) {
        put16(out + start - 4, ONE_BYTE_PROFILE);
        return;
    }
    while (next_element(packet, at, &element)) {
        int ours = identifiers[element.id];
        at = element.value_end;
        if (ours == 0 || ours > highest)
            continue;
        memcpy(out + element.at, packet->data + element.at, (size_t)(element.value_end - element.at));
        out[element.at] = (uint8_t)(two_byte ? ours : ours << 4 | (out[element.at] & 0x0F));
    }
}

/* Make a retransmission the packet that it carries, in place: the headers move up over the original
 * sequence number. The padding belongs to the retransmission and is left out with its P bit.
 * False for a probe, which carries none. */
static bool rtx_unwrap(Packet *packet, uint8_t payload_type, uint32_t ssrc)
{
    uint8_t *data = packet->data;
    int headers = packet->payload_at;
    if (packet->payload_end - headers < 2)
        return false;
    uint16_t original = get16(data + headers);
    int length = packet->payload_end - 2;
    memmove(data + 2, data, (size_t)headers);
    data += 2;
    data[0] &= (uint8_t)~RTP_PADDED;
    data[1] = packet->marker | payload_type;
    put16(data + 2, original);
    put32(data + 8, ssrc);
    return rtp_parse(packet, data, length);
}

/* Make a packet of `length`, as first sent, one of the retransmission stream; it grows by two bytes. */
static int rtx_wrap(uint8_t *out, int length, int payload_at, uint8_t payload_type, uint32_t ssrc,
                    uint16_t sequence)
{
    uint16_t original = get16(out + 2);
    memmove(out + payload_at + 2, out + payload_at, (size_t)(length - payload_at));
    put16(out + payload_at, original);
    out[1] = (out[1] & RTP_MARKER) | payload_type;
    put16(out + 2, sequence);
    put32(out + 8, ssrc);
    return length + 2;
}
