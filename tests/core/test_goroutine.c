/* Goroutines: spawning, numbers, options, ending. */
#include <stdlib.h>

#include "core/proc.h"
#include "tests/core/waiters.h"

/* --- Spawning ---------------------------------------------------------------- */

struct spawned {
    gust_waitgroup group;
    int plain; /* written before the spawn, read by it */
    _Atomic int count;
    _Atomic uint64_t sum;
};

static void take_argument(void *arg)
{
    struct spawned *s = arg;
    CHECK_EQ(s->plain, 4711);
    s->plain = 4712;
    gust_waitgroup_done(&s->group);
}

static int argument_main(void *arg)
{
    struct spawned s = {.plain = 4711};
    (void)arg;
    gust_waitgroup_add(&s.group, 1);
    go(take_argument, &s);
    CHECK_EQ(gust_waitgroup_wait(&s.group, SOON), 0);
    CHECK_EQ(s.plain, 4712);
    return 0;
}

Test(goroutine, sees_what_was_written_before_the_spawn)
{
    test_run(argument_main, NULL);
}

static void nest(void *arg)
{
    struct spawned *s = arg;
    if (atomic_fetch_add(&s->count, 1) < 99)
        go(nest, s);
    else
        gust_waitgroup_done(&s->group);
}

static int nest_main(void *arg)
{
    struct spawned s = {0};
    (void)arg;
    gust_waitgroup_add(&s.group, 1);
    go(nest, &s);
    CHECK_EQ(gust_waitgroup_wait(&s.group, SOON), 0);
    CHECK_EQ(atomic_load(&s.count), 100);
    return 0;
}

Test(goroutine, may_start_others)
{
    test_run(nest_main, NULL);
}

/* --- Many: numbers and counts -------------------------------------------------- */

#ifdef GUST__TSAN
#define MANY 20000
#else
#define MANY 100000
#endif

static struct many {
    gust_waitgroup group;
    _Atomic unsigned char *seen; /* by goroutine number */
    size_t seen_size;
} many;

static void mark_id(void *arg)
{
    (void)arg;
    uint64_t id = gust_goid();
    CHECK(id > 1 && id < many.seen_size);
    CHECK_EQ(atomic_fetch_add(&many.seen[id], 1), 0);
    gust_waitgroup_done(&many.group);
}

static int many_main(void *arg)
{
    (void)arg;
    CHECK_EQ(gust_goid(), 1);
    gust_waitgroup_add(&many.group, MANY);
    for (int i = 0; i < MANY; i++)
        go(mark_id, NULL);
    CHECK_EQ(gust_waitgroup_wait(&many.group, SOON), 0);
    AWAIT(gust_num_goroutines() == 1); /* the last ones end after their done */
    CHECK_EQ(gust_goid(), 1);
    return 0;
}

Test(goroutine, hundred_thousand_come_and_go_with_numbers_of_their_own)
{
    many.seen_size = 2 * MANY + 100 * 1024; /* ids are reserved in batches per P */
    many.seen = calloc(many.seen_size, 1);
    test_run(many_main, NULL);
    free(many.seen);
}

static void wait_for_close(void *arg)
{
    CHECK_EQ(gust_chan_recv(arg, NULL, SOON), 0);
}

static int count_main(void *arg)
{
    (void)arg;
    gust_chan *c = chan_make(0, 0);
    CHECK_EQ(gust_num_goroutines(), 1);
    for (int i = 1; i <= 10; i++) {
        go(wait_for_close, c);
        CHECK_EQ(gust_num_goroutines(), 1 + i); /* parked or not yet started */
    }
    AWAIT(receivers_waiting(c) == 10);
    CHECK_EQ(gust_num_goroutines(), 11);
    gust_chan_close(c);
    AWAIT(gust_num_goroutines() == 1);
    gust_chan_unref(c);
    return 0;
}

Test(goroutine, count_has_those_that_wait)
{
    test_run(count_main, NULL);
    cr_assert_eq(gust_num_goroutines(), 0);
}

Test(goroutine, number_outside_is_zero)
{
    cr_assert_eq(gust_goid(), 0);
    cr_assert_null(gust__g());
}

static int system_main(void *arg)
{
    gust_chan *c = arg;
    gust__spawn how = {.fn = wait_for_close, .arg = c, .system = true};
    CHECK_EQ(gust__go(&how), 0);
    CHECK_EQ(gust_num_goroutines(), 1);
    AWAIT(receivers_waiting(c) == 1);
    gust_chan_close(c);
    AWAIT(receivers_waiting(c) == 0);
    gust_yield();
    CHECK_EQ(gust_num_goroutines(), 1);
    return 0;
}

Test(goroutine, system_ones_are_not_counted)
{
    gust_chan *c = chan_make(0, 0);
    test_run(system_main, c);
    gust_chan_unref(c);
}

/* --- A stack only for those that run ------------------------------------------- */

/* The goroutine that runs next, if it is the only one; chaos may have put it into the
 * global queue. */
static G *peek(void)
{
    P *p = gust__m()->p;
    bool inherit;
    G *g = gust__runq_pop(&p->runq, &inherit);
    if (g)
        gust__runq_ready(p, g, false);
    return g ? g : sched.glist.head;
}

static int unstarted_main(void *arg)
{
    (void)arg;
    struct spawned s = {.plain = 4711};
    gust_waitgroup_add(&s.group, 1);
    {
        GUST__CALL(); /* one, in which the P stays and the new one cannot run */
        go(take_argument, &s);
        G *g = peek();
        CHECK(g);
        CHECK_EQ(atomic_load(&g->state), G_WAITING_START);
        CHECK(!g->stack.low);
    }
    CHECK_EQ(gust_waitgroup_wait(&s.group, SOON), 0);
    return 0;
}

