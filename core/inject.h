/* Failures on order, for tests of what happens when the system says no.
 *
 * Every place that asks for memory or for a kernel object goes through here.  In
 * builds with GUST_DEBUG a test can have the Nth call of one kind fail, once, for
 * a while, or from then on; others compile all of it to the plain calls.
 *
 * Also from outside: GUST_FAIL=kind:N, or kind:N+ for "from then on", with the
 * names of gust__inject_name; each gust_run counts from the start. */
#ifndef GUST_CORE_INJECT_H
#define GUST_CORE_INJECT_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

typedef enum gust__inject_kind {
    INJECT_MALLOC,          /* malloc, calloc, realloc, aligned_alloc: ENOMEM */
    INJECT_MMAP,            /* stacks, buffers, the buffer ring: ENOMEM */
    INJECT_THREAD,          /* pthread_create: EAGAIN */
    INJECT_EVENTFD,         /* EMFILE */
    INJECT_PIPE,            /* EMFILE */
    INJECT_EPOLL_CREATE,    /* EMFILE */
    INJECT_EPOLL_ADD,       /* epoll_ctl: ENOSPC.  Changing and removing need no memory */
    INJECT_URING_SETUP,     /* ENOMEM */
    INJECT_URING_REGISTER,  /* ENOMEM */
    INJECT_URING_ENTER,     /* EAGAIN, EBUSY and EINTR in turn */
    INJECT_URING_FILE,      /* a request about a file, as if it were unknown: EINVAL */
    INJECT_SPLICE,          /* EINVAL, but for what a ring does */
    INJECT_READ_CACHED,     /* a read of what is in the page cache: EAGAIN */
    INJECT_MEMBARRIER,      /* ENOSYS */
    INJECT_PROCESS_MADVISE, /* the trimming of many stacks at once: EBADF */
    INJECT_KINDS,
} gust__inject_kind;

#ifdef GUST_DEBUG

#define INJECT_FOR_EVER UINT64_MAX

/* Has `times` calls of this kind fail, beginning with the nth from now (1: the
 * next).  One order at a time: it replaces what was ordered before. */
void gust__inject_arm(gust__inject_kind kind, uint64_t nth, uint64_t times);

/* Takes the order back; returns how many calls it has made fail. */
uint64_t gust__inject_disarm(void);

/* Obeys GUST_FAIL, if it is set.  Errors: -EINVAL if it cannot be understood. */
int gust__inject_from_env(void);

/* The name of a kind in GUST_FAIL. */
const char *gust__inject_name(gust__inject_kind kind);

/* True if this call is to fail; errno says how.  Any thread. */
bool gust__inject(gust__inject_kind kind);

#else

static inline int gust__inject_from_env(void)
{
    return 0;
}

static inline bool gust__inject(gust__inject_kind kind)
{
    (void)kind;
    return false;
}

#endif

/* --- Memory ---------------------------------------------------------------- */

static inline void *gust__malloc(size_t size)
{
    return gust__inject(INJECT_MALLOC) ? NULL : malloc(size);
}

static inline void *gust__calloc(size_t count, size_t size)
{
    return gust__inject(INJECT_MALLOC) ? NULL : calloc(count, size);
}

static inline void *gust__realloc(void *memory, size_t size)
{
    return gust__inject(INJECT_MALLOC) ? NULL : realloc(memory, size);
}

static inline void *gust__aligned_alloc(size_t alignment, size_t size)
{
    return gust__inject(INJECT_MALLOC) ? NULL : aligned_alloc(alignment, size);
}

/* Private, anonymous, readable and writable memory; `flags` are added. */
static inline void *gust__mmap(void *hint, size_t size, int flags)
{
    if (gust__inject(INJECT_MMAP))
        return MAP_FAILED;
    return mmap(hint, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

#endif
