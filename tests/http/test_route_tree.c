/* The routing tree against a reference that knows no tree, no precedence of parts and
 * no algebra: it has a small universe of requests, says of each whether a pattern matches
 * it, and takes "more specific" by its definition, a smaller set. */
#include "http/route_tree.h"
#include "tests/harness/test.h"

#include <gust/panic.h>

#include <stdio.h>
#include <stdlib.h>

/* --- The universe ------------------------------------------------------------- */

static const char *const names[] = {"a", "b", "c"};
static const gust_http_method methods[] = {GUST_HTTP_GET, GUST_HTTP_HEAD, GUST_HTTP_POST};
#define NAMES 3
#define METHODS 3

/* Deeper than the deepest pattern by one. */
#define PATTERN_DEPTH 3
#define PATH_DEPTH (PATTERN_DEPTH + 1)

/* 1 + 3 + 9 + 27 + 81 paths, each with and without a slash at the end but for "/". */
#define PATHS (2 * (1 + 3 + 9 + 27 + 81) - 1)

struct path {
    char text[2 * PATH_DEPTH + 2];
    int depth;
    int segment[PATH_DEPTH]; /* of names */
    bool slash;
};

static struct path universe[PATHS];

static void universe_init(void)
{
    size_t count = 0;

    for (int depth = 0, variants = 1; depth <= PATH_DEPTH; depth++, variants *= NAMES)
        for (int v = 0; v < variants * 2; v++) {
            if (depth == 0 && v == 0)
                continue;
            struct path *p = &universe[count++];
            char *text = p->text;
            p->depth = depth;
            p->slash = v % 2;
            for (int i = 0, rest = v / 2; i < depth; i++, rest /= NAMES) {
                p->segment[i] = rest % NAMES;
                text += sprintf(text, "/%s", names[p->segment[i]]);
            }
            if (p->slash)
                sprintf(text, "/");
        }
    CHECK_EQ(count, PATHS);
}

/* --- Patterns ------------------------------------------------------------------ */

enum { ANY_NAME = NAMES };
enum ending { ENDS_HERE, ENDS_IN_SLASH, ENDS_IN_END, ENDS_IN_REST, ENDINGS };

struct model {
    int method; /* of methods; METHODS: any */
    int depth;
    int segment[PATTERN_DEPTH]; /* of names, or ANY_NAME */
    enum ending ending;
};

/* xorshift64 */
static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static int random_below(uint64_t *state, int n)
{
    return (int)(random_next(state) % (uint64_t)n);
}

static struct model random_model(uint64_t *seed)
{
    struct model m = {.method = random_below(seed, METHODS + 1),
                      .depth = random_below(seed, PATTERN_DEPTH + 1)};

    for (int i = 0; i < m.depth; i++)
        m.segment[i] = random_below(seed, NAMES + 1);
    m.ending = (enum ending)random_below(seed, ENDINGS);
    if (m.depth == 0 && m.ending == ENDS_HERE)
        m.ending = ENDS_IN_SLASH;
    return m;
}

static void model_print(const struct model *m, char *text)
{
    static const char *const verbs[] = {"GET ", "HEAD ", "POST ", ""};
    static const char *const endings[] = {"", "/", "/{$}", "/{rest...}"};

    text += sprintf(text, "%s", verbs[m->method]);
    for (int i = 0; i < m->depth; i++)
        text += m->segment[i] == ANY_NAME ? sprintf(text, "/{w%d}", i)
                                          : sprintf(text, "/%s", names[m->segment[i]]);
    sprintf(text, "%s", endings[m->ending]);
}

static bool model_matches(const struct model *m, const struct path *p, int method)
{
    if (m->method != METHODS && m->method != method &&
        !(methods[m->method] == GUST_HTTP_GET && methods[method] == GUST_HTTP_HEAD))
        return false;
    if (p->depth < m->depth)
        return false;
    for (int i = 0; i < m->depth; i++)
        if (m->segment[i] != ANY_NAME && m->segment[i] != p->segment[i])
            return false;
    switch (m->ending) {
    case ENDS_HERE: return p->depth == m->depth && !p->slash;
    case ENDS_IN_END: return p->depth == m->depth && p->slash;
    case ENDS_IN_SLASH:
    case ENDS_IN_REST: return p->depth > m->depth || p->slash;
    case ENDINGS: break;
    }
    return false;
}

/* --- Routes ---------------------------------------------------------------------- */

#define ROUTES_MAX 40
#define REQUESTS (PATHS * METHODS)

struct reference {
    struct http_route route;
    struct model model;
    bool matches[REQUESTS];
    size_t size; /* requests it matches */
};

static void reference_init(struct reference *r, const struct model *m)
{
    char text[64];
    const char *why = NULL;

    model_print(m, text);
    memset(r, 0, sizeof(*r));
    r->model = *m;
    CHECK_EQ(gust__http_pattern_new(text, &r->route.pattern, &why), 0);
    for (int i = 0; i < REQUESTS; i++) {
        r->matches[i] = model_matches(m, &universe[i / METHODS], i % METHODS);
        r->size += r->matches[i];
    }
}

static size_t common(const struct reference *a, const struct reference *b)
{
    size_t n = 0;

    for (int i = 0; i < REQUESTS; i++)
        n += a->matches[i] && b->matches[i];
    return n;
}

