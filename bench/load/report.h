/* What is told of a result, in each form. */
#ifndef GUST_LOAD_REPORT_H
#define GUST_LOAD_REPORT_H

#include "bench/load/run.h"

#include <stdio.h>

/* The percentiles that every report has. */
#define REPORT_PERCENTILES 6
extern const double report_percentiles[REPORT_PERCENTILES];
/* "p50", "p99.9" ... */
extern const char *const report_percentile_names[REPORT_PERCENTILES];

/* How a step of a search for the highest rate went. */
struct step {
    double rate;
    double rps;
    int64_t p50_ns, p99_ns;
    uint64_t errors;
    bool is_kept_up;
};

/* Everything that is reported; of a search the result is that of its best step. */
struct report {
    const struct plan *plan;
    const struct result *result;
    const struct step *steps; /* NULL: there was no search */
    size_t step_count;
};

void report_text(const struct report *r, FILE *out);
void report_json(const struct report *r, FILE *out);
void report_csv(const struct report *r, FILE *out);
void report_html(const struct report *r, FILE *out);

/* Writes those that the plan asks for.  Returns false, and has said why, if a file cannot be
 * written. */
bool report_all(const struct report *r);

/* Every request was answered as expected, and there was one; or a rate was kept up. */
bool report_is_good(const struct report *r);

/* The rate of the best step; 0 if none was kept up. */
double report_saturation(const struct report *r);

/* "open loop, 200 requests/s, Poisson arrivals, 64 connections, 10.0 s".  Returns `text`. */
#define REPORT_SUMMARY_MAX 160
char *report_summary(const struct report *r, char text[REPORT_SUMMARY_MAX]);

/* Sums up what there is to worry about: each call gives the next sentence, with *at from 0 on;
 * NULL: there is no more. */
const char *report_warning(const struct report *r, unsigned *at, char text[256]);

#endif
