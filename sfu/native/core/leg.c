/* One viewer's stream: every rewrite between a track's packet and what the viewer gets.
 *
 * A leg lives through eras. An era is one uninterrupted stay with one source under one mapping; each has its
 * own offsets, so that what was sent in an earlier era can be sent again exactly as it was.
 */

enum { MAX_ERAS = 4, RECENT_US = 1000000 };

typedef struct {
    Mapping *mapping;
    Track *track;
    int64_t talkspurt; /* the number whose marker bit is set (RFC 3551 section 4.1); 0 for none */
    uint32_t number;
    uint32_t timestamp_shift;
    uint16_t picture_shift;
    uint8_t tl0_shift;
} Era;

/* What forwarding changes. Kept together so that it can be put back when the socket turns out to be full. */
typedef struct {
    Numbering map;
    uint64_t packets;
    uint64_t octets;
    int64_t second_us;       /* when the present second began, */
    uint64_t second_octets;  /* `octets` then, */
    uint32_t former_octets;  /* and those of the second before, if that was followed by this one */
    int64_t last_sent_us;
    uint32_t last_timestamp;
    uint32_t cut; /* the source timestamp of the frame whose rest is not sent */
    uint16_t last_picture;
    uint8_t last_tl0;
    bool last_vp8; /* the last packet had a descriptor */
    bool is_cut;
    bool torn; /* a frame was cut short and no keyframe has gone out since */
} LegState;

struct Leg {
    LegState state;
    Era *era; /* NULL without a source */
    Transport *transport;
    Leg *next_pending;
    Track *source;
    int64_t rtx_number; /* extended, as all numbers that leave */
    uint64_t window; /* of the outbox: the last one that this leg had a packet in */
    uint32_t ssrc;
    bool audio;
    bool has_rtx;
    Era eras[MAX_ERAS];
    uint32_t era_count; /* ever */
    uint32_t clock_rate;
    uint32_t rtx_ssrc;
    Track *pending; /* with its mapping: what comes next */
    Mapping *pending_mapping;
    int flowing_index; /* in source->flowing */
    int waiting_index; /* in pending->waiting */
    uint64_t retransmitted;
    uint64_t missed;
    int64_t id;
    uint8_t rtx[128]; /* media payload type -> retransmission payload type */
    SegmentRing segments;
};

Leg *leg_open(Transport *transport, const LegSpec *spec)
{
    Leg *leg = calloc(1, sizeof *leg);
    if (!leg)
        return NULL;
    leg->transport = transport;
    leg->id = spec->id;
    leg->ssrc = spec->ssrc;
    leg->rtx_ssrc = spec->rtx_ssrc;
    leg->audio = spec->audio;
    leg->has_rtx = spec->has_rtx;
    leg->state.map.next = spec->first_sequence;
    leg->rtx_number = spec->first_sequence;
    memset(leg->rtx, NO_PAYLOAD_TYPE, sizeof leg->rtx);
    return leg;
}

/* --- sources --------------------------------------------------------------------------------------------- */

static Era *leg_last_era(Leg *leg)
{
    return leg->era_count ? &leg->eras[(leg->era_count - 1) % MAX_ERAS] : NULL;
}

static void era_release(Era *era)
{
    mapping_release(era->mapping);
    track_release(era->track);
}

/* Takes over `mapping`'s user. */
static void leg_enter(Leg *leg, Era era, int64_t first)
{
    Era *place = &leg->eras[leg->era_count % MAX_ERAS];
    era.number = leg->era_count + 1;
    era.track->users++;
    if (leg->era_count >= MAX_ERAS)
        era_release(place);
    *place = era;
    leg->era = place;
    leg->era_count++;
    numbering_begin(&leg->state.map, &leg->segments, era.number, first);
}

/* The sources share no clock: the wall time since the last packet is all there is to go by. */
static uint32_t leg_timestamp_shift(const Leg *leg, uint32_t timestamp, uint32_t clock_rate, int64_t now_us)
{
    int64_t passed_us = now_us - leg->state.last_sent_us;
    unsigned __int128 ticks = passed_us > 0 ? (unsigned __int128)passed_us * clock_rate / 1000000 : 0;
    return leg->state.last_timestamp + (ticks ? (uint32_t)ticks : 1) - timestamp;
}

