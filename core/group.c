/* gust_group: a counter of running goroutines, and a context they share.
 *
 * Always, under the lock: `active` counts the goroutines started and not yet
 * finished, and the places that are kept for those about to start; with a limit,
 * active <= limit, and `starters` is empty while it is below.  A goroutine that
 * ends gives its place to the first starter, so newcomers do not overtake.
 *
 * A wait that finds zero passes through the lock: by then whoever made it zero has
 * touched the group for the last time, and the caller may free it. */
#include <gust/group.h>

#include <errno.h>
#include <stdlib.h>

#include "core/inject.h"
#include "core/panic.h"
#include "core/waitq.h"

struct gust_group {
    gust_context *context; /* const */
    gust__waitq queue;     /* the lock (RANK_WAITQ) of all below; its list: who waits for zero */
    gust__waitlist starters;
    uint64_t active;
    uint64_t limit;
    int error; /* the first */
};

struct task {
    gust_group *group;
    int (*fn)(void *arg);
    void *arg;
};

static gust__lock *group_lock(gust_group *g)
{
    gust__lock *lock = waitq_lock(&g->queue);
    gust__lock_take(lock, RANK_WAITQ);
    return lock;
}

int gust_group_new(gust_context *parent, gust_group **ret_group)
{
    gust_group *g = gust__calloc(1, sizeof *g);
    int error = g ? gust_context_new(parent, &g->context) : -ENOMEM;
    if (error) {
        free(g);
        return error;
    }
    g->limit = UINT64_MAX;
    *ret_group = g;
    return 0;
}

gust_context *gust_group_context(gust_group *g)
{
    return g->context;
}

/* --- Places --------------------------------------------------------------- */

static int place_take(gust_group *g, gust_time deadline)
{
    GUST__CALL();
    gust__waiter w = {.elem = NULL};
    gust__lock *lock = group_lock(g);
    if (g->active < g->limit) {
        g->active++;
        gust__lock_drop(lock);
        return 0;
    }
    waitlist_push(&g->starters, &w);
    return gust__wait_linked(&g->starters, lock, RANK_WAITQ, &w, deadline, WAIT_WAITGROUP);
}

static void place_leave(gust_group *g)
{
    GUST__CALL();
    gust__waiter *woken = NULL;
    gust__lock *lock = group_lock(g);
    gust__waiter *starter = waitlist_take(&g->starters);
    if (starter)
        starter->outcome = OUTCOME_DONE;
    else if (--g->active == 0)
        woken = gust__waitlist_take_all(&g->queue.list, OUTCOME_DONE);
    gust__lock_drop(lock);
    if (starter)
        gust__ready_tail(starter->g);
    gust__waiters_ready(woken);
}

/* --- Tasks ---------------------------------------------------------------- */

static void fail(gust_group *g, int error)
{
    bool first;
    {
        GUST__CALL();
        gust__lock *lock = group_lock(g);
        first = g->error == 0;
        if (first)
            g->error = error;
        gust__lock_drop(lock);
    }
    if (first)
        gust_context_cancel(g->context, error);
}

static void task_end(void *group)
{
    place_leave(group);
}

/* The place is left also by a task that ends its goroutine (gust_goexit). */
static void run_task(void *arg)
{
    struct task task = *(struct task *)arg;
    gust__unwind node;
    free(arg);
    gust__cleanup_begin(&node, task_end, task.group);
    int error = task.fn(task.arg);
    if (error)
        fail(task.group, error);
    gust__cleanup_end(&node);
}

static int start_task(gust_group *g, int (*fn)(void *arg), void *arg)
{
    gust_go_options options = {.context = g->context};
    struct task *task = gust__malloc(sizeof *task);
    if (!task)
        return -ENOMEM;
    *task = (struct task){.group = g, .fn = fn, .arg = arg};
    int error = gust_go_with(&options, run_task, task);
    if (error)
        free(task);
    return error;
}

static int group_go(gust_group *g, int (*fn)(void *arg), void *arg, gust_time deadline)
{
    int error = place_take(g, deadline);
    if (error)
        return error;
    error = start_task(g, fn, arg);
    if (error)
        place_leave(g);
    return error;
}

int gust_group_go(gust_group *g, int (*fn)(void *arg), void *arg)
{
    return group_go(g, fn, arg, GUST_FOREVER);
}

int gust_group_try_go(gust_group *g, int (*fn)(void *arg), void *arg)
{
    return group_go(g, fn, arg, GUST_NOW);
}

/* --- The group as a whole -------------------------------------------------- */

static void check_inactive(gust_group *g, const char *what)
{
    GUST__CALL();
    gust__lock *lock = group_lock(g);
    uint64_t active = g->active;
    gust__lock_drop(lock);
    if (active > 0)
        gust_panic("%s of a group that has %llu goroutines", what, (unsigned long long)active);
}

void gust_group_limit(gust_group *g, int n)
{
    check_inactive(g, "limit");
    g->limit = n < 0 ? UINT64_MAX : (uint64_t)n;
}

static int wait_zero(gust_group *g, gust_time deadline, int *ret_group_error)
{
    GUST__CALL();
    gust__waiter w = {.steadfast = true};
    gust__lock *lock = group_lock(g);
    if (g->active == 0) {
        *ret_group_error = g->error;
        gust__lock_drop(lock);
        return 0;
    }
    waitlist_push(&g->queue.list, &w);
    int error = gust__wait_linked(&g->queue.list, lock, RANK_WAITQ, &w, deadline, WAIT_WAITGROUP);
    /* No task is left, so nobody else writes it. */
    if (!error)
        *ret_group_error = g->error;
    return error;
}

int gust_group_wait(gust_group *g, gust_time deadline)
{
    int group_error = 0;
    int error = wait_zero(g, deadline, &group_error);
    if (error)
        return error;
    gust_context_cancel(g->context, group_error);
    return group_error;
}

void gust_group_free(gust_group *g)
{
    if (!g)
        return;
    check_inactive(g, "free");
    gust_context_unref(g->context);
    free(g);
}
