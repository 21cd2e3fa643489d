/* What is drawn of a result. */
#include "bench/load/plot.h"
#include "bench/load/report_html.h"

#include <math.h>
#include <stdlib.h>

#define CURVE_POINTS 200
#define BARS_MAX 60

/* --- What stands at ticks ----------------------------------------------------------------------- */

static char *format_seconds(double s, char text[UNITS_TEXT_MAX])
{
    snprintf(text, UNITS_TEXT_MAX, "%g s", s);
    return text;
}

static char *format_count(double n, char text[UNITS_TEXT_MAX])
{
    return units_count((uint64_t)n, text);
}

static char *format_time(double ns, char text[UNITS_TEXT_MAX])
{
    return units_time((int64_t)ns, text);
}

static char *format_percent(double percent, char text[UNITS_TEXT_MAX])
{
    snprintf(text, UNITS_TEXT_MAX, "%g %%", percent);
    return text;
}

/* The x axis of percentiles is logarithmic in what is beyond: 10 is p90, 1000 is p99.9. */
static char *format_percentile(double beyond, char text[UNITS_TEXT_MAX])
{
    snprintf(text, UNITS_TEXT_MAX, "p%.6g", 100 - 100 / beyond);
    return text;
}

/* --- Over the time --------------------------------------------------------------------------------- */

static double answers_per_s(const struct second *s)
{
    return s->length_s > 0 ? (double)s->answers / s->length_s : 0;
}

static double errors_per_s(const struct second *s)
{
    return s->length_s > 0 ? (double)s->errors / s->length_s : 0;
}

static double p50(const struct second *s)
{
    return (double)s->p50_ns;
}

static double p90(const struct second *s)
{
    return (double)s->p90_ns;
}

static double p99(const struct second *s)
{
    return (double)s->p99_ns;
}

static double longest(const struct second *s)
{
    return (double)s->max_ns;
}

static double most(const struct result *res, double (*value)(const struct second *s))
{
    double max = 0;
    for (size_t i = 0; i < res->second_count; i++)
        max = fmax(max, value(&res->seconds[i]));
    return max;
}

/* The least of those that are above 0. */
static double least(const struct result *res, double (*value)(const struct second *s))
{
    double min = INFINITY;
    for (size_t i = 0; i < res->second_count; i++)
        if (value(&res->seconds[i]) > 0)
            min = fmin(min, value(&res->seconds[i]));
    return isinf(min) ? 1 : min;
}

static struct axis time_axis(const struct result *res)
{
    return axis_of(0, res->seconds[res->second_count - 1].at_s, false, format_seconds);
}

static void draw(struct plot *p, const struct result *res, const char *name,
                 double (*value)(const struct second *s))
{
    struct point *points = calloc(res->second_count, sizeof *points);
    for (size_t i = 0; points && i < res->second_count; i++)
        points[i] = (struct point){res->seconds[i].at_s, value(&res->seconds[i])};
    if (points)
        plot_line(p, name, points, res->second_count);
    free(points);
}

void plot_throughput(const struct result *res, FILE *out)
{
    struct plot p;
    if (res->second_count == 0)
        return;
    double max = fmax(most(res, answers_per_s), most(res, errors_per_s));
    plot_begin(&p, out, "Answers per second", time_axis(res),
               axis_of(0, max * 1.05, false, format_count));
    draw(&p, res, "answers/s", answers_per_s);
    if (totals_errors(&res->totals) > 0)
        draw(&p, res, "errors/s", errors_per_s);
    plot_end(&p);
}

void plot_latency(const struct result *res, FILE *out)
{
    struct plot p;
    if (res->second_count == 0 || res->totals.latency.total == 0)
        return;
    plot_begin(&p, out, "Latency over the time", time_axis(res),
               axis_of(least(res, p50), most(res, longest), true, format_time));
    draw(&p, res, "p50", p50);
    draw(&p, res, "p90", p90);
    draw(&p, res, "p99", p99);
    draw(&p, res, "max", longest);
    plot_end(&p);
}

