/* Dumps: every goroutine with its state, place and origin, from wherever they are
 * asked for, and whatever the goroutines do meanwhile. */
#include <gust/signal.h>
#include <pthread.h>

#include "core/backtrace.h"
#include "core/proc.h"
#include "tests/core/child.h"
#include "tests/core/dumps.h"
#include "tests/core/procs.h"

/* --- What it says ----------------------------------------------------------- */

static gust_chan *empty, *full;
static gust_mutex held = GUST_MUTEX_INIT;
static _Atomic int started;
static _Atomic bool enough;

__attribute__((noinline)) static void receive(void *arg)
{
    atomic_fetch_add(&started, 1);
    CHECK_EQ(gust_chan_recv(empty, arg, GUST_FOREVER), 0);
}

static void send_one(void *arg)
{
    int value = 1;
    (void)arg;
    atomic_fetch_add(&started, 1);
    (void)gust_chan_send(full, &value, GUST_FOREVER);
}

static void choose(void *arg)
{
    gust_case cases[] = {recv_case(empty, NULL), recv_case(NULL, NULL)};
    (void)arg;
    atomic_fetch_add(&started, 1);
    (void)gust_select(cases, 2, GUST_FOREVER);
}

static void lock(void *arg)
{
    (void)arg;
    atomic_fetch_add(&started, 1);
    gust_mutex_lock(&held);
    gust_mutex_unlock(&held);
}

static void doze(void *arg)
{
    (void)arg;
    atomic_fetch_add(&started, 1);
    gust_sleep(100 * GUST_SEC);
}

static void block(void *arg)
{
    (void)arg;
    gust_blocking_begin();
    atomic_fetch_add(&started, 1);
    while (!atomic_load(&enough))
        usleep(100);
    gust_blocking_end();
}

static void never_runs(void *arg)
{
    (void)arg;
}

static size_t parked_count(void)
{
    size_t n = 0;
    G copy;
    for (gust__slab *s = atomic_load(&gust__slabs); s; s = s->next)
        for (int i = 0; i < GUST__SLAB_GS; i++)
            if (gust__g_look(&s->gs[i], &copy) && copy.state == G_PARKED && copy.ctx.sp)
                n++;
    return n;
}

static void check_state(const char *text, const char *name, const char *state, void (*fn)(void *))
{
    char *section = section_of(text, name);
    CHECK_HAS(section, state);
    CHECK_HAS(section, "\n  started at ");
    if (fn && !has_frame_in(section, fn))
        fprintf(stderr, "%s\n", section);
    CHECK(!fn || has_frame_in(section, fn));
    free(section);
}

static int states_main(void *arg)
{
    (void)arg;
    empty = chan_make(sizeof(int), 0);
    full = chan_make(sizeof(int), 0);
    gust_mutex_lock(&held);
    go_named("receiver", receive, NULL);
    go_named("sender", send_one, NULL);
    go_named("chooser", choose, NULL);
    go_named("locker", lock, NULL);
    go_named("sleeper", doze, NULL);
    AWAIT(atomic_load(&started) == 5 && parked_count() == 5);
    go_named("blocker", block, NULL);
    AWAIT(atomic_load(&started) == 6);

    CHECK(!gust__g()->ctx.sp); /* nobody takes an old one for a parked stack */
    char *text = dump_take();
    CHECK(strncmp(text, "\ngoroutine 1 (\"main\") [running]:\n", 33) == 0);
    CHECK_EQ(count_in(text, "\ngoroutine "), 7);
    CHECK_EQ(count_in(text, "\n  started at "), 7);
    check_state(text, "receiver", "[chan receive", receive);
    check_state(text, "sender", "[chan send", send_one);
    check_state(text, "chooser", "[select", choose);
    check_state(text, "locker", "[mutex lock", lock);
    check_state(text, "sleeper", "[sleep", doze);
    check_state(text, "blocker", "[in a blocking call]:\n", NULL);
    char *mine = section_of(text, "main");
    CHECK(has_frame_in(mine, (void (*)(void *))(uintptr_t)states_main));
    free(mine);
    free(text);

    gust_mutex_unlock(&held);
    atomic_store(&enough, true);
    gust_chan_close(empty);
    return 0;
}

