/* Log lines, fatal errors and panics: what is written, in how many pieces. */
#include <gust/runtime.h>

#include "core/fault.h"
#include "core/sched.h"
#include "tests/core/child.h"

static char x600[601];

static void say(void)
{
    gust__log("listening on port %d", 8080);
}

static void say_too_much(void)
{
    memset(x600, 'x', sizeof x600 - 1);
    gust__log("%s", x600);
}

static void say_just_enough(void)
{
    memset(x600, 'x', sizeof x600 - 1);
    gust__log("%.505s", x600);
}

Test(log, default_is_one_line_on_stderr)
{
    char text[1024];

    cr_assert_eq(child_run(say, text, sizeof text), 0);
    cr_assert_str_eq(text, "gust: listening on port 8080\n");
}

Test(log, a_line_has_512_bytes_at_most)
{
    char text[1024];

    child_run(say_just_enough, text, sizeof text);
    cr_assert_eq(strlen(text), 512);
    cr_assert_eq(strcmp(text + 509, "xx\n"), 0);
    child_run(say_too_much, text, sizeof text);
    cr_assert_eq(strlen(text), 512);
    cr_assert_eq(strcmp(text + 507, "x...\n"), 0);
}

static char hooked[512];

static void hook(const char *line)
{
    strcpy(hooked, line);
}

static void say_to_hook(void)
{
    gust_set_log(hook);
    say();
    CHECK(strcmp(hooked, "listening on port 8080") == 0);
    say_too_much();
    CHECK_EQ(strlen(hooked), 511);
    gust_set_log(NULL);
    gust__log("back");
}

Test(log, a_hook_gets_the_bare_line_and_null_restores_the_default)
{
    char text[1024];

    cr_assert_eq(child_run(say_to_hook, text, sizeof text), 0, "%s", text);
    cr_assert_str_eq(text, "gust: back\n");
}

static void break_an_invariant(void)
{
    gust_set_log(hook); /* fatal errors do not depend on it */
    gust__fatal("%d goroutines are in two places", 2);
}

Test(log, fatal_prints_its_line_and_a_backtrace_and_aborts)
{
    char text[4096];
    int status = child_run(break_an_invariant, text, sizeof text);

    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    cr_assert_eq(strncmp(text, "gust: 2 goroutines are in two places\n", 37), 0, "%s", text);
    cr_assert_not_null(strstr(text, "[0x"), "%s", text);
}

static void panic_outside(void)
{
    gust_panic("no %s", "goroutine");
}

Test(log, panic_outside_of_goroutines_prints_message_and_backtrace)
{
    char text[4096];
    int status = child_run(panic_outside, text, sizeof text);

    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    cr_assert_eq(strncmp(text, "panic: no goroutine\n", 20), 0, "%s", text);
    cr_assert_null(strstr(text, "started at"), "%s", text);
    cr_assert_not_null(strstr(text, "[0x"), "%s", text);
}
