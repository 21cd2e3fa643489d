/* The timer heaps.  The rules are in core/timers.h.
 *
 * slots is a 4-ary heap on `when`; slot i's timer has index i + 1 and heap == ts.
 * A timer's `heap` changes only under the lock of the heap it points to, so it is
 * read, that heap locked, and read again. */
#include "core/timers.h"

#include <errno.h>
#include <gust/runtime.h>
#include <stdlib.h>

#include "core/inject.h"
#include "core/proc.h"

#define ARITY 4u
#define SLOTS_MIN 256u

/* Under the lock of the timer's heap, which orders all reads but gust__timer_stop's. */
static uint32_t index_of(const gust__timer *t)
{
    return atomic_load_explicit(&t->index, memory_order_relaxed);
}

static void slot_put(gust__timers *ts, uint32_t i, struct gust__timer_slot slot)
{
    ts->slots[i] = slot;
    atomic_store_explicit(&slot.t->index, i + 1, memory_order_relaxed);
}

static void sift_up(gust__timers *ts, uint32_t i)
{
    struct gust__timer_slot moving = ts->slots[i];
    while (i > 0) {
        uint32_t parent = (i - 1) / ARITY;
        if (ts->slots[parent].when <= moving.when)
            break;
        slot_put(ts, i, ts->slots[parent]);
        i = parent;
    }
    slot_put(ts, i, moving);
}

static uint32_t least_child(gust__timers *ts, uint32_t i)
{
    uint32_t first = i * ARITY + 1, best = first;
    uint32_t end = first + ARITY < ts->len ? first + ARITY : ts->len;
    for (uint32_t c = first + 1; c < end; c++)
        if (ts->slots[c].when < ts->slots[best].when)
            best = c;
    return best;
}

static void sift_down(gust__timers *ts, uint32_t i)
{
    struct gust__timer_slot moving = ts->slots[i];
    for (;;) {
        uint32_t child = least_child(ts, i);
        if (child >= ts->len || ts->slots[child].when >= moving.when)
            break;
        slot_put(ts, i, ts->slots[child]);
        i = child;
    }
    slot_put(ts, i, moving);
}

static void publish_earliest(gust__timers *ts)
{
    gust_time when = ts->len ? ts->slots[0].when : GUST_FOREVER;
    /* Relaxed: a hint for others; whoever acts on it takes the lock. */
    if (when != atomic_load_explicit(&ts->earliest, memory_order_relaxed))
        atomic_store_explicit(&ts->earliest, when, memory_order_relaxed);
}

/* Takes t out; its index stays, until the caller says what becomes of it. */
static void heap_remove(gust__timers *ts, gust__timer *t)
{
    uint32_t i = index_of(t) - 1;
    struct gust__timer_slot last = ts->slots[--ts->len];
    if (last.t != t) {
        slot_put(ts, i, last);
        sift_up(ts, i);
        sift_down(ts, index_of(last.t) - 1);
    }
    publish_earliest(ts);
}

static void set_unarmed(gust__timer *t)
{
    /* Release: who reads 0 without the lock knows what fire() wrote before. */
    atomic_store_explicit(&t->index, 0, memory_order_release);
}

/* Fatal, as Go's running out of memory is: a deadline is part of nearly every call
 * that waits, and a program that cannot keep time has no way on.  The first slots
 * are had when the P is made, where the error can still be returned. */
static void heap_grow(gust__timers *ts)
{
    uint32_t cap = ts->cap * 2;
    void *slots = gust__realloc(ts->slots, cap * sizeof *ts->slots);
    if (!slots)
        gust__fatal("out of memory for the timers of a P, %u of them", cap);
    ts->slots = slots;
    ts->cap = cap;
}

static void heap_insert(gust__timers *ts, gust__timer *t, gust_time when)
{
    if (ts->len == ts->cap)
        heap_grow(ts);
    t->when = when;
    slot_put(ts, ts->len++, (struct gust__timer_slot){when, t});
    if (ts->len > 1)
        sift_up(ts, ts->len - 1);
    publish_earliest(ts);
}

/* Moves a timer within its heap. */
static void heap_move(gust__timers *ts, gust__timer *t, gust_time when)
{
    uint32_t i = index_of(t) - 1;
    t->when = ts->slots[i].when = when;
    sift_up(ts, i);
    sift_down(ts, index_of(t) - 1);
    publish_earliest(ts);
}

/* Locks the heap t sits in or last fired from; NULL if it never had one. */
static gust__timers *lock_heap_of(gust__timer *t)
{
    for (;;) {
        /* Acquire: pairs with the release in gust__timer_set. */
        gust__timers *ts = atomic_load_explicit(&t->heap, memory_order_acquire);
        if (!ts)
            return NULL;
        gust__lock_take(&ts->lock, RANK_TIMERS);
        if (ts == atomic_load_explicit(&t->heap, memory_order_relaxed))
            return ts;
        gust__lock_drop(&ts->lock);
    }
}

/* The same lock for both: by address, as the ranks want it. */
static void lock_two(gust__timers *a, gust__timers *b)
{
    gust__lock_take(&(a < b ? a : b)->lock, RANK_TIMERS);
    gust__lock_take(&(a < b ? b : a)->lock, RANK_TIMERS);
}

/* Under mine->lock, and at->lock if `at` is not NULL: does t belong to `at`?  One
 * that never had a heap belongs to `mine` from now on. */
