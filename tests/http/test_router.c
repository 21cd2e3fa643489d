/* The router as a client and a program see it.  Which pattern wins is the business of
 * test_pattern.c and test_route_tree.c. */
#include "tests/http/site.h"

#include <gust/http_router.h>
#include <gust/panic.h>

#include <stdio.h>

#include "core/inject.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static gust_http_router *router_with(gust_http_handler *handler, const char *const *patterns,
                                     size_t count)
{
    gust_http_router *router;

    CHECK_EQ(gust_http_router_new(&router), 0);
    for (size_t i = 0; i < count; i++)
        if (gust_http_router_handle(router, patterns[i], handler, NULL) < 0)
            gust_panic("%s", gust_http_router_error(router));
    return router;
}

/* --- Asking ---------------------------------------------------------------------- */

/* The line of the field, or "". */
static const char *field_line(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at ? at : "";
}

/* "200 BODY", or the status with the Location or the Allow field. */
static void summarize(const struct reply *r, char *summary, size_t size)
{
    const char *allow = field_line(r->text, "Allow: ");
    const char *location = field_line(r->text, "Location: ");
    int status = atoi(r->text + 9);

    if (*allow || *location)
        snprintf(summary, size, "%d %s%s", status, allow, location);
    else if (status == 200)
        snprintf(summary, size, "200 %s", strstr(r->text, "\r\n\r\n") + 4);
    else
        snprintf(summary, size, "%d", status);
    summary[strcspn(summary, "\r")] = '\0';
}

static void expect_summary(const struct site *site, const char *line, const char *host,
                           const char *expected)
{
    char request[400], summary[400];

    snprintf(request, sizeof(request), "%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", line,
             host);
    struct reply r = site_ask(site, request);
    summarize(&r, summary, sizeof(summary));
    if (strcmp(summary, expected) != 0)
        gust_panic("%s (%s): got\n%s\ninstead of\n%s", line, host, summary, expected);
    free(r.text);
}

struct question {
    const char *line;
    const char *host;
    const char *expected;
};

struct scenario {
    gust_http_router *router;
    const struct question *questions;
    size_t count;
};

static int ask_all(void *arg)
{
    const struct scenario *s = arg;
    struct site site;

    site_start(&site,
               &(gust_http_server_options){.handler = gust_http_router_serve, .arg = s->router});
    for (size_t i = 0; i < s->count; i++)
        expect_summary(&site, s->questions[i].line, s->questions[i].host, s->questions[i].expected);
    site_stop(&site);
    gust_http_router_free(s->router);
    return 0;
}

/* --- Methods, hosts, redirects ----------------------------------------------------- */

static void say_pattern(gust_http_request *req, gust_http_response *res, void *arg)
{
    const char *pattern = gust_http_request_pattern(req);

    (void)arg;
    gust_http_reply(res, 200, NULL, pattern, strlen(pattern));
}

static const char *const site_patterns[] = {
    "GET /{$}",
    "GET /item",
    "POST /item",
    "HEAD /item/head",
    "GET /item/head",
    "/any",
    "/tree/",
    "GET /got/",
    "/both",
    "/both/",
    "/rest/{path...}",
    "/end/{$}",
    "/dir/{x}/",
    "/a%2Fb/c",
    "/\\evil/",
    "Example.com/item",
    "example.com/hosted/",
    "POST example.com/hosted/post",
    "[::1]/item",
};

