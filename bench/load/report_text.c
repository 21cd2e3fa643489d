/* The report for people: numbers, and the distribution of the latencies, in a terminal. */
#include "bench/load/report.h"
#include "bench/load/units.h"

#include <math.h>

#define BAR_MAX 40
#define ROWS_MAX 16

static double percent_of(uint64_t part, uint64_t whole)
{
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0;
}

/* --- What was done ----------------------------------------------------------------------------- */

static void print_head(const struct report *r, FILE *out)
{
    const struct plan *p = r->plan;
    char summary[REPORT_SUMMARY_MAX];
    fprintf(out, "%s%s  %s\n\n", p->targets[0].url, p->target_count > 1 ? " and others" : "",
            report_summary(r, summary));
}

static void print_traffic(const struct result *res, const char *name, uint64_t bytes, FILE *out)
{
    char sum[UNITS_TEXT_MAX], rate[UNITS_TEXT_MAX];
    double per_s = res->duration_s > 0 ? (double)bytes / res->duration_s : 0;
    fprintf(out, "  %-12s %15s %14s/s\n", name, units_bytes((double)bytes, sum),
            units_bytes(per_s, rate));
}

static void print_amounts(const struct result *res, FILE *out)
{
    const struct totals *t = &res->totals;
    char count[UNITS_TEXT_MAX], waited[UNITS_TEXT_MAX];
    fprintf(out, "  %-12s %15s %14.1f/s\n", "requests", units_count(totals_requests(t), count),
            res->rps);
    print_traffic(res, "sent", t->sent, out);
    print_traffic(res, "received", t->received, out);
    fprintf(out, "  %-12s %15s %14.2f %%\n", "errors", units_count(totals_errors(t), count),
            percent_of(totals_errors(t), totals_requests(t)));
    if (t->waited > 0)
        fprintf(out, "  %-12s %15s %14.2f %%\n", "waited", units_count(t->waited, waited),
                percent_of(t->waited, totals_requests(t)));
}

static void print_errors(const struct result *res, FILE *out)
{
    char count[UNITS_TEXT_MAX];
    for (int i = OUTCOME_GOOD + 1; i < OUTCOMES; i++)
        if (res->totals.outcomes[i] > 0)
            fprintf(out, "    %-10s %15s   %s\n", outcome_name((enum outcome)i),
                    units_count(res->totals.outcomes[i], count), res->why[i]);
}

static void print_statuses(const struct result *res, FILE *out)
{
    char count[UNITS_TEXT_MAX];
    for (int i = 0; i <= STATUS_MAX; i++)
        if (res->totals.statuses[i] > 0)
            fprintf(out, "  status %-5d %15s\n", i, units_count(res->totals.statuses[i], count));
}

/* --- Latencies ------------------------------------------------------------------------------------ */

static void print_percentiles(const char *name, const struct counts *c, FILE *out)
{
    char text[UNITS_TEXT_MAX];
    if (c->total == 0)
        return;
    fprintf(out, "\n  %-9s", name);
    for (int i = 0; i < REPORT_PERCENTILES; i++)
        fprintf(out, " %9s", report_percentile_names[i]);
    fprintf(out, " %9s %9s\n           ", "max", "mean");
    for (int i = 0; i < REPORT_PERCENTILES; i++)
        fprintf(out, " %9s", units_time(counts_percentile(c, report_percentiles[i]), text));
    fprintf(out, " %9s", units_time(c->max_ns, text));
    fprintf(out, " %9s\n", units_time(counts_mean(c), text));
}

/* Rows of equal ratio, as many as fit: the least ratio of 2^(1/4), 2^(1/2), 2 ... that does. */
static double row_ratio(double from, double to)
{
    double ratio = sqrt(sqrt(2));
    while (from * pow(ratio, ROWS_MAX) < to)
        ratio *= ratio;
    return ratio;
}

static void print_row(uint64_t n, uint64_t most, uint64_t total, double to, FILE *out)
{
    static const char bar[] = "########################################";
    char text[UNITS_TEXT_MAX];
    int len = most > 0 ? (int)ceil((double)n / (double)most * BAR_MAX) : 0;
    fprintf(out, "  up to %9s |%-*.*s| %6.2f %%\n", units_time((int64_t)to, text), BAR_MAX, len,
            bar, percent_of(n, total));
}

static void print_histogram(const struct counts *c, FILE *out)
{
    uint64_t rows[ROWS_MAX + 1], most = 0, before = 0;
    double from = fmax((double)counts_percentile(c, 0), 1), to = fmax((double)c->max_ns, 1);
    double ratio = row_ratio(from, to);
    int count = 0;
    if (c->total == 0)
        return;
    for (double end = from * ratio; before < c->total && count <= ROWS_MAX; end *= ratio) {
        uint64_t n = count == ROWS_MAX || end >= to ? c->total : counts_up_to(c, (int64_t)end);
        rows[count++] = n - before;
        most = n - before > most ? n - before : most;
        before = n;
    }
    fputc('\n', out);
    for (int i = 0; i < count; i++)
        print_row(rows[i], most, c->total, fmin(from * pow(ratio, i + 1), to), out);
}

/* --- The search for the highest rate -------------------------------------------------------------- */

static void print_steps(const struct report *r, FILE *out)
{
    char p50[UNITS_TEXT_MAX], p99[UNITS_TEXT_MAX];
    if (r->step_count == 0)
        return;
    fprintf(out, "  %12s %12s %10s %10s %8s\n", "rate", "answers/s", "p50", "p99", "errors");
    for (const struct step *s = r->steps; s < r->steps + r->step_count; s++)
        fprintf(out, "  %12.0f %12.0f %10s %10s %8llu  %s\n", s->rate, s->rps,
                units_time(s->p50_ns, p50), units_time(s->p99_ns, p99),
                (unsigned long long)s->errors, s->is_kept_up ? "kept up" : "too much");
    double best = report_saturation(r);
    if (best > 0)
        fprintf(out, "\n  highest rate kept up: %.0f requests/s\n\n", best);
    else
        fprintf(out, "\n  no rate was kept up, from %.0f requests/s on\n\n", r->plan->sweep_rate);
}

void report_text(const struct report *r, FILE *out)
{
    const struct result *res = r->result;
    const char *warning;
    char text[256];
    unsigned at = 0;

    print_steps(r, out);
    print_head(r, out);
    print_amounts(res, out);
    print_errors(res, out);
    print_statuses(res, out);
    print_percentiles("latency", &res->totals.latency, out);
    print_percentiles("connect", &res->totals.connect, out);
    print_histogram(&res->totals.latency, out);
    while ((warning = report_warning(r, &at, text)))
        fprintf(out, "\n  Note: %s.\n", warning);
}
