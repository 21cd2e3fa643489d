/* The report for programs: an object, written by Jansson. */
#include "bench/load/report.h"

#include <jansson.h>
#include <math.h>

/* Jansson takes NULL for a value and hands the failure on, up to the object itself. */
static void set(json_t *object, const char *key, json_t *value)
{
    (void)json_object_set_new(object, key, value);
}

static json_t *integer(uint64_t n)
{
    return json_integer((json_int_t)n);
}

/* To a thousandth: more digits are noise. */
static json_t *real(double value)
{
    return json_real(round(value * 1000) / 1000);
}

static json_t *microseconds(int64_t ns)
{
    return real((double)ns / 1e3);
}

/* "p99.9" is p99_9: easier to write in programs. */
static void set_percentile(json_t *object, const char *name, int64_t ns)
{
    char key[16];
    snprintf(key, sizeof key, "%s", name);
    for (char *c = key; *c; c++)
        *c = *c == '.' ? '_' : *c;
    set(object, key, microseconds(ns));
}

static json_t *times(const struct counts *c)
{
    json_t *object = json_object();
    for (int i = 0; i < REPORT_PERCENTILES; i++)
        set_percentile(object, report_percentile_names[i],
                       counts_percentile(c, report_percentiles[i]));
    set(object, "max", microseconds(c->max_ns));
    set(object, "mean", microseconds(counts_mean(c)));
    set(object, "count", integer(c->total));
    return object;
}

static json_t *urls(const struct plan *p)
{
    json_t *array = json_array();
    for (const struct target *t = p->targets; t < p->targets + p->target_count; t++)
        (void)json_array_append_new(
            array, json_pack("{s:s?, s:i}", "url", t->url, "weight", (int)t->weight));
    return array;
}

static json_t *kinds(const struct result *res)
{
    json_t *object = json_object();
    for (int i = OUTCOME_GOOD + 1; i < OUTCOMES; i++)
        if (res->totals.outcomes[i] > 0)
            set(object, outcome_name((enum outcome)i),
                json_pack("{s:I, s:s}", "count", (json_int_t)res->totals.outcomes[i], "first",
                          res->why[i]));
    return object;
}

static json_t *statuses(const struct totals *t)
{
    json_t *object = json_object();
    char key[16];
    for (int i = 0; i <= STATUS_MAX; i++) {
        snprintf(key, sizeof key, "%d", i);
        if (t->statuses[i] > 0)
            set(object, key, integer(t->statuses[i]));
    }
    return object;
}

static json_t *seconds(const struct result *res)
{
    json_t *array = json_array();
    for (const struct second *s = res->seconds; s < res->seconds + res->second_count; s++) {
        json_t *object = json_object();
        set(object, "at_s", real(s->at_s));
        set(object, "answers", integer(s->answers));
        set(object, "errors", integer(s->errors));
        set(object, "received_bytes", integer(s->received));
        set(object, "p50_us", microseconds(s->p50_ns));
        set(object, "p90_us", microseconds(s->p90_ns));
        set(object, "p99_us", microseconds(s->p99_ns));
        set(object, "max_us", microseconds(s->max_ns));
        (void)json_array_append_new(array, object);
    }
    return array;
}

static json_t *sweep(const struct report *r)
{
    json_t *array = json_array();
    for (const struct step *s = r->steps; s < r->steps + r->step_count; s++) {
        json_t *object = json_object();
        set(object, "rate", real(s->rate));
        set(object, "rps", real(s->rps));
        set(object, "p50_us", microseconds(s->p50_ns));
        set(object, "p99_us", microseconds(s->p99_ns));
        set(object, "errors", integer(s->errors));
        set(object, "kept_up", json_boolean(s->is_kept_up));
        (void)json_array_append_new(array, object);
    }
    return array;
}

static json_t *warnings(const struct report *r)
{
    json_t *array = json_array();
    const char *warning;
    char text[256];
    unsigned at = 0;
    while ((warning = report_warning(r, &at, text)))
        (void)json_array_append_new(array, json_string(warning));
    return array;
}

static void set_load(json_t *object, const struct report *r)
{
    const struct plan *p = r->plan;
    set(object, "urls", urls(p));
    set(object, "loop", json_string(r->result->rate > 0 ? "open" : "closed"));
    set(object, "rate", r->result->rate > 0 ? real(r->result->rate) : json_null());
    set(object, "connections", integer(p->connections));
    set(object, "pipeline", integer(p->pipeline));
}

static void set_outcome(json_t *object, const struct result *res)
{
    const struct totals *t = &res->totals;
    set(object, "requests", integer(totals_requests(t)));
    set(object, "errors", integer(totals_errors(t)));
    set(object, "errors_by_kind", kinds(res));
    set(object, "statuses", statuses(t));
    set(object, "duration_s", json_real(round(res->duration_s * 1e6) / 1e6));
    set(object, "rps", real(res->rps));
    set(object, "sent_bytes", integer(t->sent));
    set(object, "received_bytes", integer(t->received));
    set(object, "latency_us", times(&t->latency));
    set(object, "connect_us", times(&t->connect));
    set(object, "waited", integer(t->waited));
    set(object, "late_us", times(&t->late));
    set(object, "cpu_s", real(res->cpu_s));
    set(object, "interrupted", json_boolean(res->interrupted));
    set(object, "seconds", seconds(res));
}

void report_json(const struct report *r, FILE *out)
{
    json_t *object = json_object();
    set_load(object, r);
    set_outcome(object, r->result);
    set(object, "ok", json_boolean(report_is_good(r)));
    set(object, "warnings", warnings(r));
    if (r->step_count > 0) {
        set(object, "sweep", sweep(r));
        set(object, "saturation_rps", real(report_saturation(r)));
    }
    if (json_dumpf(object, out, JSON_INDENT(2) | JSON_REAL_PRECISION(15)) < 0)
        fputs("{}", out);
    fputc('\n', out);
    json_decref(object);
}
