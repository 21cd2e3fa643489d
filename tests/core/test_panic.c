/* Panics, recover scopes and deferred functions. */
#include <gust/panic.h>

#include "core/panic.h"
#include "core/proc.h"
#include "tests/core/child.h"
#include "tests/core/waiters.h"

/* A literal as the argument of a goroutine function. */
#define TEXT(literal) ((void *)(uintptr_t)(literal))

/* What has happened, a letter each. */
static char trace[64];

static void note(void *arg)
{
    strcat(trace, arg);
}

static void defer_note(const char *letter)
{
    CHECK_EQ(gust_defer(note, TEXT(letter)), 0);
}

static void panic_with(void *arg)
{
    gust_panic("%s", (const char *)arg);
}

static void done(void *arg)
{
    gust_waitgroup_done(arg);
}

/* The user's code runs outside of every call of gust; or the goroutine could never
 * lose its P again. */
static void check_outside_of_calls(void)
{
    CHECK_EQ(gust__marks_here()->depth, 0);
}

#define CHECK_TEXT(actual, expected) CHECK(strcmp((actual), (expected)) == 0)

/* --- Scopes ------------------------------------------------------------------ */

static int scopes_main(void *arg)
{
    gust_panic_info info = {.message = "untouched"};
    (void)arg;
    CHECK(!gust_recover(note, TEXT("a"), &info));
    CHECK_TEXT(trace, "a");
    CHECK_TEXT(info.message, "untouched");
    CHECK(gust_recover(panic_with, TEXT("the reason"), &info));
    CHECK_TEXT(info.message, "the reason");
    CHECK_EQ(info.goid, gust_goid());
    CHECK(info.frame_count >= 3); /* panic_with, gust_recover_with, gust_recover, ... */
    CHECK((uintptr_t)info.frames[0] > (uintptr_t)panic_with);
    CHECK((uintptr_t)info.frames[0] < (uintptr_t)panic_with + 512);
    CHECK(gust_recover(panic_with, TEXT(""), NULL));
    return 0;
}

Test(panic, recover_reports_a_panic_and_nothing_else)
{
    test_run(scopes_main, NULL);
}

static char long_text[2 * GUST_PANIC_MESSAGE_MAX];

static int long_main(void *arg)
{
    gust_panic_info info;
    (void)arg;
    memset(long_text, 'x', sizeof long_text - 1);
    for (size_t n = GUST_PANIC_MESSAGE_MAX - 2; n <= GUST_PANIC_MESSAGE_MAX; n++) {
        char *text = long_text + sizeof long_text - 1 - n;
        CHECK(gust_recover(panic_with, text, &info));
        CHECK_EQ(strlen(info.message), n < GUST_PANIC_MESSAGE_MAX ? n : n - 1);
    }
    return 0;
}

Test(panic, message_is_cut_to_fit)
{
    test_run(long_main, NULL);
}

static void dig(void *arg)
{
    int *levels = arg;
    if (*levels == 0)
        gust_panic("deep");
    if (--*levels >= 0)
        dig(levels);
    note(TEXT("")); /* no tail call */
}

static int deep_main(void *arg)
{
    gust_panic_info info;
    int levels = 100;
    (void)arg;
    CHECK(gust_recover(dig, &levels, &info));
    CHECK_EQ(info.frame_count, GUST_PANIC_FRAMES_MAX);
    return 0;
}

Test(panic, frames_are_bounded)
{
    test_run(deep_main, NULL);
}

static void nest(void *arg)
{
    gust_panic_info info;
    (void)arg;
    CHECK(gust_recover(panic_with, TEXT("inner"), &info));
    CHECK_TEXT(info.message, "inner");
    CHECK(!gust_recover(note, TEXT(""), NULL));
    gust_panic("outer");
}

static int nest_main(void *arg)
{
    gust_panic_info info;
    CHECK(gust_recover(nest, arg, &info));
    CHECK_TEXT(info.message, "outer");
    return 0;
}

