/* Methods by name.  The names are llhttp's, as the numbers are. */
#include "http/method.h"

#include <llhttp.h>
#include <string.h>

bool gust__http_method_find(gust_span name, gust_http_method *ret_method)
{
    for (unsigned i = 0; i < METHOD_COUNT; i++) {
        const char *known = llhttp_method_name((llhttp_method_t)i);
        if (strlen(known) == name.len && memcmp(known, name.data, name.len) == 0) {
            *ret_method = (gust_http_method)i;
            return true;
        }
    }
    return false;
}

size_t gust__http_method_list(uint64_t methods, char list[METHOD_LIST_MAX])
{
    size_t n = 0;

    for (unsigned i = 0; i < METHOD_COUNT; i++) {
        if (!(methods & METHOD_BIT(i)))
            continue;
        const char *name = llhttp_method_name((llhttp_method_t)i);
        if (n > 0) {
            memcpy(list + n, ", ", 2);
            n += 2;
        }
        memcpy(list + n, name, strlen(name));
        n += strlen(name);
    }
    return n;
}
