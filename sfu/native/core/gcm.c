/* AES-GCM as SRTP seals packets with it (RFC 7714), by the processor's own instructions.
 *
 * libsrtp seals through OpenSSL, and most of the time of a packet goes into getting there. Here are two ways to do
 * it in place: one for any x86-64 with AES-NI and PCLMULQDQ, one for VAES and AVX-512. Both are free of
 * branches and table look-ups that depend on keys or data. Only sealing is here; what comes in is libsrtp's.
 *
 * GHASH works on byte-reversed blocks, with H multiplied by x beforehand, so that the product of two reflected
 * polynomials needs no shift before it is reduced.
 */

enum { GCM_SALT = 12, GCM_TAG = 16, GCM_POWERS = 16 };

typedef struct {
    uint8_t round_keys[15][16];
    uint8_t powers[GCM_POWERS + 3][16]; /* H^16 .. H^1; then zeros, for loads of four that begin at the last */
    uint8_t salt[GCM_SALT];
    int rounds;
} __attribute__((aligned(64))) GcmKey;

/* Seals `data` in place and writes the tag behind it. `header` is authenticated only. */
typedef void (*GcmSeal)(const GcmKey *key, const uint8_t nonce[12], const uint8_t *header, size_t header_length,
                        uint8_t *data, size_t length);

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>

#define AES_NI __attribute__((target("aes,pclmul,ssse3,sse4.1")))
#define AES_WIDE \
    __attribute__((target("aes,pclmul,sse4.1,avx512f,avx512bw,avx512vl,avx512dq,vaes,vpclmulqdq")))

/* --- GF(2^128) --------------------------------------------------------------------------------------------- */

typedef struct {
    __m128i low, middle, high;
} Product;

