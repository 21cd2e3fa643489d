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
static void stop_on_signal(void *arg)
{
    gust_context *stop = arg;
    gust_chan *signals = NULL;
    int signo;
    if (gust_chan_new(sizeof signo, 1, &signals) == 0 && gust_signal_notify(signals, SIGINT) == 0 &&
        gust_signal_notify(signals, SIGTERM) == 0 &&
        gust_chan_recv(signals, &signo, GUST_FOREVER) == 1)
        gust_context_cancel(stop, 0);
    gust_signal_notify(NULL, SIGINT);
    gust_signal_notify(NULL, SIGTERM);
    gust_chan_unref(signals);
    gust_context_unref(stop);
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
    gust_context *stop;
    if (!plan_finish(p) || !ensure_descriptors(p) || !server_find(p, &s))
        return CANNOT_START;
    int status = CANNOT_START;
    if (gust_context_new(NULL, &stop) == 0) {
        if (gust_go(stop_on_signal, gust_context_ref(stop)) < 0)
            gust_context_unref(stop);
        status = run_and_report(p, &s, stop);
        gust_context_unref(stop);
    }
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
