/* Reports of either direction (RFC 3550 section 6.4), as sfu/path/reports.py and sfu/wire/rtcp.py have them: what
 * viewers say is looked at without telling Python, and what they are told is written here. */

enum {
    RTCP_SR = 200,
    RTCP_RR = 201,
    RTCP_SDES = 202,
    REPORT_BLOCK = 24,
    SENDER_REPORT = 28,
    LOSSY = 26, /* of 256: who reports so much loss is told of */
    SDES_CNAME = 1,
    MAX_REPORTS = LEGS_PER_PACKET * (SENDER_REPORT + 6 + MAX_CNAME + 4) + 4,
    SENDING_US = 2000000,
};

/* Whether there is nothing but names and receiver reports of little loss in a compound. What the last block with an
 * echo of a report of ours says is kept in `echo`. What does not fit its lengths, or is padded, is for Python to
 * refuse. */
static bool reports_look(const uint8_t *data, int length, Echo *echo, int64_t now_us)
{
    bool lossy = false;
    for (int at = 0; at < length;) {
        if (length - at < 4)
            return false;
        uint8_t first = data[at], kind = data[at + 1];
        int end = at + 4 * (get16(data + at + 2) + 1);
        int count = first & 0x1F, blocks = at + (kind == RTCP_RR ? 8 : SENDER_REPORT);
        if (end > length || first >> 5 != 4 || (kind != RTCP_SR && kind != RTCP_RR && kind != RTCP_SDES))
            return false;
        at = end;
        if (kind == RTCP_SDES)
            continue;
        if (blocks + count * REPORT_BLOCK > end)
            return false;
        for (const uint8_t *block = data + blocks; count--; block += REPORT_BLOCK) {
            lossy |= block[4] >= LOSSY;
            if (get32(block + 16))
                *echo = (Echo){now_us, get32(block + 16), get32(block + 20)};
        }
        if (kind == RTCP_SR)
            return false;
    }
    return length > 0 && !lossy;
}

bool leg_is_sending(const Leg *leg, int64_t now_us)
{
    return leg->state.packets && now_us - leg->state.last_sent_us <= SENDING_US;
}

static uint8_t *report_write_sender(uint8_t *out, const Leg *leg, int64_t now_us, uint64_t now_ntp)
{
    int64_t since_us = now_us > leg->state.last_sent_us ? now_us - leg->state.last_sent_us : 0;
    out[0] = 0x80;
    out[1] = RTCP_SR;
    put16(out + 2, SENDER_REPORT / 4 - 1);
    put32(out + 4, leg->ssrc);
    put32(out + 8, (uint32_t)(now_ntp >> 32));
    put32(out + 12, (uint32_t)now_ntp);
    put32(out + 16, leg->state.last_timestamp + (uint32_t)(since_us * leg->clock_rate / 1000000));
    put32(out + 20, (uint32_t)leg->state.packets);
    put32(out + 24, (uint32_t)leg->state.octets);
    return out + SENDER_REPORT;
}

static uint8_t *report_write_name(uint8_t *out, uint32_t ssrc, const char *cname, int length)
{
    int padding = 4 - (6 + length) % 4; /* at least one zero ends the items */
    put32(out, ssrc);
    out[4] = SDES_CNAME;
    out[5] = (uint8_t)length;
    memcpy(out + 6, cname, (size_t)length);
    memset(out + 6 + length, 0, (size_t)padding);
    return out + 6 + length + padding;
}

/* A compound of reports about these legs, and their names; its length. `out` has room for MAX_REPORTS bytes, and
 * `cname` is no longer than MAX_CNAME. */
static int reports_write(uint8_t *out, Leg *const *legs, int count, const char *cname, int64_t now_us,
                         uint64_t now_ntp)
{
    uint8_t *at = out;
    for (int index = 0; index < count; index++)
        at = report_write_sender(at, legs[index], now_us, now_ntp);
    uint8_t *names = at;
    at += 4;
    for (int index = 0; index < count; index++)
        at = report_write_name(at, legs[index]->ssrc, cname, (int)strlen(cname));
    names[0] = (uint8_t)(0x80 | count);
    names[1] = RTCP_SDES;
    put16(names + 2, (uint16_t)((at - names) / 4 - 1));
    return (int)(at - out);
}