Test(dump, shows_each_goroutine_with_state_place_and_origin)
{
    test_run(states_main, NULL);
}

static int fresh_main(void *arg)
{
    (void)arg;
    go_named("fresh", never_runs, NULL);
    char *text = dump_take();
    check_state(text, "fresh", "[waiting to start]:\n  at ", never_runs);
    free(text);
    return 0;
}

Test(dump, shows_what_a_goroutine_will_run_that_has_not, .init = one_p)
{
    test_run(fresh_main, NULL);
}

/* `since` is never later than the park, and not before the last time all slept. */
static int wait_main(void *arg)
{
    gust_time woken = gust_after(200 * GUST_MS);
    double parked = 0;
    char unit = 0;
    (void)arg;
    empty = chan_make(sizeof(int), 0);
    gust_sleep_until(woken);
    go_named("receiver", receive, NULL);
    AWAIT(parked_count() == 1);
    gust_sleep(60 * GUST_MS);
    char *text = dump_take();
    long most_ms = (long)((gust_now() - woken) / GUST_MS);
    char *section = section_of(text, "receiver");
    CHECK_EQ(sscanf(section, " (\"receiver\") [chan receive, %lf %c", &parked, &unit), 2);
    long ms = (long)(unit == 'm' ? parked : parked * 1000);
    CHECK(ms >= 60);
    CHECK(ms <= most_ms);
    free(section);
    free(text);
    gust_chan_close(empty);
    return 0;
}

Test(dump, says_for_how_long_a_goroutine_has_been_parked)
{
    test_run(wait_main, NULL);
}

/* --- Where it is asked for -------------------------------------------------- */

static void *dump_from_thread(void *arg)
{
    *(char **)arg = dump_take();
    return NULL;
}

static int thread_main(void *arg)
{
    pthread_t thread;
    char *text;
    (void)arg;
    empty = chan_make(sizeof(int), 0);
    go_named("receiver", receive, NULL);
    AWAIT(parked_count() == 1);
    CHECK_EQ(pthread_create(&thread, NULL, dump_from_thread, &text), 0);
    pthread_join(thread, NULL);
    check_state(text, "receiver", "[chan receive", receive);
    check_state(text, "main", "[running", NULL);
    free(text);
    gust_chan_close(empty);
    return 0;
}

Test(dump, can_be_asked_for_by_any_thread)
{
    test_run(thread_main, NULL);
}

static _Atomic bool hog_goes_on;

static void hog(void *arg)
{
    (void)arg;
    while (atomic_load(&hog_goes_on))
        gust__cpu_relax();
}

static int demoted_main(void *arg)
{
    gust_stats stats;
    (void)arg;
    atomic_store(&hog_goes_on, true);
    go_named("hog", hog, NULL);
    do {
        gust_yield();
        gust_stats_read(&stats);
    } while (!stats.demotions);
    char *text = dump_take();
    check_state(text, "hog", "[running without a P]:\n", NULL);
    free(text);
    atomic_store(&hog_goes_on, false);
    return 0;
}

Test(dump, tells_who_has_lost_its_p, .init = one_p)
{
    test_run(demoted_main, NULL);
}

static void never_returns(void *arg)
{
    (void)arg;
    (void)gust_chan_recv(NULL, NULL, GUST_FOREVER);
}

static int quit_main(void *arg)
{
    (void)arg;
    go_named("waiter", never_returns, NULL);
    AWAIT(parked_count() == 1);
    kill(getpid(), SIGQUIT);
    for (;;)
        gust_yield();
    return 0;
}

