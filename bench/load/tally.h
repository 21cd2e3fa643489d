/* What is counted while a run goes on.
 *
 * Connections are spread over as many tallies as there are Ps, so that counting seldom moves
 * cache lines between CPUs.  Everything in one is counted up by relaxed additions, by any
 * goroutine, and read at any time; the sums are exact once the connections have ended. */
#ifndef GUST_LOAD_TALLY_H
#define GUST_LOAD_TALLY_H

#include "bench/load/histogram.h"
#include "bench/load/plan.h"

/* How a request ends.  Each ends in one of these ways, and is counted once. */
enum outcome {
    OUTCOME_GOOD,
    OUTCOME_STATUS,    /* it was answered, by a status that was not expected */
    OUTCOME_LENGTH,    /* the answer has another length than was expected */
    OUTCOME_ECHO,      /* these are not the bytes that were sent */
    OUTCOME_MALFORMED, /* what came is no answer */
    OUTCOME_TIMEOUT,
    OUTCOME_CLOSED,  /* the connection ended before the answer did */
    OUTCOME_CONNECT, /* there was no connection to send it on */
    OUTCOME_TLS,     /* nor here */
    OUTCOME_UNSENT,  /* it fell due, and its turn had not come when the run ended */
    OUTCOMES,
    OUTCOME_CANCELED = OUTCOMES, /* the user has had enough: not counted */
};

/* "status", "timeout" ...: as reports call it. */
const char *outcome_name(enum outcome o);

/* It has an answer, good or bad. */
static inline bool outcome_is_answer(enum outcome o)
{
    return o <= OUTCOME_LENGTH;
}

struct tally {
    _Alignas(64) _Atomic uint64_t outcomes[OUTCOMES];
    _Atomic uint64_t statuses[STATUS_MAX + 1];
    _Atomic uint64_t sent;     /* bytes */
    _Atomic uint64_t received; /* bytes */
    _Atomic uint64_t waited;   /* requests that had to wait for a free connection */
    struct histogram latency;  /* of answers, and of requests that timed out */
    struct histogram connect;  /* until a connection could be used, TLS included */
    struct histogram late;     /* by how much this program sent too late, in an open loop */
};

static inline void tally_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* The sum of several. */
struct totals {
    uint64_t outcomes[OUTCOMES];
    uint64_t statuses[STATUS_MAX + 1];
    uint64_t sent, received, waited;
    struct counts latency, connect, late;
};

void totals_read(struct totals *t, struct tally *tallies, unsigned count);

uint64_t totals_requests(const struct totals *t);
uint64_t totals_answers(const struct totals *t);
uint64_t totals_errors(const struct totals *t);

#endif
