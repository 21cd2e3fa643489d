/* Compression: which responses, what becomes of their fields, and of their bodies. */
#include "tests/http/files_site.h"

#include <gust/chan.h>
#include <gust/http_compress.h>

#include <brotli/decode.h>
#include <errno.h>
#include <zlib.h>

#define TEXT_MAX ((size_t)4 << 20)

/* --- Decoding ------------------------------------------------------------------- */

/* What it was, or data NULL if it is malformed or not complete. */
static gust_span gunzip(gust_span body, char *buf)
{
    z_stream z = {.next_in = (unsigned char *)body.data,
                  .avail_in = (unsigned)body.len,
                  .next_out = (unsigned char *)buf,
                  .avail_out = TEXT_MAX};

    CHECK_EQ(inflateInit2(&z, 15 + 16), Z_OK);
    int r = inflate(&z, Z_FINISH);
    gust_span text = {r == Z_STREAM_END && z.avail_in == 0 ? buf : NULL, z.total_out};
    inflateEnd(&z);
    return text;
}

static gust_span unbrotli(gust_span body, char *buf)
{
    size_t len = TEXT_MAX;
    bool ok = BrotliDecoderDecompress(body.len, (const uint8_t *)body.data, &len, (uint8_t *)buf) ==
              BROTLI_DECODER_RESULT_SUCCESS;

    return (gust_span){ok ? buf : NULL, len};
}

/* Takes the chunks of a complete body together, in place. */
static gust_span dechunk(gust_span body)
{
    char *to = (char *)body.data;
    const char *at = body.data;
    size_t len;

    do {
        char *end;
        len = strtoul(at, &end, 16);
        CHECK(memcmp(end, "\r\n", 2) == 0);
        memmove(to, end + 2, len);
        to += len;
        at = end + 2 + len + 2;
    } while (len > 0);
    CHECK_EQ(at - body.data, body.len);
    return (gust_span){body.data, (size_t)(to - body.data)};
}

static void expect_text(const struct reply *r, gust_span expected)
{
    char *buf = malloc(TEXT_MAX);
    gust_span body = reply_body(r), coding = reply_field(r, "Content-Encoding");

    CHECK(buf != NULL);
    if (reply_field(r, "Transfer-Encoding").len > 0)
        body = dechunk(body);
    if (span_is(coding, "gzip"))
        body = gunzip(body, buf);
    else if (span_is(coding, "br"))
        body = unbrotli(body, buf);
    CHECK(body.data && body.len == expected.len);
    CHECK(memcmp(body.data, expected.data, body.len) == 0);
    free(buf);
}

/* --- What is answered --------------------------------------------------------------- */

static struct {
    gust_span text;
    int status;
    const char *type;
    const char *field[2]; /* one more */
    bool declared;
    size_t piece; /* how much is written at a time; 0: by gust_http_reply */
    bool flushes;
} scene;

static char text[TEXT_MAX];

/* Text that compresses, though not to nothing. */
static void make_text(size_t len)
{
    unsigned x = 1;

    for (size_t i = 0; i < len; i++) {
        x = x * 1103515245 + 12345;
        text[i] = i % 8 < 5 ? "lorem ip"[i % 8] : (char)('a' + (x >> 16) % 16);
    }
    scene.text = (gust_span){text, len};
}

static void write_text(gust_http_response *res)
{
    for (size_t at = 0; at < scene.text.len; at += scene.piece) {
        size_t left = scene.text.len - at;
        size_t n = left < scene.piece ? left : scene.piece;
        CHECK_EQ(gust_http_write(res, scene.text.data + at, n), n);
        if (scene.flushes)
            CHECK_EQ(gust_http_flush(res), 0);
    }
}

static void handle(gust_http_request *req, gust_http_response *res, void *arg)
{
    char length[32];
    (void)req;
    (void)arg;
    if (scene.field[0])
        CHECK_EQ(gust_http_header(res, scene.field[0], scene.field[1]), 0);
    if (scene.piece == 0) {
        gust_http_reply(res, scene.status, scene.type, scene.text.data, scene.text.len);
        return;
    }
    CHECK_EQ(gust_http_status(res, scene.status), 0);
    if (scene.type)
        CHECK_EQ(gust_http_header(res, "Content-Type", scene.type), 0);
    snprintf(length, sizeof(length), "%zu", scene.text.len);
    if (scene.declared)
        CHECK_EQ(gust_http_header(res, "Content-Length", length), 0);
    write_text(res);
}

