#include "proxy/fields.h"

#include "http/syntax.h"

#include <errno.h>

enum field_kind {
    FIELD_PASS,
    FIELD_HOP,     /* this connection's: left out */
    FIELD_FRAMING, /* Content-Length, Transfer-Encoding: the other side's are its own */
    FIELD_CONNECTION,
    FIELD_UPGRADE,
    FIELD_TE,
    FIELD_HOST,
    FIELD_EXPECT,
    FIELD_DATE,
    FIELD_FORWARDED,
    FIELD_X_FOR,
    FIELD_X_HOST,
    FIELD_X_PROTO,
};

struct field_name {
    const char *name;
    enum field_kind kind;
};

/* By the length of the name, at most two of each. */
static const struct field_name names[20][2] = {
    [2] = {{"te", FIELD_TE}},
    [4] = {{"host", FIELD_HOST}, {"date", FIELD_DATE}},
    [6] = {{"expect", FIELD_EXPECT}},
    [7] = {{"upgrade", FIELD_UPGRADE}},
    [9] = {{"forwarded", FIELD_FORWARDED}},
    [10] = {{"connection", FIELD_CONNECTION}, {"keep-alive", FIELD_HOP}},
    [14] = {{"content-length", FIELD_FRAMING}},
    [15] = {{"x-forwarded-for", FIELD_X_FOR}},
    [16] = {{"x-forwarded-host", FIELD_X_HOST}, {"proxy-connection", FIELD_HOP}},
    [17] = {{"transfer-encoding", FIELD_FRAMING}, {"x-forwarded-proto", FIELD_X_PROTO}},
    [18] = {{"proxy-authenticate", FIELD_HOP}},
    [19] = {{"proxy-authorization", FIELD_HOP}},
};

