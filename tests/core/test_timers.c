/* The timer heaps by themselves.  No runtime runs: the test's threads pose as Ms
 * that hold a P, which is all that timers ask for. */
#include <pthread.h>
#include <stdlib.h>

#include "core/proc.h"
#include "tests/core/waiters.h"

#define PROCS 4
static P ps[PROCS];
static M ms[PROCS];

/* The calling thread becomes an M with P number i. */
static gust__timers *become(int i)
{
    ms[i].p = &ps[i];
    gust__tls_m = &ms[i];
    return &ps[i].timers;
}

static void init(void)
{
    for (int i = 0; i < PROCS; i++)
        cr_assert_eq(gust__timers_init(&ps[i].timers), 0);
}

static void fini(void)
{
    for (int i = 0; i < PROCS; i++)
        gust__timers_fini(&ps[i].timers);
    gust__tls_m = NULL;
}

static void assert_heap(gust__timers *ts)
{
    for (uint32_t i = 0; i < ts->len; i++) {
        gust__timer *t = ts->slots[i].t;
        cr_assert_eq(t->index, i + 1);
        cr_assert_eq(t->when, ts->slots[i].when);
        cr_assert_eq(atomic_load(&t->heap), ts);
        cr_assert_leq(ts->slots[i ? (i - 1) / 4 : 0].when, t->when);
    }
    cr_assert_eq(gust__timers_earliest(ts), ts->len ? ts->slots[0].when : GUST_FOREVER);
}

/* --- One thread against a model ---------------------------------------------- */

#define TIMERS 300

struct subject {
    gust__timer timer;
    bool armed; /* what the model says */
    gust_time when;
    int fired;
};

static struct subject subjects[TIMERS];
static gust_time last_fired;

static void subject_fire(gust__timer *t)
{
    struct subject *s = (struct subject *)t;
    cr_assert(s->armed);
    cr_assert_geq(s->when, last_fired, "fired out of order");
    last_fired = s->when;
    s->armed = false;
    s->fired++;
}

static void random_step(struct subject *s, uint64_t *rand)
{
    if (test_rand(rand) % 3) {
        gust_time when = 1 + (gust_time)(test_rand(rand) % 1000);
        cr_assert_eq(gust__timer_set(&s->timer, when), s->armed);
        s->armed = true;
        s->when = when;
    } else {
        cr_assert_eq(gust__timer_stop(&s->timer), s->armed);
        s->armed = false;
    }
}

/* Fires what is due at `now` and asserts that this is exactly what ran. */
static void fire_until(gust__timers *ts, gust_time now)
{
    int due = 0;
    for (int i = 0; i < TIMERS; i++)
        due += subjects[i].armed && subjects[i].when <= now;
    last_fired = 0;
    cr_assert_eq(gust__timers_run(ts, now), due);
    for (int i = 0; i < TIMERS; i++)
        cr_assert_not(subjects[i].armed && subjects[i].when <= now);
}

Test(timers, random_steps_agree_with_a_model, .init = init, .fini = fini)
{
    gust__timers *ts = become(0);
    uint64_t rand = test_seed();
    for (int i = 0; i < TIMERS; i++)
        subjects[i].timer.fn = subject_fire;
    for (int step = 0; step < 20000; step++) {
        random_step(&subjects[test_rand(&rand) % TIMERS], &rand);
        if (step % 16 == 0)
            assert_heap(ts);
        if (step % 500 == 0)
            fire_until(ts, (gust_time)(test_rand(&rand) % 300));
    }
    fire_until(ts, 1000);
    cr_assert_eq(ts->len, 0);
    assert_heap(ts);
}

/* --- Single steps ------------------------------------------------------------ */

static void count_fire(gust__timer *t)
{
    ((struct subject *)t)->fired++;
}

