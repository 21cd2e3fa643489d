/* The half of the test harness that is not a header: CHECK for everyone; under
 * the sanitizers the runner itself, elsewhere a default bound for Criterion.
 *
 * The runner forks one child per test, one at a time, in the order of the
 * file.  Its command line and its last line are Criterion's, as far as the dev
 * script uses them. */
#include "tests/harness/test.h"

#include <gust/debug.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void test_check_failed(const char *file, int line, const char *what)
{
    dprintf(STDERR_FILENO, "%s:%d: CHECK failed: %s\n", file, line, what);
    abort();
}

_Noreturn void test_check_eq_failed(const char *file, int line, const char *what, long long actual,
                                    long long expected)
{
    dprintf(STDERR_FILENO, "%s:%d: CHECK failed: %s: %lld is not %lld\n", file, line, what, actual,
            expected);
    abort();
}

typedef struct checked_call {
    int (*fn)(void *arg);
    void *arg;
} checked_call;

static int run_checked(void *arg)
{
    checked_call *call = arg;
    gust_leaks begun;
    gust_leaks_begin(&begun);
    int result = call->fn(call->arg);
    CHECK_EQ(gust_leaks_end(&begun, STDERR_FILENO, gust_after(5 * GUST_SEC)), 0);
    return result;
}

int test_run_leak_checked(int (*fn)(void *arg), void *arg)
{
    checked_call call = {fn, arg};
    return gust_run(run_checked, &call);
}

#ifndef TEST_OWN_RUNNER

/* Criterion waits for ever by default.  --timeout and .timeout still win. */
__attribute__((constructor)) static void bound_every_test(void)
{
    criterion_options.timeout = TEST_TIMEOUT_S;
}

#else

#include <fnmatch.h>
#include <getopt.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

enum {
    EXIT_TEST_FAILED = 99,
    EXIT_TEST_SKIPPED = 98,
    /* A .timeout is meant for a plain build; a sanitizer is several times slower. */
    TIMEOUT_FACTOR = 3,
};

typedef enum outcome { PASSED, FAILED, CRASHED, SKIPPED } outcome;

static test_case *first_test;
static test_case **last_link = &first_test;
/* In a test's child only: a cr_expect did not hold. */
static bool expectation_failed;

void test_register(test_case *test)
{
    *last_link = test;
    last_link = &test->next;
}

static void print_location(const char *file, int line)
{
    fprintf(stderr, "[----] %s:%d: Assertion Failed\n", file, line);
}

void test_condition_failed(bool fatal, const char *file, int line, const char *what,
                           const char *format, ...)
{
    va_list args;
    print_location(file, line);
    fprintf(stderr, "[----]   %s:", what);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    expectation_failed = true;
    if (fatal)
        _exit(EXIT_TEST_FAILED);
}