static void reset_scene(size_t len)
{
    memset(&scene, 0, sizeof(scene));
    scene.status = 200;
    scene.type = "text/plain";
    make_text(len);
}

struct compress_site {
    struct site site;
    gust_http_compress *compress;
    gust_http_layer layer;
    gust_http_chain chain;
};

static void start_with(struct compress_site *s, const gust_http_compress_options *options,
                       gust_http_handler *handler, void *arg)
{
    CHECK_EQ(gust_http_compress_new(options, &s->compress), 0);
    s->layer = (gust_http_layer){gust_http_compress_layer, s->compress};
    s->chain = (gust_http_chain){&s->layer, 1, handler, arg};
    site_start(&s->site,
               &(gust_http_server_options){.handler = gust_http_chain_serve, .arg = &s->chain});
}

static void start(struct compress_site *s)
{
    start_with(s, NULL, handle, NULL);
}

static void stop(struct compress_site *s)
{
    site_stop(&s->site);
    gust_http_compress_free(s->compress);
}

static struct reply get(const struct compress_site *s, const char *accepts)
{
    char fields[128];

    snprintf(fields, sizeof(fields), "Accept-Encoding: %s\r\n", accepts);
    return site_request(&s->site, "GET", "/", fields);
}

/* A test in a goroutine of its own, without files. */
#define CompressTest(name)                          \
    static void name##_inner(void);                 \
    static int name##_main(void *arg)               \
    {                                               \
        (void)arg;                                  \
        name##_inner();                             \
        return 0;                                   \
    }                                               \
    Test(compress, name, .timeout = TEST_TIMEOUT_S) \
    {                                               \
        test_run_without_leaks(name##_main, NULL);  \
    }                                               \
    static void name##_inner(void)

static void expect_coding(const struct compress_site *s, const char *accepts, const char *coding,
                          const char *vary)
{
    struct reply r = get(s, accepts);

    if (!span_is(reply_field(&r, "Content-Encoding"), coding) ||
        !span_is(reply_field(&r, "Vary"), vary))
        gust_panic("%s: got\n%s\ninstead of %s", accepts, r.text, coding);
    CHECK_EQ(reply_status(&r), scene.status);
    expect_text(&r, scene.text);
    free(r.text);
}

#define VARY "Accept-Encoding"

/* --- Which --------------------------------------------------------------------------- */

CompressTest(the_client_says_which_coding)
{
    struct compress_site s;

    reset_scene(5000);
    start(&s);
    expect_coding(&s, "gzip, br", "br", VARY);
    expect_coding(&s, "gzip", "gzip", VARY);
    expect_coding(&s, "gzip, br;q=0.1", "gzip", VARY);
    expect_coding(&s, "*", "br", VARY);
    expect_coding(&s, "br;q=0, *;q=0.5", "gzip", VARY);
    expect_coding(&s, "", "", VARY);
    expect_coding(&s, "deflate, zstd", "", VARY);
    expect_coding(&s, "identity, gzip;q=0.5", "", VARY);
    expect_coding(&s, "identity;q=0, *;q=0", "", VARY);
    stop(&s);
}

CompressTest(levels_turn_codings_off)
{
    struct compress_site s;

    reset_scene(5000);
    start_with(&s, &(gust_http_compress_options){.br_level = -1}, handle, NULL);
    expect_coding(&s, "gzip, br", "gzip", VARY);
    stop(&s);
    start_with(&s, &(gust_http_compress_options){.gzip_level = -1}, handle, NULL);
    expect_coding(&s, "gzip", "", VARY);
    expect_coding(&s, "gzip, br", "br", VARY);
    stop(&s);
}

CompressTest(types_that_are_worth_it)
{
    static const char *const mine[] = {"application/x-mine", "audio/"};
    struct compress_site s;

    reset_scene(5000);
    start(&s);
    scene.type = "application/json; charset=utf-8";
    expect_coding(&s, "gzip", "gzip", VARY);
    scene.type = "image/png";
    expect_coding(&s, "gzip", "", "");
    scene.type = NULL;
    expect_coding(&s, "gzip", "", "");
    stop(&s);
    start_with(&s, &(gust_http_compress_options){.types = mine, .type_count = 2}, handle, NULL);
    scene.type = "Application/X-Mine; a=b";
    expect_coding(&s, "gzip", "gzip", VARY);
    scene.type = "audio/any";
    expect_coding(&s, "gzip", "gzip", VARY);
    scene.type = "application/x-mine2";
    expect_coding(&s, "gzip", "", "");
    scene.type = "text/plain";
    expect_coding(&s, "gzip", "", "");
    stop(&s);
}

/* At the limit and one below it, known in every way. */
static void check_lengths(const struct compress_site *s, size_t min)
{
    make_text(min);
    expect_coding(s, "gzip", "gzip", VARY);
    make_text(min - 1);
    expect_coding(s, "gzip", "", "");
    expect_coding(s, "gzip, identity;q=0", "gzip", VARY);
}

CompressTest(short_bodies_are_sent_as_they_are)
{
    struct compress_site s;

    reset_scene(0);
    start(&s);
    expect_coding(&s, "gzip", "", "");
    expect_coding(&s, "gzip, identity;q=0", "", VARY); /* of nothing there is no coding */
    check_lengths(&s, GUST_HTTP_COMPRESS_LENGTH_MIN);
    scene.piece = 100;
    check_lengths(&s, GUST_HTTP_COMPRESS_LENGTH_MIN);
    scene.declared = true;
    check_lengths(&s, GUST_HTTP_COMPRESS_LENGTH_MIN);
    stop(&s);
    start_with(&s, &(gust_http_compress_options){.length_min = 5000}, handle, NULL);
    check_lengths(&s, 5000);
    stop(&s);
}

static void expect_untouched(const struct compress_site *s, int status, const char *name,
                             const char *value)
{
    scene.status = status;
    scene.field[0] = name;
    scene.field[1] = value;
    struct reply r = get(s, "gzip, br");
    gust_span coding = reply_field(&r, "Content-Encoding");
    CHECK(coding.len == 0 || span_is(coding, value));
    CHECK_EQ(reply_body(&r).len, scene.text.len);
    CHECK_EQ(reply_field(&r, "Vary").len, 0);
    free(r.text);
}

CompressTest(some_responses_must_not_be_changed)
{
    struct compress_site s;

    reset_scene(5000);
    start(&s);
    expect_untouched(&s, 200, "Content-Encoding", "zstd");
    expect_untouched(&s, 200, "Content-Range", "bytes 0-4999/9999");
    expect_untouched(&s, 206, NULL, NULL);
    expect_untouched(&s, 200, "Cache-Control", "max-age=1 , No-Transform");
    scene.text.len = 0;
    expect_untouched(&s, 204, NULL, NULL);
    expect_untouched(&s, 304, NULL, NULL);
    stop(&s);
}

CompressTest(what_only_looks_like_no_transform_is_none)
{
    struct compress_site s;

    reset_scene(5000);
    start(&s);
    scene.field[0] = "Cache-Control";
    scene.field[1] = "no-transforms, x-no-transform";
    expect_coding(&s, "gzip", "gzip", VARY);
    scene.field[1] = "private=\"a, no-transform\"";
    expect_coding(&s, "gzip", "gzip", VARY);
    stop(&s);
}

CompressTest(errors_are_compressed_as_well)
{
    struct compress_site s;

    reset_scene(5000);
    scene.status = 404;
    start(&s);
    expect_coding(&s, "gzip", "gzip", VARY);
    stop(&s);
}

/* --- Fields ------------------------------------------------------------------------------ */

static void expect_field(const struct compress_site *s, const char *name, const char *given,
                         const char *sent)
{
    scene.field[0] = name;
    scene.field[1] = given;
    struct reply r = get(s, "gzip");
    if (!span_is(reply_field(&r, name), sent))
        gust_panic("%s: got\n%.500s\ninstead of %s", name, r.text, sent);
    expect_text(&r, scene.text);
    free(r.text);
}

CompressTest(fields_that_were_of_the_plain_body_change)
{
    struct compress_site s;

    reset_scene(5000);
    start(&s);
    expect_field(&s, "ETag", "\"x\"", "W/\"x\"");
    expect_field(&s, "ETag", "W/\"x\"", "W/\"x\"");
    expect_field(&s, "Accept-Ranges", "bytes", "");
    expect_field(&s, "Vary", "Cookie", "Cookie");
    expect_field(&s, "Vary", "Cookie, accept-encoding", "Cookie, accept-encoding");
    expect_field(&s, "Vary", "*", "*");
    scene.field[1] = "Cookie";
    struct reply r = get(&s, "gzip");
    CHECK(strstr(r.text, "\r\nVary: Cookie\r\n") && strstr(r.text, "\r\nVary: " VARY "\r\n"));
    free(r.text);
    scene.field[1] = "accept-encoding";
    r = get(&s, "gzip");
    CHECK(!strstr(r.text, "\r\nVary: " VARY "\r\n"));
    free(r.text);
    stop(&s);
}

CompressTest(a_body_that_is_there_whole_has_a_length)
{
    struct compress_site s;

    reset_scene(2000); /* less than is collected */
    start(&s);
    struct reply r = get(&s, "gzip");
    CHECK_EQ(strtoul(reply_field(&r, "Content-Length").data, NULL, 10), reply_body(&r).len);
    CHECK(reply_body(&r).len < 2000);
    expect_text(&r, scene.text);
    free(r.text);
    make_text(50000);
    r = get(&s, "gzip");
    CHECK_EQ(reply_field(&r, "Content-Length").len, 0);
    CHECK(span_is(reply_field(&r, "Transfer-Encoding"), "chunked"));
    free(r.text);
    stop(&s);
}

CompressTest(head_is_answered_as_get)
{
    static const size_t lengths[] = {10, 2000, 50000};
    struct compress_site s;

    reset_scene(0);
    start(&s);
    for (size_t i = 0; i < 3; i++) {
        make_text(lengths[i]);
        struct reply got = get(&s, "gzip");
        struct reply head = site_request(&s.site, "HEAD", "/", "Accept-Encoding: gzip\r\n");
        CHECK_EQ(head.len, reply_head(&got));
        CHECK(memcmp(head.text, got.text, head.len) == 0);
        free(got.text);
        free(head.text);
    }
    stop(&s);
}

CompressTest(old_clients_get_the_end_by_the_close)
{
    struct compress_site s;

    reset_scene(50000);
    start(&s);
    struct reply r = site_ask(&s.site, "GET / HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n");
    CHECK(span_is(reply_field(&r, "Content-Encoding"), "gzip"));
    CHECK_EQ(reply_field(&r, "Transfer-Encoding").len, 0);
    expect_text(&r, scene.text);
    free(r.text);
    stop(&s);
}

/* --- Bodies ------------------------------------------------------------------------------ */

CompressTest(bodies_arrive_whole_in_whatever_pieces)
{
    static const size_t lengths[] = {2047,  2048,  2049,    16384,   65535,
                                     65536, 65537, 1 << 20, TEXT_MAX};
    struct compress_site s;

    reset_scene(0);
    start(&s);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        make_text(lengths[i]);
        scene.piece = 0;
        expect_coding(&s, "gzip", "gzip", VARY);
        expect_coding(&s, "br", "br", VARY);
        scene.piece = lengths[i] / 7;
        scene.declared = i % 2;
        expect_coding(&s, "gzip", "gzip", VARY);
        expect_coding(&s, "br", "br", VARY);
    }
    stop(&s);
}