Test(timers, due_means_not_later_than_now, .init = init, .fini = fini)
{
    gust__timers *ts = become(0);
    struct subject s = {.timer.fn = count_fire};
    gust__timer_set(&s.timer, 100);
    cr_assert_eq(gust__timers_run(ts, 99), 0);
    cr_assert_eq(gust__timers_run(ts, 100), 1);
    cr_assert_eq(gust__timers_run(ts, 101), 0);
    cr_assert_eq(s.fired, 1);
    cr_assert_not(gust__timer_stop(&s.timer));
}

Test(timers, never_armed_is_not_stopped, .init = init, .fini = fini)
{
    struct subject s = {.timer.fn = count_fire};
    become(0);
    cr_assert_not(gust__timer_stop(&s.timer));
}

Test(timers, set_moves_it_to_the_callers_heap, .init = init, .fini = fini)
{
    struct subject s = {.timer.fn = count_fire};
    become(0);
    cr_assert_not(gust__timer_set(&s.timer, 10));
    gust__timers *other = become(1);
    cr_assert(gust__timer_set(&s.timer, 20));
    cr_assert_eq(ps[0].timers.len, 0);
    cr_assert_eq(gust__timers_earliest(&ps[0].timers), GUST_FOREVER);
    assert_heap(other);
    cr_assert_eq(gust__timers_run(&ps[0].timers, 100), 0);
    cr_assert_eq(gust__timers_run(other, 100), 1);
    /* At rest it remembers a heap, and can be armed in another one. */
    become(0);
    cr_assert_not(gust__timer_set(&s.timer, 30));
    cr_assert(gust__timer_stop(&s.timer));
    cr_assert_eq(s.fired, 1);
}

static void again_fire(gust__timer *t)
{
    struct subject *s = (struct subject *)t;
    s->fired++;
    s->when += 10;
    gust__timer_set(t, s->when);
}

Test(timers, callback_may_arm_its_timer_again, .init = init, .fini = fini)
{
    gust__timers *ts = become(0);
    struct subject s = {.timer.fn = again_fire, .when = 10};
    gust__timer_set(&s.timer, s.when);
    cr_assert_eq(gust__timers_run(ts, 55), 5);
    cr_assert_eq(s.when, 60);
    cr_assert_eq(gust__timers_earliest(ts), 60);
    cr_assert(gust__timer_stop(&s.timer));
}

Test(timers, thief_runs_another_ps_timers, .init = init, .fini = fini)
{
    struct subject s = {.timer.fn = again_fire, .when = 10};
    become(0);
    gust__timer_set(&s.timer, s.when);
    gust__timers *mine = become(1);
    cr_assert_eq(gust__timers_run(&ps[0].timers, 10), 1);
    cr_assert_eq(ps[0].timers.len, 0);
    cr_assert_eq(mine->len, 1, "armed again where the thief is");
    cr_assert(gust__timer_stop(&s.timer));
}

/* --- Stop against a running callback ----------------------------------------- */

static struct slow {
    gust__timer timer;
    _Atomic bool entered, stopping, finished;
} slow;

static void slow_fire(gust__timer *t)
{
    (void)t;
    atomic_store(&slow.entered, true);
    while (!atomic_load(&slow.stopping))
        gust__cpu_relax();
    /* Time for a stop that does not wait to return too early. */
    for (gust_time end = gust_after(2 * GUST_MS); gust_now() < end;)
        gust__cpu_relax();
    atomic_store(&slow.finished, true);
}

static void *slow_runner(void *arg)
{
    gust__timers *ts = become(1);
    (void)arg;
    CHECK_EQ(gust__timers_run(ts, 100), 1);
    return NULL;
}

Test(timers, stop_waits_for_a_running_callback, .init = init, .fini = fini)
{
    pthread_t thread;
    slow.timer.fn = slow_fire;
    become(1);
    gust__timer_set(&slow.timer, 10);
    become(0);
    pthread_create(&thread, NULL, slow_runner, NULL);
    while (!atomic_load(&slow.entered))
        gust__cpu_relax();
    atomic_store(&slow.stopping, true);
    cr_assert_not(gust__timer_stop(&slow.timer));
    cr_assert(atomic_load(&slow.finished));
    pthread_join(thread, NULL);
}

