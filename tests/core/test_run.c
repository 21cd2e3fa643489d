/* gust_run: configuration, results, running again, and leaving goroutines behind
 * in every state they can be in. */
#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/maxprocs.h"
#include "core/proc.h"
#include "tests/core/waiters.h"

static int return_arg(void *arg)
{
    return *(int *)arg;
}

/* --- Results ------------------------------------------------------------------- */

Test(run, returns_what_main_returns)
{
    static int values[] = {0, 1, 42, -7, -EBUSY, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        cr_assert_eq(gust_run(return_arg, &values[i]), values[i]);
}

Test(run, answers_before_and_after_are_empty)
{
    int zero = 0;
    cr_assert_eq(gust_maxprocs(), 0);
    cr_assert_eq(gust_num_goroutines(), 0);
    cr_assert_str_eq(gust_netpoll_name(), "");
    cr_assert_eq(gust_run(return_arg, &zero), 0);
    cr_assert_eq(gust_num_goroutines(), 0);
    cr_assert_eq(gust_goid(), 0);
}

static int answers_main(void *arg)
{
    const char *poller = gust_netpoll_name();
    CHECK_EQ(gust_maxprocs(), *(int *)arg);
    CHECK(strcmp(poller, "io_uring") == 0 || strcmp(poller, "sqpoll") == 0 ||
          strcmp(poller, "epoll") == 0);
    CHECK_EQ(gust_goid(), 1);
    CHECK_EQ(gust_num_goroutines(), 1);
    CHECK(strcmp(gust__g()->name, "main") == 0);
    return 0;
}

Test(run, maxprocs_comes_from_the_environment)
{
    for (int n = 1; n <= 64; n *= 4) {
        char text[16];
        snprintf(text, sizeof text, "%d", n);
        setenv("GUST_MAXPROCS", text, 1);
        test_run(answers_main, &n);
    }
    int n = gust__maxprocs_default();
    setenv("GUST_MAXPROCS", "", 1);
    test_run(answers_main, &n);
    unsetenv("GUST_MAXPROCS");
    test_run(answers_main, &n);
}

static int stack_main(void *arg)
{
    size_t wanted = *(size_t *)arg;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    CHECK(gust__g()->stack.size <= wanted + page);
    CHECK(gust__g()->stack.size + 2 * page >= wanted);
    return 0;
}

Test(run, stack_size_comes_from_the_environment)
{
    static const size_t sizes[] = {GUST__STACK_SIZE_MIN, 65536, 1 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char text[32];
        size_t size = sizes[i];
        snprintf(text, sizeof text, "%zu", size);
        setenv("GUST_STACK_SIZE", text, 1);
        test_run(stack_main, &size);
    }
}

Test(run, every_guard_mode_runs)
{
    static const char *const modes[] = {"auto", "madvise", "mprotect", "none", ""};
    int zero = 0;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        setenv("GUST_STACK_GUARD", modes[i], 1);
        test_run(return_arg, &zero);
    }
}

/* --- Errors ---------------------------------------------------------------------- */

static char logged[512];

static void keep_log(const char *line)
{
    snprintf(logged, sizeof logged, "%s", line);
}

static int not_reached(void *arg)
{
    (void)arg;
    CHECK(!"reached");
    return 0;
}

static void expect_refused(const char *name, const char *value)
{
    const char *old = getenv(name);
    char *kept = old ? strdup(old) : NULL;
    setenv(name, value, 1);
    logged[0] = '\0';
    cr_assert_eq(gust_run(not_reached, NULL), -EINVAL, "%s=%s", name, value);
    cr_assert(strstr(logged, name), "%s=%s logged '%s'", name, value, logged);
    cr_assert(strstr(logged, value), "%s=%s logged '%s'", name, value, logged);
    if (kept)
        setenv(name, kept, 1);
    else
        unsetenv(name);
    free(kept);
}

Test(run, refuses_what_it_does_not_understand_and_says_so)
{
    static const char *const bad[][2] = {
        {"GUST_MAXPROCS", "0"},
        {"GUST_MAXPROCS", "-1"},
        {"GUST_MAXPROCS", "1025"},
        {"GUST_MAXPROCS", "two"},
        {"GUST_MAXPROCS", "2x"},
        {"GUST_MAXPROCS", "99999999999999999999"},
        {"GUST_STACK_SIZE", "16383"},
        {"GUST_STACK_SIZE", "1073741825"},
        {"GUST_STACK_SIZE", "64k"},
        {"GUST_STACK_SIZE", "-65536"},
        {"GUST_STACK_SIZE", "99999999999999999999"},
        {"GUST_STACK_GUARD", "yes"},
        {"GUST_CHAOS", "yes"},
        {"GUST_CHAOS", "-1"},
        {"GUST_CHAOS", "99999999999999999999999"},
        {"GUST_STACK_GUARD", "AUTO"},
        {"GUST_NETPOLL", "kqueue"},
        {"GUST_NETPOLL", "io_uring"},
    };
    int zero = 0;
    gust_set_log(keep_log);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_refused(bad[i][0], bad[i][1]);
    gust_set_log(NULL);
    test_run(return_arg, &zero);
}

static int nested_main(void *arg)
{
    int zero = 0;
    (void)arg;
    CHECK_EQ(gust_run(return_arg, &zero), -EBUSY);
    CHECK_EQ(gust_goid(), 1);
    return 0;
}

Test(run, is_busy_inside_itself)
{
    test_run(nested_main, NULL);
}

static void *busy_elsewhere(void *arg)
{
    int zero = 0;
    CHECK_EQ(gust_run(return_arg, &zero), -EBUSY);
    atomic_store((_Atomic bool *)arg, true);
    return NULL;
}

