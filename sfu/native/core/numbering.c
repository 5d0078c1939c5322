/* Sequence numbers: from 16 bits to an unbounded count, and from a source's numbers to a viewer's. */

enum {
    FIRST_CYCLE = 0x10000, /* so that a packet older than the first one still has a number above 0 */
    MAX_SEGMENTS = 64,
    FIRST_SEGMENTS = 2,
    REACH = 960, /* so far behind the newest number a packet still goes out under its own */
};

/* The extended number nearest to `highest` whose low 16 bits are `sequence` (RFC 3550 A.1). */
static inline int64_t extend(uint16_t sequence, int64_t highest)
{
    int ahead = (uint16_t)(sequence - (uint16_t)highest);
    return highest + (ahead < 0x8000 ? ahead : ahead - 0x10000);
}

/* Reception figures of a stream (RFC 3550 section 6.4.1, appendices A.1, A.3, A.8). */
typedef struct {
    uint64_t packets;
    uint64_t octets;
    int64_t base; /* 0 before the first packet */
    int64_t highest;
    int64_t jitter; /* times 16 */
    uint32_t transit;
} Reception;

static inline int64_t reception_number(const Reception *reception, uint16_t sequence)
{
    return reception->base ? extend(sequence, reception->highest) : FIRST_CYCLE + sequence;
}

static void reception_count(Reception *reception, int64_t number, int octets, uint32_t timestamp,
                            uint32_t arrival)
{
    uint32_t transit = arrival - timestamp;
    if (!reception->base) {
        reception->base = reception->highest = number;
    } else {
        uint32_t apart = transit - reception->transit;
        int64_t difference = apart < 0x80000000u ? apart : 0x100000000 - (int64_t)apart;
        reception->jitter += difference - ((reception->jitter + 8) >> 4);
    }
    reception->transit = transit;
    reception->packets++;
    reception->octets += (uint64_t)octets;
    if (number > reception->highest)
        reception->highest = number;
}

/* A run of source numbers [start, end) that go out as themselves plus `offset`. */
typedef struct {
    int64_t start;
    int64_t end;
    int64_t offset;
    uint32_t era;
} Segment;

/* The last segments that were closed. Grows with need: most legs never close more than a few. */
typedef struct {
    Segment *segments;
    uint32_t room; /* a power of two, at most MAX_SEGMENTS */
} SegmentRing;

/* One viewer's numbers: continuous over everything dropped on purpose, with gaps for what was lost.
 * A segment ends where the source changes or a packet is dropped on purpose, so that a late packet and a
 * viewer's NACK both find the offset of their own time. Closed segments are a ring kept apart: see `Leg`. */
typedef struct {
    int64_t next;    /* while no segment is open */
    int64_t highest; /* the newest source number seen in the open segment */
    int64_t offset;
    int64_t start; /* of the open segment */
    uint32_t era;
    uint32_t closed; /* segments ever closed; the ring holds the last `kept` of them */
    uint16_t kept;
    bool open;
} Numbering;

static inline int64_t numbering_next(const Numbering *map)
{
    return map->open ? map->highest + map->offset + 1 : map->next;
}

/* Whether there is a place for the segment `index`. Places stay: it grows before it ever wraps. */
static bool ring_reaches(SegmentRing *ring, uint32_t index)
{
    if (index < ring->room || ring->room == MAX_SEGMENTS)
        return true;
    uint32_t room = ring->room ? 2 * ring->room : FIRST_SEGMENTS;
    Segment *segments = realloc(ring->segments, room * sizeof *segments);
    if (!segments)
        return false;
    *ring = (SegmentRing){segments, room};
    return true;
}

/* Without memory the segment is forgotten: what comes late of it can't be sent. */
static void numbering_close(Numbering *map, SegmentRing *ring, int64_t end)
{
    if (!map->open || end <= map->start || !ring_reaches(ring, map->closed))
        return;
    Segment *segment = &ring->segments[map->closed++ % MAX_SEGMENTS];
    *segment = (Segment){map->start, end, map->offset, map->era};
    if (map->kept < MAX_SEGMENTS)
        map->kept++;
}

/* Nothing more of this source: what comes late of it is not mapped any more. */
static void numbering_end(Numbering *map, SegmentRing *ring)
{
    if (!map->open)
        return;
    map->next = numbering_next(map);
    numbering_close(map, ring, map->highest + 1);
    map->open = false;
}

/* From the source number `first` on, go on without a gap. */
static void numbering_begin(Numbering *map, SegmentRing *ring, uint32_t era, int64_t first)
{
    numbering_end(map, ring);
    map->highest = first - 1;
    map->offset = map->next - first;
    map->start = first;
    map->era = era;
    map->open = true;
}

/* Leave a new packet out without a gap. An older one's number is promised already. */
static void numbering_drop(Numbering *map, SegmentRing *ring, int64_t number)
{
    if (!map->open || number <= map->highest)
        return;
    numbering_close(map, ring, number);
    map->highest = number;
    map->offset--;
    map->start = number + 1;
}

/* The number of a packet that is not new, if it belongs to the current source's run. */
static bool numbering_late(const Numbering *map, const SegmentRing *ring, int64_t number, int64_t *ours)
{
    if (!map->open)
        return false;
    if (number >= map->start) {
        *ours = number + map->offset;
        return true;
    }
    for (uint32_t back = 1; back <= map->kept; back++) {
        const Segment *segment = &ring->segments[(map->closed - back) % MAX_SEGMENTS];
        if (segment->era != map->era)
            return false;
        if (segment->start <= number && number < segment->end) {
            *ours = number + segment->offset;
            return true;
        }
    }
    return false;
}

/* Whether a packet under this number would still be taken: see REACH in sfu/wire/sequence.py. */
static inline bool numbering_reaches(const Numbering *map, int64_t ours)
{
    return numbering_next(map) - ours <= REACH;
}

typedef struct {
    int64_t source;
    int64_t ours;
    uint32_t era;
} Origin;

/* Where a viewer's 16-bit number came from. */
static bool numbering_origin(const Numbering *map, const SegmentRing *ring, uint16_t sequence, Origin *origin)
{
    int64_t ours = extend(sequence, numbering_next(map) - 1);
    origin->ours = ours;
    if (map->open && ours - map->offset >= map->start) {
        origin->source = ours - map->offset;
        origin->era = map->era;
        return origin->source <= map->highest;
    }
    for (uint32_t back = 1; back <= map->kept; back++) {
        const Segment *segment = &ring->segments[(map->closed - back) % MAX_SEGMENTS];
        int64_t source = ours - segment->offset;
        if (segment->start <= source && source < segment->end) {
            origin->source = source;
            origin->era = segment->era;
            return true;
        }
    }
    return false;
}