AES_NI static inline __m128i gcm_reversed(__m128i block)
{
    return _mm_shuffle_epi8(block, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

AES_NI static inline void gcm_add_product(Product *sum, __m128i one, __m128i other)
{
    sum->low = _mm_xor_si128(sum->low, _mm_clmulepi64_si128(one, other, 0x00));
    sum->high = _mm_xor_si128(sum->high, _mm_clmulepi64_si128(one, other, 0x11));
    sum->middle = _mm_xor_si128(sum->middle, _mm_clmulepi64_si128(one, other, 0x01));
    sum->middle = _mm_xor_si128(sum->middle, _mm_clmulepi64_si128(one, other, 0x10));
}

/* Modulo x^128 + x^7 + x^2 + x + 1, reflected: twice the lower half folds into the upper one. */
AES_NI static inline __m128i gcm_reduced(Product product)
{
    const __m128i polynomial = _mm_set_epi64x((long long)0xc200000000000000u, 1);
    __m128i fold = _mm_clmulepi64_si128(polynomial, product.low, 0x01);
    __m128i middle = _mm_xor_si128(product.middle, _mm_shuffle_epi32(product.low, 0x4e));
    middle = _mm_xor_si128(middle, fold);
    fold = _mm_clmulepi64_si128(polynomial, middle, 0x01);
    return _mm_xor_si128(_mm_xor_si128(product.high, fold), _mm_shuffle_epi32(middle, 0x4e));
}

AES_NI static inline __m128i gcm_times(__m128i one, __m128i other)
{
    Product product = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
    gcm_add_product(&product, one, other);
    return gcm_reduced(product);
}

AES_NI static inline __m128i gcm_times_x(__m128i value)
{
    uint64_t low = (uint64_t)_mm_extract_epi64(value, 0), high = (uint64_t)_mm_extract_epi64(value, 1);
    uint64_t carry = 0 - (high >> 63);
    high = (high << 1 | low >> 63) ^ (carry & 0xc200000000000000u);
    low = low << 1 ^ (carry & 1);
    return _mm_set_epi64x((long long)high, (long long)low);
}

/* --- keys -------------------------------------------------------------------------------------------------- */

AES_NI static inline __m128i aes_block(const GcmKey *key, __m128i block)
{
    const __m128i *round_keys = (const __m128i *)key->round_keys;
    block = _mm_xor_si128(block, round_keys[0]);
    for (int round = 1; round < key->rounds; round++)
        block = _mm_aesenc_si128(block, round_keys[round]);
    return _mm_aesenclast_si128(block, round_keys[key->rounds]);
}

/* FIPS 197 section 5.2; `length` is 16 or 32. */
AES_NI static void aes_expand(GcmKey *key, const uint8_t *bytes, int length)
{
    uint32_t words[60], constant = 1;
    int given = length / 4;
    key->rounds = given + 6;
    memcpy(words, bytes, (size_t)length);
    for (int at = given; at < 4 * (key->rounds + 1); at++) {
        uint32_t word = words[at - 1];
        __m128i assisted = _mm_aeskeygenassist_si128(_mm_set1_epi32((int)word), 0);
        if (at % given == 0) {
            word = (uint32_t)_mm_extract_epi32(assisted, 3) ^ constant; /* RotWord(SubWord(word)) */
            constant = constant << 1 ^ (constant >> 7) * 0x11b;
        } else if (given == 8 && at % given == 4) {
            word = (uint32_t)_mm_extract_epi32(assisted, 2); /* SubWord(word) */
        }
        words[at] = words[at - given] ^ word;
    }
    memcpy(key->round_keys, words, sizeof(uint32_t) * 4 * (size_t)(key->rounds + 1));
}

AES_NI static void gcm_set_key(GcmKey *key, const uint8_t *bytes, int length, const uint8_t salt[GCM_SALT])
{
    memset(key, 0, sizeof *key);
    aes_expand(key, bytes, length);
    memcpy(key->salt, salt, GCM_SALT);
    __m128i first = gcm_times_x(gcm_reversed(aes_block(key, _mm_setzero_si128()))), power = first;
    for (int at = GCM_POWERS - 1; at >= 0; at--) {
        _mm_store_si128((__m128i *)key->powers[at], power);
        power = gcm_times(power, first);
    }
}

/* --- any x86-64 with AES-NI -------------------------------------------------------------------------------- */

AES_NI static inline __m128i gcm_first_counter(const uint8_t nonce[12])
{
    uint8_t block[16] = {0};
    memcpy(block, nonce, 12);
    block[15] = 1;
    return _mm_loadu_si128((const __m128i *)block);
}

/* GHASH over up to GCM_POWERS blocks, the last one padded with zeros. */
AES_NI static __m128i gcm_hash(const GcmKey *key, __m128i hash, const uint8_t *data, size_t length)
{
    const __m128i *powers = (const __m128i *)key->powers + GCM_POWERS - (length + 15) / 16;
    Product product = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
    for (; length; powers++) {
        uint8_t last[16] = {0};
        size_t taken = length < 16 ? length : 16;
        if (taken < 16)
            memcpy(last, data, taken);
        __m128i block = _mm_loadu_si128((const __m128i *)(taken < 16 ? last : data));
        gcm_add_product(&product, _mm_xor_si128(gcm_reversed(block), hash), *powers);
        hash = _mm_setzero_si128();
        data += taken;
        length -= taken;
    }
    return gcm_reduced(product);
}

AES_NI static __m128i gcm_hash_all(const GcmKey *key, __m128i hash, const uint8_t *data, size_t length)
{
    for (size_t at = 0; at < length; at += 16 * GCM_POWERS) {
        size_t left = length - at;
        hash = gcm_hash(key, hash, data + at, left < 16 * GCM_POWERS ? left : 16 * GCM_POWERS);
    }
    return hash;
}

/* The lengths are the last block; then the first counter's key stream covers the hash. */
AES_NI static inline void gcm_write_tag(const GcmKey *key, __m128i hash, __m128i cover, size_t header_length,
                                        size_t length, uint8_t *tag)
{
    __m128i lengths = _mm_set_epi64x((long long)(header_length * 8), (long long)(length * 8));
    const __m128i *powers = (const __m128i *)key->powers;
    hash = gcm_times(_mm_xor_si128(hash, lengths), powers[GCM_POWERS - 1]);
    _mm_storeu_si128((__m128i *)tag, _mm_xor_si128(gcm_reversed(hash), cover));
}

AES_NI static inline void gcm_next_counters(__m128i *counter, __m128i blocks[8])
{
    /* The counter is the last four bytes, in network order (NIST SP 800-38D section 6.2). */
    const __m128i swap = _mm_set_epi8(12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    for (int index = 0; index < 8; index++) {
        *counter = _mm_add_epi32(*counter, _mm_set_epi32(1, 0, 0, 0));
        blocks[index] = _mm_shuffle_epi8(*counter, swap);
    }
}

AES_NI static inline void aes_eight_blocks(const GcmKey *key, __m128i blocks[8])
{
    const __m128i *round_keys = (const __m128i *)key->round_keys;
    for (int index = 0; index < 8; index++)
        blocks[index] = _mm_xor_si128(blocks[index], round_keys[0]);
    for (int round = 1; round < key->rounds; round++)
        for (int index = 0; index < 8; index++)
            blocks[index] = _mm_aesenc_si128(blocks[index], round_keys[round]);
    for (int index = 0; index < 8; index++)
        blocks[index] = _mm_aesenclast_si128(blocks[index], round_keys[key->rounds]);
}

AES_NI static void gcm_seal_narrow(const GcmKey *key, const uint8_t nonce[12], const uint8_t *header,
                                   size_t header_length, uint8_t *data, size_t length)
{
    const __m128i swap = _mm_set_epi8(12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    __m128i first = gcm_first_counter(nonce), counter = _mm_shuffle_epi8(first, swap), stream[8];
    __m128i cover = aes_block(key, first);
    __m128i hash = gcm_hash_all(key, _mm_setzero_si128(), header, header_length);
    size_t at = 0;
    for (; length - at >= 128; at += 128) {
        gcm_next_counters(&counter, stream);
        aes_eight_blocks(key, stream);
        for (int index = 0; index < 8; index++) {
            __m128i *place = (__m128i *)(data + at) + index;
            _mm_storeu_si128(place, _mm_xor_si128(_mm_loadu_si128(place), stream[index]));
        }
        hash = gcm_hash(key, hash, data + at, 128);
    }
    if (at < length) {
        uint8_t rest[128];
        memcpy(rest, data + at, length - at);
        gcm_next_counters(&counter, stream);
        aes_eight_blocks(key, stream);
        for (int index = 0; index < 8; index++) {
            __m128i *place = (__m128i *)rest + index;
            _mm_storeu_si128(place, _mm_xor_si128(_mm_loadu_si128(place), stream[index]));
        }
        memcpy(data + at, rest, length - at);
        hash = gcm_hash(key, hash, data + at, length - at);
    }
    gcm_write_tag(key, hash, cover, header_length, length, data + length);
}

/* --- VAES and AVX-512: four blocks in a register ------------------------------------------------------------ */

typedef struct {
    __m512i low, middle, high;
} WideProduct;

AES_WIDE static inline void gcm_add_wide(WideProduct *sum, __m512i blocks, const uint8_t *powers)
{
    __m512i factors = _mm512_loadu_si512(powers);
    sum->low = _mm512_xor_si512(sum->low, _mm512_clmulepi64_epi128(blocks, factors, 0x00));
    sum->high = _mm512_xor_si512(sum->high, _mm512_clmulepi64_epi128(blocks, factors, 0x11));
    sum->middle = _mm512_ternarylogic_epi64(sum->middle, _mm512_clmulepi64_epi128(blocks, factors, 0x01),
                                            _mm512_clmulepi64_epi128(blocks, factors, 0x10), 0x96);
}

AES_WIDE static inline __m128i gcm_folded(__m512i sum)
{
    __m256i half = _mm256_xor_si256(_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64(sum, 1));
    return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

AES_WIDE static inline __m128i gcm_reduced_wide(WideProduct sum)
{
    return gcm_reduced((Product){gcm_folded(sum.low), gcm_folded(sum.middle), gcm_folded(sum.high)});
}

AES_WIDE static inline __m512i gcm_reversed_wide(__m512i blocks)
{
    const __m128i order = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_shuffle_epi8(blocks, _mm512_broadcast_i32x4(order));
}

AES_WIDE static inline __mmask64 gcm_mask(size_t bytes) { return bytes < 64 ? ((uint64_t)1 << bytes) - 1 : ~(uint64_t)0; }

AES_WIDE static inline __m128i gcm_hash_wide(const GcmKey *key, __m128i hash, const uint8_t *data, size_t length)
{
    while (length) {
        size_t part = length < 16 * GCM_POWERS ? length : 16 * GCM_POWERS;
        const uint8_t *powers = key->powers[GCM_POWERS - (part + 15) / 16];
        WideProduct sum = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
        for (size_t at = 0; at < part; at += 64) {
            __m512i blocks = gcm_reversed_wide(_mm512_maskz_loadu_epi8(gcm_mask(part - at), data + at));
            blocks = _mm512_xor_si512(blocks, _mm512_zextsi128_si512(hash));
            hash = _mm_setzero_si128();
            gcm_add_wide(&sum, blocks, powers + at);
        }
        hash = gcm_reduced_wide(sum);
        data += part;
        length -= part;
    }
    return hash;
}

AES_WIDE static void gcm_seal_wide(const GcmKey *key, const uint8_t nonce[12], const uint8_t *header,
                                   size_t header_length, uint8_t *data, size_t length)
{
    const __m128i swap = _mm_set_epi8(12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i swap_wide = _mm512_broadcast_i32x4(swap), zero = _mm512_setzero_si512();
    const __m512i four = _mm512_set_epi32(4, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0);
    const __m512i places = _mm512_set_epi32(4, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0);
    const int rounds = key->rounds;
    __m512i round_keys[15];
    for (int round = 0; round <= rounds; round++)
        round_keys[round] = _mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)key->round_keys[round]));

    __m128i first = gcm_first_counter(nonce);
    __m128i cover = aes_block(key, first);
    __m512i counter = _mm512_broadcast_i32x4(_mm_shuffle_epi8(first, swap));
    counter = _mm512_add_epi32(counter, places);
    __m128i hash = gcm_hash_wide(key, _mm_setzero_si128(), header, header_length);

    size_t at = 0;
    for (; length - at >= 256; at += 256) {
        __m512i stream[4];
        for (int index = 0; index < 4; index++) {
            stream[index] = _mm512_xor_si512(_mm512_shuffle_epi8(counter, swap_wide), round_keys[0]);
            counter = _mm512_add_epi32(counter, four);
        }
        for (int round = 1; round < rounds; round++)
            for (int index = 0; index < 4; index++)
                stream[index] = _mm512_aesenc_epi128(stream[index], round_keys[round]);
        WideProduct sum = {zero, zero, zero};
        for (int index = 0; index < 4; index++) {
            uint8_t *place = data + at + 64 * index;
            __m512i sealed = _mm512_aesenclast_epi128(stream[index], round_keys[rounds]);
            sealed = _mm512_xor_si512(sealed, _mm512_loadu_si512(place));
            _mm512_storeu_si512(place, sealed);
            __m512i blocks = _mm512_xor_si512(gcm_reversed_wide(sealed), _mm512_zextsi128_si512(hash));
            hash = _mm_setzero_si128();
            gcm_add_wide(&sum, blocks, key->powers[4 * index]);
        }
        hash = gcm_reduced_wide(sum);
    }
    if (at < length) {
        const uint8_t *powers = key->powers[GCM_POWERS - (length - at + 15) / 16];
        WideProduct sum = {zero, zero, zero};
        for (; at < length; at += 64, powers += 64) {
            __mmask64 mask = gcm_mask(length - at);
            __m512i stream = _mm512_xor_si512(_mm512_shuffle_epi8(counter, swap_wide), round_keys[0]);
            counter = _mm512_add_epi32(counter, four);
            for (int round = 1; round < rounds; round++)
                stream = _mm512_aesenc_epi128(stream, round_keys[round]);
            stream = _mm512_aesenclast_epi128(stream, round_keys[rounds]);
            __m512i sealed = _mm512_maskz_mov_epi8(
                mask, _mm512_xor_si512(stream, _mm512_maskz_loadu_epi8(mask, data + at)));
            _mm512_mask_storeu_epi8(data + at, mask, sealed);
            __m512i blocks = _mm512_xor_si512(gcm_reversed_wide(sealed), _mm512_zextsi128_si512(hash));
            hash = _mm_setzero_si128();
            gcm_add_wide(&sum, blocks, powers);
        }
        hash = gcm_reduced_wide(sum);
    }
    gcm_write_tag(key, hash, cover, header_length, length, data + length);
}

static bool has_wide_aes(void)
{
    enum { VAES = 1 << 9, VPCLMULQDQ = 1 << 10 }; /* of leaf 7, ECX; not every compiler knows their names */
    unsigned int eax, ebx, ecx, edx;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || ~ecx & (VAES | VPCLMULQDQ))
        return false;
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

/* The best that this processor can do; NULL when it can do neither. */
static GcmSeal gcm_seal_for_this_machine(bool narrow)
{
    if (!narrow && has_wide_aes())
        return gcm_seal_wide;
    if (__builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1"))
        return gcm_seal_narrow;
    return NULL;
}

#else
static GcmSeal gcm_seal_for_this_machine(bool narrow)
{
    (void)narrow;
    return NULL;
}

static void gcm_set_key(GcmKey *key, const uint8_t *bytes, int length, const uint8_t salt[GCM_SALT])
{
    (void)key, (void)bytes, (void)length, (void)salt;
}
#endif
