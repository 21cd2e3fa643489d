/* Pauses between the tries of what the kernel does not tell the end of. */
#ifndef GUST_NET_PAUSE_H
#define GUST_NET_PAUSE_H

#include <gust/timer.h>

#define PAUSE_MIN GUST_MS
#define PAUSE_MAX (20 * GUST_MS)

/* When the pause that begins now is over, at `deadline` at the latest.  *pause_ns is
 * PAUSE_MIN at first, and grows. */
static inline gust_time pause_end(int64_t *pause_ns, gust_time deadline)
{
    gust_time when = gust_after(*pause_ns);
    *pause_ns = *pause_ns * 2 < PAUSE_MAX ? *pause_ns * 2 : PAUSE_MAX;
    return when < deadline ? when : deadline;
}

#endif
