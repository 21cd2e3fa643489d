/* Patterns: which are refused, which conflict, which is more specific. */
#include "http/pattern.h"
#include "tests/harness/test.h"

#include <gust/http_router.h>

#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct http_pattern *pattern_of(const char *text)
{
    struct http_pattern *p = NULL;
    const char *why = "";
    int r = gust__http_pattern_new(text, &p, &why);

    cr_assert_eq(r, 0, "%s: %s", text, why);
    return p;
}

/* --- Reading ------------------------------------------------------------------ */

/* The segments as one text: 'a' a literal, {x} and {x...} wildcards, $ the end. */
static void print_segments(const struct http_pattern *p, char *text)
{
    static const char *const before[] = {"'", "$", "{", "{"};
    static const char *const behind[] = {"'", "", "}", "...}"};

    for (unsigned i = 0; i < p->count; i++) {
        const struct pattern_segment *s = &p->segments[i];
        text += sprintf(text, "%s%.*s%s", before[s->kind], (int)s->text.len,
                        s->text.data ? s->text.data : "", behind[s->kind]);
    }
}

static const struct {
    const char *text;
    uint64_t methods;
    const char *host;
    const char *segments;
} well_formed[] = {
    {"/", METHOD_ALL, "", "{...}"},
    {"/a", METHOD_ALL, "", "'a'"},
    {"/a/", METHOD_ALL, "", "'a'{...}"},
    {"/{$}", METHOD_ALL, "", "$"},
    {"/a/{$}", METHOD_ALL, "", "'a'$"},
    {"/{x}", METHOD_ALL, "", "{x}"},
    {"/{x}/", METHOD_ALL, "", "{x}{...}"},
    {"/{x...}", METHOD_ALL, "", "{x...}"},
    {"/a/{_b2}/c/{D...}", METHOD_ALL, "", "'a'{_b2}'c'{D...}"},
    {"/a%2Fb/%7Bx%7D/c+d", METHOD_ALL, "", "'a/b''{x}''c+d'"},
    {"/a}", METHOD_ALL, "", "'a}'"},
    {"/caf\xc3\xa9", METHOD_ALL, "", "'caf\xc3\xa9'"},
    {"GET /", METHOD_BIT(GUST_HTTP_GET) | METHOD_BIT(GUST_HTTP_HEAD), "", "{...}"},
    {"HEAD \t /", METHOD_BIT(GUST_HTTP_HEAD), "", "{...}"},
    {"POST Example.COM/{x}", METHOD_BIT(GUST_HTTP_POST), "example.com", "{x}"},
    {"M-SEARCH [::1]/a", METHOD_BIT(GUST_HTTP_MSEARCH), "[::1]", "'a'"},
};

Test(pattern, is_read_into_its_parts)
{
    char segments[200];

    for (size_t i = 0; i < COUNT(well_formed); i++) {
        struct http_pattern *p = pattern_of(well_formed[i].text);
        cr_assert_eq(p->methods, well_formed[i].methods, "%s", well_formed[i].text);
        cr_assert_eq(strcmp(p->text, well_formed[i].text), 0);
        cr_assert_eq(p->host.len, strlen(well_formed[i].host));
        cr_assert_eq(memcmp(p->host.data ? p->host.data : "", well_formed[i].host, p->host.len), 0);
        print_segments(p, segments);
        cr_assert_eq(strcmp(segments, well_formed[i].segments), 0, "%s: %s", well_formed[i].text,
                     segments);
        free(p);
    }
}

static const struct {
    const char *text;
    const char *why; /* a part of it */
} malformed[] = {
    {"", "no '/'"},
    {"a", "no '/'"},
    {"GET", "no '/'"},
    {"GET a", "no '/'"},
    {" /", "no such method"},
    {"get /", "no such method"},
    {"FETCH /", "no such method"},
    {"CONNECT /", "CONNECT"},
    {"{a}/b", "host has no wildcards"},
    {"a b/c", "no such method"},
    {"GET a\"b/c", "malformed host"},
    {"[::1/c", "malformed host"},
    {"a:80/c", "without a port"},
    {"[::1]:80/c", "without a port"},
    {"a:/c", "without a port"},
    {"/a{b}", "whole of its segment"},
    {"/{a}b", "whole of its segment"},
    {"/{a", "whole of its segment"},
    {"/{", "whole of its segment"},
    {"/a{$}", "whole of its segment"},
    {"/{$}/", "not at the end"},
    {"/{$}/a", "not at the end"},
    {"/{a...}/", "not at the end"},
    {"/{a...}/b", "not at the end"},
    {"/{}", "not an identifier"},
    {"/{...}", "not an identifier"},
    {"/{a-b}", "not an identifier"},
    {"/{1a}", "not an identifier"},
    {"/{a.}", "not an identifier"},
    {"/{{a}}", "not an identifier"},
    {"/{a}/{a}", "same name"},
    {"/{a}/b/{a...}", "same name"},
    {"//", "cleaned"},
    {"/a//b", "cleaned"},
    {"/a/./b", "cleaned"},
    {"GET /a/..", "cleaned"},
    {"/a/%2e%2E/b", "cleaned"},
    {"/%", "percent-encoding"},
    {"/%2", "percent-encoding"},
    {"/%zz", "percent-encoding"},
    {"GET /a b", "white space"},
    {"/a?b", "'?'"},
    {"/a#b", "'#'"},
    {"/a\x7f", "white space"},
    {"/a\n", "white space"},
};