_Noreturn void test_skip(const char *format, ...)
{
    va_list args;
    fputs("[SKIP]", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    _exit(EXIT_TEST_SKIPPED);
}

/* `how`: SIG_BLOCK or SIG_UNBLOCK. */
static void mask_sigchld(int how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(how, &set, NULL);
}

/* The child: runs the test and leaves by exit(), so that the sanitizers have
 * the last word. */
_Noreturn static void run_body(const test_case *test)
{
    /* Whoever kills the runner must not have to look for its children. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    mask_sigchld(SIG_UNBLOCK);
    if (test->init)
        test->init();
    test->body();
    if (test->fini)
        test->fini();
    exit(expectation_failed ? EXIT_TEST_FAILED : EXIT_SUCCESS);
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Waits for the child until the bound; kills it then.  Returns false if it had
 * to.  Needs SIGCHLD blocked since before the fork, or it could miss an early
 * death. */
static bool wait_bounded(pid_t child, double timeout_s, int *ret_status)
{
    double end = seconds_now() + timeout_s;
    sigset_t child_ended;
    sigemptyset(&child_ended);
    sigaddset(&child_ended, SIGCHLD);
    while (waitpid(child, ret_status, WNOHANG) == 0) {
        double left = end - seconds_now();
        if (left <= 0) {
            kill(child, SIGKILL);
            waitpid(child, ret_status, 0);
            return false;
        }
        struct timespec bound = {.tv_sec = (time_t)left,
                                 .tv_nsec = (long)((left - (double)(time_t)left) * 1e9)};
        sigtimedwait(&child_ended, NULL, &bound);
    }
    return true;
}

static outcome judge(const test_case *test, int status)
{
    if (WIFSIGNALED(status)) {
        if (WTERMSIG(status) == test->signal)
            return PASSED;
        fprintf(stderr, "[----] %s::%s: CRASH: %s\n", test->suite, test->name,
                strsignal(WTERMSIG(status)));
        return CRASHED;
    }
    if (WEXITSTATUS(status) == EXIT_TEST_SKIPPED)
        return SKIPPED;
    if (WEXITSTATUS(status) == test->exit_code && test->signal == 0)
        return PASSED;
    if (WEXITSTATUS(status) != EXIT_TEST_FAILED)
        fprintf(stderr, "[----] %s::%s: unexpected exit status %d\n", test->suite, test->name,
                WEXITSTATUS(status));
    return FAILED;
}

static outcome run_test(const test_case *test)
{
    if (test->disabled) {
        fprintf(stderr, "[SKIP] %s::%s: disabled\n", test->suite, test->name);
        return SKIPPED;
    }
    /* Before the fork, so that the child does not write it a second time. */
    fflush(NULL);

    pid_t child = fork();
    if (child < 0) {
        perror("fork");
        exit(2);
    }
    if (child == 0)
        run_body(test);
    int status;
    double timeout_s = test->timeout > 0 ? test->timeout * TIMEOUT_FACTOR : TEST_TIMEOUT_S;
    if (!wait_bounded(child, timeout_s, &status)) {
        fprintf(stderr, "[----] %s::%s: Timed out after %g s\n", test->suite, test->name,
                timeout_s);
        return CRASHED;
    }
    return judge(test, status);
}

static bool matches(const test_case *test, const char *pattern)
{
    char full_name[512];
    snprintf(full_name, sizeof full_name, "%s/%s", test->suite, test->name);
    return fnmatch(pattern, full_name, 0) == 0;
}

static void list_tests(const char *pattern)
{
    for (const test_case *test = first_test; test; test = test->next)
        if (matches(test, pattern))
            printf("%s/%s\n", test->suite, test->name);
}

/* Returns whether all went well. */
static bool run_tests(const char *pattern, bool verbose)
{
    int count[SKIPPED + 1] = {0};
    mask_sigchld(SIG_BLOCK);
    for (const test_case *test = first_test; test; test = test->next) {
        if (!matches(test, pattern))
            continue;
        if (verbose)
            fprintf(stderr, "[RUN ] %s::%s\n", test->suite, test->name);
        outcome result = run_test(test);
        count[result]++;
        if (result == FAILED || result == CRASHED)
            fprintf(stderr, "[FAIL] %s::%s\n", test->suite, test->name);
    }
    fprintf(stderr, "[====] Synthesis: Tested: %d | Passing: %d | Failing: %d | Crashing: %d\n",
            count[PASSED] + count[FAILED] + count[CRASHED], count[PASSED],
            count[FAILED] + count[CRASHED], count[CRASHED]);
    return count[FAILED] + count[CRASHED] == 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"filter", required_argument, NULL, 'f'},
        {"list", no_argument, NULL, 'l'},
        {"jobs", required_argument, NULL, 'j'},
        {"verbose", no_argument, NULL, 'v'},
        {0},
    };
    const char *pattern = "*";
    bool list_only = false;
    bool verbose = false;
    int option;
    while ((option = getopt_long(argc, argv, "lj:", options, NULL)) != -1) {
        switch (option) {
        case 'f': pattern = optarg; break;
        case 'l': list_only = true; break;
        case 'v': verbose = true; break;
        case 'j': /* known to Criterion; here there is always one job */ break;
        default:
            fprintf(stderr, "usage: %s [--list] [--filter 'suite/name*'] [--jobs N] [--verbose]\n",
                    argv[0]);
            return 2;
        }
    }
    if (list_only) {
        list_tests(pattern);
        return 0;
    }
    return run_tests(pattern, verbose) ? 0 : 1;
}

#endif
