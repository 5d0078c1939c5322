/* Consent: answering the checks that a connected client repeats every few seconds (RFC 7675, RFC 8489).
 *
 * Only what changes nothing is answered here: an authentic Binding request under the credentials of the transport,
 * from where it sends to. Everything else is left to sfu/wire/stun.py and its callers, and so is whatever this
 * is stricter about than they are.
 */

enum {
    STUN_HEADER = 20,
    STUN_LONGEST = 1024,
    STUN_REPLY = STUN_HEADER + 24 + 24 + 8,
    STUN_REQUEST = 0x0001,
    STUN_SUCCESS = 0x0101,
    STUN_USERNAME = 0x0006,
    STUN_INTEGRITY = 0x0008,
    STUN_XOR_MAPPED_ADDRESS = 0x0020,
    STUN_USE_CANDIDATE = 0x0025,
    STUN_FINGERPRINT = 0x8028,
    STUN_ICE_CONTROLLED = 0x8029,
    STUN_OPTIONAL = 0x8000, /* types from here on may be passed over (RFC 8489 section 14) */
    STUN_FINGERPRINT_XOR = 0x5354554E,
    STUN_COOKIE = 0x2112A442,
};

/* IEEE 802.3, four bits at a time: a table of 64 bytes stays in the cache of a worker that is idle. */
static uint32_t stun_crc(uint32_t crc, const uint8_t *data, size_t length)
{
    static const uint32_t nibbles[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    crc = ~crc;
    for (size_t at = 0; at < length; at++) {
        crc ^= data[at];
        crc = crc >> 4 ^ nibbles[crc & 15];
        crc = crc >> 4 ^ nibbles[crc & 15];
    }
    return ~crc;
}

/* What covers a message counts itself in: it is computed over a header that tells of `longer` bytes in all. */
static void stun_header_for(uint8_t header[STUN_HEADER], const uint8_t *message, int longer)
{
    memcpy(header, message, STUN_HEADER);
    put16(header + 2, (uint16_t)(longer - STUN_HEADER));
}

static uint32_t stun_fingerprint(const uint8_t *message, int at)
{
    uint8_t header[STUN_HEADER];
    stun_header_for(header, message, at + 8);
    uint32_t crc = stun_crc(0, header, STUN_HEADER);
    return stun_crc(crc, message + STUN_HEADER, (size_t)(at - STUN_HEADER)) ^ STUN_FINGERPRINT_XOR;
}

static void stun_sign(const HmacKey *key, const uint8_t *message, int at, uint8_t signature[SHA1_SIZE])
{
    uint8_t header[STUN_HEADER];
    stun_header_for(header, message, at + 24);
    hmac_sha1(key, header, STUN_HEADER, message + STUN_HEADER, (size_t)(at - STUN_HEADER), signature);
}

static bool stun_is_signed(const HmacKey *key, const uint8_t *message, int at)
{
    uint8_t signature[SHA1_SIZE], differs = 0;
    stun_sign(key, message, at, signature);
    for (int index = 0; index < SHA1_SIZE; index++)
        differs |= signature[index] ^ message[at + 4 + index];
    return !differs;
}

/* Ours in front of the colon, and nothing that some decoder might refuse. */
static bool stun_names(const char *ufrag, const uint8_t *value, int length)
{
    int ours = (int)strlen(ufrag);
    for (int at = 0; at < length; at++)
        if (value[at] & 0x80)
            return false;
    return length > ours && !memcmp(value, ufrag, (size_t)ours) && value[ours] == ':';
}

/* The size that an attribute must have; -1: any; -2: it would have to be understood. */
static int stun_size(uint16_t kind)
{
    switch (kind) {
    case 0x0024: return 4; /* PRIORITY */
    case STUN_USE_CANDIDATE: return 0;
    case STUN_ICE_CONTROLLED: return 8;
    case 0x802A: return 8; /* ICE-CONTROLLING */
    case STUN_INTEGRITY: return SHA1_SIZE;
    case STUN_FINGERPRINT: return 4;
    /* Known, and without a meaning in a request (RFC 8489 section 6.3). */
    case 0x0001: case 0x0009: case 0x000A: case 0x0014: case 0x0015: case 0x0020: return -1;
    default: return kind == STUN_USERNAME || kind >= STUN_OPTIONAL ? -1 : -2;
    }
}

static bool stun_is_request(const uint8_t *data, int length)
{
    return length >= STUN_HEADER && length <= STUN_LONGEST && length % 4 == 0 && get16(data) == STUN_REQUEST &&
           get16(data + 2) == length - STUN_HEADER && get32(data + 4) == STUN_COOKIE;
}

/* Whether it is a check that can be answered without asking anybody. */
static bool stun_is_consent(const Consent *consent, const uint8_t *data, int length)
{
    bool named = false, username_seen = false;
    int signed_at = 0;
    if (!consent->ufrag[0] || !stun_is_request(data, length))
        return false;
    for (int at = STUN_HEADER; at < length;) {
        uint16_t kind = get16(data + at);
        int size = get16(data + at + 2), wanted = stun_size(kind), end = at + 4 + (size + 3) / 4 * 4;
        if (end > length || (wanted >= 0 && size != wanted))
            return false;
        /* What is behind the signature counts for nothing (RFC 8489 section 14.5). */
        if (!signed_at && (wanted == -2 || kind == STUN_ICE_CONTROLLED))
            return false;
        if (kind == STUN_FINGERPRINT && get32(data + at + 4) != stun_fingerprint(data, at))
            return false;
        if (!signed_at && kind == STUN_USERNAME && !username_seen) {
            username_seen = true;
            named = stun_names(consent->ufrag, data + at + 4, size);
        }
        if (!signed_at && kind == STUN_INTEGRITY)
            signed_at = at;
        at = end;
    }
    return named && signed_at && stun_is_signed(&consent->key, data, signed_at);
}

/* Whether such a check nominates the pair that it came by. */
static bool stun_nominates(const uint8_t *data, int length)
{
    for (int at = STUN_HEADER; at < length; at += 4 + (get16(data + at + 2) + 3) / 4 * 4) {
        uint16_t kind = get16(data + at);
        if (kind == STUN_USE_CANDIDATE || kind == STUN_INTEGRITY)
            return kind == STUN_USE_CANDIDATE;
    }
    return false;
}

static int stun_write_address(uint8_t *out, const AddressKey *to, const uint8_t *transaction)
{
    uint8_t mask[16], address[16];
    uint16_t port = (uint16_t)to->rest; /* in network byte order */
    put32(mask, STUN_COOKIE);
    memcpy(mask + 4, transaction, 12);
    memcpy(address, &to->high, 8);
    memcpy(address + 8, &to->low, 8);
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    bool v4 = !memcmp(address, mapped, sizeof mapped);
    int bytes = v4 ? 4 : 16;
    put16(out, STUN_XOR_MAPPED_ADDRESS);
    put16(out + 2, (uint16_t)(4 + bytes));
    out[4] = 0;
    out[5] = v4 ? 1 : 2;
    memcpy(out + 6, &port, 2);
    out[6] ^= STUN_COOKIE >> 24;
    out[7] ^= STUN_COOKIE >> 16 & 0xFF;
    for (int at = 0; at < bytes; at++)
        out[8 + at] = address[16 - bytes + at] ^ mask[at];
    return 8 + bytes;
}

static bool transaction_known(const Consent *consent, const uint8_t *transaction)
{
    int held = consent->taken < TRANSACTIONS ? (int)consent->taken : TRANSACTIONS;
    for (int at = 0; at < held; at++)
        if (!memcmp(consent->transactions[at], transaction, TRANSACTION_SIZE))
            return true;
    return false;
}

/* False when it was taken before: the check is then sent again, by the client or by somebody who has seen it. */
static bool transaction_take(Consent *consent, const uint8_t *transaction)
{
    if (transaction_known(consent, transaction))
        return false;
    memcpy(consent->transactions[consent->taken % TRANSACTIONS], transaction, TRANSACTION_SIZE);
    consent->taken++;
    return true;
}

/* The answer to such a check (RFC 8489 sections 14.2, 14.5, 14.7); its length, at most STUN_REPLY. */
static int stun_write_success(uint8_t *out, const Consent *consent, const uint8_t *check, const AddressKey *to)
{
    put16(out, STUN_SUCCESS);
    memcpy(out + 4, check + 4, STUN_HEADER - 4);
    int at = STUN_HEADER + stun_write_address(out + STUN_HEADER, to, check + 8);
    put16(out + at, STUN_INTEGRITY);
    put16(out + at + 2, SHA1_SIZE);
    stun_sign(&consent->key, out, at, out + at + 4);
    at += 4 + SHA1_SIZE;
    put16(out + at, STUN_FINGERPRINT);
    put16(out + at + 2, 4);
    put16(out + 2, (uint16_t)(at + 8 - STUN_HEADER));
    put32(out + at + 4, stun_fingerprint(out, at));
    return at + 8;
}
