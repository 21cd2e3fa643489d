/* Searching for the highest rate that a server keeps up with. */
#ifndef GUST_LOAD_SWEEP_H
#define GUST_LOAD_SWEEP_H

#include "bench/load/report.h"

/* Runs the plan's load at plan->sweep_rate and twice the rate before it, as long as that is kept
 * up; then halves the interval between the highest rate that was kept up and the lowest that was
 * not, until they are close.
 *
 * Kept up is a rate at which nearly all requests that fall due are answered within the time,
 * all as expected, with a p99 of at most plan->sweep_p99_ns.
 *
 * *ret_best is the result of the highest rate kept up, or of the first step if none was; it and
 * the steps, of which there is at least one, are the caller's to free.  Returns false, and has
 * said why, if not even that can be run. */
bool sweep_run(const struct plan *p, const struct server *s, gust_context *stop,
               struct result **ret_best, struct step **ret_steps, size_t *ret_count);

/* The rate of the next step after these; 0: the search is over.  Pure. */
double sweep_next_rate(const struct step *steps, size_t count, double first);

#endif
