/* Bodies that are decompressed on their way. */
#include "tests/http_client/origin.h"

#include <gust/chan.h>
#include <gust/http_compress.h>
#include <gust/http_decode.h>
#include <gust/http_router.h>

#include <stdio.h>

/* --- A server that compresses --------------------------------------------------------- */

#define TEXT_LEN ((size_t)500000)

struct squeezed {
    struct site site;
    gust_http_compress *compress;
    gust_http_router *router;
    gust_http_client *client;
    char *text;
    char url[64];
};

static void send_text(gust_http_request *req, gust_http_response *res, void *arg)
{
    struct squeezed *s = arg;
    (void)req;
    CHECK_EQ(gust_http_header(res, "Content-Type", "text/plain"), 0);
    for (size_t at = 0; at < TEXT_LEN; at += 50000)
        if (gust_http_write(res, s->text + at, 50000) < 0)
            return;
}

static void squeezed_start(struct squeezed *s, const gust_http_compress_options *options)
{
    memset(s, 0, sizeof(*s));
    s->text = malloc(TEXT_LEN);
    for (size_t i = 0; i < TEXT_LEN; i++)
        s->text[i] = (char)(i % 100 < 50 ? 'a' + i % 23 : '0' + i / 100 % 10);
    CHECK_EQ(gust_http_compress_new(options, &s->compress), 0);
    CHECK_EQ(gust_http_router_new(&s->router), 0);
    gust_http_router_use(s->router, gust_http_compress_layer, s->compress);
    CHECK_EQ(gust_http_router_handle(s->router, "/", send_text, s), 0);
    site_start(&s->site,
               &(gust_http_server_options){.handler = gust_http_router_serve, .arg = s->router});
    CHECK_EQ(gust_http_client_new(&(gust_http_client_options){.decoding = gust_http_decoding()},
                                  &s->client),
             0);
    snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%u/", gust_addr_port(&s->site.addr));
}

static void squeezed_stop(struct squeezed *s)
{
    gust_http_client_free(s->client);
    site_stop(&s->site);
    gust_http_router_free(s->router);
    gust_http_compress_free(s->compress);
    free(s->text);
}

/* Asks with a field that turns it off, or without (NULL). */
static void expect_text(struct squeezed *s, const char *field, const char *coding)
{
    gust_http_call *call;
    char *data;
    size_t len;

    CHECK_EQ(gust_http_call_new(s->client, "GET", s->url, &call), 0);
    if (field)
        CHECK_EQ(gust_http_call_header(call, field, field[0] == 'A' ? coding : "bytes=0-"), 0);
    CHECK_EQ(gust_http_call_send(call, NULL, 0), 0);
    CHECK_EQ(gust_http_call_wait(call), 200);
    gust_span got = gust_http_call_response_header(call, "Content-Encoding");
    CHECK(coding[0] ? span_is(got, coding) : !got.data);
    CHECK_EQ(gust_http_call_read_all(call, TEXT_LEN, &data, &len), 0);
    CHECK((len == TEXT_LEN && memcmp(data, s->text, len) == 0) == !(field && coding[0]));
    free(data);
    gust_http_call_free(call);
}

static int codings_main(void *arg)
{
    struct squeezed s;
    gust_http_call *call;
    gust_span piece;
    ssize_t n;
    (void)arg;
    squeezed_start(&s, NULL);
    expect_text(&s, NULL, "br");
    expect_text(&s, "Accept-Encoding", "gzip"); /* asked for by the program: as it was sent */
    expect_text(&s, "Range", "");
    /* The limit is for what the body stands for, which is far longer than what is sent. */
    CHECK_EQ(gust_http_call_new(s.client, "GET", s.url, &call), 0);
    gust_http_call_body_limit(call, TEXT_LEN - 1);
    CHECK_EQ(gust_http_call_send(call, NULL, 0), 0);
    CHECK_EQ(gust_http_call_wait(call), 200);
    CHECK_EQ(gust_http_call_content_length(call), -1);
    while ((n = gust_http_call_next(call, &piece)) > 0)
        continue;
    CHECK_EQ(n, -EMSGSIZE);
    gust_http_call_free(call);
    squeezed_stop(&s);
    squeezed_start(&s, &(gust_http_compress_options){.br_level = -1});
    expect_text(&s, NULL, "gzip");
    squeezed_stop(&s);
    return 0;
}

Test(decode, bodies_are_decoded_if_nobody_else_asked_for_codings, .timeout = TEST_TIMEOUT_S)
{
    cr_assert_eq(gust_run(codings_main, NULL), 0);
}

static void relay_text(gust_http_request *req, gust_http_response *res, void *arg)
{
    struct squeezed *s = arg;
    gust_http_call *call;
    uint64_t copied;
    (void)req;
    CHECK_EQ(gust_http_call_new(s->client, "GET", s->url, &call), 0);
    CHECK_EQ(gust_http_call_send(call, NULL, 0), 0);
    CHECK_EQ(gust_http_call_wait(call), 200);
    CHECK_EQ(gust_http_call_relay(call, res, &copied), 0);
    CHECK_EQ(copied, TEXT_LEN);
    gust_http_call_free(call);
}

