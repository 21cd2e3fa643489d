#include "bench/load/run.h"

#include "bench/load/progress.h"
#include "bench/load/random.h"

#include <gust/runtime.h>
#include <gust/timer.h>
#include <stdlib.h>
#include <sys/resource.h>

/* Everything a run needs, in a few pieces of memory. */
struct run {
    const struct plan *plan;
    struct crowd *crowd;
    struct tally *tallies;
    unsigned tally_count;
    struct worker *workers;
    gust_time *starts; /* of all workers, as are the pieces */
    gust_span *pieces;
    gust_context *stop;
    struct result *result;
    struct totals *before;  /* what had been counted a second ago */
    struct counts *between; /* and what since then */
    size_t second_size;
};

/* --- Memory ---------------------------------------------------------------------------------- */

static void run_release(struct run *r)
{
    free(r->between);
    free(r->before);
    free(r->pieces);
    free(r->starts);
    free(r->workers);
    free(r->tallies);
    free(r->crowd);
    run_free(r->result);
}

void run_free(struct result *r)
{
    if (!r)
        return;
    free(r->seconds);
    free(r);
}

static bool allocate(struct run *r)
{
    size_t slots = (size_t)r->plan->connections * r->plan->pipeline;
    r->tallies = aligned_alloc(_Alignof(struct tally), r->tally_count * sizeof *r->tallies);
    r->workers = calloc(r->plan->connections, sizeof *r->workers);
    r->starts = calloc(slots, sizeof *r->starts);
    r->pieces = calloc(slots, sizeof *r->pieces);
    r->before = calloc(1, sizeof *r->before);
    r->between = calloc(1, sizeof *r->between);
    r->result = calloc(1, sizeof *r->result);
    r->crowd = calloc(1, sizeof *r->crowd);
    return r->tallies && r->workers && r->starts && r->pieces && r->before && r->between &&
           r->result && r->crowd;
}

/* --- Connections -------------------------------------------------------------------------------- */

static void worker_init(struct run *r, unsigned i)
{
    const struct plan *p = r->plan;
    r->workers[i] = (struct worker){.crowd = r->crowd,
                                    .tally = &r->tallies[i % r->tally_count],
                                    .index = i,
                                    .random = random_seeded(p->seed + 1 + i),
                                    .starts = r->starts + (size_t)i * p->pipeline,
                                    .pieces = r->pieces + (size_t)i * p->pipeline};
}

/* A context each: those who wait would all take the lock of a common one. */
static int start_worker(struct run *r, unsigned i)
{
    gust_context *context;
    int error = gust_context_new(r->stop, &context);
    if (error)
        return error;
    error = gust_go_with(&(gust_go_options){.name = "connection", .context = context}, worker_run,
                         &r->workers[i]);
    gust_context_unref(context);
    return error;
}

static void one_less(struct crowd *c)
{
    gust_waitgroup_done(&c->opening);
    gust_waitgroup_done(&c->working);
}

static void start_workers(struct run *r)
{
    struct crowd *c = r->crowd;
    unsigned count = r->plan->connections;
    int error = 0;

    gust_waitgroup_add(&c->gate, 1);
    gust_waitgroup_add(&c->opening, (int)count);
    gust_waitgroup_add(&c->working, (int)count);
    for (unsigned i = 0; i < count; i++) {
        worker_init(r, i);
        if (error == 0)
            error = start_worker(r, i);
        if (error)
            one_less(c);
    }
    if (error)
        complain("not all connections can be had: %s", strerror(-error));
}

/* --- Seconds -------------------------------------------------------------------------------------- */

static double seconds_of(int64_t ns)
{
    return (double)ns / (double)GUST_SEC;
}

static struct second *next_second(struct run *r)
{
    struct result *res = r->result;
    if (res->second_count == r->second_size) {
        size_t size = r->second_size ? 2 * r->second_size : 64;
        struct second *larger = realloc(res->seconds, size * sizeof *larger);
        if (!larger)
            return NULL;
        res->seconds = larger;
        r->second_size = size;
    }
    return &res->seconds[res->second_count++];
}

