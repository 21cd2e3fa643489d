/* The scan of a response head, and llhttp's second opinion on it. */
#include "http/response_head.h"

#include <llhttp.h>
#include <string.h>

static enum response_scan refuse(struct response_head *h, const char *why)
{
    h->wrong = why;
    return RESPONSE_MALFORMED;
}

static enum response_scan too_large(struct response_head *h, const char *why)
{
    h->wrong = why;
    return RESPONSE_TOO_LARGE;
}

/* --- Status line ------------------------------------------------------------ */

#define VERSION_LEN 8 /* "HTTP/1.1" */
#define STATUS_LEN 3

static bool starts_as_http(const char *p, size_t n)
{
    static const char start[] = "HTTP/1.";
    const size_t len = sizeof(start) - 1;

    return memcmp(p, start, n < len ? n : len) == 0;
}

/* version SP 3DIGIT [SP reason]: many servers leave out the second space with the reason. */
static enum response_scan read_status_line(struct response_head *h, const char *p, gust_span line)
{
    const char *status = line.data + VERSION_LEN + 1;
    size_t at = VERSION_LEN + 1 + STATUS_LEN;

    if (line.len < at || !starts_as_http(line.data, line.len) ||
        (line.data[VERSION_LEN - 1] != '0' && line.data[VERSION_LEN - 1] != '1') ||
        line.data[VERSION_LEN] != ' ' || chars_prefix(status, STATUS_LEN, CH_DIGIT) != STATUS_LEN ||
        status[0] == '0')
        return refuse(h, "malformed status line");
    h->minor = (uint8_t)(line.data[VERSION_LEN - 1] - '0');
    h->status = (uint16_t)((status[0] - '0') * 100 + (status[1] - '0') * 10 + (status[2] - '0'));
    if (at < line.len && line.data[at++] != ' ')
        return refuse(h, "malformed status line");
    gust_span reason = {line.data + at, line.len - at};
    if (!gust__http_value_valid(reason))
        return refuse(h, "control byte in the status line");
    h->reason = (struct head_part){(uint32_t)(reason.data - p), (uint32_t)reason.len};
    h->line_seen = true;
    h->fields_at = (uint32_t)h->lines.at;
    return RESPONSE_MORE;
}

/* --- Fields that frame -------------------------------------------------------- */

static enum response_scan note_field(struct response_head *h, const gust_http_field *field)
{
    if (field->name.len == 14 && gust__http_equals(field->name, "content-length")) {
        if (h->has_length)
            return refuse(h, "more than one Content-Length");
        if (!gust__http_number(field->value, &h->content_length))
            return refuse(h, "Content-Length is not a number");
        h->has_length = true;
    } else if (field->name.len == 17 && gust__http_equals(field->name, "transfer-encoding")) {
        if (h->chunked)
            return refuse(h, "more than one Transfer-Encoding");
        if (!gust__http_equals(field->value, "chunked"))
            return refuse(h, "unknown Transfer-Encoding");
        h->chunked = true;
    }
    return RESPONSE_MORE;
}

static enum response_scan read_field(struct response_head *h, const struct response_limits *limits,
                                     gust_span line)
{
    gust_http_field field;

    if (!gust__http_field_split(line.data, line.len, &field))
        return refuse(h, "malformed header field");
    if (++h->fields > limits->fields_max)
        return too_large(h, "too many header fields");
    return note_field(h, &field);
}

/* --- The end of the head ------------------------------------------------------ */

static int stop_at_body(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {.on_headers_complete = stop_at_body};

static enum response_scan second_opinion(struct response_head *h, const char *p)
{
    llhttp_t parser;

    llhttp_init(&parser, HTTP_RESPONSE, &settings);
    llhttp_errno_t verdict = llhttp_execute(&parser, p, h->len);
    if (verdict != HPE_PAUSED || llhttp_get_error_pos(&parser) != p + h->len ||
        parser.http_major != 1 || parser.http_minor != h->minor ||
        parser.status_code != h->status || parser.content_length != h->content_length ||
        !(parser.flags & F_CHUNKED) != !h->chunked)
        return refuse(h, "malformed header");
    h->keep_alive = h->minor == 1 ? !(parser.flags & F_CONNECTION_CLOSE)
                                  : (parser.flags & F_CONNECTION_KEEP_ALIVE) != 0;
    return RESPONSE_COMPLETE;
}

static enum response_scan finish(struct response_head *h, const char *p)
{
    h->len = (uint32_t)h->lines.at;
    if (h->chunked && h->has_length)
        return refuse(h, "both Content-Length and Transfer-Encoding");
    if (h->chunked && h->minor == 0)
        return refuse(h, "Transfer-Encoding in HTTP/1.0");
    return second_opinion(h, p);
}

/* --- The scan ----------------------------------------------------------------- */

/* No line end in what is left: is there still room for one?  Something that is no HTTP is
 * not waited for. */
static enum response_scan check_partial(struct response_head *h,
                                        const struct response_limits *limits, const char *p,
                                        size_t n)
{
    if (!h->line_seen && !starts_as_http(p, n))
        return refuse(h, "not HTTP/1.x");
    return n >= limits->bytes_max ? too_large(h, "header too large") : RESPONSE_MORE;
}

static enum response_scan read_line(struct response_head *h, const struct response_limits *limits,
                                    const char *p, gust_span line)
{
    if (h->lines.at > limits->bytes_max)
        return too_large(h, "header too large");
    if (!h->line_seen)
        return starts_as_http(line.data, line.len) ? read_status_line(h, p, line)
                                                   : refuse(h, "not HTTP/1.x");
    return line.len == 0 ? finish(h, p) : read_field(h, limits, line);
}

enum response_scan gust__http_response_scan(struct response_head *h,
                                            const struct response_limits *limits, const char *p,
                                            size_t n)
{
    enum response_scan r = RESPONSE_MORE;
    gust_span line;

    while (r == RESPONSE_MORE) {
        switch (gust__http_line_next(&h->lines, p, n, &line)) {
        case LINE_MORE: return check_partial(h, limits, p, n);
        case LINE_BAD: return refuse(h, "line end without CR");
        case LINE_OK: r = read_line(h, limits, p, line); break;
        }
    }
    return r;
}
