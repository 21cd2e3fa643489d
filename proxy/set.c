#include "proxy/set.h"

#include "core/inject.h"

#include <stdlib.h>
#include <string.h>

/* --- Turns --------------------------------------------------------------------- */

static unsigned gcd(unsigned a, unsigned b)
{
    while (b > 0) {
        unsigned rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* How many turns each member has in a round; returns their sum. */
static size_t count_turns(const struct proxy_set *set, unsigned *ret_turns)
{
    size_t sum = 0, turns = 0;
    unsigned divisor = 0;

    for (size_t i = 0; i < set->count; i++) {
        ret_turns[i] = set->members[i].draining ? 0 : set->members[i].weight;
        divisor = gcd(divisor, ret_turns[i]);
        sum += ret_turns[i];
    }
    for (size_t i = 0; i < set->count && divisor > 0; i++) {
        unsigned n = ret_turns[i] / divisor;
        if (sum / divisor > SET_TURNS_MAX)
            n = (unsigned)((uint64_t)ret_turns[i] * SET_TURNS_MAX / sum) + (ret_turns[i] > 0);
        ret_turns[i] = n;
        turns += n;
    }
    return turns;
}

/* Nginx's smooth weighted round robin, run once beforehand: at each turn everybody gets his
 * weight in credit, and who has most has the turn and pays for it all.  So the turns of one
 * are spread out: with weights 5, 1, 1 it is A A B A C A A. */
static void spread_turns(struct proxy_set *set, const unsigned *weights, int64_t *credits)
{
    for (size_t turn = 0; turn < set->turn_count; turn++) {
        size_t best = 0;
        for (size_t i = 0; i < set->count; i++) {
            credits[i] += weights[i];
            if (credits[i] > credits[best])
                best = i;
        }
        credits[best] -= (int64_t)set->turn_count;
        set->turns[turn] = (uint16_t)best;
    }
}

static int make_turns(struct proxy_set *set)
{
    unsigned weights[GUST_HTTP_PROXY_UPSTREAMS_MAX];
    int64_t credits[GUST_HTTP_PROXY_UPSTREAMS_MAX] = {0};

    set->turn_count = count_turns(set, weights);
    set->turns = gust__malloc((set->turn_count + 1) * sizeof(*set->turns));
    if (!set->turns)
        return -ENOMEM;
    spread_turns(set, weights, credits);
    return 0;
}

/* --- Life ------------------------------------------------------------------------ */

static bool has_equal_weights(const struct proxy_set *set)
{
    for (size_t i = 1; i < set->count; i++)
        if (set->members[i].weight != set->members[0].weight)
            return false;
    return true;
}

int gust__set_new(gust_http_balance balance, const struct health_limits *health,
                  const struct member *members, size_t count, struct proxy_set **ret_set)
{
    struct proxy_set *set = gust__aligned_alloc(_Alignof(struct proxy_set), sizeof(*set));

    if (!set)
        return -ENOMEM;
    *set = (struct proxy_set){.balance = balance, .health = *health};
    set->members = gust__malloc(count * sizeof(*members));
    if (!set->members)
        goto nomem;
    for (set->count = 0; set->count < count; set->count++) {
        set->members[set->count] = members[set->count];
        gust__upstream_own(members[set->count].upstream);
    }
    set->equal_weights = has_equal_weights(set);
    if (make_turns(set) < 0)
        goto nomem;
    *ret_set = set;
    return 0;

nomem:
    gust__set_free(set);
    return -ENOMEM;
}

void gust__set_free(struct proxy_set *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->count; i++)
        gust__upstream_disown(set->members[i].upstream);
    free(set->members);
    free(set->turns);
    free(set);
}
