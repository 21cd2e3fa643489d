/* GUST_NETPOLL=sqpoll: its settings, the kernel's thread, and that nothing is lost
 * when that thread sleeps, is shared, or serves a ring whose P changes hands.  What
 * the mode has in common with the others is tested by running all tests with it. */
#include <dirent.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "core/maxprocs.h"
#include "core/netpoll_uring.h"
#include "core/sched.h"
#include "tests/core/child.h"
#include "tests/core/sockets.h"

static char log_text[1024];

static void remember(const char *line)
{
    snprintf(log_text, sizeof log_text, "%s", line);
}

/* For tests that need the mode: skips where the kernel has it not. */
#define NEED_SQPOLL()                                     \
    do {                                                  \
        setenv("GUST_NETPOLL", "sqpoll", 1);              \
        gust_set_log(remember);                           \
        if (gust__netpoll_choose("sqpoll") < 0)           \
            cr_skip_test("no SQPOLL here: %s", log_text); \
        gust_set_log(NULL);                               \
    } while (0)

static int talk_main(void *arg)
{
    pair p;
    (void)arg;
    pair_open(&p);
    for (int i = 0; i < 100; i++) {
        char byte = 0;
        waiting w = {.result = -1};
        waiting_start(&w, op_recv(&p.a, &byte, 1), i % 2 ? GUST_FOREVER : SOON);
        CHECK_EQ(do_send(&p.b, &(char){(char)i}, 1, SOON), 1);
        CHECK_EQ(waiting_end(&w), 1);
        CHECK_EQ(byte, (char)i);
    }
    pair_close(&p);
    return 0;
}

/* --- The mode and its setting ------------------------------------------------- */

Test(sqpoll, it_is_taken_when_asked_for)
{
    NEED_SQPOLL();
    test_run(talk_main, NULL);
    cr_assert_str_eq(gust_netpoll_name(), "sqpoll");
}

Test(sqpoll, auto_never_picks_it)
{
    setenv("GUST_NETPOLL", "auto", 1);
    test_run(talk_main, NULL);
    cr_assert_str_neq(gust_netpoll_name(), "sqpoll");
}

Test(sqpoll, an_idle_time_that_is_none_is_refused)
{
    const char *bad[] = {"0", "60001", "-1", "1s", " 5", "x", "99999999999999999999"};
    setenv("GUST_NETPOLL", "sqpoll", 1);
    gust_set_log(remember);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        log_text[0] = '\0';
        setenv("GUST_SQPOLL_IDLE_MS", bad[i], 1);
        cr_assert_eq(gust_run(talk_main, NULL), -EINVAL);
        cr_assert(strstr(log_text, "GUST_SQPOLL_IDLE_MS"), "%s: %s", bad[i], log_text);
    }
}

Test(sqpoll, any_idle_time_within_bounds_serves)
{
    const char *good[] = {"", "1", "60000"};
    NEED_SQPOLL();
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        setenv("GUST_SQPOLL_IDLE_MS", good[i], 1);
        test_run(talk_main, NULL);
    }
}

/* --- The kernel's thread ------------------------------------------------------ */

static int kernel_threads(void)
{
    char path[300], name[32] = "";
    int n = 0;
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks);
    for (struct dirent *e; (e = readdir(tasks));) {
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", e->d_name);
        FILE *f = fopen(path, "r");
        if (!f)
            continue;
        if (fgets(name, sizeof name, f) && strncmp(name, "iou-sqp-", 8) == 0)
            n++;
        fclose(f);
    }
    closedir(tasks);
    return n;
}

/* One that served a probe may still be on its way out. */
static int count_main(void *arg)
{
    (void)arg;
    talk_main(NULL);
    AWAIT(kernel_threads() == 1);
    return 0;
}

Test(sqpoll, one_thread_serves_all_ps)
{
    NEED_SQPOLL();
    setenv("GUST_MAXPROCS", "8", 1);
    test_run(count_main, NULL);
}

static bool thread_sleeps(void)
{
    GUST__CALL();
    gust__ring *r = &gust__uring_of(gust__poller_current())->ring;
    return *(volatile uint32_t *)r->sq_kflags & IORING_SQ_NEED_WAKEUP;
}

/* Each round begins when the thread has gone to sleep. */
static int asleep_main(void *arg)
{
    pair p;
    char byte;
    (void)arg;
    pair_open(&p);
    for (int i = 0; i < 5; i++) {
        waiting w = {.result = -1};
        AWAIT(thread_sleeps());
        waiting_start(&w, op_recv(&p.a, &byte, 1), SOON); /* it is woken for this one, */
        AWAIT(thread_sleeps());
        put_byte(&p.b, 'x'); /* by this one, */
        CHECK_EQ(waiting_end(&w), 1);
        AWAIT(thread_sleeps());
        waiting_start(&w, op_recv(&p.a, &byte, 1), SOON);
        AWAIT(thread_sleeps());
        gust__op_cancel(&w.op); /* and by a cancellation */
        CHECK_EQ(waiting_end(&w), -ECANCELED);
    }
    pair_close(&p);
    return 0;
}