Test(panic, goes_to_the_innermost_scope)
{
    test_run(nest_main, NULL);
}

/* --- Deferred functions ---------------------------------------------------------- */

static void defer_three(void *arg)
{
    defer_note("1");
    defer_note("2");
    defer_note("3");
    note(TEXT("b"));
    if (arg)
        gust_panic("after the body");
}

static int order_main(void *arg)
{
    (void)arg;
    CHECK(!gust_recover(defer_three, NULL, NULL));
    CHECK_TEXT(trace, "b321");
    trace[0] = '\0';
    CHECK(gust_recover(defer_three, trace, NULL));
    CHECK_TEXT(trace, "b321");
    return 0;
}

Test(panic, deferred_run_in_reverse_at_return_and_at_panic)
{
    test_run(order_main, NULL);
}

struct local {
    int value;
};

static void check_local(void *arg)
{
    struct local *local = arg;
    CHECK_EQ(local->value, 42);
    check_outside_of_calls();
    gust_sleep(GUST_US); /* it may block */
    CHECK_EQ(local->value, 42);
    note(TEXT("d"));
}

static void defer_on_frame(void *arg)
{
    struct local local = {42};
    CHECK_EQ(gust_defer(check_local, &local), 0);
    gust_chan_close(arg); /* a panic from inside of a call */
}

static int frame_main(void *arg)
{
    (void)arg;
    CHECK(gust_recover(defer_on_frame, NULL, NULL));
    CHECK_TEXT(trace, "d");
    check_outside_of_calls();
    return 0;
}

Test(panic, deferred_run_before_the_frames_are_left)
{
    test_run(frame_main, NULL);
}

static void defer_panics(void *arg)
{
    defer_note("1");
    CHECK_EQ(gust_defer(panic_with, TEXT("second")), 0);
    defer_note("2");
    if (arg)
        gust_panic("first");
}

static void note_message(const gust_panic_info *info, void *arg)
{
    (void)arg;
    check_outside_of_calls();
    strncat(trace, info->message, 1);
}

static int replace_main(void *arg)
{
    gust_panic_info info;
    (void)arg;
    CHECK(gust_recover(defer_panics, trace, &info));
    CHECK_TEXT(info.message, "second");
    CHECK_TEXT(trace, "21");
    trace[0] = '\0';
    CHECK(gust_recover(defer_panics, NULL, &info)); /* at return */
    CHECK_TEXT(info.message, "second");
    CHECK_TEXT(trace, "21");
    trace[0] = '\0';
    CHECK(gust_recover_with(defer_panics, trace, note_message, NULL));
    CHECK_TEXT(trace, "f2s1");
    return 0;
}

Test(panic, a_panic_of_a_deferred_function_replaces_the_first)
{
    test_run(replace_main, NULL);
}

static void recover_inside(void *arg)
{
    CHECK(gust_recover(panic_with, arg, NULL));
    note(TEXT("r"));
}

static void defer_a_recover(void *arg)
{
    CHECK_EQ(gust_defer(recover_inside, arg), 0);
    gust_panic("mine");
}

static int inside_main(void *arg)
{
    gust_panic_info info;
    (void)arg;
    CHECK(gust_recover(defer_a_recover, TEXT("not mine"), &info));
    CHECK_TEXT(info.message, "mine");
    CHECK_TEXT(trace, "r");
    return 0;
}

Test(panic, a_deferred_function_may_recover_its_own_panics)
{
    test_run(inside_main, NULL);
}

static void seen_panics(const gust_panic_info *info, void *arg)
{
    strncat(trace, info->message, 1);
    panic_with(arg);
}

static int seen_main(void *arg)
{
    (void)arg;
    CHECK(gust_recover_with(panic_with, TEXT("1"), seen_panics, TEXT("2")));
    CHECK_TEXT(trace, "1");
    return 0;
}

