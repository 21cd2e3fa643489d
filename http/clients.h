/* A bounded table of clients, by address. */
#ifndef GUST_HTTP_CLIENTS_H
#define GUST_HTTP_CLIENTS_H

#include <gust/net.h>

struct http_clients;
struct http_client;

/* What tells clients apart: of IPv4 the address, of IPv6 its /64, since that is what a
 * single customer gets.  Unix sockets have one key for all. */
uint64_t gust__http_client_key(const gust_addr *addr);

/* A table of at most `max` clients.  Errors: -ENOMEM. */
int gust__http_clients_new(unsigned max, struct http_clients **ret_clients);
void gust__http_clients_free(struct http_clients *clients); /* NULL is accepted */

/* Counts one more connection of the client; to be given back by leave.  NULL in
 * *ret_client: the table is full of clients that have connections, and this one is not
 * counted; so who fills the table keeps nobody out.
 * Errors: -EUSERS if it has `limit` already; -ENOMEM. */
int gust__http_clients_enter(struct http_clients *clients, const gust_addr *addr, unsigned limit,
                             struct http_client **ret_client);
void gust__http_clients_leave(struct http_clients *clients, struct http_client *client);

/* One request of the client, at `now`, that is to keep to one per `interval_ns` and may
 * come `burst` at a time.  Returns 0, or after how many nanoseconds it would be admitted.
 * A client that is not in a full table replaces the one that has not asked for longest.
 * Errors: -ENOMEM. */
int64_t gust__http_clients_admit(struct http_clients *clients, const gust_addr *addr, gust_time now,
                                 int64_t interval_ns, unsigned burst);

#endif
