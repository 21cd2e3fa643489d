/* Names inside: what host_port.c and addr.c (text), resolve.c (who asks), lookup.c (who
 * answers) and resolve_cache.c share. */
#ifndef GUST_NET_RESOLVE_H
#define GUST_NET_RESOLVE_H

#include <gust/resolve.h>
#include <sys/queue.h>

/* --- addr.c ---------------------------------------------------------------- */

/* An address without a port: "127.0.0.1", "::1", "fe80::1%eth0".  The port becomes 0. */
bool gust__addr_parse_literal(gust_span host, gust_addr *ret_addr);

/* A decimal number of at most 5 digits, and no more than 65535. */
bool gust__port_parse(gust_span text, uint16_t *ret_port);

/* Of either family. */
void gust__addr_set_port(gust_addr *addr, uint16_t port);

/* --- Questions ------------------------------------------------------------- */

typedef struct gust__question {
    const char *host; /* "": this machine */
    const char *service;
    int family;
    int socktype;
    int flags;
} gust__question;

bool gust__question_same(const gust__question *a, const gust__question *b);

/* Room for the texts of a question, and the question with its texts there. */
size_t gust__question_room(const gust__question *q);
gust__question gust__question_copy(const gust__question *q, char *room);

/* NULL: no memory. */
gust_addrs *gust__addrs_copy(const gust_addrs *addrs);

/* --- lookup.c -------------------------------------------------------------- */

/* Has the system answer, or joins a lookup of the same question, and waits for it. */
int gust__lookup(const gust__question *q, gust_time deadline, gust_addrs **ret_addrs);

/* getaddrinfo and freeaddrinfo, unless a test has put others here; called in a blocking
 * section. */
typedef struct gust__system_resolver {
    int (*get)(const char *host, const char *service, const struct addrinfo *hints,
               struct addrinfo **ret_list);
    void (*free)(struct addrinfo *list);
} gust__system_resolver;

extern gust__system_resolver gust__system_resolver_now;

/* --- resolve_system.c ------------------------------------------------------ */

/* Asks the system and waits for it on this thread; any thread. */
int gust__system_resolve(const gust__question *q, gust_addrs **ret_addrs);

/* --- resolve_cache.c: answers of the system --------------------------------- */

#define GUST__CACHE_BUCKETS 256

typedef struct gust__answer gust__answer;

/* All zeroes: an empty one that keeps nothing.  Whose it is keeps others out. */
typedef struct gust__cache {
    int64_t keep_ns; /* 0: it keeps nothing */
    uint32_t max;
    uint32_t count;
    STAILQ_HEAD(gust__answers, gust__answer) by_age; /* the oldest first */
    LIST_HEAD(gust__bucket, gust__answer) buckets[GUST__CACHE_BUCKETS];
} gust__cache;

/* Empties it. */
void gust__cache_setup(gust__cache *c, int64_t keep_ns, uint32_t max);

/* An answer that is young enough at `now`, the cache's until its next call; or NULL. */
const gust_addrs *gust__cache_get(gust__cache *c, const gust__question *q, gust_time now);

/* Keeps a copy, if there is memory for it and no answer that is young enough yet. */
void gust__cache_put(gust__cache *c, const gust__question *q, const gust_addrs *addrs,
                     gust_time now);

#endif