Test(goroutine, gets_its_stack_when_it_first_runs)
{
    setenv("GUST_MAXPROCS", "1", 1);
    test_run(unstarted_main, NULL);
}

static void *last_stack;

static void note_stack(void *arg)
{
    int on_stack = 0;
    last_stack = gust__g()->stack.low;
    CHECK((char *)&on_stack > (char *)last_stack);
    gust_waitgroup_done(arg);
}

static int reuse_main(void *arg)
{
    gust_waitgroup group = GUST_WAITGROUP_INIT;
    void *first = NULL;
    (void)arg;
    for (int i = 0; i < 100; i++) {
        gust_waitgroup_add(&group, 1);
        go(note_stack, &group);
        CHECK_EQ(gust_waitgroup_wait(&group, SOON), 0);
        AWAIT(gust_num_goroutines() == 1);
        CHECK(!first || first == last_stack);
        first = last_stack;
    }
    return 0;
}

Test(goroutine, warm_stack_is_used_again)
{
    setenv("GUST_MAXPROCS", "1", 1);
    test_run(reuse_main, NULL);
}

/* --- Options ----------------------------------------------------------------- */

static gust_waitgroup options_group;

static void expect_options(void *arg)
{
    gust_go_options *options = arg;
    G *g = gust__g();
    CHECK(g->name == options->name);
    CHECK(g->spawn_pc);
    if (options->stack_size)
        CHECK(g->stack.size + 4096 * 16 >= options->stack_size); /* guard included */
    else
        CHECK(g->stack.size < GUST__STACK_SIZE_DEFAULT);
    gust_waitgroup_done(&options_group);
}

static int options_main(void *arg)
{
    (void)arg;
    gust_go_options some[] = {
        {.name = "plain"},
        {.name = "least", .stack_size = GUST__STACK_SIZE_MIN},
        {.name = "odd", .stack_size = 100001},
        {.name = "usual", .stack_size = GUST__STACK_SIZE_DEFAULT},
        {.name = "most", .stack_size = GUST__STACK_SIZE_MAX},
    };
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        gust_waitgroup_add(&options_group, 1);
        CHECK_EQ(gust_go_with(&some[i], expect_options, &some[i]), 0);
        CHECK_EQ(gust_waitgroup_wait(&options_group, SOON), 0);
    }
    return 0;
}

Test(goroutine, options_set_name_and_stack)
{
    unsetenv("GUST_STACK_SIZE");
    test_run(options_main, NULL);
}

static void never(void *arg)
{
    (void)arg;
    CHECK(!"reached");
}

static int bad_options_main(void *arg)
{
    static const size_t bad[] = {1, GUST__STACK_SIZE_MIN - 1, GUST__STACK_SIZE_MAX + 1, SIZE_MAX};
    (void)arg;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        gust_go_options options = {.stack_size = bad[i]};
        CHECK_EQ(gust_go_with(&options, never, NULL), -EINVAL);
    }
    CHECK_EQ(gust_num_goroutines(), 1);
    return 0;
}

Test(goroutine, stack_sizes_out_of_bounds_are_refused)
{
    test_run(bad_options_main, NULL);
}

/* 4 KiB a frame: few frames (ThreadSanitizer keeps 64 Ki), much stack. */
static __attribute__((noinline)) int recurse(int depth)
{
    volatile char frame[4096];
    frame[0] = (char)depth;
    frame[4095] = 1;
    if (depth == 0)
        return 0;
    return recurse(depth - 1) + frame[4095];
}

static void recurse_deep(void *arg)
{
    CHECK_EQ(recurse(10000), 10000);
    gust_waitgroup_done(arg);
}

static int deep_main(void *arg)
{
    gust_go_options big = {.name = "deep", .stack_size = 256 << 20};
    gust_waitgroup group = GUST_WAITGROUP_INIT;
    (void)arg;
    gust_waitgroup_add(&group, 1);
    CHECK_EQ(gust_go_with(&big, recurse_deep, &group), 0);
    CHECK_EQ(gust_waitgroup_wait(&group, SOON), 0);
    return 0;
}

Test(goroutine, big_stack_carries_deep_recursion)
{
    test_run(deep_main, NULL);
}

/* --- Ending ------------------------------------------------------------------ */

/* Volatile: else the compiler sees that it returns to nobody. */
static void (*volatile exit_below)(int depth, void *group);

static void exit_at_the_bottom(int depth, void *group)
{
    if (depth > 0) {
        exit_below(depth - 1, group);
        CHECK(!"reached");
    }
    gust_waitgroup_done(group);
    gust_goexit();
}

static void exit_early(void *arg)
{
    exit_below = exit_at_the_bottom;
    exit_below(10, arg);
}

static int goexit_main(void *arg)
{
    gust_waitgroup group = GUST_WAITGROUP_INIT;
    (void)arg;
    for (int i = 0; i < 500; i++) {
        gust_waitgroup_add(&group, 1);
        go(exit_early, &group);
        CHECK_EQ(gust_waitgroup_wait(&group, SOON), 0);
    }
    AWAIT(gust_num_goroutines() == 1);
    return 0;
}

Test(goroutine, goexit_ends_it_from_any_depth)
{
    test_run(goexit_main, NULL);
}

static void panic_now(void *arg)
{
    (void)arg;
    gust_panic("as the test wants: %d", 42);
}

static int panic_main(void *arg)
{
    go(panic_now, arg);
    gust_sleep(30 * GUST_SEC);
    return 0;
}

Test(goroutine, panic_aborts, .signal = SIGABRT)
{
    gust_run(panic_main, NULL);
}