Test(sqpoll, a_thread_that_sleeps_is_woken)
{
    NEED_SQPOLL();
    setenv("GUST_SQPOLL_IDLE_MS", "1", 1);
    setenv("GUST_MAXPROCS", "1", 1);
    test_run(asleep_main, NULL);
}

/* --- Without a system call ----------------------------------------------------- */

/* From now on, in all threads: who enters a ring ends the process. */
static void forbid_enter(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_enter, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    CHECK_EQ(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program), 0);
}

static _Atomic int finished;

static void count_finished(gust__op *op)
{
    CHECK_EQ(op->res, 1);
    finished++;
}

/* One byte, sent and received while this goroutine keeps the P busy. */
static void exchange_byte(pair *p, char byte)
{
    char got = 0;
    gust__op in = op_recv(&p->a, &got, 1), out = op_send(&p->b, &byte, 1);
    in.done = out.done = count_finished;
    finished = 0;
    gust__op_start(&in);
    gust__op_start(&out);
    AWAIT(finished == 2);
    CHECK_EQ(got, byte);
}

/* In a call the P cannot be taken away; who took it would find nothing to run, and
 * sleep in the ring. */
static int busy_main(void *arg)
{
    GUST__CALL();
    pair p;
    (void)arg;
    pair_open(&p);
    exchange_byte(&p, 'w'); /* wakes the kernel's thread, if it slept */
    forbid_enter();
    for (int i = 0; i < 1000; i++)
        exchange_byte(&p, (char)i);
    _exit(0);
}

static void busy_child(void)
{
    gust_run(busy_main, NULL);
    _exit(1);
}

Test(sqpoll, a_busy_p_does_its_io_without_a_system_call)
{
    NEED_SQPOLL();
    setenv("GUST_SQPOLL_IDLE_MS", "60000", 1);
    setenv("GUST_MAXPROCS", "1", 1);
    child_assert_ends(busy_child, 0);
}

/* A timer that is nearly due is waited for as completions are. */
static int timers_main(void *arg)
{
    GUST__CALL();
    pair p, idle;
    char byte;
    waiting w = {.result = -1};
    (void)arg;
    pair_open(&p);
    pair_open(&idle);
    waiting_start(&w, op_recv(&idle.a, &byte, 1), GUST_FOREVER);
    exchange_byte(&p, 'w');
    forbid_enter();
    for (int i = 0; i < 200; i++)
        gust_sleep(20 * GUST_US);
    _exit(0);
}

static void timers_child(void)
{
    gust_run(timers_main, NULL);
    _exit(1);
}

Test(sqpoll, a_short_sleep_needs_no_system_call)
{
    NEED_SQPOLL();
    if (gust__maxprocs_default() == 1)
        cr_skip_test("on a single CPU nobody looks before a sleep");
    setenv("GUST_SQPOLL_IDLE_MS", "60000", 1);
    setenv("GUST_MAXPROCS", "1", 1);
    child_assert_ends(timers_child, 0);
}

/* --- Before a sleep ------------------------------------------------------------- */

/* The operation that is in flight, which is what a spin is for, never completes. */
static int spin_main(void *arg)
{
    char byte;
    pair p;
    gust__op op = {.state = GUST__OP_INFLIGHT};
    waiting w = {.result = -1};
    (void)arg;
    pair_open(&p);
    waiting_start(&w, op_recv(&p.a, &byte, 1), SOON);
    {
        GUST__CALL();
        gust__uring *ring = gust__uring_of(gust__poller_current());
        AWAIT(!gust__poller_pending(&ring->base) && !ring->base.wake_pending);
        op.done = count_finished;
        op.res = 1;
        finished = 0;
        gust__poller_finish_later(&ring->base, &op);
        CHECK(gust__sqpoll_spin(ring, &(int64_t){GUST_SEC}));
    }
    AWAIT(finished == 1);
    CHECK_EQ(do_send(&p.b, "x", 1, SOON), 1);
    CHECK_EQ(waiting_end(&w), 1);
    pair_close(&p);
    return 0;
}

Test(sqpoll, a_result_that_waits_to_be_handed_out_ends_the_look)
{
    NEED_SQPOLL();
    setenv("GUST_MAXPROCS", "1", 1);
    test_run(spin_main, NULL);
}

/* --- Ps that change hands ----------------------------------------------------- */