static const struct question site_questions[] = {
    {"GET /", "a", "200 GET /{$}"},
    {"GET /?q", "a", "200 GET /{$}"},
    {"GET http://a?q", "a", "200 GET /{$}"},
    {"GET /nothing", "a", "404"},
    {"GET /item/nothing", "a", "404"},
    {"GET /any/", "a", "404"},

    {"GET /item", "a", "200 GET /item"},
    {"POST /item", "a", "200 POST /item"},
    {"HEAD /item", "a", "200 "},
    {"PUT /item", "a", "405 Allow: GET, HEAD, POST"},
    {"HEAD /item/head", "a", "200 "},
    {"PATCH /item/head", "a", "405 Allow: GET, HEAD"},
    {"PATCH /any", "a", "200 /any"},
    {"OPTIONS /item", "a", "405 Allow: GET, HEAD, POST"},
    {"OPTIONS *", "a", "200 "},

    {"GET /tree", "a", "301 Location: /tree/"},
    {"HEAD /tree?a=b&c", "a", "301 Location: /tree/?a=b&c"},
    {"GET /tree?", "a", "301 Location: /tree/?"},
    {"POST /tree", "a", "308 Location: /tree/"},
    {"GET /tree/", "a", "200 /tree/"},
    {"GET /tree/a/b/", "a", "200 /tree/"},
    {"GET /both", "a", "200 /both"},
    {"GET /both/", "a", "200 /both/"},
    {"GET /rest", "a", "301 Location: /rest/"},
    {"GET /end", "a", "301 Location: /end/"},
    {"GET /end/x", "a", "404"},
    {"GET /dir/a%2Fb", "a", "301 Location: /dir/a%2Fb/"},
    {"GET /dir/a%22\"\\", "a", "301 Location: /dir/a%22%22%5C/"},
    {"GET /got", "a", "301 Location: /got/"},
    {"POST /got", "a", "405 Allow: GET, HEAD"},
    {"POST /got/x", "a", "405 Allow: GET, HEAD"},

    {"GET /a//b?c=//", "a", "301 Location: /a/b?c=//"},
    {"GET //evil.com/%2e", "a", "301 Location: /evil.com"},
    {"GET /\\evil.com/.", "a", "301 Location: /%5Cevil.com"},
    {"GET /\\evil", "a", "301 Location: /%5Cevil/"},
    {"GET /tree/../item", "a", "301 Location: /item"},
    {"DELETE /item/./x/", "a", "308 Location: /item/x/"},
    {"GET /tree/%2E%2e", "a", "301 Location: /"},
    {"GET /%", "a", "400"},
    {"GET /tree/%2", "a", "400"},
    {"GET /tree/%zz/..", "a", "400"},

    {"GET /a%2Fb/c", "a", "200 /a%2Fb/c"},
    {"GET /%61%2fb/%63", "a", "200 /a%2Fb/c"},
    {"GET /a/b/c", "a", "404"},
    {"GET /%69tem", "a", "200 GET /item"},

    {"GET /item", "example.com", "200 Example.com/item"},
    {"GET /item", "EXAMPLE.Com:8080", "200 Example.com/item"},
    {"PUT /item", "example.com", "200 Example.com/item"},
    {"GET /item", "example.com.evil", "200 GET /item"},
    {"GET /item", "www.example.com", "200 GET /item"},
    {"GET http://example.com/item", "a", "200 Example.com/item"},
    {"GET /item", "[::1]:80", "200 [::1]/item"},
    {"GET /item", "[::1]", "200 [::1]/item"},
    {"GET /item", "", "200 GET /item"},
    {"GET /any", "example.com", "200 /any"},
    {"GET /hosted", "example.com", "301 Location: /hosted/"},
    {"GET /hosted", "a", "404"},
    {"GET /hosted/post", "example.com", "200 example.com/hosted/"},
    {"POST /hosted/post", "example.com", "200 POST example.com/hosted/post"},
};

Test(router, answers_by_method_host_and_path)
{
    struct scenario s = {router_with(say_pattern, site_patterns, COUNT(site_patterns)),
                         site_questions, COUNT(site_questions)};
    test_run(ask_all, &s);
}

/* With a pattern for everything, a redirect to the slash still goes before it. */
static const char *const root_patterns[] = {"/", "/tree/", "b/"};

static const struct question root_questions[] = {
    {"GET /x/y", "a", "200 /"},
    {"GET /tree", "a", "301 Location: /tree/"},
    {"GET /tree", "b", "200 b/"},
    {"GET /tree/x", "b", "200 b/"},
};

Test(router, redirects_go_before_what_is_for_everything)
{
    struct scenario s = {router_with(say_pattern, root_patterns, COUNT(root_patterns)),
                         root_questions, COUNT(root_questions)};
    test_run(ask_all, &s);
}

Test(router, an_empty_one_finds_nothing)
{
    static const struct question questions[] = {{"GET /", "a", "404"}, {"GET /x", "a", "404"}};
    struct scenario s = {router_with(say_pattern, NULL, 0), questions, COUNT(questions)};
    test_run(ask_all, &s);
}

/* --- Values ------------------------------------------------------------------------- */

/* "id=[VALUE] rest=[VALUE]", of those that are there. */
static void say_values(gust_http_request *req, gust_http_response *res, void *arg)
{
    static const char *const names[] = {"id", "x", "rest", "", "$"};
    char text[400];
    int n = 0;

    (void)arg;
    for (size_t i = 0; i < COUNT(names); i++) {
        gust_span value = gust_http_path_value(req, names[i]);
        if (value.data)
            n += sprintf(text + n, "%s=[%.*s]", names[i], (int)value.len, value.data);
    }
    gust_http_reply(res, 200, NULL, text, (size_t)n);
}

static const char *const value_patterns[] = {
    "/", "/users/{id}", "/users/{id}/posts/{x}/{$}", "/files/{rest...}", "/v/{id}/x/{rest...}",
};