Test(timers, one_callback_of_a_heap_runs_at_a_time, .init = init, .fini = fini)
{
    pthread_t thread;
    struct subject behind = {.timer.fn = count_fire};
    slow.timer.fn = slow_fire;
    become(1);
    gust__timer_set(&slow.timer, 10);
    gust__timer_set(&behind.timer, 11);
    become(0);
    pthread_create(&thread, NULL, slow_runner, NULL);
    while (!atomic_load(&slow.entered))
        gust__cpu_relax();
    cr_assert_eq(gust__timers_run(&ps[1].timers, 10), 0);
    cr_assert(gust__timer_stop(&behind.timer));
    atomic_store(&slow.stopping, true);
    pthread_join(thread, NULL);
}

/* Armed in another heap while its callback runs, a timer could be in two callbacks
 * at once, and a stop would wait for one of them only. */
Test(timers, callbacks_of_one_timer_do_not_overlap, .init = init, .fini = fini)
{
    pthread_t thread;
    slow.timer.fn = slow_fire;
    become(1);
    gust__timer_set(&slow.timer, 10);
    gust__timers *mine = become(0);
    pthread_create(&thread, NULL, slow_runner, NULL);
    while (!atomic_load(&slow.entered))
        gust__cpu_relax();
    cr_assert_not(gust__timer_set(&slow.timer, 20));
    cr_assert_eq(gust__timers_run(mine, 100), 0, "the first callback is not over");
    atomic_store(&slow.stopping, true);
    pthread_join(thread, NULL);
    cr_assert_eq(gust__timers_run(mine, 100), 1);
}

/* --- All at once ---------------------------------------------------------------
 * Every thread sets and stops every timer and runs every heap.  What was armed
 * must have fired, been stopped, or be armed still, each exactly once. */

#define SHARED 40
#define STEPS 20000

static struct shared {
    gust__timer timer;
    _Atomic long fired;
} shared[SHARED];
static _Atomic long armed_anew, stopped;
static uint64_t storm_seed;

static void shared_fire(gust__timer *t)
{
    atomic_fetch_add(&((struct shared *)t)->fired, 1);
}

static void *storm_thread(void *arg)
{
    int self = (int)(intptr_t)arg;
    uint64_t rand = storm_seed + (uint64_t)self;
    become(self);
    for (int i = 0; i < STEPS; i++) {
        gust__timer *t = &shared[test_rand(&rand) % SHARED].timer;
        switch (test_rand(&rand) % 4) {
        case 0:
        case 1:
            if (!gust__timer_set(t, (gust_time)(test_rand(&rand) % 1000)))
                atomic_fetch_add(&armed_anew, 1);
            break;
        case 2:
            if (gust__timer_stop(t))
                atomic_fetch_add(&stopped, 1);
            break;
        case 3:
            gust__timers_run(&ps[test_rand(&rand) % PROCS].timers,
                             (gust_time)(test_rand(&rand) % 500));
            break;
        }
    }
    return NULL;
}

Test(timers, concurrent_sets_stops_and_runs_lose_nothing, .init = init, .fini = fini)
{
    pthread_t threads[PROCS];
    long fired = 0, armed = 0;
    storm_seed = test_seed();
    for (int i = 0; i < SHARED; i++)
        shared[i].timer.fn = shared_fire;
    for (intptr_t i = 0; i < PROCS; i++)
        pthread_create(&threads[i], NULL, storm_thread, (void *)i);
    for (int i = 0; i < PROCS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < SHARED; i++)
        fired += atomic_load(&shared[i].fired);
    for (int i = 0; i < PROCS; i++) {
        assert_heap(&ps[i].timers);
        armed += ps[i].timers.len;
    }
    cr_assert_eq(atomic_load(&armed_anew), fired + atomic_load(&stopped) + armed);
}
