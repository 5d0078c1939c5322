/* Remote address -> transport: open addressing, so that an unknown address costs one look-up and nothing else. */

/* IPv4 is kept as IPv4-mapped IPv6. `rest` is the scope id and the port. */
typedef struct {
    uint64_t high;
    uint64_t low;
    uint64_t rest;
} AddressKey;

typedef struct {
    AddressKey key;
    void *transport; /* NULL when empty */
    int64_t heard_us; /* when something authentic last came from there for the transport */
} AddressEntry;

typedef struct {
    AddressEntry *entries;
    uint32_t mask; /* entries - 1 */
    uint32_t count;
    uint64_t seed;
} Addresses;

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} SocketAddress;

_Static_assert(sizeof(SocketAddress) == ADDRESS_SIZE, "what core.h says of addresses");

/* Its length. What is longer than any address is cut off. */
static socklen_t address_read(SocketAddress *address, const uint8_t *bytes, size_t length)
{
    if (length > sizeof *address)
        length = sizeof *address;
    memset(address, 0, sizeof *address);
    memcpy(address, bytes, length);
    return (socklen_t)length;
}

static inline uint16_t address_port(const SocketAddress *address)
{
    return address->any.sa_family == AF_INET ? address->v4.sin_port : address->v6.sin6_port;
}

static AddressKey address_key(const SocketAddress *address)
{
    AddressKey key = {0, 0, 0};
    if (address->any.sa_family == AF_INET) {
        uint8_t mapped[8] = {0, 0, 0xFF, 0xFF};
        memcpy(mapped + 4, &address->v4.sin_addr, 4);
        memcpy(&key.low, mapped, 8);
        key.rest = address->v4.sin_port;
        return key;
    }
    memcpy(&key.high, &address->v6.sin6_addr, 8);
    memcpy(&key.low, (const uint8_t *)&address->v6.sin6_addr + 8, 8);
    key.rest = (uint64_t)address->v6.sin6_scope_id << 32 | address->v6.sin6_port;
    return key;
}

static inline bool same_address(const AddressKey *one, const AddressKey *other)
{
    return one->high == other->high && one->low == other->low && one->rest == other->rest;
}

static inline uint64_t address_mix(uint64_t value)
{
    value ^= value >> 32;
    value *= 0xd6e8feb86659fd93u;
    value ^= value >> 32;
    value *= 0xd6e8feb86659fd93u;
    return value ^ value >> 32;
}

static inline uint32_t address_home(const Addresses *addresses, const AddressKey *key)
{
    uint64_t hash = address_mix(key->high ^ addresses->seed);
    hash = address_mix(hash ^ key->low);
    return (uint32_t)address_mix(hash ^ key->rest) & addresses->mask;
}

static bool addresses_open(Addresses *addresses, uint64_t seed)
{
    *addresses = (Addresses){.mask = 63, .seed = seed};
    addresses->entries = calloc(64, sizeof(AddressEntry));
    return addresses->entries != NULL;
}

/* The entry of this key, or the empty one where it would be. */
static AddressEntry *address_entry(const Addresses *addresses, const AddressKey *key)
{
    uint32_t at = address_home(addresses, key);
    while (addresses->entries[at].transport && !same_address(&addresses->entries[at].key, key))
        at = (at + 1) & addresses->mask;
    return &addresses->entries[at];
}

static bool addresses_grow(Addresses *addresses)
{
    Addresses larger = *addresses;
    larger.mask = addresses->mask * 2 + 1;
    larger.entries = calloc((size_t)larger.mask + 1, sizeof(AddressEntry));
    if (!larger.entries)
        return false;
    for (uint32_t at = 0; at <= addresses->mask; at++)
        if (addresses->entries[at].transport)
            *address_entry(&larger, &addresses->entries[at].key) = addresses->entries[at];
    free(addresses->entries);
    *addresses = larger;
    return true;
}

/* Replaces whatever the address belonged to, and what was heard for that. False when there is no memory. */
static bool addresses_put(Addresses *addresses, const AddressKey *key, void *transport)
{
    if (addresses->count * 2 > addresses->mask && !addresses_grow(addresses))
        return false;
    AddressEntry *entry = address_entry(addresses, key);
    addresses->count += !entry->transport;
    int64_t heard_us = entry->transport == transport ? entry->heard_us : 0;
    *entry = (AddressEntry){*key, transport, heard_us};
    return true;
}

static void addresses_remove(Addresses *addresses, const AddressKey *key)
{
    AddressEntry *entries = addresses->entries;
    uint32_t hole = (uint32_t)(address_entry(addresses, key) - entries);
    if (!entries[hole].transport)
        return;
    addresses->count--;
    /* Move up what lies behind, unless it would get in front of its home. */
    for (uint32_t at = (hole + 1) & addresses->mask; entries[at].transport; at = (at + 1) & addresses->mask) {
        uint32_t home = address_home(addresses, &entries[at].key);
        if (((at - home) & addresses->mask) < ((at - hole) & addresses->mask))
            continue;
        entries[hole] = entries[at];
        hole = at;
    }
    entries[hole].transport = NULL;
}
