/* What every test includes.
 *
 * Tests are written for Criterion: Test(suite, sentence_name, .timeout = 5) and
 * cr_assert*, cr_expect*.  Under the sanitizers the same macros feed the small
 * runner in runner.c: Criterion 2.4 does not start under ThreadSanitizer, and
 * it has counted a test as passed before LeakSanitizer looks at it.
 *
 * Either way each test runs in a process of its own, with a bound of
 * TEST_TIMEOUT_S seconds unless it asks for another.
 *
 * cr_assert* leaves the test by way of its main stack: use it there only.  On a
 * goroutine's stack use CHECK, which aborts in place. */
#ifndef GUST_TESTS_HARNESS_TEST_H
#define GUST_TESTS_HARNESS_TEST_H

#include <gust/runtime.h>
#include <stdbool.h>
#include <string.h>

#define TEST_TIMEOUT_S 60

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define TEST_OWN_RUNNER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define TEST_OWN_RUNNER 1
#endif
#endif

#ifdef TEST_OWN_RUNNER
#include "tests/harness/runner.h"
#else
#include <criterion/criterion.h>
#endif

_Noreturn void test_check_failed(const char *file, int line, const char *what);
_Noreturn void test_check_eq_failed(const char *file, int line, const char *what, long long actual,
                                    long long expected);

/* Ends the process with the place and the condition if it does not hold.  From
 * any stack and any thread. */
#define CHECK(cond) ((cond) ? (void)0 : test_check_failed(__FILE__, __LINE__, #cond))

/* CHECK(actual == expected) for integers; shows both. */
#define CHECK_EQ(actual, expected)                                                            \
    do {                                                                                      \
        long long check_actual_ = (long long)(actual);                                        \
        long long check_expected_ = (long long)(expected);                                    \
        if (check_actual_ != check_expected_)                                                 \
            test_check_eq_failed(__FILE__, __LINE__, #actual " == " #expected, check_actual_, \
                                 check_expected_);                                            \
    } while (0)

/* Runs fn(arg) as the main goroutine and asserts that it returned 0. */
#define test_run(fn, arg) cr_assert_eq(gust_run((fn), (arg)), 0)

/* The same, and aborts if goroutines that fn started are there for long after it
 * returned; names them. */
#define test_run_without_leaks(fn, arg) cr_assert_eq(test_run_leak_checked((fn), (arg)), 0)
int test_run_leak_checked(int (*fn)(void *arg), void *arg);

#endif
