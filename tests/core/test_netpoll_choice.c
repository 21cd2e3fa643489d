/* Which backend is chosen, and what is said about it: in processes where the
 * kernel refuses io_uring, as containers do. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "tests/core/child.h"
#include "tests/core/sockets.h"

static char log_text[2048];
static int log_lines;

static void remember(const char *line)
{
    size_t len = strlen(log_text);
    log_lines++;
    snprintf(log_text + len, sizeof log_text - len, "%s\n", line);
}

static int talk_main(void *arg)
{
    pair p;
    char byte = 0;
    (void)arg;
    pair_open(&p);
    waiting w = {.result = -1};
    waiting_start(&w, op_recv(&p.a, &byte, 1), SOON);
    put_byte(&p.b, 'x');
    CHECK_EQ(waiting_end(&w), 1);
    pair_close(&p);
    return 0;
}

/* --- The environment --------------------------------------------------------- */

Test(netpoll_choice, a_mode_that_does_not_exist_is_refused)
{
    const char *bad[] = {"io_uring", "EPOLL", "auto ", "1", "uring,epoll"};
    gust_set_log(remember);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        log_text[0] = '\0';
        setenv("GUST_NETPOLL", bad[i], 1);
        cr_assert_eq(gust_run(talk_main, NULL), -EINVAL);
        cr_assert(strstr(log_text, bad[i]), "%s", log_text);
    }
}

Test(netpoll_choice, a_known_mode_is_taken_without_a_word)
{
    const char *good[] = {"", "auto", "epoll"};
    gust_set_log(remember);
    /* `auto` may have to speak up where this kernel has no io_uring. */
    gust__netpoll_choose("auto");
    int expected = strcmp(gust__netpoll_name(), "epoll") == 0 ? 2 : 0;
    log_lines = 0;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        setenv("GUST_NETPOLL", good[i], 1);
        test_run(talk_main, NULL);
    }
    cr_assert_str_eq(gust__netpoll_name(), "epoll");
    cr_assert_eq(log_lines, expected, "%s", log_text);
}

/* --- Probing ----------------------------------------------------------------- */

Test(netpoll_choice, each_step_of_the_probe_can_fail)
{
    const char *steps[] = {"nop", "opcodes", "receive with a provided buffer", "multishot poll"};
    if (gust__netpoll_choose("uring") < 0)
        cr_skip_test("no io_uring here");
    gust_set_log(remember);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        log_text[0] = '\0';
        log_lines = 0;
        gust__netpoll_limits_now.failing_step = steps[i];
        gust__netpoll_limits_now.failing_error = -EOPNOTSUPP;
        cr_assert_eq(gust__netpoll_choose("auto"), 0);
        cr_assert_str_eq(gust__netpoll_name(), "epoll");
        cr_assert_eq(log_lines, 1, "%s", log_text);
        cr_assert(strstr(log_text, steps[i]) && strstr(log_text, "not supported"), "%s", log_text);
        cr_assert_eq(gust__netpoll_choose("uring"), -EOPNOTSUPP);
    }
}

/* --- Seccomp ----------------------------------------------------------------- */

/* From now on every system call from io_uring_setup + `from` to io_uring_register
 * (they have consecutive numbers) ends as `action` says. */
static void filter_io_uring(unsigned from, unsigned action)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, SYS_io_uring_setup + from, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, SYS_io_uring_register, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    CHECK_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

/* A child's exit status is its verdict: CHECK aborts. */
static void fall_back(unsigned from, int error)
{
    filter_io_uring(from, SECCOMP_RET_ERRNO | (unsigned)error);
    setenv("GUST_NETPOLL", "auto", 1);
    CHECK_EQ(gust_run(talk_main, NULL), 0);
    CHECK(strcmp(gust__netpoll_name(), "epoll") == 0);
    setenv("GUST_NETPOLL", "uring", 1);
    CHECK_EQ(gust_run(talk_main, NULL), -error);
}

static void setup_eperm(void)
{
    fall_back(0, EPERM);
}

static void setup_enosys(void)
{
    fall_back(0, ENOSYS);
}

static void enter_eperm(void)
{
    fall_back(1, EPERM);
}

static void register_eacces(void)
{
    fall_back(2, EACCES);
}

/* Runs fn in a child and finds `words` in what it said, in one line of the two
 * (the other is about the forced mode). */
static void expect_said(void (*fn)(void), const char *words)
{
    char text[4096];
    int status = child_run(fn, text, sizeof text);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s", text);
    cr_assert(strstr(text, words), "%s", text);
    const char *line = strstr(text, "polling with epoll");
    cr_assert(line && !strstr(line + 1, "polling with epoll"), "%s", text);
}

Test(netpoll_choice, a_forbidden_setup_means_epoll)
{
    expect_said(setup_eperm, "io_uring_setup: Operation not permitted");
}

Test(netpoll_choice, a_missing_setup_means_epoll)
{
    expect_said(setup_enosys, "io_uring_setup: Function not implemented");
}

Test(netpoll_choice, a_forbidden_enter_means_epoll)
{
    if (gust__netpoll_choose("uring") < 0)
        cr_skip_test("no io_uring here");
    expect_said(enter_eperm, "Operation not permitted");
}

Test(netpoll_choice, a_forbidden_register_means_epoll)
{
    if (gust__netpoll_choose("uring") < 0)
        cr_skip_test("no io_uring here");
    expect_said(register_eacces, "provided buffers: Permission denied");
}

static void forced_epoll(void)
{
    filter_io_uring(0, SECCOMP_RET_KILL_PROCESS);
    setenv("GUST_NETPOLL", "epoll", 1);
    CHECK_EQ(gust_run(talk_main, NULL), 0);
}

Test(netpoll_choice, forced_epoll_makes_no_io_uring_call)
{
    child_assert_ends(forced_epoll, 0);
}

/* --- An epoll without epoll_pwait2 ------------------------------------------- */

static int timeout_main(void *arg)
{
    pair p;
    char byte;
    (void)arg;
    pair_open(&p);
    gust_time when = gust_after(1500 * GUST_US);
    CHECK_EQ(do_recv(&p.a, &byte, 1, when), -ETIMEDOUT);
    CHECK(gust_now() >= when);
    pair_close(&p);
    return talk_main(NULL);
}

static void old_epoll(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_pwait2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    CHECK_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
    setenv("GUST_NETPOLL", "epoll", 1);
    CHECK_EQ(gust_run(timeout_main, NULL), 0);
}

Test(netpoll_choice, epoll_does_without_nanoseconds)
{
    child_assert_ends(old_epoll, 0);
}
