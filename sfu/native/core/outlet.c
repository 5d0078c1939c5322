/* The socket's sending side, one datagram at a time: what is sent singly, and audio that waits for room.
 *
 * When the socket is full audio waits, in order and bounded, and goes before anything else does; everything else
 * is dropped by whoever wanted to send it.
 */

enum {
    MAX_PROTECTED = SLOT_DATA + 2 + 144, /* OSN, and libsrtp's longest trailer */
    MAX_WAITING_AUDIO = 256,
};

typedef int (*SendCall)(int, struct mmsghdr *, unsigned int, int);

typedef struct {
    SocketAddress address;
    socklen_t address_length;
    uint16_t bytes;
    uint8_t data[MAX_PROTECTED];
} WaitingAudio;

typedef struct {
    int fd;
    SendCall send;
    Counters *counters;
    /* a ring of audio that the socket did not take */
    int waiting_first;
    int waiting_count;
    WaitingAudio waiting[MAX_WAITING_AUDIO];
} Outlet;

enum sent { SENT, SENT_FULL, SENT_FAILED };

static bool socket_is_full(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS; }

/* One datagram. Any refusal but a full socket counts as lost on the way. */
static enum sent outlet_transmit(Outlet *outlet, const uint8_t *data, size_t bytes, SocketAddress *address,
                                 socklen_t address_length)
{
    struct iovec vector = {(void *)data, bytes};
    struct mmsghdr header = {
        .msg_hdr = {
            .msg_name = address, .msg_namelen = address_length, .msg_iov = &vector, .msg_iovlen = 1}};
    int sent;
    do {
        sent = outlet->send(outlet->fd, &header, 1, MSG_DONTWAIT);
        outlet->counters->native_send_calls++;
    } while (sent < 0 && errno == EINTR);
    if (sent == 1) {
        outlet->counters->datagrams_out++;
        outlet->counters->bytes_out += bytes;
        outlet->counters->native_messages++;
        return SENT;
    }
    if (socket_is_full(errno))
        return SENT_FULL;
    outlet->counters->send_failed++;
    return SENT_FAILED;
}

/* Send the audio that waits; false when the socket is still full. */
static bool outlet_retry(Outlet *outlet)
{
    while (outlet->waiting_count) {
        WaitingAudio *waiting = &outlet->waiting[outlet->waiting_first];
        if (outlet_transmit(outlet, waiting->data, waiting->bytes, &waiting->address, waiting->address_length) ==
            SENT_FULL)
            return false;
        outlet->waiting_first = (outlet->waiting_first + 1) % MAX_WAITING_AUDIO;
        outlet->waiting_count--;
        outlet->counters->send_retried_audio++;
    }
    return true;
}

static void outlet_wait(Outlet *outlet, const Transport *transport, const uint8_t *data, size_t bytes)
{
    if (outlet->waiting_count == MAX_WAITING_AUDIO) {
        outlet->waiting_first = (outlet->waiting_first + 1) % MAX_WAITING_AUDIO;
        outlet->waiting_count--;
        outlet->counters->send_full_audio++;
    }
    int place = (outlet->waiting_first + outlet->waiting_count++) % MAX_WAITING_AUDIO;
    WaitingAudio *waiting = &outlet->waiting[place];
    waiting->address = transport->address;
    waiting->address_length = transport->address_length;
    waiting->bytes = (uint16_t)bytes;
    memcpy(waiting->data, data, bytes);
}

/* STUN, DTLS, RTCP: false when the socket is full. */
static bool outlet_control(Outlet *outlet, const uint8_t *data, size_t bytes, SocketAddress *address,
                           socklen_t address_length)
{
    if (outlet_retry(outlet) && outlet_transmit(outlet, data, bytes, address, address_length) != SENT_FULL)
        return true;
    outlet->counters->send_full_control++;
    return false;
}
