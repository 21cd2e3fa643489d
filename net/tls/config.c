/* A configuration: the copy of its options, and what was made of its files, which a
 * reload replaces. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/inject.h"
#include "core/sched.h"
#include "net/tls/tls.h"

/* --- Copying the options ----------------------------------------------------- */

/* A copy in *at, in the place of what it points to; false: out of memory, NULL then.
 * NULL stays NULL. */
static bool own_string(const char **at)
{
    if (!*at)
        return true;
    size_t size = strlen(*at) + 1;
    char *copy = gust__malloc(size);
    if (copy)
        memcpy(copy, *at, size);
    *at = copy;
    return copy != NULL;
}

/* Each becomes our own or NULL, so that all can be freed whatever failed. */
static bool own_strings(gust_tls_options *o)
{
    bool ok = own_string(&o->ca_file);
    ok &= own_string(&o->ca_dir);
    ok &= own_string(&o->ciphers);
    ok &= own_string(&o->ciphersuites);
    ok &= own_string(&o->groups);
    return ok;
}

static bool own_identities(gust_tls_options *o)
{
    size_t count = o->identity_count;
    gust_tls_identity *list = count ? gust__calloc(count, sizeof *list) : NULL;
    const gust_tls_identity *from = o->identities;
    o->identities = list;
    o->identity_count = list ? count : 0;
    bool ok = list || !count;
    for (size_t i = 0; i < o->identity_count; i++) {
        list[i] = from[i];
        ok &= own_string(&list[i].cert_file);
        ok &= own_string(&list[i].key_file);
    }
    return ok;
}

static void free_options(gust_tls_options *o)
{
    for (size_t i = 0; i < o->identity_count; i++) {
        free((void *)o->identities[i].cert_file);
        free((void *)o->identities[i].key_file);
    }
    free((void *)o->identities);
    free((void *)o->ca_file);
    free((void *)o->ca_dir);
    free((void *)o->ciphers);
    free((void *)o->ciphersuites);
    free((void *)o->groups);
}

/* Each name behind its length in a byte, as it goes over the wire. */
static int own_alpn(gust_tls_config *config)
{
    const char *const *names = config->options.alpn;
    config->options.alpn = NULL;
    if (!names)
        return 0;
    size_t len = 0;
    for (size_t i = 0; names[i]; i++) {
        size_t name = strlen(names[i]);
        if (name == 0 || name > GUST_TLS_ALPN_MAX || len > UINT16_MAX - 1 - name)
            return -EINVAL;
        len += 1 + name;
    }
    unsigned char *out = config->alpn = gust__malloc(len + 1);
    if (!out)
        return -ENOMEM;
    for (size_t i = 0; names[i]; i++) {
        size_t name = strlen(names[i]);
        *out++ = (unsigned char)name;
        memcpy(out, names[i], name);
        out += name;
    }
    config->alpn_len = len;
    return 0;
}

/* --- Defaults and bounds ----------------------------------------------------- */

static void fill_in_defaults(gust_tls_options *o)
{
    if (o->min_version == GUST_TLS_VERSION_DEFAULT)
        o->min_version = GUST_TLS_1_2;
    if (o->max_version == GUST_TLS_VERSION_DEFAULT)
        o->max_version = GUST_TLS_1_3;
    if (o->handshake_timeout_ns == 0)
        o->handshake_timeout_ns = GUST_TLS_HANDSHAKE_TIMEOUT_NS;
    if (o->ticket_rotation_ns == 0)
        o->ticket_rotation_ns = GUST_TLS_TICKET_ROTATION_NS;
    if (o->ticket_keys_kept == 0)
        o->ticket_keys_kept = GUST_TLS_TICKET_KEYS_KEPT;
    if (o->client_sessions_max == 0)
        o->client_sessions_max = GUST_TLS_CLIENT_SESSIONS_MAX;
}

static bool version_valid(gust_tls_version version)
{
    return version == GUST_TLS_1_2 || version == GUST_TLS_1_3;
}

static bool identities_valid(const gust_tls_options *o)
{
    for (size_t i = 0; i < o->identity_count; i++)
        if (!o->identities[i].cert_file || !o->identities[i].key_file)
            return false;
    return true;
}

