/* The packet path in C, as Python calls it: everything but this is behind it.
 *
 * One thread at a time calls a path and what belongs to it. What returns a bool or a pointer says false or NULL when
 * there is no memory, and has changed nothing then, unless something else stands beside it. An address is the kernel's
 * (struct sockaddr_in or sockaddr_in6), given as its bytes, at most ADDRESS_SIZE. Times are microseconds of the
 * clock that the caller tells with `now_us`.
 */
#ifndef PARLEY_CORE_H
#define PARLEY_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

typedef struct Path Path;           /* a socket and everything that passes through it */
typedef struct Transport Transport; /* one SRTP association with one remote */
typedef struct Track Track;         /* what a publisher sends */
typedef struct Leg Leg;             /* what a viewer gets */

enum {
    ADDRESS_SIZE = 28,
    BATCH = 64, /* datagrams that are read at once */
    NO_PAYLOAD_TYPE = 0xFF,
    MAX_MISSING = 512, /* more holes at once are an outage, which asking again can't mend */
    MAX_CNAME = 40,
    LEGS_PER_PACKET = 12, /* that one packet of reports tells of */
    TRANSACTION_SIZE = 12,
};

/* --- the path ---------------------------------------------------------------------------------------------- */

/* libsrtp's functions. */
typedef int (*SrtpCall)(void *context, void *packet, int *length);
typedef int (*SrtpRemoveCall)(void *context, uint32_t ssrc);
typedef struct {
    SrtpCall protect;
    SrtpCall protect_rtcp;
    SrtpCall unprotect;
    SrtpCall unprotect_rtcp;
    SrtpRemoveCall remove_stream;
} Srtp;

enum event_kind { EVENT_STUN, EVENT_DTLS, EVENT_RTCP, EVENT_UNKNOWN, EVENT_STARTED, EVENT_KEYFRAME };

/* What is for Python. `data` and `address` are in the batch and good until the next one; of an unknown stream `data`
 * is the MID. */
typedef struct {
    uint8_t kind;
    uint8_t payload_type;
    uint32_t ssrc;
    int length; /* of `data` */
    int64_t id; /* transport or track */
    const uint8_t *data;
    const uint8_t *address; /* ADDRESS_SIZE bytes: whence STUN and DTLS came */
} Event;

/* `seed` is random: whoever chooses addresses must not choose collisions. */
Path *path_open(int fd, int family, const Srtp *srtp, uint64_t seed);
void path_leave_socket(Path *path); /* it is closed: nothing is read and sent any more */
void path_close(Path *path);

/* Audio that waits for room goes first. */
void path_begin_drain(Path *path, int64_t now_us);
/* How many datagrams were read, up to `limit`; less than that many: the socket is empty. */
int path_drain_batch(Path *path, int limit);
/* Of the last batch; NULL behind the last one. */
const Event *path_event(const Path *path, int index);

void path_send(Path *path, const uint8_t *data, size_t length, const uint8_t *address, size_t address_length);
/* Protects it first; what can't be counts as failed. */
void path_send_rtcp(Path *path, Transport *transport, const uint8_t *compound, size_t length);

uint64_t path_media_in(const Path *path);
/* The name of a counter, its value in `*value`; NULL behind the last one. */
const char *path_counter(const Path *path, int index, uint64_t *value);
/* How many packets were in the worker for a time of this bucket; its bound, as in sfu/path/counters.py, is in
 * `*bound_us`: 0 behind the last one. */
uint64_t path_forwarded_in(const Path *path, int bucket, int64_t *bound_us);

/* --- transports -------------------------------------------------------------------------------------------- */

/* What a client last said about a sender report of ours: LSR and DLSR of RFC 3550 section 6.4.1. */
typedef struct {
    int64_t arrived_us;
    uint32_t last_sr; /* 0 before there is one */
    uint32_t delay;
} Echo;

/* A transport-wide number and when it came. */
typedef struct {
    int64_t us;
    uint16_t number;
} Arrival;

typedef struct {
    int64_t last_received_us;
    int64_t nominated_us;
} TransportTimes;

/* `receive` and `send` are libsrtp's contexts. Where it sends to is not yet an address that it receives from. */
Transport *transport_open(int64_t number, void *receive, void *send, const uint8_t *address, size_t length);
/* On a machine that does so, its RTP is sealed here instead of by libsrtp. `key` is the session's (RFC 3711 section
 * 4.3), not the master key. */
bool path_seal_with(const Path *path, Transport *transport, const uint8_t *key, int length, const uint8_t *salt);
/* Its tracks, legs and addresses have gone before. */
void transport_close(Transport *transport);

bool path_claim(Path *path, Transport *transport, const uint8_t *address, size_t length);
void path_forget(Path *path, const uint8_t *address, size_t length);
/* The number of the transport that an address belongs to; 0 for none. */
int64_t path_owner(const Path *path, const uint8_t *address, size_t length);
/* When something authentic last came from there for the transport; 0 for never. */
int64_t path_heard_from_us(const Path *path, const Transport *transport, const uint8_t *address, size_t length);
void transport_select(Transport *transport, const uint8_t *address, size_t length);

