/* The packet path's C code under a fuzzer: the input is a program of datagrams, calls and socket troubles.
 *
 * SRTP is a stand-in that only changes lengths, so that the input reaches what lies behind it, and the socket is
 * one that the program fills and refuses. Built with sanitizers by scripts/fuzz-native, which is what finds errors;
 * what leaves is looked at as well. Without libFuzzer (FUZZ_STANDALONE), `main` replays files and makes random
 * programs: harness [-seconds N] [-seed N] [file ...]
 */
#include <stdio.h>

#include "core.c" /* all of it, to look behind its calls */

enum { TRANSPORTS = 5, TRACKS = 6, LEGS = 12, QUEUE = 100, TRAILER = 16, ADDRESSES = 8 };

#define CHECK(condition) ((condition) ? (void)0 : __builtin_trap())

static const uint8_t *input, *input_end;

static uint8_t next8(void) { return input < input_end ? *input++ : 0; }
static uint16_t next16(void)
{
    uint16_t high = next8();
    return (uint16_t)(high << 8 | next8());
}

/* --- SRTP -------------------------------------------------------------------------------------------------- */

static char context; /* its address is every session */

static int open_packet(void *session, void *packet, int *length)
{
    CHECK(session == &context);
    if (*length < 8 + TRAILER)
        return 7;
    uint8_t last = ((uint8_t *)packet)[*length - 1];
    *length -= TRAILER;
    return last >= 0xFD ? last - 0xFD + 8 : 0; /* 8: some failure, 9 and 10: replayed */
}

static int close_packet(void *session, void *packet, int *length)
{
    CHECK(session == &context && *length <= MAX_PROTECTED - 144);
    if (get16((uint8_t *)packet + 2) == 0x1234)
        return 7;
    memset((uint8_t *)packet + *length, 0xEE, TRAILER);
    *length += TRAILER;
    return 0;
}

static int remove_stream(void *session, uint32_t ssrc)
{
    (void)ssrc;
    CHECK(session == &context);
    return 0;
}

/* --- the socket -------------------------------------------------------------------------------------------- */

static struct {
    uint8_t data[MAX_DATAGRAM + 60];
    int length;
    int address;
} queue[QUEUE];
static int queued, family;
static uint8_t trouble; /* of the socket: 0 none, 1 a failing read, 2 sends as the program says, FULL */
enum { FULL = 3 };

static socklen_t make_address(SocketAddress *address, int index)
{
    memset(address, 0, sizeof *address);
    address->any.sa_family = (sa_family_t)family;
    if (family == AF_INET) {
        address->v4.sin_port = htons((uint16_t)(index ? 1000 + index : 0));
        address->v4.sin_addr.s_addr = htonl(0x7F000001);
        return sizeof address->v4;
    }
    address->v6.sin6_port = htons((uint16_t)(index ? 1000 + index : 0));
    address->v6.sin6_addr.s6_addr[15] = (uint8_t)(1 + index % 2);
    address->v6.sin6_scope_id = (uint32_t)(index / 4);
    return sizeof address->v6;
}

static int fake_receive(int fd, struct mmsghdr *headers, unsigned int count, int flags, struct timespec *timeout)
{
    (void)fd, (void)flags, (void)timeout;
    if (trouble == 1) {
        trouble = 0;
        errno = ECONNREFUSED;
        return -1;
    }
    if (!queued) {
        errno = EAGAIN;
        return -1;
    }
    int taken = queued < (int)count ? queued : (int)count;
    for (int index = 0; index < taken; index++) {
        struct msghdr *header = &headers[index].msg_hdr;
        size_t length = (size_t)queue[index].length;
        if (length > header->msg_iov->iov_len)
            length = header->msg_iov->iov_len;
        memcpy(header->msg_iov->iov_base, queue[index].data, length);
        headers[index].msg_len = (unsigned int)length;
        SocketAddress from;
        header->msg_namelen = make_address(&from, queue[index].address);
        memcpy(header->msg_name, &from, header->msg_namelen);
    }
    queued -= taken;
    memmove(queue, queue + taken, (size_t)queued * sizeof queue[0]);
    return taken;
}

