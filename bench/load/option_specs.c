/* What each option can be, and what it is for. */
#include "bench/load/option_specs.h"

#include "bench/load/units.h"
#include "http/syntax.h"
#include "http/text.h"

#include <stdlib.h>

/* --- Values ---------------------------------------------------------------------------------- */

static bool read_number(const char *value, uint64_t min, uint64_t max, uint64_t *ret_number)
{
    uint64_t number;
    if (!gust__http_number(gust_span_of(value), &number) || number < min || number > max)
        return false;
    *ret_number = number;
    return true;
}

static bool read_unsigned(const char *value, unsigned max, unsigned *ret_number)
{
    uint64_t number;
    if (!read_number(value, 1, max, &number))
        return false;
    *ret_number = (unsigned)number;
    return true;
}

static bool read_rate(const char *value, double *ret_rate)
{
    char *end;
    double rate = strtod(value, &end);
    if (end == value || *end || !(rate > 0 && rate <= RATE_MAX))
        return false;
    *ret_rate = rate;
    return true;
}

/* At least a nanosecond: 0 is a default. */
static bool read_time(const char *value, int64_t *ret_ns)
{
    return units_read_time(value, TIME_MAX, ret_ns) && *ret_ns > 0;
}

static bool set_connections(const char *value, struct plan *p)
{
    return read_unsigned(value, CONNECTIONS_MAX, &p->connections);
}

static bool set_duration(const char *value, struct plan *p)
{
    return read_time(value, &p->duration_ns);
}

static bool set_requests(const char *value, struct plan *p)
{
    return read_number(value, 1, REQUESTS_MAX, &p->requests);
}

static bool set_warm_up(const char *value, struct plan *p)
{
    return units_read_time(value, TIME_MAX, &p->warm_up_ns);
}

static bool set_ramp(const char *value, struct plan *p)
{
    return units_read_time(value, TIME_MAX, &p->ramp_ns);
}

static bool set_timeout(const char *value, struct plan *p)
{
    return read_time(value, &p->timeout_ns);
}

static bool set_rate(const char *value, struct plan *p)
{
    return read_rate(value, &p->rate);
}

static bool set_arrivals(const char *value, struct plan *p)
{
    p->constant = strcmp(value, "constant") == 0;
    return p->constant || strcmp(value, "poisson") == 0;
}

static bool set_seed(const char *value, struct plan *p)
{
    return read_number(value, 0, INT64_MAX, &p->seed);
}

static bool set_sweep(const char *value, struct plan *p)
{
    return read_rate(value, &p->sweep_rate);
}

static bool set_sweep_p99(const char *value, struct plan *p)
{
    return read_time(value, &p->sweep_p99_ns);
}

static bool set_pipeline(const char *value, struct plan *p)
{
    return read_unsigned(value, PIPELINE_MAX, &p->pipeline);
}

static bool set_threads(const char *value, struct plan *p)
{
    return read_unsigned(value, THREADS_MAX, &p->threads);
}

static bool set_no_keepalive(const char *value, struct plan *p)
{
    return p->no_keepalive = true;
}

static bool set_method(const char *value, struct plan *p)
{
    size_t len = strlen(value);
    p->method = value;
    return len > 0 && chars_prefix(value, len, CH_TOKEN) == len && strcmp(value, "CONNECT") != 0;
}

static bool add_lines(struct plan *p, gust_span name, gust_span value)
{
    struct http_text text = {p->fields, p->fields_len, p->fields_len, p->fields};
    int r = gust__http_text_add_field(&text, name, value, HEADER_BYTES_MAX);
    p->fields = text.heap;
    p->fields_len = text.len;
    return r == 0;
}

/* How the request is framed is for us to say. */
static bool set_header(const char *value, struct plan *p)
{
    gust_http_field field;
    if (!gust__http_field_split(value, strlen(value), &field) ||
        gust__http_equals(field.name, "content-length") ||
        gust__http_equals(field.name, "transfer-encoding") ||
        gust__http_equals(field.name, "connection") || gust__http_equals(field.name, "expect"))
        return false;
    p->has_host_field |= gust__http_equals(field.name, "host");
    return add_lines(p, field.name, field.value);
}

static bool set_body(const char *value, struct plan *p)
{
    p->body_file = value;
    return true;
}

static bool set_data(const char *value, struct plan *p)
{
    free(p->body);
    p->body = strdup(value);
    p->body_len = p->body ? strlen(value) : 0;
    return p->body != NULL;
}

/* "200", or "2xx" for all of a hundred. */
static bool add_status(gust_span s, struct plan *p)
{
    bool is_class = s.len == 3 && (s.data[1] | 0x20) == 'x' && (s.data[2] | 0x20) == 'x';
    uint64_t first, count = is_class ? 100 : 1;
    if (!gust__http_number((gust_span){s.data, is_class ? 1 : s.len}, &first))
        return false;
    first *= count;
    if (first < 200 || first > STATUS_MAX)
        return false;
    memset(p->good + first, true, count);
    return true;
}

