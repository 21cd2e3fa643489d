/* Room for a new connection at connections_max: one that waits for a request is given up
 * for it, as nginx does with its reusable connections.
 *
 * It is the one that has waited longest of some that are looked at, as caches do it that
 * have no list in order of use: such a list would cost each request a lock.  A hand goes
 * around the list of connections, so that all are looked at in turn; what it passes in one
 * call is bounded, and so is the time that the mutex is held. */
#include "http/give_up.h"

#define IDLE_SEEN_MAX 32
#define SEEN_MAX 1024
#define TRIES_MAX 4

/* Who has come, or was answered, just now is likely to have sent a request. */
#define IDLE_MIN_NS (20 * GUST_MS)

static struct http_conn *next_in_turn(gust_http_server *s)
{
    struct http_conn *hc = s->hand ? s->hand : LIST_FIRST(&s->conns);

    s->hand = LIST_NEXT(hc, link);
    return hc;
}

/* By the clock's units; who is wrong about it gives up another one. */
static struct http_conn *find_idle(gust_http_server *s)
{
    unsigned left = s->conn_count < SEEN_MAX ? s->conn_count : SEEN_MAX;
    const uint32_t now = conn_idle_clock(gust_now());
    uint32_t most = conn_idle_clock(IDLE_MIN_NS);
    struct http_conn *found = NULL;

    for (unsigned idle = 0; left > 0 && idle < IDLE_SEEN_MAX; left--) {
        struct http_conn *hc = next_in_turn(s);
        uint32_t life = atomic_load_explicit(&hc->life, memory_order_relaxed);
        if (conn_state_of(life) != CONN_IDLE)
            continue;
        idle++;
        uint32_t since = now - (life & ~CONN_STATE_MASK);
        if (since < most)
            continue;
        most = since;
        found = hc;
    }
    return found;
}

bool gust__http_give_up_locked(gust_http_server *s)
{
    for (int i = 0; i < TRIES_MAX; i++) {
        struct http_conn *hc = find_idle(s);
        if (!hc)
            return false;
        if (gust__http_claim_locked(hc)) {
            gust__http_report_kind(hc, GUST_HTTP_ERROR_GIVEN_UP, 0);
            return true;
        }
    }
    return false;
}

bool gust__http_claim_locked(struct http_conn *hc)
{
    if (!conn_move(hc, CONN_IDLE, CONN_CLAIMED))
        return false;
    gust_conn_set_read_deadline(hc->conn, GUST_NOW);
    return true;
}
