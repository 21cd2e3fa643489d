/* --tls-cert FILE --tls-key FILE, for every server example: both or neither.  SIGHUP
 * reads the files again. */
#ifndef GUST_EXAMPLES_TLS_H
#define GUST_EXAMPLES_TLS_H

#include <gust/chan.h>
#include <gust/inherit.h>
#include <gust/runtime.h>
#include <gust/signal.h>
#include <gust/tls.h>

#include "examples/options.h"

static gust_tls_identity tls_identity;

#define TLS_OPTIONS                                                                           \
    {"--tls-cert", "FILE", "serve TLS, with this certificate; SIGHUP reads both files again", \
     option_text, &tls_identity.cert_file},                                                   \
    {                                                                                         \
        "--tls-key", "FILE", "its key", option_text, &tls_identity.key_file                   \
    }

/* After options_parse. */
static inline void tls_check_options(const option *options)
{
    if (!tls_identity.cert_file && tls_identity.key_file)
        options_refuse(options, "--tls-key", "goes together with", "--tls-cert");
    if (tls_identity.cert_file && !tls_identity.key_file)
        options_refuse(options, "--tls-cert", "goes together with", "--tls-key");
}

static inline void tls_reload_on_hup(void *config)
{
    gust_chan *hups = NULL;
    int signo;
    if (gust_chan_new(sizeof signo, 1, &hups) == 0 && gust_signal_notify(hups, SIGHUP) == 0)
        while (gust_chan_recv(hups, &signo, GUST_FOREVER) == 1)
            if (gust_tls_config_reload(config) == 0)
                fprintf(stderr, "tls: certificate reloaded\n");
    gust_chan_unref(hups);
    gust_tls_config_unref(config);
}

/* Makes `listener` one for TLS, if the command line said so.  Returns 0, or the exit status
 * and has said why. */
static inline int tls_use(gust_listener *listener)
{
    const gust_tls_options options = {.identities = &tls_identity, .identity_count = 1};
    gust_tls_config *config;
    if (!tls_identity.cert_file)
        return 0;
    if (gust_tls_config_new(&options, &config) < 0)
        return 1; /* it has said why */
    gust_listener_use_tls(listener, config);
    int r = gust_go(tls_reload_on_hup, config);
    if (r == 0)
        return 0;
    gust_tls_config_unref(config);
    return failed("cannot start", r);
}

/* The socket that the program was started with (LISTEN_FDS), else one at `addr`; with TLS if
 * the command line said so.  NULL: it has said why. */
static inline gust_listener *tls_listen(const gust_addr *addr)
{
    char text[GUST_ADDR_TEXT_MAX];
    gust_listener *listener;
    int r = gust_listen_activated(addr, &listener);
    if (r < 0) {
        failed(gust_addr_format(addr, text), r);
        return NULL;
    }
    if (tls_use(listener) == 0)
        return listener;
    gust_listener_close(listener);
    return NULL;
}

#endif
