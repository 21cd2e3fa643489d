/* Finds pthread mutexes and rwlocks that a goroutine holds when it leaves its
 * thread; see held_lock.c.  In builds with GUST_DEBUG and without a sanitizer. */
#ifndef GUST_CORE_HELD_LOCK_H
#define GUST_CORE_HELD_LOCK_H

#include "core/ctx.h"

#if defined(GUST_DEBUG) && !defined(GUST__ASAN) && !defined(GUST__TSAN)
#define GUST__HELD_LOCKS 1

/* The running goroutine is about to leave its stack: reports and aborts if its
 * thread holds a lock that it took.  On the goroutine's stack. */
void gust__held_locks_check(void);

#else
static inline void gust__held_locks_check(void) {}
#endif

#endif
