/* Byte ranges (RFC 9110, 14.1.2).  Pure. */
#include <gust/http_conditions.h>

#include "http/syntax.h"

/* Takes digits off the start; a number beyond 64 bits is as good as the largest.  False
 * if there is none. */
static bool take_number(gust_span *s, uint64_t *ret_value)
{
    size_t digits = chars_prefix(s->data, s->len, CH_DIGIT);
    uint64_t value = 0;
    bool beyond = false;

    for (size_t i = 0; i < digits && !beyond; i++)
        beyond = __builtin_mul_overflow(value, 10, &value) ||
                 __builtin_add_overflow(value, (uint64_t)(s->data[i] - '0'), &value);
    s->data += digits;
    s->len -= digits;
    *ret_value = beyond ? UINT64_MAX : value;
    return digits > 0;
}

enum range_kind { RANGE_BAD, RANGE_OUTSIDE, RANGE_INSIDE };

/* "-500": the last bytes, all of them if there are fewer. */
static enum range_kind read_suffix(gust_span spec, uint64_t length, gust_http_range *ret_range)
{
    uint64_t count;

    if (!take_number(&spec, &count) || spec.len > 0)
        return RANGE_BAD;
    if (count == 0)
        return RANGE_OUTSIDE;
    count = count < length ? count : length;
    *ret_range = (gust_http_range){length - count, count};
    return RANGE_INSIDE;
}

/* "500-999", "500-" or a suffix. */
static enum range_kind read_range(gust_span spec, uint64_t length, gust_http_range *ret_range)
{
    uint64_t first;
    uint64_t last = UINT64_MAX;
    bool has_first = take_number(&spec, &first);

    if (spec.len == 0 || spec.data[0] != '-')
        return RANGE_BAD;
    spec.data++;
    spec.len--;
    if (!has_first)
        return read_suffix(spec, length, ret_range);
    if (spec.len > 0 && (!take_number(&spec, &last) || spec.len > 0 || last < first))
        return RANGE_BAD;
    if (first >= length)
        return RANGE_OUTSIDE;
    last = last < length ? last : length - 1;
    *ret_range = (gust_http_range){first, last - first + 1};
    return RANGE_INSIDE;
}

/* How many ranges are inside, or -1 to ignore them all; *ret_any is whether there is any. */
static int read_list(gust_span list, uint64_t length, gust_http_range *ranges, unsigned max,
                     bool *ret_any)
{
    unsigned seen = 0;
    unsigned count = 0;
    uint64_t left = length;
    gust_span spec;

    while (gust__http_list_next(&list, &spec)) {
        gust_http_range range;
        enum range_kind kind = read_range(spec, length, &range);
        if (kind == RANGE_BAD || ++seen > max)
            return -1;
        if (kind == RANGE_OUTSIDE)
            continue;
        if (range.len > left)
            return -1;
        left -= range.len;
        ranges[count++] = range;
    }
    *ret_any = seen > 0;
    return (int)count;
}

int gust_http_ranges(gust_span field, uint64_t length, gust_http_range *ret_ranges, unsigned max)
{
    static const char unit[] = "bytes=";
    const size_t unit_len = sizeof(unit) - 1;
    bool any = false;

    if (length == 0 || field.len < unit_len ||
        !gust__http_equals((gust_span){field.data, unit_len}, unit))
        return 0;
    gust_span list = {field.data + unit_len, field.len - unit_len};
    int count = read_list(list, length, ret_ranges, max, &any);
    if (count < 0 || !any)
        return 0;
    return count > 0 ? count : -ERANGE;
}