/* The credentials under which its checks are answered here; Python gets them all when those are too long. */
void transport_answer_checks(Transport *transport, const uint8_t *ufrag, size_t ufrag_length,
                             const uint8_t *password, size_t password_length);
/* Whether a check of these TRANSACTION_SIZE bytes was answered here lately. */
bool transport_answered(const Transport *transport, const uint8_t *transaction);

TransportTimes transport_times(const Transport *transport);
Echo transport_echo(const Transport *transport);
/* The oldest arrival, which is taken; false when there is none. */
bool transport_take_arrival(Transport *transport, Arrival *arrival);
bool transport_has_stream(const Transport *transport, uint32_t ssrc);

/* --- tracks ------------------------------------------------------------------------------------------------ */

enum codec { CODEC_NONE, CODEC_OTHER, CODEC_VP8, CODEC_VP9, CODEC_H264, CODEC_AV1 };

/* Extension ids are 0 where there are none. */
typedef struct {
    int64_t id;
    uint32_t ssrc;
    uint32_t rtx_ssrc;
    uint32_t clock_rate; /* of payload types that were not negotiated */
    int transport_cc_id;
    int mid_id;
    uint8_t audio_level_id;
    bool audio;
    bool has_rtx;
} TrackSpec;

typedef struct {
    int64_t highest_sequence;
    int64_t expected;
    int64_t lost;
    int64_t jitter;
    uint64_t packets;
    uint64_t octets;
    uint64_t keyframes;
    uint64_t recovered;
} ReceiveFigures;

typedef struct {
    int64_t track;
    uint32_t count;
    uint32_t total;
    uint32_t bare_count; /* packets with sound of which no level is told */
    uint32_t bare_octets;
    uint8_t loudest;
} LevelFigures;

Track *path_add_track(Path *path, Transport *transport, const TrackSpec *spec);
/* `rtx` is the payload type of its retransmissions, negative for none. Types that no packet carries are ignored. */
void track_add_codec(Track *track, int payload_type, enum codec codec, uint32_t clock_rate, int rtx);
bool path_set_rtx(Path *path, Track *track, uint32_t ssrc);
bool track_mute(Track *track, bool muted);
void path_remove_track(Path *path, Track *track);

/* Whether viewers wait for a keyframe of it. */
bool track_is_awaited(const Track *track);
ReceiveFigures track_figures(const Track *track);

/* Tracks that a packet has come of, in no order; `place` counts them. */
int path_heard_count(const Path *path);
/* How many packets are missing of one; their numbers, at most MAX_MISSING, in `sequences`, its id in `*track`. */
int path_missing(Path *path, int place, int64_t *track, uint16_t *sequences);
/* The levels since they were last taken; false when none has come. */
bool path_take_levels(Path *path, int place, LevelFigures *levels);

/* --- legs -------------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t id;
    uint32_t ssrc;
    uint32_t rtx_ssrc;
    uint16_t first_sequence; /* of both of its streams */
    bool audio;
    bool has_rtx;
} LegSpec;

/* From the source's payload types and extension ids to the viewer's. */
typedef struct {
    uint8_t payload_types[128]; /* NO_PAYLOAD_TYPE: not forwarded */
    uint8_t identifiers[256];   /* 0: blanked */
} MappingTable;

typedef struct {
    uint64_t packets;
    uint64_t octets;
    uint64_t recent_octets; /* sent in the last second */
    uint64_t retransmitted;
    uint64_t missed;
    int64_t last_sent_us;
    uint32_t last_timestamp;
    uint32_t clock_rate;
} SendFigures;

enum repaired { REPAIR_MISSED, REPAIR_SENT, REPAIR_NO_ROOM };

Leg *leg_open(Transport *transport, const LegSpec *spec);
/* The payload type of the retransmissions of one. */
void leg_add_rtx(Leg *leg, int payload_type, uint8_t rtx);
/* From now on, or from a packet on to begin with, the leg is fed from a track of its kind; NULL: from none. */
bool path_feed(Path *path, Leg *leg, Track *track, const MappingTable *table, int64_t now_us);
void path_remove_leg(Path *path, Leg *leg);

/* Whether the viewer's own 16-bit number can still be sent again. */
bool path_holds(const Path *path, Leg *leg, uint16_t sequence);
/* Sends it again, with the next `path_flush`; `*room` is how many octets may still be sent. */
enum repaired path_repair(Path *path, Leg *leg, uint16_t sequence, int64_t *room);
void path_flush(Path *path);

/* Whether there is anything to report of it. */
bool leg_is_sending(const Leg *leg, int64_t now_us);
/* Sender reports of at most LEGS_PER_PACKET legs; `cname` is no longer than MAX_CNAME. */
void path_report(Path *path, Transport *transport, Leg *const *legs, int count, const char *cname, int64_t now_us,
                 uint64_t now_ntp);
SendFigures path_leg_figures(const Path *path, const Leg *leg);

#pragma GCC visibility pop

#endif