Test(panic, a_panic_of_the_observer_is_not_observed)
{
    test_run(seen_main, NULL);
}

static void defer_at_the_bottom(void *arg)
{
    CHECK_EQ(gust_defer(done, arg), 0);
    defer_note("1");
    note(TEXT("b"));
}

/* The main goroutine's run before its end ends the program. */
static void check_still_running(void *arg)
{
    (void)arg;
    CHECK_EQ(sched.stopping, 0);
}

static int bottom_main(void *arg)
{
    gust_waitgroup group = GUST_WAITGROUP_INIT;
    (void)arg;
    gust_waitgroup_add(&group, 1);
    go(defer_at_the_bottom, &group);
    CHECK_EQ(gust_waitgroup_wait(&group, SOON), 0);
    CHECK_TEXT(trace, "b1");
    defer_note("m");
    CHECK_EQ(gust_defer(check_still_running, NULL), 0);
    return 0;
}

Test(panic, deferred_outside_of_scopes_run_when_the_goroutine_ends)
{
    test_run(bottom_main, NULL);
    cr_assert_str_eq(trace, "b1m");
}

static void wait_in_scopes(void *arg)
{
    static int levels;
    defer_note("1");
    if (++levels < 10)
        gust_recover(wait_in_scopes, arg, NULL);
    gust_chan_recv(arg, NULL, GUST_FOREVER);
}

static int abandon_main(void *arg)
{
    gust_chan *c = *(gust_chan **)arg = chan_make(0, 0);
    go(wait_in_scopes, c);
    AWAIT(receivers_waiting(c) == 1);
    return 0;
}

/* LeakSanitizer would see them. */
Test(panic, deferred_of_abandoned_goroutines_are_freed)
{
    gust_chan *c;
    test_run(abandon_main, &c);
    gust_chan_unref(c);
    cr_assert_str_eq(trace, "");
}

/* --- Goexit ---------------------------------------------------------------------- */

static void exit_inner(void *arg)
{
    (void)arg;
    defer_note("2");
    gust_goexit();
}

static void exit_outer(void *arg)
{
    defer_note("1");
    gust_recover(exit_inner, arg, NULL);
    note(TEXT("!"));
}

static void exit_in_scopes(void *arg)
{
    CHECK_EQ(gust_defer(done, arg), 0);
    gust_recover(exit_outer, arg, NULL);
    note(TEXT("!"));
}

static void exit_outer_panics(void *arg)
{
    CHECK_EQ(gust_defer(panic_with, TEXT("a")), 0);
    gust_recover(exit_inner, arg, NULL);
    note(TEXT("!"));
}

static void exit_despite_a_panic(void *arg)
{
    CHECK_EQ(gust_defer(done, arg), 0);
    gust_recover_with(exit_outer_panics, arg, note_message, NULL);
    note(TEXT("!"));
}

static void panic_then_exit(void *arg)
{
    CHECK_EQ(gust_defer(exit_inner, arg), 0);
    gust_panic("cancelled by the exit");
}

static void exit_while_panicking(void *arg)
{
    CHECK_EQ(gust_defer(done, arg), 0);
    gust_recover(panic_then_exit, arg, NULL);
    note(TEXT("!"));
}

static void exit_by(void (*fn)(void *arg), const char *expected)
{
    gust_waitgroup group = GUST_WAITGROUP_INIT;
    trace[0] = '\0';
    gust_waitgroup_add(&group, 1);
    go(fn, &group);
    CHECK_EQ(gust_waitgroup_wait(&group, SOON), 0);
    CHECK_TEXT(trace, expected);
    AWAIT(gust_num_goroutines() == 1);
}

static int goexit_main(void *arg)
{
    (void)arg;
    exit_by(exit_in_scopes, "21");
    exit_by(exit_despite_a_panic, "2a");
    exit_by(exit_while_panicking, "2");
    return 0;
}

