/* How long things take: a log-linear histogram of microseconds, as HdrHistogram has it.
 *
 * Eight buckets for each power of two, so a value is known to an eighth of itself; what is
 * longer than HISTOGRAM_MAX_US counts as that.  Two windows: values are counted in the one
 * that began last, and read from both, so a percentile is of the last one to two windows.
 *
 * Counting is one addition, by anybody.  A value that is counted while the windows change
 * may be lost, or be found in the wrong one. */
#ifndef GUST_PROXY_HISTOGRAM_H
#define GUST_PROXY_HISTOGRAM_H

#include "core/log_linear.h"

#include <gust/base.h>

#include <stdatomic.h>

#define HISTOGRAM_WINDOW_NS (30 * GUST_SEC)
#define HISTOGRAM_BITS 3
#define HISTOGRAM_MAX_BITS 27
#define HISTOGRAM_MAX_US ((UINT64_C(1) << HISTOGRAM_MAX_BITS) - 1) /* 134 s */
#define HISTOGRAM_BUCKETS LOG_LINEAR_BUCKETS(HISTOGRAM_BITS, HISTOGRAM_MAX_BITS)

struct histogram_window {
    _Atomic uint32_t counts[HISTOGRAM_BUCKETS];
};

/* All zeroes is an empty one. */
struct histogram {
    _Atomic gust_time window_ends;
    _Atomic unsigned filling; /* which of the windows */
    struct histogram_window windows[2];
};

/* `now` says which window it is. */
void gust__histogram_add(struct histogram *h, int64_t ns, gust_time now);

/* What was counted, in order not to change while it is looked at. */
struct histogram_counts {
    uint64_t total;
    uint64_t counts[HISTOGRAM_BUCKETS];
};

void gust__histogram_read(struct histogram *h, gust_time now, struct histogram_counts *ret_counts);

/* The time, in ns, that `per_mille` of the values do not exceed; 0 if there are none. */
int64_t gust__histogram_percentile(const struct histogram_counts *counts, unsigned per_mille);

#endif
