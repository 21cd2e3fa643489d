/* multipart/form-data.  The input's first byte is the length of the pieces; what follows
 * is a Content-Type up to the first LF, then the body. */
#include "http/multipart.h"
#include "http/syntax.h"
#include "tests/fuzz/targets.h"

struct source {
    gust_span left;
    size_t step;
};

static ssize_t source_read(void *arg, void *buf, size_t len)
{
    struct source *s = arg;
    size_t n = s->left.len < s->step ? s->left.len : s->step;

    EXPECT(len > 0);
    n = n < len ? n : len;
    memcpy(buf, s->left.data, n);
    s->left.data += n;
    s->left.len -= n;
    return (ssize_t)n;
}

struct outcome {
    int result;
    unsigned parts;
    uint64_t sum; /* of all that was read */
};

static void add(struct outcome *o, gust_span s)
{
    for (size_t i = 0; i < s.len; i++)
        o->sum = o->sum * 31 + (uint8_t)s.data[i] + 1;
}

static void read_content(gust_http_multipart *mp, struct outcome *o)
{
    gust_span piece;
    ssize_t n;

    while ((n = gust_http_part_next(mp, &piece)) > 0)
        add(o, piece);
}

static struct outcome read_form(gust_span type, gust_span body, size_t step)
{
    const gust_http_multipart_options options = {.parts_max = 5, .part_header_bytes_max = 300};
    struct source source = {body, step};
    struct outcome o = {0};
    gust_http_multipart *mp;
    gust_http_part part;

    o.result = gust__http_multipart_new(type, &options, source_read, &source, &mp);
    if (o.result < 0)
        return o;
    while ((o.result = gust_http_multipart_next(mp, &part)) > 0) {
        o.parts++;
        add(&o, part.name);
        add(&o, part.filename);
        add(&o, gust_http_part_header(mp, "content-type"));
        EXPECT(!memchr(part.filename.data ? part.filename.data : "", '/', part.filename.len));
        read_content(mp, &o);
    }
    EXPECT(o.parts <= options.parts_max);
    EXPECT(o.result < 0 || source.left.len == 0);
    gust_http_multipart_free(mp);
    return o;
}

void fuzz_multipart(gust_span input)
{
    const char *lf = input.len ? memchr(input.data, '\n', input.len) : NULL;

    if (!lf || lf == input.data)
        return;
    gust_span type = {input.data + 1, (size_t)(lf - input.data) - 1};
    gust_span body = {lf + 1, input.len - type.len - 2};
    if (!gust__http_value_valid(type))
        return;
    struct outcome whole = read_form(type, body, SIZE_MAX);
    struct outcome pieces = read_form(type, body, (size_t)(uint8_t)input.data[0] + 1);
    EXPECT(whole.parts == pieces.parts && whole.result == pieces.result);
    EXPECT(whole.result < 0 || whole.sum == pieces.sum);
}
