/* A line for each second, for spreadsheets and plots. */
#include "bench/load/report.h"

#include <inttypes.h>

static double us(int64_t ns)
{
    return (double)ns / 1e3;
}

void report_csv(const struct report *r, FILE *out)
{
    const struct result *res = r->result;
    fputs("at_s,answers,answers_per_s,errors,received_bytes,p50_us,p90_us,p99_us,max_us\n", out);
    for (const struct second *s = res->seconds; s < res->seconds + res->second_count; s++)
        fprintf(out, "%.3f,%" PRIu64 ",%.1f,%" PRIu64 ",%" PRIu64 ",%.1f,%.1f,%.1f,%.1f\n", s->at_s,
                s->answers, s->length_s > 0 ? (double)s->answers / s->length_s : 0, s->errors,
                s->received, us(s->p50_ns), us(s->p90_ns), us(s->p99_ns), us(s->max_ns));
}