static const struct question value_questions[] = {
    {"GET /", "a", "200 "},
    {"GET /other/path", "a", "200 "},
    {"GET /users/42", "a", "200 id=[42]"},
    {"GET /users/a%20b%2Fc%25", "a", "200 id=[a b/c%]"},
    {"GET /users/%2E%2E%2Fetc", "a", "200 id=[../etc]"},
    {"GET /users/1/posts/22/", "a", "200 id=[1]x=[22]"},
    {"GET /users/%31/posts/%32%32/", "a", "200 id=[1]x=[22]"},
    {"GET /files/", "a", "200 rest=[]"},
    {"GET /files/a/b%20c/", "a", "200 rest=[a/b c/]"},
    {"GET /files/%2F", "a", "200 rest=[/]"},
    {"GET /v/w/x/", "a", "200 id=[w]rest=[]"},
    {"GET /v/w/x/y", "a", "200 id=[w]rest=[y]"},
};

Test(router, values_are_decoded)
{
    struct scenario s = {router_with(say_values, value_patterns, COUNT(value_patterns)),
                         value_questions, COUNT(value_questions)};
    test_run(ask_all, &s);
}

/* The head of a request with a body lies elsewhere. */
static void read_between(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_span plain = gust_http_path_value(req, "x");
    gust_span coded = gust_http_path_value(req, "rest");
    char body[4];

    (void)arg;
    CHECK_EQ(gust_http_body_read(req, body, sizeof(body)), 4);
    CHECK(span_is(plain, "plain"));
    CHECK(span_is(coded, "c d"));
    gust_http_reply(res, 200, NULL, "ok", 2);
}

static int send_a_body(void *arg)
{
    static const char *const pattern = "POST /{x}/{rest...}";
    gust_http_router *router = router_with(read_between, &pattern, 1);
    struct site site;

    (void)arg;
    site_start(&site,
               &(gust_http_server_options){.handler = gust_http_router_serve, .arg = router});
    expect_reply_start(site_ask(&site, "POST /plain/c%20d HTTP/1.1\r\nHost: a\r\n"
                                       "Content-Length: 4\r\nConnection: close\r\n\r\nbody"),
                       "with a body", "HTTP/1.1 200 ");
    site_stop(&site);
    gust_http_router_free(router);
    return 0;
}

Test(router, values_outlive_the_reading_of_the_body)
{
    test_run(send_a_body, NULL);
}

static void no_route(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)arg;
    CHECK(gust_http_request_pattern(req) == NULL);
    CHECK(gust_http_path_value(req, "x").data == NULL);
    gust_http_reply(res, 200, NULL, "none", 4);
}

static int ask_without_router(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = no_route});
    expect_summary(&site, "GET /x", "a", "200 none");
    site_stop(&site);
    return 0;
}

Test(router, there_is_no_pattern_without_one)
{
    test_run(ask_without_router, NULL);
}

static int ask_through_two(void *arg)
{
    static const char *const inner_pattern = "/api/{id}";
    gust_http_router *inner = router_with(say_values, &inner_pattern, 1);
    gust_http_router *outer = router_with(no_route, NULL, 0);
    struct site site;

    (void)arg;
    CHECK_EQ(gust_http_router_handle(outer, "/api/", gust_http_router_serve, inner), 0);
    site_start(&site, &(gust_http_server_options){.handler = gust_http_router_serve, .arg = outer});
    expect_summary(&site, "GET /api/7", "a", "200 id=[7]");
    expect_summary(&site, "GET /api/7/8", "a", "404");
    site_stop(&site);
    gust_http_router_free(outer);
    gust_http_router_free(inner);
    return 0;
}

Test(router, can_be_the_handler_of_a_route)
{
    test_run(ask_through_two, NULL);
}

/* A path and a query as long as the server takes, in a redirect that makes them longer. */
static int redirect_the_longest(void *arg)
{
    static const char *const pattern = "/{x}/";
    gust_http_router *router = router_with(say_values, &pattern, 1);
    char *request = malloc(70000);
    struct site site;

    (void)arg;
    CHECK(request);
    site_start(&site,
               &(gust_http_server_options){.handler = gust_http_router_serve, .arg = router});
    for (size_t len = 20000; len <= 60000; len += 40000) {
        int n = sprintf(request, "GET /");
        memset(request + n, '"', len);
        sprintf(request + (size_t)n + len, " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        expect_reply_start(site_ask(&site, request), "long",
                           len == 20000 ? "HTTP/1.1 301 " : "HTTP/1.1 414 ");
    }
    site_stop(&site);
    gust_http_router_free(router);
    free(request);
    return 0;
}

Test(router, a_location_that_is_too_long_is_not_sent)
{
    test_run(redirect_the_longest, NULL);
}

