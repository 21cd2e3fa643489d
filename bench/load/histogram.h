/* How long things took: a log-linear histogram of nanoseconds that many goroutines count in.
 *
 * 128 buckets for each power of two, so a value is known to 0.8 % of itself; what is longer
 * than HISTOGRAM_MAX_NS counts as that.  Counting is one relaxed addition: a reader sees
 * every value that was counted before whatever else tells it so, others perhaps. */
#ifndef GUST_LOAD_HISTOGRAM_H
#define GUST_LOAD_HISTOGRAM_H

#include "core/log_linear.h"

#include <gust/base.h>
#include <stdatomic.h>

#define HISTOGRAM_BITS 7
#define HISTOGRAM_MAX_BITS 42
#define HISTOGRAM_MAX_NS (((int64_t)1 << HISTOGRAM_MAX_BITS) - 1) /* 73 minutes */
#define HISTOGRAM_BUCKETS LOG_LINEAR_BUCKETS(HISTOGRAM_BITS, HISTOGRAM_MAX_BITS)

/* All zeroes is an empty one. */
struct histogram {
    _Atomic int64_t max_ns;
    _Atomic uint64_t counts[HISTOGRAM_BUCKETS];
};

/* From any goroutine. */
void histogram_add(struct histogram *h, int64_t ns);

/* What was counted, by one or several: nobody counts in it any more. */
struct counts {
    uint64_t total;
    int64_t max_ns;
    uint64_t counts[HISTOGRAM_BUCKETS];
};

void counts_add(struct counts *c, struct histogram *h);

/* What `now` has more than `before`.  The longest is known to its bucket. */
void counts_since(const struct counts *now, const struct counts *before, struct counts *ret_counts);

/* The time that `percent` of the values do not exceed; 0 if there are none. */
int64_t counts_percentile(const struct counts *c, double percent);

int64_t counts_mean(const struct counts *c);

/* How many values are at most ns, to the precision of a bucket. */
uint64_t counts_up_to(const struct counts *c, int64_t ns);

#endif
