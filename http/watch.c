/* The contexts of handlers; watch.h has the rules. */
#include "http/watch.h"

#include "core/inject.h"

#include <gust/http.h>

#include <errno.h>
#include <stdlib.h>

enum { IDLE, RUNNING, WATCHED, PHASES = 4 };

static uint32_t phase_of(uint32_t turn)
{
    return turn % PHASES;
}

static uint32_t with_phase(uint32_t turn, uint32_t phase)
{
    return turn - phase_of(turn) + phase;
}

/* --- Contexts -------------------------------------------------------------- */

/* Drops `refs` references.  Others may still live under the context: they hear that the
 * handler is over, as in Go. */
static void drop_context(struct http_watch *w, int refs)
{
    gust_context *context = w->context;

    gust_mutex_lock(&w->watcher->mutex);
    w->context = NULL;
    gust_mutex_unlock(&w->watcher->mutex);
    gust_context_cancel(context, -ECANCELED);
    while (refs-- > 0)
        gust_context_unref(context);
}

static int make_context(struct http_watch *w, gust_context *parent)
{
    gust_context *context;
    int r = gust_context_new(parent, &context);

    if (r < 0)
        return r;
    gust_mutex_lock(&w->watcher->mutex);
    w->context = gust_context_ref(context);
    w->parent = parent;
    if (w->watcher->canceled)
        gust_context_cancel(context, -ESHUTDOWN);
    gust_mutex_unlock(&w->watcher->mutex);
    return 0;
}

/* Puts the caller under a context that is as new. */
static int enter(struct http_watch *w)
{
    gust_context *parent = gust_context_current();

    if (w->context && w->parent != parent)
        drop_context(w, 2);
    int r = w->context ? 0 : make_context(w, parent);
    if (r < 0)
        return r;
    w->base = gust_context_swap(w->context);
    w->inside = true;
    return 0;
}

/* Takes the caller out of it.  Keeps it for the next one, unless somebody else has heard
 * of it: the handler may also have left one of its own behind, and kept the reference. */
static void leave(struct http_watch *w)
{
    gust_context *left = gust_context_swap(w->base);

    w->inside = false;
    if (left != w->context) {
        gust_context_unref(left);
        drop_context(w, 1);
    } else if (!gust_context_unshared(w->context, 2)) {
        drop_context(w, 2);
    }
}

/* --- Records --------------------------------------------------------------- */

static void *record_new(void *arg)
{
    struct http_watcher *watcher = arg;
    struct http_watch *w = gust__calloc(1, sizeof(*w));

    if (!w)
        return NULL;
    w->watcher = watcher;
    atomic_init(&w->turn, IDLE);
    gust_mutex_lock(&watcher->mutex);
    LIST_INSERT_HEAD(&watcher->fresh, w, link);
    gust_mutex_unlock(&watcher->mutex);
    return w;
}

static void record_free(void *item, void *arg)
{
    struct http_watcher *watcher = arg;
    struct http_watch *w = item;

    gust_mutex_lock(&watcher->mutex);
    LIST_REMOVE(w, link);
    gust_mutex_unlock(&watcher->mutex);
    if (w->context)
        drop_context(w, 2);
    free(w);
}

struct http_watch *gust__http_watch_take(struct http_watcher *w)
{
    struct http_watch *watch = gust_pool_get(w->records);

    if (watch && enter(watch) < 0) {
        gust_pool_put(w->records, watch);
        return NULL;
    }
    return watch;
}

void gust__http_watch_put(struct http_watch *watch)
{
    if (!watch)
        return;
    if (watch->inside)
        leave(watch);
    gust_pool_put(watch->watcher->records, watch);
}

/* --- Looking --------------------------------------------------------------- */

/* Under the mutex, as all here.  Has something happened, or may it soon? */
static bool look_at(struct http_watcher *watcher, struct http_watch *w)
{
    /* Acquire: pairs with the release in begin; conn and context are the turn's. */
    uint32_t turn = atomic_load_explicit(&w->turn, memory_order_acquire);
    uint32_t seen = w->seen;

    w->seen = turn;
    if (turn != seen || phase_of(turn) != RUNNING)
        return turn != seen;
    if (!atomic_compare_exchange_strong(&w->turn, &turn, with_phase(turn, WATCHED)))
        return true;
    LIST_REMOVE(w, link);
    LIST_INSERT_HEAD(&watcher->watched, w, link);
    /* It fails if the conn is closed, or watched by the handler itself. */
    (void)gust_conn_watch(w->conn, w->context);
    return false;
}

static bool look_at_all(struct http_watcher *watcher)
{
    struct http_watch *w = LIST_FIRST(&watcher->fresh);
    bool active = false;

    while (w) {
        struct http_watch *next = LIST_NEXT(w, link);
        active |= look_at(watcher, w);
        w = next;
    }
    return active;
}

static void arm(struct http_watcher *watcher)
{
    gust_timer_reset(watcher->timer, gust_after(GUST_HTTP_WATCH_NS));
}

/* When nothing happens it stops `looking`, and looks once more: whoever had not seen that
 * and so did not start it has by then, a moment being as long as it is, been seen.  A
 * fence in `begin` would be the other way. */
