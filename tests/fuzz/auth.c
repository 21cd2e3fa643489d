/* Authorization fields. */
#include "tests/fuzz/targets.h"

#include <gust/http_auth.h>

void fuzz_auth(gust_span input)
{
    gust_http_credentials c;
    size_t room = input.len / 4 * 3;
    char *buf = malloc(room + 1);

    EXPECT(buf);
    int r = gust_http_basic_decode(input, buf, room, &c);
    EXPECT(r == 0 || r == -ENOENT || r == -EBADMSG);
    if (r == 0) {
        EXPECT(!memchr(c.user.data, ':', c.user.len));
        EXPECT(c.user.len + c.password.len < room);
        EXPECT(gust_http_secret_equal(c.user, c.user));
        EXPECT(gust_http_secret_equal(c.user, c.password) == span_same(c.user, c.password));
    }
    free(buf);
}