static void quit(void)
{
    signal(SIGQUIT, SIG_DFL);
    gust_run(quit_main, NULL);
}

Test(dump, sigquit_dumps_and_kills)
{
    char text[16384];
    int status = child_run(quit, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGQUIT, "%x %s", status, text);
    cr_assert_not_null(strstr(text, "(\"waiter\") [chan (NULL)"), "%s", text);
    cr_assert_not_null(strstr(text, "goroutine 1 (\"main\") [run"), "%s", text);
}

static int quit_while_idle_main(void *arg)
{
    (void)arg;
    go_named("waiter", never_returns, NULL);
    AWAIT(parked_count() == 1);
    CHECK_EQ(gust_go(hog, NULL), 0);
    kill(getpid(), SIGQUIT);
    never_returns(NULL);
    return 0;
}

static void quit_while_idle(void)
{
    signal(SIGQUIT, SIG_DFL);
    gust_run(quit_while_idle_main, NULL);
}

Test(dump, sigquit_is_heard_when_nothing_runs)
{
    child_assert_ends(quit_while_idle, SIGQUIT);
}

static void on_quit(int signo)
{
    (void)signo;
    atomic_store(&enough, true);
}

static int handled_main(void *arg)
{
    (void)arg;
    raise(SIGQUIT);
    AWAIT(atomic_load(&enough));
    return 0;
}

static int notified_main(void *arg)
{
    int signo = 0;
    gust_chan *c = chan_make(sizeof(int), 1);
    struct sigaction now;
    (void)arg;
    CHECK_EQ(gust_signal_notify(c, SIGQUIT), 0);
    raise(SIGQUIT);
    CHECK_EQ(gust_chan_recv(c, &signo, SOON), 1);
    CHECK_EQ(signo, SIGQUIT);
    CHECK_EQ(gust_signal_notify(NULL, SIGQUIT), 0);
    sigaction(SIGQUIT, NULL, &now);
    CHECK(now.sa_flags & SA_SIGINFO);            /* the dump's again */
    CHECK_EQ(gust_signal_notify(c, SIGQUIT), 0); /* and at the end it is ours */
    gust_chan_unref(c);
    return 0;
}

static void quit_is_handled(void)
{
    struct sigaction now;
    signal(SIGQUIT, on_quit);
    CHECK_EQ(gust_run(handled_main, NULL), 0);
    sigaction(SIGQUIT, NULL, &now);
    CHECK(now.sa_handler == on_quit);
    signal(SIGQUIT, SIG_DFL);
    CHECK_EQ(gust_run(notified_main, NULL), 0);
    sigaction(SIGQUIT, NULL, &now);
    CHECK(now.sa_handler == SIG_DFL);
}

Test(dump, sigquit_is_left_to_those_who_want_it)
{
    child_assert_ends(quit_is_handled, 0);
}

/* --- Before aborts ---------------------------------------------------------- */

static void (*way_to_die)(void);

static void die(void *arg)
{
    (void)arg;
    way_to_die();
}

static int die_main(void *arg)
{
    (void)arg;
    go_named("waiter", never_returns, NULL);
    AWAIT(parked_count() == 1);
    go_named("culprit", die, NULL);
    for (;;)
        gust_yield();
    return 0;
}

static void panic(void)
{
    gust_panic("no more");
}

static void break_down(void)
{
    gust__fatal("broken");
}

static void run_and_panic(void)
{
    way_to_die = panic;
    gust_run(die_main, NULL);
}

static void run_and_break_down(void)
{
    way_to_die = break_down;
    gust_run(die_main, NULL);
}

static volatile int depth_reached;

__attribute__((noinline)) static int climb(int depth)
{
    volatile char frame[256];
    frame[0] = (char)depth;
    depth_reached = depth;
    return depth < 0 ? 0 : climb(depth + 1) + frame[0];
}

static void overflow(void)
{
    climb(0);
}

static void run_and_overflow(void)
{
    way_to_die = overflow;
    gust_run(die_main, NULL);
}

