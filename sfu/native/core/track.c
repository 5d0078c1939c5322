/* What a publisher sends under one SSRC: numbering, figures, holes, cache, levels, keyframes. */

enum { SILENCE = 127 }; /* the level of RFC 6464 section 3 */

typedef struct {
    Leg **legs;
    int count;
    int room;
} LegList;

struct Track {
    Transport *transport;
    /* this batch */
    int batch_count;
    uint8_t batch[BATCH]; /* its packets' places in the batch */
    LegList flowing;      /* whom it feeds */
    LegList waiting;      /* whom it will feed once a packet comes to begin with */
    int torn;             /* those of `flowing` that miss the rest of a frame and wait for a keyframe */
    bool audio;
    bool muted;
    bool started;
    bool heard; /* a packet has come: it is in the path's list of those */
    bool removed;
    bool keyframe_seen;
    uint8_t audio_level_id;
    uint8_t loudest;
    uint32_t keyframe_timestamp;
    uint32_t clock_rate; /* of payload types that were not negotiated */
    uint32_t ssrc;
    uint32_t users; /* eras that name it, and the path */
    uint32_t level_count;
    uint32_t level_total;
    uint32_t bare_count; /* packets with sound of which no level is told */
    uint32_t bare_octets;
    uint64_t keyframes;
    uint64_t recovered;
    int64_t newest; /* 0 before the first packet */
    int64_t id;
    Reception reception;
    uint8_t codecs[128];     /* enum codec by payload type */
    uint8_t originals[128];  /* retransmission payload type -> the original's (RFC 4588 section 8.6) */
    uint32_t clock_rates[128];
    Cache cache;
    Missing missing;
};

enum taken { TAKEN_NEW, TAKEN_LATE, TAKEN_DUPLICATE };

static inline uint32_t track_clock_rate(const Track *track, uint8_t payload_type)
{
    return track->codecs[payload_type] ? track->clock_rates[payload_type] : track->clock_rate;
}

/* NULL when there is no memory. */
static Track *track_open(Transport *transport, const TrackSpec *spec)
{
    Track *track = calloc(1, sizeof *track);
    if (!track)
        return NULL;
    track->transport = transport;
    track->id = spec->id;
    track->ssrc = spec->ssrc;
    track->clock_rate = spec->clock_rate;
    track->audio_level_id = spec->audio_level_id;
    track->audio = spec->audio;
    track->users = 1;
    track->loudest = SILENCE;
    memset(track->originals, NO_PAYLOAD_TYPE, sizeof track->originals);
    return track;
}

static void track_release(Track *track)
{
    if (--track->users)
        return;
    free(track->missing.holes);
    free(track);
}

static void track_note_holes(Track *track, int64_t number, int64_t now_us)
{
    if (number <= track->newest) {
        missing_arrived(&track->missing, number);
        return;
    }
    if (track->newest && number > track->newest + 1)
        missing_gap(&track->missing, track->newest + 1, number - 1, now_us);
    track->newest = number;
}

static bool track_has_level(const Track *track, const Packet *packet, Element *element)
{
    if (!track->audio_level_id || !packet->extension_at)
        return false;
    return find_element(packet, track->audio_level_id, element) && element->value_at != element->value_end;
}

static void track_note_level(Track *track, const Packet *packet)
{
    Element element;
    if (track->muted)
        return;
    if (!track_has_level(track, packet, &element)) {
        bool sounds = has_media(packet) && track->codecs[packet->payload_type] != CODEC_NONE;
        track->bare_count += sounds;
        track->bare_octets += sounds ? (uint32_t)(packet->payload_end - packet->payload_at) : 0;
        return;
    }
    uint8_t level = packet->data[element.value_at] & 0x7F; /* the top bit says "voice", RFC 6464 section 3 */
    track->level_count++;
    track->level_total += level;
    if (level < track->loudest)
        track->loudest = level;
}

static void track_inspect(Track *track, Packet *packet)
{
    enum codec codec = track->codecs[packet->payload_type];
    if (track->audio) {
        track_note_level(track, packet);
        return;
    }
    if (codec == CODEC_NONE || !has_media(packet))
        return;
    bool begins;
    if (codec == CODEC_VP8) {
        vp8_parse(&packet->vp8, packet->data, packet->payload_at, packet->payload_end);
        begins = packet->vp8.keyframe;
    } else {
        begins = begins_keyframe(codec, packet->data, packet->payload_at, packet->payload_end);
    }
    /* SPS and IDR of one frame come in packets of one timestamp: the first one is the start. */
    if (!begins || (track->keyframe_seen && packet->timestamp == track->keyframe_timestamp))
        return;
    packet->keyframe = track->keyframe_seen = true;
    track->keyframe_timestamp = packet->timestamp;
    track->keyframes++;
}

/* Count the packet, number it, keep it. `recovered`: it came by retransmission. */
static enum taken track_take(Track *track, Packet *packet, int64_t now_us, bool recovered)
{
    Reception *reception = &track->reception;
    if (recovered && !reception->base)
        return TAKEN_LATE; /* nothing was lost before the first packet */
    int64_t number = reception_number(reception, packet->sequence);
    if (!recovered) {
        uint32_t arrival = clock_ticks(now_us, track_clock_rate(track, packet->payload_type));
        reception_count(reception, number, packet->payload_end - packet->payload_at, packet->timestamp, arrival);
    }
    if (!cache_open(&track->cache, track->audio ? AUDIO_SPAN : VIDEO_SPAN) || number < cache_floor(&track->cache))
        return TAKEN_LATE;
    if (cache_slot(&track->cache, number))
        return TAKEN_DUPLICATE;
    packet->number = number;
    packet->arrived_us = now_us;
    track_note_holes(track, number, now_us);
    track->recovered += recovered;
    track_inspect(track, packet);
    cache_put(&track->cache, packet);
    return TAKEN_NEW;
}
