/* The run queue by itself, without a runtime: what it holds, in which order, and
 * that concurrent thieves neither lose nor double a goroutine. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "core/proc.h"
#include "tests/core/waiters.h"

static G gs[2 * GUST__RUNQ_SIZE];

/* Pushes gs[from] to gs[to - 1]; none of them overflows. */
static void push_range(gust__runq *q, unsigned from, unsigned to)
{
    gust__glist overflow;
    for (unsigned i = from; i < to; i++) {
        gust__runq_push(q, &gs[i], &overflow);
        cr_assert_eq(overflow.count, 0);
    }
}

static void expect_range(gust__runq *q, unsigned from, unsigned to)
{
    bool inherit = true;
    for (unsigned i = from; i < to; i++) {
        cr_assert_eq(gust__runq_pop(q, &inherit), &gs[i]);
        cr_assert_not(inherit);
    }
}

/* --- Lists ------------------------------------------------------------------- */

Test(runq, list_is_first_in_first_out)
{
    gust__glist l = {0};
    cr_assert_null(gust__glist_pop(&l));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++)
            gust__glist_push(&l, &gs[i]);
        cr_assert_eq(l.count, 3);
        for (int i = 0; i < 3; i++)
            cr_assert_eq(gust__glist_pop(&l), &gs[i]);
        cr_assert_null(gust__glist_pop(&l));
        cr_assert_eq(l.count, 0);
    }
}

static void expect_list(gust__glist *l, unsigned count)
{
    cr_assert_eq(l->count, count);
    for (unsigned i = 0; i < count; i++)
        cr_assert_eq(gust__glist_pop(l), &gs[i]);
    cr_assert_null(gust__glist_pop(l));
    cr_assert_eq(l->count, 0);
}

static void push_pointers(gust__glist *l, unsigned from, unsigned to)
{
    G *batch[GUST__RUNQ_SIZE];
    for (unsigned i = from; i < to; i++)
        batch[i - from] = &gs[i];
    gust__glist_push_all(l, batch, to - from);
}

Test(runq, list_takes_many_at_once_in_their_order)
{
    gust__glist l = {0};
    push_pointers(&l, 0, 100);
    gust__glist_push(&l, &gs[100]);
    push_pointers(&l, 101, 150);
    expect_list(&l, 150);
}

Test(runq, list_moves_behind_another)
{
    gust__glist l = {0}, from = {0};
    gust__glist_move(&l, &from);
    cr_assert_null(gust__glist_pop(&l));
    push_pointers(&from, 0, 20);
    gust__glist_move(&l, &from); /* to an empty one */
    push_pointers(&from, 20, 50);
    gust__glist_move(&l, &from);
    gust__glist_move(&l, &from); /* empty now */
    cr_assert_null(gust__glist_pop(&from));
    gust__glist_push(&l, &gs[50]);
    expect_list(&l, 51);
}

/* The hint for those who go through a long list. */
Test(runq, batch_knows_who_comes_some_places_later)
{
    gust__glist l = {0};
    push_pointers(&l, 0, 20);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(gs[i].ahead, i + GUST__AHEAD < 20 ? &gs[i + GUST__AHEAD] : NULL);
}

/* --- The ring ---------------------------------------------------------------- */

Test(runq, ring_is_first_in_first_out)
{
    gust__runq q = {0};
    bool inherit = true;
    cr_assert_null(gust__runq_pop(&q, &inherit));
    cr_assert_not(inherit);
    push_range(&q, 0, 10);
    cr_assert_eq(gust__runq_len(&q), 10);
    expect_range(&q, 0, 10);
    cr_assert_null(gust__runq_pop(&q, &inherit));
}

Test(runq, ring_survives_the_wrap_of_its_indexes)
{
    gust__runq q = {0};
    atomic_store(&q.head, UINT32_MAX - 100);
    atomic_store(&q.tail, UINT32_MAX - 100);
    push_range(&q, 0, GUST__RUNQ_SIZE);
    cr_assert_eq(gust__runq_len(&q), GUST__RUNQ_SIZE);
    cr_assert_not(gust__runq_empty(&q));
    expect_range(&q, 0, GUST__RUNQ_SIZE);
    cr_assert(gust__runq_empty(&q));
}

Test(runq, full_ring_gives_its_older_half_and_the_newcomer)
{
    gust__runq q = {0};
    gust__glist overflow;
    push_range(&q, 0, GUST__RUNQ_SIZE);
    gust__runq_push(&q, &gs[GUST__RUNQ_SIZE], &overflow);
    cr_assert_eq(overflow.count, GUST__RUNQ_SIZE / 2 + 1);
    for (unsigned i = 0; i < GUST__RUNQ_SIZE / 2; i++)
        cr_assert_eq(gust__glist_pop(&overflow), &gs[i]);
    cr_assert_eq(gust__glist_pop(&overflow), &gs[GUST__RUNQ_SIZE]);
    cr_assert_eq(gust__runq_len(&q), GUST__RUNQ_SIZE / 2);
    push_range(&q, GUST__RUNQ_SIZE, GUST__RUNQ_SIZE + GUST__RUNQ_SIZE / 2);
    expect_range(&q, GUST__RUNQ_SIZE / 2, GUST__RUNQ_SIZE + GUST__RUNQ_SIZE / 2);
}

/* --- runnext ----------------------------------------------------------------- */

Test(runq, next_runs_before_the_ring_and_inherits)
{
    gust__runq q = {0};
    bool inherit;
    push_range(&q, 0, 2);
    cr_assert_null(gust__runq_set_next(&q, &gs[2]));
    cr_assert_eq(gust__runq_len(&q), 2, "runnext does not count");
    cr_assert_eq(gust__runq_pop(&q, &inherit), &gs[2]);
    cr_assert(inherit);
    expect_range(&q, 0, 2);
}

