/* Sending a batch of requests. */
#include "bench/load/worker.h"

#include <gust/context.h>
#include <gust/runtime.h>

/* Beyond this a server may stop reading until somebody reads its answers. */
#define SEND_ALONE_MAX 65536

static size_t batch_size(const struct worker *w, unsigned count)
{
    size_t size = 0;
    for (unsigned i = 0; i < count; i++)
        size += w->pieces[i].len;
    return size;
}

/* An error is not looked at: whoever receives meets it as well, and perhaps an answer first. */
static void send_pieces(struct worker *w, unsigned count, gust_time deadline)
{
    ssize_t n = 0;
    if (count == 1) {
        (void)gust_conn_write(w->conn, w->pieces[0].data, w->pieces[0].len, deadline);
        return;
    }
    for (unsigned i = 0; i < count && n >= 0; i++)
        n = gust_conn_append(w->conn, w->pieces[i].data, w->pieces[i].len, deadline);
    (void)gust_conn_flush(w->conn);
}

static void send_beside(void *arg)
{
    struct worker *w = arg;
    send_pieces(w, w->sending_count, w->sending_deadline);
    gust_waitgroup_done(&w->sending);
}

void send_begin(struct worker *w, unsigned count, gust_time deadline)
{
    size_t size = batch_size(w, count);
    w->sending_count = 0;
    if (size > SEND_ALONE_MAX) {
        w->sending_count = count;
        w->sending_deadline = deadline;
        gust_waitgroup_add(&w->sending, 1);
        if (gust_go(send_beside, w) == 0)
            return;
        gust_waitgroup_done(&w->sending);
        w->sending_count = 0;
    }
    send_pieces(w, count, deadline);
}

/* That may not be cut short: the sender uses our memory. */
void send_end(struct worker *w, bool wants_all)
{
    if (w->sending_count == 0)
        return;
    if (!wants_all)
        (void)gust_conn_set_write_deadline(w->conn, GUST_NOW);
    gust_context *context = gust_context_swap(NULL);
    (void)gust_waitgroup_wait(&w->sending, GUST_FOREVER);
    gust_context_swap(context);
}
