/* The grammar of HTTP/1.1 at the level of bytes, lines and fields. */
#include "http/syntax.h"

#include <string.h>

#define ANY (CH_TOKEN | CH_VALUE | CH_TARGET)
#define NAME (ANY | CH_HOST)
#define PLAIN (CH_VALUE | CH_TARGET)

/* RFC 9110, 5.6.2 (tchar) and 5.5 (field-vchar); RFC 3986, 3.2.2 (host). */
const uint8_t gust__http_chars[256] = {
    ['\t'] = CH_VALUE,
    [' '] = CH_VALUE,
    ['!'] = NAME,
    ['"'] = PLAIN,
    ['#'] = CH_TOKEN | CH_VALUE,
    ['$'] = NAME,
    ['%'] = NAME,
    ['&'] = NAME,
    ['\''] = NAME,
    ['('] = PLAIN | CH_HOST,
    [')'] = PLAIN | CH_HOST,
    ['*'] = NAME,
    ['+'] = NAME,
    [','] = PLAIN | CH_HOST,
    ['-'] = NAME,
    ['.'] = NAME | CH_IPV6,
    ['/'] = PLAIN,
    ['0' ... '9'] = NAME | CH_IPV6 | CH_DIGIT,
    [':'] = PLAIN | CH_IPV6,
    [';'] = PLAIN | CH_HOST,
    ['<'] = PLAIN,
    ['='] = PLAIN | CH_HOST,
    ['>'] = PLAIN,
    ['?'] = PLAIN,
    ['@'] = PLAIN,
    ['A' ... 'F'] = NAME | CH_IPV6,
    ['G' ... 'Z'] = NAME,
    ['['] = PLAIN,
    ['\\'] = PLAIN,
    [']'] = PLAIN,
    ['^'] = ANY,
    ['_'] = NAME,
    ['`'] = ANY,
    ['a' ... 'f'] = NAME | CH_IPV6,
    ['g' ... 'z'] = NAME,
    ['{'] = PLAIN,
    ['|'] = ANY,
    ['}'] = PLAIN,
    ['~'] = NAME,
    [0x80 ... 0xff] = CH_VALUE,
};

