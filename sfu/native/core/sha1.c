/* HMAC-SHA1 as STUN signs with it (RFC 2104, RFC 3174). A key is what the password makes of it once. */

enum { SHA1_SIZE = 20, SHA1_BLOCK = 64 };

typedef struct {
    uint32_t inner[5];
    uint32_t outer[5];
} HmacKey;

typedef struct {
    uint32_t state[5];
    uint64_t length;
    uint8_t block[SHA1_BLOCK];
} Sha1;

static inline uint32_t rotated(uint32_t value, int bits) { return value << bits | value >> (32 - bits); }

static void sha1_block(uint32_t state[5], const uint8_t block[SHA1_BLOCK])
{
    uint32_t words[80];
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (int at = 0; at < 16; at++)
        words[at] = get32(block + 4 * at);
    for (int at = 16; at < 80; at++)
        words[at] = rotated(words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16], 1);
    for (int at = 0; at < 80; at++) {
        uint32_t mixed;
        if (at < 20)
            mixed = ((b & c) | (~b & d)) + 0x5A827999;
        else if (at < 40)
            mixed = (b ^ c ^ d) + 0x6ED9EBA1;
        else if (at < 60)
            mixed = ((b & c) | (b & d) | (c & d)) + 0x8F1BBCDC;
        else
            mixed = (b ^ c ^ d) + 0xCA62C1D6;
        mixed += rotated(a, 5) + e + words[at];
        e = d, d = c, c = rotated(b, 30), b = a, a = mixed;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
}

static void sha1_add(Sha1 *sha1, const uint8_t *data, size_t length)
{
    for (size_t taken = 0; taken < length;) {
        size_t place = sha1->length % SHA1_BLOCK, some = SHA1_BLOCK - place;
        if (some > length - taken)
            some = length - taken;
        memcpy(sha1->block + place, data + taken, some);
        sha1->length += some;
        taken += some;
        if (sha1->length % SHA1_BLOCK == 0)
            sha1_block(sha1->state, sha1->block);
    }
}

static void sha1_end(Sha1 *sha1, uint8_t digest[SHA1_SIZE])
{
    static const uint8_t filling[SHA1_BLOCK] = {0x80};
    uint64_t bits = sha1->length * 8;
    uint8_t tail[8];
    sha1_add(sha1, filling, 1 + (SHA1_BLOCK + 55 - sha1->length % SHA1_BLOCK) % SHA1_BLOCK);
    put32(tail, (uint32_t)(bits >> 32));
    put32(tail + 4, (uint32_t)bits);
    sha1_add(sha1, tail, sizeof tail);
    for (int at = 0; at < 5; at++)
        put32(digest + 4 * at, sha1->state[at]);
}

static const uint32_t sha1_start[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};

/* `length` is at most SHA1_BLOCK. */
static void hmac_set_key(HmacKey *key, const uint8_t *password, size_t length)
{
    uint8_t inner[SHA1_BLOCK], outer[SHA1_BLOCK];
    memset(inner, 0x36, sizeof inner);
    memset(outer, 0x5C, sizeof outer);
    for (size_t at = 0; at < length; at++) {
        inner[at] ^= password[at];
        outer[at] ^= password[at];
    }
    memcpy(key->inner, sha1_start, sizeof sha1_start);
    memcpy(key->outer, sha1_start, sizeof sha1_start);
    sha1_block(key->inner, inner);
    sha1_block(key->outer, outer);
}

static Sha1 sha1_after_block(const uint32_t state[5])
{
    Sha1 sha1 = {.length = SHA1_BLOCK};
    memcpy(sha1.state, state, sizeof sha1.state);
    return sha1;
}

/* Of what comes in two pieces. */
static void hmac_sha1(const HmacKey *key, const uint8_t *first, size_t first_length, const uint8_t *second,
                      size_t second_length, uint8_t digest[SHA1_SIZE])
{
    Sha1 inner = sha1_after_block(key->inner), outer = sha1_after_block(key->outer);
    sha1_add(&inner, first, first_length);
    sha1_add(&inner, second, second_length);
    sha1_end(&inner, digest);
    sha1_add(&outer, digest, SHA1_SIZE);
    sha1_end(&outer, digest);
}
