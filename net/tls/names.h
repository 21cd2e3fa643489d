/* Which certificate for which name: the names of all certificates, sorted.  Bytes in,
 * numbers out; knows nothing of OpenSSL. */
#ifndef GUST_NET_TLS_NAMES_H
#define GUST_NET_TLS_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#define GUST__NAME_MAX 255 /* bytes of a host name */

typedef struct gust__name {
    char *text; /* lower case; "*.example.org" is a wildcard */
    size_t identity;
} gust__name;

/* Zeroes are the empty table. */
typedef struct gust__names {
    gust__name *list;
    size_t count;
    size_t cap;
} gust__names;

/* Adds a name of a certificate; one that no client can ask for (empty, too long, with a
 * NUL, with a '*' that is not the whole first label) is left out.  Errors: -ENOMEM. */
int gust__names_add(gust__names *names, const char *text, size_t len, size_t identity);

/* After the last add and before the first find. */
void gust__names_sort(gust__names *names);

/* The entries for `host`, those of the exact name or else those of the wildcard, in
 * the order of their identities.  NULL if there is none; *ret_count is 0 then. */
const gust__name *gust__names_find(const gust__names *names, const char *host, size_t *ret_count);

void gust__names_free(gust__names *names);

#endif
