/* Chunked bodies.  The input's first byte is the length of the pieces. */
#include "http/chunked.h"
#include "tests/fuzz/targets.h"

struct decoded {
    uint64_t sum; /* of the data */
    uint64_t len;
    size_t used;
    enum chunk_next end;
};

static void take(struct decoded *d, struct chunked *c, gust_span data)
{
    size_t n = data.len < c->left ? data.len : (size_t)c->left;

    EXPECT(n > 0);
    for (size_t i = 0; i < n; i++)
        d->sum = d->sum * 31 + (uint8_t)data.data[i];
    d->len += n;
    d->used += n;
    c->left -= n;
}

static struct decoded decode(gust_span body, size_t step)
{
    struct chunked c = {0};
    struct decoded d = {0};
    size_t have = step < body.len ? step : body.len;

    for (;;) {
        size_t skip;
        gust_span view = {body.data + d.used, have - d.used};
        d.end = gust__chunked_next(&c, view.data, view.len, &skip);
        EXPECT(skip <= view.len);
        d.used += skip;
        if (d.end == CHUNK_NEXT_DATA)
            take(&d, &c, (gust_span){view.data + skip, view.len - skip});
        else if (d.end == CHUNK_NEXT_MORE && have < body.len)
            have = body.len - have < step ? body.len : have + step;
        else
            break;
    }
    EXPECT(d.len <= c.announced);
    return d;
}

void fuzz_chunked(gust_span input)
{
    if (input.len == 0)
        return;
    gust_span body = {input.data + 1, input.len - 1};
    struct decoded whole = decode(body, body.len);
    struct decoded pieces = decode(body, (size_t)(uint8_t)input.data[0] + 1);
    EXPECT(whole.end == pieces.end && whole.len == pieces.len && whole.sum == pieces.sum);
    EXPECT(whole.end != CHUNK_NEXT_TRAILERS || whole.used == pieces.used);
}
