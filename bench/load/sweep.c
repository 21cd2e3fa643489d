#include "bench/load/sweep.h"

#include <stdlib.h>

/* What has to be answered within the time. */
#define KEPT_UP 0.95
/* The search ends when the rates that bound the highest one differ by less. */
#define CLOSE_ENOUGH 1.05

/* --- Which rates ----------------------------------------------------------------------------- */

static double highest_kept_up(const struct step *steps, size_t count)
{
    double rate = 0;
    for (size_t i = 0; i < count; i++)
        if (steps[i].is_kept_up && steps[i].rate > rate)
            rate = steps[i].rate;
    return rate;
}

/* 0: none was. */
static double lowest_too_high(const struct step *steps, size_t count)
{
    double rate = 0;
    for (size_t i = 0; i < count; i++)
        if (!steps[i].is_kept_up && (rate == 0 || steps[i].rate < rate))
            rate = steps[i].rate;
    return rate;
}

double sweep_next_rate(const struct step *steps, size_t count, double first)
{
    double low = highest_kept_up(steps, count), high = lowest_too_high(steps, count);
    if (count == 0)
        return first;
    if (count == SWEEP_STEPS_MAX || low == 0)
        return 0;
    if (high == 0)
        return low * 2 <= RATE_MAX ? low * 2 : 0;
    return high / low > CLOSE_ENOUGH ? (low + high) / 2 : 0;
}

/* --- Running ----------------------------------------------------------------------------------- */

static bool is_kept_up(const struct plan *p, const struct result *r)
{
    const struct totals *t = &r->totals;
    double answered = r->rps * r->duration_s;
    return totals_requests(t) > 0 && totals_errors(t) == 0 &&
           answered >= KEPT_UP * (double)totals_requests(t) &&
           (p->sweep_p99_ns == 0 || counts_percentile(&t->latency, 99) <= p->sweep_p99_ns);
}

static struct step step_of(const struct plan *p, const struct result *r)
{
    const struct counts *c = &r->totals.latency;
    return (struct step){.rate = r->rate,
                         .rps = r->rps,
                         .p50_ns = counts_percentile(c, 50),
                         .p99_ns = counts_percentile(c, 99),
                         .errors = totals_errors(&r->totals),
                         .is_kept_up = !r->interrupted && is_kept_up(p, r)};
}

/* Keeps the better of the two results, and frees the other. */
static void keep_best(struct result **best, struct result *r, bool is_better)
{
    struct result *worse = *best && !is_better ? r : *best;
    if (worse != r)
        *best = r;
    run_free(worse);
}

bool sweep_run(const struct plan *p, const struct server *s, gust_context *stop,
               struct result **ret_best, struct step **ret_steps, size_t *ret_count)
{
    struct step *steps = calloc(SWEEP_STEPS_MAX, sizeof *steps);
    struct result *best = NULL, *r;
    size_t count = 0;
    double rate;

    while (steps && gust_context_err(stop) == 0 &&
           (rate = sweep_next_rate(steps, count, p->sweep_rate)) > 0 &&
           run_load(p, s, rate, stop, &r)) {
        steps[count] = step_of(p, r);
        keep_best(&best, r, steps[count].is_kept_up && rate > highest_kept_up(steps, count));
        count++;
    }
    if (!best) {
        free(steps);
        return false;
    }
    *ret_best = best;
    *ret_steps = steps;
    *ret_count = count;
    return true;
}
