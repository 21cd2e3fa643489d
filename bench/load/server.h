/* The server under load: found once, at the start, then connected to as often as needed. */
#ifndef GUST_LOAD_SERVER_H
#define GUST_LOAD_SERVER_H

#include "bench/load/tally.h"

#include <gust/tls.h>

/* Why something failed, in words. */
#define WHY_MAX 256

struct server {
    const struct plan *plan;
    gust_addr addr; /* of the name's addresses, the one that answered */
    gust_tls_config *tls;
};

/* Resolves the name, and tries whether the server can be reached.  Returns false, and has said
 * why, if not.  Blocks; from a goroutine. */
bool server_find(const struct plan *p, struct server *ret_server);

void server_release(struct server *s);

/* Connects, with TLS if the plan says so.  OUTCOME_GOOD; or OUTCOME_CONNECT, OUTCOME_TLS and
 * OUTCOME_CANCELED, with why. */
enum outcome server_connect(const struct server *s, gust_time deadline, gust_conn **ret_conn,
                            char why[WHY_MAX]);

#endif