/* --- Of all -------------------------------------------------------------------------------------- */

void plot_percentiles(const struct result *res, FILE *out)
{
    const struct counts *c = &res->totals.latency;
    struct point points[CURVE_POINTS];
    struct plot p;
    if (c->total == 0)
        return;
    double beyond = fmax((double)c->total, 10);
    for (int i = 0; i < CURVE_POINTS; i++) {
        double x = pow(beyond, (double)i / (CURVE_POINTS - 1));
        points[i] = (struct point){x, (double)counts_percentile(c, 100 - 100 / x)};
    }
    plot_begin(&p, out, "Latency by percentile", axis_of(1, beyond, true, format_percentile),
               axis_of(points[0].y, (double)c->max_ns, true, format_time));
    plot_line(&p, "latency", points, CURVE_POINTS);
    plot_end(&p);
}

/* Bars of equal ratio. */
void plot_distribution(const struct result *res, FILE *out)
{
    const struct counts *c = &res->totals.latency;
    double shares[BARS_MAX], highest = 0;
    uint64_t before = 0;
    struct plot p;
    if (c->total == 0)
        return;
    double from = fmax((double)counts_percentile(c, 0), 1);
    double ratio = pow(fmax((double)c->max_ns * 1.01 / from, 1.1), 1.0 / BARS_MAX);
    for (int i = 0; i < BARS_MAX; i++) {
        uint64_t upto =
            i == BARS_MAX - 1 ? c->total : counts_up_to(c, (int64_t)(from * pow(ratio, i + 1)));
        shares[i] = 100 * (double)(upto - before) / (double)c->total;
        highest = fmax(highest, shares[i]);
        before = upto;
    }
    plot_begin(&p, out, "Distribution of latency",
               axis_of(from, from * pow(ratio, BARS_MAX), true, format_time),
               axis_of(0, highest * 1.05, false, format_percent));
    for (int i = 0; i < BARS_MAX; i++) {
        char text[96], low[UNITS_TEXT_MAX], high[UNITS_TEXT_MAX];
        double begin = from * pow(ratio, i);
        snprintf(text, sizeof text, "%s to %s: %.2f %%", format_time(begin, low),
                 format_time(begin * ratio, high), shares[i]);
        if (shares[i] > 0)
            plot_bar(&p, begin, begin * ratio, shares[i], text);
    }
    plot_end(&p);
}

/* --- A search ------------------------------------------------------------------------------------ */

static int compare_rates(const void *a, const void *b)
{
    const struct step *x = a, *y = b;
    return (x->rate > y->rate) - (x->rate < y->rate);
}

static void draw_steps(struct plot *p, const struct step *steps, size_t count)
{
    struct point half[SWEEP_STEPS_MAX], slow[SWEEP_STEPS_MAX];
    for (size_t i = 0; i < count; i++) {
        half[i] = (struct point){steps[i].rate, (double)steps[i].p50_ns};
        slow[i] = (struct point){steps[i].rate, (double)steps[i].p99_ns};
    }
    plot_line(p, "p50", half, count);
    plot_line(p, "p99", slow, count);
}

void plot_sweep(const struct report *r, FILE *out)
{
    struct step steps[SWEEP_STEPS_MAX];
    double low = INFINITY, high = 0;
    struct plot p;
    if (r->step_count == 0)
        return;
    memcpy(steps, r->steps, r->step_count * sizeof *steps);
    qsort(steps, r->step_count, sizeof *steps, compare_rates);
    for (size_t i = 0; i < r->step_count; i++) {
        low = fmin(low, (double)steps[i].p50_ns);
        high = fmax(high, (double)steps[i].p99_ns);
    }
    plot_begin(&p, out, "Latency by rate",
               axis_of(0, steps[r->step_count - 1].rate, false, format_count),
               axis_of(low, high, true, format_time));
    draw_steps(&p, steps, r->step_count);
    if (report_saturation(r) > 0)
        plot_mark(&p, report_saturation(r), "highest rate kept up");
    plot_end(&p);
}