/* From this packet of this source on, with every counter going on from what was sent. Takes over `mapping`. */
static void leg_begin(Leg *leg, Track *track, Mapping *mapping, const Packet *packet, int64_t now_us)
{
    uint32_t clock_rate = track_clock_rate(track, packet->payload_type);
    const Era *last = leg_last_era(leg);
    const LegState *state = &leg->state;
    Era era = {.mapping = mapping, .track = track};
    if (last) {
        if (state->last_vp8 && packet->vp8.present) {
            era.picture_shift =
                (uint16_t)(state->last_picture + last->picture_shift + 1 - packet->vp8.picture_id) & 0x7FFF;
            era.tl0_shift = (uint8_t)(state->last_tl0 + last->tl0_shift + 1 - packet->vp8.tl0);
        }
        era.timestamp_shift = last->timestamp_shift;
        if (last->track != track)
            era.timestamp_shift = leg_timestamp_shift(leg, packet->timestamp, clock_rate, now_us);
        era.talkspurt = leg->audio ? packet->number : 0;
    }
    leg_enter(leg, era, packet->number);
    leg->clock_rate = clock_rate;
    leg->state.is_cut = false;
}

/* The same source goes on under another mapping, whose user is taken over. */
static void leg_remap(Leg *leg, Mapping *mapping)
{
    Era era = *leg->era;
    era.mapping = mapping;
    era.talkspurt = 0;
    leg_enter(leg, era, leg->state.map.highest + 1);
}

/* No source: whatever is left out until the next one leaves no gap. */
static void leg_end(Leg *leg)
{
    numbering_end(&leg->state.map, &leg->segments);
    leg->era = NULL;
}

/* --- packets --------------------------------------------------------------------------------------------- */

enum verdict { VERDICT_NOTHING, VERDICT_DROP, VERDICT_SEND };

static inline bool leg_is_cut(const Leg *leg, const Packet *packet)
{
    return leg->state.is_cut && packet->timestamp == leg->state.cut;
}

/* What the viewer gets of this packet; `*ours` is its number then. */
static enum verdict leg_judge(const Leg *leg, const Packet *packet, int64_t *ours)
{
    const Numbering *map = &leg->state.map;
    if (!leg->era)
        return VERDICT_NOTHING;
    bool refused = leg->era->mapping->table.payload_types[packet->payload_type] == NO_PAYLOAD_TYPE ||
                   leg_is_cut(leg, packet);
    if (packet->number > map->highest) {
        *ours = packet->number + map->offset;
        return refused || !has_media(packet) ? VERDICT_DROP : VERDICT_SEND;
    }
    /* A late probe goes out too: its number is promised, and without it the viewer would ask. */
    if (refused || !numbering_late(map, &leg->segments, packet->number, ours))
        return VERDICT_NOTHING;
    return numbering_reaches(map, *ours) ? VERDICT_SEND : VERDICT_NOTHING;
}

static inline void leg_drop(Leg *leg, const Packet *packet)
{
    numbering_drop(&leg->state.map, &leg->segments, packet->number);
}

static void leg_begin_second(LegState *state, int64_t now_us)
{
    bool followed = now_us - state->second_us < 2 * RECENT_US;
    state->former_octets = followed ? (uint32_t)(state->octets - state->second_octets) : 0;
    state->second_us = now_us;
    state->second_octets = state->octets;
}

/* Sent in the last second, as if each second's had been sent evenly. */
static uint64_t leg_recent_octets(const LegState *state, int64_t now_us)
{
    int64_t passed = now_us - state->second_us;
    uint64_t present = state->octets - state->second_octets;
    if (passed < RECENT_US)
        return present + state->former_octets * (uint64_t)(RECENT_US - passed) / RECENT_US;
    return passed < 2 * RECENT_US ? present * (uint64_t)(2 * RECENT_US - passed) / RECENT_US : 0;
}

static void leg_sent(Leg *leg, const Packet *packet, int64_t now_us)
{
    LegState *state = &leg->state;
    if (now_us - state->second_us >= RECENT_US)
        leg_begin_second(state, now_us);
    state->packets++;
    state->octets += (uint64_t)(packet->payload_end - packet->payload_at);
    if (packet->number <= state->map.highest)
        return;
    state->map.highest = packet->number;
    state->last_vp8 = packet->vp8.present;
    if (packet->vp8.present) {
        state->last_picture = packet->vp8.picture_id;
        state->last_tl0 = packet->vp8.tl0;
    }
    uint32_t timestamp = packet->timestamp + leg->era->timestamp_shift;
    if (timestamp != state->last_timestamp || !state->last_sent_us) {
        /* The first packet of a frame: the others share its timestamp but leave later. */
        state->last_timestamp = timestamp;
        state->last_sent_us = now_us;
    }
    if (packet->keyframe && state->torn) {
        state->torn = false;
        leg->source->torn--;
    }
}