CompressTest(what_does_not_compress_arrives_too)
{
    struct compress_site s;
    unsigned x = 1;

    reset_scene(0);
    for (size_t i = 0; i < 200000; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        text[i] = (char)x;
    }
    scene.text.len = 200000;
    start(&s);
    expect_coding(&s, "gzip", "gzip", VARY);
    expect_coding(&s, "br", "br", VARY);
    stop(&s);
}

CompressTest(encoders_keep_their_bounds_at_every_level)
{
    struct compress_site s;

    reset_scene(TEXT_MAX);
    for (int level = 1; level <= 9; level++) {
        start_with(&s, &(gust_http_compress_options){.gzip_level = level, .br_level = level},
                   handle, NULL);
        expect_coding(&s, "gzip", "gzip", VARY);
        expect_coding(&s, "br", "br", VARY);
        stop(&s);
    }
}

/* --- Flushing ---------------------------------------------------------------------------- */

/* The handler goes on only when the client has got, and decoded, what came before. */
static struct {
    gust_chan *next;
} steps;

#define STEP "a piece of text that is flushed; "

static void step_by_step(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    CHECK_EQ(gust_http_header(res, "Content-Type", "text/event-stream"), 0);
    CHECK_EQ(gust_http_flush(res), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(gust_chan_recv(steps.next, NULL, gust_after(SITE_WAIT_NS)), 1);
        CHECK_EQ(gust_http_write(res, STEP, sizeof(STEP) - 1), sizeof(STEP) - 1);
        CHECK_EQ(gust_http_flush(res), 0);
    }
}

