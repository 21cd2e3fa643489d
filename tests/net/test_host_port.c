/* "host:port": what is split, and that all else is refused. */
#include <errno.h>
#include <gust/resolve.h>

#include "tests/harness/test.h"

static const struct {
    const char *text, *host, *port;
} good[] = {
    {"example.org:80", "example.org", "80"},
    {"example.org:http", "example.org", "http"},
    {"127.0.0.1:0", "127.0.0.1", "0"},
    {":80", "", "80"},
    {"[::1]:443", "::1", "443"},
    {"[fe80::1%eth0]:22", "fe80::1%eth0", "22"},
    {"[fe80::1%eth0:1]:22", "fe80::1%eth0:1", "22"},
    {"[::ffff:192.0.2.1]:https", "::ffff:192.0.2.1", "https"},
    {"a_b-c.d:x-y", "a_b-c.d", "x-y"},
    {"b\xc3\xbc"
     "cher.example:80",
     "b\xc3\xbc"
     "cher.example",
     "80"},
};

static bool is(gust_span span, const char *text)
{
    return span.len == strlen(text) && memcmp(span.data, text, span.len) == 0;
}

Test(host_port, text_is_split_at_the_colon)
{
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        gust_span host, port;
        cr_assert_eq(gust_host_port_split(good[i].text, &host, &port), 0, "%s", good[i].text);
        cr_assert(is(host, good[i].host), "%s", good[i].text);
        cr_assert(is(port, good[i].port), "%s", good[i].text);
    }
}

static const char *const refused[] = {
    "",           ":",          "host",      "host:",      "::1",
    "::1:80",     "a:b:c",      "[::1]",     "[::1]80",    "[::1]:",
    "[::1:80",    "::1]:80",    "[]:80",     "[host]:80",  "[1.2.3.4]:80",
    "[[::1]]:80", "[::1]x:80",  "x[::1]:80", "[::1]:80:1", "h%zone:80",
    "ho st:80",   "host: 80",   "host:80\n", "\thost:80",  "host\x7f:80",
    "[::1 ]:80",  "[::1]:[80]", "[::1]:8%0",
};

Test(host_port, all_else_is_refused_and_nothing_written)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        gust_span host = {.len = 77}, port = {.len = 78};
        cr_assert_eq(gust_host_port_split(refused[i], &host, &port), -EINVAL, "'%s'", refused[i]);
        cr_assert_eq(host.len, 77);
        cr_assert_eq(port.len, 78);
    }
}
