/* The scan of a request head, and llhttp's second opinion on it. */
#include "http/head.h"

#include <llhttp.h>
#include <string.h>

/* Public methods are llhttp's numbers. */
_Static_assert((int)GUST_HTTP_DELETE == (int)HTTP_DELETE, "method numbers");
_Static_assert((int)GUST_HTTP_HEAD == (int)HTTP_HEAD, "method numbers");
_Static_assert((int)GUST_HTTP_UNLOCK == (int)HTTP_UNLOCK, "method numbers");
_Static_assert((int)GUST_HTTP_SOURCE == (int)HTTP_SOURCE, "method numbers");

static bool is_token(const char *p, size_t n)
{
    return n > 0 && chars_prefix(p, n, CH_TOKEN) == n;
}

static struct head_part part_of(const char *p, gust_span s)
{
    return (struct head_part){(uint32_t)(s.data - p), (uint32_t)s.len};
}

/* --- Request line --------------------------------------------------------- */

/* "HTTP/1.1" and nothing else about it. */
static int read_version(struct http_head *h, const char *p, size_t n)
{
    if (n != 8 || memcmp(p, "HTTP/", 5) != 0 || p[6] != '.' ||
        chars_prefix(p + 5, 1, CH_DIGIT) != 1 || chars_prefix(p + 7, 1, CH_DIGIT) != 1)
        return 400;
    if (p[5] != '1' || p[7] > '1')
        return 505;
    h->minor = (uint8_t)(p[7] - '0');
    return HEAD_MORE;
}

/* method SP target SP version, with exactly these two spaces. */
static int read_request_line(struct http_head *h, const char *p, gust_span line)
{
    size_t method = chars_prefix(line.data, line.len, CH_TOKEN);
    if (method == 0 || method == line.len || line.data[method] != ' ')
        return 400;
    const char *target = line.data + method + 1;
    size_t left = line.len - method - 1;
    size_t target_len = chars_prefix(target, left, CH_TARGET);
    if (target_len == 0 || target_len == left || target[target_len] != ' ')
        return 400;

    h->start = (uint32_t)(line.data - p);
    h->method = (struct head_part){h->start, (uint32_t)method};
    h->target = part_of(p, (gust_span){target, target_len});
    int status = read_version(h, target + target_len + 1, left - target_len - 1);
    if (status == HEAD_MORE && !gust__http_target_split(h, p))
        status = 400;
    h->line_seen = true;
    h->fields_at = (uint32_t)h->lines.at;
    return status;
}

/* --- Fields that frame or route -------------------------------------------- */

static int note_host(struct http_head *h, const char *p, gust_span value)
{
    if (h->has_host || !gust__http_host_valid(value))
        return 400;
    h->has_host = true;
    if (!h->target_names_host)
        h->host = part_of(p, value);
    return HEAD_MORE;
}

/* RFC 9112, 6.3 lets a server merge equal lengths; it is safer to refuse. */
static int note_content_length(struct http_head *h, gust_span value)
{
    if (h->has_length || !gust__http_number(value, &h->content_length))
        return 400;
    h->has_length = true;
    return HEAD_MORE;
}

/* Exactly "chunked", once.  501 if another coding lies below it, which would be
 * legal; 400 if the body's end could not be found (RFC 9112, 6.1 and 6.3). */
static int note_transfer_encoding(struct http_head *h, gust_span value)
{
    static const char last[] = ", chunked";
    const size_t last_len = sizeof(last) - 1;

    if (h->has_coding)
        return 400;
    h->has_coding = true;
    if (gust__http_equals(value, "chunked"))
        return HEAD_MORE;
    if (value.len > last_len && is_token(value.data, value.len - last_len) &&
        !gust__http_equals((gust_span){value.data, value.len - last_len}, "chunked") &&
        gust__http_equals((gust_span){value.data + value.len - last_len, last_len}, last))
        return 501;
    return 400;
}

static void note_expect(struct http_head *h, gust_span value)
{
    if (gust__http_equals(value, "100-continue"))
        h->expects_continue = true;
    else
        h->expects_other = true;
}

