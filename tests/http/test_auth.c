/* Basic authentication. */
#include "tests/http/guard.h"
#include "tests/http/site.h"

#include <gust/http_auth.h>

static const struct {
    const char *value;
    const char *user; /* NULL: the result is `error` */
    const char *password;
    int error;
} values[] = {
    /* RFC 7617, 2 and 2.1. */
    {"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame", 0},
    {"Basic dGVzdDoxMjPCow==", "test", "123\xc2\xa3", 0},
    {"bASIC   YTpiOmM=", "a", "b:c", 0},
    {"Basic Og==", "", "", 0},
    {"", NULL, NULL, -ENOENT},
    {"Bearer YTpi", NULL, NULL, -ENOENT},
    {"Basically YTpi", NULL, NULL, -ENOENT},
    {"Basic", NULL, NULL, -EBADMSG},
    {"Basic ", NULL, NULL, -EBADMSG},
    {"Basic\tYTpi", NULL, NULL, -EBADMSG},
    {"Basic YWI=", NULL, NULL, -EBADMSG},     /* "ab": no colon */
    {"Basic YTpiAA==", NULL, NULL, -EBADMSG}, /* a NUL at the end */
    {"Basic YTp/", NULL, NULL, -EBADMSG},     /* DEL */
    {"Basic YTpi YTpi", NULL, NULL, -EBADMSG},
    {"Basic YTpi,", NULL, NULL, -EBADMSG},
    {"Basic YTp", NULL, NULL, -EBADMSG},
    {"Basic YTo", NULL, NULL, -EBADMSG},
    {"Basic Oh==", NULL, NULL, -EBADMSG}, /* bits of no byte are set */
    {"Basic YTq=", NULL, NULL, -EBADMSG},
    {"Basic Og=g", NULL, NULL, -EBADMSG},
    {"Basic Og==YTpi", NULL, NULL, -EBADMSG},
    {"Basic O===", NULL, NULL, -EBADMSG},
    {"Basic ====", NULL, NULL, -EBADMSG},
    {"Basic YT-_", NULL, NULL, -EBADMSG},
};

Test(auth, decodes_credentials)
{
    struct guard g = guard_new(64);
    gust_http_credentials c;
    char buf[32];

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        size_t len = strlen(values[i].value);
        gust_span value = {guard_put(&g, values[i].value, len), len};
        int r = gust_http_basic_decode(value, buf, sizeof(buf), &c);
        cr_assert_eq(r, values[i].error, "%s: %d", values[i].value, r);
        if (r < 0)
            continue;
        cr_assert(span_is(c.user, values[i].user), "%s", values[i].value);
        cr_assert(span_is(c.password, values[i].password), "%s", values[i].value);
    }
    guard_free(&g);
}

Test(auth, credentials_fit_their_buffer)
{
    gust_span value = {"Basic YTpiYw==", 14};
    gust_http_credentials c;
    char buf[4];

    cr_assert_eq(gust_http_basic_decode(value, buf, 4, &c), 0);
    cr_assert_eq(gust_http_basic_decode(value, buf, 3, &c), -ENOBUFS);
}

static bool equal(const char *a, const char *b)
{
    return gust_http_secret_equal((gust_span){a, strlen(a)}, (gust_span){b, strlen(b)});
}

Test(auth, secrets_are_compared_whole)
{
    cr_assert(equal("", ""));
    cr_assert(equal("secret", "secret"));
    cr_assert_not(equal("secret", "secreT"));
    cr_assert_not(equal("Secret", "secret"));
    cr_assert_not(equal("secretsecret", "secret"));
    cr_assert_not(equal("secret", "secretsecret"));
    cr_assert_not(equal("", "secret"));
    cr_assert_not(equal("secret", ""));
    cr_assert_not(gust_http_secret_equal((gust_span){"", 1}, (gust_span){NULL, 0}));
}

static void answer(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_http_credentials c;
    char buf[32];

    (void)arg;
    int r = gust_http_basic_auth(req, buf, sizeof(buf), &c);
    CHECK(r < 0 || (span_is(c.user, "a") && span_is(c.password, "b")));
    CHECK_EQ(gust_http_status(res, r == -ENOENT ? 401 : r == -EBADMSG ? 400 : 204), 0);
}

#define GET "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
#define CREDENTIALS "Authorization: Basic YTpi\r\n"

static int ask(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = answer});
    expect_reply_start(site_ask(&site, GET CREDENTIALS "\r\n"), "one", "HTTP/1.1 204 ");
    expect_reply_start(site_ask(&site, GET "\r\n"), "none", "HTTP/1.1 401 ");
    expect_reply_start(site_ask(&site, GET CREDENTIALS CREDENTIALS "\r\n"), "two", "HTTP/1.1 400 ");
    site_stop(&site);
    return 0;
}

Test(auth, a_handler_asks_for_credentials)
{
    test_run(ask, NULL);
}