static void look_at(const uint8_t *packet, size_t length)
{
    CHECK(length <= MAX_PROTECTED);
    if (length < RTP_FIXED + TRAILER || packet[0] >> 6 != 2 || (192 <= packet[1] && packet[1] <= 223))
        return; /* control, which the program sends as it likes */
    uint32_t ssrc = get32(packet + 8);
    CHECK((ssrc >= 5000 && ssrc < 5000 + 2 * LEGS) || ssrc == 4242);
}

static int fake_send(int fd, struct mmsghdr *headers, unsigned int count, int flags)
{
    static const int errors[] = {0, EAGAIN, ENOBUFS, EIO, EINVAL, EMSGSIZE, ENETUNREACH, EINTR};
    (void)fd, (void)flags;
    for (unsigned int index = 0; index < count; index++) {
        if (trouble == FULL) {
            errno = EAGAIN;
            return index ? (int)index : -1;
        }
        uint8_t kind = trouble ? next8() : 0;
        if (kind & 0x08) {
            if (kind & 0x10)
                trouble = 0;
            errno = errors[kind & 0x07] ? errors[kind & 0x07] : EAGAIN;
            return index ? (int)index : -1;
        }
        struct msghdr *header = &headers[index].msg_hdr;
        const uint8_t *data = header->msg_iov->iov_base;
        size_t length = header->msg_iov->iov_len, size = length;
        CHECK(header->msg_iovlen == 1 && length <= 65507 && header->msg_namelen >= sizeof(struct sockaddr_in));
        if (header->msg_control) {
            uint16_t segment;
            memcpy(&segment, CMSG_DATA(CMSG_FIRSTHDR(header)), sizeof segment);
            size = segment;
            CHECK(size && size < length && (length + size - 1) / size <= 64);
        }
        for (size_t at = 0; at < length; at += size)
            look_at(data + at, length - at < size ? length - at : size);
        headers[index].msg_len = (unsigned int)length;
    }
    return (int)count;
}

/* --- what Python does -------------------------------------------------------------------------------------- */

static Path *path;
static Transport *transports[TRANSPORTS];
static Track *tracks[TRACKS];
static Leg *legs[LEGS];
static uint16_t sequences[TRACKS];
static int64_t now_us;

static void open_transport(int index)
{
    SocketAddress to;
    size_t length = make_address(&to, 1 + index);
    const uint8_t *wire = (const uint8_t *)&to;
    Transport *transport = transport_open(index + 1, &context, &context, wire, length);
    if (index % 2)
        CHECK(path_seal_with(path, transport, (const uint8_t *)"an AES key that isn't a secret...",
                             index % 4 ? 32 : 16, (const uint8_t *)"and its salt"));
    if (index % 3)
        transport_answer_checks(transport, (const uint8_t *)"alice", 5, (const uint8_t *)"password", 8);
    CHECK(path_claim(path, transport, wire, length));
    CHECK(path_owner(path, wire, length) == index + 1);
    transports[index] = transport;
}

static void remove_track(int index)
{
    if (tracks[index])
        path_remove_track(path, tracks[index]);
    tracks[index] = NULL;
}

static void remove_leg(int index)
{
    if (legs[index])
        path_remove_leg(path, legs[index]);
    legs[index] = NULL;
}

static void close_transport(int index)
{
    Transport *transport = transports[index];
    if (!transport)
        return;
    for (int leg = 0; leg < LEGS; leg++)
        if (legs[leg] && legs[leg]->transport == transport)
            remove_leg(leg);
    for (int track = 0; track < TRACKS; track++)
        if (tracks[track] && tracks[track]->transport == transport)
            remove_track(track);
    for (int address = 0; address < ADDRESSES; address++) {
        SocketAddress wire;
        make_address(&wire, address);
        AddressKey key = address_key(&wire);
        if (address_entry(&path->addresses, &key)->transport == transport)
            addresses_remove(&path->addresses, &key);
    }
    Arrival arrival;
    while (next8() & 1 && transport_take_arrival(transport, &arrival))
        continue;
    transport_close(transport);
    transports[index] = NULL;
}

