#include "bench/load/pace.h"

#include <gust/timer.h>

/* --- The time that counts ------------------------------------------------------------------ */

static gust_time begin_of(const struct pace *p)
{
    return atomic_load_explicit(&p->begin, memory_order_relaxed);
}

static gust_time end_of(const struct pace *p)
{
    return atomic_load_explicit(&p->end, memory_order_relaxed);
}

void pace_init(struct pace *p, const struct plan *plan, double rate)
{
    *p = (struct pace){.plan = plan, .rate = rate};
    atomic_init(&p->begin, GUST_FOREVER);
    atomic_init(&p->end, GUST_FOREVER);
    atomic_init(&p->counted, 0);
}

void pace_start(struct pace *p, gust_time now)
{
    const struct plan *plan = p->plan;
    gust_time begin = now + plan->warm_up_ns;
    int64_t length = plan->duration_ns > 0 ? plan->duration_ns : TIME_MAX;

    arrivals_init(&p->arrivals, p->rate > 0 ? p->rate : 1, !plan->constant, plan->seed, now);
    atomic_store_explicit(&p->end, begin + length, memory_order_relaxed);
    atomic_store_explicit(&p->begin, begin, memory_order_relaxed);
}

/* --- Closed loop ----------------------------------------------------------------------------- */

/* How many of `wanted` requests there are left to do. */
static unsigned take_counted(struct pace *p, unsigned wanted)
{
    uint64_t max = p->plan->requests;
    uint64_t before = atomic_fetch_add_explicit(&p->counted, wanted, memory_order_relaxed);
    if (before >= max)
        return 0;
    return max - before < wanted ? (unsigned)(max - before) : wanted;
}

static unsigned next_closed(struct pace *p, gust_time now, gust_time *starts)
{
    unsigned count = p->plan->pipeline;
    if (now >= end_of(p))
        return 0;
    if (p->plan->requests > 0 && now >= begin_of(p))
        count = take_counted(p, count);
    for (unsigned i = 0; i < count; i++)
        starts[i] = now;
    return count;
}

/* --- Open loop ------------------------------------------------------------------------------- */

/* The end has come, for everybody, with some that are not sent. */
static void give_up_rest(struct pace *p, struct tally *tally)
{
    tally_add(&tally->outcomes[OUTCOME_UNSENT], arrivals_before(&p->arrivals, end_of(p)));
    p->is_over = true;
}

/* May the next one be taken? */
static bool is_left(struct pace *p, gust_time due)
{
    uint64_t max = p->plan->requests;
    if (due >= end_of(p) || (max > 0 && atomic_load(&p->counted) >= max))
        p->is_over = true;
    return !p->is_over;
}

static gust_time take_one(struct pace *p)
{
    gust_time due = arrivals_take(&p->arrivals);
    if (due >= begin_of(p))
        atomic_fetch_add_explicit(&p->counted, 1, memory_order_relaxed);
    return due;
}

/* One, whenever it is due, and more that are due already. */
static unsigned take_due_locked(struct pace *p, gust_time now, gust_time *starts,
                                struct tally *tally)
{
    unsigned count = 0;
    gust_time due = arrivals_due(&p->arrivals);

    if (!p->is_over && due < end_of(p) && now >= end_of(p) + PACE_GRACE_NS)
        give_up_rest(p, tally);
    while (count < p->plan->pipeline && (count == 0 || due <= now) && is_left(p, due)) {
        starts[count++] = take_one(p);
        due = arrivals_due(&p->arrivals);
    }
    return count;
}

static unsigned sleep_until_due(struct pace *p, gust_time *now, gust_time due, struct tally *tally)
{
    if (gust_sleep_until(due) < 0)
        return 0;
    *now = gust_now();
    if (pace_counts(p, due))
        histogram_add(&tally->late, *now - due);
    return 1;
}

static unsigned next_open(struct pace *p, gust_time *now, gust_time *starts, struct tally *tally)
{
    gust_mutex_lock(&p->mutex);
    unsigned count = take_due_locked(p, *now, starts, tally);
    gust_mutex_unlock(&p->mutex);
    if (count > 0 && starts[0] > *now)
        return sleep_until_due(p, now, starts[0], tally);
    for (unsigned i = 0; i < count; i++)
        if (pace_counts(p, starts[i]))
            tally_add(&tally->waited, 1);
    return count;
}

unsigned pace_next(struct pace *p, gust_time *now, gust_time *starts, struct tally *tally)
{
    return p->rate > 0 ? next_open(p, now, starts, tally) : next_closed(p, *now, starts);
}