static void block_a_thread(void *arg)
{
    const int *fds = arg;
    char byte;
    gust_blocking_begin();
    CHECK_EQ(read(fds[0], &byte, 1), 1);
    gust_blocking_end();
}

/* What one thread has started completes while another has its P, and the first is
 * stuck in foreign code. */
static int hand_off_main(void *arg)
{
    int fds[2];
    pair p;
    char byte = 0;
    (void)arg;
    pair_open(&p);
    CHECK_EQ(pipe(fds), 0);
    for (int i = 0; i < 20; i++) {
        waiting w = {.result = -1};
        waiting_start(&w, op_recv(&p.a, &byte, 1), SOON);
        go(block_a_thread, fds);
        gust_yield();
        CHECK_EQ(do_send(&p.b, &(char){(char)i}, 1, SOON), 1);
        CHECK_EQ(waiting_end(&w), 1);
        CHECK_EQ(byte, (char)i);
        CHECK_EQ(write(fds[1], "x", 1), 1);
        AWAIT(gust_num_goroutines() == 1);
    }
    close(fds[0]);
    close(fds[1]);
    pair_close(&p);
    return 0;
}

Test(sqpoll, requests_survive_a_hand_off)
{
    NEED_SQPOLL();
    for (int procs = 1; procs <= 2; procs++) {
        setenv("GUST_MAXPROCS", procs == 1 ? "1" : "2", 1);
        test_run(hand_off_main, NULL);
    }
}

/* --- Full queues -------------------------------------------------------------- */

enum { CROWD = 200 };

static int crowd_main(void *arg)
{
    static waiting all[CROWD];
    static pair p[CROWD];
    static char bytes[CROWD];
    (void)arg;
    for (int i = 0; i < CROWD; i++)
        pair_open(&p[i]);
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < CROWD; i++)
            waiting_start(&all[i], op_recv(&p[i].a, &bytes[i], 1), SOON);
        for (int i = 0; i < CROWD; i++)
            if (round % 2)
                put_byte(&p[i].b, (char)i);
            else
                gust__op_cancel(&all[i].op);
        for (int i = 0; i < CROWD; i++)
            CHECK_EQ(waiting_end(&all[i]), round % 2 ? 1 : -ECANCELED);
    }
    for (int i = 0; i < CROWD; i++)
        pair_close(&p[i]);
    return 0;
}

Test(sqpoll, full_queues_are_waited_for)
{
    NEED_SQPOLL();
    setenv("GUST_SQPOLL_IDLE_MS", "1", 1);
    gust__netpoll_limits_now.sq_entries = 2;
    gust__netpoll_limits_now.cq_entries = 4;
    gust__netpoll_limits_now.buf_count = 2;
    test_run(crowd_main, NULL);
}

/* --- The end ------------------------------------------------------------------- */

static struct {
    pair pair;
    waiting w;
    char byte;
} left;

static int leave_main(void *arg)
{
    (void)arg;
    pair_open(&left.pair);
    left.byte = 'o';
    left.w = (waiting){.result = 1};
    waiting_start(&left.w, op_recv(&left.pair.a, &left.byte, 1), SOON);
    return 0;
}

/* Asleep or awake: the runtime's end takes back what the thread holds. */
Test(sqpoll, what_is_left_in_flight_is_taken_back)
{
    NEED_SQPOLL();
    for (int i = 0; i < 4; i++) {
        setenv("GUST_SQPOLL_IDLE_MS", i % 2 ? "1" : "1000", 1);
        test_run(leave_main, NULL);
        put_byte(&left.pair.b, 'x');
        char byte = 0;
        cr_assert_eq(recv(left.pair.a.fd, &byte, 1, MSG_DONTWAIT), 1);
        cr_assert_eq(left.byte, 'o');
        close(left.pair.a.fd);
        close(left.pair.b.fd);
    }
}

/* Pollers come and go in any order; those that stay have their thread. */
Test(sqpoll, a_ring_outlives_the_one_it_was_attached_to)
{
    gust__poller *p[3];
    NEED_SQPOLL();
    for (int i = 0; i < 3; i++)
        cr_assert_eq(gust__poller_open(&p[i]), 0);
    static const int order[] = {1, 0, 2};
    for (int i = 0; i < 3; i++) {
        for (int j = i; j < 3; j++) {
            gust__poller_wake(p[order[j]]);
            gust__poller_sleep(p[order[j]], -1);
            while (gust__poller_reap(p[order[j]]) > 0)
                continue;
        }
        gust__poller_close(p[order[i]]);
        if (i == 0)
            cr_assert_eq(gust__poller_open(&p[1]), 0);
        if (i == 0)
            gust__poller_close(p[1]);
    }
}
