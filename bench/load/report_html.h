/* The plots of the page that report_html makes.  Each draws nothing if there is nothing to show. */
#ifndef GUST_LOAD_REPORT_HTML_H
#define GUST_LOAD_REPORT_HTML_H

#include "bench/load/report.h"

void plot_throughput(const struct result *res, FILE *out);
void plot_latency(const struct result *res, FILE *out);
void plot_percentiles(const struct result *res, FILE *out);
void plot_distribution(const struct result *res, FILE *out);
void plot_sweep(const struct report *r, FILE *out);

#endif
