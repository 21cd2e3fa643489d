/* The upstreams that requests are shared out to, and how; made once for a configuration, and
 * never changed after that.
 *
 * balance.c picks; a set belongs to a configuration (proxy/config.h). */
#ifndef GUST_PROXY_SET_H
#define GUST_PROXY_SET_H

#include "proxy/upstream.h"

struct member {
    struct upstream *upstream; /* owned */
    unsigned weight;
    bool draining;
};

/* The turns of a round: so many at most, and one more for each member that would have
 * none.  Weights that need more are rounded. */
#define SET_TURNS_MAX 4096

/* With a consistent hash no member has more than so much of its share of what is in flight
 * (Mirrokni, Thorup, Zadimoghaddam: "Consistent Hashing with Bounded Loads"). */
#define SET_HASH_LOAD_PERCENT 125

struct proxy_set {
    gust_http_balance balance;
    struct health_limits health;

    size_t count;
    struct member *members; /* in the order of the options */
    size_t turn_count;      /* 0: all are draining */
    uint16_t *turns;        /* indices of members */
    bool equal_weights;

    /* Takers of turns write here, and to nothing else of the set. */
    _Alignas(64) _Atomic uint32_t next_turn;
};

/* Makes a set of upstreams, each of which it becomes an owner of; weights are from 1 on.
 * Errors: -ENOMEM. */
int gust__set_new(gust_http_balance balance, const struct health_limits *health,
                  const struct member *members, size_t count, struct proxy_set **ret_set);

/* NULL is accepted. */
void gust__set_free(struct proxy_set *set);

/* --- balance.c --- */

enum pick_result {
    PICK_OK,
    PICK_NONE, /* no upstream is up */
    PICK_FULL, /* some are, and have as much as they may */
};

struct pick {
    uint64_t random;
    uint64_t key; /* for a consistent hash */
    /* Asked before, and so only if there is no other. */
    struct upstream *const *tried;
    unsigned tried_count;
};

/* Picks an upstream and takes a place of it for the caller.  Nearly always a few loads and
 * two additions; no lock. */
enum pick_result gust__set_pick(struct proxy_set *set, const struct pick *pick,
                                struct upstream **ret_upstream);

#endif