/* Reads what has been counted; what is new since the last time is the second that ends now. */
static void note_second(struct run *r, gust_time begin, gust_time now)
{
    struct result *res = r->result;
    struct totals *t = &res->totals;
    double last = res->second_count ? res->seconds[res->second_count - 1].at_s : 0;
    struct second *s = next_second(r);

    totals_read(t, r->tallies, r->tally_count);
    if (s) {
        counts_since(&t->latency, &r->before->latency, r->between);
        *s = (struct second){.at_s = seconds_of(now - begin),
                             .length_s = seconds_of(now - begin) - last,
                             .answers = totals_answers(t) - totals_answers(r->before),
                             .errors = totals_errors(t) - totals_errors(r->before),
                             .received = t->received - r->before->received,
                             .p50_ns = counts_percentile(r->between, 50),
                             .p90_ns = counts_percentile(r->between, 90),
                             .p99_ns = counts_percentile(r->between, 99),
                             .max_ns = r->between->max_ns};
        progress_second(r->plan, res->rate, s);
    }
    *r->before = *t;
}

/* Until the time is over, or all connections have ended.  Returns when that was. */
static gust_time measure(struct run *r, gust_time begin, gust_time end)
{
    gust_time tick = begin;
    bool is_over = false;
    gust_time now;

    do {
        tick = tick + GUST_SEC < end ? tick + GUST_SEC : end;
        is_over = gust_waitgroup_wait(&r->crowd->working, tick) == 0;
        now = gust_now();
        note_second(r, begin, now);
    } while (!is_over && tick < end);
    return now;
}

/* --- The run -------------------------------------------------------------------------------------- */

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Opens the gate, and waits until the measured time begins.  False: somebody has stopped the
 * run before. */
static bool open_gate(struct run *r)
{
    gust_time begin;
    progress_opening(r->plan);
    (void)gust_waitgroup_wait(&r->crowd->opening, GUST_FOREVER);
    pace_start(&r->crowd->pace, gust_now());
    gust_waitgroup_done(&r->crowd->gate);
    progress_warming(r->plan);
    begin = atomic_load(&r->crowd->pace.begin);
    (void)gust_waitgroup_wait(&r->crowd->working, begin);
    return gust_now() >= begin;
}

static void run_measured(struct run *r)
{
    struct result *res = r->result;
    struct pace *pace = &r->crowd->pace;
    gust_time begin = atomic_load(&pace->begin);
    double cpu_s = cpu_seconds();
    gust_time end = measure(r, begin, atomic_load(&pace->end));

    res->cpu_s = cpu_seconds() - cpu_s;
    res->duration_s = seconds_of(end - begin);
    res->rps = end > begin ? (double)totals_answers(&res->totals) / res->duration_s : 0;
    progress_draining(r->plan);
    (void)gust_waitgroup_wait(&r->crowd->working, GUST_FOREVER);
    totals_read(&res->totals, r->tallies, r->tally_count);
}

static void run_all(struct run *r)
{
    start_workers(r);
    if (open_gate(r))
        run_measured(r);
    memcpy(r->result->why, r->crowd->why, sizeof r->result->why);
    r->result->interrupted = gust_context_err(r->stop) != 0;
    progress_clear(r->plan);
}

/* The same text in every run. */
static char *make_echo_text(const struct plan *p)
{
    size_t len = (size_t)p->echo_size + ECHO_OFFSETS;
    uint64_t random = random_seeded(0);
    char *text = malloc(len);
    for (size_t i = 0; text && i < len; i++)
        text[i] = (char)(random_next(&random) >> 56);
    return text;
}

bool run_load(const struct plan *p, const struct server *s, double rate, gust_context *stop,
              struct result **ret_result)
{
    struct run r = {.plan = p, .stop = stop, .tally_count = (unsigned)gust_maxprocs()};
    char *text = p->protocol == PROTOCOL_ECHO ? make_echo_text(p) : NULL;
    bool ok = allocate(&r) && (text || p->protocol != PROTOCOL_ECHO);

    if (ok) {
        memset(r.tallies, 0, r.tally_count * sizeof *r.tallies);
        *r.crowd = (struct crowd){.plan = p, .server = s, .echo_text = text, .opens = gust_now()};
        pace_init(&r.crowd->pace, p, rate);
        r.result->rate = rate;
        run_all(&r);
        *ret_result = r.result;
        r.result = NULL;
    } else {
        complain("%s", strerror(ENOMEM));
    }
    run_release(&r);
    free(text);
    return ok;
}
