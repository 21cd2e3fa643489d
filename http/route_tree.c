/* Where a router finds its routes. */
#include "http/route_tree.h"

#include <gust/http_router.h>

#include <stdlib.h>
#include <string.h>

#include "core/inject.h"
#include "http/path.h"
#include "http/syntax.h"

/* Routes that end at a node are lists: for each method at most one. */
struct route_node {
    struct route_table literals;
    struct route_node *single; /* below {name} */
    struct http_route *here;   /* the path ends */
    struct http_route *slash;  /* {$} */
    struct http_route *multi;  /* the rest of the path, if only a slash */
    struct route_node *older;  /* of the tree */
    uint32_t hash;
    size_t len;
    char name[]; /* in its parent's table: decoded */
};

/* --- Names ------------------------------------------------------------------ */

/* A segment of a request, or a name that is decoded already. */
struct segment {
    const char *data;
    size_t len;
    uint32_t hash; /* of what it is decoded to */
    bool encoded;
};

/* FNV-1a.  The names in a table are the program's, so nobody else can make them
 * collide. */
#define HASH_START UINT32_C(2166136261)

static uint32_t hash_add(uint32_t hash, char c)
{
    return (hash ^ (uint8_t)c) * UINT32_C(16777619);
}

/* From `at` to the next slash, or `end`. */
static struct segment segment_read(const char *at, const char *end)
{
    struct segment s = {.data = at, .hash = HASH_START};
    const char *p = at;

    while (p < end && *p != '/') {
        if (*p == '%') {
            s.encoded = true;
            s.hash = hash_add(s.hash, gust__http_percent_byte(p));
            p += 3;
        } else {
            s.hash = hash_add(s.hash, *p++);
        }
    }
    s.len = (size_t)(p - at);
    return s;
}

static struct segment segment_of_name(gust_span name)
{
    struct segment s = {.data = name.data, .len = name.len, .hash = HASH_START};

    for (size_t i = 0; i < name.len; i++)
        s.hash = hash_add(s.hash, name.data[i]);
    return s;
}

static bool equals_decoded(const struct segment *s, const struct route_node *n)
{
    const char *p = s->data;
    const char *end = s->data + s->len;
    size_t at = 0;

    for (; p < end && at < n->len; at++) {
        char c = *p == '%' ? gust__http_percent_byte(p) : *p;
        p += *p == '%' ? 3 : 1;
        if (c != n->name[at])
            return false;
    }
    return p == end && at == n->len;
}

static bool is_called(const struct route_node *n, const struct segment *s)
{
    if (n->hash != s->hash)
        return false;
    if (s->encoded)
        return equals_decoded(s, n);
    return n->len == s->len && memcmp(n->name, s->data, s->len) == 0;
}

/* --- Tables ------------------------------------------------------------------ */

static struct route_node *table_find(const struct route_table *t, const struct segment *s)
{
    if (t->count == 0)
        return NULL;
    for (size_t i = s->hash;; i++) {
        struct route_node *n = t->slots[i & (t->size - 1)];
        if (!n || is_called(n, s))
            return n;
    }
}

/* There is room. */
static void table_put(struct route_table *t, struct route_node *n)
{
    size_t i = n->hash & (t->size - 1);

    while (t->slots[i])
        i = (i + 1) & (t->size - 1);
    t->slots[i] = n;
    t->count++;
}

static int table_reserve(struct route_table *t)
{
    if (2 * (t->count + 1) <= t->size)
        return 0;
    struct route_table larger = {.size = t->size > 0 ? 2 * t->size : 4};
    larger.slots = gust__calloc(larger.size, sizeof(struct route_node *));
    if (!larger.slots)
        return -ENOMEM;
    for (size_t i = 0; i < t->size; i++)
        if (t->slots[i])
            table_put(&larger, t->slots[i]);
    free(t->slots);
    *t = larger;
    return 0;
}

/* --- Entering ---------------------------------------------------------------- */

static struct route_node *add_node(struct route_tree *tree, const struct segment *s)
{
    struct route_node *n = gust__calloc(1, sizeof(*n) + s->len);

    if (!n)
        return NULL;
    n->hash = s->hash;
    n->len = s->len;
    if (s->len > 0)
        memcpy(n->name, s->data, s->len);
    n->older = tree->newest;
    tree->newest = n;
    return n;
}

