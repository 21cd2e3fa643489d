/* Which upstream gets a request.
 *
 * A member is fit if it is not draining, is up, and was not tried before for this request;
 * the policy picks among these, and takes a place.  One that has no place left is passed
 * over.  Where no other is left, those tried before are fit again.
 *
 * The consistent hash is rendezvous hashing: for each member, key and member make a number,
 * and the highest wins.  It looks at all members, which bounding their loads does anyway; in
 * return the keys are spread evenly without virtual nodes, a member that goes takes exactly
 * its own keys along, which then spread over all others, and there is no table to build.  A
 * ring needs a hundred points per member to be half as even, and gives all keys of a member
 * that has gone to its neighbours; Maglev's table moves some keys of others. */
#include "proxy/set.h"

#include <math.h>

struct picking {
    struct proxy_set *set;
    const struct pick *pick;
    bool again; /* also those that were tried */
    bool full;  /* some were fit but had no place */
};

static bool was_tried(const struct picking *p, const struct upstream *u)
{
    for (unsigned i = 0; i < p->pick->tried_count; i++)
        if (p->pick->tried[i] == u)
            return true;
    return false;
}

static bool is_fit(const struct picking *p, const struct member *m)
{
    return !m->draining && gust__health_is_up(&m->upstream->health, &p->set->health) &&
           (p->again || !was_tried(p, m->upstream));
}

static struct upstream *enter(struct picking *p, const struct member *m)
{
    if (m && gust__upstream_enter(m->upstream))
        return m->upstream;
    p->full |= m != NULL;
    return NULL;
}

/* True if a has less to do than b, for its weight. */
static bool has_less(const struct member *a, const struct member *b)
{
    return (uint64_t)upstream_in_flight(a->upstream) * b->weight <
           (uint64_t)upstream_in_flight(b->upstream) * a->weight;
}

static uint32_t next_turn(struct proxy_set *set)
{
    return atomic_fetch_add_explicit(&set->next_turn, 1, memory_order_relaxed);
}

static const struct member *member_at(const struct proxy_set *set, uint64_t turn)
{
    return &set->members[set->turns[turn % set->turn_count]];
}

/* --- Round robin --------------------------------------------------------------- */

/* Who finds an unfit member takes another turn from the common counter, instead of the one
 * that follows: else whoever stands behind the unfit one would have its turns as well. */
static struct upstream *pick_in_turn(struct picking *p)
{
    for (size_t i = 0; i < p->set->turn_count; i++) {
        const struct member *m = member_at(p->set, next_turn(p->set));
        struct upstream *u = is_fit(p, m) ? enter(p, m) : NULL;
        if (u)
            return u;
    }
    return NULL;
}

/* --- Least connections ------------------------------------------------------------ */

/* Of equals, the first from a place that moves on with each request. */
static struct upstream *pick_least(struct picking *p)
{
    size_t start = next_turn(p->set);
    const struct member *best = NULL;

    for (size_t i = 0; i < p->set->count; i++) {
        const struct member *m = &p->set->members[(start + i) % p->set->count];
        if ((!best || has_less(m, best)) && is_fit(p, m))
            best = m;
    }
    return enter(p, best);
}

/* --- Two choices -------------------------------------------------------------------- */

#define CHOICES_MAX 8 /* draws for two that are fit */

static uint64_t next_random(uint64_t x)
{
    x ^= x << 13;
    x ^= x >> 7;
    return x ^ (x << 17);
}

/* Turns are drawn, so that weights count; among a few members one may be drawn again and
 * again, and then it has it. */
static struct upstream *pick_of_two(struct picking *p)
{
    const struct member *first = NULL, *second = NULL;
    uint64_t x = p->pick->random | 1;

