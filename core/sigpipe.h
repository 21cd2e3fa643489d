/* System calls that have no flag against SIGPIPE: write(2), splice(2).  The signal goes
 * to the thread that makes the call: it is blocked for that long, and taken back again
 * unless there was one before. */
#ifndef GUST_CORE_SIGPIPE_H
#define GUST_CORE_SIGPIPE_H

#include <signal.h>
#include <stdbool.h>

typedef struct gust__sigpipe {
    sigset_t former; /* the thread's mask */
    bool pending;    /* one came before, and was blocked */
} gust__sigpipe;

/* Around a call on one thread, without a park between them.  `broken`: the call
 * may have met EPIPE. */
void gust__sigpipe_block(gust__sigpipe *s);
void gust__sigpipe_unblock(const gust__sigpipe *s, bool broken);

#endif
