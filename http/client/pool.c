/* The connections of an origin.
 *
 * Idle ones are a stack: the last one used is used first, and what a quiet time does not need
 * grows old and is closed.  Always, under the mutex: `open` counts the idle ones, those in
 * calls' hands and those being made, and is at most conns_max; nobody stands in line while
 * there is an idle one or room for another.  What becomes free is handed to the first in line,
 * not put down where somebody else could take it.
 *
 * While there are idle ones a sweep comes by every second or so, closes what has been idle for
 * long, and asks the others whether their server is still there (a receive that does not
 * wait).  The same is asked before one is used, unless that follows at once upon the last use,
 * as it does in a busy client, which so pays nothing.  Should such a one be gone the request is
 * sent again, or the caller is one who is wary. */
#include "http/client/client.h"

#include "core/inject.h"

#include <gust/context.h>

#include <errno.h>
#include <stdlib.h>

TAILQ_HEAD(conn_list, client_conn);

struct pool_waiter {
    TAILQ_ENTRY(pool_waiter) link;
    gust_cond cond;
    bool served;            /* it is out of the line */
    struct client_conn *cc; /* what it got; NULL: the right to open one */
};

/* What is asked for at most: anything is too much. */
#define PROBE_VIEW_MAX 65536

static void sweep(void *arg);

/* --- Closing --------------------------------------------------------------------------- */

static void close_conn(struct client_conn *cc)
{
    gust_conn_close(cc->conn, GUST_NOW);
    free(cc);
}

static void close_all(struct conn_list *list)
{
    struct client_conn *cc;

    while ((cc = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, cc, link);
        close_conn(cc);
    }
}

/* An idle connection of a live server has nothing to say. */
static bool is_alive(const struct client_conn *cc)
{
    return gust_conn_fill(cc->conn, PROBE_VIEW_MAX, GUST_NOW) == -EAGAIN;
}

/* --- The line -------------------------------------------------------------------------- */

static void serve_locked(gust_http_origin *o, struct pool_waiter *w, struct client_conn *cc)
{
    TAILQ_REMOVE(&o->waiters, w, link);
    o->waiting--;
    w->served = true;
    w->cc = cc;
    gust_cond_signal(&w->cond);
}

/* Somebody else may open one. */
static void leave_room_locked(gust_http_origin *o)
{
    struct pool_waiter *w = TAILQ_FIRST(&o->waiters);

    if (w)
        serve_locked(o, w, NULL);
    else
        o->open--;
}

/* Whoever was served has what he got, whatever his wait says. */
static int wait_in_line_locked(gust_http_origin *o, gust_time deadline, struct client_conn **ret_cc)
{
    struct pool_waiter w = {.served = false};
    int r = 0;

    TAILQ_INSERT_TAIL(&o->waiters, &w, link);
    o->waiting++;
    while (!w.served && r == 0)
        r = gust_cond_wait(&w.cond, &o->mutex, deadline);
    if (w.served) {
        *ret_cc = w.cc;
        return 0;
    }
    TAILQ_REMOVE(&o->waiters, &w, link);
    o->waiting--;
    return r;
}

/* --- Getting ------------------------------------------------------------------------------ */

static struct client_conn *take_idle_locked(gust_http_origin *o)
{
    struct client_conn *cc = TAILQ_FIRST(&o->idle);

    if (cc) {
        TAILQ_REMOVE(&o->idle, cc, link);
        o->idle_count--;
        o->reused++;
    }
    return cc;
}

/* The last one that is alive. */
static struct client_conn *get_idle(gust_http_origin *o, bool wary)
{
    struct client_conn *cc;
    bool stale = false;

    do {
        gust_time now = gust_now();
        gust_mutex_lock(&o->mutex);
        if (stale) {
            o->stale++;
            o->reused--;
            leave_room_locked(o);
        }
        cc = take_idle_locked(o);
        bool ask = cc && (wary || now - cc->idle_since > FRESH_NS);
        gust_mutex_unlock(&o->mutex);
        if (!ask)
            return cc;
        stale = !is_alive(cc);
        if (stale)
            close_conn(cc);
    } while (stale);
    return cc;
}

/* Room for a new one: there is, or it is made at the cost of an idle one, or waited for. */
static int get_room(const gust_http_call *call, bool fresh, struct client_conn **ret_cc)
{
    gust_http_origin *o = call->origin;
    int r = 0;

    *ret_cc = NULL;
    gust_mutex_lock(&o->mutex);
    if (o->open < o->conns_max)
        o->open++;
    else if (!(*ret_cc = take_idle_locked(o)))
        r = wait_in_line_locked(o, call_deadline(call, call->timeouts.wait_ns), ret_cc);
    if (fresh && *ret_cc)
        o->reused--;
    gust_mutex_unlock(&o->mutex);
    return r;
}

int gust__pool_get(const gust_http_call *call, bool wary, bool fresh, struct client_conn **ret_cc)
{
    *ret_cc = fresh ? NULL : get_idle(call->origin, wary);
    if (*ret_cc)
        return 0;
    int r = get_room(call, fresh, ret_cc);
    if (r == 0 && fresh && *ret_cc) {
        close_conn(*ret_cc);
        *ret_cc = NULL;
    }
    return r;
}

/* --- Giving back ---------------------------------------------------------------------------- */

static void arm_locked(gust_http_origin *o)
{
    if (o->armed)
        return;
    o->armed = true;
    gust_waitgroup_add(&o->sweeping, 1);
    gust_timer_reset(o->timer, gust_after(o->sweep_ns));
}