static bool belongs_to(gust__timer *t, gust__timers *at, gust__timers *mine)
{
    gust__timers *none = NULL;
    if (at)
        return at == atomic_load_explicit(&t->heap, memory_order_relaxed);
    /* Release: pairs with the acquire loads of heap. */
    return atomic_compare_exchange_strong_explicit(&t->heap, &none, mine, memory_order_release,
                                                   memory_order_relaxed);
}

/* Locks `mine` and the heap that t belongs to; returns that one. */
static gust__timers *lock_mine_and_heap_of(gust__timers *mine, gust__timer *t)
{
    for (;;) {
        /* Acquire: pairs with the releases in belongs_to and gust__timer_set. */
        gust__timers *at = atomic_load_explicit(&t->heap, memory_order_acquire);
        bool two = at && at != mine;
        if (two)
            lock_two(mine, at);
        else
            gust__lock_take(&mine->lock, RANK_TIMERS);
        if (belongs_to(t, at, mine))
            return two ? at : mine;
        gust__lock_drop(&mine->lock);
        if (two)
            gust__lock_drop(&at->lock);
    }
}

bool gust__timer_set(gust__timer *t, gust_time when)
{
    gust__timers *mine = &gust__m()->p->timers;
    gust__timers *at = lock_mine_and_heap_of(mine, t);
    bool was_armed = index_of(t) != 0;
    if (at != mine) {
        if (was_armed)
            heap_remove(at, t);
        /* Release: pairs with the acquire in lock_heap_of. */
        atomic_store_explicit(&t->heap, mine, memory_order_release);
        gust__lock_drop(&at->lock);
    }
    if (was_armed && at == mine)
        heap_move(mine, t, when);
    else
        heap_insert(mine, t, when);
    gust__lock_drop(&mine->lock);
    return was_armed;
}

/* The callback may run from another heap than the one t sits in now, if it was
 * re-armed meanwhile: fired_from, written under the lock of the heap it left,
 * says which. */
static void wait_while_firing(gust__timers *from, gust__timer *t)
{
    /* Acquire: pairs with the release in fire(); the callback's effects are
     * visible and it touches t no more. */
    while (from && atomic_load_explicit(&from->firing, memory_order_acquire) == t)
        gust__cpu_relax();
}

/* Most timers that are stopped have fired or were stopped before: they are in no
 * heap, and nobody but their owner, who is here, would put them into one, except a
 * callback under way.  That one is waited for, and may have armed it again. */
static bool is_out(gust__timer *t)
{
    /* Acquire: pairs with the release in set_unarmed. */
    if (atomic_load_explicit(&t->index, memory_order_acquire) != 0)
        return false;
    wait_while_firing(atomic_load_explicit(&t->fired_from, memory_order_relaxed), t);
    return atomic_load_explicit(&t->index, memory_order_acquire) == 0;
}

/* Apart, so that the usual way through gust__timer_stop needs no registers saved. */
__attribute__((noinline)) static bool take_out(gust__timer *t)
{
    gust__timers *ts = lock_heap_of(t);
    if (!ts)
        return false;
    bool was_armed = index_of(t) != 0;
    if (was_armed) {
        heap_remove(ts, t);
        set_unarmed(t);
    }
    gust__timers *from = atomic_load_explicit(&t->fired_from, memory_order_relaxed);
    gust__lock_drop(&ts->lock);
    wait_while_firing(from, t);
    return was_armed;
}

bool gust__timer_stop(gust__timer *t)
{
    return !is_out(t) && take_out(t);
}

/* Takes the root out and calls it with the lock dropped. */
static void fire(gust__timers *ts)
{
    gust__timer *t = ts->slots[0].t;
    /* Both before the timer is out of the heap: see is_out. */
    atomic_store_explicit(&t->fired_from, ts, memory_order_relaxed);
    atomic_store_explicit(&ts->firing, t, memory_order_relaxed);
    heap_remove(ts, t);
    set_unarmed(t);
    gust__lock_drop(&ts->lock);
    t->fn(t); /* t may be gone after this */
    gust__lock_take(&ts->lock, RANK_TIMERS);
    /* Release: pairs with wait_while_firing and may_fire. */
    atomic_store_explicit(&ts->firing, NULL, memory_order_release);
}

/* Under ts->lock: may the root be called?  One M fires a heap's timers at a time,
 * so that `firing` can name the one.  A timer that was armed here while another M
 * is still in its callback must wait, or it would be in two at once, and
 * wait_while_firing would know of one only. */
static bool may_fire(const gust__timers *ts, gust_time now)
{
    if (!ts->len || ts->slots[0].when > now ||
        atomic_load_explicit(&ts->firing, memory_order_relaxed))
        return false;
    const gust__timer *t = ts->slots[0].t;
    /* Acquire: pairs with the release in fire(); the callbacks see each other. */
    const gust__timers *from = atomic_load_explicit(&t->fired_from, memory_order_relaxed);
    return !from || atomic_load_explicit(&from->firing, memory_order_acquire) != t;
}

int gust__timers_run(gust__timers *ts, gust_time now)
{
    int n = 0;
    gust__lock_take(&ts->lock, RANK_TIMERS);
    while (may_fire(ts, now)) {
        fire(ts);
        n++;
    }
    gust__lock_drop(&ts->lock);
    return n;
}

int gust__timers_init(gust__timers *ts)
{
    ts->slots = gust__malloc(SLOTS_MIN * sizeof *ts->slots);
    ts->cap = ts->slots ? SLOTS_MIN : 0;
    atomic_init(&ts->earliest, GUST_FOREVER);
    return ts->slots ? 0 : -ENOMEM;
}

void gust__timers_fini(gust__timers *ts)
{
    free(ts->slots);
    *ts = (gust__timers){.earliest = GUST_FOREVER};
}
