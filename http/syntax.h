/* The grammar of HTTP/1.1 at the level of bytes, lines and fields.
 *
 * Everything here is pure: bytes in, spans out, no I/O, no memory. */
#ifndef GUST_HTTP_SYNTAX_H
#define GUST_HTTP_SYNTAX_H

#include <gust/http.h>

/* What a byte may be part of. */
enum {
    CH_TOKEN = 1,  /* method, field name, transfer coding */
    CH_VALUE = 2,  /* field value: visible, obs-text, space, tab */
    CH_TARGET = 4, /* request target: visible ASCII without '#' */
    CH_HOST = 8,   /* reg-name and IPv4 address */
    CH_IPV6 = 16,  /* between the brackets of an IP literal */
    CH_DIGIT = 32,
};

extern const uint8_t gust__http_chars[256];

/* How many of the first n bytes are of the class. */
static inline size_t chars_prefix(const char *p, size_t n, uint8_t class)
{
    size_t i = 0;
    while (i < n && (gust__http_chars[(uint8_t)p[i]] & class))
        i++;
    return i;
}

/* The value of a hexadecimal digit, or -1. */
static inline int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Writes a byte's two hexadecimal digits, in upper case; returns what is behind them. */
static inline char *hex_put(char *p, uint8_t byte)
{
    static const char digits[] = "0123456789ABCDEF";

    *p++ = digits[byte >> 4];
    *p++ = digits[byte & 15];
    return p;
}

/* Compares without regard to the case of ASCII letters.  `lower` is a string in
 * lower case. */
bool gust__http_equals(gust_span s, const char *lower);

/* The same for a name from the user, of any case. */
bool gust__http_same_name(gust_span s, const char *name, size_t len);

/* Reads 1*DIGIT up to INT64_MAX.  False for anything else, a sign or white
 * space included. */
bool gust__http_number(gust_span s, uint64_t *ret_value);

/* Checks uri-host [ ":" port ], or nothing at all. */
bool gust__http_host_valid(gust_span s);

/* What is before the port in a valid host. */
gust_span gust__http_host_name(gust_span host);

/* Writes s.len bytes. */
void gust__http_lower(gust_span s, char *ret_lower);

/* True if every byte may be part of a field's value. */
bool gust__http_value_valid(gust_span s);

/* True for a token as the name and a valid value. */
bool gust__http_field_valid(gust_span name, gust_span value);

/* True for the fields that say how a message is framed or routed, and so stand in its
 * header and nowhere else: no trailer, no interim response may change them. */
bool gust__http_field_frames(gust_span name);

/* The bytes without the spaces and tabs around them. */
gust_span gust__http_trim(const char *p, size_t n);

/* Takes the next element off the start of a comma-separated list, without the white space
 * around it.  Empty ones are passed over (RFC 9110, 5.6.1), and a comma in a quoted string
 * separates nothing.  False if none is left. */
bool gust__http_list_next(gust_span *list, gust_span *ret_element);

/* Is the name, of any case, an element of the list? */
bool gust__http_list_has(gust_span list, const char *name, size_t len);

/* Splits a field line (without its line end) into name and trimmed value.
 * False if it is malformed: an empty name or one with a byte that is no token
 * (a space before the colon, a folded line), a control byte in the value. */
bool gust__http_field_split(const char *line, size_t len, gust_http_field *ret_field);

/* Walks lines that end in CRLF.  Every byte is searched once however small the
 * pieces are in which it arrives. */
struct http_lines {
    size_t at;       /* where the current line starts */
    size_t searched; /* [at, searched) has no LF */
};

enum http_line { LINE_MORE, LINE_OK, LINE_BAD };

/* Finds the end of the current line in p[0..n) and steps to the next one.  On
 * LINE_OK *ret_line is the line without its CRLF.  LINE_BAD: it ends in LF
 * alone.  A CR inside the line is left to the caller's check of its bytes. */
enum http_line gust__http_line_next(struct http_lines *lines, const char *p, size_t n,
                                    gust_span *ret_line);

/* Goes through field lines that were checked before; p[0..n) ends after the
 * last one's CRLF or is followed by an empty line.  *cursor is an offset. */
bool gust__http_fields_next(const char *p, size_t n, size_t *cursor, gust_http_field *ret_field);

/* The value of the first field of this name in such a block. */
gust_span gust__http_fields_find(const char *p, size_t n, const char *name);

#endif