static void add_track(int index)
{
    Transport *transport = transports[next8() % TRANSPORTS];
    uint32_t ssrc = 1000 + 2 * (uint32_t)index;
    if (tracks[index] || !transport)
        return;
    TrackSpec spec = {.id = index + 1, .ssrc = ssrc, .rtx_ssrc = ssrc + 1, .has_rtx = true, .audio = index % 3 == 0};
    spec.audio_level_id = next8() % 16;
    spec.clock_rate = next8() & 1 ? 90000 : 0xFFFFFFFF;
    spec.transport_cc_id = next8() % 16;
    spec.mid_id = spec.transport_cc_id / 2;
    Track *track = path_add_track(path, transport, &spec);
    CHECK(track && transport_has_stream(transport, ssrc) && transport_has_stream(transport, ssrc + 1));
    for (int payload_type = 96; payload_type < 102; payload_type++)
        track_add_codec(track, payload_type, (enum codec)(payload_type - 96), 90000, payload_type + 10);
    tracks[index] = track;
    sequences[index] = next16();
}

static void add_leg(int index)
{
    Transport *transport = transports[next8() % TRANSPORTS];
    if (legs[index] || !transport)
        return;
    LegSpec spec = {.id = index + 1, .ssrc = 5000 + 2 * (uint32_t)index, .audio = index % 3 == 0};
    spec.rtx_ssrc = spec.ssrc + 1;
    spec.first_sequence = next16() & 0x7FFF;
    spec.has_rtx = next8() & 1;
    legs[index] = leg_open(transport, &spec);
    for (int payload_type = 64; payload_type < 128; payload_type++)
        leg_add_rtx(legs[index], payload_type, 121);
}

static void set_source(Leg *leg, int number)
{
    Track *track = tracks[number];
    if (!leg)
        return;
    if (!track || track->audio != leg->audio) {
        path_feed(path, leg, NULL, NULL, now_us);
        return;
    }
    MappingTable table;
    memset(&table, NO_PAYLOAD_TYPE, sizeof table.payload_types);
    memset(table.identifiers, 0, sizeof table.identifiers);
    for (int payload_type = 96; payload_type < 102; payload_type++)
        if (next8() & 3)
            table.payload_types[payload_type] = (uint8_t)(payload_type + 4);
    for (int id = 0; id < 4; id++)
        table.identifiers[next8()] = next8();
    CHECK(path_feed(path, leg, track, &table, now_us));
}

static void drain(void)
{
    path_begin_drain(path, now_us);
    path_drain_batch(path, BATCH);
    CHECK(path->event_count <= MAX_EVENTS);
    volatile uint8_t sum = 0;
    const Event *event;
    for (int index = 0; (event = path_event(path, index)); index++) {
        for (int at = 0; at < event->length; at++)
            sum += event->data[at];
        for (int at = 0; event->address && at < ADDRESS_SIZE; at++)
            sum += event->address[at];
    }
}

static void retransmit(Leg *leg)
{
    if (!leg)
        return;
    int64_t newest = numbering_next(&leg->state.map), room = 100 * next8();
    for (int count = next8() % 80; count > 0; count--)
        path_repair(path, leg, (uint16_t)(newest - next8()), &room);
    path_flush(path);
    CHECK(room >= 0);
}

static void look_at_tracks(void)
{
    for (int place = 0; place < path_heard_count(path); place++) {
        uint16_t sequences[MAX_MISSING];
        int64_t id;
        LevelFigures levels;
        int count = path_missing(path, place, &id, sequences);
        CHECK(tracks[id - 1] == path->heard[place]);
        CHECK(count == (tracks[id - 1]->muted ? 0 : tracks[id - 1]->missing.count) && count <= MAX_MISSING);
        if (path_take_levels(path, place, &levels))
            CHECK(levels.track == id && !path_take_levels(path, place, &levels));
    }
}