static int other_thread_main(void *arg)
{
    pthread_t thread;
    _Atomic bool done = false;
    (void)arg;
    CHECK_EQ(pthread_create(&thread, NULL, busy_elsewhere, &done), 0);
    AWAIT(atomic_load(&done));
    pthread_join(thread, NULL);
    return 0;
}

Test(run, is_busy_for_other_threads)
{
    test_run(other_thread_main, NULL);
}

/* Of threads that all want to run, one does at a time, and the word for busy is
 * never lost or left behind. */
static _Atomic int inside;

static int alone_main(void *arg)
{
    (void)arg;
    CHECK_EQ(atomic_fetch_add(&inside, 1), 0);
    gust_yield();
    CHECK_EQ(atomic_fetch_sub(&inside, 1), 1);
    return 0;
}

static void *want_to_run(void *arg)
{
    (void)arg;
    for (int i = 0; i < 30;) {
        int result = gust_run(alone_main, NULL);
        CHECK(result == 0 || result == -EBUSY);
        if (result == 0)
            i++;
        else
            usleep(100);
    }
    return NULL;
}

Test(run, threads_take_turns)
{
    pthread_t threads[3];
    setenv("GUST_MAXPROCS", "2", 1);
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, want_to_run, NULL);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}

/* --- Again and again ---------------------------------------------------------------
 * Goroutines in all states are left behind; nothing of a run stays. */

static int entries(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;
    cr_assert_not_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

#ifndef TEST_OWN_RUNNER
static int lines(const char *path)
{
    FILE *f = fopen(path, "re");
    int n = 0;
    cr_assert_not_null(f);
    for (int c; (c = getc(f)) != EOF;)
        n += c == '\n';
    fclose(f);
    return n;
}
#endif

static struct left {
    gust_chan *chan;
    gust_mutex mutex;
    gust_waitgroup group;
    gust_timer *timer;
} left;

static void left_receiving(void *arg)
{
    (void)arg;
    gust_chan_recv(left.chan, NULL, GUST_FOREVER);
}

static void left_receiving_until(void *arg)
{
    (void)arg;
    gust_chan_recv(left.chan, NULL, gust_after(3600 * GUST_SEC));
}

static void left_locking(void *arg)
{
    (void)arg;
    gust_mutex_lock(&left.mutex);
}

static void left_sleeping(void *arg)
{
    (void)arg;
    gust_sleep(3600 * GUST_SEC);
}

static void left_yielding(void *arg)
{
    (void)arg;
    for (;;)
        gust_yield();
}

static void left_spawning(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50; i++) {
        gust_sleep(10 * GUST_US);
        go(left_sleeping, NULL);
    }
}

static void left_blocking(void *arg)
{
    (void)arg;
    gust_blocking_begin();
    usleep(3000);
    gust_blocking_end();
    for (;;)
        gust_yield();
}

static void left_waiting(void *arg)
{
    (void)arg;
    gust_waitgroup_wait(&left.group, GUST_FOREVER);
}

static int leave_main(void *arg)
{
    static void (*const kinds[])(void *) = {
        left_receiving, left_receiving_until, left_locking,  left_sleeping,
        left_yielding,  left_spawning,        left_blocking, left_waiting,
    };
    gust_go_options big = {.stack_size = 1 << 20};
    (void)arg;
    left.mutex = (gust_mutex)GUST_MUTEX_INIT;
    left.group = (gust_waitgroup)GUST_WAITGROUP_INIT;
    gust_mutex_lock(&left.mutex);
    gust_waitgroup_add(&left.group, 1);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        go(kinds[i], NULL);
        CHECK_EQ(gust_go_with(&big, kinds[i], NULL), 0);
    }
    for (int i = 0; i < 10; i++)
        gust_yield();
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        go(kinds[i], NULL); /* some of these never start */
    return 5;
}

static void run_and_leave(void)
{
    left.chan = chan_make(0, 0);
    cr_assert_eq(gust_run(leave_main, NULL), 5);
    gust_chan_unref(left.chan);
}

Test(run, leaves_goroutines_behind_but_no_resources)
{
    run_and_leave();
    int fds = entries("/proc/self/fd"), threads = entries("/proc/self/task");
#ifndef TEST_OWN_RUNNER
    int maps = lines("/proc/self/maps");
#endif
    for (int i = 0; i < 15; i++)
        run_and_leave();
    cr_assert_eq(entries("/proc/self/fd"), fds);
    /* A joined thread may take a moment to leave /proc. */
    for (int i = 0; i < 1000 && entries("/proc/self/task") > threads; i++)
        usleep(1000);
    cr_assert_leq(entries("/proc/self/task"), threads);
#ifndef TEST_OWN_RUNNER
    /* The allocator keeps some; 16 stacks a run would be 240.  The sanitizers map
     * memory of their own for every goroutine. */
    cr_assert_leq(lines("/proc/self/maps"), maps + 120);
#endif
}

/* --- A thread that does not come back --------------------------------------------- */

static _Atomic bool in_foreign_code;

static void never_back(void *arg)
{
    (void)arg;
    gust_blocking_begin();
    atomic_store(&in_foreign_code, true);
    for (;;)
        pause();
}

static int never_back_main(void *arg)
{
    (void)arg;
    go(never_back, NULL);
    AWAIT(atomic_load(&in_foreign_code));
    return 3;
}

Test(run, returns_though_foreign_code_does_not)
{
    int zero = 0;
    gust_set_log(keep_log);
    cr_assert_eq(gust_run(never_back_main, NULL), 3);
    cr_assert(strstr(logged, "foreign code"), "%s", logged);
    cr_assert_eq(gust_run(return_arg, &zero), -EBUSY);
}
