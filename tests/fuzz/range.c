/* Range fields.  The input's first eight bytes are the length of the content. */
#include "tests/fuzz/targets.h"

#include <gust/http_conditions.h>

#define RANGES_MAX 5

void fuzz_range(gust_span input)
{
    gust_http_range ranges[RANGES_MAX];
    uint64_t length;

    if (input.len < sizeof(length))
        return;
    memcpy(&length, input.data, sizeof(length));
    gust_span field = {input.data + sizeof(length), input.len - sizeof(length)};
    int n = gust_http_ranges(field, length, ranges, RANGES_MAX);
    EXPECT(n == -ERANGE || (n >= 0 && n <= RANGES_MAX));
    uint64_t left = length;
    for (int i = 0; i < n; i++) {
        EXPECT(ranges[i].len > 0 && ranges[i].len <= left);
        EXPECT(ranges[i].at <= length - ranges[i].len);
        left -= ranges[i].len;
    }
}
