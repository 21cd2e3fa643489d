/* The two sides of a connection, and what goroutines wait for.
 *
 * A mutex for each side would take two more locked instructions per call, and twice
 * the memory: a side is entered under the lock that the call takes anyway, and all who
 * wait, for whatever it is, stand in one list.  It is short: mostly empty. */
#include "net/conn.h"

#include <errno.h>

/* What the elem of a waiter points to. */
static char waits[WAIT_WATCH + 1];

int gust__conn_wait_locked(gust_conn *c, gust__conn_wait what, gust_time deadline, bool steadfast)
{
    gust__waiter w = {.elem = &waits[what], .steadfast = steadfast};
    waitlist_push(&c->waiters, &w);
    int error = gust__wait_linked(&c->waiters, &c->lock, RANK_CONN, &w, deadline,
                                  what < WAIT_SENT ? WAIT_MUTEX : WAIT_IO);
    gust__lock_take(&c->lock, RANK_CONN);
    return error;
}

/* Wins the first of `from` and those behind it; NULL if there is none. */
static gust__waiter *win_next(gust_conn *c, gust__waiter *from, gust__conn_wait what)
{
    while (from) {
        gust__waiter *w = from;
        from = w->next;
        if (w->elem == &waits[what] && waitlist_win(&c->waiters, w)) {
            w->next = from; /* where to go on */
            return w;
        }
    }
    return NULL;
}

gust__waiter *gust__conn_waiters_locked(gust_conn *c, gust__conn_wait what, gust__outcome outcome)
{
    gust__waiter *chain = NULL, **end = &chain, *w = c->waiters.head;
    while ((w = win_next(c, w, what))) {
        gust__waiter *rest = w->next;
        w->outcome = outcome;
        *end = w;
        end = &w->next;
        w = rest;
    }
    *end = NULL;
    return chain;
}

int gust__conn_enter_locked(gust_conn *c, gust__conn_side side, gust_time deadline, bool steadfast)
{
    if (c->inside[side])
        return gust__conn_wait_locked(c, (gust__conn_wait)side, deadline, steadfast);
    c->inside[side] = true;
    return 0;
}

/* Whoever waits longest is inside from now on. */
G *gust__conn_leave_locked(gust_conn *c, gust__conn_side side)
{
    gust__waiter *w = win_next(c, c->waiters.head, (gust__conn_wait)side);
    if (!w) {
        c->inside[side] = false;
        return NULL;
    }
    w->outcome = OUTCOME_DONE;
    return w->g;
}

int gust__conn_enter(gust_conn *c, gust__conn_side side, gust_time deadline)
{
    GUST__CALL();
    gust__lock_take(&c->lock, RANK_CONN);
    int error = gust__conn_enter_locked(c, side, deadline, false);
    gust__lock_drop(&c->lock);
    return error;
}

void gust__conn_enter_surely(gust_conn *c, gust__conn_side side)
{
    GUST__CALL();
    gust__lock_take(&c->lock, RANK_CONN);
    (void)gust__conn_enter_locked(c, side, GUST_FOREVER, true); /* cannot fail */
    gust__lock_drop(&c->lock);
}

void gust__conn_leave(gust_conn *c, gust__conn_side side)
{
    GUST__CALL();
    gust__lock_take(&c->lock, RANK_CONN);
    G *next = gust__conn_leave_locked(c, side);
    gust__conn_writer *at_rest = gust__conn_writer_rest_locked(c);
    gust__lock_drop(&c->lock);
    gust__conn_writer_free(at_rest);
    if (next)
        gust__ready(next);
}
