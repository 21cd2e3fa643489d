/* Failures on order; the rules are in core/inject.h.
 *
 * Always: an order is one word that says which kind, and two numbers that are
 * written before it; calls of other kinds read the word and no more. */
#include "core/inject.h"

#ifdef GUST_DEBUG

#include <stdatomic.h>
#include <string.h>

#include "core/sched.h"

static struct {
    _Atomic int kind; /* gust__inject_kind; INJECT_KINDS: no order */
    _Atomic uint64_t first, times;
    _Atomic uint64_t calls;  /* of that kind since the order */
    _Atomic uint64_t failed; /* those that were made to fail */
} order = {.kind = INJECT_KINDS};

static const struct {
    const char *name;
    int error;
} kinds[INJECT_KINDS] = {
    [INJECT_MALLOC] = {"malloc", ENOMEM},
    [INJECT_MMAP] = {"mmap", ENOMEM},
    [INJECT_THREAD] = {"thread", EAGAIN},
    [INJECT_EVENTFD] = {"eventfd", EMFILE},
    [INJECT_PIPE] = {"pipe", EMFILE},
    [INJECT_EPOLL_CREATE] = {"epoll_create", EMFILE},
    [INJECT_EPOLL_ADD] = {"epoll_add", ENOSPC},
    [INJECT_URING_SETUP] = {"uring_setup", ENOMEM},
    [INJECT_URING_REGISTER] = {"uring_register", ENOMEM},
    [INJECT_URING_ENTER] = {"uring_enter", 0},
    [INJECT_URING_FILE] = {"uring_file", EINVAL},
    [INJECT_SPLICE] = {"splice", EINVAL},
    [INJECT_READ_CACHED] = {"read_cached", EAGAIN},
    [INJECT_MEMBARRIER] = {"membarrier", ENOSYS},
    [INJECT_PROCESS_MADVISE] = {"process_madvise", EBADF},
};

void gust__inject_arm(gust__inject_kind kind, uint64_t nth, uint64_t times)
{
    gust__inject_disarm();
    atomic_store_explicit(&order.first, nth, memory_order_relaxed);
    atomic_store_explicit(&order.times, times, memory_order_relaxed);
    atomic_store_explicit(&order.calls, 0, memory_order_relaxed);
    atomic_store_explicit(&order.failed, 0, memory_order_relaxed);
    /* Release: pairs with the acquire in gust__inject; publishes the numbers. */
    atomic_store_explicit(&order.kind, (int)kind, memory_order_release);
}

uint64_t gust__inject_disarm(void)
{
    atomic_store_explicit(&order.kind, INJECT_KINDS, memory_order_relaxed);
    return atomic_load_explicit(&order.failed, memory_order_relaxed);
}

static int error_of(gust__inject_kind kind, uint64_t failure)
{
    static const int of_enter[] = {EAGAIN, EBUSY, EINTR};
    return kind == INJECT_URING_ENTER ? of_enter[failure % 3] : kinds[kind].error;
}

bool gust__inject(gust__inject_kind kind)
{
    if (atomic_load_explicit(&order.kind, memory_order_acquire) != (int)kind)
        return false;
    uint64_t nth = atomic_fetch_add_explicit(&order.calls, 1, memory_order_relaxed) + 1;
    uint64_t first = atomic_load_explicit(&order.first, memory_order_relaxed);
    uint64_t times = atomic_load_explicit(&order.times, memory_order_relaxed);
    if (nth < first || nth - first >= times)
        return false;
    errno = error_of(kind, atomic_fetch_add_explicit(&order.failed, 1, memory_order_relaxed));
    return true;
}

const char *gust__inject_name(gust__inject_kind kind)
{
    return kinds[kind].name;
}

/* --- GUST_FAIL -------------------------------------------------------------- */

static int kind_of(const char *name, size_t len)
{
    int kind = 0;
    while (kind < INJECT_KINDS &&
           (strncmp(kinds[kind].name, name, len) != 0 || kinds[kind].name[len]))
        kind++;
    return kind;
}

int gust__inject_from_env(void)
{
    const char *text = getenv("GUST_FAIL");
    if (!text || !*text)
        return 0;
    const char *colon = strchr(text, ':');
    int kind = colon ? kind_of(text, (size_t)(colon - text)) : INJECT_KINDS;
    char *end = NULL;
    uint64_t nth = colon ? strtoull(colon + 1, &end, 10) : 0;
    bool for_ever = end && *end == '+';
    if (kind == INJECT_KINDS || nth == 0 || end[for_ever]) {
        gust__log("GUST_FAIL=%s: wants a kind and a number, as in malloc:3 or malloc:3+", text);
        return -EINVAL;
    }
    gust__inject_arm((gust__inject_kind)kind, nth, for_ever ? INJECT_FOR_EVER : 1);
    return 0;
}

#else

/* ISO C wants something in a file. */
typedef int gust__inject_nothing;

#endif
