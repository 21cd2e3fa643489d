/* Lookups under way: who asks, who answers, and what is left if one of them goes.
 *
 *   QUEUED  --start (a place is free)-->  RUNNING  --finish-->  DONE
 *      \--leave (the last caller)--> freed
 *
 * A lookup is freed by whoever needs it last: while RUNNING that is its worker, which
 * writes the answer; else the last of its callers.  Always, under the mutex:
 *   - `running` <= in_flight_max (until that is lowered), and the queue is empty while
 *     it is below;
 *   - no two lookups that are not DONE ask the same;
 *   - every lookup is on `all`, so that the end of a run can free those whose
 *     goroutines are abandoned.  The worker's answer is written in its blocking section,
 *     and a run ends only after that. */
#include <errno.h>
#include <gust/chan.h>
#include <gust/context.h>
#include <gust/runtime.h>
#include <gust/sync.h>
#include <stdlib.h>
#include <string.h>

#include "core/atend.h"
#include "core/inject.h"
#include "core/waitq.h"
#include "net/lookup.h"
#include "net/resolve.h"

/* What the system loads to find names may need much: address space only. */
#define WORKER_STACK ((size_t)1 << 20)

typedef enum lookup_state { QUEUED, RUNNING, DONE } lookup_state;

typedef struct lookup {
    TAILQ_ENTRY(lookup) all;
    TAILQ_ENTRY(lookup) queue; /* while QUEUED */
    lookup_state state;
    size_t callers;
    gust_chan *done; /* closed once it is DONE */
    int error;       /* the worker's until then, as the next */
    gust_addrs *answer;
    gust__question question;
    char texts[];
} lookup;

TAILQ_HEAD(lookups, lookup);

/* Zeroes but for the heads, which `registered` says are set up. */
static struct {
    gust_mutex mutex;
    gust_cond idle; /* running has become 0 */
    bool registered;
    struct lookups all, queue;
    size_t running;
    uint32_t in_flight_max; /* 0: the default */
    gust__cache cache;
} resolver;

static uint32_t in_flight_max(void)
{
    return resolver.in_flight_max ? resolver.in_flight_max : GUST_RESOLVER_IN_FLIGHT;
}

/* --- The end of a run ------------------------------------------------------------ */

static void lookup_free(lookup *l)
{
    TAILQ_REMOVE(&resolver.all, l, all);
    gust_chan_unref(l->done);
    gust_addrs_free(l->answer);
    free(l);
}

/* No goroutine is left: whoever held the mutex, or waited, is gone. */
static void forget_everything(void)
{
    while (!TAILQ_EMPTY(&resolver.all))
        lookup_free(TAILQ_FIRST(&resolver.all));
    gust__cache_setup(&resolver.cache, resolver.cache.keep_ns, resolver.cache.max);
    resolver.mutex = (gust_mutex)GUST_MUTEX_INIT;
    resolver.idle = (gust_cond)GUST_COND_INIT;
    resolver.running = 0;
    resolver.registered = false;
}

static gust__at_end at_end = {.fn = forget_everything};

static void enter(void)
{
    gust_mutex_lock(&resolver.mutex);
    if (resolver.registered)
        return;
    TAILQ_INIT(&resolver.all);
    TAILQ_INIT(&resolver.queue);
    gust__cache_setup(&resolver.cache, resolver.cache.keep_ns, resolver.cache.max);
    gust__at_end_add(&at_end);
    resolver.registered = true;
}

static void leave(void)
{
    gust_mutex_unlock(&resolver.mutex);
}

/* --- Answering ---------------------------------------------------------------------- */

/* A lookup that may begin, or NULL if the worker is to end.  Under the mutex. */
static lookup *next_locked(void)
{
    lookup *l = TAILQ_FIRST(&resolver.queue);
    if (!l || resolver.running >= in_flight_max())
        return NULL;
    TAILQ_REMOVE(&resolver.queue, l, queue);
    l->state = RUNNING;
    resolver.running++;
    return l;
}

static lookup *finish(lookup *l)
{
    enter();
    if (!l->error)
        gust__cache_put(&resolver.cache, &l->question, l->answer, gust_now());
    l->state = DONE;
    gust_chan_close(l->done);
    if (l->callers == 0)
        lookup_free(l);
    resolver.running--;
    lookup *next = next_locked();
    if (resolver.running == 0)
        gust_cond_broadcast(&resolver.idle);
    leave();
    return next;
}

static void work(void *arg)
{
    for (lookup *l = arg; l; l = finish(l)) {
        gust_blocking_begin();
        l->error = gust__system_resolve(&l->question, &l->answer);
        gust_blocking_end();
    }
}

/* Under the caller's context it would keep that alive for longer than it lives. */
static int start_worker(lookup *l)
{
    const gust_go_options options = {.name = "resolver", .stack_size = WORKER_STACK};
    gust_context *context = gust_context_swap(NULL);
    int error = gust_go_with(&options, work, l);
    gust_context_swap(context);
    return error;
}

