/* Datagrams in: told apart, opened, and brought to their tracks.
 *
 * `path_drain_batch` reads up to BATCH datagrams, forwards what is media, and leaves for Python, as events, what
 * is not.
 */

static void path_tell(Path *path, Event event)
{
    path->events[path->event_count++] = event;
}

static bool path_unwrap(Path *path, const Track *track, Packet *packet)
{
    uint8_t payload_type = track->originals[packet->payload_type];
    if (payload_type == NO_PAYLOAD_TYPE) {
        path->counters.drop_unknown_payload_type++;
        return false;
    }
    if (!rtx_unwrap(packet, payload_type, track->ssrc)) {
        path->counters.drop_probe++;
        return false;
    }
    return true;
}

static bool path_take(Path *path, Track *track, Packet *packet, bool recovered)
{
    if (!track->heard)
        path_hear(path, track);
    switch (track_take(track, packet, path->now_us, recovered)) {
    case TAKEN_DUPLICATE: path->counters.drop_duplicate++; return false;
    case TAKEN_LATE: path->counters.drop_late++; return false;
    default: path->counters.rtx_recovered += recovered; return true;
    }
}

static void path_tell_of(Path *path, Track *track, const Packet *packet)
{
    if (!has_media(packet)) {
        path->counters.drop_probe++;
        return;
    }
    if (!track->started && track->codecs[packet->payload_type] != CODEC_NONE) {
        track->started = true;
        path_tell(path, (Event){.kind = EVENT_STARTED, .id = track->id});
    }
    if (packet->keyframe)
        path_tell(path, (Event){.kind = EVENT_KEYFRAME, .id = track->id});
}

static void path_route(Path *path, Track *track, Packet *packet, bool is_rtx)
{
    if (is_rtx && !path_unwrap(path, track, packet))
        return;
    if (track->codecs[packet->payload_type] == CODEC_NONE)
        path->counters.drop_unknown_payload_type++;
    if (!path_take(path, track, packet, is_rtx))
        return;
    path_tell_of(path, track, packet);
    if (track->muted) {
        path->counters.drop_muted++;
        return;
    }
    if (track->waiting.count)
        path_begin(path, track, packet);
    if (!track->flowing.count)
        return;
    if (!track->batch_count)
        path->active[path->active_count++] = track;
    int place = (int)(packet - path->packets);
    track->batch[track->batch_count++] = (uint8_t)place;
    path->forwarded_since[path->forwarded_count++] = path->came_ns[place];
}

static void path_log_arrival(Transport *transport, const Packet *packet, int64_t now_us)
{
    Element element;
    if (!transport->transport_cc_id || !packet->extension_at)
        return;
    if (find_element(packet, transport->transport_cc_id, &element) && element.value_end - element.value_at >= 2)
        arrivals_add(&transport->arrivals, get16(packet->data + element.value_at), now_us);
}

static void path_refuse(Path *path, int status)
{
    if (status == SRTP_REPLAY_FAIL || status == SRTP_REPLAY_OLD)
        path->counters.drop_replayed++;
    else
        path->counters.drop_unauthentic++;
}

static bool path_admit(Path *path, Transport *transport, uint32_t ssrc)
{
    bool evicts;
    uint32_t evicted = 0;
    bool admitted = unknown_admit(transport, ssrc, path->now_us, &evicts, &evicted);
    if (evicts)
        path->srtp.remove_stream(transport->receive, htonl(evicted));
    return admitted;
}

static void path_tell_unknown(Path *path, const Transport *transport, const Packet *packet)
{
    Event event = {.kind = EVENT_UNKNOWN,
                   .payload_type = packet->payload_type,
                   .ssrc = packet->ssrc,
                   .id = transport->number,
                   .data = packet->data};
    Element element;
    if (transport->mid_id && packet->extension_at && find_element(packet, transport->mid_id, &element)) {
        event.data = packet->data + element.value_at;
        event.length = element.value_end - element.value_at;
    }
    path_tell(path, event);
}

/* Something authentic came for the transport, from there. */
static void path_heard(const Path *path, AddressEntry *from)
{
    Transport *transport = from->transport;
    transport->last_received_us = from->heard_us = path->now_us;
}

static void path_take_rtp(Path *path, AddressEntry *from, int place, uint8_t *data, int length)
{
    Transport *transport = from->transport;
    Packet *packet = &path->packets[place];
    Counters *counters = &path->counters;
    uint32_t ssrc = get32(data + 8);
    Stream *stream = transport_stream(transport, ssrc);
    if (!stream && !path_admit(path, transport, ssrc)) {
        counters->drop_unknown_ssrc++;
        return;
    }
    int status = length > MAX_SRTP ? -1 : path->srtp.unprotect(transport->receive, data, &length);
    if (status != 0) {
        path_refuse(path, status);
        return;
    }
    path_heard(path, from);
    counters->in_rtp++;
    if (!rtp_parse(packet, data, length)) {
        counters->drop_malformed++;
        return;
    }
    path_log_arrival(transport, packet, path->now_us);
    if (stream) {
        path_route(path, stream->track, packet, stream->is_rtx);
        return;
    }
    counters->drop_unknown_ssrc++;
    if (unknown_tell(transport, ssrc, path->now_us))
        path_tell_unknown(path, transport, packet);
}

