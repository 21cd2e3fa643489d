/* Helpers of the tests of contexts: making them, seeing who waits under them, and
 * goroutines whose contexts others cancel at random. */
#ifndef GUST_TESTS_CORE_CONTEXTS_H
#define GUST_TESTS_CORE_CONTEXTS_H

#include <gust/context.h>

#include "core/context.h"
#include "tests/core/waiters.h"

static inline gust_context *context_make(gust_context *parent)
{
    gust_context *c = NULL;
    CHECK_EQ(gust_context_new(parent, &c), 0);
    return c;
}

static inline gust_context *context_until(gust_context *parent, gust_time when)
{
    gust_context *c = NULL;
    CHECK_EQ(gust_context_with_deadline(parent, when, &c), 0);
    return c;
}

static inline gust_context *context_with(gust_context *parent, const void *key, void *value)
{
    gust_context *c = NULL;
    CHECK_EQ(gust_context_with_value(parent, key, value, NULL, &c), 0);
    return c;
}

static inline void go_under(gust_context *c, void (*fn)(void *arg), void *arg)
{
    gust_go_options options = {.context = c};
    CHECK_EQ(gust_go_with(&options, fn, arg), 0);
}

static inline size_t waits_under(gust_context *c)
{
    size_t count = 0;
    gust__context_wait *w;
    GUST__CALL();
    gust__lock_take(&c->lock, RANK_CONTEXT);
    TAILQ_FOREACH(w, &c->waits, link)
    count++;
    gust__lock_drop(&c->lock);
    return count;
}

static inline size_t children_of(gust_context *c)
{
    size_t count = 0;
    gust_context *child;
    GUST__CALL();
    gust__lock_take(&c->lock, RANK_CONTEXT);
    LIST_FOREACH(child, &c->children, sibling)
    count++;
    gust__lock_drop(&c->lock);
    return count;
}

static inline uint32_t refs_of(gust_context *c)
{
    return atomic_load(&c->refs);
}

static inline bool is_done(gust_context *c)
{
    return gust_chan_recv(gust_context_done(c), NULL, GUST_NOW) == 0;
}

static inline void check_open(gust_context *c)
{
    CHECK_EQ(gust_context_err(c), 0);
    CHECK_EQ(gust_context_cause(c), 0);
    CHECK_EQ(gust_chan_recv(gust_context_done(c), NULL, GUST_NOW), -EAGAIN);
}

static inline void check_ended(gust_context *c, int error, int cause)
{
    CHECK(is_done(c));
    CHECK_EQ(gust_context_err(c), error);
    CHECK_EQ(gust_context_cause(c), cause);
}

/* --- Random cancellation --------------------------------------------------- */

/* The context that a worker is under now. */
typedef struct target {
    gust_mutex mutex;
    gust_context *context;
} target;

/* Puts the caller under a new context, which target_cancel can reach. */
static inline void target_renew(target *t)
{
    gust_context *former;
    gust_context *c = context_make(NULL);
    gust_mutex_lock(&t->mutex);
    former = t->context;
    t->context = gust_context_ref(c);
    gust_mutex_unlock(&t->mutex);
    gust_context_unref(former);
    gust_context_unref(gust_context_swap(c));
}

/* For good. */
static inline void target_leave(target *t)
{
    gust_context *former;
    gust_mutex_lock(&t->mutex);
    former = t->context;
    t->context = NULL;
    gust_mutex_unlock(&t->mutex);
    gust_context_unref(former);
    gust_context_unref(gust_context_swap(NULL));
}

static inline void target_cancel(target *t)
{
    gust_context *c;
    gust_mutex_lock(&t->mutex);
    c = gust_context_ref(t->context);
    gust_mutex_unlock(&t->mutex);
    if (c)
        gust_context_cancel(c, 0);
    gust_context_unref(c);
}

/* Cancels one of them after the other until the workers are done. */
typedef struct sniper {
    target *targets;
    size_t count;
    uint64_t rand;
    int64_t pause_ns_max;
    gust_waitgroup *workers;
    gust_waitgroup done;
} sniper;

static inline void sniper_body(void *arg)
{
    sniper *s = arg;
    while (gust_waitgroup_wait(s->workers, gust_after((int64_t)(test_rand(&s->rand) %
                                                                (uint64_t)s->pause_ns_max))) < 0)
        target_cancel(&s->targets[test_rand(&s->rand) % s->count]);
    gust_waitgroup_done(&s->done);
}

static inline void sniper_start(sniper *s)
{
    gust_waitgroup_add(&s->done, 1);
    go(sniper_body, s);
}

static inline void sniper_end(sniper *s)
{
    CHECK_EQ(gust_waitgroup_wait(&s->done, SOON), 0);
}

#endif