/* How much of the text can be decoded from the chunks that are there. */
static size_t decoded_so_far(gust_span view, bool gzip)
{
    static char buf[4096], body[4096];
    const char *at = (const char *)memmem(view.data, view.len, "\r\n\r\n", 4) + 4;
    size_t len = 0, left = sizeof(buf);

    while (at < view.data + view.len) {
        char *end;
        size_t n = strtoul(at, &end, 16);
        if (n == 0 || end + 2 + n + 2 > view.data + view.len)
            break;
        memcpy(body + len, end + 2, n);
        len += n;
        at = end + 2 + n + 2;
    }
    if (gzip) {
        z_stream z = {.next_in = (unsigned char *)body,
                      .avail_in = (unsigned)len,
                      .next_out = (unsigned char *)buf,
                      .avail_out = sizeof(buf)};
        CHECK_EQ(inflateInit2(&z, 15 + 16), Z_OK);
        (void)inflate(&z, Z_SYNC_FLUSH);
        inflateEnd(&z);
        return z.total_out;
    }
    BrotliDecoderState *d = BrotliDecoderCreateInstance(NULL, NULL, NULL);
    const uint8_t *in = (const uint8_t *)body;
    uint8_t *out = (uint8_t *)buf;
    (void)BrotliDecoderDecompressStream(d, &len, &in, &left, &out, NULL);
    BrotliDecoderDestroyInstance(d);
    return sizeof(buf) - left;
}

