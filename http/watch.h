/* The contexts that handlers run under, and who cancels them: the client that goes away,
 * a shutdown that has waited long enough, the end of the handler.
 *
 * A request that is over soon must not pay for that.  So its context is one that served
 * others before, in a record that costs it a store and an exchange; a timer looks at the
 * records every GUST_HTTP_WATCH_NS.  Only where the same handler runs at two looks in a
 * row the kernel is asked to tell when the client goes (gust_conn_watch).  Turns of a
 * record, and who makes each transition:
 *
 *     IDLE    --begin-->  RUNNING  of the next turn
 *     RUNNING --end-->    IDLE
 *     RUNNING --look-->   WATCHED  by CAS: from here on the conn is watched, and `end`
 *                                  has to undo that
 *     WATCHED --end-->    IDLE     after the conn is watched no more
 *
 * Always, under the mutex: a record that exists is in `watched` if its turn was taken to
 * WATCHED and `end` has not undone that, else in `fresh`. */
#ifndef GUST_HTTP_WATCH_H
#define GUST_HTTP_WATCH_H

#include <gust/context.h>
#include <gust/net.h>
#include <gust/sync.h>
#include <gust/timer.h>

#include <stdatomic.h>
#include <sys/queue.h>

struct http_watch {
    struct http_watcher *watcher;
    /* With two references: the record's, and one which the goroutine has that took the
     * record.  Changed under the mutex; NULL: the last one was not fit for others. */
    gust_context *context;
    gust_context *parent; /* what the context is below, and kept alive by it */
    gust_context *base;   /* what the goroutine had instead; its reference, meanwhile ours */
    bool inside;          /* the goroutine is under the context, and we have base */
    gust_conn *conn;      /* the handler's */
    _Atomic uint32_t turn;
    uint32_t seen; /* the turn at the last look; under the mutex */
    bool detached; /* the handler is no more the server's business; the same */
    LIST_ENTRY(http_watch) link;
};

struct http_watcher {
    gust_pool *records; /* those without a handler */
    gust_timer *timer;  /* NULL: clients may go as they like */
    /* False: nobody has to look, and who begins has to start the timer. */
    atomic_bool looking;

    gust_mutex mutex;
    LIST_HEAD(http_watches, http_watch) fresh;
    struct http_watches watched;
    bool armed;          /* the timer, or its goroutine is under way */
    bool stopped;        /* it is not to be armed again */
    bool canceled;       /* all contexts, for good */
    gust_waitgroup over; /* as long as it is armed */
};

/* Errors: -ENOMEM; nothing is left then. */
int gust__http_watcher_init(struct http_watcher *w, bool ignore_clients);

/* The end of looking: waits for a look under way. */
void gust__http_watcher_stop(struct http_watcher *w);

/* After the stop, when no record is in use. */
void gust__http_watcher_fini(struct http_watcher *w);

/* Cancels the contexts of all handlers, also of those that begin later. */
void gust__http_watcher_cancel(struct http_watcher *w);

/* A record for as long as a goroutine runs handlers, which is under the record's context
 * from then on; NULL without memory. */
struct http_watch *gust__http_watch_take(struct http_watcher *w);

/* Then it is under its own again.  NULL is accepted. */
void gust__http_watch_put(struct http_watch *watch);

/* Around a handler.  Errors: -ENOMEM. */
int gust__http_watch_begin(struct http_watch *watch, gust_conn *conn);
void gust__http_watch_end(struct http_watch *watch);

/* The handler goes on with the conn as its own: from now on only its end cancels. */
void gust__http_watch_detach(struct http_watch *watch);

/* Around a wait for the client: that the context is cancelled says nothing new about a
 * conn which is waited for, and a client that has ended its direction may still read.
 * Under a context of the handler's own it changes nothing; begin tells whether it did. */
bool gust__http_watch_io_begin(struct http_watch *watch);
void gust__http_watch_io_end(struct http_watch *watch, bool changed);

#endif
