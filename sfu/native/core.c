/* The packet path's one unit: everything of core/ in the order in which it builds on what stands before it. What a
 * packet goes through is one piece for the compiler, as if it stood in one file. */
#ifndef _GNU_SOURCE
#error "recvmmsg and sendmmsg need _GNU_SOURCE"
#endif

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include "core.h"
#include "core_test.h"

#include "core/bytes.c"
#include "core/counters.c"
#include "core/timing.c"

#include "core/codec.c"
#include "core/rtp.c"
#include "core/numbering.c"
#include "core/missing.c"
#include "core/cache.c"
#include "core/sha1.c"
#include "core/gcm.c"

#include "core/addresses.c"
#include "core/transport.c"
#include "core/track.c"
#include "core/mapping.c"
#include "core/leg.c"
#include "core/feeding.c"

#include "core/outlet.c"
#include "core/outbox.c"
#include "core/path.c"
#include "core/reports.c"
#include "core/stun.c"
#include "core/ingress.c"

#include "core/calls.c"
#include "core/testing.c"