static bool options_valid(const gust_tls_options *o)
{
    return version_valid(o->min_version) && version_valid(o->max_version) &&
           o->min_version <= o->max_version && identities_valid(o) &&
           o->client_auth <= GUST_TLS_CLIENT_REQUIRE &&
           (o->client_auth == GUST_TLS_CLIENT_NONE || o->ca_file || o->ca_dir) &&
           o->handshake_timeout_ns > 0 && o->ticket_rotation_ns > 0 &&
           o->ticket_keys_kept <= GUST_TLS_TICKET_KEYS_MAX;
}

/* --- Life ------------------------------------------------------------------ */

static void config_destroy(gust_tls_config *config)
{
    gust__tls_context_unref(config->context);
    gust__sessions_fini(&config->sessions);
    gust__tickets_fini(&config->tickets);
    if (config->keylog_fd >= 0)
        close(config->keylog_fd);
    free(config->alpn);
    free_options(&config->options);
    free(config);
}

static int open_keylog(gust_tls_config *config)
{
    gust_tls_options *o = &config->options;
    const char *path = o->keylog_file;
    if (!path && o->keylog_from_env)
        path = secure_getenv("SSLKEYLOGFILE");
    o->keylog_file = NULL;
    if (!path || !*path)
        return 0;
    config->keylog_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    int error = config->keylog_fd < 0 ? -errno : 0;
    gust__log("tls: %s the secrets of all connections to %s%s%s",
              error ? "cannot write" : "writing", path, error ? ": " : "",
              error ? strerrordesc_np(-error) : "");
    return error;
}

static int config_fill(gust_tls_config *config)
{
    int error = open_keylog(config);
    if (!error)
        error = own_alpn(config);
    if (!error)
        error = gust__tickets_rotate(&config->tickets);
    return error ? error : gust__tls_context_load(config, &config->context);
}

int gust_tls_config_new(const gust_tls_options *options, gust_tls_config **ret_config)
{
    gust_tls_options o = *options;
    fill_in_defaults(&o);
    if (!options_valid(&o)) {
        gust__log("tls: options that contradict each other or are out of range");
        return -EINVAL;
    }
    gust_tls_config *config = gust__calloc(1, sizeof *config);
    if (!config)
        return -ENOMEM;
    atomic_init(&config->base.refs, 1);
    config->base.server = gust__tls_start_server;
    config->base.client = gust__tls_start_client;
    config->base.destroy = config_destroy;
    config->keylog_fd = -1;
    gust__tickets_init(&config->tickets, o.ticket_rotation_ns, o.ticket_keys_kept);
    int error =
        gust__sessions_init(&config->sessions, o.no_client_sessions ? 0 : o.client_sessions_max);
    config->options = o;
    bool owned = own_identities(&config->options);
    owned &= own_strings(&config->options);
    if (!error)
        error = owned ? config_fill(config) : -ENOMEM;
    if (error) {
        gust_tls_config_unref(config);
        return error;
    }
    *ret_config = config;
    return 0;
}

/* --- Reload ------------------------------------------------------------------ */

gust__tls_context *gust__tls_config_context(gust_tls_config *config)
{
    gust_mutex_lock(&config->mutex);
    gust__tls_context *context = gust__tls_context_ref(config->context);
    gust_mutex_unlock(&config->mutex);
    return context;
}

int gust_tls_config_reload(gust_tls_config *config)
{
    gust__tls_context *fresh, *before;
    int error = gust__tls_context_load(config, &fresh);
    if (error)
        return error;
    gust_mutex_lock(&config->mutex);
    before = config->context;
    config->context = fresh;
    gust_mutex_unlock(&config->mutex);
    gust__tls_context_unref(before);
    /* They were verified by what was trusted then. */
    gust__sessions_clear(&config->sessions);
    return 0;
}

/* --- Tickets ----------------------------------------------------------------- */

int gust_tls_config_set_ticket_keys(gust_tls_config *config, const gust_tls_ticket_key *keys,
                                    size_t count)
{
    return gust__tickets_set(&config->tickets, keys, count);
}

int gust_tls_config_rotate_tickets(gust_tls_config *config)
{
    return gust__tickets_rotate(&config->tickets);
}
