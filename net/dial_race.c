/* Attempts beside each other.
 *
 * Each attempt is a goroutine under a context of the race, and says on a channel that it
 * has ended.  Whoever called looks on: an end that is a failure, or the delay's, lets the
 * next begin; the first success ends the race.  Then the context is cancelled, and
 * everybody waited for: so no socket is left, and the records, which all of them use,
 * may go. */
#include <errno.h>
#include <gust/chan.h>
#include <gust/context.h>
#include <gust/runtime.h>
#include <gust/sync.h>
#include <stdlib.h>

#include "core/inject.h"
#include "core/waitq.h"
#include "net/dial_name.h"

struct race;

typedef struct attempt {
    struct race *race;
    const gust_addr *addr;
    gust_time deadline;
    gust_conn *conn; /* what it has brought, or NULL */
    int error;       /* 0 until it has ended, and then if it has brought one */
} attempt;

typedef struct race {
    const gust__dial_how *how;
    int64_t delay_ns;
    gust_time deadline;
    gust_context *context;
    gust_chan *ended; /* attempt *; room for all */
    gust_waitgroup running;
    size_t count, started, failed;
    attempt *attempts;
    gust_conn *won;
} race;

/* --- One attempt ----------------------------------------------------------------- */

static void run_attempt(void *arg)
{
    attempt *a = arg;
    race *r = a->race;
    a->error = gust__dial_attempt(a->addr, r->how, a->deadline, &a->conn);
    (void)gust_chan_send(r->ended, &a, GUST_NOW); /* there is room */
    gust_waitgroup_done(&r->running);
}

static void start_next(race *r)
{
    const gust_go_options options = {.name = "dial", .context = r->context};
    attempt *a = &r->attempts[r->started];
    a->deadline = gust__dial_share(gust_now(), r->deadline, r->count - r->started);
    r->started++;
    gust_waitgroup_add(&r->running, 1);
    int error = gust_go_with(&options, run_attempt, a);
    if (error) { /* else the record is the attempt's, until it has ended */
        a->error = error;
        (void)gust_chan_send(r->ended, &a, GUST_NOW);
        gust_waitgroup_done(&r->running);
    }
}

/* --- The race -------------------------------------------------------------------- */

static bool may_start(const race *r)
{
    return r->started < r->count && (r->started == 0 || !deadline_passed(r->deadline));
}

/* When the next attempt begins if none has ended by then. */
static gust_time next_start(const race *r)
{
    return r->delay_ns < 0 || !may_start(r) ? GUST_FOREVER : gust_after(r->delay_ns);
}

/* Waits for an attempt to end, or for the time of the next.  -ECANCELED: for neither. */
static int watch(race *r)
{
    attempt *a;
    int n = gust_chan_recv(r->ended, &a, next_start(r));
    if (n < 0)
        return n == -ETIMEDOUT ? 0 : n;
    if (a->error) {
        r->failed++;
        return 0;
    }
    r->won = a->conn;
    a->conn = NULL;
    return 0;
}

/* Every attempt has a deadline that is not after the race's, so all of them end. */
static void run_race(race *r)
{
    int error = 0;
    while (!r->won && !error) {
        if (may_start(r))
            start_next(r);
        else if (r->failed == r->started)
            return;
        error = watch(r);
    }
}

/* Whatever happens to the caller's context. */
static void end_race(race *r)
{
    gust_context *context = gust_context_swap(NULL);
    gust_context_cancel(r->context, 0);
    (void)gust_waitgroup_wait(&r->running, GUST_FOREVER);
    gust_context_swap(context);
    for (size_t i = 0; i < r->started; i++)
        gust_conn_unref(r->attempts[i].conn); /* too late, or NULL */
}

static int result_of(const race *r, gust_conn **ret_conn)
{
    if (r->won) {
        *ret_conn = r->won;
        return 0;
    }
    if (gust_context_err(gust_context_current()))
        return -ECANCELED;
    return r->attempts[0].error;
}

static int race_init(race *r, const gust_addr *list)
{
    int error = gust_context_new(gust_context_current(), &r->context);
    if (error)
        return error;
    error = gust_chan_new(sizeof(attempt *), r->count, &r->ended);
    if (!error && !(r->attempts = gust__calloc(r->count, sizeof *r->attempts)))
        error = -ENOMEM;
    for (size_t i = 0; !error && i < r->count; i++) {
        r->attempts[i].race = r;
        r->attempts[i].addr = &list[i];
    }
    return error;
}

static void race_fini(race *r)
{
    free(r->attempts);
    gust_chan_unref(r->ended);
    gust_context_unref(r->context);
}

int gust__dial_race(const gust_addr *list, size_t count, const gust__dial_how *how,
                    int64_t delay_ns, gust_time deadline, gust_conn **ret_conn)
{
    race r = {.how = how, .delay_ns = delay_ns, .deadline = deadline, .count = count};
    int error = race_init(&r, list);
    if (!error) {
        run_race(&r);
        end_race(&r);
        error = result_of(&r, ret_conn);
    }
    race_fini(&r);
    return error;
}
