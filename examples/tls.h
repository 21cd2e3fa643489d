/* --tls-cert FILE --tls-key FILE, for every server example: both or neither.  SIGHUP
 * reads the files again. */
#ifndef GUST_EXAMPLES_TLS_H
#define GUST_EXAMPLES_TLS_H

#include <gust/chan.h>
#include <gust/net.h>
#include <gust/runtime.h>
#include <gust/signal.h>
#include <gust/tls.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define TLS_USAGE "[--tls-cert FILE --tls-key FILE]"

static gust_tls_identity tls_identity;

/* Removes what follows argv[at], and argv[at]; returns what followed. */
static inline const char *tls_take_arg(int *argc, char **argv, int at)
{
    const char *value = argv[at + 1];
    *argc -= 2;
    memmove(&argv[at], &argv[at + 2], sizeof *argv * (size_t)(*argc - at + 1));
    return value;
}

/* Takes the two arguments out of the command line.  False, and says why, if one is
 * there without the other or without its file. */
static inline bool tls_take_args(int *argc, char **argv)
{
    for (int i = 1; i < *argc;) {
        bool cert = strcmp(argv[i], "--tls-cert") == 0;
        if (!cert && strcmp(argv[i], "--tls-key") != 0) {
            i++;
        } else if (i + 1 == *argc) {
            fprintf(stderr, "%s: %s needs a file\n", argv[0], argv[i]);
            return false;
        } else {
            *(cert ? &tls_identity.cert_file : &tls_identity.key_file) =
                tls_take_arg(argc, argv, i);
        }
    }
    if (!tls_identity.cert_file == !tls_identity.key_file)
        return true;
    fprintf(stderr, "%s: --tls-cert and --tls-key go together: there is no %s\n", argv[0],
            tls_identity.cert_file ? "--tls-key" : "--tls-cert");
    return false;
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

/* Makes `listener` one for TLS, if the command line said so. */
static inline int tls_listen(gust_listener *listener)
{
    const gust_tls_options options = {.identities = &tls_identity, .identity_count = 1};
    gust_tls_config *config;
    if (!tls_identity.cert_file)
        return 0;
    int r = gust_tls_config_new(&options, &config); /* it has said why not */
    if (r == 0) {
        gust_listener_use_tls(listener, config);
        if ((r = gust_go(tls_reload_on_hup, config)))
            gust_tls_config_unref(config);
    }
    return r;
}

#endif
