/* The epoll poller as its own files see it: the poller, and a record for each
 * descriptor. */
#ifndef GUST_CORE_NETPOLL_EPOLL_H
#define GUST_CORE_NETPOLL_EPOLL_H

#include "core/netpoll_backend.h"

typedef struct gust__desc gust__desc;

typedef struct gust__epoll {
    gust__poller base;
    int fd;                    /* the epoll instance */
    _Atomic uint32_t sleepers; /* threads that sleep in it, or are about to, or have just */
    _Atomic uint32_t changes;  /* calls of epoll_ctl(2) for it */
    /* Descriptors with events that nobody has acted on, linked by desc->next.
     * Written under base.lock, read by anyone. */
    _Atomic(gust__desc *) reported;
    uint32_t free_buf; /* first of the free buffers' list.  Under base.lock */
} gust__epoll;

/* What operations wait for.  A poll for POLLRDHUP alone may wait beside a reader. */
enum { DIR_READ, DIR_WRITE, DIR_HANG_UP, DIR_COUNT };

/* Records are never freed, only used again, so that an event which comes late
 * finds valid memory; the generation tells that it is late. */
struct gust__desc {
    gust__lock lock; /* RANK_FD: all but the last two */
    int fd;
    uint16_t generation;     /* of this use of the record; part of what epoll carries */
    bool hung_up;            /* the peer sends no more: to read is never to wait */
    bool dispatching;        /* a multishot accept runs with the lock dropped */
    bool queued;             /* on some poller's `reported`, or on its way there or from
                                there to who acts on it: `next` is theirs */
    uint8_t ready;           /* 1 << DIR_*: an event came while no op was parked */
    uint16_t events;         /* reported (EPOLLIN...) and not acted on */
    gust__epoll *home;       /* whose epoll instance it is in; NULL: none yet */
    gust__op *op[DIR_COUNT]; /* who is parked; a poll may be in both */
    gust__desc *next;        /* on `reported`, also under that poller's lock; or free,
                                under the pool's */
};

/* Events taken from the kernel at once, and descriptors acted on by one reap: each may have
 * an op in both directions. */
#define EPOLL_EVENTS_MAX (GUST__REAP_MAX / 2)

/* Read buffers of a poller.  One is picked when a descriptor is acted on, not before as
 * the kernel does it for io_uring: so there are few without a goroutine at work on them. */
#define EPOLL_BUFS (2 * EPOLL_EVENTS_MAX)

static inline gust__epoll *gust__epoll_of(gust__poller *p)
{
    return (gust__epoll *)p;
}

/* --- epoll_poller.c ------------------------------------------------------ */

int gust__epoll_probe(const char **ret_why);
int gust__epoll_open(gust__poller **ret_poller);
void gust__epoll_close(gust__poller *base);
void gust__epoll_buf_put(gust__buf *buf);
void gust__epoll_sleep(gust__poller *base, int64_t timeout_ns);
void gust__epoll_collect(gust__poller *base);

/* epoll_ctl(2) with a negative errno value. */
int gust__epoll_ctl(gust__epoll *p, int how, int fd, uint32_t events, uint64_t tag);

/* --- epoll_desc.c -------------------------------------------------------- */

/* NULL if there is no memory. */
gust__desc *gust__desc_new(int fd);

/* Nothing is parked on it, and no epoll instance knows it any more. */
void gust__desc_free(gust__desc *d);

/* Forgets p everywhere, with the ops parked there: before p is gone, when no
 * other thread of the runtime runs. */
void gust__desc_forget_home(gust__epoll *p);

/* What epoll carries for us: the record and its generation.  Never 0. */
uint64_t gust__desc_tag(const gust__desc *d);
gust__desc *gust__desc_of_tag(uint64_t tag);

/* Descriptors that are to go on a poller's list, linked by desc->next. */
typedef struct gust__desc_list {
    gust__desc *first;
    gust__desc **end;
} gust__desc_list;

/* Stores events and, unless d is on a list already, appends it to this one; late events
 * are dropped.  Any thread. */
void gust__desc_report(uint64_t tag, uint32_t events, gust__desc_list *list);

/* Puts them on p's list, in their order.  Any thread. */
void gust__desc_list_add(gust__epoll *p, gust__desc_list *list);

/* Takes up to `max` off p's list; returns how many. */
int gust__desc_take(gust__epoll *p, gust__desc **ret_descs, int max);

/* For each that was taken: with its lock, d can be acted on.  False, without it: it is
 * not in use any more. */
bool gust__desc_begin(gust__desc *d);

#endif