Test(runq, new_next_kicks_the_old_one_out)
{
    gust__runq q = {0};
    bool inherit;
    cr_assert_null(gust__runq_set_next(&q, &gs[0]));
    cr_assert_eq(gust__runq_set_next(&q, &gs[1]), &gs[0]);
    cr_assert_eq(gust__runq_pop(&q, &inherit), &gs[1]);
    cr_assert_null(gust__runq_pop(&q, &inherit));
}

Test(runq, empty_means_neither_ring_nor_next)
{
    gust__runq q = {0};
    bool inherit;
    cr_assert(gust__runq_empty(&q));
    gust__runq_set_next(&q, &gs[0]);
    cr_assert_not(gust__runq_empty(&q));
    push_range(&q, 1, 2);
    gust__runq_pop(&q, &inherit);
    cr_assert_not(gust__runq_empty(&q));
    gust__runq_pop(&q, &inherit);
    cr_assert(gust__runq_empty(&q));
}

/* --- Stealing ---------------------------------------------------------------- */

/* Of n, n - n/2 go: the last of them is returned, the others are queued. */
static void steal_from_n(unsigned n)
{
    gust__runq from = {0}, into = {0};
    unsigned taken = n - n / 2;
    push_range(&from, 0, n);
    G *g = gust__runq_steal(&into, &from, false);
    cr_assert_eq(g, n ? &gs[taken - 1] : NULL);
    cr_assert_eq(gust__runq_len(&into), n ? taken - 1 : 0);
    cr_assert_eq(gust__runq_len(&from), n / 2);
    expect_range(&into, 0, n ? taken - 1 : 0);
    expect_range(&from, taken, n);
}

Test(runq, thief_takes_the_older_half)
{
    for (unsigned n = 0; n <= GUST__RUNQ_SIZE; n++)
        steal_from_n(n);
}

Test(runq, thief_takes_next_only_if_told_and_nothing_else_is_there)
{
    gust__runq from = {0}, into = {0};
    bool inherit;
    gust__runq_set_next(&from, &gs[0]);
    cr_assert_null(gust__runq_steal(&into, &from, false));
    push_range(&from, 1, 2);
    cr_assert_eq(gust__runq_steal(&into, &from, true), &gs[1]);
    cr_assert_eq(gust__runq_steal(&into, &from, true), &gs[0]);
    cr_assert_null(gust__runq_steal(&into, &from, true));
    cr_assert_null(gust__runq_pop(&from, &inherit));
    cr_assert(gust__runq_empty(&into));
}

/* --- All at once --------------------------------------------------------------
 * One owner makes goroutines and runs some; three thieves steal from it and from
 * each other.  Each goroutine must be seen exactly once. */

#define THIEVES 3
#define COUNT 40000

static struct crowd {
    G *gs;
    _Atomic unsigned char *seen;
    _Atomic unsigned total;
    gust__runq queues[1 + THIEVES]; /* the first is the owner's */
    uint64_t seed;
} crowd;

static void see(G *g)
{
    CHECK_EQ(atomic_fetch_add(&crowd.seen[g - crowd.gs], 1), 0);
    atomic_fetch_add(&crowd.total, 1);
}

static void run_all(gust__runq *q)
{
    bool inherit;
    for (G *g; (g = gust__runq_pop(q, &inherit));)
        see(g);
}

static void *thief(void *arg)
{
    size_t self = (size_t)(uintptr_t)arg;
    uint64_t rand = crowd.seed + self;
    while (atomic_load(&crowd.total) < COUNT) {
        size_t victim = test_rand(&rand) % (1 + THIEVES);
        if (victim == self)
            continue;
        G *g = gust__runq_steal(&crowd.queues[self], &crowd.queues[victim], test_rand(&rand) % 2);
        if (g)
            see(g);
        else
            sched_yield();
        if (test_rand(&rand) % 4)
            run_all(&crowd.queues[self]);
        else
            while (!gust__runq_empty(&crowd.queues[self]) && test_rand(&rand) % 8)
                sched_yield(); /* others may steal it back */
        run_all(&crowd.queues[self]);
    }
    return NULL;
}

static void owner_makes(G *g, uint64_t *rand)
{
    gust__glist overflow;
    if (test_rand(rand) % 3 == 0)
        g = gust__runq_set_next(&crowd.queues[0], g);
    if (!g)
        return;
    gust__runq_push(&crowd.queues[0], g, &overflow);
    for (G *out; (out = gust__glist_pop(&overflow));)
        see(out);
}

static void owner_runs_one(void)
{
    bool inherit;
    G *g = gust__runq_pop(&crowd.queues[0], &inherit);
    if (g)
        see(g);
}

Test(runq, concurrent_thieves_lose_and_double_nothing)
{
    pthread_t threads[THIEVES];
    crowd.seed = test_seed();
    crowd.gs = calloc(COUNT, sizeof *crowd.gs);
    crowd.seen = calloc(COUNT, sizeof *crowd.seen);
    for (size_t i = 0; i < THIEVES; i++)
        pthread_create(&threads[i], NULL, thief, (void *)(uintptr_t)(i + 1));
    uint64_t rand = crowd.seed;
    for (size_t i = 0; i < COUNT; i++) {
        owner_makes(&crowd.gs[i], &rand);
        if (test_rand(&rand) % 4 == 0)
            owner_runs_one();
        if (test_rand(&rand) % 512 == 0)
            sched_yield();
    }
    while (atomic_load(&crowd.total) < COUNT)
        owner_runs_one();
    for (size_t i = 0; i < THIEVES; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < 1 + THIEVES; i++)
        cr_assert(gust__runq_empty(&crowd.queues[i]));
    free(crowd.gs);
    free(crowd.seen);
}