static int note_field(struct http_head *h, const char *p, const gust_http_field *field)
{
    switch (field->name.len) {
    case 4:
        if (gust__http_equals(field->name, "host"))
            return note_host(h, p, field->value);
        return HEAD_MORE;
    case 6:
        if (gust__http_equals(field->name, "expect"))
            note_expect(h, field->value);
        return HEAD_MORE;
    case 14:
        if (gust__http_equals(field->name, "content-length"))
            return note_content_length(h, field->value);
        return HEAD_MORE;
    case 17:
        if (gust__http_equals(field->name, "transfer-encoding"))
            return note_transfer_encoding(h, field->value);
        return HEAD_MORE;
    default: return HEAD_MORE;
    }
}

static int read_field(struct http_head *h, const struct head_limits *limits, const char *p,
                      gust_span line)
{
    gust_http_field field;

    if (!gust__http_field_split(line.data, line.len, &field))
        return 400;
    if (++h->fields > limits->fields_max)
        return 431;
    return note_field(h, p, &field);
}

/* --- The end of the head --------------------------------------------------- */

static int stop_at_body(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {.on_headers_complete = stop_at_body};

/* Lets llhttp read the head as a whole.  It decides on the method and on
 * keep-alive; about everything else it must have come to the same result. */
static int second_opinion(struct http_head *h, const char *p)
{
    llhttp_t parser;

    llhttp_init(&parser, HTTP_REQUEST, &settings);
    llhttp_errno_t verdict = llhttp_execute(&parser, p + h->start, h->len - h->start);
    if (verdict == HPE_INVALID_METHOD)
        return 501;
    if (verdict != HPE_PAUSED || llhttp_get_error_pos(&parser) != p + h->len ||
        parser.http_major != 1 || parser.http_minor != h->minor ||
        parser.content_length != h->content_length || !(parser.flags & F_CHUNKED) != !h->has_coding)
        return 400;
    if (parser.method > HTTP_SOURCE || parser.method == HTTP_CONNECT)
        return 501;
    h->method_code = parser.method;
    h->keep_alive = llhttp_should_keep_alive(&parser);
    return HEAD_DONE;
}

/* What cannot be said of a single field. */
static int finish(struct http_head *h, const char *p)
{
    h->len = (uint32_t)h->lines.at;
    h->chunked = h->has_coding;
    if (h->minor == 1 && !h->has_host)
        return 400;
    if (h->has_coding && (h->has_length || h->minor == 0))
        return 400;
    int status = second_opinion(h, p);
    if (h->minor == 0) /* HTTP/1.0 has no expectations (RFC 9110, 10.1.1) */
        h->expects_continue = h->expects_other = false;
    if (status == HEAD_DONE && h->expects_other)
        return 417;
    return status;
}

/* --- The scan -------------------------------------------------------------- */

void gust__http_head_init(struct http_head *h)
{
    memset(h, 0, sizeof(*h));
}

/* No line end in p[line.at, n): is there still room for one?  A start that no
 * request has, TLS to a plain port above all, is not waited for. */
static int check_partial(const struct http_head *h, const struct head_limits *limits, const char *p,
                         size_t n)
{
    size_t line = n - h->lines.at;

    if (!h->line_seen) {
        if (line > 0 && p[h->lines.at] != '\r' && !is_token(p + h->lines.at, 1))
            return 400;
        if (line > limits->line_max + 1 || n >= limits->bytes_max)
            return 414;
    }
    return n >= limits->bytes_max ? 431 : HEAD_MORE;
}

static int read_line(struct http_head *h, const struct head_limits *limits, const char *p,
                     gust_span line)
{
    if (h->line_seen) {
        if (h->lines.at > limits->bytes_max)
            return 431;
        return line.len == 0 ? finish(h, p) : read_field(h, limits, p, line);
    }
    /* One empty line before a request is forgiven (RFC 9112, 2.2): old clients
     * send it after a body. */
    if (line.len == 0 && !h->blank_seen) {
        h->blank_seen = true;
        return HEAD_MORE;
    }
    if (line.len > limits->line_max || h->lines.at > limits->bytes_max)
        return 414;
    return read_request_line(h, p, line);
}

int gust__http_head_scan(struct http_head *h, const struct head_limits *limits, const char *p,
                         size_t n)
{
    gust_span line;
    int status = HEAD_MORE;

    while (status == HEAD_MORE) {
        switch (gust__http_line_next(&h->lines, p, n, &line)) {
        case LINE_MORE: return check_partial(h, limits, p, n);
        case LINE_BAD: return 400;
        case LINE_OK: status = read_line(h, limits, p, line); break;
        }
    }
    return status;
}
