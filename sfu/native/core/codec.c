/* What the first bytes of a payload say: the VP8 descriptor, and whether a keyframe begins.
 *
 * Nothing here fails: a payload that can't be read begins no keyframe and is forwarded as it is.
 * Offsets index the whole packet; `end` is where the payload ends.
 */

typedef struct {
    uint16_t picture_id_at; /* 0 when the field is absent, as below */
    uint16_t picture_id;
    uint16_t tl0_at;
    uint8_t picture_id_bits; /* 15, 7 or 0 */
    uint8_t tl0;
    bool present; /* the descriptor could be read */
    bool keyframe;
} Vp8;

/* RFC 7741 section 4.2. */
static void vp8_parse(Vp8 *vp8, const uint8_t *data, int start, int end)
{
    int at = start + 1;
    memset(vp8, 0, sizeof *vp8);
    if (start >= end)
        return;
    Vp8 found = {.present = true};
    uint8_t first = data[start];
    if (first & 0x80) {
        if (at >= end)
            return;
        uint8_t flags = data[at++];
        if (flags & 0x80) {
            if (at >= end)
                return;
            found.picture_id_at = (uint16_t)at;
            found.picture_id = data[at];
            found.picture_id_bits = 7;
            if (data[at] & 0x80) {
                if (at + 1 >= end)
                    return;
                found.picture_id = get16(data + at) & 0x7FFF;
                found.picture_id_bits = 15;
                at++;
            }
            at++;
        }
        if (flags & 0x40) {
            if (at >= end)
                return;
            found.tl0_at = (uint16_t)at;
            found.tl0 = data[at++];
        }
        if (flags & 0x30)
            at++;
    }
    if (at > end)
        return;
    /* S set and partition 0: the frame's own header follows, whose lowest bit is 0 in a keyframe
     * (RFC 7741 section 4.3). */
    found.keyframe = (first & 0x17) == 0x10 && at < end && !(data[at] & 0x01);
    *vp8 = found;
}

/* RFC 9628 section 4.2: B set, P clear, lowest spatial layer: the upper layers of a key picture are
 * predicted from the lower ones and have P clear as well. */
static bool vp9_keyframe(const uint8_t *data, int start, int end)
{
    int at = start + 1;
    if (start >= end)
        return false;
    uint8_t first = data[start];
    if (first & 0x40 || !(first & 0x08))
        return false;
    if (!(first & 0x20))
        return true;
    if (first & 0x80) {
        if (at >= end)
            return false;
        at += data[at] & 0x80 ? 2 : 1;
    }
    return at < end && !(data[at] & 0x0E);
}

static inline bool h264_starts(uint8_t kind) { return (kind & 0x1F) == 5 || (kind & 0x1F) == 7; }

/* RFC 6184: an SPS or an IDR slice, alone, first in a fragment (FU-A), or anywhere in a STAP-A. */
static bool h264_keyframe(const uint8_t *data, int start, int end)
{
    if (start >= end)
        return false;
    uint8_t kind = data[start] & 0x1F;
    if (kind == 28)
        return end - start > 1 && data[start + 1] & 0x80 && h264_starts(data[start + 1]);
    if (kind != 24)
        return h264_starts(kind);
    for (int at = start + 1; at + 2 < end;) {
        int size = get16(data + at);
        if (!size || at + 2 + size > end)
            return false;
        if (h264_starts(data[at + 2]))
            return true;
        at += 2 + size;
    }
    return false;
}

/* -1 when the value does not end within the payload; four bytes are enough for any packet. */
static int leb128(const uint8_t *data, int *at, int end)
{
    int value = 0;
    for (int shift = 0; shift < 28 && *at < end; shift += 7) {
        uint8_t byte = data[(*at)++];
        value |= (byte & 0x7F) << shift;
        if (!(byte & 0x80))
            return value;
    }
    return -1;
}

/* AV1 RTP specification section 4.4: N set, or the first OBU is a sequence header. */
static bool av1_keyframe(const uint8_t *data, int start, int end)
{
    if (start >= end)
        return false;
    uint8_t aggregation = data[start];
    int at = start + 1, count = aggregation >> 4 & 0x03;
    if (aggregation & 0x80) /* Z: goes on from the packet before */
        return false;
    if (aggregation & 0x08)
        return true;
    for (int index = 1; index <= 2; index++) {
        int size = index == count ? end - at : leb128(data, &at, end);
        if (size <= 0 || size > end - at)
            return false;
        int kind = data[at] >> 3 & 0x0F;
        if (kind != 2) /* a temporal delimiter may come first */
            return kind == 1;
        at += size;
    }
    return false;
}

static bool begins_keyframe(enum codec codec, const uint8_t *data, int start, int end)
{
    switch (codec) {
    case CODEC_VP9: return vp9_keyframe(data, start, end);
    case CODEC_H264: return h264_keyframe(data, start, end);
    case CODEC_AV1: return av1_keyframe(data, start, end);
    default: return false;
    }
}
