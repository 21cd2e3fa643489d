/* Fetches URLs at the same time, and prints their bodies one by one: http_get URL...
 * Follows redirects, goes through the proxies of the environment, verifies servers. */
#include <gust/http_client.h>
#include <gust/http_decode.h>
#include <gust/runtime.h>
#include <gust/sync.h>
#include <stdio.h>
#include <stdlib.h>

#define BODY_MAX ((size_t)64 << 20)

struct fetch {
    gust_http_client *client;
    gust_waitgroup *running;
    const char *url;
    int result; /* the status, or an error */
    char *data;
    size_t len;
};

static void explain(const struct fetch *f, const gust_http_call *call)
{
    gust_http_call_info info;
    gust_http_call_info_read(call, &info);
    fprintf(stderr, "%s: %s: %s %s\n", f->url, gust_http_phase_name(info.phase),
            gust_resolve_strerror(f->result), info.reason);
}

static int fetch(struct fetch *f, gust_http_call *call)
{
    int r = gust_http_call_send(call, NULL, 0);
    int status = r < 0 ? r : gust_http_call_wait(call);
    if (status < 0)
        return status;
    r = gust_http_call_read_all(call, BODY_MAX, &f->data, &f->len);
    return r < 0 ? r : status;
}

static void run_fetch(void *arg)
{
    struct fetch *f = arg;
    gust_http_call *call;
    f->result = gust_http_call_new(f->client, "GET", f->url, &call);
    if (f->result < 0) {
        fprintf(stderr, "%s: %s\n", f->url, gust_resolve_strerror(f->result));
    } else {
        f->result = fetch(f, call);
        if (f->result < 0)
            explain(f, call);
        gust_http_call_free(call);
    }
    gust_waitgroup_done(f->running);
}

static bool print(const struct fetch *f)
{
    if (f->result >= 300)
        fprintf(stderr, "%s: status %d\n", f->url, f->result);
    if (f->len > 0)
        fwrite(f->data, 1, f->len, stdout);
    free(f->data);
    return f->result >= 200 && f->result < 300;
}

static int get_all(void *arg)
{
    char **urls = arg;
    bool good = true;
    gust_tls_config *tls = NULL; /* verifies by the system's store */
    gust_http_client *client = NULL;
    gust_waitgroup running = GUST_WAITGROUP_INIT;
    struct fetch fetches[100] = {0};
    size_t count = 0;
    int r = gust_tls_config_new(&(gust_tls_options){0}, &tls);
    const gust_http_client_options options = {
        .tls = tls, .redirects_max = 10, .proxy_from_env = true, .decoding = gust_http_decoding()};
    if (r == 0)
        r = gust_http_client_new(&options, &client);
    for (; r == 0 && *urls && count < 100; urls++, count++) {
        fetches[count] = (struct fetch){.client = client, .running = &running, .url = *urls};
        gust_waitgroup_add(&running, 1);
        if ((fetches[count].result = gust_go(run_fetch, &fetches[count])) < 0)
            gust_waitgroup_done(&running);
    }
    gust_waitgroup_wait(&running, GUST_FOREVER);
    for (size_t i = 0; i < count; i++)
        good = print(&fetches[i]) && good;
    gust_http_client_free(client);
    gust_tls_config_unref(tls);
    return r == 0 && good ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return gust_run(get_all, argv + 1);
    fprintf(stderr, "usage: %s URL...\n", argv[0]);
    return 2;
}
