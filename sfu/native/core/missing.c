/* Which packets of a track have not arrived: rising numbers, bounded by count and by age. */

enum {
    HOLES = 2 * MAX_MISSING,
    MISSING_AGE_US = 1000000,
};

typedef struct {
    int64_t number;
    int64_t since_us; /* negative once it has arrived */
} Hole;

/* holes[first .. last) in rising order; those that arrived stay until they are at the front or room is needed. */
typedef struct {
    int first;
    int last;
    int count; /* not arrived */
    Hole *holes; /* HOLES of them, from the first one on: most microphones never miss a packet */
} Missing;

static inline bool missing_open(Missing *missing)
{
    if (!missing->holes)
        missing->holes = malloc(HOLES * sizeof *missing->holes);
    return missing->holes != NULL;
}

static inline void missing_clear(Missing *missing) { missing->first = missing->last = missing->count = 0; }

static void missing_trim(Missing *missing)
{
    while (missing->first < missing->last && missing->holes[missing->first].since_us < 0)
        missing->first++;
    if (!missing->count)
        missing_clear(missing);
}

static void missing_forget_oldest(Missing *missing)
{
    missing_trim(missing);
    missing->first++;
    missing->count--;
    missing_trim(missing);
}

static void missing_compact(Missing *missing)
{
    int kept = 0;
    for (int at = missing->first; at < missing->last; at++)
        if (missing->holes[at].since_us >= 0)
            missing->holes[kept++] = missing->holes[at];
    missing->first = 0;
    missing->last = kept;
}

/* The numbers `first` to `last` were skipped; they are above all that were missed before. */
static void missing_gap(Missing *missing, int64_t first, int64_t last, int64_t now_us)
{
    if (last - first >= MAX_MISSING || !missing_open(missing)) {
        missing_clear(missing);
        return;
    }
    if (missing->last + (last - first + 1) > HOLES)
        missing_compact(missing); /* leaves at most MAX_MISSING */
    for (int64_t number = first; number <= last; number++) {
        missing->holes[missing->last++] = (Hole){number, now_us};
        missing->count++;
    }
    while (missing->count > MAX_MISSING)
        missing_forget_oldest(missing);
}

static void missing_arrived(Missing *missing, int64_t number)
{
    int low = missing->first, high = missing->last;
    while (low < high) {
        int middle = (low + high) / 2;
        if (missing->holes[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == missing->last || missing->holes[low].number != number || missing->holes[low].since_us < 0)
        return;
    missing->holes[low].since_us = -1;
    missing->count--;
    missing_trim(missing);
}

static void missing_expire(Missing *missing, int64_t now_us)
{
    while (missing->count && now_us - missing->holes[missing->first].since_us > MISSING_AGE_US)
        missing_forget_oldest(missing);
}