static bool reference_conflict(const struct reference *a, const struct reference *b)
{
    size_t both = common(a, b);

    return both > 0 && (a->size == b->size || (both != a->size && both != b->size));
}

static const struct reference *reference_find(const struct reference *r, size_t count, int request)
{
    const struct reference *best = NULL;

    for (size_t i = 0; i < count; i++)
        if (r[i].matches[request] && (!best || r[i].size < best->size))
            best = &r[i];
    return best;
}

static uint64_t reference_allowed(const struct reference *r, size_t count, int path)
{
    uint64_t allowed = 0;

    for (size_t i = 0; i < count; i++)
        for (int m = 0; m < METHODS; m++)
            if (r[i].matches[path * METHODS + m])
                allowed |= METHOD_BIT(methods[m]);
    return allowed;
}

static struct route_match ask(const struct route_tree *tree, const struct path *p, int method)
{
    const struct route_query query = {.path = {p->text, strlen(p->text)},
                                      .method = methods[method]};

    return gust__route_tree_find(tree, &query);
}

/* The path has a slash at its end; the query says so in the other way. */
static struct route_match ask_for_slash(const struct route_tree *tree, const struct path *p,
                                        int method)
{
    const struct route_query query = {
        .path = {p->text, strlen(p->text) - 1}, .method = methods[method], .slash = true};

    return gust__route_tree_find(tree, &query);
}

static void compare(struct route_match m, const struct reference *expected, const struct path *p)
{
    if (m.route != (expected ? &expected->route : NULL))
        gust_panic("%s found %s instead of %s", p->text,
                   m.route ? m.route->pattern->text : "nothing",
                   expected ? expected->route.pattern->text : "nothing");
    if (expected)
        CHECK_EQ(m.exact, p->depth == expected->model.depth);
}

static void compare_all(const struct route_tree *tree, const struct reference *r, size_t count)
{
    for (int i = 0; i < REQUESTS; i++) {
        const struct path *p = &universe[i / METHODS];
        const struct reference *expected = reference_find(r, count, i);
        struct route_match m = ask(tree, p, i % METHODS);
        compare(m, expected, p);
        if (!expected)
            CHECK_EQ(m.allowed, reference_allowed(r, count, i / METHODS));
        if (p->slash && p->depth > 0)
            compare(ask_for_slash(tree, p, i % METHODS), expected, p);
    }
}

/* Adds random patterns, as long as they do not conflict, and asks for everything.  Of
 * few patterns, so that much is not found, or of many. */
static void one_round(uint64_t *seed)
{
    static struct reference r[ROUTES_MAX];
    struct route_tree tree = {.newest = NULL};
    size_t max = (size_t)random_below(seed, ROUTES_MAX) + 1;
    size_t count = 0;

    for (int tries = 0; tries < 3 * ROUTES_MAX && count < max; tries++) {
        struct model m = random_model(seed);
        bool conflict = false;
        reference_init(&r[count], &m);
        for (size_t i = 0; i < count; i++) {
            bool expected = reference_conflict(&r[i], &r[count]);
            CHECK_EQ(gust__http_pattern_conflict(r[i].route.pattern, r[count].route.pattern),
                     expected);
            conflict |= expected;
        }
        if (conflict)
            free(r[count].route.pattern);
        else
            CHECK_EQ(gust__route_tree_add(&tree, &r[count++].route), 0);
    }
    compare_all(&tree, r, count);
    gust__route_tree_fini(&tree);
    for (size_t i = 0; i < count; i++)
        free(r[i].route.pattern);
}

static uint64_t choose_seed(void)
{
    const char *given = getenv("GUST_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)gust_now();

    fprintf(stderr, "GUST_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed ? seed : 1;
}

#define ROUNDS 60

Test(route_tree, finds_what_the_reference_finds)
{
    uint64_t seed = choose_seed();

    universe_init();
    for (int i = 0; i < ROUNDS; i++)
        one_round(&seed);
}

/* --- Many ---------------------------------------------------------------------------- */

#define MANY 3000

static struct http_route *many_new(struct route_tree *tree)
{
    struct http_route *routes = calloc(MANY, sizeof(*routes));
    char text[64];
    const char *why;

    CHECK(routes);
    for (int i = 0; i < MANY; i++) {
        sprintf(text, i % 2 ? "/group%d/{x}/item%d" : "/group%d/x%d", i / 7, i);
        CHECK_EQ(gust__http_pattern_new(text, &routes[i].pattern, &why), 0);
        CHECK_EQ(gust__route_tree_add(tree, &routes[i]), 0);
    }
    return routes;
}

Test(route_tree, finds_each_of_many)
{
    struct route_tree tree = {.newest = NULL};
    struct http_route *routes = many_new(&tree);
    char text[64];

    for (int i = 0; i < MANY; i++) {
        sprintf(text, i % 2 ? "/group%d/any/item%d" : "/group%d/%%78%d", i / 7, i);
        struct route_query query = {.path = {text, strlen(text)}, .method = GUST_HTTP_PUT};
        cr_assert(gust__route_tree_find(&tree, &query).route == &routes[i], "%s", text);
        strcat(text, "x");
        query.path.len++;
        cr_assert(gust__route_tree_find(&tree, &query).route == NULL, "%s", text);
    }
    gust__route_tree_fini(&tree);
    for (int i = 0; i < MANY; i++)
        free(routes[i].pattern);
    free(routes);
}
