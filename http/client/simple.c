/* Whole calls. */
#include "http/client/client.h"

#include "http/gather.h"

int gust_http_call_read_all(gust_http_call *call, size_t limit, char **ret_data, size_t *ret_len)
{
    struct gathered all = {.limit = limit};
    gust_span piece;
    ssize_t n;
    int r = 0;

    while (r == 0 && (n = gust_http_call_next(call, &piece)) != 0)
        r = n < 0 ? (int)n : gust__http_gather(&all, piece);
    return gust__http_gather_end(&all, r, ret_data, ret_len);
}

/* Sends it, waits, and reads the body: the status, or an error. */
static int perform(gust_http_call *call, gust_span body, size_t limit, char **ret_data,
                   size_t *ret_len)
{
    int r = gust_http_call_send(call, body.data, body.len);
    int status = r == 0 || gust__is_lost(r) ? gust_http_call_wait(call) : r;

    if (status < 0)
        return status;
    r = gust_http_call_read_all(call, limit, ret_data, ret_len);
    return r < 0 ? r : status;
}

int gust_http_get(gust_http_client *client, const char *url, size_t limit, char **ret_data,
                  size_t *ret_len)
{
    gust_http_call *call;

    int r = gust_http_call_new(client, "GET", url, &call);
    if (r < 0)
        return r;
    r = perform(call, (gust_span){NULL, 0}, limit, ret_data, ret_len);
    gust_http_call_free(call);
    return r;
}

int gust_http_post(gust_http_client *client, const char *url, const char *content_type,
                   const void *body, size_t len, size_t limit, char **ret_data, size_t *ret_len)
{
    gust_http_call *call;

    int r = gust_http_call_new(client, "POST", url, &call);
    if (r < 0)
        return r;
    if (content_type)
        r = gust_http_call_header(call, "Content-Type", content_type);
    if (r == 0)
        r = perform(call, (gust_span){body, len}, limit, ret_data, ret_len);
    gust_http_call_free(call);
    return r;
}