/* Begins with what stands in the queue, if there is room.  Under the mutex. */
static int start_locked(void)
{
    lookup *l = next_locked();
    if (!l)
        return 0;
    int error = start_worker(l);
    if (error) {
        l->state = QUEUED;
        TAILQ_INSERT_HEAD(&resolver.queue, l, queue);
        resolver.running--;
    }
    return error;
}

/* --- Asking ----------------------------------------------------------------------------- */

static lookup *find_locked(const gust__question *q)
{
    lookup *l;
    TAILQ_FOREACH(l, &resolver.all, all)
    if (l->state != DONE && gust__question_same(&l->question, q))
        return l;
    return NULL;
}

/* A caller goes. */
static void leave_lookup_locked(lookup *l)
{
    if (--l->callers > 0 || l->state == RUNNING)
        return;
    if (l->state == QUEUED)
        TAILQ_REMOVE(&resolver.queue, l, queue);
    lookup_free(l);
}

static int lookup_new_locked(const gust__question *q, lookup **ret_lookup)
{
    lookup *l = gust__calloc(1, sizeof *l + gust__question_room(q));
    int error = l ? gust_chan_new(0, 0, &l->done) : -ENOMEM;
    if (error) {
        free(l);
        return error;
    }
    l->question = gust__question_copy(q, l->texts);
    TAILQ_INSERT_TAIL(&resolver.all, l, all);
    TAILQ_INSERT_TAIL(&resolver.queue, l, queue);
    *ret_lookup = l;
    return 0;
}

/* Joins a lookup, or makes one, as one of its callers. */
static int join_locked(const gust__question *q, lookup **ret_lookup)
{
    lookup *l = find_locked(q);
    int error = l ? 0 : lookup_new_locked(q, &l);
    if (error)
        return error;
    l->callers++;
    /* If no worker can be started and none runs, nobody would ever answer. */
    error = start_locked();
    if (error && resolver.running == 0) {
        leave_lookup_locked(l);
        return error;
    }
    *ret_lookup = l;
    return 0;
}

/* True: the cache had an answer, or there is no memory for it. */
static bool ask_cache_locked(const gust__question *q, gust_addrs **ret_addrs, int *ret_error)
{
    const gust_addrs *found =
        resolver.cache.keep_ns ? gust__cache_get(&resolver.cache, q, gust_now()) : NULL;
    if (!found)
        return false;
    gust_addrs *copy = gust__addrs_copy(found);
    if (copy)
        *ret_addrs = copy;
    *ret_error = copy ? 0 : -ENOMEM;
    return true;
}

/* What became of a lookup that the caller has waited for; `waited` is how that ended. */
static int take_answer_locked(lookup *l, int waited, gust_addrs **ret_addrs)
{
    int error = l->state == DONE ? l->error : waited;
    gust_addrs *copy = NULL;
    if (!error && !(copy = gust__addrs_copy(l->answer)))
        error = -ENOMEM;
    if (!error)
        *ret_addrs = copy;
    leave_lookup_locked(l);
    return error;
}

int gust__lookup(const gust__question *q, gust_time deadline, gust_addrs **ret_addrs)
{
    lookup *l;
    int error;
    enter();
    if (!ask_cache_locked(q, ret_addrs, &error)) {
        error = wait_refused(gust_context_current(), deadline);
        if (!error)
            error = join_locked(q, &l);
        if (!error) {
            leave();
            int waited = gust_chan_recv(l->done, NULL, deadline);
            enter();
            error = take_answer_locked(l, waited, ret_addrs);
        }
    }
    leave();
    return error;
}

/* --- The resolver ---------------------------------------------------------------------------- */

int gust_resolver_configure(const gust_resolver_options *options)
{
    static const gust_resolver_options defaults;
    if (!options)
        options = &defaults;
    if (options->cache_ns < 0)
        return -EINVAL;
    enter();
    resolver.in_flight_max = options->in_flight_max;
    gust__cache_setup(&resolver.cache, options->cache_ns,
                      options->cache_max ? options->cache_max : GUST_RESOLVER_CACHE_MAX);
    /* There may be room for more now; if it cannot be used yet, whoever is next will. */
    while (resolver.running < in_flight_max() && !TAILQ_EMPTY(&resolver.queue))
        if (start_locked() < 0)
            break;
    leave();
    return 0;
}

size_t gust_resolver_in_flight(void)
{
    return gust__lookup_count().running;
}

int gust_resolver_drain(gust_time deadline)
{
    int error = 0;
    enter();
    while (!error && resolver.running > 0)
        error = gust_cond_wait(&resolver.idle, &resolver.mutex, deadline);
    leave();
    return error;
}

gust__lookup_counts gust__lookup_count(void)
{
    gust__lookup_counts counts = {0};
    const lookup *l;
    enter();
    counts.running = resolver.running;
    TAILQ_FOREACH(l, &resolver.all, all)
    {
        counts.queued += l->state == QUEUED;
        counts.callers += l->callers;
    }
    leave();
    return counts;
}
