/* Methods by name, and sets of them. */
#ifndef GUST_HTTP_METHOD_H
#define GUST_HTTP_METHOD_H

#include <gust/http.h>

#define METHOD_COUNT (GUST_HTTP_SOURCE + 1)

/* A set has a bit for each of its methods. */
#define METHOD_BIT(method) (UINT64_C(1) << (method))
#define METHOD_ALL (METHOD_BIT(METHOD_COUNT) - 1)

/* False if the parser does not know the name, which is told apart by case. */
bool gust__http_method_find(gust_span name, gust_http_method *ret_method);

/* Room for every name in a list with ", " between them. */
#define METHOD_LIST_MAX (METHOD_COUNT * 13)

/* Writes the names of the set, and returns the length. */
size_t gust__http_method_list(uint64_t methods, char list[METHOD_LIST_MAX]);

#endif
