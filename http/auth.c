/* Basic authentication. */
#include <gust/http_auth.h>

#include "http/syntax.h"

#include <string.h>

/* --- Base64 --------------------------------------------------------------- */

static int digit_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Reads four digits, the last `padding` of which are '='; -1 if they are malformed.  Bits
 * that no byte holds must be zero (RFC 4648, 3.5). */
static int32_t read_group(const char *p, size_t padding)
{
    int32_t group = 0;

    for (size_t i = 0; i < 4; i++) {
        int value = i < 4 - padding ? digit_value(p[i]) : 0;
        if (value < 0)
            return -1;
        group = group << 6 | value;
    }
    return group & ((1 << 8 * padding) - 1) ? -1 : group;
}

static size_t count_padding(gust_span s)
{
    size_t n = 0;

    while (n < 2 && n < s.len && s.data[s.len - 1 - n] == '=')
        n++;
    return n;
}

static ssize_t base64_decode(gust_span s, char *buf, size_t size)
{
    size_t padding = count_padding(s);
    size_t len = s.len / 4 * 3 - padding;

    if (s.len == 0 || s.len % 4 != 0)
        return -EBADMSG;
    if (len > size)
        return -ENOBUFS;
    for (size_t in = 0, out = 0; in < s.len; in += 4) {
        int32_t group = read_group(s.data + in, in + 4 == s.len ? padding : 0);
        if (group < 0)
            return -EBADMSG;
        for (int shift = 16; shift >= 0 && out < len; shift -= 8)
            buf[out++] = (char)(group >> shift);
    }
    return (ssize_t)len;
}

/* --- Credentials ---------------------------------------------------------- */

static bool has_control(gust_span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((uint8_t)s.data[i] < ' ' || s.data[i] == 0x7f)
            return true;
    return false;
}

int gust_http_basic_decode(gust_span value, char *buf, size_t size,
                           gust_http_credentials *ret_credentials)
{
    size_t scheme = chars_prefix(value.data, value.len, CH_TOKEN);

    if (!gust__http_equals((gust_span){value.data, scheme}, "basic"))
        return -ENOENT;
    size_t at = scheme;
    while (at < value.len && value.data[at] == ' ')
        at++;
    if (at == scheme)
        return -EBADMSG;
    ssize_t n = base64_decode((gust_span){value.data + at, value.len - at}, buf, size);
    if (n < 0)
        return (int)n;
    const char *colon = memchr(buf, ':', (size_t)n);
    if (!colon || has_control((gust_span){buf, (size_t)n}))
        return -EBADMSG;
    size_t user = (size_t)(colon - buf);
    *ret_credentials = (gust_http_credentials){{buf, user}, {colon + 1, (size_t)n - user - 1}};
    return 0;
}

int gust_http_basic_auth(const gust_http_request *req, char *buf, size_t size,
                         gust_http_credentials *ret_credentials)
{
    gust_span value = {NULL, 0};
    gust_http_field field;
    size_t cursor = 0;

    while (gust_http_request_fields(req, &cursor, &field)) {
        if (!gust__http_equals(field.name, "authorization"))
            continue;
        if (value.data)
            return -EBADMSG;
        value = field.value;
    }
    if (!value.data)
        return -ENOENT;
    return gust_http_basic_decode(value, buf, size, ret_credentials);
}

bool gust_http_secret_equal(gust_span given, gust_span expected)
{
    /* Volatile: the compiler may not see that the answer is known earlier. */
    volatile uint8_t difference = given.len != expected.len;

    for (size_t i = 0; i < given.len; i++) {
        char other = expected.len ? expected.data[i % expected.len] : 0;
        difference = difference | (uint8_t)(given.data[i] ^ other);
    }
    return difference == 0;
}