static void send_reports(void)
{
    uint8_t data[MAX_PROTECTED];
    Leg *sending[LEGS_PER_PACKET];
    int count = 0;
    for (int index = 0; index < LEGS && count < LEGS_PER_PACKET; index++)
        if (legs[index] && leg_is_sending(legs[index], now_us))
            sending[count++] = legs[index];
    char name[MAX_CNAME + 1] = {0};
    memset(name, 'a', next8() % (MAX_CNAME + 1));
    int length = count ? reports_write(data, sending, count, name, now_us, (uint64_t)next16() << 32) : 0;
    CHECK(length <= MAX_REPORTS && length % 4 == 0);
    Echo echo = {0};
    CHECK(!reports_look(data, length, &echo, now_us)); /* sender reports are more than mere ones */
    if (count)
        path_report(path, sending[0]->transport, sending, count, name, now_us, 0);
}

static void send_control(void)
{
    uint8_t data[MAX_PROTECTED];
    SocketAddress to;
    size_t length = 1 + next16() % 1200;
    memset(data, next8() & 0x3F, sizeof data);
    size_t address_length = make_address(&to, 1 + next8() % 7);
    path_send(path, data, length, (const uint8_t *)&to, address_length);
    if (transports[0])
        path_send_rtcp(path, transports[0], data, length);
}

static void change_address(void)
{
    Transport *transport = transports[next8() % TRANSPORTS];
    uint8_t choice = next8();
    SocketAddress to;
    size_t length = make_address(&to, choice % ADDRESSES);
    const uint8_t *wire = (const uint8_t *)&to;
    if (choice & 0x80)
        path_forget(path, wire, length);
    else if (transport && choice & 0x40)
        CHECK(path_claim(path, transport, wire, length));
    else if (transport)
        transport_select(transport, wire, length);
}

/* --- datagrams --------------------------------------------------------------------------------------------- */

static uint8_t *new_datagram(int address)
{
    while (queued == QUEUE) /* a failing read takes none */
        drain();
    memset(queue[queued].data, 0, sizeof queue[queued].data);
    queue[queued].address = address;
    return queue[queued].data;
}

static void take_bytes(uint8_t *to, int count)
{
    while (count-- > 0 && input < input_end)
        *to++ = *input++;
}

static void raw_datagram(void)
{
    uint8_t *data = new_datagram(next8() % ADDRESSES);
    int length = next16() % (MAX_DATAGRAM + 60);
    take_bytes(data, length < 64 ? length : 64);
    queue[queued++].length = length;
}

static int write_extension(uint8_t *data, uint8_t shape)
{
    int words = shape >> 2 & 0x07;
    put16(data, shape & 1 ? ONE_BYTE_PROFILE : shape & 2 ? 0x1000 : 0x7777);
    put16(data + 2, (uint16_t)words);
    take_bytes(data + 4, 4 * words);
    return 4 + 4 * words;
}

static void write_payload(uint8_t *data, uint8_t type)
{
    if (type & 0x40) { /* a VP8 keyframe */
        memcpy(data, "\x90\xC0\x80\x00\x00\x00", 6);
        data[3] = data[4] = type;
        return;
    }
    take_bytes(data, 12);
}

/* Well-formed but for what the input makes of it. */
static void media_datagram(bool is_rtx)
{
    int index = next8() % TRACKS;
    if (!tracks[index])
        return;
    uint8_t shape = next8(), type = next8();
    uint8_t *data = new_datagram((int)(1 + tracks[index]->transport->number - 1));
    int at = RTP_FIXED;
    int step = 1;
    if (shape & 0x40) {
        int8_t jump = (int8_t)next8();
        step = jump & 1 ? 40 * jump : jump;
    }
    sequences[index] = (uint16_t)(sequences[index] + step);
    data[0] = 0x80;
    data[1] = (uint8_t)(96 + type % 7 + (is_rtx ? 10 : 0)) | (type & RTP_MARKER);
    put16(data + 2, sequences[index]);
    put32(data + 4, (uint32_t)(sequences[index] / 4) * 3000);
    put32(data + 8, 1000 + 2 * (uint32_t)index + is_rtx);
    if (shape & 1) {
        data[0] |= 2;
        at += 8;
    }
    if (shape & 2) {
        data[0] |= 0x10;
        at += write_extension(data + at, next8());
    }
    if (is_rtx) {
        put16(data + at, (uint16_t)(sequences[index] - type % 16));
        at += 2;
    }
    write_payload(data + at, type);
    at += shape & 4 ? next16() % 1400 : 8;
    if (shape & 8)
        at = at < 400 ? at : 400; /* runs of equal size */
    if (shape & 0x10) {
        data[0] |= RTP_PADDED;
        data[at++] = next8();
    }
    if (shape & 0x20)
        data[0] ^= next8() & 0x3F;
    data[at + TRAILER - 1] = shape & 0x80 && next8() > 0xF0 ? 0xFE : 0;
    queue[queued++].length = at + TRAILER;
}

