/* GUST_SCHEDTRACE=ms: a line about the scheduler on stderr every so often, by
 * sysmon; the words are those of Go's GODEBUG=schedtrace. */
#include <errno.h>
#include <stdlib.h>

#include "core/proc.h"
#include "core/text.h"

#define MS_MAX 86400000ULL /* a day */

static struct {
    int64_t period_ns; /* 0: off */
    gust_time began, next;
} trace;

int gust__schedtrace_setup(const char *text)
{
    trace.period_ns = 0;
    if (!text || !*text)
        return 0;
    char *end;
    errno = 0;
    unsigned long long ms = strtoull(text, &end, 10);
    if (errno || *end || *text < '0' || *text > '9' || ms < 1 || ms > MS_MAX)
        return -EINVAL;
    trace.period_ns = (int64_t)ms * GUST_MS;
    trace.began = gust_now();
    trace.next = trace.began + trace.period_ns;
    return 0;
}

/* Ms that wait for a P, or for work in the poller of one. */
static unsigned idle_threads_locked(void)
{
    unsigned n = 0;
    for (M *m = sched.midle; m; m = m->idle_link)
        n++;
    for (P *p = sched.pidle; p; p = p->idle_link)
        n += p->sleeper != NULL;
    return n;
}

static void put(gust__text *t, const char *name, uint64_t n)
{
    text_string(t, name);
    text_number(t, n);
}

static void put_queues(gust__text *t)
{
    for (int i = 0; i < sched.nprocs; i++) {
        gust__runq *q = &sched.allp[i].runq;
        bool has_next = atomic_load_explicit(&q->runnext, memory_order_relaxed) != NULL;
        put(t, i ? " " : " [", gust__runq_len(q) + has_next);
    }
    text_string(t, "]\n");
}

static void print_line(gust_time now)
{
    gust__text t = {.fd = STDERR_FILENO};
    gust__lock_take(&sched.lock, RANK_SCHED);
    unsigned idle = idle_threads_locked();
    gust__lock_drop(&sched.lock);
    put(&t, "SCHED ", (uint64_t)((now - trace.began) / GUST_MS));
    put(&t, "ms: maxprocs=", (uint64_t)sched.nprocs);
    put(&t, " idleprocs=", atomic_load_explicit(&sched.npidle, memory_order_relaxed));
    put(&t, " threads=", atomic_load_explicit(&sched.nm, memory_order_relaxed));
    put(&t, " spinningthreads=", atomic_load_explicit(&sched.nmspinning, memory_order_relaxed));
    put(&t, " idlethreads=", idle);
    put(&t, " runqueue=", atomic_load_explicit(&sched.glist_count, memory_order_relaxed));
    put_queues(&t);
    text_out(&t);
}

gust_time gust__schedtrace(gust_time now)
{
    if (trace.period_ns == 0)
        return GUST_FOREVER;
    if (now >= trace.next) {
        print_line(now);
        /* Lines that were missed are not made up for. */
        trace.next += ((now - trace.next) / trace.period_ns + 1) * trace.period_ns;
    }
    return trace.next;
}