static void tick(void *arg)
{
    struct http_watcher *watcher = arg;

    gust_mutex_lock(&watcher->mutex);
    bool was_looking = atomic_load(&watcher->looking);
    bool active = look_at_all(watcher);
    atomic_store(&watcher->looking, active);
    watcher->armed = (active || was_looking) && !watcher->stopped;
    bool over = !watcher->armed;
    if (!over)
        arm(watcher);
    gust_mutex_unlock(&watcher->mutex);
    if (over)
        gust_waitgroup_done(&watcher->over);
}

static void start_looking(struct http_watcher *watcher)
{
    gust_mutex_lock(&watcher->mutex);
    atomic_store(&watcher->looking, true);
    if (!watcher->armed && !watcher->stopped) {
        watcher->armed = true;
        gust_waitgroup_add(&watcher->over, 1);
        arm(watcher);
    }
    gust_mutex_unlock(&watcher->mutex);
}

/* --- A handler -------------------------------------------------------------- */

int gust__http_watch_begin(struct http_watch *watch, gust_conn *conn)
{
    uint32_t turn = atomic_load_explicit(&watch->turn, memory_order_relaxed);
    int r = watch->inside ? 0 : enter(watch);

    if (r < 0)
        return r;
    watch->conn = conn;
    /* Release: publishes conn and context.  Pairs with the acquire in look_at. */
    atomic_store_explicit(&watch->turn, with_phase(turn + PHASES, RUNNING), memory_order_release);
    if (!atomic_load_explicit(&watch->watcher->looking, memory_order_relaxed))
        start_looking(watch->watcher);
    return 0;
}

/* After this nobody but a shutdown cancels the context. */
static void end_turn(struct http_watch *w)
{
    uint32_t turn = atomic_load_explicit(&w->turn, memory_order_relaxed);

    turn = atomic_exchange(&w->turn, with_phase(turn, IDLE));
    if (phase_of(turn) != WATCHED)
        return;
    gust_mutex_lock(&w->watcher->mutex);
    LIST_REMOVE(w, link);
    LIST_INSERT_HEAD(&w->watcher->fresh, w, link);
    gust_mutex_unlock(&w->watcher->mutex);
    gust_conn_unwatch(w->conn);
}

static void set_detached(struct http_watch *w, bool detached)
{
    gust_mutex_lock(&w->watcher->mutex);
    w->detached = detached;
    gust_mutex_unlock(&w->watcher->mutex);
}

void gust__http_watch_end(struct http_watch *watch)
{
    end_turn(watch);
    if (gust_context_current() != watch->context || !gust_context_unshared(watch->context, 2))
        leave(watch);
    if (watch->detached)
        set_detached(watch, false);
}

void gust__http_watch_detach(struct http_watch *watch)
{
    end_turn(watch);
    set_detached(watch, true);
}

bool gust__http_watch_io_begin(struct http_watch *watch)
{
    if (!watch->inside || gust_context_current() != watch->context)
        return false;
    gust_context_swap(watch->base);
    return true;
}

void gust__http_watch_io_end(struct http_watch *watch, bool changed)
{
    if (changed)
        watch->base = gust_context_swap(watch->context);
}

/* --- All of them -------------------------------------------------------------- */

static void cancel_list(struct http_watches *list)
{
    struct http_watch *w;

    LIST_FOREACH(w, list, link)
    {
        if (w->context && !w->detached)
            gust_context_cancel(w->context, -ESHUTDOWN);
    }
}

void gust__http_watcher_cancel(struct http_watcher *w)
{
    gust_mutex_lock(&w->mutex);
    w->canceled = true;
    cancel_list(&w->fresh);
    cancel_list(&w->watched);
    gust_mutex_unlock(&w->mutex);
}

int gust__http_watcher_init(struct http_watcher *w, bool ignore_clients)
{
    const gust_pool_options options = {.make = record_new, .free = record_free, .arg = w};
    int r = ignore_clients ? 0 : gust_timer_new(tick, w, &w->timer);

    if (r < 0)
        return r;
    if ((r = gust_pool_new(&options, &w->records)) < 0) {
        gust_timer_free(w->timer);
        w->timer = NULL;
        return r;
    }
    LIST_INIT(&w->fresh);
    LIST_INIT(&w->watched);
    /* Who begins shall not try to start a timer that is not there. */
    atomic_init(&w->looking, ignore_clients);
    return 0;
}

void gust__http_watcher_stop(struct http_watcher *w)
{
    if (!w->timer)
        return;
    gust_mutex_lock(&w->mutex);
    w->stopped = true;
    bool took_it = gust_timer_stop(w->timer);
    w->armed = w->armed && !took_it;
    gust_mutex_unlock(&w->mutex);
    if (took_it)
        gust_waitgroup_done(&w->over);
    gust_context *context = gust_context_swap(NULL);
    gust_waitgroup_wait(&w->over, GUST_FOREVER);
    gust_context_swap(context);
}

void gust__http_watcher_fini(struct http_watcher *w)
{
    gust_pool_free(w->records);
    gust_timer_free(w->timer);
}