static bool set_expect_status(const char *value, struct plan *p)
{
    gust_span list = gust_span_of(value), status;
    bool ok = *value != '\0';
    memset(p->good, 0, sizeof p->good);
    while (ok && gust__http_list_next(&list, &status))
        ok = add_status(status, p);
    return ok;
}

static bool set_expect_length(const char *value, struct plan *p)
{
    uint64_t length;
    if (!read_number(value, 0, INT64_MAX, &length))
        return false;
    p->expect_length = (int64_t)length;
    return true;
}

static bool set_unix(const char *value, struct plan *p)
{
    p->unix_path = value;
    return *value != '\0';
}

static bool set_insecure(const char *value, struct plan *p)
{
    return p->insecure = true;
}

static bool set_ca_file(const char *value, struct plan *p)
{
    p->ca_file = value;
    return true;
}

static bool set_no_resumption(const char *value, struct plan *p)
{
    return p->no_resumption = true;
}

static bool set_size(const char *value, struct plan *p)
{
    return units_read_size(value, ECHO_BYTES_MAX, &p->echo_size) && p->echo_size > 0;
}

static bool set_json(const char *value, struct plan *p)
{
    p->json = value;
    return true;
}

static bool set_csv(const char *value, struct plan *p)
{
    p->csv = value;
    return true;
}

static bool set_html(const char *value, struct plan *p)
{
    p->html = value;
    return true;
}

static bool set_quiet(const char *value, struct plan *p)
{
    return p->quiet = true;
}

/* --- The table ------------------------------------------------------------------------------- */

const struct option_spec option_specs[] = {
    {0, NULL, NULL, "How much, and for how long", NULL},
    {'c', "connections", "N", "connections, each busy with one request after the other (64)",
     set_connections},
    {'d', "duration", "TIME", "measure for so long (10s); 500ms, 10s, 2m", set_duration},
    {'n', "requests", "N", "measure so many requests; with -d, whichever ends first", set_requests},
    {'w', "warm-up", "TIME", "load that is not measured, before (0)", set_warm_up},
    {0, "ramp", "TIME", "open the connections one after the other within this time (0)", set_ramp},
    {'t', "threads", "N", "use so many CPUs (all; GUST_MAXPROCS)", set_threads},
    {0, NULL, NULL, "Open loop: requests at times that do not depend on the answers", NULL},
    {'r', "rate", "N", "requests per second; without it, each connection sends when it is free",
     set_rate},
    {0, "arrivals", "HOW", "poisson: at random; constant: evenly (poisson)", set_arrivals},
    {0, "seed", "N", "of what is random (1)", set_seed},
    {0, "sweep", "N", "search for the highest rate that is kept up, from N on, by runs of -d",
     set_sweep},
    {0, "sweep-p99", "TIME", "the rate is too high if the p99 is", set_sweep_p99},
    {0, NULL, NULL, "Requests", NULL},
    {'m', "method", "NAME", "GET, or POST if there is a body", set_method},
    {'H', "header", "'NAME: VALUE'", "a field of each request; may be repeated", set_header},
    {'b', "body", "FILE", "what is sent with each request", set_body},
    {0, "data", "TEXT", "the same, given here", set_data},
    {'p', "pipeline", "N", "send so many at once, then wait for their answers (1)", set_pipeline},
    {0, "no-keepalive", NULL, "a connection for each request", set_no_keepalive},
    {0, "timeout", "TIME", "an answer that takes longer is an error (10s)", set_timeout},
    {0, "size", "BYTES", "of a tcp:// message (64); 16k, 1m", set_size},
    {0, NULL, NULL, "Connections", NULL},
    {0, "unix", "PATH", "connect to this Unix socket; the URL says what is asked for", set_unix},
    {0, "ca-file", "FILE", "trust these certificates, not the system's", set_ca_file},
    {0, "insecure", NULL, "trust any certificate", set_insecure},
    {0, "no-resumption", NULL, "a full TLS handshake for each connection", set_no_resumption},
    {0, NULL, NULL, "Checks; an answer that fails one is an error", NULL},
    {0, "expect-status", "LIST", "200,304,2xx (anything below 400)", set_expect_status},
    {0, "expect-length", "BYTES", "of each answer's body (any)", set_expect_length},
    {0, NULL, NULL, "Reports; FILE may be - for standard output", NULL},
    {0, "json", "FILE", "all results, as an object", set_json},
    {0, "csv", "FILE", "a line for each second", set_csv},
    {0, "html", "FILE", "a page with plots", set_html},
    {'q', "quiet", NULL, "no progress, and no report in words", set_quiet},
    {'h', "help", NULL, "this", NULL},
    {0},
};

_Static_assert(sizeof option_specs / sizeof option_specs[0] <= OPTION_SPECS_MAX, "room for all");