static char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool gust__http_same_name(gust_span s, const char *name, size_t len)
{
    if (s.len != len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (ascii_lower(s.data[i]) != ascii_lower(name[i]))
            return false;
    return true;
}

bool gust__http_equals(gust_span s, const char *lower)
{
    return gust__http_same_name(s, lower, strlen(lower));
}

bool gust__http_number(gust_span s, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (s.len == 0 || chars_prefix(s.data, s.len, CH_DIGIT) != s.len)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        uint64_t digit = (uint64_t)(s.data[i] - '0');
        if (value > (INT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *ret_value = value;
    return true;
}

bool gust__http_host_valid(gust_span s)
{
    size_t at;

    if (s.len > 0 && s.data[0] == '[') {
        size_t inside = chars_prefix(s.data + 1, s.len - 1, CH_IPV6);
        at = 1 + inside;
        if (inside == 0 || at == s.len || s.data[at] != ']')
            return false;
        at++;
    } else {
        at = chars_prefix(s.data, s.len, CH_HOST);
    }
    if (at < s.len && at > 0 && s.data[at] == ':')
        at += 1 + chars_prefix(s.data + at + 1, s.len - at - 1, CH_DIGIT);
    return at == s.len;
}

gust_span gust__http_host_name(gust_span host)
{
    const char *bracket = host.len > 0 ? memchr(host.data, ']', host.len) : NULL;
    size_t at = bracket ? (size_t)(bracket - host.data) : 0;

    while (at < host.len && host.data[at] != ':')
        at++;
    return (gust_span){host.data, at};
}

void gust__http_lower(gust_span s, char *ret_lower)
{
    for (size_t i = 0; i < s.len; i++)
        ret_lower[i] = ascii_lower(s.data[i]);
}

bool gust__http_field_valid(gust_span name, gust_span value)
{
    return name.len > 0 && chars_prefix(name.data, name.len, CH_TOKEN) == name.len &&
           gust__http_value_valid(value);
}

bool gust__http_field_frames(gust_span name)
{
    return gust__http_equals(name, "content-length") ||
           gust__http_equals(name, "transfer-encoding") || gust__http_equals(name, "trailer") ||
           gust__http_equals(name, "connection") || gust__http_equals(name, "host");
}

gust_span gust__http_trim(const char *p, size_t n)
{
    while (n > 0 && (*p == ' ' || *p == '\t')) {
        p++;
        n--;
    }
    while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'))
        n--;
    return (gust_span){p, n};
}

/* Up to a comma that stands in no quoted string (RFC 9110, 5.6.4). */
static size_t element_len(gust_span list)
{
    bool quoted = false;
    size_t i = 0;

    for (; i < list.len && (quoted || list.data[i] != ','); i++) {
        if (list.data[i] == '"')
            quoted = !quoted;
        else if (quoted && list.data[i] == '\\' && i + 1 < list.len)
            i++;
    }
    return i;
}

bool gust__http_list_next(gust_span *list, gust_span *ret_element)
{
    while (list->len > 0) {
        size_t len = element_len(*list);
        gust_span element = gust__http_trim(list->data, len);
        len += len < list->len; /* the comma */
        *list = (gust_span){list->data + len, list->len - len};
        if (element.len > 0) {
            *ret_element = element;
            return true;
        }
    }
    return false;
}

bool gust__http_list_has(gust_span list, const char *name, size_t len)
{
    gust_span element;

    while (gust__http_list_next(&list, &element))
        if (gust__http_same_name(element, name, len))
            return true;
    return false;
}

/* True if some byte of the word may be a control byte or DEL: a borrow can make
 * it say so wrongly, never the other way round. */
static bool word_has_control(uint64_t word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t del = word ^ (ones * 0x7f);

    return (((word - ones * 0x20) & ~word) | ((del - ones) & ~del)) & (ones * 0x80);
}

static bool word_is_valid(const char *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof(word));
    return !word_has_control(word) || chars_prefix(p, sizeof(word), CH_VALUE) == sizeof(word);
}

/* Most of a header is values, so they are looked at eight bytes at a time; the last eight
 * may have been looked at before. */
bool gust__http_value_valid(gust_span s)
{
    const size_t width = sizeof(uint64_t);

    if (s.len < width)
        return chars_prefix(s.data, s.len, CH_VALUE) == s.len;
    for (size_t at = 0; at + width < s.len; at += width)
        if (!word_is_valid(s.data + at))
            return false;
    return word_is_valid(s.data + s.len - width);
}

bool gust__http_field_split(const char *line, size_t len, gust_http_field *ret_field)
{
    size_t name = chars_prefix(line, len, CH_TOKEN);

    if (name == 0 || name == len || line[name] != ':')
        return false;
    gust_span value = {line + name + 1, len - name - 1};
    if (!gust__http_value_valid(value))
        return false;
    ret_field->name = (gust_span){line, name};
    ret_field->value = gust__http_trim(value.data, value.len);
    return true;
}

enum http_line gust__http_line_next(struct http_lines *lines, const char *p, size_t n,
                                    gust_span *ret_line)
{
    const char *lf = memchr(p + lines->searched, '\n', n - lines->searched);

    if (!lf) {
        lines->searched = n;
        return LINE_MORE;
    }
    size_t start = lines->at;
    size_t end = (size_t)(lf - p);
    if (end == start || p[end - 1] != '\r')
        return LINE_BAD;
    *ret_line = (gust_span){p + start, end - 1 - start};
    lines->at = lines->searched = end + 1;
    return LINE_OK;
}

bool gust__http_fields_next(const char *p, size_t n, size_t *cursor, gust_http_field *ret_field)
{
    size_t at = *cursor;

    if (at >= n || p[at] == '\r')
        return false;
    /* The block was checked when it came in: a line has its colon and its LF. */
    const char *lf = memchr(p + at, '\n', n - at);
    const char *colon = memchr(p + at, ':', (size_t)(lf - p) - at);
    ret_field->name = (gust_span){p + at, (size_t)(colon - p) - at};
    ret_field->value = gust__http_trim(colon + 1, (size_t)(lf - 1 - (colon + 1)));
    *cursor = (size_t)(lf - p) + 1;
    return true;
}

gust_span gust__http_fields_find(const char *p, size_t n, const char *name)
{
    gust_http_field field;
    size_t cursor = 0;
    size_t len = strlen(name);

    while (gust__http_fields_next(p, n, &cursor, &field))
        if (gust__http_same_name(field.name, name, len))
            return field.value;
    return (gust_span){NULL, 0};
}
