/* GUST_SCHEDTRACE: lines come when they should, and say what is so. */
#include <stdio.h>
#include <sys/mman.h>

#include "core/proc.h"
#include "tests/core/child.h"
#include "tests/core/waiters.h"

/* Makes a file of stderr, in a child; what is written there can be read back.  In the
 * main goroutine: what the runtime has to say of its poller is not to be in it. */
static void keep_stderr(void)
{
    int fd = memfd_create("stderr", MFD_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_EQ(dup2(fd, STDERR_FILENO), STDERR_FILENO);
}

typedef struct line {
    int ms, maxprocs, idleprocs, threads, spinning, idle, runqueue;
    char queues[64];
} line;

static bool line_read(const char *text, line *ret_line)
{
    return sscanf(text,
                  "SCHED %dms: maxprocs=%d idleprocs=%d threads=%d spinningthreads=%d "
                  "idlethreads=%d runqueue=%d [%63[^]]]\n",
                  &ret_line->ms, &ret_line->maxprocs, &ret_line->idleprocs, &ret_line->threads,
                  &ret_line->spinning, &ret_line->idle, &ret_line->runqueue, ret_line->queues) == 8;
}

/* Counts the lines so far that are as wanted; all must be well-formed, and not
 * come before their time. */
static int lines_count(int period_ms, bool wanted(const line *l))
{
    static char text[1 << 16];
    ssize_t n = pread(STDERR_FILENO, text, sizeof text - 1, 0);
    int count = 0, i = 0;
    line l;
    CHECK(n >= 0);
    text[n] = '\0';
    for (const char *at = text; *at; at = strchr(at, '\n') + 1) {
        CHECK(line_read(at, &l));
        CHECK(l.ms >= ++i * period_ms);
        count += wanted(&l);
    }
    return count;
}

/* --- Idle ---------------------------------------------------------------------- */

static bool is_idle(const line *l)
{
    CHECK_EQ(l->maxprocs, 3);
    CHECK(l->idle <= l->threads);
    return l->idleprocs == 3 && l->idle >= 1 && l->spinning == 0 && l->runqueue == 0 &&
           strcmp(l->queues, "0 0 0") == 0;
}

static int idle_main(void *arg)
{
    (void)arg;
    int before;
    gust_time end = SOON;
    keep_stderr();
    /* Several in one long sleep, in which sysmon would not wake without tracing. */
    do {
        CHECK(gust_now() < end);
        before = lines_count(50, is_idle);
        gust_sleep(500 * GUST_MS);
    } while (lines_count(50, is_idle) < before + 4);
    return 0;
}

static void run_idle(void)
{
    setenv("GUST_SCHEDTRACE", "50", 1);
    setenv("GUST_MAXPROCS", "3", 1);
    CHECK_EQ(gust_run(idle_main, NULL), 0);
}

Test(schedtrace, lines_come_while_all_is_idle)
{
    child_assert_ends(run_idle, 0);
}

/* --- Busy ---------------------------------------------------------------------- */

static void nothing(void *arg)
{
    (void)arg;
}

static bool has_ten_queued(const line *l)
{
    return l->idleprocs == 0 && l->idle == 0 && strcmp(l->queues, "10") == 0;
}

static int busy_main(void *arg)
{
    (void)arg;
    keep_stderr();
    GUST__CALL(); /* nobody takes the P from a call */
    for (int i = 0; i < 10; i++)
        go(nothing, NULL);
    for (gust_time end = SOON; lines_count(20, has_ten_queued) == 0;)
        CHECK(gust_now() < end);
    return 0;
}

static void run_busy(void)
{
    setenv("GUST_SCHEDTRACE", "20", 1);
    setenv("GUST_MAXPROCS", "1", 1);
    CHECK_EQ(gust_run(busy_main, NULL), 0);
}

Test(schedtrace, queues_are_counted, .init = no_chaos)
{
    child_assert_ends(run_busy, 0);
}

/* --- Configuration --------------------------------------------------------------- */

static int never_main(void *arg)
{
    (void)arg;
    return 1;
}

static void run_bad(void)
{
    static const char *const bad[] = {"0",   "-1",  "x",        "10x",
                                      " 10", "1.5", "86400001", "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        setenv("GUST_SCHEDTRACE", bad[i], 1);
        CHECK_EQ(gust_run(never_main, NULL), -EINVAL);
    }
    setenv("GUST_SCHEDTRACE", "", 1);
    CHECK_EQ(gust_run(never_main, NULL), 1);
    setenv("GUST_SCHEDTRACE", "86400000", 1);
    CHECK_EQ(gust_run(never_main, NULL), 1);
}

Test(schedtrace, bad_periods_are_refused_by_name)
{
    char text[4096];
    int status = child_run(run_bad, text, sizeof text);
    cr_assert_eq(status, 0, "%s", text);
    cr_assert_eq(
        strncmp(text, "gust: GUST_SCHEDTRACE=0: wants milliseconds, from 1 to 86400000\n", 63), 0,
        "%s", text);
    cr_assert_null(strstr(text, "SCHED "), "%s", text);
}
