/* Accept-Encoding fields.  The first byte says what is offered. */
#include "http/accept_encoding.h"
#include "tests/fuzz/targets.h"

/* Two fields say what one does that has both in it.  Not if the comma may be in a quoted
 * string, which separates nothing. */
static void split_makes_no_difference(gust_span field, const struct http_accept *whole)
{
    const char *comma = memchr(field.data, ',', field.len);
    struct http_accept parts;

    if (!comma || memchr(field.data, '"', (size_t)(comma - field.data)))
        return;
    size_t len = (size_t)(comma - field.data);
    gust__http_accept_init(&parts);
    gust__http_accept_add(&parts, (gust_span){field.data, len});
    gust__http_accept_add(&parts, (gust_span){comma + 1, field.len - len - 1});
    EXPECT(memcmp(&parts, whole, sizeof(parts)) == 0);
}

void fuzz_accept_encoding(gust_span input)
{
    enum http_coding codings[CODINGS];
    struct http_accept accept;
    unsigned seen = 0;

    if (input.len == 0)
        return;
    unsigned offered = (unsigned char)input.data[0] & 7;
    gust_span field = {input.data + 1, input.len - 1};
    gust__http_accept_init(&accept);
    gust__http_accept_add(&accept, field);
    for (int i = 0; i < CODINGS; i++)
        EXPECT(accept.q[i] >= -1 && accept.q[i] <= 1000);
    split_makes_no_difference(field, &accept);
    unsigned count = gust__http_accept_order(&accept, offered, codings);
    EXPECT(count <= CODINGS);
    for (unsigned i = 0; i < count; i++) {
        unsigned bit = 1U << codings[i];
        EXPECT((offered & bit) && !(seen & bit) && accept.q[codings[i]] != 0);
        seen |= bit;
    }
    bool identity = seen & 1U << CODING_IDENTITY;
    EXPECT(!(offered & 1U << CODING_IDENTITY) || identity == gust__http_accept_identity(&accept));
}
