#include "bench/load/worker.h"

#include "bench/load/random.h"

#include <gust/timer.h>
#include <stdarg.h>

/* A server that is down is asked again so often, on each connection. */
#define CONNECT_PAUSE_NS (100 * GUST_MS)

/* A connection that was idle for so long may have been closed by the server, as is its right;
 * that is looked at before it is used. */
#define IDLE_NS (1 * GUST_SEC)

void worker_note(struct worker *w, enum outcome o, const char *format, ...)
{
    struct crowd *c = w->crowd;
    va_list args;

    if (atomic_load_explicit(&c->has_why[o], memory_order_relaxed))
        return;
    va_start(args, format);
    gust_mutex_lock(&c->mutex);
    if (!c->has_why[o])
        vsnprintf(c->why[o], WHY_MAX, format, args);
    c->has_why[o] = true;
    gust_mutex_unlock(&c->mutex);
    va_end(args);
}

/* --- Counting ------------------------------------------------------------------------------- */

static void count_answer(struct worker *w, unsigned i, enum outcome o)
{
    struct tally *t = w->tally;
    if (!pace_counts(&w->crowd->pace, w->starts[i]))
        return;
    tally_add(&t->outcomes[o], 1);
    tally_add(&t->sent, w->pieces[i].len);
    tally_add(&t->received, w->received);
    histogram_add(&t->latency, w->now - w->starts[i]);
}

/* Requests from `i` on have no answer.  Those that time out have taken so long at least: left
 * out, the slowest would be missing from the latencies. */
static void count_lost(struct worker *w, unsigned i, unsigned count, enum outcome o)
{
    for (; i < count && o != OUTCOME_CANCELED; i++) {
        if (!pace_counts(&w->crowd->pace, w->starts[i]))
            continue;
        tally_add(&w->tally->outcomes[o], 1);
        if (o == OUTCOME_TIMEOUT)
            histogram_add(&w->tally->latency, w->now - w->starts[i]);
    }
}

/* --- The connection --------------------------------------------------------------------------- */

static void disconnect(struct worker *w)
{
    gust_conn_close(w->conn, GUST_NOW);
    w->conn = NULL;
}

static enum outcome connect_now(struct worker *w)
{
    const struct plan *p = w->crowd->plan;
    char why[WHY_MAX];
    gust_time began = gust_now();
    enum outcome o = server_connect(w->crowd->server, began + p->timeout_ns, &w->conn, why);

    w->now = gust_now();
    if (o == OUTCOME_GOOD)
        histogram_add(&w->tally->connect, w->now - began);
    else if (o != OUTCOME_CANCELED)
        worker_note(w, o, "%s", why);
    return o;
}

/* The server has closed it, or says something nobody asked for. */
static bool is_stale(struct worker *w)
{
    return gust_conn_fill(w->conn, ANSWER_HEAD_MAX, GUST_NOW) != -EAGAIN;
}

static enum outcome ensure_connected(struct worker *w, gust_time last_used)
{
    if (w->conn && w->now - last_used > IDLE_NS && is_stale(w))
        disconnect(w);
    return w->conn ? OUTCOME_GOOD : connect_now(w);
}

/* --- Requests -------------------------------------------------------------------------------- */

static const struct target *pick_target(struct worker *w)
{
    const struct plan *p = w->crowd->plan;
    const struct target *t = p->targets;
    if (p->target_count == 1)
        return t;
    uint64_t at = random_next(&w->random) % p->weight_sum;
    for (; at >= t->weight; t++)
        at -= t->weight;
    return t;
}

static gust_span next_piece(struct worker *w)
{
    const struct plan *p = w->crowd->plan;
    if (p->protocol == PROTOCOL_ECHO)
        return (gust_span){w->crowd->echo_text + random_next(&w->random) % ECHO_OFFSETS,
                           (size_t)p->echo_size};
    const struct target *t = pick_target(w);
    return (gust_span){t->request, t->request_len};
}

static enum outcome receive(struct worker *w, unsigned i, gust_time deadline)
{
    return w->crowd->plan->protocol == PROTOCOL_ECHO ? receive_echo(w, i, deadline)
                                                     : receive_reply(w, i, deadline);
}

/* The connection is closed if it is of no more use.  Returns what became of the last request
 * that was looked at. */
static enum outcome exchange(struct worker *w, unsigned count)
{
    gust_time deadline = w->now + w->crowd->plan->timeout_ns;
    enum outcome o = OUTCOME_GOOD;
    unsigned i = 0;

    for (unsigned k = 0; k < count; k++)
        w->pieces[k] = next_piece(w);
    w->must_close = w->crowd->plan->no_keepalive;
    send_begin(w, count, deadline);
    while (i < count && outcome_is_answer(o = receive(w, i, deadline))) {
        count_answer(w, i++, o);
        if (w->must_close)
            break;
    }
    if (i < count && outcome_is_answer(o)) {
        o = OUTCOME_CLOSED;
        worker_note(w, o, "the server closes the connection with requests in the pipeline");
    }
    count_lost(w, i, count, o);
    send_end(w, i == count);
    if (i < count || w->must_close)
        disconnect(w);
    return o;
}

/* `last_used` is when the connection was.  False if the run has been cancelled. */
static bool turn(struct worker *w, unsigned count, gust_time last_used)
{
    enum outcome o = ensure_connected(w, last_used);
    if (o == OUTCOME_GOOD)
        return exchange(w, count) != OUTCOME_CANCELED;
    count_lost(w, 0, count, o);
    if (w->crowd->pace.rate == 0)
        (void)gust_sleep(CONNECT_PAUSE_NS);
    w->now = gust_now();
    return o != OUTCOME_CANCELED;
}

/* --- The goroutine --------------------------------------------------------------------------- */

/* If it fails, the first request tries again, and counts that. */
static void open_in_time(struct worker *w)
{
    const struct plan *p = w->crowd->plan;
    int64_t after = (int64_t)((double)p->ramp_ns * w->index / p->connections);
    if (after == 0 || gust_sleep_until(w->crowd->opens + after) == 0)
        if (!p->no_keepalive)
            (void)connect_now(w);
    gust_waitgroup_done(&w->crowd->opening);
}

/* With a ramp, a closed loop is under way on the connections that are open, uncounted. */
static void wait_at_gate(struct worker *w)
{
    if (w->crowd->plan->ramp_ns == 0 || w->crowd->pace.rate > 0)
        (void)gust_waitgroup_wait(&w->crowd->gate, GUST_FOREVER);
    w->now = gust_now();
}

static void work(struct worker *w)
{
    gust_time last_used = w->now;
    unsigned count;

    while ((count = pace_next(&w->crowd->pace, &w->now, w->starts, w->tally)) > 0) {
        if (!turn(w, count, last_used))
            return;
        last_used = w->now;
    }
}

void worker_run(void *arg)
{
    struct worker *w = arg;

    open_in_time(w);
    wait_at_gate(w);
    work(w);
    if (w->conn)
        disconnect(w);
    gust_waitgroup_done(&w->crowd->working);
}
