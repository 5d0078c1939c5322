/* What only tests ask of the packet path. */
#ifndef PARLEY_CORE_TEST_H
#define PARLEY_CORE_TEST_H

#include "core.h"

#pragma GCC visibility push(hidden)

/* As if the socket were full after so many messages, since a real one can't be made full at will; a negative number
 * lifts the limit. One limit for all paths. */
void path_limit_sends(Path *path, int room);
/* Whether runs of packets may go to the kernel as one message. */
void path_use_segmentation(Path *path, bool use);
/* As a machine without AVX-512 seals, also where there is. */
void path_seal_narrowly(Path *path);
/* The bound of the bucket that counts this time. */
int64_t forward_bound_of(int64_t us);

#pragma GCC visibility pop

#endif
