/* Which certificate for which name. */
#include <stdio.h>

#include "net/tls/names.h"
#include "tests/harness/test.h"

static gust__names names;

static void add(const char *text, size_t identity)
{
    cr_assert_eq(gust__names_add(&names, text, strlen(text), identity), 0);
}

static void finds(const char *host, size_t count, size_t first)
{
    size_t n = 99;
    const gust__name *found = gust__names_find(&names, host, &n);
    cr_assert_eq(n, count, "%s: %zu names", host, n);
    cr_assert_eq(found == NULL, count == 0);
    if (found)
        cr_assert_eq(found->identity, first, "%s: identity %zu", host, found->identity);
}

Test(tls_names, an_empty_table_finds_nothing)
{
    finds("a.test", 0, 0);
    gust__names_free(&names);
}

Test(tls_names, the_exact_name_comes_before_the_wildcard)
{
    add("*.a.test", 0);
    add("b.a.test", 1);
    add("a.test", 2);
    gust__names_sort(&names);
    finds("b.a.test", 1, 1);
    finds("c.a.test", 1, 0);
    finds("a.test", 1, 2);
    finds("b.test", 0, 0);
    gust__names_free(&names);
}

Test(tls_names, a_wildcard_stands_for_one_label)
{
    add("*.a.test", 0);
    gust__names_sort(&names);
    finds("x.a.test", 1, 0);
    finds("a-long-label-of-its-own.a.test", 1, 0);
    finds("y.x.a.test", 0, 0);
    finds("a.test", 0, 0);
    finds(".a.test", 0, 0);
    finds("*.a.test", 0, 0);
    gust__names_free(&names);
}

Test(tls_names, case_and_a_last_dot_do_not_matter)
{
    add("WWW.Example.Test", 0);
    add("dot.test.", 1);
    gust__names_sort(&names);
    finds("www.eXample.test", 1, 0);
    finds("www.example.test.", 1, 0);
    finds("DOT.test", 1, 1);
    gust__names_free(&names);
}

Test(tls_names, several_for_a_name_are_in_order)
{
    add("a.test", 2);
    add("b.test", 5);
    add("a.test", 0);
    add("a.test", 1);
    gust__names_sort(&names);
    size_t count;
    const gust__name *found = gust__names_find(&names, "a.test", &count);
    cr_assert_eq(count, 3);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(found[i].identity, i);
    gust__names_free(&names);
}

Test(tls_names, what_nobody_can_ask_for_is_left_out)
{
    char longest[GUST__NAME_MAX + 2];
    memset(longest, 'a', sizeof longest);
    cr_assert_eq(gust__names_add(&names, "", 0, 0), 0);
    cr_assert_eq(gust__names_add(&names, ".", 1, 0), 0);
    cr_assert_eq(gust__names_add(&names, "a\0b", 3, 0), 0);
    cr_assert_eq(gust__names_add(&names, longest, GUST__NAME_MAX + 1, 0), 0);
    add("*", 0);
    add("a*.test", 0);
    add("*a.test", 0);
    add("a.*.test", 0);
    add("*.*.test", 0);
    cr_assert_eq(names.count, 0);
    cr_assert_eq(gust__names_add(&names, longest, GUST__NAME_MAX, 7), 0);
    cr_assert_eq(names.count, 1);
    gust__names_sort(&names);
    longest[GUST__NAME_MAX] = '\0';
    finds(longest, 1, 7);
    gust__names_free(&names);
}

Test(tls_names, a_thousand_are_all_found)
{
    char host[32];
    for (size_t i = 0; i < 1000; i++) {
        snprintf(host, sizeof host, "host%zu.test", i * 7919 % 1000);
        add(host, i * 7919 % 1000);
    }
    gust__names_sort(&names);
    for (size_t i = 0; i < 1000; i++) {
        snprintf(host, sizeof host, "host%zu.test", i);
        finds(host, 1, i);
    }
    finds("host1000.test", 0, 0);
    gust__names_free(&names);
}
