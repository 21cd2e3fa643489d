/* Where a router finds its routes: a tree per host, a level per segment.
 *
 * A node knows its children by literal in a hash table, so a look-up costs time in the
 * length of the path and not in the number of routes.  Methods are told apart at the
 * end: what ends at a node is a short list, from the fewest methods to the most.
 *
 * At each node the literal is tried first, then the wildcard, then the rest of the path;
 * the first route that is found is the most specific one.  Suppose that another one, T,
 * matched as well: where the two part, T has the more general segment.  Since they do
 * not conflict, T is then more general as a whole.  (Go's routing tree has the methods
 * above the paths, and so walks once for each that may fit.)
 *
 * Literals are stored decoded and requests are decoded as they are hashed and compared:
 * a look-up needs no memory, and "%2F" splits nothing. */
#ifndef GUST_HTTP_ROUTE_TREE_H
#define GUST_HTTP_ROUTE_TREE_H

#include "http/pattern.h"

struct http_route {
    struct http_pattern *pattern;
    gust_http_handler *handler;
    void *arg;
    struct http_route *next;  /* that ends at the same place */
    struct http_route *older; /* of the router */
};

struct route_node;

/* Open addressing, at most half full.  Always: the size is 0 or a power of two. */
struct route_table {
    struct route_node **slots;
    size_t size;
    size_t count;
};

struct route_tree {
    struct route_table hosts; /* by name: the roots of their trees */
    struct route_node *any_host;
    struct route_node *newest; /* of all nodes */
};

/* Enters a route that conflicts with none.  Errors: -ENOMEM, and it is not entered. */
int gust__route_tree_add(struct route_tree *tree, struct http_route *route);

struct route_query {
    gust_span host; /* as it came: with a port, in any case; data may be NULL */
    gust_span path; /* clean */
    gust_http_method method;
    bool slash; /* read the path, which has none at its end, as if it had one */
};

struct route_match {
    const struct http_route *route; /* NULL: none */
    bool exact;       /* the route is for this path, not for what lies below another */
    uint64_t allowed; /* without a route: the methods that would have found one */
};

struct route_match gust__route_tree_find(const struct route_tree *tree,
                                         const struct route_query *query);

/* Frees the nodes; the routes are the caller's. */
void gust__route_tree_fini(struct route_tree *tree);

#endif