/* The node of that name; a new one if there is none.  NULL without memory. */
static struct route_node *enter_literal(struct route_tree *tree, struct route_table *t,
                                        gust_span name)
{
    struct segment s = segment_of_name(name);
    struct route_node *n = table_find(t, &s);

    if (n || table_reserve(t) < 0 || !(n = add_node(tree, &s)))
        return n;
    table_put(t, n);
    return n;
}

static struct route_node *enter_nameless(struct route_tree *tree, struct route_node **place)
{
    const struct segment nameless = {0};

    if (!*place)
        *place = add_node(tree, &nameless);
    return *place;
}

/* From the fewest methods to the most, so that HEAD is found before GET, which serves
 * it too, and GET before any method. */
static void enter_route(struct http_route **list, struct http_route *route)
{
    int methods = __builtin_popcountll(route->pattern->methods);

    while (*list && __builtin_popcountll((*list)->pattern->methods) < methods)
        list = &(*list)->next;
    route->next = *list;
    *list = route;
}

int gust__route_tree_add(struct route_tree *tree, struct http_route *route)
{
    const struct http_pattern *p = route->pattern;
    struct route_node *n = p->host.len > 0 ? enter_literal(tree, &tree->hosts, p->host)
                                           : enter_nameless(tree, &tree->any_host);

    for (unsigned i = 0; n && i < p->count; i++) {
        switch (p->segments[i].kind) {
        case SEGMENT_LITERAL: n = enter_literal(tree, &n->literals, p->segments[i].text); break;
        case SEGMENT_SINGLE: n = enter_nameless(tree, &n->single); break;
        case SEGMENT_SLASH: enter_route(&n->slash, route); return 0;
        case SEGMENT_MULTI: enter_route(&n->multi, route); return 0;
        }
    }
    if (!n)
        return -ENOMEM;
    enter_route(&n->here, route);
    return 0;
}

/* --- Finding ----------------------------------------------------------------- */

struct walk {
    const char *end;
    bool slash;
    uint64_t method;
    uint64_t allowed; /* by routes that were passed over */
    bool exact;       /* of the route picked last */
};

static const struct http_route *pick(struct walk *w, const struct http_route *route, bool exact)
{
    w->exact = exact;
    for (; route; route = route->next) {
        if (route->pattern->methods & w->method)
            return route;
        w->allowed |= route->pattern->methods;
    }
    return NULL;
}

static const struct http_route *pick_at_slash(struct walk *w, const struct route_node *n)
{
    const struct http_route *route = pick(w, n->slash, true);

    return route ? route : pick(w, n->multi, true);
}

/* `at` is at a slash or at the end.  As deep as the longest pattern, at most. */
static const struct http_route *descend(struct walk *w, const struct route_node *n, const char *at)
{
    const struct http_route *route = NULL;

    if (at == w->end)
        return w->slash ? pick_at_slash(w, n) : pick(w, n->here, true);
    if (at + 1 == w->end)
        return pick_at_slash(w, n);
    struct segment s = segment_read(at + 1, w->end);
    const struct route_node *child = table_find(&n->literals, &s);
    if (child)
        route = descend(w, child, s.data + s.len);
    if (!route && n->single)
        route = descend(w, n->single, s.data + s.len);
    return route ? route : pick(w, n->multi, false);
}

static const struct route_node *find_host(const struct route_tree *tree, gust_span host)
{
    char lower[GUST_HTTP_PATTERN_HOST_MAX];

    if (tree->hosts.count == 0)
        return NULL;
    gust_span name = gust__http_host_name(host);
    if (name.len > sizeof(lower))
        return NULL;
    gust__http_lower(name, lower);
    struct segment s = segment_of_name((gust_span){lower, name.len});
    return table_find(&tree->hosts, &s);
}

struct route_match gust__route_tree_find(const struct route_tree *tree,
                                         const struct route_query *query)
{
    struct walk w = {.end = query->path.data + query->path.len,
                     .slash = query->slash,
                     .method = METHOD_BIT(query->method)};
    const struct route_node *root = find_host(tree, query->host);
    const struct http_route *route = root ? descend(&w, root, query->path.data) : NULL;

    if (!route && tree->any_host)
        route = descend(&w, tree->any_host, query->path.data);
    return (struct route_match){route, w.exact, w.allowed};
}

void gust__route_tree_fini(struct route_tree *tree)
{
    struct route_node *n = tree->newest;

    while (n) {
        struct route_node *older = n->older;
        free(n->literals.slots);
        free(n);
        n = older;
    }
    free(tree->hosts.slots);
}
