/* How long packets are in the worker: from the kernel's having received one to its last copy's having left.
 *
 * Buckets as in sfu/path/counters.py: 1 to 100 µs singly, then ninety to every power of ten, so that a bound has two
 * significant digits and the coarse bounds are among them.
 */

enum {
    FINEST_US = 100,
    FORWARD_BUCKETS = FINEST_US + 5 * (FINEST_US - 10), /* up to ten seconds */
    LONGEST_US = 10000000,
    STAMP_ROOM = CMSG_SPACE(sizeof(struct timespec)),
};

typedef struct {
    uint64_t count;
    uint64_t sum_us;
    uint64_t within[FORWARD_BUCKETS];
} ForwardTime;

typedef union {
    char bytes[STAMP_ROOM];
    struct cmsghdr aligned;
} Stamp;

/* The clock of the kernel's stamps. */
static inline int64_t wall_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* When the kernel received it, on the wall clock; 0: it does not say. */
static int64_t stamped_ns(struct msghdr *header)
{
    const struct cmsghdr *control = CMSG_FIRSTHDR(header);
    if (!control || control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_TIMESTAMPNS)
        return 0;
    struct timespec stamp;
    memcpy(&stamp, CMSG_DATA(control), sizeof stamp);
    return (int64_t)stamp.tv_sec * 1000000000 + stamp.tv_nsec;
}

static int forward_bucket(int64_t us)
{
    int64_t below = us < 1 ? 0 : us > LONGEST_US ? LONGEST_US - 1 : us - 1;
    int first = 0;
    for (; below >= FINEST_US; below /= 10)
        first += FINEST_US - 10;
    return first + (int)below;
}

/* The longest time that belongs into a bucket. */
static int64_t forward_bound_us(int bucket)
{
    int64_t scale = 1;
    for (; bucket >= FINEST_US; bucket -= FINEST_US - 10)
        scale *= 10;
    return (bucket + 1) * scale;
}

/* Rounded up. The wall clock may have been set back meanwhile: that is no time, then. */
static void forward_time_add(ForwardTime *time, int64_t ns)
{
    int64_t us = ns > 0 ? (ns + 999) / 1000 : 0;
    time->within[forward_bucket(us)]++;
    time->count++;
    time->sum_us += (uint64_t)us;
}