Test(panic, goexit_runs_all_deferred_and_passes_every_scope)
{
    test_run(goexit_main, NULL);
}

/* --- Misuses of gust ------------------------------------------------------------- */

static void expect_panic(void (*fn)(void *arg), void *arg, const char *message)
{
    gust_panic_info info = {.message = "nothing"};
    gust_recover(fn, arg, &info);
    if (strcmp(info.message, message) != 0)
        test_check_failed(__FILE__, __LINE__, info.message);
    check_outside_of_calls();
}

static void send_to(void *arg)
{
    int value = 7;
    gust_chan_send(arg, &value, GUST_FOREVER);
}

static void close_chan(void *arg)
{
    gust_chan_close(arg);
}

static void select_sends(gust_chan *c, size_t count)
{
    int value = 7;
    gust_case cases[GUST_SELECT_MAX];
    for (size_t i = 0; i < count; i++)
        cases[i] = send_case(c, &value);
    gust_select(cases, count, GUST_FOREVER);
}

static void select_send(void *arg)
{
    select_sends(arg, 2);
}

static void select_many_sends(void *arg)
{
    select_sends(arg, 100);
}

static int closed_main(void *arg)
{
    gust_chan *c = chan_make(sizeof(int), 2);
    int value;
    (void)arg;
    send_int(c, 1);
    gust_chan_close(c);
    expect_panic(send_to, c, "send on closed channel");
    expect_panic(select_send, c, "send on closed channel");
    expect_panic(select_many_sends, c, "send on closed channel");
    expect_panic(close_chan, c, "close of closed channel");
    expect_panic(close_chan, NULL, "close of nil channel");
    CHECK_EQ(recv_int(c), 1);
    CHECK_EQ(gust_chan_recv(c, &value, SOON), 0);
    gust_chan_unref(c);
    return 0;
}

Test(panic, misuses_of_channels_are_recoverable)
{
    test_run(closed_main, NULL);
}

struct sender {
    gust_chan *c;
    void (*send)(void *arg);
    gust_waitgroup *group;
};

static void recover_a_send(void *arg)
{
    struct sender *s = arg;
    expect_panic(s->send, s->c, "send on closed channel");
    gust_waitgroup_done(s->group);
}

static int waiting_main(void *arg)
{
    gust_waitgroup group = GUST_WAITGROUP_INIT;
    gust_chan *c = chan_make(sizeof(int), 0);
    struct sender senders[] = {
        {c, send_to, &group}, {c, select_send, &group}, {c, select_many_sends, &group}};
    (void)arg;
    gust_waitgroup_add(&group, 3);
    for (size_t i = 0; i < 3; i++)
        go(recover_a_send, &senders[i]);
    AWAIT(senders_waiting(c) == 1 + 2 + 100);
    gust_chan_close(c);
    CHECK_EQ(gust_waitgroup_wait(&group, SOON), 0);
    gust_chan_unref(c);
    return 0;
}

Test(panic, senders_that_wait_recover_from_a_close)
{
    test_run(waiting_main, NULL);
}

static void unlock(void *arg)
{
    gust_mutex_unlock(arg);
}

static int sync_main(void *arg)
{
    gust_mutex mutex = GUST_MUTEX_INIT;
    gust_waitgroup group = GUST_WAITGROUP_INIT;
    (void)arg;
    expect_panic(unlock, &mutex, "unlock of unlocked mutex");
    gust_mutex_lock(&mutex);
    CHECK_EQ(gust_mutex_lock_until(&mutex, GUST_NOW), -EAGAIN);
    gust_mutex_unlock(&mutex);
    expect_panic(done, &group, "negative waitgroup counter");
    return 0;
}

Test(panic, misuses_of_locks_are_recoverable)
{
    test_run(sync_main, NULL);
}

static void call_while_blocking(void *arg)
{
    (void)arg;
    gust_blocking_begin();
    gust_yield();
}

