#include "bench/load/tally.h"

const char *outcome_name(enum outcome o)
{
    switch (o) {
    case OUTCOME_GOOD: return "good";
    case OUTCOME_STATUS: return "status";
    case OUTCOME_LENGTH: return "length";
    case OUTCOME_ECHO: return "echo";
    case OUTCOME_MALFORMED: return "malformed";
    case OUTCOME_TIMEOUT: return "timeout";
    case OUTCOME_CLOSED: return "closed";
    case OUTCOME_CONNECT: return "connect";
    case OUTCOME_TLS: return "tls";
    case OUTCOME_UNSENT: return "unsent";
    case OUTCOMES: break;
    }
    return "canceled";
}

static uint64_t value(_Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void totals_add(struct totals *t, struct tally *from)
{
    for (int i = 0; i < OUTCOMES; i++)
        t->outcomes[i] += value(&from->outcomes[i]);
    for (int i = 0; i <= STATUS_MAX; i++)
        t->statuses[i] += value(&from->statuses[i]);
    t->sent += value(&from->sent);
    t->received += value(&from->received);
    t->waited += value(&from->waited);
    counts_add(&t->latency, &from->latency);
    counts_add(&t->connect, &from->connect);
    counts_add(&t->late, &from->late);
}

void totals_read(struct totals *t, struct tally *tallies, unsigned count)
{
    memset(t, 0, sizeof *t);
    for (unsigned i = 0; i < count; i++)
        totals_add(t, &tallies[i]);
}

uint64_t totals_requests(const struct totals *t)
{
    return t->outcomes[OUTCOME_GOOD] + totals_errors(t);
}

uint64_t totals_answers(const struct totals *t)
{
    return t->outcomes[OUTCOME_GOOD] + t->outcomes[OUTCOME_STATUS] + t->outcomes[OUTCOME_LENGTH];
}

uint64_t totals_errors(const struct totals *t)
{
    uint64_t errors = 0;
    for (int i = OUTCOME_GOOD + 1; i < OUTCOMES; i++)
        errors += t->outcomes[i];
    return errors;
}