static void path_take_rtcp(Path *path, AddressEntry *from, uint8_t *data, int length)
{
    Transport *transport = from->transport;
    uint32_t ssrc = get32(data + 4);
    bool known = rtcp_source_known(transport, ssrc);
    if (!known && transport->rtcp_source_count == MAX_RTCP_SOURCES) {
        path->counters.drop_unknown_ssrc++;
        return;
    }
    int status = length > MAX_SRTP ? -1 : path->srtp.unprotect_rtcp(transport->receive, data, &length);
    if (status != 0) {
        path_refuse(path, status);
        return;
    }
    if (!known && !rtcp_source_add(transport, ssrc)) {
        path->counters.drop_unknown_ssrc++;
        return;
    }
    path_heard(path, from);
    path->counters.in_rtcp++;
    if (reports_look(data, length, &transport->echo, path->now_us))
        return;
    path_tell(path, (Event){.kind = EVENT_RTCP, .id = transport->number, .data = data, .length = length});
}

static void path_take_media(Path *path, int place, uint8_t *data, int length)
{
    AddressKey key = address_key(&path->from[place]);
    AddressEntry *from = address_entry(&path->addresses, &key);
    if (!from->transport)
        path->counters.drop_unknown_address++;
    else if (192 <= data[1] && data[1] <= 223) /* RFC 5761 section 4 */
        path_take_rtcp(path, from, data, length);
    else if (length < RTP_FIXED)
        path->counters.drop_not_media++;
    else
        path_take_rtp(path, from, place, data, length);
}

/* Whether it was a check that needs nobody's attention. */
static bool path_answer_check(Path *path, int place, const uint8_t *data, int length)
{
    AddressKey key = address_key(&path->from[place]);
    AddressEntry *from = address_entry(&path->addresses, &key);
    Transport *transport = from->transport;
    if (!transport || !transport->consent.ufrag[0])
        return false;
    AddressKey selected = address_key(&transport->address);
    if (!same_address(&key, &selected) || !stun_is_consent(&transport->consent, data, length))
        return false;
    uint8_t reply[STUN_REPLY];
    int bytes = stun_write_success(reply, &transport->consent, data, &key);
    if (transaction_take(&transport->consent, data + 8)) {
        path_heard(path, from);
        if (stun_nominates(data, length))
            transport->nominated_us = path->now_us;
    }
    outlet_control(&path->outbox.outlet, reply, (size_t)bytes, &transport->address, transport->address_length);
    return true;
}

/* Demultiplex by the first byte, RFC 7983. */
static void path_take_datagram(Path *path, int place, uint8_t *data, int length)
{
    Counters *counters = &path->counters;
    counters->datagrams_in++;
    counters->bytes_in += (uint64_t)length;
    if (length >= MAX_DATAGRAM) {
        counters->drop_oversize++;
        return;
    }
    uint8_t first = length ? data[0] : 255;
    if (128 <= first && first <= 191 && length >= RTCP_MINIMUM) {
        path_take_media(path, place, data, length);
        return;
    }
    Event event = {.data = data, .length = length, .address = (const uint8_t *)&path->from[place]};
    if (!address_port(&path->from[place])) {
        counters->drop_not_media++; /* nobody can be answered at port 0 */
        return;
    }
    if (first <= 3) {
        counters->in_stun++;
        if (path_answer_check(path, place, data, length))
            return;
        event.kind = EVENT_STUN;
    } else if (20 <= first && first <= 63) {
        event.kind = EVENT_DTLS;
        counters->in_dtls++;
    } else {
        counters->drop_not_media++;
        return;
    }
    path_tell(path, event);
}

int path_drain_batch(Path *path, int limit)
{
    path->event_count = 0;
    int count = path->receive(path->fd, path->headers, (unsigned int)limit, MSG_DONTWAIT, NULL);
    path->counters.native_receive_calls++;
    if (count < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
            return 0;
        /* An ICMP error of some peer, told on the next read: it says nothing about the socket. */
        path->counters.receive_failed++;
        path->counters.datagrams_in++;
        path->counters.drop_not_media++;
        return limit;
    }
    int64_t read_ns = wall_ns();
    for (int place = 0; place < count; place++) {
        struct msghdr *header = &path->headers[place].msg_hdr;
        int64_t stamp_ns = stamped_ns(header);
        path->came_ns[place] = stamp_ns ? stamp_ns : read_ns;
        header->msg_namelen = sizeof path->from[place];
        header->msg_controllen = sizeof path->stamps[place].bytes;
        path_take_datagram(path, place, path->data + place * RX_STRIDE, (int)path->headers[place].msg_len);
    }
    path_forward(path);
    return count;
}
