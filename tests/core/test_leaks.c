/* Leak checks: what was started since and is still there is found and named. */
#include "core/proc.h"
#include "tests/core/child.h"
#include "tests/core/dumps.h"

static gust_chan *never;

static void stay(void *arg)
{
    (void)arg;
    (void)gust_chan_recv(never, NULL, GUST_FOREVER);
}

static size_t leaks_since(const gust_leaks *begun, gust_time deadline, char **ret_text)
{
    int fd = text_file();
    size_t n = gust_leaks_end(begun, fd, deadline);
    *ret_text = text_of(fd);
    return n;
}

static int found_main(void *arg)
{
    gust_leaks begun;
    char *text;
    (void)arg;
    never = chan_make(1, 0);
    go_named("older", stay, NULL);
    gust_leaks_begin(&begun);
    go_named("leak", stay, NULL);
    go(stay, NULL);
    AWAIT(receivers_waiting(never) == 3);
    CHECK_EQ(leaks_since(&begun, gust_after(20 * GUST_MS), &text), 2);
    CHECK(strncmp(text, "gust: leaked goroutines: 2\n", 27) == 0);
    CHECK_EQ(count_in(text, "\ngoroutine "), 2);
    CHECK_EQ(count_in(text, "[chan receive"), 2);
    CHECK_EQ(count_in(text, "\n  started at "), 2);
    CHECK(!strstr(text, "older"));
    char *section = section_of(text, "leak");
    CHECK(has_frame_in(section, stay));
    free(section);
    free(text);
    gust_chan_close(never);
    CHECK_EQ(gust_leaks_end(&begun, -1, SOON), 0);
    return 0;
}

Test(leaks, leaked_goroutines_are_counted_and_named)
{
    test_run(found_main, NULL);
}

/* Ids do not rise with time: each P has its own batch. */
static void spread(void *arg)
{
    gust_leaks begun;
    gust_waitgroup *group = arg;
    gust_yield();
    gust_leaks_begin(&begun);
    go(stay, NULL);
    CHECK(gust_leaks_end(&begun, -1, GUST_NOW) >= 1);
    gust_waitgroup_done(group);
}

static int batches_main(void *arg)
{
    gust_waitgroup group = GUST_WAITGROUP_INIT;
    gust_leaks begun;
    (void)arg;
    never = chan_make(1, 0);
    for (int round = 0; round < 20; round++) {
        gust_waitgroup_add(&group, 20);
        for (int i = 0; i < 20; i++)
            go(spread, &group);
        CHECK_EQ(gust_waitgroup_wait(&group, SOON), 0);
    }
    /* None of the 400 that stay is younger than this. */
    gust_leaks_begin(&begun);
    CHECK_EQ(gust_leaks_end(&begun, -1, GUST_NOW), 0);
    gust_chan_close(never);
    return 0;
}

Test(leaks, older_goroutines_are_not_among_them_whatever_their_ids)
{
    test_run(batches_main, NULL);
}

static void close_when_asked(void *arg)
{
    (void)recv_int(arg);
    gust_sleep(30 * GUST_MS);
    gust_chan_close(never);
}

static int soon_main(void *arg)
{
    gust_leaks begun;
    gust_chan *asked = chan_make(sizeof(int), 1);
    (void)arg;
    never = chan_make(1, 0);
    go(close_when_asked, asked);
    gust_leaks_begin(&begun);
    for (int i = 0; i < 100; i++)
        go(stay, NULL);
    CHECK_EQ(gust_leaks_end(&begun, -1, GUST_NOW), 100);
    send_int(asked, 1);
    CHECK_EQ(gust_leaks_end(&begun, STDERR_FILENO, SOON), 0);
    gust_chan_unref(asked);
    return 0;
}

Test(leaks, goroutines_that_are_about_to_end_get_the_time)
{
    test_run(soon_main, NULL);
}

static int bounded_main(void *arg)
{
    gust_leaks begun;
    (void)arg;
    never = chan_make(1, 0);
    gust_leaks_begin(&begun);
    go(stay, NULL);
    gust_time start = gust_now();
    CHECK_EQ(gust_leaks_end(&begun, -1, gust_after(20 * GUST_MS)), 1);
    CHECK(gust_now() - start >= 20 * GUST_MS);
    gust_chan_close(never);
    return 0;
}

Test(leaks, the_wait_ends_with_its_deadline)
{
    test_run(bounded_main, NULL);
}

static int nested_main(void *arg)
{
    gust_leaks outer, inner;
    (void)arg;
    never = chan_make(1, 0);
    gust_leaks_begin(&outer);
    go(stay, NULL);
    gust_leaks_begin(&inner);
    go(stay, NULL);
    CHECK_EQ(gust_leaks_end(&inner, -1, GUST_NOW), 1);
    CHECK_EQ(gust_leaks_end(&outer, -1, GUST_NOW), 2);
    gust_chan_close(never);
    return 0;
}

Test(leaks, checks_nest)
{
    test_run(nested_main, NULL);
}

/* --- The harness ------------------------------------------------------------- */

static int leak_main(void *arg)
{
    (void)arg;
    never = chan_make(1, 0);
    go_named("forgotten", stay, NULL);
    return 0;
}

static void run_leak(void)
{
    test_run_without_leaks(leak_main, NULL);
}

Test(leaks, a_test_without_leaks_fails_if_there_is_one, .timeout = 60)
{
    char text[8192];
    int status = child_run(run_leak, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%s", text);
    cr_assert_not_null(strstr(text, "(\"forgotten\") [chan receive"), "%s", text);
}
