/* See core_test.h. */

static int limited_room; /* messages that the socket still takes */

static int send_limited(int fd, struct mmsghdr *headers, unsigned int count, int flags)
{
    if (limited_room <= 0) {
        errno = EAGAIN;
        return -1;
    }
    if (count > (unsigned int)limited_room)
        count = (unsigned int)limited_room;
    int sent = sendmmsg(fd, headers, count, flags);
    limited_room -= sent > 0 ? sent : 0;
    return sent;
}

void path_limit_sends(Path *path, int room)
{
    limited_room = room;
    path->outbox.outlet.send = room < 0 ? sendmmsg : send_limited;
}

void path_use_segmentation(Path *path, bool use) { path->outbox.segmentation = use; }

void path_seal_narrowly(Path *path) { path->outbox.seal = gcm_seal_for_this_machine(true); }

int64_t forward_bound_of(int64_t us) { return forward_bound_us(forward_bucket(us)); }
