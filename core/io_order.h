/* What ThreadSanitizer is to know of memory and the network.
 *
 * What a goroutine has written before it sends is seen by whoever receives that, if
 * both are in this process.  ThreadSanitizer knows it of libc's calls, not of a ring,
 * and not of a descriptor that a ring has accepted.  One order for all descriptors, as
 * Go's race detector has it (ioSync in syscall/syscall_unix.go). */
#ifndef GUST_CORE_IO_ORDER_H
#define GUST_CORE_IO_ORDER_H

#include "core/ctx.h"

#ifdef GUST__TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
extern char gust__io_order;
#endif

/* Before the kernel is asked. */
static inline void gust__io_release(void)
{
#ifdef GUST__TSAN
    __tsan_release(&gust__io_order);
#endif
}

/* After it has answered. */
static inline void gust__io_acquire(void)
{
#ifdef GUST__TSAN
    __tsan_acquire(&gust__io_order);
#endif
}

#endif