static void panic_while_blocking(void *arg)
{
    gust_blocking_begin();
    panic_with(arg);
}

static void recover_while_blocking(void *arg)
{
    gust_blocking_begin();
    gust_recover(note, arg, NULL);
}

static void end_without_begin(void *arg)
{
    (void)arg;
    gust_blocking_end();
}

static int blocking_main(void *arg)
{
    static const char call[] = "a call of gust between gust_blocking_begin and gust_blocking_end";
    (void)arg;
    for (int i = 0; i < 100; i++) {
        expect_panic(call_while_blocking, NULL, call);
        expect_panic(recover_while_blocking, NULL, call);
        expect_panic(panic_while_blocking, TEXT("mine"), "mine");
        expect_panic(end_without_begin, NULL, "gust_blocking_end without gust_blocking_begin");
        gust_sleep(GUST_US); /* it has a P again */
    }
    return 0;
}

Test(panic, a_stretch_of_foreign_code_ends_with_its_panic)
{
    test_run(blocking_main, NULL);
}

struct onces {
    gust_once panics, exits;
    gust_waitgroup group;
};

static void once_panics(void *arg)
{
    gust_once_do(arg, panic_with, TEXT("once"));
}

static void exit_now(void *arg)
{
    (void)arg;
    gust_goexit();
}

static void once_exits(void *arg)
{
    struct onces *o = arg;
    CHECK_EQ(gust_defer(done, &o->group), 0);
    gust_once_do(&o->exits, exit_now, NULL);
}

static int once_main(void *arg)
{
    struct onces o = {0};
    (void)arg;
    expect_panic(once_panics, &o.panics, "once");
    expect_panic(once_panics, &o.panics, "nothing");
    gust_waitgroup_add(&o.group, 2);
    go(once_exits, &o);
    go(once_exits, &o);
    CHECK_EQ(gust_waitgroup_wait(&o.group, SOON), 0);
    return 0;
}

Test(panic, a_once_whose_function_panics_is_done)
{
    test_run(once_main, NULL);
}

/* --- Threads ----------------------------------------------------------------------- */

struct crowd {
    _Atomic bool stop;
    gust_waitgroup group;
};

static void keep_a_p_busy(void *arg)
{
    struct crowd *crowd = arg;
    AWAIT(atomic_load(&crowd->stop));
    gust_waitgroup_done(&crowd->group);
}

/* While the others have all the Ps, a goroutine back from a blocking call waits in
 * the global queue, for any thread. */
static void change_thread_and_panic(void *arg)
{
    const M *first = gust__m();
    AWAIT(({
        gust_blocking_begin();
        usleep(1000);
        gust_blocking_end();
        gust__m() != first;
    }));
    gust_chan_close(arg);
}

static int migrate_main(void *arg)
{
    struct crowd crowd = {0};
    int busy = 2 * gust_maxprocs();
    (void)arg;
    gust_waitgroup_add(&crowd.group, busy);
    for (int i = 0; i < busy; i++)
        go(keep_a_p_busy, &crowd);
    for (int i = 0; i < 20; i++)
        expect_panic(change_thread_and_panic, NULL, "close of nil channel");
    atomic_store(&crowd.stop, true);
    CHECK_EQ(gust_waitgroup_wait(&crowd.group, SOON), 0);
    return 0;
}

Test(panic, recovers_on_another_thread_than_the_scope_began_on)
{
    test_run(migrate_main, NULL);
}

enum { LOOP_GOROUTINES = 4, LOOP_ROUNDS = 25000 };

static void count_down(void *arg)
{
    --*(int *)arg;
}

static void defer_and_close(void *arg)
{
    CHECK_EQ(gust_defer(count_down, arg), 0);
    gust_chan_close(NULL);
}

