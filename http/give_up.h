/* Ending the wait of connections that wait for a request. */
#ifndef GUST_HTTP_GIVE_UP_H
#define GUST_HTTP_GIVE_UP_H

#include "http/server.h"

/* Under the server's mutex, as all here.  Ends the wait of one that is idle; false if it is
 * not.  Its goroutine closes it, for the last response may still be on its way. */
bool gust__http_claim_locked(struct http_conn *hc);

/* The same with one that has been idle for long.  False if none was found. */
bool gust__http_give_up_locked(gust_http_server *s);

#endif
