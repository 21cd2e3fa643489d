/* SQPOLL: what the rings of a process share whose requests a kernel thread submits.
 *
 * One such thread serves all rings, by IORING_SETUP_ATTACH_WQ: a thread each would
 * leave no CPU for the goroutines.  It is the submitter of every request, so a P
 * may change its thread, and a thread may end, with no effect on what is in flight;
 * and one poll of the eventfd is good for whoever sleeps.
 *
 * The other half is not to sleep: an M that has nothing to do looks for completions
 * in shared memory for a moment, in which the kernel's thread has usually made one.
 *
 * Everything here is of the thread that calls gust_run, or tests: pollers are opened
 * and closed by nobody else. */
#include <errno.h>
#include <stdlib.h>

#include "core/maxprocs.h"
#include "core/netpoll_uring.h"
#include "core/sched.h"

/* The kernel rounds up to its clock's ticks.  Longer than the pauses of a busy server;
 * short enough that an idle one does not burn a CPU. */
#define IDLE_MS_DEFAULT 20
#define IDLE_MS_MAX 60000

/* What a sleep and the wake that ends it cost two threads together, and twice that. */
#define SPIN_NS (50 * GUST_US)

static struct {
    gust__uring *rings; /* those that are open, by next_sqpoll */
    uint32_t idle_ms;
    int64_t spin_ns;
} sqpoll;

static int read_idle_ms(uint32_t *ret_ms)
{
    const char *text = getenv("GUST_SQPOLL_IDLE_MS");
    char *end;
    *ret_ms = IDLE_MS_DEFAULT;
    if (!text || !*text)
        return 0;
    unsigned long ms = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || ms < 1 || ms > IDLE_MS_MAX)
        return -EINVAL;
    *ret_ms = (uint32_t)ms;
    return 0;
}

/* On a single CPU to spin is to keep the kernel's thread from it. */
static int setup(const char **ret_why)
{
    *ret_why = "GUST_SQPOLL_IDLE_MS wants milliseconds, from 1 to 60000";
    sqpoll.spin_ns = gust__maxprocs_default() > 1 ? SPIN_NS : 0;
    return read_idle_ms(&sqpoll.idle_ms);
}

int gust__sqpoll_probe(const char **ret_why)
{
    int error = setup(ret_why);
    return error ? error : gust__uring_probe_as(true, ret_why);
}

int gust__sqpoll_open(gust__poller **ret_poller)
{
    return gust__uring_open_as(true, ret_poller);
}

void gust__sqpoll_config(gust__ring_config *config)
{
    config->sqpoll = true;
    config->sqpoll_idle_ms = sqpoll.idle_ms;
    config->sqpoll_with = sqpoll.rings ? sqpoll.rings->ring.fd : -1;
}

void gust__sqpoll_opened(gust__uring *p)
{
    p->spin_ns = sqpoll.spin_ns;
    p->next_sqpoll = sqpoll.rings;
    sqpoll.rings = p;
}

void gust__sqpoll_closing(gust__uring *p)
{
    gust__uring **at = &sqpoll.rings;
    while (*at != p)
        at = &(*at)->next_sqpoll;
    *at = p->next_sqpoll;
}

static bool has_come(const gust__uring *p)
{
    return gust__ring_ready(&p->ring) ||
           atomic_load_explicit(&p->base.finished, memory_order_relaxed) ||
           atomic_load_explicit(&p->base.wake_pending, memory_order_relaxed);
}

static bool has_come_until(const gust__uring *p, gust_time end)
{
    while (!has_come(p)) {
        if (gust_now() >= end)
            return false;
        gust__cpu_relax();
    }
    return true;
}

/* A sleep shorter than the look is none: the timer that wants it is seen to sooner, and
 * without a system call. */
bool gust__sqpoll_spin(gust__uring *p, int64_t *timeout_ns)
{
    if (atomic_load_explicit(&p->base.in_flight, memory_order_relaxed) == 0)
        return has_come(p);
    bool limited = *timeout_ns >= 0;
    int64_t spin_ns = limited && *timeout_ns < p->spin_ns ? *timeout_ns : p->spin_ns;
    gust_time begin = gust_now();
    if (has_come_until(p, begin + spin_ns))
        return true;
    if (limited)
        *timeout_ns -= gust_now() - begin;
    return limited && *timeout_ns <= 0;
}
