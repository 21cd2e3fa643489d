/* Patterns of a router. */
#include "http/pattern.h"

#include <gust/http_router.h>

#include <stdlib.h>
#include <string.h>

#include "core/inject.h"
#include "http/path.h"
#include "http/syntax.h"

/* --- Reading ---------------------------------------------------------------- */

/* Each step reads a part at *at and steps over it; it returns what is wrong, or NULL. */

static const char *read_method(struct http_pattern *p, const char **at)
{
    size_t len = strcspn(*at, " \t");
    gust_http_method method;

    p->methods = METHOD_ALL;
    if ((*at)[len] == '\0')
        return NULL;
    if (!gust__http_method_find((gust_span){*at, len}, &method))
        return "no such method";
    if (method == GUST_HTTP_CONNECT)
        return "CONNECT reaches no handler";
    p->methods = METHOD_BIT(method);
    if (method == GUST_HTTP_GET)
        p->methods |= METHOD_BIT(GUST_HTTP_HEAD);
    *at += len + strspn(*at + len, " \t");
    return NULL;
}

/* `bytes` is where the host is kept; it is stepped over what was written. */
static const char *read_host(struct http_pattern *p, const char **at, char **bytes)
{
    gust_span host = {*at, strcspn(*at, "/")};

    if (host.data[host.len] == '\0')
        return "there is no '/' where a path begins";
    if (memchr(host.data, '{', host.len))
        return "a host has no wildcards";
    if (!gust__http_host_valid(host))
        return "malformed host";
    if (gust__http_host_name(host).len != host.len)
        return "a host is given without a port";
    if (host.len > GUST_HTTP_PATTERN_HOST_MAX)
        return "the host is too long";
    gust__http_lower(host, *bytes);
    p->host = (gust_span){*bytes, host.len};
    *bytes += host.len;
    *at += host.len;
    return NULL;
}

static bool is_name(gust_span s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(i > 0 && c >= '0' && c <= '9'))
            return false;
    }
    return s.len > 0;
}

static bool has_wildcard(const struct http_pattern *p, gust_span name)
{
    for (unsigned i = 0; i < p->count; i++) {
        const struct pattern_segment *s = &p->segments[i];
        if (s->kind != SEGMENT_LITERAL && s->text.len == name.len &&
            memcmp(s->text.data, name.data, name.len) == 0)
            return true;
    }
    return false;
}

/* What is between the braces. */
static const char *read_wildcard(struct http_pattern *p, gust_span inside, bool last)
{
    enum segment_kind kind = SEGMENT_SINGLE;

    if (inside.len == 1 && inside.data[0] == '$') {
        p->segments[p->count++] = (struct pattern_segment){.kind = SEGMENT_SLASH};
        return last ? NULL : "{$} is not at the end";
    }
    if (inside.len >= 3 && memcmp(inside.data + inside.len - 3, "...", 3) == 0) {
        kind = SEGMENT_MULTI;
        inside.len -= 3;
        if (!last)
            return "a wildcard with \"...\" is not at the end";
    }
    if (!is_name(inside))
        return "the name of a wildcard is not an identifier";
    if (has_wildcard(p, inside))
        return "two wildcards have the same name";
    p->segments[p->count++] = (struct pattern_segment){kind, inside};
    return NULL;
}

static const char *read_segment(struct http_pattern *p, gust_span s, bool last, char **bytes)
{
    if (s.len == 0) { /* the path is clean, so this is its end */
        p->segments[p->count++] = (struct pattern_segment){.kind = SEGMENT_MULTI};
        return NULL;
    }
    if (!memchr(s.data, '{', s.len)) {
        size_t len = gust__http_percent_decode(s, *bytes);
        p->segments[p->count++] = (struct pattern_segment){SEGMENT_LITERAL, {*bytes, len}};
        *bytes += len;
        return NULL;
    }
    if (s.data[0] != '{' || s.data[s.len - 1] != '}')
        return "a wildcard is not the whole of its segment";
    return read_wildcard(p, (gust_span){s.data + 1, s.len - 2}, last);
}

/* No request has a path in such a form. */
static const char *check_path(const char *path)
{
    for (const char *c = path; *c; c++)
        if ((unsigned char)*c <= ' ' || strchr("?#\x7f", *c))
            return "a path has no white space, '?' or '#', unless percent-encoded";
    switch (gust__http_path_form((gust_span){path, strlen(path)})) {
    case PATH_CLEAN: return NULL;
    case PATH_UNCLEAN:
        return "paths are cleaned of \"//\", \".\" and \"..\" before they are matched";
    case PATH_MALFORMED: return "malformed percent-encoding";
    }
    return NULL;
}