void gust__pool_put(struct client_conn *cc)
{
    gust_http_origin *o = cc->origin;
    bool kept = true;

    cc->used = true;
    cc->idle_since = gust_now();
    gust_mutex_lock(&o->mutex);
    bool current = cc->generation == o->generation;
    struct pool_waiter *w = TAILQ_FIRST(&o->waiters);
    if (w && current) {
        o->reused++;
        serve_locked(o, w, cc);
    } else if (current && o->idle_count < o->idle_max) {
        TAILQ_INSERT_HEAD(&o->idle, cc, link);
        o->idle_count++;
        arm_locked(o);
    } else {
        kept = false;
        leave_room_locked(o);
    }
    gust_mutex_unlock(&o->mutex);
    if (!kept)
        close_conn(cc);
}

void gust__pool_close(struct client_conn *cc)
{
    gust_http_origin *o = cc->origin;

    close_conn(cc);
    gust_mutex_lock(&o->mutex);
    leave_room_locked(o);
    gust_mutex_unlock(&o->mutex);
}

gust_conn *gust__pool_give_away(struct client_conn *cc)
{
    gust_http_origin *o = cc->origin;
    gust_conn *conn = cc->conn;

    free(cc);
    gust_mutex_lock(&o->mutex);
    leave_room_locked(o);
    gust_mutex_unlock(&o->mutex);
    return conn;
}

void gust__pool_opened(gust_http_origin *o, bool success)
{
    gust_mutex_lock(&o->mutex);
    if (success) {
        o->opened++;
    } else {
        o->failed++;
        leave_room_locked(o);
    }
    gust_mutex_unlock(&o->mutex);
}

/* --- The sweep -------------------------------------------------------------------------------- */

static void pick_dead_locked(gust_http_origin *o, struct conn_list *ret_dead)
{
    struct client_conn *cc = TAILQ_FIRST(&o->idle), *next;
    gust_time now = gust_now();

    for (; cc; cc = next) {
        next = TAILQ_NEXT(cc, link);
        bool old = now - cc->idle_since >= o->idle_ns;
        if (!old && is_alive(cc))
            continue;
        o->stale += !old;
        TAILQ_REMOVE(&o->idle, cc, link);
        TAILQ_INSERT_TAIL(ret_dead, cc, link);
        o->idle_count--;
        o->open--; /* nobody stands in line while one is idle */
    }
}

/* In a goroutine of the timer's. */
static void sweep(void *arg)
{
    struct conn_list dead = TAILQ_HEAD_INITIALIZER(dead);
    gust_http_origin *o = arg;

    gust_mutex_lock(&o->mutex);
    pick_dead_locked(o, &dead);
    bool again = o->armed = o->idle_count > 0;
    if (again)
        gust_timer_reset(o->timer, gust_after(o->sweep_ns));
    gust_mutex_unlock(&o->mutex);
    close_all(&dead);
    if (again)
        return;
    bool unused = gust__origin_unlist_unused(o);
    gust_waitgroup_done(&o->sweeping);
    if (unused)
        gust_http_origin_unref(o);
}

static void drop_idle(gust_http_origin *o, bool renew)
{
    struct conn_list all = TAILQ_HEAD_INITIALIZER(all);

    gust_mutex_lock(&o->mutex);
    TAILQ_CONCAT(&all, &o->idle, link);
    o->open -= o->idle_count;
    o->idle_count = 0;
    o->generation += renew;
    gust_mutex_unlock(&o->mutex);
    close_all(&all);
}

void gust_http_origin_close_idle(gust_http_origin *o)
{
    drop_idle(o, false);
}

void gust_http_origin_renew(gust_http_origin *o)
{
    drop_idle(o, true);
}

unsigned gust__pool_generation(gust_http_origin *o)
{
    gust_mutex_lock(&o->mutex);
    unsigned generation = o->generation;
    gust_mutex_unlock(&o->mutex);
    return generation;
}

/* --- Life --------------------------------------------------------------------------------------- */

int gust__pool_init(gust_http_origin *o)
{
    TAILQ_INIT(&o->idle);
    TAILQ_INIT(&o->waiters);
    return gust_timer_new(sweep, o, &o->timer);
}

/* The sweep is called off or waited for, whatever happens to the caller's context. */
void gust__pool_fini(gust_http_origin *o)
{
    gust_http_origin_close_idle(o);
    if (gust_timer_stop(o->timer))
        gust_waitgroup_done(&o->sweeping);
    gust_context *context = gust_context_swap(NULL);
    (void)gust_waitgroup_wait(&o->sweeping, GUST_FOREVER);
    gust_context_swap(context);
    gust_timer_free(o->timer);
}

bool gust__pool_is_empty(gust_http_origin *o)
{
    gust_mutex_lock(&o->mutex);
    bool empty = o->open == 0 && !o->armed;
    gust_mutex_unlock(&o->mutex);
    return empty;
}

void gust_http_origin_stats_read(gust_http_origin *o, gust_http_origin_stats *ret_stats)
{
    gust_mutex_lock(&o->mutex);
    *ret_stats = (gust_http_origin_stats){
        .in_use = o->open - o->idle_count,
        .idle = o->idle_count,
        .waiting = o->waiting,
        .opened = o->opened,
        .failed = o->failed,
        .reused = o->reused,
        .stale = o->stale,
    };
    gust_mutex_unlock(&o->mutex);
}
