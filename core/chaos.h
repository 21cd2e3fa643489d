/* Chaos: with GUST_CHAOS=seed the scheduler makes the rare choice often.
 *
 * Everything it does, a scheduler that is unlucky may do as well: goroutines go to
 * the other end of a queue, or to the global one; work is stolen that need not be;
 * time slices end at once; Ps are taken from goroutines in user code and from
 * announced blocking calls; sleeps end for no reason.  So whatever fails under
 * chaos is wrong.  Each M draws from a generator of its own, made of the seed and
 * its number: a failure comes again with the seed as far as the kernel schedules
 * the threads alike.
 *
 * Off, each place costs a load and a branch that is predicted. */
#ifndef GUST_CORE_CHAOS_H
#define GUST_CORE_CHAOS_H

#include <stdbool.h>
#include <stdint.h>

/* Written by gust_run before its threads start. */
extern bool gust__chaos_on;
extern uint64_t gust__chaos_seed;

/* Reads GUST_CHAOS.  Errors: -EINVAL if it is no number. */
int gust__chaos_setup(void);

/* True once in `of` times; on a thread of the runtime. */
bool gust__chaos_draw(uint32_t of);

static inline bool gust__chaos(uint32_t of)
{
    return __builtin_expect(gust__chaos_on, 0) && gust__chaos_draw(of);
}

/* For reports: tells how to get the same again, if chaos is on. */
void gust__chaos_print(void);

#endif