static void rtcp_datagram(void)
{
    uint8_t *data = new_datagram(1 + next8() % 7);
    data[0] = 0x81;
    data[1] = (uint8_t)(192 + next8() % 32);
    put16(data + 2, next8() % 20);
    put32(data + 4, next8());
    queue[queued++].length = 8 + next8() % 64 + TRAILER;
}

/* A check whose lengths and kinds are chance; signed, where its integrity lies within. */
static void check_datagram(void)
{
    uint8_t *data = new_datagram(1 + next8() % TRANSPORTS);
    int length = STUN_HEADER + 4 * (next8() % 40), at = STUN_HEADER;
    static const uint16_t kinds[] = {STUN_USERNAME, STUN_INTEGRITY, STUN_FINGERPRINT, 0x0024, 0x0025, 0x802A, 0x8022};
    Consent consent = {.ufrag = "alice"};
    hmac_set_key(&consent.key, (const uint8_t *)"password", 8);
    put16(data, STUN_REQUEST);
    put16(data + 2, (uint16_t)(length - STUN_HEADER));
    put32(data + 4, STUN_COOKIE);
    while (at + 4 <= length) {
        uint16_t kind = kinds[next8() % 7];
        int size = stun_size(kind) >= 0 ? stun_size(kind) : 6 + next8() % 20;
        put16(data + at, kind);
        put16(data + at + 2, (uint16_t)(next8() % 16 ? size : next8()));
        int end = at + 4 + (size + 3) / 4 * 4;
        if (end <= length && kind == STUN_USERNAME)
            memcpy(data + at + 4, "alice:", 6);
        if (end <= length && kind == STUN_INTEGRITY)
            stun_sign(&consent.key, data, at, data + at + 4);
        if (end <= length && kind == STUN_FINGERPRINT)
            put32(data + at + 4, stun_fingerprint(data, at));
        at = end;
    }
    queue[queued++].length = length;
}

static void unclaimed_datagram(void)
{
    uint8_t *data = new_datagram(1 + next8() % TRANSPORTS);
    data[0] = 0x80;
    data[1] = 96;
    put32(data + 8, 900000 + (uint32_t)next8());
    queue[queued++].length = 40;
}

/* The same few bytes of input make many packets. */
static void burst(void)
{
    int count = next8();
    const uint8_t *from = input;
    for (; count > 0; count--) {
        input = from;
        media_datagram(false);
    }
}

static void repeat(void (*make)(void))
{
    for (int count = next8() % 80; count > 0; count--)
        make();
}

static AddressKey flooding_key(int index)
{
    SocketAddress wire;
    make_address(&wire, ADDRESSES + index);
    return address_key(&wire);
}

/* Many addresses come and go; the others must stay to be found. */
static void flood_addresses(void)
{
    Transport *transport = transports[next8() % TRANSPORTS];
    int count = next8();
    if (!transport)
        return;
    for (int index = 0; index < count; index++) {
        AddressKey key = flooding_key(index);
        CHECK(addresses_put(&path->addresses, &key, transport));
    }
    for (int index = 0; index < count; index++) {
        AddressKey key = flooding_key(index);
        addresses_remove(&path->addresses, &key);
        CHECK(!address_entry(&path->addresses, &key)->transport);
        for (int other = index + 1; other < count; other++) {
            key = flooding_key(other);
            CHECK(address_entry(&path->addresses, &key)->transport == transport);
        }
    }
}