static char fold(char c)
{
    return c == '_' ? '-' : c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool same_folded(gust_span name, const char *known, bool *ret_exact)
{
    bool exact = true;

    for (size_t i = 0; i < name.len; i++) {
        if (fold(name.data[i]) != known[i])
            return false;
        exact &= name.data[i] != '_';
    }
    *ret_exact = exact;
    return true;
}

static enum field_kind kind_of(gust_span name)
{
    bool exact;

    if (name.len >= sizeof(names) / sizeof(*names))
        return FIELD_PASS;
    for (const struct field_name *n = names[name.len]; n < names[name.len] + 2 && n->name; n++)
        if (same_folded(name, n->name, &exact))
            return exact ? n->kind : n->kind == FIELD_DATE ? FIELD_PASS : FIELD_HOP;
    return FIELD_PASS;
}

/* --- Stretches of lines ---------------------------------------------------------------- */

/* What has been looked at and is to be copied: from `start` up to `at`. */
struct stretch {
    const char *start;
    struct http_text *out;
    size_t len_max;
    int error;
};

static void put(struct stretch *s, gust_span bytes)
{
    if (s->error == 0)
        s->error = gust__http_text_add(s->out, bytes, s->len_max);
}

#define PUT(s, literal) put(s, (gust_span){literal, sizeof(literal) - 1})

/* Copies up to a line that is left out, and goes on behind it. */
static void skip_line(struct stretch *s, const char *line, const char *next)
{
    if (line > s->start)
        put(s, (gust_span){s->start, (size_t)(line - s->start)});
    s->start = next;
}

/* Is it named by a Connection field? */
static bool is_nominated(gust_span lines, gust_span name)
{
    gust_http_field f;

    for (size_t cursor = 0; gust__http_fields_next(lines.data, lines.len, &cursor, &f);)
        if (kind_of(f.name) == FIELD_CONNECTION &&
            gust__http_list_has(f.value, name.data, name.len))
            return true;
    return false;
}

bool gust__forward_passes(gust_span lines, gust_span name)
{
    return kind_of(name) == FIELD_PASS && !is_nominated(lines, name);
}

/* False if a Connection field says nothing but what is usual. */
static bool nominates(gust_span value)
{
    gust_span element;

    while (gust__http_list_next(&value, &element))
        if (!gust__http_equals(element, "close") && !gust__http_equals(element, "keep-alive") &&
            !gust__http_equals(element, "upgrade"))
            return true;
    return false;
}

/* --- Requests ------------------------------------------------------------------------------ */

struct request_notes {
    gust_span upgrade;
    bool wants_upgrade; /* Connection says so */
    bool nominates;
    bool trailers; /* TE */
    bool expects;
    bool has_for, has_host, has_proto, has_forwarded;
};

/* True if the line goes on as it is. */
static bool note_request(struct request_notes *n, const struct forward_rules *rules,
                         enum field_kind kind, const gust_http_field *f)
{
    bool append = rules->forwarding == GUST_HTTP_FORWARDING_APPEND;

    switch (kind) {
    case FIELD_PASS:
    case FIELD_DATE: return true;
    case FIELD_HOP:
    case FIELD_FRAMING:
    case FIELD_HOST: return false;
    case FIELD_CONNECTION:
        n->wants_upgrade |= gust__http_list_has(f->value, "upgrade", 7);
        n->nominates |= nominates(f->value);
        return false;
    case FIELD_UPGRADE: n->upgrade = f->value; return false;
    case FIELD_TE: n->trailers |= gust__http_list_has(f->value, "trailers", 8); return false;
    case FIELD_EXPECT: n->expects = true; return false;
    case FIELD_FORWARDED: n->has_forwarded = true; return false;
    case FIELD_X_FOR: n->has_for = true; return false;
    case FIELD_X_HOST: n->has_host |= append; return append;
    case FIELD_X_PROTO: n->has_proto |= append; return append;
    }
    return true;
}

static void copy_request(const struct forward_rules *rules, gust_span lines, struct stretch *s,
                         struct request_notes *n)
{
    bool check = n->nominates; /* the second time, and then they are known */
    gust_http_field f;
    size_t line = 0;

    for (size_t next = 0; gust__http_fields_next(lines.data, lines.len, &next, &f); line = next) {
        enum field_kind kind = kind_of(f.name);
        if (!note_request(n, rules, kind, &f) ||
            (check && kind == FIELD_PASS && is_nominated(lines, f.name)))
            skip_line(s, lines.data + line, lines.data + next);
    }
    skip_line(s, lines.data + line, NULL);
}

/* All values of one kind, as one list. */
static void put_values(struct stretch *s, gust_span lines, enum field_kind kind)
{
    gust_http_field f;

    for (size_t cursor = 0; gust__http_fields_next(lines.data, lines.len, &cursor, &f);)
        if (kind_of(f.name) == kind && f.value.len > 0) {
            put(s, f.value);
            PUT(s, ", ");
        }
}

/* node = IPv4 / "[" IPv6 "]" / "unknown", of which the second has to be quoted (RFC 7239, 6). */
static void put_node(struct stretch *s, gust_span addr)
{
    bool v6 = addr.len > 0 && memchr(addr.data, ':', addr.len);

    if (v6)
        PUT(s, "\"[");
    put(s, addr.len > 0 ? addr : (gust_span){"unknown", 7});
    if (v6)
        PUT(s, "]\"");
}

static void put_forwarded(struct stretch *s, const struct forward_client *client)
{
    PUT(s, "for=");
    put_node(s, client->addr);
    if (client->host.len > 0) { /* a valid host has neither a quote nor a backslash */
        PUT(s, ";host=\"");
        put(s, client->host);
        PUT(s, "\"");
    }
    if (client->tls)
        PUT(s, ";proto=https\r\n");
    else
        PUT(s, ";proto=http\r\n");
}

static void put_x_forwarded(struct stretch *s, const struct forward_client *client, gust_span lines,
                            const struct request_notes *n, bool append)
{
    PUT(s, "X-Forwarded-For: ");
    if (append && n->has_for)
        put_values(s, lines, FIELD_X_FOR);
    put(s, client->addr.len > 0 ? client->addr : (gust_span){"unknown", 7});
    if (client->host.len > 0 && !n->has_host) {
        PUT(s, "\r\nX-Forwarded-Host: ");
        put(s, client->host);
    }
    if (n->has_proto)
        PUT(s, "\r\n");
    else if (client->tls)
        PUT(s, "\r\nX-Forwarded-Proto: https\r\n");
    else
        PUT(s, "\r\nX-Forwarded-Proto: http\r\n");
}

static void add_own(const struct forward_rules *rules, const struct forward_client *client,
                    gust_span lines, const struct request_notes *n, struct stretch *s)
{
    bool append = rules->forwarding == GUST_HTTP_FORWARDING_APPEND;

    if (rules->forwarding != GUST_HTTP_FORWARDING_NONE)
        put_x_forwarded(s, client, lines, n, append);
    if (rules->forwarding != GUST_HTTP_FORWARDING_NONE && rules->forwarded) {
        PUT(s, "Forwarded: ");
        if (append && n->has_forwarded)
            put_values(s, lines, FIELD_FORWARDED);
        put_forwarded(s, client);
    }
    if (n->trailers)
        PUT(s, "TE: trailers\r\n");
    put(s, rules->via);
}

int gust__forward_request(const struct forward_rules *rules, const struct forward_client *client,
                          gust_span lines, struct http_text *out, struct forward_found *ret_found)
{
    struct stretch s = {lines.data, out, FORWARD_BYTES_MAX, 0};
    struct request_notes n = {.expects = false};
    size_t begin = out->len;

    copy_request(rules, lines, &s, &n);
    if (n.nominates) {
        out->len = begin;
        s = (struct stretch){lines.data, out, FORWARD_BYTES_MAX, 0};
        copy_request(rules, lines, &s, &n);
    }
    add_own(rules, client, lines, &n, &s);
    *ret_found = (struct forward_found){
        .upgrade = n.wants_upgrade ? n.upgrade : (gust_span){NULL, 0},
        .expects = n.expects,
    };
    return s.error;
}

/* --- Responses -------------------------------------------------------------------------------- */

struct response_notes {
    bool nominates;
    bool date;
};

static bool note_response(struct response_notes *n, enum field_kind kind, const gust_http_field *f)
{
    switch (kind) {
    case FIELD_HOP:
    case FIELD_FRAMING:
    case FIELD_UPGRADE:
    case FIELD_TE: return false;
    case FIELD_CONNECTION: n->nominates |= nominates(f->value); return false;
    case FIELD_DATE: {
        bool first = !n->date;
        n->date = true;
        return first;
    }
    case FIELD_PASS:
    case FIELD_HOST:
    case FIELD_EXPECT:
    case FIELD_FORWARDED:
    case FIELD_X_FOR:
    case FIELD_X_HOST:
    case FIELD_X_PROTO: return true;
    }
    return true;
}

static void copy_response(gust_span lines, struct stretch *s, struct response_notes *n)
{
    bool check = n->nominates;
    gust_http_field f;
    size_t line = 0;

    n->date = false;
    for (size_t next = 0; gust__http_fields_next(lines.data, lines.len, &next, &f); line = next) {
        enum field_kind kind = kind_of(f.name);
        if (!note_response(n, kind, &f) ||
            (check && kind == FIELD_PASS && is_nominated(lines, f.name)))
            skip_line(s, lines.data + line, lines.data + next);
    }
    skip_line(s, lines.data + line, NULL);
}

int gust__forward_response(const struct forward_rules *rules, gust_span lines, size_t len_max,
                           struct http_text *out, bool *ret_date)
{
    struct stretch s = {lines.data, out, len_max, 0};
    struct response_notes n = {false, false};
    size_t begin = out->len;

    copy_response(lines, &s, &n);
    if (n.nominates) {
        out->len = begin;
        s = (struct stretch){lines.data, out, len_max, 0};
        copy_response(lines, &s, &n);
    }
    put(&s, rules->via);
    *ret_date = n.date;
    return s.error;
}
