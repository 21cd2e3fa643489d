/* Request heads.  The input is a whole head, and what may follow it. */
#include "http/head.h"
#include "tests/fuzz/fields.h"

static const struct head_limits limits = {.line_max = 200, .bytes_max = 1000, .fields_max = 10};

static void check_part(const struct http_head *h, struct head_part part)
{
    EXPECT(part.at <= h->len && part.len <= h->len - part.at);
}

static void check_head(const struct http_head *h, gust_span input)
{
    EXPECT(h->len <= input.len && h->len <= limits.bytes_max);
    check_part(h, h->method);
    check_part(h, h->target);
    check_part(h, h->path);
    check_part(h, h->query);
    check_part(h, h->host);
    EXPECT(!h->chunked || h->content_length == 0);
    unsigned count = check_fields((gust_span){input.data + h->fields_at, h->len - h->fields_at});
    EXPECT(count == h->fields && count <= limits.fields_max);
}

/* Byte by byte: the same answer, as soon as it can be given. */
static int scan_bytes(struct http_head *h, gust_span input)
{
    int status = HEAD_MORE;

    gust__http_head_init(h);
    for (size_t n = 0; n <= input.len && status == HEAD_MORE; n++)
        status = gust__http_head_scan(h, &limits, input.data, n);
    return status;
}

void fuzz_head(gust_span input)
{
    struct http_head whole, bytes;

    gust__http_head_init(&whole);
    int status = gust__http_head_scan(&whole, &limits, input.data, input.len);
    EXPECT(status == HEAD_MORE || status == HEAD_DONE || (status >= 400 && status <= 599));
    int slow = scan_bytes(&bytes, input);
    EXPECT((status == HEAD_DONE) == (slow == HEAD_DONE));
    if (status == HEAD_DONE) {
        EXPECT(whole.len == bytes.len && whole.content_length == bytes.content_length);
        check_head(&whole, input);
    }
}
