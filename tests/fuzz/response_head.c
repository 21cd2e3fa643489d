/* Response heads.  The input is a whole head, and what may follow it. */
#include "http/response_head.h"
#include "tests/fuzz/fields.h"

static const struct response_limits limits = {.bytes_max = 1000, .fields_max = 10};

static void check_head(const struct response_head *h, gust_span input)
{
    EXPECT(h->len <= input.len && h->len <= limits.bytes_max);
    EXPECT(h->status >= 100 && h->status <= 999 && h->minor <= 1);
    EXPECT(!h->chunked || (!h->has_length && h->minor == 1));
    EXPECT(h->reason.at <= h->len && h->reason.len <= h->len - h->reason.at);
    unsigned count = check_fields((gust_span){input.data + h->fields_at, h->len - h->fields_at});
    EXPECT(count == h->fields && count <= limits.fields_max);
}

/* Byte by byte: the same answer, as soon as it can be given. */
static enum response_scan scan_bytes(struct response_head *h, gust_span input)
{
    enum response_scan r = RESPONSE_MORE;

    response_head_init(h);
    for (size_t n = 0; n <= input.len && r == RESPONSE_MORE; n++)
        r = gust__http_response_scan(h, &limits, input.data, n);
    return r;
}

void fuzz_response_head(gust_span input)
{
    struct response_head whole, bytes;

    response_head_init(&whole);
    enum response_scan r = gust__http_response_scan(&whole, &limits, input.data, input.len);
    enum response_scan slow = scan_bytes(&bytes, input);
    EXPECT((r == RESPONSE_COMPLETE) == (slow == RESPONSE_COMPLETE));
    if (r == RESPONSE_COMPLETE) {
        EXPECT(whole.len == bytes.len && whole.content_length == bytes.content_length);
        check_head(&whole, input);
    } else if (r != RESPONSE_MORE) {
        EXPECT(whole.wrong);
    }
}