static void expect_flushes(const char *coding, bool gzip)
{
    struct compress_site s;
    char request[128];

    CHECK_EQ(gust_chan_new(0, 0, &steps.next), 0);
    start_with(&s, NULL, step_by_step, NULL);
    gust_conn *c = site_dial(&s.site);
    snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: %s\r\n\r\n",
             coding);
    client_send(c, request);
    while (!memmem(gust_conn_view(c).data, gust_conn_view(c).len, "\r\n\r\n", 4))
        CHECK(gust_conn_fill(c, 4096, gust_after(SITE_WAIT_NS)) > 0);
    for (size_t i = 1; i <= 3; i++) {
        CHECK_EQ(gust_chan_send(steps.next, NULL, gust_after(SITE_WAIT_NS)), 0);
        while (decoded_so_far(gust_conn_view(c), gzip) < i * (sizeof(STEP) - 1))
            CHECK(gust_conn_fill(c, 4096, gust_after(SITE_WAIT_NS)) > 0);
    }
    client_close(c);
    stop(&s);
    gust_chan_unref(steps.next);
}

CompressTest(what_is_flushed_reaches_the_client)
{
    expect_flushes("gzip", true);
    expect_flushes("br", false);
}

CompressTest(flushing_all_the_time_loses_nothing)
{
    struct compress_site s;

    reset_scene(20000);
    scene.piece = 77;
    scene.flushes = true;
    start(&s);
    expect_coding(&s, "gzip", "gzip", VARY);
    expect_coding(&s, "br", "br", VARY);
    stop(&s);
}

/* --- Others in the same connection --------------------------------------------------------- */

static void write_short(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    gust_http_header(res, "Content-Type", "text/plain");
    gust_http_header(res, "Content-Length", "5000");
    CHECK_EQ(gust_http_write(res, scene.text.data, 3000), 3000);
    CHECK_EQ(gust_http_write(res, scene.text.data, 3000), -EMSGSIZE);
}

/* Nobody must take it for complete. */
CompressTest(a_body_left_short_is_cut_off)
{
    struct compress_site s;

    reset_scene(5000);
    start_with(&s, NULL, write_short, NULL);
    struct reply r = get(&s, "gzip");
    CHECK(span_is(reply_field(&r, "Content-Encoding"), "gzip"));
    CHECK(r.len < 5 || memcmp(r.text + r.len - 5, "0\r\n\r\n", 5) != 0);
    free(r.text);
    stop(&s);
}

static void panics_half_way(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    gust_http_header(res, "Content-Type", "text/plain");
    gust_http_write(res, scene.text.data, scene.text.len);
    gust_panic("half way");
}

static void no_log(const char *line)
{
    (void)line;
}

CompressTest(a_panic_leaks_no_encoder)
{
    struct compress_site s;

    gust_set_log(no_log);
    reset_scene(5000);
    start_with(&s, NULL, panics_half_way, NULL);
    for (int i = 0; i < 3; i++) {
        struct reply r = get(&s, i ? "gzip" : "br");
        CHECK(memcmp(r.text + r.len - 5, "0\r\n\r\n", 5) != 0);
        free(r.text);
    }
    stop(&s);
    gust_set_log(NULL);
}