    for (int i = 0; i < CHOICES_MAX && !second; i++, x = next_random(x)) {
        const struct member *m = member_at(p->set, x >> 16);
        if (m == first || !is_fit(p, m))
            continue;
        if (!first)
            first = m;
        else
            second = m;
    }
    if (second && has_less(second, first)) {
        const struct member *m = first;
        first = second;
        second = m;
    }
    struct upstream *u = enter(p, first);
    return u ? u : enter(p, second);
}

/* --- Consistent hash ------------------------------------------------------------------ */

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t h = (a ^ b) * UINT64_C(0x9e3779b97f4a7c15);

    h = (h ^ (h >> 32)) * UINT64_C(0xd6e8feb86659fd93);
    return h ^ (h >> 32);
}

/* Shares by weight: the logarithmic method (Schindelhauer and Schomaker).  With equal weights
 * the number itself has the same order. */
static double score(const struct proxy_set *set, const struct member *m, uint64_t key)
{
    uint64_t h = mix(m->upstream->hash, key) >> 11; /* what a double holds exactly */

    if (set->equal_weights)
        return (double)h;
    return -(double)m->weight / log(((double)h + 0.5) / (double)(UINT64_C(1) << 53));
}

struct load {
    uint64_t in_flight; /* the new request with it */
    uint64_t weight;
};

static struct load load_of_fit(const struct picking *p)
{
    struct load load = {1, 0};

    for (size_t i = 0; i < p->set->count; i++) {
        const struct member *m = &p->set->members[i];
        if (!is_fit(p, m))
            continue;
        load.in_flight += upstream_in_flight(m->upstream);
        load.weight += m->weight;
    }
    return load;
}

/* There is always one that is not: somebody has less than the average. */
static bool is_above_bound(const struct member *m, struct load load)
{
    uint64_t share = load.in_flight * m->weight * SET_HASH_LOAD_PERCENT;
    uint64_t bound = (share + load.weight * 100 - 1) / (load.weight * 100);

    return upstream_in_flight(m->upstream) >= bound;
}

static struct upstream *pick_by_key(struct picking *p)
{
    struct load load = load_of_fit(p);
    const struct member *best = NULL;
    double best_score = 0;

    for (size_t i = 0; i < p->set->count; i++) {
        const struct member *m = &p->set->members[i];
        if (!is_fit(p, m) || load.weight == 0 || is_above_bound(m, load))
            continue;
        double s = score(p->set, m, p->pick->key);
        if (!best || s > best_score) {
            best = m;
            best_score = s;
        }
    }
    return enter(p, best);
}

/* --- All of them ------------------------------------------------------------------------ */

static struct upstream *pick_by_policy(struct picking *p)
{
    switch (p->set->balance) {
    case GUST_HTTP_ROUND_ROBIN: return pick_in_turn(p);
    case GUST_HTTP_LEAST_CONNECTIONS: return pick_least(p);
    case GUST_HTTP_TWO_CHOICES: return pick_of_two(p);
    case GUST_HTTP_CONSISTENT_HASH: return pick_by_key(p);
    }
    return NULL;
}

/* Whoever is fit and has a place: for the policies that look at a few only. */
static struct upstream *pick_any(struct picking *p)
{
    size_t start = next_turn(p->set);

    for (size_t i = 0; i < p->set->count; i++) {
        const struct member *m = &p->set->members[(start + i) % p->set->count];
        struct upstream *u = is_fit(p, m) ? enter(p, m) : NULL;
        if (u)
            return u;
    }
    return NULL;
}

enum pick_result gust__set_pick(struct proxy_set *set, const struct pick *pick,
                                struct upstream **ret_upstream)
{
    struct picking p = {set, pick, false, false};
    struct upstream *u = NULL;

    if (set->turn_count > 0) {
        u = pick_by_policy(&p);
        if (!u)
            u = pick_any(&p);
    }
    if (!u && pick->tried_count > 0) {
        p.again = true;
        u = pick_any(&p);
    }
    if (!u)
        return p.full ? PICK_FULL : PICK_NONE;
    *ret_upstream = u;
    return PICK_OK;
}