Test(pattern, malformed_ones_are_refused_with_a_reason)
{
    for (size_t i = 0; i < COUNT(malformed); i++) {
        struct http_pattern *p = NULL;
        const char *why = NULL;
        cr_assert_eq(gust__http_pattern_new(malformed[i].text, &p, &why), -EINVAL, "%s",
                     malformed[i].text);
        cr_assert(p == NULL);
        cr_assert(strstr(why, malformed[i].why) != NULL, "%s: %s", malformed[i].text, why);
    }
}

static int read_of(const char *text)
{
    struct http_pattern *p = NULL;
    const char *why;
    int r = gust__http_pattern_new(text, &p, &why);

    free(p);
    return r;
}

Test(pattern, limits_hold_at_n_and_n_plus_one)
{
    char text[GUST_HTTP_PATTERN_MAX + 2] = "/";

    memset(text + 1, 'a', GUST_HTTP_PATTERN_MAX - 1);
    cr_assert_eq(read_of(text), 0);
    text[GUST_HTTP_PATTERN_MAX] = 'a';
    cr_assert_eq(read_of(text), -EINVAL);

    memset(text, 0, sizeof(text));
    for (int i = 0; i < GUST_HTTP_PATTERN_SEGMENTS_MAX; i++)
        memcpy(text + 2 * i, "/a", 2);
    cr_assert_eq(read_of(text), 0);
    strcat(text, "/");
    cr_assert_eq(read_of(text), -EINVAL);

    memset(text, 'h', GUST_HTTP_PATTERN_HOST_MAX + 1);
    strcpy(text + GUST_HTTP_PATTERN_HOST_MAX, "/");
    cr_assert_eq(read_of(text), 0);
    strcpy(text + GUST_HTTP_PATTERN_HOST_MAX, "h/");
    cr_assert_eq(read_of(text), -EINVAL);
}

/* --- Comparing ----------------------------------------------------------------- */

static const struct {
    const char *a, *b;
    unsigned relation; /* of a to b */
} relations[] = {
    {"/a", "/a", PATTERN_EQUAL},
    {"/a", "/b", PATTERN_DISJOINT},
    {"/a", "/a/", PATTERN_DISJOINT},
    {"/a", "/a/{$}", PATTERN_DISJOINT},
    {"/a/", "/a/{$}", PATTERN_GENERAL},
    {"/a/", "/a/{x...}", PATTERN_EQUAL},
    {"/{x}", "/{y}", PATTERN_EQUAL},
    {"/{x}", "/a", PATTERN_GENERAL},
    {"/{x}", "/{$}", PATTERN_DISJOINT},
    {"/{x}", "/{x}/a", PATTERN_DISJOINT},
    {"/{x}/a", "/a/{x}", PATTERN_OVERLAP},
    {"/{x}/a", "/b/{x}", PATTERN_OVERLAP},
    {"/{x}/a/b", "/a/{x}/c", PATTERN_DISJOINT},
    {"/", "/a", PATTERN_GENERAL},
    {"/", "/{$}", PATTERN_GENERAL},
    {"/", "/{x}", PATTERN_GENERAL},
    {"/", "/{x}/b/", PATTERN_GENERAL},
    {"/{x...}", "/a/b/c", PATTERN_GENERAL},
    {"/a/", "/{x}/{y}/c", PATTERN_OVERLAP},
    {"/a/", "/{x}/{$}", PATTERN_OVERLAP},
    {"/a/", "/b/c", PATTERN_DISJOINT},
    {"/{x}/", "/a/b/c", PATTERN_GENERAL},
    {"/a/{x...}", "/a", PATTERN_DISJOINT},
    {"/%61", "/a", PATTERN_EQUAL},
    {"/a%2Fb", "/a/b", PATTERN_DISJOINT},
    {"GET /a", "/a", PATTERN_SPECIFIC},
    {"GET /a", "HEAD /a", PATTERN_GENERAL},
    {"GET /a", "POST /a", PATTERN_DISJOINT},
    {"HEAD /", "GET /a", PATTERN_OVERLAP},
    {"GET /{x}", "/a", PATTERN_OVERLAP},
    {"GET /{x}", "GET /a", PATTERN_GENERAL},
    {"GET /a", "/{x}", PATTERN_SPECIFIC},
};

static unsigned mirrored(unsigned relation)
{
    if (relation == PATTERN_GENERAL || relation == PATTERN_SPECIFIC)
        return relation ^ PATTERN_OVERLAP;
    return relation;
}

Test(pattern, relations_hold_in_both_directions)
{
    for (size_t i = 0; i < COUNT(relations); i++) {
        struct http_pattern *a = pattern_of(relations[i].a), *b = pattern_of(relations[i].b);
        unsigned relation = relations[i].relation;
        bool conflict = relation == PATTERN_EQUAL || relation == PATTERN_OVERLAP;
        cr_assert_eq(gust__http_pattern_compare(a, b), relation, "%s, %s", a->text, b->text);
        cr_assert_eq(gust__http_pattern_compare(b, a), mirrored(relation), "%s, %s", a->text,
                     b->text);
        cr_assert_eq(gust__http_pattern_conflict(a, b), conflict);
        free(a);
        free(b);
    }
}

Test(pattern, different_hosts_do_not_conflict)
{
    static const char *const texts[] = {"/a", "x/a", "y/a", "x/{b}/c", "y/c/{b}"};

    for (size_t i = 0; i < COUNT(texts); i++)
        for (size_t j = 0; j < COUNT(texts); j++) {
            struct http_pattern *a = pattern_of(texts[i]), *b = pattern_of(texts[j]);
            cr_assert_eq(gust__http_pattern_conflict(a, b), i == j);
            free(a);
            free(b);
        }
    struct http_pattern *a = pattern_of("Host/{b}/c"), *b = pattern_of("hOST/c/{b}");
    cr_assert(gust__http_pattern_conflict(a, b));
    free(a);
    free(b);
}
