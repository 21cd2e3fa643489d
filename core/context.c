/* The tree of contexts, and how a cancellation runs through it.
 *
 * Each context has a lock of its own, and no two of them are ever held together:
 * trees may be deep and wide, so a cancellation is a loop over a list of contexts
 * to cancel, not a recursion, and what it does under one lock is bounded.
 *
 * A child is in its parent's list without a reference, so it may be about to go:
 *
 *     cancellation of the parent              the child's last unref
 *     1. under the parent's lock: takes       1. refs becomes 0
 *        the child out of the list and        2. under the parent's lock: takes
 *        adds a reference, unless refs is 0      the child out, if it is in
 *     2. cancels the child, drops the         3. frees it
 *        reference
 *
 * Once `error` is set nothing more is linked: children are born cancelled and
 * waits refused.  So a list, once emptied, stays empty. */
#include "core/context.h"

#include <errno.h>
#include <stdlib.h>

#include "core/chan.h"
#include "core/inject.h"
#include "core/proc.h"
#include "core/waitq.h"

/* What a cancellation does under one lock at most. */
#define BATCH 32

/* --- References ---------------------------------------------------------- */

gust_context *gust_context_ref(gust_context *c)
{
    /* Relaxed: whoever adds a reference has one. */
    if (c)
        atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

/* By who holds a lock that keeps the memory valid: false if it is being freed. */
static bool ref_if_alive(gust_context *c)
{
    uint32_t refs = atomic_load_explicit(&c->refs, memory_order_relaxed);
    while (refs > 0)
        if (atomic_compare_exchange_weak_explicit(&c->refs, &refs, refs + 1, memory_order_relaxed,
                                                  memory_order_relaxed))
            return true;
    return false;
}

static bool drop_ref(gust_context *c)
{
    /* Release and acquire: what every owner did comes before the free.  Pairs
     * with itself. */
    return atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1;
}

static void take_off_parent(gust_context *c)
{
    if (!c->parent)
        return;
    gust__lock_take(&c->parent->lock, RANK_CONTEXT);
    if (c->linked)
        LIST_REMOVE(c, sibling);
    gust__lock_drop(&c->parent->lock);
}

static void context_free(gust_context *c)
{
    gust_chan_unref(c->done);
    if (c->free_fn)
        c->free_fn(c->value);
    free(c);
}

/* Drops a reference, and those that this frees: to the parent, and so on.
 * fired: c's timer has called us, and so cannot be waited for, nor need it be. */
static void unref_chain(gust_context *c, bool fired)
{
    while (c && drop_ref(c)) {
        gust_context *parent = c->parent;
        {
            GUST__CALL();
            take_off_parent(c);
            if (!fired)
                gust__timer_stop(&c->timer);
        }
        context_free(c);
        c = parent;
        fired = false;
    }
}

void gust_context_unref(gust_context *c)
{
    unref_chain(c, false);
}

void gust__context_abandon(gust_context *c)
{
    while (c && drop_ref(c)) {
        gust_context *parent = c->parent;
        take_off_parent(c);
        context_free(c);
        c = parent;
    }
}

bool gust_context_unshared(gust_context *c, uint32_t refs)
{
    /* Acquire: pairs with the releases of those who had references before. */
    return atomic_load_explicit(&c->refs, memory_order_acquire) == refs &&
           atomic_load_explicit(&c->done->refs, memory_order_acquire) == 1 &&
           !gust__context_canceled(c);
}

/* --- Waits --------------------------------------------------------------- */

typedef TAILQ_HEAD(, gust__context_wait) wait_list;

bool gust__context_wait_begin(gust_context *c, gust__context_wait *w, gust__timer *timer,
                              gust_time when)
{
    gust__lock_take(&c->lock, RANK_CONTEXT);
    bool open = !gust__context_canceled(c);
    w->linked = open;
    w->canceled = false;
    if (open) {
        TAILQ_INSERT_TAIL(&c->waits, w, link);
        if (timer)
            gust__timer_set(timer, when);
    }
    gust__lock_drop(&c->lock);
    return open;
}

void gust__context_wait_end(gust_context *c, gust__context_wait *w)
{
    gust__lock_take(&c->lock, RANK_CONTEXT);
    if (w->linked)
        TAILQ_REMOVE(&c->waits, w, link);
    w->linked = false;
    gust__lock_drop(&c->lock);
}

static void end_wait_locked(gust__context_wait *w, wait_list *won)
{
    if (w->op) {
        w->canceled = true;
        gust__op_cancel(w->op);
    } else if (claim_try(gust__g_select_done(w->g))) {
        w->canceled = true;
        TAILQ_INSERT_TAIL(won, w, link);
    }
}

/* False if there were none. */
static bool end_some_waits(gust_context *c)
{
    wait_list won = TAILQ_HEAD_INITIALIZER(won);
    gust__context_wait *w;
    int n = 0;
    gust__lock_take(&c->lock, RANK_CONTEXT);
    for (; n < BATCH && (w = TAILQ_FIRST(&c->waits)); n++) {
        TAILQ_REMOVE(&c->waits, w, link);
        w->linked = false;
        end_wait_locked(w, &won);
    }
    gust__lock_drop(&c->lock);
    while ((w = TAILQ_FIRST(&won))) {
        TAILQ_REMOVE(&won, w, link);
        gust__ready_tail(w->g); /* the node is gone as soon as it can run */
    }
    return n > 0;
}

/* --- Cancelling ---------------------------------------------------------- */

/* Contexts that are still to be cancelled, each with a reference. */
struct todo {
    gust_context *first;
};

static bool take_some_children(gust_context *c, struct todo *todo)
{
    gust_context *child;
    int n = 0;
    gust__lock_take(&c->lock, RANK_CONTEXT);
    for (; n < BATCH && (child = LIST_FIRST(&c->children)); n++) {
        LIST_REMOVE(child, sibling);
        child->linked = false;
        if (ref_if_alive(child)) {
            child->next_canceled = todo->first;
            todo->first = child;
        }
    }
    gust__lock_drop(&c->lock);
    return n > 0;
}

static void set_error_locked(gust_context *c, int error, int cause)
{
    c->cause = cause;
    /* Release: publishes cause.  Pairs with the acquire in gust_context_err. */
    atomic_store_explicit(&c->error, error, memory_order_release);
}

static bool set_error(gust_context *c, int error, int cause)
{
    gust__lock_take(&c->lock, RANK_CONTEXT);
    bool first = !gust__context_canceled(c);
    if (first)
        set_error_locked(c, error, cause);
    gust__lock_drop(&c->lock);
    return first;
}

/* Cancels one context; its children are left to do. */
static void cancel_one(gust_context *c, int error, int cause, struct todo *todo)
{
    GUST__CALL();
    if (!set_error(c, error, cause))
        return;
    gust_chan_close(c->done);
    while (end_some_waits(c))
        ;
    while (take_some_children(c, todo))
        ;
}

/* From a goroutine, or from g0 in a timer's callback.  The caller has a reference. */
static void cancel_tree(gust_context *root, int error, int cause)
{
    struct todo todo = {.first = NULL};
    gust_context *c;
    cancel_one(root, error, cause, &todo);
    while ((c = todo.first)) {
        todo.first = c->next_canceled;
        cancel_one(c, error, cause, &todo);
        gust_context_unref(c);
    }
}

void gust_context_cancel(gust_context *c, int error)
{
    if (!c)
        gust_panic("cancel of nil context");
    cancel_tree(c, -ECANCELED, error ? error : -ECANCELED);
}

/* On g0.  A context that is being freed stays valid until this returns: who frees
 * it stops the timer first. */
static void deadline_fire(gust__timer *t)
{
    gust_context *c = (gust_context *)((char *)t - offsetof(gust_context, timer));
    if (!ref_if_alive(c))
        return;
    cancel_tree(c, -ETIMEDOUT, -ETIMEDOUT);
    unref_chain(c, true);
}

/* --- Making -------------------------------------------------------------- */

/* Puts c under its parent, or makes it as cancelled as that is.  From now on
 * others see it. */
static void join_parent(gust_context *c)
{
    GUST__CALL();
    gust_context *parent = c->parent;
    gust__lock_take(&parent->lock, RANK_CONTEXT);
    int error = atomic_load_explicit(&parent->error, memory_order_relaxed);
    int cause = parent->cause;
    if (!error) {
        LIST_INSERT_HEAD(&parent->children, c, sibling);
        c->linked = true;
    }
    gust__lock_drop(&parent->lock);
    if (error) {
        set_error(c, error, cause);
        gust_chan_close(c->done);
    }
}

/* Nobody else knows it yet. */
static int context_alloc(gust_context *parent, gust_time when, gust_context **ret_context)
{
    gust_context *c = gust__calloc(1, sizeof *c);
    int error = c ? gust_chan_new(0, 0, &c->done) : -ENOMEM;
    if (error) {
        free(c);
        return error;
    }
    atomic_init(&c->refs, 1);
    TAILQ_INIT(&c->waits);
    LIST_INIT(&c->children);
    c->timer.fn = deadline_fire;
    c->parent = gust_context_ref(parent);
    c->deadline = when;
    *ret_context = c;
    return 0;
}

int gust_context_new(gust_context *parent, gust_context **ret_context)
{
    int error = context_alloc(parent, gust_context_deadline(parent), ret_context);
    if (!error && parent)
        join_parent(*ret_context);
    return error;
}

static void deadline_begin(gust_context *c)
{
    GUST__CALL();
    if (deadline_passed(c->deadline))
        cancel_tree(c, -ETIMEDOUT, -ETIMEDOUT);
    else if (!gust__context_canceled(c))
        gust__timer_set(&c->timer, c->deadline);
}

int gust_context_with_deadline(gust_context *parent, gust_time when, gust_context **ret_context)
{
    if (when >= gust_context_deadline(parent)) /* the parent's own will do */
        return gust_context_new(parent, ret_context);
    gust_context *c;
    int error = context_alloc(parent, when, &c);
    if (error)
        return error;
    if (parent)
        join_parent(c);
    deadline_begin(c);
    *ret_context = c;
    return 0;
}

int gust_context_with_value(gust_context *parent, const void *key, void *value,
                            void (*free_fn)(void *value), gust_context **ret_context)
{
    gust_context *c;
    if (!key)
        return -EINVAL;
    int error = context_alloc(parent, gust_context_deadline(parent), &c);
    if (error)
        return error;
    c->key = key;
    c->value = value;
    c->free_fn = free_fn;
    if (parent)
        join_parent(c);
    *ret_context = c;
    return 0;
}

/* --- Reading ------------------------------------------------------------- */

int gust_context_err(gust_context *c)
{
    /* Acquire: pairs with the release in set_error_locked; also, who sees it
     * cancelled sees what the canceller did before. */
    return c ? atomic_load_explicit(&c->error, memory_order_acquire) : 0;
}

int gust_context_cause(gust_context *c)
{
    return gust_context_err(c) ? c->cause : 0;
}

gust_time gust_context_deadline(gust_context *c)
{
    return c ? c->deadline : GUST_FOREVER;
}

void *gust_context_value(gust_context *c, const void *key)
{
    for (; c; c = c->parent)
        if (c->key && c->key == key)
            return c->value;
    return NULL;
}

gust_chan *gust_context_done(gust_context *c)
{
    return c ? c->done : NULL;
}

/* --- The calling goroutine's --------------------------------------------- */

gust_context *gust_context_current(void)
{
    return gust__g()->context;
}

gust_context *gust_context_swap(gust_context *c)
{
    G *g = gust__g();
    gust_context *former = g->context;
    g->context = c;
    return former;
}
