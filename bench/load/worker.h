/* A connection under load, with the goroutine that keeps it busy. */
#ifndef GUST_LOAD_WORKER_H
#define GUST_LOAD_WORKER_H

#include "bench/load/pace.h"
#include "bench/load/reply.h"
#include "bench/load/server.h"

#include <gust/sync.h>

/* What all connections of a run share. */
struct crowd {
    const struct plan *plan;
    const struct server *server;
    struct pace pace;
    const char *echo_text;  /* what echo messages are pieces of */
    gust_time opens;        /* when the first connection does */
    gust_waitgroup opening; /* connections that have not been tried yet */
    gust_waitgroup gate;    /* 1 until load may begin */
    gust_waitgroup working;
    gust_mutex mutex; /* of the rest */
    _Atomic bool has_why[OUTCOMES];
    char why[OUTCOMES][WHY_MAX]; /* of the first of each kind */
};

struct worker {
    struct crowd *crowd;
    struct tally *tally;
    unsigned index;
    gust_conn *conn; /* NULL: none */
    gust_time now;   /* when the last thing happened */
    uint64_t random;
    struct reply reply;

    /* The requests that are under way: as many as the pipeline is deep. */
    gust_time *starts;
    gust_span *pieces; /* what is sent for each */
    bool must_close;   /* the last answer said so */
    uint64_t received; /* bytes of the last answer */

    /* A batch so large that somebody else has to send it while we read. */
    gust_waitgroup sending;
    unsigned sending_count;
    gust_time sending_deadline;
};

/* Echo messages are pieces of one text, which begin at an offset that changes from one to the
 * next: what is lost, doubled or late is different. */
#define ECHO_OFFSETS 4096

/* Opens a connection, waits for the gate, and asks until the pace says that it is over. */
void worker_run(void *arg);

/* Notes why a request failed, if it is the first of its kind. */
void worker_note(struct worker *w, enum outcome o, const char *format, ...) GUST_PRINTF(3, 4);

/* --- send.c --- */

/* Sends the first `count` pieces.  What is small is on its way on return, or fails in what is
 * received; the rest is sent beside. */
void send_begin(struct worker *w, unsigned count, gust_time deadline);

/* Waits until everything is sent; or if !wants_all, breaks it off. */
void send_end(struct worker *w, bool wants_all);

/* --- receive.c --- */

/* Receives the answer to piece i.  OUTCOME_GOOD, _STATUS and _LENGTH leave the connection to the
 * next one, if !must_close; after all others it is of no use. */
enum outcome receive_reply(struct worker *w, unsigned i, gust_time deadline);
enum outcome receive_echo(struct worker *w, unsigned i, gust_time deadline);

#endif