static void check_death(void (*child)(void), const char *first, const char *culprit)
{
    char text[16384];
    int status = child_run(child, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%s", text);
    cr_assert_not_null(strstr(text, first), "%s", text);
    cr_assert_not_null(strstr(text, culprit), "%s", text);
    cr_assert_not_null(strstr(text, " (\"waiter\") [chan (NULL)"), "%s", text);
    cr_assert_not_null(strstr(text, " (\"main\") ["), "%s", text);
    cr_assert_eq(count_in(text, "culprit"), 1, "%s", text);
}

Test(dump, comes_before_every_abort)
{
    check_death(run_and_panic, "panic: no more", "(\"culprit\"), started at");
    check_death(run_and_break_down, "gust: broken", "(\"culprit\")");
    check_death(run_and_overflow, "overflowed", "(\"culprit\") overflowed");
}

/* --- Bounds, and goroutines in motion --------------------------------------- */

static void check_count(int shown, const char *rest)
{
    char *text = dump_take();
    CHECK_EQ(count_in(text, "\ngoroutine "), shown);
    if (rest)
        CHECK_HAS(text, rest);
    else
        CHECK(!strstr(text, "more goroutines"));
    free(text);
}

/* Most have not run when they are counted, which is quicker. */
static int many_main(void *arg)
{
    (void)arg;
    empty = chan_make(sizeof(int), 0);
    check_count(1, NULL);
    for (int i = 0; i < 1000; i++)
        go(receive, NULL);
    check_count(1001, NULL);
    go(receive, NULL);
    check_count(1001, "\n... and 1 more goroutines\n");
    gust_chan_close(empty);
    return 0;
}

Test(dump, shows_a_thousand_others_and_counts_the_rest, .init = one_p)
{
    test_run(many_main, NULL);
}

static void brief(void *arg)
{
    gust_chan *c = arg;
    int value = 0;
    while (gust_chan_recv(c, &value, SOON) == 1 && value > 0)
        gust_yield();
}

static void churn(void *arg)
{
    gust_chan *c = chan_make(sizeof(int), 0);
    while (!atomic_load(&enough)) {
        CHECK_EQ(
            gust_go_with(&(gust_go_options){.name = "brief", .stack_size = 64 << 10}, brief, c), 0);
        for (int value = 3; value >= 0; value--)
            send_int(c, value);
    }
    gust_chan_unref(c);
    gust_waitgroup_done(arg);
}

static void *dump_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100; i++)
        free(dump_take());
    atomic_store(&enough, true);
    return NULL;
}

static int churn_main(void *arg)
{
    pthread_t thread;
    gust_waitgroup group = GUST_WAITGROUP_INIT;
    (void)arg;
    gust_waitgroup_add(&group, 8);
    for (int i = 0; i < 8; i++)
        go(churn, &group);
    CHECK_EQ(pthread_create(&thread, NULL, dump_often, NULL), 0);
    CHECK_EQ(gust_waitgroup_wait(&group, SOON), 0);
    pthread_join(thread, NULL);
    return 0;
}

Test(dump, does_not_mind_goroutines_that_run_and_end_and_stacks_that_go)
{
    test_run(churn_main, NULL);
}

/* As when the stack was trimmed, or run over, while it was read. */
Test(dump, shows_no_frame_without_a_return_address)
{
    static const char zeroes[4096];
    void *pcs[4];
    cr_assert_eq(gust__frames_peek(zeroes, zeroes, zeroes + sizeof zeroes, pcs, 4), 0);
}

Test(dump, reads_no_memory_that_is_gone)
{
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *pcs[4];
    char byte;
    cr_assert(gust__peek(&byte, map, 1));
    munmap(map, 4096);
    cr_assert_not(gust__peek(&byte, map, 1));
    cr_assert_eq(gust__frames_peek(map, map, map + 4096, pcs, 4), 0);
}
