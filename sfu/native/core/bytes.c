/* Network byte order, and clocks. */

static inline uint16_t get16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }

static inline uint32_t get32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, 4);
    return __builtin_bswap32(value);
}

static inline void put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void put32(uint8_t *at, uint32_t value)
{
    value = __builtin_bswap32(value);
    memcpy(at, &value, 4);
}

/* How many ticks of a clock fit into a time; the quotient wraps like an RTP timestamp. */
static inline uint32_t clock_ticks(int64_t us, uint32_t clock_rate)
{
    return us < 0 ? 0 : (uint32_t)((unsigned __int128)us * clock_rate / 1000000);
}
