/* Answers that are more than bytes: redirects, errors, formatted text.  On top of what a
 * handler could do itself. */
#include "core/inject.h"
#include "http/html.h"
#include "http/path.h"
#include "http/response.h"
#include "http/status.h"
#include "http/syntax.h"

#include <gust/http_reply.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- Redirects ------------------------------------------------------------ */

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static bool has_scheme(const char *location)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const char others[] = "0123456789+-.";
    size_t n = strspn(location, letters);

    if (n == 0)
        return false;
    while (location[n] && (strchr(letters, location[n]) || strchr(others, location[n])))
        n++;
    return location[n] == ':';
}

/* Up to and with its last slash. */
static gust_span directory_of(gust_span path)
{
    while (path.len > 0 && path.data[path.len - 1] != '/')
        path.len--;
    return path.len > 0 ? path : (gust_span){"/", 1};
}

/* The path of `location`, absolute and clean, and what follows it. */
static char *resolve(gust_http_request *req, const char *location, size_t *ret_len)
{
    gust_span dir = directory_of(gust_http_request_path(req));
    size_t path_len = strcspn(location, "?#");
    size_t rest_len = strlen(location) - path_len;
    size_t dir_len = location[0] == '/' ? 0 : dir.len;
    char *joined = gust_http_alloc(req, dir_len + path_len);
    char *clean = gust_http_alloc(req, dir_len + path_len + rest_len);

    if (!joined || !clean)
        return NULL;
    memcpy(joined, dir.data, dir_len);
    memcpy(joined + dir_len, location, path_len);
    size_t n = gust__http_path_clean((gust_span){joined, dir_len + path_len}, clean);
    memcpy(clean + n, location + path_len, rest_len);
    *ret_len = n + rest_len;
    return clean;
}

/* What RFC 3986 lets stand somewhere in a URL, and '%'. */
static bool may_stand(char c)
{
    return c > ' ' && c < 0x7f && !strchr("\"<>\\^`{|}", c);
}

static size_t escape(const char *text, size_t len, char *ret_escaped)
{
    char *p = ret_escaped;

    for (size_t i = 0; i < len; i++) {
        if (may_stand(text[i])) {
            *p++ = text[i];
        } else {
            *p++ = '%';
            p = hex_put(p, (uint8_t)text[i]);
        }
    }
    return (size_t)(p - ret_escaped);
}

static bool has_control_byte(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return true;
    return false;
}

/* The Location field's value; data is NULL without memory. */
static gust_span make_location(gust_http_request *req, const char *location)
{
    size_t len = strlen(location);

    if (!has_scheme(location) && strncmp(location, "//", 2) != 0 &&
        gust_http_request_path(req).data[0] == '/')
        location = resolve(req, location, &len);
    char *escaped = location ? gust_http_alloc(req, 3 * len + 1) : NULL;
    return escaped ? (gust_span){escaped, escape(location, len, escaped)} : (gust_span){NULL, 0};
}

static int write_page(gust_http_response *res, int status, gust_span location)
{
    gust_span reason = gust__http_reason(status);
    ssize_t n = gust_http_write(res, "<a href=\"", 9);

    if (n >= 0)
        n = gust__http_html_write(res, location);
    if (n >= 0)
        n = gust_http_printf(res, "\">%.*s</a>.\n\n", (int)reason.len, reason.data);
    return n < 0 ? (int)n : 0;
}

int gust_http_redirect(gust_http_request *req, gust_http_response *res, int status,
                       const char *location)
{
    gust_http_method method = gust_http_request_method(req);
    bool with_page = (method == GUST_HTTP_GET || method == GUST_HTTP_HEAD) &&
                     !gust_http_response_header(res, "Content-Type").data;

    if (!is_redirect(status) || has_control_byte(location))
        return -EINVAL;
    int r = gust_http_header_remove(res, "Location");
    if (r < 0)
        return r;
    gust_span value = make_location(req, location);
    if (!value.data)
        return -ENOMEM;
    r = gust_http_header_span(res, "Location", value);
    if (r == 0 && with_page)
        r = gust_http_header(res, "Content-Type", "text/html; charset=utf-8");
    if (r < 0)
        return r;
    gust_http_header_remove(res, "Content-Length");
    gust_http_status(res, status);
    return with_page ? write_page(res, status, value) : (int)gust_http_write(res, NULL, 0);
}

/* --- Errors --------------------------------------------------------------- */

/* What the handler has said about the body that it does not send now. */
static void forget_body(gust_http_response *res)
{
    static const char *const names[] = {
        "Content-Length", "Content-Type",  "Content-Encoding",      "ETag",
        "Last-Modified",  "Cache-Control", "X-Content-Type-Options"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        gust_http_header_remove(res, names[i]);
}

int gust_http_error(gust_http_response *res, int status, const char *message)
{
    gust_span text = message ? (gust_span){message, strlen(message)} : gust__http_reason(status);

    if (status < 400)
        return -EINVAL;
    int r = gust_http_status(res, status);
    if (r < 0)
        return r;
    forget_body(res);
    r = gust_http_header(res, "Content-Type", "text/plain; charset=utf-8");
    if (r == 0)
        r = gust_http_header(res, "X-Content-Type-Options", "nosniff");
    if (r < 0)
        return r;
    ssize_t n = gust_http_write(res, text.data, text.len);
    if (n >= 0)
        n = gust_http_write(res, "\n", 1);
    return n < 0 ? (int)n : 0;
}

void gust__http_answer(gust_http_response *res, int status)
{
    char body[STATUS_LINE_MAX];
    gust_span reason = gust__http_reason(status);

    memcpy(body, reason.data, reason.len);
    body[reason.len] = '\n';
    gust_http_reply(res, status, "text/plain", body, reason.len + 1);
}

/* --- Formatted text ------------------------------------------------------- */

/* Text up to this is formatted on the stack. */
#define PRINTF_STACK 1024

static ssize_t format_error(void)
{
    return errno ? -errno : -EINVAL;
}

/* The text is known to have `len` bytes. */
GUST_PRINTF(3, 0)
static ssize_t print_long(gust_http_response *res, size_t len, const char *format, va_list args)
{
    char *text = gust__malloc(len + 1);

    if (!text)
        return -ENOMEM;
    vsnprintf(text, len + 1, format, args);
    ssize_t n = gust_http_write(res, text, len);
    free(text);
    return n;
}

ssize_t gust_http_vprintf(gust_http_response *res, const char *format, va_list args)
{
    char text[PRINTF_STACK];
    va_list again;

    va_copy(again, args);
    errno = 0;
    int len = vsnprintf(text, sizeof(text), format, args);
    ssize_t n = len < 0 ? format_error() : len;
    if (n >= (ssize_t)sizeof(text))
        n = print_long(res, (size_t)n, format, again);
    else if (n >= 0)
        n = gust_http_write(res, text, (size_t)n);
    va_end(again);
    return n;
}

ssize_t gust_http_printf(gust_http_response *res, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    ssize_t n = gust_http_vprintf(res, format, args);
    va_end(args);
    return n;
}
