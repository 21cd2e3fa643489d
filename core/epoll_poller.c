/* What an epoll poller is made of, and how threads sleep in it. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/inject.h"
#include "core/netpoll_epoll.h"
#include "core/sched.h"
#include "core/syscall.h"

/* What the eventfd carries in the place of a descriptor's tag. */
#define WAKE_TAG 0

#define NO_BUF UINT32_MAX

int gust__epoll_ctl(gust__epoll *p, int how, int fd, uint32_t events, uint64_t tag)
{
    /* Release: pairs with report(), for the kernel's order is none of C11's.  What the
     * caller knows of the descriptor is known to who gets its events. */
    atomic_fetch_add_explicit(&p->changes, 1, memory_order_release);
    struct epoll_event event = {.events = events, .data.u64 = tag};
    if (how == EPOLL_CTL_ADD && gust__inject(INJECT_EPOLL_ADD))
        return -errno;
    return epoll_ctl(p->fd, how, fd, &event) < 0 ? -errno : 0;
}

/* --- Open and close ------------------------------------------------------ */

static void link_bufs(gust__epoll *p)
{
    p->free_buf = NO_BUF;
    for (uint32_t i = p->base.buf_count; i-- > 0;) {
        p->base.bufs[i].next_free = p->free_buf;
        p->free_buf = i;
    }
}

static int open_at(gust__epoll *p, const char **ret_step)
{
    *ret_step = "eventfd and buffers";
    int error = gust__poller_init(&p->base, EPOLL_BUFS);
    if (error)
        return error;
    link_bufs(p);
    *ret_step = "epoll_create1";
    p->fd = gust__inject(INJECT_EPOLL_CREATE) ? -1 : epoll_create1(EPOLL_CLOEXEC);
    if (p->fd < 0) {
        error = -errno;
        goto fini;
    }
    *ret_step = "epoll_ctl";
    error = gust__epoll_ctl(p, EPOLL_CTL_ADD, p->base.wake_fd, EPOLLIN | EPOLLET, WAKE_TAG);
    if (error)
        goto close_fd;
    return 0;
close_fd:
    close(p->fd);
fini:
    gust__poller_fini(&p->base);
    return error;
}

static int open_steps(gust__epoll **ret_p, const char **ret_step)
{
    *ret_step = "memory";
    gust__epoll *p = gust__calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    int error = open_at(p, ret_step);
    if (error)
        free(p);
    else
        *ret_p = p;
    return error;
}

void gust__epoll_close(gust__poller *base)
{
    gust__epoll *p = gust__epoll_of(base);
    gust__desc_forget_home(p);
    close(p->fd);
    gust__poller_fini(base);
    free(p);
}

int gust__epoll_open(gust__poller **ret_poller)
{
    const char *step;
    gust__epoll *p;
    int error = open_steps(&p, &step);
    if (error)
        gust__log("cannot open a poller: %s: %s", step, strerrordesc_np(-error));
    else
        *ret_poller = &p->base;
    return error;
}

int gust__epoll_probe(const char **ret_why)
{
    gust__epoll *p;
    int error = open_steps(&p, ret_why);
    if (!error)
        gust__epoll_close(&p->base);
    return error;
}

/* --- Buffers ------------------------------------------------------------- */

gust__buf *gust__buf_take(gust__poller *base)
{
    gust__epoll *p = gust__epoll_of(base);
    gust__buf *buf = NULL;
    gust__lock_take(&base->lock, RANK_POLLER);
    if (p->free_buf != NO_BUF) {
        buf = &base->bufs[p->free_buf];
        p->free_buf = buf->next_free;
    }
    gust__lock_drop(&base->lock);
    return buf;
}

/* Last in, first out: a few warm buffers serve most of the traffic. */
void gust__epoll_buf_put(gust__buf *buf)
{
    gust__epoll *p = gust__epoll_of(buf->home);
    gust__lock_take(&p->base.lock, RANK_POLLER);
    buf->next_free = p->free_buf;
    p->free_buf = buf->id;
    gust__lock_drop(&p->base.lock);
}

/* --- Sleeping ------------------------------------------------------------ */

static void report(gust__epoll *p, const struct epoll_event *events, int n)
{
    /* Acquire: pairs with gust__epoll_ctl. */
    (void)atomic_load_explicit(&p->changes, memory_order_acquire);
    gust__desc_list list = {.end = &list.first};
    for (int i = 0; i < n; i++)
        if (events[i].data.u64 != WAKE_TAG)
            gust__desc_report(events[i].data.u64, events[i].events, &list);
    gust__desc_list_add(p, &list);
}

static int timeout_ms(int64_t ns)
{
    if (ns < 0)
        return -1;
    int64_t ms = ns / GUST_MS + (ns % GUST_MS != 0);
    return ms < INT_MAX ? (int)ms : INT_MAX;
}

/* epoll_pwait2 (5.11) knows nanoseconds; without it a timer is late by up to a
 * millisecond.  Some filters answer EPERM for what they do not know. */
static int wait_events(gust__epoll *p, struct epoll_event *events, int64_t timeout_ns)
{
    static _Atomic bool no_pwait2;
    if (!atomic_load_explicit(&no_pwait2, memory_order_relaxed)) {
        struct timespec ts = {.tv_sec = timeout_ns / GUST_SEC, .tv_nsec = timeout_ns % GUST_SEC};
        long n = syscall(SYS_epoll_pwait2, p->fd, events, EPOLL_EVENTS_MAX,
                         timeout_ns < 0 ? NULL : &ts, NULL, 0);
        if (n >= 0 || (errno != ENOSYS && errno != EPERM))
            return (int)n;
        atomic_store_explicit(&no_pwait2, true, memory_order_relaxed);
    }
    return epoll_wait(p->fd, events, EPOLL_EVENTS_MAX, timeout_ms(timeout_ns));
}

/* Takes the wake, if there is one. */
static bool may_sleep(gust__epoll *p)
{
    return !gust__wake_take(&p->base) &&
           !atomic_load_explicit(&p->reported, memory_order_relaxed) &&
           !atomic_load_explicit(&p->base.finished, memory_order_relaxed);
}

void gust__epoll_sleep(gust__poller *base, int64_t timeout_ns)
{
    gust__epoll *p = gust__epoll_of(base);
    struct epoll_event events[EPOLL_EVENTS_MAX];
    atomic_fetch_add_explicit(&p->sleepers, 1, memory_order_seq_cst);
    if (may_sleep(p)) {
        report(p, events, wait_events(p, events, timeout_ns));
        gust__wake_take(base);
    }
    /* Pairs with stay_watched. */
    atomic_fetch_sub_explicit(&p->sleepers, 1, memory_order_seq_cst);
}

void gust__epoll_collect(gust__poller *base)
{
    gust__epoll *p = gust__epoll_of(base);
    struct epoll_event events[EPOLL_EVENTS_MAX];
    if (atomic_load_explicit(&base->in_flight, memory_order_relaxed) > 0)
        report(p, events, gust__sys_epoll_poll(p->fd, events, EPOLL_EVENTS_MAX));
}