static const char *read_path(struct http_pattern *p, const char *at, char **bytes)
{
    const char *why = check_path(at);

    while (!why && *at == '/') {
        size_t len = strcspn(at + 1, "/");
        why = read_segment(p, (gust_span){at + 1, len}, at[1 + len] == '\0', bytes);
        at += 1 + len;
    }
    return why;
}

static unsigned count_slashes(const char *text)
{
    unsigned n = 0;

    for (; *text; text++)
        n += *text == '/';
    return n;
}

static const char *read_pattern(struct http_pattern *p, char *bytes)
{
    const char *at = p->text;
    const char *why = read_method(p, &at);

    if (!why)
        why = read_host(p, &at, &bytes);
    return why ? why : read_path(p, at, &bytes);
}

int gust__http_pattern_new(const char *text, struct http_pattern **ret_pattern,
                           const char **ret_why)
{
    size_t size = strlen(text) + 1;
    unsigned slashes = count_slashes(text);

    if (size > GUST_HTTP_PATTERN_MAX + 1 || slashes > GUST_HTTP_PATTERN_SEGMENTS_MAX) {
        *ret_why = "the pattern is too long";
        return -EINVAL;
    }
    /* The text, and as many bytes again for what of it is decoded. */
    size_t segments = slashes * sizeof(struct pattern_segment);
    struct http_pattern *p = gust__malloc(sizeof(*p) + segments + 2 * size);
    if (!p)
        return -ENOMEM;
    char *copy = memcpy((char *)p->segments + segments, text, size);
    p->text = copy;
    p->count = 0;
    const char *why = read_pattern(p, copy + size);
    if (why) {
        free(p);
        *ret_why = why;
        return -EINVAL;
    }
    *ret_pattern = p;
    return 0;
}

/* --- Comparing --------------------------------------------------------------- */

static unsigned compare_methods(uint64_t a, uint64_t b)
{
    if (!(a & b))
        return PATTERN_DISJOINT;
    return (a & ~b ? PATTERN_GENERAL : 0U) | (b & ~a ? PATTERN_SPECIFIC : 0U);
}

static unsigned compare_segments(const struct pattern_segment *a, const struct pattern_segment *b)
{
    if (a->kind == b->kind && a->kind == SEGMENT_LITERAL) {
        bool same =
            a->text.len == b->text.len && memcmp(a->text.data, b->text.data, a->text.len) == 0;
        return same ? PATTERN_EQUAL : PATTERN_DISJOINT;
    }
    if (a->kind == b->kind)
        return PATTERN_EQUAL;
    if (a->kind == SEGMENT_MULTI || b->kind == SEGMENT_MULTI)
        return a->kind == SEGMENT_MULTI ? PATTERN_GENERAL : PATTERN_SPECIFIC;
    if (a->kind == SEGMENT_SLASH || b->kind == SEGMENT_SLASH)
        return PATTERN_DISJOINT;
    return a->kind == SEGMENT_SINGLE ? PATTERN_GENERAL : PATTERN_SPECIFIC;
}

/* The shorter one matches what the longer one does only if it goes on to the end. */
static unsigned compare_lengths(const struct http_pattern *a, const struct http_pattern *b)
{
    const struct http_pattern *shorter = a->count < b->count ? a : b;

    if (a->count == b->count)
        return PATTERN_EQUAL;
    if (shorter->segments[shorter->count - 1].kind != SEGMENT_MULTI)
        return PATTERN_DISJOINT;
    return shorter == a ? PATTERN_GENERAL : PATTERN_SPECIFIC;
}

unsigned gust__http_pattern_compare(const struct http_pattern *a, const struct http_pattern *b)
{
    unsigned count = a->count < b->count ? a->count : b->count;
    unsigned relation = compare_methods(a->methods, b->methods) | compare_lengths(a, b);

    for (unsigned i = 0; i < count && !(relation & PATTERN_DISJOINT); i++)
        relation |= compare_segments(&a->segments[i], &b->segments[i]);
    return relation & PATTERN_DISJOINT ? PATTERN_DISJOINT : relation;
}

bool gust__http_pattern_conflict(const struct http_pattern *a, const struct http_pattern *b)
{
    /* Of two that name different hosts, one of them perhaps "any", none matches what
     * the other does, or the one that names a host wins. */
    if (a->host.len != b->host.len || memcmp(a->host.data, b->host.data, a->host.len) != 0)
        return false;
    unsigned relation = gust__http_pattern_compare(a, b);
    return relation == PATTERN_EQUAL || relation == PATTERN_OVERLAP;
}
