/* gust-load: loads an HTTP server, or one that echoes, and says how it answered.
 *
 *     options.c plan.c          what is to be done
 *     server.c run.c worker.c   doing it: a goroutine for each connection
 *     pace.c arrivals.c         when requests begin
 *     send.c receive.c reply.c  requests and answers
 *     tally.c histogram.c       counting
 *     sweep.c                   runs at one rate after the other
 *     report*.c progress.c      telling */
#include "bench/load/options.h"
#include "bench/load/report.h"
#include "bench/load/sweep.h"

#include <gust/runtime.h>
#include <gust/signal.h>
#include <stdlib.h>
#include <sys/resource.h>

/* Exit statuses. */
#define FAILED_CHECKS 1
#define CANNOT_START 2

/* The first SIGINT or SIGTERM ends the run, and what there is of it is reported; the second
 * ends the program. */
struct stopper {
    gust_context *stop; /* cancelled then */
    gust_chan *signals;
    gust_waitgroup watching;
};

static void stop_on_signal(void *arg)
{
    struct stopper *s = arg;
    int signo;
    if (gust_chan_recv(s->signals, &signo, GUST_FOREVER) == 1)
        gust_context_cancel(s->stop, 0);
    gust_signal_notify(NULL, SIGINT);
    gust_signal_notify(NULL, SIGTERM);
    gust_waitgroup_done(&s->watching);
}

static void stopper_end(struct stopper *s)
{
    if (s->signals)
        gust_chan_close(s->signals);
    (void)gust_waitgroup_wait(&s->watching, GUST_FOREVER);
    gust_chan_unref(s->signals);
    gust_context_unref(s->stop);
}

static int stopper_begin(struct stopper *s)
{
    int r = gust_context_new(NULL, &s->stop);
    if (r == 0)
        r = gust_chan_new(sizeof(int), 1, &s->signals);
    if (r == 0)
        r = gust_signal_notify(s->signals, SIGINT);
    if (r == 0)
        r = gust_signal_notify(s->signals, SIGTERM);
    if (r < 0)
        return r;
    gust_waitgroup_add(&s->watching, 1);
    r = gust_go(stop_on_signal, s);
    if (r < 0)
        gust_waitgroup_done(&s->watching);
    return r;
}

/* Connections need descriptors, more than a process may have at first. */
static bool ensure_descriptors(const struct plan *p)
{
    rlim_t wanted = (rlim_t)p->connections + DESCRIPTORS_KEPT;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
        return true;
    if (limit.rlim_max < wanted) {
        complain("%u connections need %llu descriptors, and this process may have %llu (ulimit -n)",
                 p->connections, (unsigned long long)wanted, (unsigned long long)limit.rlim_max);
        return false;
    }
    limit.rlim_cur = wanted;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

static int run_and_report(const struct plan *p, const struct server *s, gust_context *stop)
{
    struct report r = {.plan = p};
    struct result *res = NULL;
    struct step *steps = NULL;
    int status = CANNOT_START;
    bool ran = p->sweep_rate > 0 ? sweep_run(p, s, stop, &res, &steps, &r.step_count)
                                 : run_load(p, s, p->rate, stop, &res);
    r.result = res;
    r.steps = steps;
    if (ran && report_all(&r))
        status = report_is_good(&r) ? EXIT_SUCCESS : FAILED_CHECKS;
    free(steps);
    run_free(res);
    return status;
}

static int load(void *arg)
{
    struct plan *p = arg;
    struct server s;
    struct stopper stopper = {0};
    if (!plan_finish(p) || !ensure_descriptors(p) || !server_find(p, &s))
        return CANNOT_START;
    int status = CANNOT_START;
    int r = stopper_begin(&stopper);
    if (r == 0)
        status = run_and_report(p, &s, stopper.stop);
    else
        complain("%s", strerror(-r));
    stopper_end(&stopper);
    server_release(&s);
    return status;
}

/* gust's own messages, in the words of this program's. */
static void log_line(const char *line)
{
    complain("%s", line);
}

int main(int argc, char **argv)
{
    struct plan p;
    char threads[16];
    int status = CANNOT_START;
    switch (options_read(argc, argv, &p)) {
    case OPTIONS_HELP: status = EXIT_SUCCESS; break;
    case OPTIONS_BAD: break;
    case OPTIONS_RUN:
        snprintf(threads, sizeof threads, "%u", p.threads);
        if (p.threads > 0)
            setenv("GUST_MAXPROCS", threads, 1);
        gust_set_log(log_line);
        status = gust_run(load, &p);
        break;
    }
    plan_free(&p);
    return status < 0 ? CANNOT_START : status;
}
