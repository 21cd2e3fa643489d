/* The report as a page that needs nothing else: numbers, and plots in SVG, which are in
 * report_plots.c. */
#include "bench/load/report_html.h"

#include "bench/load/units.h"
#include "http/html.h"

/* The page's colours follow the reader's preference. */
static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<title>gust-load</title>\n<style>\n"
    ":root { color-scheme: light dark; --fg: #1c2024; --dim: #667079; --bg: #fff;\n"
    "  --grid: #e3e7ea; --c0: #2f6fde; --c1: #d98a00; --c2: #c93a4b; --c3: #2f8f5b; }\n"
    "@media (prefers-color-scheme: dark) { :root { --fg: #e5e9ec; --dim: #98a3ac;\n"
    "  --bg: #16191c; --grid: #2c3338; --c0: #6ea2ff; --c1: #f0b040; --c2: #ff7080;\n"
    "  --c3: #5fc790; } }\n"
    "body { font: 15px/1.5 system-ui, sans-serif; color: var(--fg); background: var(--bg);\n"
    "  max-width: 760px; margin: 2em auto; padding: 0 1em; }\n"
    "h1 { font-size: 1.5em; overflow-wrap: anywhere; } h2 { font-size: 1.1em; margin: 1.8em 0 "
    ".4em; }\n"
    "table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }\n"
    "th, td { text-align: right; padding: .25em .6em; border-bottom: 1px solid var(--grid); }\n"
    "th:first-child, td:first-child { text-align: left; } th { color: var(--dim); }\n"
    ".dim { color: var(--dim); } .dim::first-letter { text-transform: uppercase; }\n"
    ".note { border-left: 3px solid var(--c1); padding-left: .8em; }\n"
    ".bad { color: var(--c2); }\n"
    "svg { width: 100%; height: auto; } .tick { font-size: 12px; fill: var(--dim); }\n"
    ".grid { stroke: var(--grid); } .mark { stroke: var(--c3); stroke-dasharray: 4 3; }\n"
    ".line { fill: none; stroke-width: 2; stroke-linejoin: round; } .bar { fill: var(--c0); }\n"
    ".l0 { stroke: var(--c0); } .l1 { stroke: var(--c1); } .l2 { stroke: var(--c2); }\n"
    ".l3 { stroke: var(--c3); } circle { fill: none; stroke-width: 3; }\n"
    "</style>\n</head>\n<body>\n";

/* --- Text -------------------------------------------------------------------------------------- */

static void put_text(const char *s, FILE *out)
{
    gust_span text = gust_span_of(s), piece;
    while (gust__http_html_next(&text, &piece))
        fwrite(piece.data, 1, piece.len, out);
}

static void put_heading(const struct report *r, FILE *out)
{
    const struct plan *p = r->plan;
    char summary[REPORT_SUMMARY_MAX];
    fputs("<h1>", out);
    put_text(p->targets[0].url, out);
    fprintf(out, "%s</h1>\n<p class=\"dim\">%s</p>\n", p->target_count > 1 ? " and others" : "",
            report_summary(r, summary));
}

static void put_notes(const struct report *r, FILE *out)
{
    const char *warning;
    char text[256];
    unsigned at = 0;
    while ((warning = report_warning(r, &at, text)))
        fprintf(out, "<p class=\"note\">%s.</p>\n", warning);
}

/* --- Tables ------------------------------------------------------------------------------------ */

static void put_row(const char *name, const char *sum, const char *rate, FILE *out)
{
    fprintf(out, "<tr><td>%s</td><td>%s</td><td>%s</td></tr>\n", name, sum, rate);
}

static void put_bytes(const char *name, const struct result *res, uint64_t bytes, FILE *out)
{
    char sum[UNITS_TEXT_MAX], rate[UNITS_TEXT_MAX + 2];
    double per_s = res->duration_s > 0 ? (double)bytes / res->duration_s : 0;
    units_bytes(per_s, rate);
    put_row(name, units_bytes((double)bytes, sum), strcat(rate, "/s"), out);
}

static void put_amounts(const struct result *res, FILE *out)
{
    const struct totals *t = &res->totals;
    char sum[UNITS_TEXT_MAX], rate[UNITS_TEXT_MAX];
    fputs("<table>\n", out);
    snprintf(rate, sizeof rate, "%.1f/s", res->rps);
    put_row("requests", units_count(totals_requests(t), sum), rate, out);
    put_bytes("sent", res, t->sent, out);
    put_bytes("received", res, t->received, out);
    put_row("errors", units_count(totals_errors(t), sum), "", out);
    for (int i = OUTCOME_GOOD + 1; i < OUTCOMES; i++) {
        if (t->outcomes[i] == 0)
            continue;
        fprintf(out, "<tr class=\"bad\"><td>%s</td><td>%s</td><td>", outcome_name((enum outcome)i),
                units_count(t->outcomes[i], sum));
        put_text(res->why[i], out);
        fputs("</td></tr>\n", out);
    }
    fputs("</table>\n", out);
}

static void put_times(const char *name, const struct counts *c, FILE *out)
{
    char text[UNITS_TEXT_MAX];
    fprintf(out, "<tr><td>%s</td>", name);
    for (int i = 0; i < REPORT_PERCENTILES; i++)
        fprintf(out, "<td>%s</td>", units_time(counts_percentile(c, report_percentiles[i]), text));
    fprintf(out, "<td>%s</td></tr>\n", units_time(c->max_ns, text));
}

static void put_percentiles(const struct result *res, FILE *out)
{
    fputs("<h2>Percentiles</h2>\n<table>\n<tr><th></th>", out);
    for (int i = 0; i < REPORT_PERCENTILES; i++)
        fprintf(out, "<th>%s</th>", report_percentile_names[i]);
    fputs("<th>max</th></tr>\n", out);
    put_times("latency", &res->totals.latency, out);
    if (res->totals.connect.total > 0)
        put_times("connect", &res->totals.connect, out);
    fputs("</table>\n", out);
}

void report_html(const struct report *r, FILE *out)
{
    fputs(head, out);
    put_heading(r, out);
    put_notes(r, out);
    put_amounts(r->result, out);
    put_percentiles(r->result, out);
    plot_sweep(r, out);
    plot_throughput(r->result, out);
    plot_latency(r->result, out);
    plot_percentiles(r->result, out);
    plot_distribution(r->result, out);
    fputs("</body>\n</html>\n", out);
}