static void recover_often(void *arg)
{
    int deferred = LOOP_ROUNDS;
    for (int i = 0; i < LOOP_ROUNDS; i++) {
        gust_panic_info info;
        CHECK(gust_recover(defer_and_close, &deferred, &info));
        CHECK_EQ(info.goid, gust_goid());
        if (i % 64 == 0)
            gust_yield();
    }
    CHECK_EQ(deferred, 0);
    gust_waitgroup_done(arg);
}

static int often_main(void *arg)
{
    gust_waitgroup group = GUST_WAITGROUP_INIT;
    (void)arg;
    gust_waitgroup_add(&group, LOOP_GOROUTINES);
    for (int i = 0; i < LOOP_GOROUTINES; i++)
        go(recover_often, &group);
    CHECK_EQ(gust_waitgroup_wait(&group, SOON), 0);
    return 0;
}

Test(panic, a_hundred_thousand_recoveries_leave_nothing_behind)
{
    test_run(often_main, NULL);
}

/* --- What is not recovered ------------------------------------------------------------ */

static int uncaught_main(void *arg)
{
    (void)arg;
    defer_note("1");
    gust_recover(note, TEXT(""), NULL); /* over when it panics */
    gust_recover(panic_with, TEXT("this one was caught"), NULL);
    gust_panic("nobody %s this", "catches");
}

static void run_uncaught(void)
{
    gust_run(uncaught_main, NULL);
}

Test(panic, without_a_scope_prints_goroutine_and_backtrace_and_aborts)
{
    char text[8192];
    int status = child_run(run_uncaught, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%s", text);
    cr_assert_not_null(strstr(text, "panic: nobody catches this\ngoroutine 1 (\"main\"), started"),
                       "%s", text);
    cr_assert_null(strstr(text, "this one was caught"), "%s", text);
    cr_assert_not_null(strstr(text, "[0x"), "%s", text);
}

static bool panic_on_g0(G *g, void *arg)
{
    (void)g;
    gust_panic("%s", (char *)arg);
}

static void park_badly(void *arg)
{
    gust__park(panic_on_g0, arg, WAIT_NONE);
}

static int g0_main(void *arg)
{
    gust_recover(park_badly, arg, NULL);
    return 0;
}

static void run_g0(void)
{
    gust_run(g0_main, TEXT("on g0"));
}

Test(panic, on_g0_is_not_recoverable)
{
    char text[8192];
    int status = child_run(run_g0, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%s", text);
    cr_assert_not_null(strstr(text, "panic: on g0\n"), "%s", text);
}

#ifdef GUST_DEBUG
static void panic_with_a_lock(void *arg)
{
    gust__lock lock = {0};
    GUST__CALL();
    gust__lock_take(&lock, RANK_CHAN);
    panic_with(arg);
}

static int lock_main(void *arg)
{
    gust_recover(panic_with_a_lock, arg, NULL);
    return 0;
}

static void run_with_a_lock(void)
{
    gust_run(lock_main, TEXT("at a bad time"));
}

Test(panic, with_a_lock_of_the_runtime_held_is_fatal)
{
    char text[8192];
    int status = child_run(run_with_a_lock, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%s", text);
    cr_assert_not_null(strstr(text, "gust: panic while 1 locks are held: at a bad time\n"), "%s",
                       text);
}
#endif

/* --- The log --------------------------------------------------------------------------- */

static int lines;
static char first_line[512];

static void hook(const char *line)
{
    if (lines++ == 0)
        strcpy(first_line, line);
    else
        CHECK(strstr(line, "[0x"));
}

static int log_main(void *arg)
{
    gust_panic_info info;
    (void)arg;
    CHECK(gust_recover(panic_with, TEXT("the reason"), &info));
    gust_set_log(hook); /* after what the runtime may have had to say */
    gust_panic_log(&info, "job 7");
    CHECK_TEXT(first_line, "job 7: panic: the reason (goroutine 1)");
    CHECK_EQ(lines, 1 + (int)info.frame_count);
    return 0;
}

Test(panic, log_says_message_goroutine_and_frames)
{
    test_run(log_main, NULL);
}