/* --- Registering ---------------------------------------------------------------------- */

static const struct {
    const char *pattern;
    int result;
    const char *error;
} registrations[] = {
    {"GET /users/{id}", 0, ""},
    {"/users/me", -EEXIST,
     "pattern \"/users/me\" conflicts with \"GET /users/{id}\": some requests match both, and "
     "neither is more specific"},
    {"GET /users/{name}", -EEXIST,
     "pattern \"GET /users/{name}\" conflicts with \"GET /users/{id}\": they match the same "
     "requests"},
    {"/users/{id", -EINVAL, "pattern \"/users/{id\": a wildcard is not the whole of its segment"},
    {"/users/{id}", 0, NULL},
};

Test(router, refusals_name_the_patterns_and_change_nothing)
{
    gust_http_router *router;

    cr_assert_eq(gust_http_router_new(&router), 0);
    cr_assert_eq(strcmp(gust_http_router_error(router), ""), 0);
    for (size_t i = 0; i < COUNT(registrations); i++) {
        int r = gust_http_router_handle(router, registrations[i].pattern, say_pattern, NULL);
        const char *error = gust_http_router_error(router);
        cr_assert_eq(r, registrations[i].result, "%s", registrations[i].pattern);
        if (registrations[i].error)
            cr_assert_eq(strcmp(error, registrations[i].error), 0, "%s", error);
    }
    cr_assert_eq(gust_http_router_handle(router, "/x", NULL, NULL), -EINVAL);
    cr_assert(strstr(gust_http_router_error(router), "no handler") != NULL);
    cr_assert_eq(gust_http_router_use(router, NULL, NULL), -EINVAL);
    gust_http_router_free(router);
    gust_http_router_free(NULL);
}

Test(router, the_longest_patterns_are_named_in_full)
{
    char a[GUST_HTTP_PATTERN_MAX + 1] = "/{x}/", b[GUST_HTTP_PATTERN_MAX + 2] = "/{y}/";
    gust_http_router *router;

    memset(a + 5, 'a', GUST_HTTP_PATTERN_MAX - 5);
    memset(b + 5, 'a', GUST_HTTP_PATTERN_MAX - 5);
    cr_assert_eq(gust_http_router_new(&router), 0);
    cr_assert_eq(gust_http_router_handle(router, a, say_pattern, NULL), 0);
    cr_assert_eq(gust_http_router_handle(router, b, say_pattern, NULL), -EEXIST);
    cr_assert(strstr(gust_http_router_error(router), "same requests") != NULL);
    b[GUST_HTTP_PATTERN_MAX] = 'a';
    cr_assert_eq(gust_http_router_handle(router, b, say_pattern, NULL), -EINVAL);
    cr_assert(strstr(gust_http_router_error(router), "too long") != NULL);
    gust_http_router_free(router);
}

#ifdef GUST_DEBUG

static void pass(gust_http_request *req, gust_http_response *res, gust_http_next *next, void *arg)
{
    (void)req;
    (void)res;
    (void)arg;
    gust_http_next_run(next);
}

/* True if all were registered.  What was refused can be registered after. */
static bool register_all(gust_http_router *router)
{
    bool refused[COUNT(site_patterns)];
    bool all = true;

    for (size_t i = 0; i < COUNT(site_patterns); i++) {
        int r = gust_http_router_handle(router, site_patterns[i], say_pattern, NULL);
        refused[i] = r < 0;
        if (refused[i]) {
            cr_assert_eq(r, -ENOMEM);
            cr_assert(strstr(gust_http_router_error(router), "out of memory") != NULL);
            all = false;
        }
    }
    gust__inject_disarm();
    for (size_t i = 0; i < COUNT(site_patterns); i++)
        cr_assert_eq(gust_http_router_handle(router, site_patterns[i], say_pattern, NULL),
                     refused[i] ? 0 : -EEXIST);
    return all;
}

Test(router, memory_may_be_refused_while_it_is_built)
{
    gust_http_router *router = NULL;
    bool all = false;

    gust__inject_arm(INJECT_MALLOC, 1, 1);
    cr_assert_eq(gust_http_router_new(&router), -ENOMEM);
    cr_assert(router == NULL);
    for (uint64_t nth = 1; !all; nth++) {
        cr_assert_eq(gust_http_router_new(&router), 0);
        gust__inject_arm(INJECT_MALLOC, nth, 1);
        all = register_all(router);
        gust__inject_arm(INJECT_MALLOC, 1, 1);
        cr_assert_eq(gust_http_router_use(router, pass, NULL), -ENOMEM);
        gust__inject_disarm();
        gust_http_router_free(router);
    }
}

#endif
