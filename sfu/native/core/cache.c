/* What a track lately received, kept for viewers that ask again (RFC 4585, RFC 4588).
 *
 * Bounded by a span of numbers and by age. It is also the record of what has arrived: a number below the
 * floor is too old to tell. Slots are taken in a stack's order, so that only as much of the arena ever
 * becomes resident as two seconds of the stream need.
 */

enum {
    CACHE_AGE_US = 2000000, /* past every jitter buffer */
    REPAIR_AGE_US = 1000000, /* nor does it help a viewer to get one that is older */
    VIDEO_SPAN = 2048,
    AUDIO_SPAN = 256,
    SLOT_DATA = 1500,
    NO_SLOT = 0xFFFF,
};

typedef struct {
    Packet packet;
    uint16_t older; /* by arrival */
    uint16_t younger;
    uint8_t data[SLOT_DATA];
} Slot;

typedef struct {
    Slot *slots; /* `span` of them */
    uint16_t *by_number; /* slot of number % span */
    uint16_t *free;
    int free_count;
    int fresh; /* slots from here on were never used */
    int span;
    uint16_t oldest;
    uint16_t youngest;
    int64_t newest; /* number */
    int64_t aged;   /* everything below was given up by age */
} Cache;

static size_t cache_bytes(int span) { return (size_t)span * (sizeof(Slot) + 2 * sizeof(uint16_t)); }

static bool cache_map(Cache *cache, int span)
{
    void *arena = mmap(NULL, cache_bytes(span), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (arena == MAP_FAILED)
        return false;
    /* A huge page would make megabytes resident for one packet; a kernel without them refuses, which is as good. */
    (void)madvise(arena, cache_bytes(span), MADV_NOHUGEPAGE);
    *cache = (Cache){.slots = arena, .span = span, .oldest = NO_SLOT, .youngest = NO_SLOT};
    cache->by_number = (uint16_t *)(cache->slots + span);
    cache->free = cache->by_number + span;
    memset(cache->by_number, 0xFF, (size_t)span * sizeof(uint16_t));
    return true;
}

/* Does nothing when it is open. With the first packet and not before: a listener's microphone sends none. */
static inline bool cache_open(Cache *cache, int span)
{
    return cache->slots || cache_map(cache, span);
}

static void cache_close(Cache *cache)
{
    if (cache->slots)
        munmap(cache->slots, cache_bytes(cache->span));
    cache->slots = NULL;
}

static inline int64_t cache_floor(const Cache *cache)
{
    int64_t first = cache->newest - cache->span + 1;
    return cache->aged > first ? cache->aged : first;
}

static inline Slot *cache_slot(const Cache *cache, int64_t number)
{
    uint16_t index = cache->by_number[(uint64_t)number % (uint64_t)cache->span];
    if (index == NO_SLOT || cache->slots[index].packet.number != number)
        return NULL;
    return &cache->slots[index];
}

static void cache_release(Cache *cache, uint16_t index)
{
    Slot *slot = &cache->slots[index];
    if (slot->older != NO_SLOT)
        cache->slots[slot->older].younger = slot->younger;
    else
        cache->oldest = slot->younger;
    if (slot->younger != NO_SLOT)
        cache->slots[slot->younger].older = slot->older;
    else
        cache->youngest = slot->older;
    cache->by_number[slot->packet.number % cache->span] = NO_SLOT;
    cache->free[cache->free_count++] = index;
}

static void cache_evict(Cache *cache, int64_t before_us)
{
    while (cache->oldest != NO_SLOT) {
        const Packet *packet = &cache->slots[cache->oldest].packet;
        if (packet->arrived_us >= before_us)
            return;
        if (packet->number >= cache->aged)
            cache->aged = packet->number + 1;
        cache_release(cache, cache->oldest);
    }
}

/* Copies the packet. Its number is not below the floor and not held yet. */
static void cache_put(Cache *cache, const Packet *packet)
{
    uint16_t former = cache->by_number[packet->number % cache->span];
    if (former != NO_SLOT)
        cache_release(cache, former);
    uint16_t index = cache->free_count ? cache->free[--cache->free_count] : (uint16_t)cache->fresh++;
    Slot *slot = &cache->slots[index];
    slot->packet = *packet;
    slot->packet.data = slot->data;
    memcpy(slot->data, packet->data, packet->length);
    slot->older = cache->youngest;
    slot->younger = NO_SLOT;
    if (cache->youngest != NO_SLOT)
        cache->slots[cache->youngest].younger = index;
    else
        cache->oldest = index;
    cache->youngest = index;
    cache->by_number[packet->number % cache->span] = index;
    if (packet->number > cache->newest)
        cache->newest = packet->number;
    cache_evict(cache, packet->arrived_us - CACHE_AGE_US);
}

/* For a viewer that asks for it. */
static Packet *cache_get(const Cache *cache, int64_t number, int64_t now_us)
{
    if (number < cache_floor(cache))
        return NULL;
    Slot *slot = cache_slot(cache, number);
    if (!slot || now_us - slot->packet.arrived_us > REPAIR_AGE_US)
        return NULL;
    return &slot->packet;
}