/* --- the program ------------------------------------------------------------------------------------------- */

static void step(void)
{
    uint8_t operation = next8();
    switch (operation % 32) {
    case 0: raw_datagram(); break;
    case 1: repeat(rtcp_datagram); break;
    case 2: media_datagram(true); break;
    case 3: drain(); break;
    case 4: now_us += next16() * 100; break;
    case 5: add_track(next8() % TRACKS); break;
    case 6: remove_track(next8() % TRACKS); break;
    case 7: add_leg(next8() % LEGS); break;
    case 8: remove_leg(next8() % LEGS); break;
    case 9: case 10: set_source(legs[next8() % LEGS], next8() % TRACKS); break;
    case 11: {
        Track *track = tracks[next8() % TRACKS];
        if (track)
            CHECK(track_mute(track, next8() & 1));
        break;
    }
    case 12: retransmit(legs[next8() % LEGS]); break;
    case 13: trouble = next8() % 4; break;
    case 14: close_transport((operation >> 5) % TRANSPORTS); break;
    case 15: if (operation >> 5 < TRANSPORTS && !transports[operation >> 5]) open_transport(operation >> 5); break;
    case 16: next8(); look_at_tracks(); break;
    case 17: send_control(); send_reports(); break;
    case 18: change_address(); break;
    case 19: path_use_segmentation(path, next8() & 1); break;
    case 20: burst(); break;
    case 21: next8() & 1 ? repeat(unclaimed_datagram) : repeat(check_datagram); break;
    case 22: flood_addresses(); break;
    default: media_datagram(false); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const Srtp srtp = {close_packet, close_packet, open_packet, open_packet, remove_stream};
    input = data;
    input_end = data + size;
    queued = 0;
    trouble = 0;
    now_us = 10000000;
    family = next8() & 1 ? AF_INET6 : AF_INET;
    path = path_open(-1, family, &srtp, 42);
    path->receive = fake_receive;
    path->outbox.outlet.send = fake_send;
    path->outbox.segmentation = true;
    for (int index = 0; index < TRANSPORTS; index++)
        open_transport(index);
    for (int index = 0; index < TRACKS; index++)
        add_track(index);
    for (int index = 0; index < LEGS; index++) {
        add_leg(index);
        set_source(legs[index], index % TRACKS);
    }
    while (input < input_end)
        step();
    drain();
    for (int index = 0; index < TRANSPORTS; index++)
        close_transport(index);
    for (int bucket = 0; bucket < MAPPING_BUCKETS; bucket++)
        CHECK(!path->mappings.buckets[bucket]);
    CHECK(!path->addresses.count);
    path_close(path);
    return 0;
}

#ifdef FUZZ_STANDALONE
static void replay(const char *name)
{
    static uint8_t program[1 << 16];
    FILE *file = fopen(name, "rb");
    if (!file) {
        perror(name);
        exit(2);
    }
    size_t size = fread(program, 1, sizeof program, file);
    fclose(file);
    LLVMFuzzerTestOneInput(program, size);
}

int main(int count, char **arguments)
{
    static uint8_t program[4096];
    long seconds = 0, runs = 0;
    unsigned long long random = 88172645463325252u;
    int first = 1;
    for (; first + 1 < count && arguments[first][0] == '-'; first += 2) {
        long value = atol(arguments[first + 1]);
        if (strcmp(arguments[first], "-seconds") == 0)
            seconds = value;
        else
            random += (unsigned long long)value * 2654435761u;
    }
    for (int index = first; index < count; index++)
        replay(arguments[index]);
    for (time_t end = time(NULL) + seconds; time(NULL) < end; runs++) {
        for (size_t at = 0; at < sizeof program; at++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            program[at] = (uint8_t)(random >> 32);
        }
        LLVMFuzzerTestOneInput(program, sizeof program - random % 4000);
    }
    printf("%d files, %ld random programs\n", count - first, runs);
    return 0;
}
#endif
