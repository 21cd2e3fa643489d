/* One run: connections that open, load that is measured, and what came of it. */
#ifndef GUST_LOAD_RUN_H
#define GUST_LOAD_RUN_H

#include "bench/load/worker.h"

#include <gust/context.h>

/* A piece of the measured time, about a second long; the last one may be shorter. */
struct second {
    double at_s; /* when it ended, from the begin of what is measured */
    double length_s;
    uint64_t answers;
    uint64_t errors;
    uint64_t received;
    int64_t p50_ns, p90_ns, p99_ns, max_ns;
};

struct result {
    double rate;       /* that was asked for; 0: a closed loop */
    double duration_s; /* how long requests that count were begun, and with a maximum number of
                          requests until the last one had its answer */
    double rps;        /* answers within that time, per second */
    double cpu_s;      /* what this program took meanwhile, on all CPUs */
    bool interrupted;
    struct totals totals;
    char why[OUTCOMES][WHY_MAX]; /* the first request of each kind failed; "" if it is not known */
    struct second *seconds;
    size_t second_count;
};

/* Runs the plan's load, at this rate or in a closed loop (0).  If `stop` is cancelled the run
 * ends, and what has been counted until then is its result.  The result is freed by run_free.
 * Returns false, and has said why, if it cannot start. */
bool run_load(const struct plan *p, const struct server *s, double rate, gust_context *stop,
              struct result **ret_result);

/* NULL is accepted. */
void run_free(struct result *r);

#endif
