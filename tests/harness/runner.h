/* The subset of Criterion's macros that gust's tests use, for the runner in
 * runner.c.  Included by test.h only. */
#ifndef GUST_TESTS_HARNESS_RUNNER_H
#define GUST_TESTS_HARNESS_RUNNER_H

#include <stdbool.h>
#include <string.h>

typedef struct test_case {
    const char *suite;
    const char *name;
    void (*body)(void);
    /* Options of Test(), named as Criterion names them. */
    void (*init)(void);
    void (*fini)(void);
    int signal;     /* the test passes if it dies of this */
    int exit_code;  /* the test passes if it exits with this */
    double timeout; /* seconds; 0: TEST_TIMEOUT_S */
    bool disabled;  /* listed, but not run */
    const char *description;
    struct test_case *next;
} test_case;

/* Before main(), on the one thread there is. */
void test_register(test_case *test);

/* Records a failed condition of the running test.  Leaves the process if
 * `fatal`.  `format` starts with a blank and is only that without a message. */
void test_condition_failed(bool fatal, const char *file, int line, const char *what,
                           const char *format, ...) __attribute__((format(printf, 5, 6)));

_Noreturn void test_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define Test(suite_, name_, ...)                                                             \
    static void suite_##_##name_##_body(void);                                               \
    __attribute__((constructor)) static void suite_##_##name_##_register(void)               \
    {                                                                                        \
        static test_case test_ = {                                                           \
            .suite = #suite_, .name = #name_, .body = suite_##_##name_##_body, __VA_ARGS__}; \
        test_register(&test_);                                                               \
    }                                                                                        \
    static void suite_##_##name_##_body(void)

#define TEST_CONDITION_(fatal, cond, what, ...) \
    ((cond) ? (void)0 : test_condition_failed(fatal, __FILE__, __LINE__, what, " " __VA_ARGS__))
#define TEST_COMPARE_(fatal, a, op, b, ...) \
    TEST_CONDITION_(fatal, (a)op(b), "(" #a ") " #op " (" #b ")", __VA_ARGS__)
#define TEST_STRINGS_(fatal, a, op, b, ...)                                                \
    TEST_CONDITION_(fatal, strcmp((a), (b)) op 0, "(" #a ") " #op " (" #b "), as strings", \
                    __VA_ARGS__)
#define TEST_ARRAYS_(fatal, a, op, b, size, ...)                                                  \
    TEST_CONDITION_(fatal, memcmp((a), (b), (size)) op 0, "(" #a ") " #op " (" #b "), as arrays", \
                    __VA_ARGS__)

#define cr_assert(cond, ...) TEST_CONDITION_(true, cond, #cond, __VA_ARGS__)
#define cr_assert_not(cond, ...) TEST_CONDITION_(true, !(cond), "!(" #cond ")", __VA_ARGS__)
#define cr_assert_eq(a, b, ...) TEST_COMPARE_(true, a, ==, b, __VA_ARGS__)
#define cr_assert_neq(a, b, ...) TEST_COMPARE_(true, a, !=, b, __VA_ARGS__)
#define cr_assert_lt(a, b, ...) TEST_COMPARE_(true, a, <, b, __VA_ARGS__)
#define cr_assert_leq(a, b, ...) TEST_COMPARE_(true, a, <=, b, __VA_ARGS__)
#define cr_assert_gt(a, b, ...) TEST_COMPARE_(true, a, >, b, __VA_ARGS__)
#define cr_assert_geq(a, b, ...) TEST_COMPARE_(true, a, >=, b, __VA_ARGS__)
#define cr_assert_null(a, ...) TEST_COMPARE_(true, a, ==, NULL, __VA_ARGS__)
#define cr_assert_not_null(a, ...) TEST_COMPARE_(true, a, !=, NULL, __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...) TEST_STRINGS_(true, a, ==, b, __VA_ARGS__)
#define cr_assert_str_neq(a, b, ...) TEST_STRINGS_(true, a, !=, b, __VA_ARGS__)
#define cr_assert_arr_eq(a, b, n, ...) TEST_ARRAYS_(true, a, ==, b, n, __VA_ARGS__)
#define cr_assert_fail(...) TEST_CONDITION_(true, false, "failed", __VA_ARGS__)

#define cr_expect(cond, ...) TEST_CONDITION_(false, cond, #cond, __VA_ARGS__)
#define cr_expect_not(cond, ...) TEST_CONDITION_(false, !(cond), "!(" #cond ")", __VA_ARGS__)
#define cr_expect_eq(a, b, ...) TEST_COMPARE_(false, a, ==, b, __VA_ARGS__)
#define cr_expect_neq(a, b, ...) TEST_COMPARE_(false, a, !=, b, __VA_ARGS__)
#define cr_expect_lt(a, b, ...) TEST_COMPARE_(false, a, <, b, __VA_ARGS__)
#define cr_expect_leq(a, b, ...) TEST_COMPARE_(false, a, <=, b, __VA_ARGS__)
#define cr_expect_gt(a, b, ...) TEST_COMPARE_(false, a, >, b, __VA_ARGS__)
#define cr_expect_geq(a, b, ...) TEST_COMPARE_(false, a, >=, b, __VA_ARGS__)
#define cr_expect_null(a, ...) TEST_COMPARE_(false, a, ==, NULL, __VA_ARGS__)
#define cr_expect_not_null(a, ...) TEST_COMPARE_(false, a, !=, NULL, __VA_ARGS__)
#define cr_expect_str_eq(a, b, ...) TEST_STRINGS_(false, a, ==, b, __VA_ARGS__)
#define cr_expect_str_neq(a, b, ...) TEST_STRINGS_(false, a, !=, b, __VA_ARGS__)
#define cr_expect_arr_eq(a, b, n, ...) TEST_ARRAYS_(false, a, ==, b, n, __VA_ARGS__)
#define cr_expect_fail(...) TEST_CONDITION_(false, false, "failed", __VA_ARGS__)

#define cr_skip_test(...) test_skip(" " __VA_ARGS__)

#endif
