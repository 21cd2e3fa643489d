/* Dialling by name: which addresses, in which order, with how much time. */
#include <errno.h>
#include <string.h>

#include "core/waitq.h"
#include "net/dial_name.h"
#include "net/resolve.h"

/* Less is not worth an attempt, as Go has it. */
#define SHARE_MIN (2 * GUST_SEC)

gust_time gust__dial_share(gust_time now, gust_time deadline, size_t left)
{
    if (deadline == GUST_FOREVER || deadline <= now)
        return deadline;
    int64_t rest = deadline - now;
    int64_t share = rest / (int64_t)left;
    if (share < SHARE_MIN)
        share = rest < SHARE_MIN ? rest : SHARE_MIN;
    return now + share;
}

/* Moves list[from] to `to`, and what is between up by one. */
static void move_forward(gust_addr *list, size_t from, size_t to)
{
    gust_addr moved = list[from];
    memmove(&list[to + 1], &list[to], (from - to) * sizeof *list);
    list[to] = moved;
}

void gust__dial_interleave(gust_addr *list, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        size_t other = i;
        while (other < count && list[other].any.sa_family == list[i - 1].any.sa_family)
            other++;
        if (other == count)
            return; /* only one family is left */
        move_forward(list, other, i);
    }
}

static int resolve(const char *name, const gust_dial_options *options, gust_time deadline,
                   gust_addrs **ret_addrs)
{
    gust_resolve_options how = {.family = options->family};
    if (options->local) {
        int family = options->local->any.sa_family;
        if (how.family && how.family != family)
            return -EINVAL;
        how.family = family;
    }
    return gust_resolve_text(name, &how, deadline, ret_addrs);
}

static const gust_dial_options defaults;

int gust_dial_addrs(gust_addrs *addrs, const gust_dial_options *options, gust_time deadline,
                    gust_conn **ret_conn)
{
    if (!options)
        options = &defaults;
    const size_t max = options->attempts_max ? options->attempts_max : GUST_DIAL_ATTEMPTS;
    const int64_t delay_ns =
        options->attempt_delay_ns ? options->attempt_delay_ns : GUST_DIAL_ATTEMPT_DELAY;
    const gust__dial_how how = {.local = options->local, .tcp = options->tcp};
    gust__dial_interleave(addrs->list, addrs->count);
    size_t count = addrs->count < max ? addrs->count : max;
    if (count == 1 || deadline_passed(deadline))
        return gust__dial_attempt(&addrs->list[0], &how, deadline, ret_conn);
    return gust__dial_race(addrs->list, count, &how, delay_ns, deadline, ret_conn);
}

int gust_dial(const char *name, const gust_dial_options *options, gust_time deadline,
              gust_conn **ret_conn)
{
    gust_addrs *addrs;
    if (!options)
        options = &defaults;
    int error = resolve(name, options, deadline, &addrs);
    if (error)
        return error;
    error = gust_dial_addrs(addrs, options, deadline, ret_conn);
    gust_addrs_free(addrs);
    return error;
}