/* The socket was full: give up the rest of the frame, without a gap. */
static void leg_unsent(Leg *leg, const Packet *packet)
{
    LegState *state = &leg->state;
    if (packet->number <= state->map.highest)
        return;
    leg_drop(leg, packet);
    state->cut = packet->timestamp;
    state->is_cut = true;
    leg->source->torn += !state->torn;
    state->torn = true;
}

/* Put back an earlier state. Segments that pushed older ones out of the ring can't bring those back. */
static void leg_restore(Leg *leg, const LegState *saved)
{
    uint32_t since = leg->state.map.closed - saved->map.closed;
    leg->source->torn += saved->torn - leg->state.torn;
    leg->state = *saved;
    if (saved->map.kept + since > MAX_SEGMENTS)
        leg->state.map.kept = (uint16_t)(since < MAX_SEGMENTS ? MAX_SEGMENTS - since : 0);
}

static void shift_vp8(uint8_t *out, const Vp8 *vp8, const Era *era)
{
    if (vp8->picture_id_bits == 15)
        put16(out + vp8->picture_id_at, 0x8000 | ((vp8->picture_id + era->picture_shift) & 0x7FFF));
    else if (vp8->picture_id_bits) /* can't become longer without moving the payload, so it stays 7 bits */
        out[vp8->picture_id_at] = (vp8->picture_id + era->picture_shift) & 0x7F;
    if (vp8->tl0_at)
        out[vp8->tl0_at] = (uint8_t)(vp8->tl0 + era->tl0_shift);
}

/* The packet as this viewer gets it; as long as it was. `out` has room for all of it. */
static void leg_write(const Leg *leg, const Era *era, const Packet *packet, int64_t ours, uint8_t *out)
{
    uint8_t payload_type = era->mapping->table.payload_types[packet->payload_type];
    uint8_t marker = packet->number == era->talkspurt ? RTP_MARKER : packet->marker;
    memcpy(out + RTP_FIXED, packet->data + RTP_FIXED, (size_t)packet->length - RTP_FIXED);
    out[0] = packet->data[0];
    out[1] = marker | payload_type;
    put16(out + 2, (uint16_t)ours);
    put32(out + 4, packet->timestamp + era->timestamp_shift);
    put32(out + 8, leg->ssrc);
    if (packet->extension_at)
        remap_elements(out, packet, era->mapping->table.identifiers);
    if (packet->vp8.present && (era->picture_shift || era->tl0_shift))
        shift_vp8(out, &packet->vp8, era);
}

/* --- repair ---------------------------------------------------------------------------------------------- */

static inline bool leg_has_rtx(const Leg *leg, uint8_t payload_type)
{
    return leg->has_rtx && leg->rtx[payload_type] != NO_PAYLOAD_TYPE;
}

/* The era and packet that a viewer names by its own 16-bit number; NULL when it can't be had any more. */
static Packet *leg_asked(Leg *leg, uint16_t sequence, int64_t now_us, const Era **era, int64_t *ours)
{
    Origin origin;
    if (!numbering_origin(&leg->state.map, &leg->segments, sequence, &origin))
        return NULL;
    if (origin.era > leg->era_count || leg->era_count - origin.era >= MAX_ERAS)
        return NULL;
    *era = &leg->eras[(origin.era - 1) % MAX_ERAS];
    *ours = origin.ours;
    if ((*era)->track->removed)
        return NULL;
    Packet *packet = cache_get(&(*era)->track->cache, origin.source, now_us);
    if (!packet)
        return NULL;
    uint8_t payload_type = (*era)->mapping->table.payload_types[packet->payload_type];
    if (payload_type == NO_PAYLOAD_TYPE)
        return NULL;
    return leg_has_rtx(leg, payload_type) || numbering_reaches(&leg->state.map, *ours) ? packet : NULL;
}

static bool leg_holds(Leg *leg, uint16_t sequence, int64_t now_us)
{
    const Era *era;
    int64_t ours;
    return leg_asked(leg, sequence, now_us, &era, &ours) != NULL;
}

/* Exactly as first sent, in the retransmission stream where there is one: then under a number of that, left in
 * `*ours`. Returns the length. */
static int leg_write_again(Leg *leg, const Era *era, const Packet *packet, int64_t *ours, uint8_t *out)
{
    leg_write(leg, era, packet, *ours, out);
    uint8_t payload_type = era->mapping->table.payload_types[packet->payload_type];
    if (!leg_has_rtx(leg, payload_type))
        return packet->length;
    *ours = leg->rtx_number++;
    return rtx_wrap(out, packet->length, packet->payload_at, leg->rtx[payload_type], leg->rtx_ssrc,
                    (uint16_t)*ours);
}