static void replies_in_turn(gust_http_request *req, gust_http_response *res, void *arg)
{
    bool text_wanted = span_is(gust_http_request_path(req), "/text");
    (void)arg;
    gust_http_reply(res, 200, text_wanted ? "text/plain" : "image/png", scene.text.data, 1500);
}

CompressTest(pipelined_responses_are_each_their_own)
{
    struct compress_site s;
    static const char request[] = "GET /text HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n"
                                  "GET /png HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n"
                                  "GET /text HTTP/1.1\r\nHost: x\r\n\r\n"
                                  "GET /text HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n";
    static const char *const codings[] = {"gzip", "", "", "gzip"};

    reset_scene(1500);
    start_with(&s, NULL, replies_in_turn, NULL);
    gust_conn *c = site_dial(&s.site);
    client_send(c, request);
    for (size_t i = 0; i < 4; i++) {
        struct reply r = client_read_reply(c);
        CHECK(span_is(reply_field(&r, "Content-Encoding"), codings[i]));
        expect_text(&r, scene.text);
        free(r.text);
    }
    client_close(c);
    stop(&s);
}

CompressTest(of_two_layers_one_compresses)
{
    gust_http_compress *inner;
    struct compress_site s;

    reset_scene(5000);
    CHECK_EQ(gust_http_compress_new(&(gust_http_compress_options){.gzip_level = -1}, &inner), 0);
    const gust_http_layer layer = {gust_http_compress_layer, inner};
    gust_http_chain chain = {&layer, 1, handle, NULL};
    start_with(&s, NULL, gust_http_chain_serve, &chain);
    expect_coding(&s, "gzip", "gzip", VARY);
    stop(&s);
    gust_http_compress_free(inner);
}

/* --- Files --------------------------------------------------------------------------------- */

FilesTest(compress, files_are_compressed_unless_a_part_is_wanted)
{
    gust_http_files *files;
    struct compress_site s;

    reset_scene(300000);
    tree_write_bytes("large.txt", text, 300000);
    tree_write_bytes("small.txt", text, 3000);
    CHECK_EQ(gust_http_files_new(&(gust_http_files_options){.root = tree}, &files), 0);
    start_with(&s, NULL, gust_http_files_serve, files);
    struct reply r = site_request(&s.site, "GET", "/large.txt", "Accept-Encoding: br\r\n");
    CHECK(span_is(reply_field(&r, "Content-Encoding"), "br"));
    CHECK_EQ(reply_field(&r, "Accept-Ranges").len, 0);
    CHECK(memcmp(reply_field(&r, "ETag").data, "W/\"", 3) == 0);
    expect_text(&r, scene.text);
    free(r.text);
    r = site_request(&s.site, "GET", "/small.txt", "Accept-Encoding: gzip\r\n");
    CHECK(span_is(reply_field(&r, "Content-Encoding"), "gzip"));
    CHECK(reply_field(&r, "Content-Length").len > 0);
    expect_text(&r, (gust_span){text, 3000});
    free(r.text);
    r = site_request(&s.site, "GET", "/large.txt",
                     "Accept-Encoding: gzip\r\nRange: bytes=0-9999\r\n");
    CHECK_EQ(reply_field(&r, "Content-Encoding").len, 0);
    CHECK_EQ(reply_status(&r), 206);
    expect_text(&r, (gust_span){text, 10000});
    free(r.text);
    r = site_request(&s.site, "HEAD", "/large.txt", "Accept-Encoding: br\r\n");
    CHECK(span_is(reply_field(&r, "Content-Encoding"), "br"));
    CHECK_EQ(reply_field(&r, "Content-Length").len, 0);
    free(r.text);
    stop(&s);
    gust_http_files_free(files);
}

/* --- Options ------------------------------------------------------------------------------- */

static int make_with(int gzip_level, int br_level)
{
    gust_http_compress *c = NULL;
    int r = gust_http_compress_new(
        &(gust_http_compress_options){.gzip_level = gzip_level, .br_level = br_level}, &c);

    CHECK_EQ(c != NULL, r == 0);
    gust_http_compress_free(c);
    return r;
}

CompressTest(levels_have_bounds)
{
    CHECK_EQ(make_with(9, 9), 0);
    CHECK_EQ(make_with(-1, -1), 0);
    CHECK_EQ(make_with(10, 1), -EINVAL);
    CHECK_EQ(make_with(-2, 1), -EINVAL);
    CHECK_EQ(make_with(1, 10), -EINVAL);
    CHECK_EQ(make_with(1, -2), -EINVAL);
}
