/* Payload types and extension ids of a source as a viewer knows them; viewers with equal ones share them. */

typedef struct Mapping {
    MappingTable table;
    struct Mapping *next;
    struct Mapping **bucket;
    uint32_t users;
} Mapping;

enum { MAPPING_BUCKETS = 64 };

typedef struct {
    Mapping *buckets[MAPPING_BUCKETS];
} Mappings;

static uint32_t mapping_hash(const MappingTable *table)
{
    const uint8_t *bytes = (const uint8_t *)table;
    uint32_t hash = 2166136261u;
    for (size_t at = 0; at < sizeof *table; at++)
        hash = (hash ^ bytes[at]) * 16777619u;
    return hash;
}

/* The shared mapping with these contents, with one more user; NULL when there is no memory. */
static Mapping *mapping_take(Mappings *mappings, const MappingTable *table)
{
    Mapping **bucket = &mappings->buckets[mapping_hash(table) % MAPPING_BUCKETS];
    Mapping *mapping = *bucket;
    while (mapping && memcmp(&mapping->table, table, sizeof *table) != 0)
        mapping = mapping->next;
    if (!mapping) {
        mapping = calloc(1, sizeof *mapping);
        if (!mapping)
            return NULL;
        mapping->table = *table;
        mapping->bucket = bucket;
        mapping->next = *bucket;
        *bucket = mapping;
    }
    mapping->users++;
    return mapping;
}

static void mapping_release(Mapping *mapping)
{
    if (--mapping->users)
        return;
    Mapping **link = mapping->bucket;
    while (*link != mapping)
        link = &(*link)->next;
    *link = mapping->next;
    free(mapping);
}
