/* The part of <gust/tls.h> that needs no OpenSSL: so that listeners and HTTP can
 * serve TLS and HTTP's client ask for it, and a program that does not use it need not
 * link it.  What does the work is reached through the configuration and the conn. */
#include <gust/tls.h>

#include "net/conn.h"
#include "net/secure.h"

gust_tls_config *gust_tls_config_ref(gust_tls_config *config)
{
    gust__tls_base *base = (gust__tls_base *)config;
    /* Relaxed: whoever adds a reference has one. */
    atomic_fetch_add_explicit(&base->refs, 1, memory_order_relaxed);
    return config;
}

void gust_tls_config_unref(gust_tls_config *config)
{
    gust__tls_base *base = (gust__tls_base *)config;
    /* Release and acquire: what every owner did comes before the free.  Pairs with
     * itself. */
    if (base && atomic_fetch_sub_explicit(&base->refs, 1, memory_order_acq_rel) == 1)
        base->destroy(config);
}

int gust_tls_server(gust_conn *c, gust_tls_config *config)
{
    return c->layer ? -EALREADY : ((gust__tls_base *)config)->server(c, config);
}

int gust_tls_client(gust_conn *c, gust_tls_config *config, const char *host)
{
    return c->layer ? -EALREADY : ((gust__tls_base *)config)->client(c, config, host);
}

int gust_tls_handshake(gust_conn *c, gust_time deadline)
{
    return c->layer ? c->layer->ops->handshake(c, deadline) : -EINVAL;
}

int gust_tls_info_read(gust_conn *c, gust_tls_info *ret_info)
{
    return c->layer ? c->layer->ops->info(c, ret_info) : -EINVAL;
}

const char *gust_tls_error(const gust_conn *c)
{
    return c->layer ? c->layer->ops->why(c) : "";
}
