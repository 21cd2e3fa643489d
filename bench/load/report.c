#include "bench/load/report.h"

#include "bench/load/units.h"

#include <gust/runtime.h>

const double report_percentiles[REPORT_PERCENTILES] = {50, 75, 90, 99, 99.9, 99.99};
const char *const report_percentile_names[REPORT_PERCENTILES] = {"p50", "p75",   "p90",
                                                                 "p99", "p99.9", "p99.99"};

/* A generator that is as busy as this measures itself. */
#define CPU_BUSY 0.9
#define LATE_NS GUST_MS

double report_saturation(const struct report *r)
{
    double best = 0;
    for (size_t i = 0; i < r->step_count; i++)
        if (r->steps[i].is_kept_up && r->steps[i].rate > best)
            best = r->steps[i].rate;
    return best;
}

bool report_is_good(const struct report *r)
{
    const struct totals *t = &r->result->totals;
    if (r->plan->sweep_rate > 0)
        return report_saturation(r) > 0;
    return totals_requests(t) > 0 && totals_errors(t) == 0;
}

char *report_summary(const struct report *r, char text[REPORT_SUMMARY_MAX])
{
    const struct plan *p = r->plan;
    char loop[64] = "closed loop", pipeline[32] = "";

    if (r->result->rate > 0)
        snprintf(loop, sizeof loop, "open loop, %g requests/s, %s arrivals", r->result->rate,
                 p->constant ? "constant" : "Poisson");
    if (p->pipeline > 1)
        snprintf(pipeline, sizeof pipeline, ", %u in the pipeline", p->pipeline);
    snprintf(text, REPORT_SUMMARY_MAX, "%s, %u connection%s%s, %.1f s", loop, p->connections,
             p->connections > 1 ? "s" : "", pipeline, r->result->duration_s);
    return text;
}

/* --- Warnings -------------------------------------------------------------------------------- */

static bool warns_of_cpu(const struct report *r, char text[256])
{
    const struct result *res = r->result;
    double share = res->duration_s > 0 ? res->cpu_s / res->duration_s / gust_maxprocs() : 0;
    snprintf(text, 256, "gust-load took %.0f %% of its CPUs: it may be what is slow here",
             share * 100);
    return share > CPU_BUSY;
}

static bool warns_of_lateness(const struct report *r, char text[256])
{
    char late[UNITS_TEXT_MAX];
    int64_t p99 = counts_percentile(&r->result->totals.late, 99);
    snprintf(
        text, 256,
        "gust-load sent 1 %% of the requests %s too late or more, which their latencies contain",
        units_time(p99, late));
    return p99 > LATE_NS;
}

static bool warns_of_unsent(const struct report *r, char text[256])
{
    const struct totals *t = &r->result->totals;
    snprintf(text, 256,
             "%llu of %llu requests fell due and were not sent: the rate is not kept up, and the "
             "latencies are those of the others",
             (unsigned long long)t->outcomes[OUTCOME_UNSENT],
             (unsigned long long)totals_requests(t));
    return t->outcomes[OUTCOME_UNSENT] > 0;
}

static bool warns_of_interruption(const struct report *r, char text[256])
{
    snprintf(text, 256, "it was interrupted");
    return r->result->interrupted;
}

static bool warns_of_nothing(const struct report *r, char text[256])
{
    snprintf(text, 256, "no request was counted");
    return totals_requests(&r->result->totals) == 0;
}

const char *report_warning(const struct report *r, unsigned *at, char text[256])
{
    static bool (*const all[])(const struct report *r, char text[256]) = {
        warns_of_interruption, warns_of_nothing, warns_of_unsent, warns_of_lateness, warns_of_cpu};
    while (*at < sizeof all / sizeof all[0])
        if (all[(*at)++](r, text))
            return text;
    return NULL;
}

/* --- Files ------------------------------------------------------------------------------------- */

static bool write_to(const struct report *r, const char *path,
                     void (*write)(const struct report *r, FILE *out))
{
    if (!path)
        return true;
    bool is_stdout = strcmp(path, "-") == 0;
    FILE *out = is_stdout ? stdout : fopen(path, "we");
    if (out)
        write(r, out);
    bool ok = out && !ferror(out);
    if (out)
        ok &= (is_stdout ? fflush(out) : fclose(out)) == 0;
    if (!ok)
        complain("cannot write %s: %s", is_stdout ? "standard output" : path, strerror(errno));
    return ok;
}

static bool takes_stdout(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

bool report_all(const struct report *r)
{
    const struct plan *p = r->plan;
    bool is_told = takes_stdout(p->json) || takes_stdout(p->csv) || takes_stdout(p->html);
    bool ok = p->quiet || is_told || write_to(r, "-", report_text);
    ok &= write_to(r, p->json, report_json);
    ok &= write_to(r, p->csv, report_csv);
    return ok & write_to(r, p->html, report_html);
}
