/* The harness keeps its promises under Criterion and under its own runner. */
#include "tests/harness/test.h"

#include <signal.h>
#include <stdlib.h>

static int fixture_calls;

static void count_fixture(void)
{
    fixture_calls++;
}

Test(harness, each_test_has_a_process_of_its_own_1)
{
    cr_assert_eq(fixture_calls++, 0);
}

Test(harness, each_test_has_a_process_of_its_own_2)
{
    cr_assert_eq(fixture_calls++, 0);
}

Test(harness, init_runs_before_the_body, .init = count_fixture, .fini = count_fixture)
{
    cr_assert_eq(fixture_calls, 1, "%d calls", fixture_calls);
}

Test(harness, an_expected_signal_is_a_pass, .signal = SIGABRT)
{
    abort();
}

Test(harness, an_expected_exit_code_is_a_pass, .exit_code = 7)
{
    exit(7);
}

Test(harness, check_aborts_in_place, .signal = SIGABRT)
{
    CHECK(fixture_calls == 1);
}

Test(harness, check_eq_aborts_in_place, .signal = SIGABRT)
{
    CHECK_EQ(fixture_calls, 1);
}

Test(harness, conditions_that_hold_are_silent, .timeout = 5)
{
    const char *text = "abc";
    CHECK(text != NULL);
    CHECK_EQ(strlen(text), 3);
    cr_assert(text);
    cr_assert_not(text[3], "message %d", 1);
    cr_assert_eq(1, 1, "message");
    cr_assert_neq(1, 2);
    cr_assert_lt(1, 2);
    cr_assert_leq(2, 2);
    cr_assert_gt(2, 1);
    cr_assert_geq(2, 2);
    cr_assert_not_null(text);
    cr_assert_str_eq(text, "abc");
    cr_assert_str_neq(text, "abd");
    cr_assert_arr_eq(text, "abcd", 3);
    cr_expect_eq(1, 1);
    cr_expect_str_eq(text, "abc", "message");
}