static int relay_main(void *arg)
{
    struct squeezed s;
    struct site proxy;
    char url[64], *data;
    size_t len;
    (void)arg;
    squeezed_start(&s, NULL);
    site_start(&proxy, &(gust_http_server_options){.handler = relay_text, .arg = &s});
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", gust_addr_port(&proxy.addr));
    CHECK_EQ(gust_http_get(s.client, url, TEXT_LEN, &data, &len), 200);
    CHECK(len == TEXT_LEN && memcmp(data, s.text, len) == 0);
    free(data);
    gust_http_client_close_idle(s.client);
    site_stop(&proxy);
    squeezed_stop(&s);
    return 0;
}

Test(decode, what_is_relayed_is_decoded, .timeout = TEST_TIMEOUT_S)
{
    cr_assert_eq(gust_run(relay_main, NULL), 0);
}

/* --- What servers may send ---------------------------------------------------------------- */

/* "hello" by gzip -n, as hexadecimal digits; and the same twice. */
#define HELLO_GZIP "1f8b0800000000000003cb48cdc9c9070086a6103605000000"
#define HELLO_BR "0b028068656c6c6f03"

struct sent {
    const char *coding;
    const char *hex;
    const char *body; /* NULL: malformed */
};

static const struct sent sent[] = {
    {"gzip", HELLO_GZIP, "hello"},
    {"x-gzip", HELLO_GZIP, "hello"},
    {"GZIP", HELLO_GZIP HELLO_GZIP, "hellohello"},
    {"br", HELLO_BR, "hello"},
    {"gzip", "", ""},
    {"br", "", ""},
    {"identity", "6162", "ab"},
    {"gzip, br", "6162", "ab"}, /* nobody has asked for that */
    {"gzip", "1f8b0800000000000003cb48cdc9c9070086a61036050000", NULL},
    {"gzip", "1f8b0800000000000003cb48cdc9c9070086a6103605000001", NULL},
    {"gzip", HELLO_GZIP "61", NULL},
    {"gzip", "616263", NULL},
    {"br", "0b028068656c6c", NULL},
    {"br", HELLO_BR "61", NULL},
    {"br", "ffff", NULL},
};

struct sender {
    const struct sent *sent;
    bool by_bytes;
};

static void send_hex(gust_http_request *req, gust_http_response *res, void *arg)
{
    const struct sender *s = arg;
    (void)req;
    CHECK_EQ(gust_http_header(res, "Content-Encoding", s->sent->coding), 0);
    for (const char *at = s->sent->hex; *at; at += 2) {
        const char digits[3] = {at[0], at[1], '\0'};
        char byte = (char)strtoul(digits, NULL, 16);
        CHECK_EQ(gust_http_write(res, &byte, 1), 1);
        if (s->by_bytes)
            CHECK_EQ(gust_http_flush(res), 0);
    }
}

static int sent_main(void *arg)
{
    struct sender *s = arg;
    struct site site;
    gust_http_client *client;
    char url[64], *data;
    size_t len;

    site_start(&site, &(gust_http_server_options){.handler = send_hex, .arg = s});
    CHECK_EQ(gust_http_client_new(&(gust_http_client_options){.decoding = gust_http_decoding()},
                                  &client),
             0);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", gust_addr_port(&site.addr));
    int r = gust_http_get(client, url, 100, &data, &len);
    CHECK_EQ(r, s->sent->body ? 200 : -EBADMSG);
    if (r > 0) {
        CHECK(strcmp(data, s->sent->body) == 0);
        free(data);
    }
    gust_http_client_free(client);
    site_stop(&site);
    return 0;
}

Test(decode, what_is_malformed_is_an_error, .timeout = TEST_TIMEOUT_S)
{
    for (size_t i = 0; i < sizeof(sent) / sizeof(sent[0]); i++) {
        struct sender s = {.sent = &sent[i]};
        cr_assert_eq(gust_run(sent_main, &s), 0);
        s.by_bytes = true;
        cr_assert_eq(gust_run(sent_main, &s), 0);
    }
}

/* --- Who asks ---------------------------------------------------------------------------------- */

static int asked_main(void *arg)
{
    static const struct exchange script[] = {
        {"GET / HTTP/1.1\r\n", OK_BODY("0", ""), LEAVE},
        {"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", OK_BODY("0", ""), LEAVE},
    };
    struct origin o;
    (void)arg;
    ORIGIN_START(&o, script,
                 &(gust_http_client_options){.decoding = gust_http_decoding(),
                                             .idle_max = GUST_HTTP_CLIENT_NO_IDLE});
    expect_get(&o, "/", 200, "");
    gust_http_call *call = ask_for(&o, "HEAD", "/"); /* nothing is added for such calls */
    CHECK_EQ(gust_http_call_wait(call), 200);
    gust_http_call_free(call);
    origin_stop(&o);
    return 0;
}

Test(decode, calls_of_an_origin_ask_for_nothing)
{
    cr_assert_eq(gust_run(asked_main, NULL), 0);
}
