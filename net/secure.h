/* How net/ reaches the TLS library without being linked to it. */
#ifndef GUST_NET_SECURE_H
#define GUST_NET_SECURE_H

#include <gust/tls.h>
#include <stdatomic.h>

/* The first member of every gust_tls_config. */
typedef struct gust__tls_base {
    _Atomic uint32_t refs;
    int (*server)(gust_conn *c, gust_tls_config *config);
    int (*client)(gust_conn *c, gust_tls_config *config, const char *host);
    void (*destroy)(gust_tls_config *config);
} gust__tls_base;

#endif
