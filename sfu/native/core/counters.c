/* Totals since the path was opened. Names and meanings are those of sfu/path/counters.py; the last ones are ours. */

#define PARLEY_COUNTERS(X)                                                                                     \
    X(datagrams_in) X(bytes_in) X(datagrams_out) X(bytes_out)                                                  \
    X(in_stun) X(in_dtls) X(in_rtp) X(in_rtcp)                                                                 \
    X(drop_not_media) X(drop_oversize) X(drop_unknown_address) X(drop_unauthentic) X(drop_replayed)            \
    X(drop_malformed) X(drop_unknown_ssrc) X(drop_unknown_payload_type) X(drop_duplicate) X(drop_late)         \
    X(drop_probe) X(drop_muted)                                                                                \
    X(forwarded) X(rtx_recovered) X(retransmitted) X(retransmit_missed)                                        \
    X(send_full_video) X(send_full_audio) X(send_full_control) X(send_retried_audio) X(send_failed)            \
    X(receive_failed)                                                                                          \
    X(native_receive_calls) X(native_send_calls) X(native_messages) X(native_gso_messages)                     \
    X(native_gso_segments) X(native_gso_refused)

#define PARLEY_COUNTER_FIELD(name) uint64_t name;
typedef struct {
    PARLEY_COUNTERS(PARLEY_COUNTER_FIELD)
} Counters;

#define PARLEY_COUNTER_NAME(name) #name,
static const char *const counter_names[] = {PARLEY_COUNTERS(PARLEY_COUNTER_NAME)};
enum { COUNTER_COUNT = sizeof(Counters) / sizeof(uint64_t) };
