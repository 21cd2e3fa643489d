/* How often a client may ask. */
#include <gust/http_rate.h>

#include "core/inject.h"
#include "http/clients.h"

#include <gust/http_operations.h>

#include <stdatomic.h>
#include <stdio.h>

struct gust_http_rate {
    struct http_clients *clients;
    int64_t interval_ns;
    unsigned burst;
    _Atomic uint64_t refused;
};

int gust_http_rate_new(const gust_http_rate_options *options, gust_http_rate **ret_rate)
{
    int64_t per_ns = options->per_ns ? options->per_ns : GUST_SEC;
    unsigned max = options->clients_max ? options->clients_max : GUST_HTTP_RATE_CLIENTS_MAX;
    unsigned burst = options->burst ? options->burst : options->requests;

    /* A bucket's time is a number of nanoseconds. */
    if (options->requests == 0 || per_ns < options->requests ||
        per_ns / options->requests > INT64_MAX / 4 / burst)
        return -EINVAL;
    gust_http_rate *rate = gust__calloc(1, sizeof(*rate));
    if (!rate)
        return -ENOMEM;
    int r = gust__http_clients_new(max, &rate->clients);
    if (r < 0) {
        free(rate);
        return r;
    }
    rate->interval_ns = per_ns / options->requests;
    rate->burst = burst;
    *ret_rate = rate;
    return 0;
}

void gust_http_rate_free(gust_http_rate *rate)
{
    if (!rate)
        return;
    gust__http_clients_free(rate->clients);
    free(rate);
}

uint64_t gust_http_rate_refused(const gust_http_rate *rate)
{
    return atomic_load(&rate->refused);
}

static void refuse(gust_http_response *res, int64_t wait_ns)
{
    char seconds[24];

    snprintf(seconds, sizeof(seconds), "%lld", (long long)((wait_ns + GUST_SEC - 1) / GUST_SEC));
    gust_http_header(res, "Retry-After", seconds);
    gust_http_reply(res, 429, "text/plain", "Too Many Requests\n", 18);
}

void gust_http_rate_layer(gust_http_request *req, gust_http_response *res, gust_http_next *next,
                          void *arg)
{
    gust_http_rate *rate = arg;
    gust_addr addr;

    gust_http_request_client_addr(req, &addr);
    int64_t wait_ns =
        gust__http_clients_admit(rate->clients, &addr, gust_now(), rate->interval_ns, rate->burst);
    if (wait_ns <= 0) {
        gust_http_next_run(next);
        return;
    }
    atomic_fetch_add_explicit(&rate->refused, 1, memory_order_relaxed); /* orders nothing */
    refuse(res, wait_ns);
}
