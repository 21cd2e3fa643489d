/* Server-sent events: GET / shows a clock, and what others send to POST /notes. */
#include <gust/http_form.h>
#include <gust/http_sse.h>
#include <gust/sync.h>

#include "examples/serve.h"

#define NOTE_BYTES_MAX 1000

static const char page[] =
    "<!doctype html><title>events</title><p id=tick></p><pre id=notes></pre><script>\n"
    "const events = new EventSource('/events');\n"
    "events.addEventListener('tick', e => tick.textContent = e.data);\n"
    "events.addEventListener('note', e => notes.textContent += e.data + '\\n');</script>\n";

typedef struct note {
    long number;
    size_t len;
    char text[NOTE_BYTES_MAX];
} note;

static struct {
    gust_mutex mutex; /* for all */
    gust_cond changed;
    bool stopped;
    note last;
} wall;

static void show_page(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_http_reply(res, 200, "text/html; charset=utf-8", page, sizeof page - 1);
}

static void add_note(gust_http_request *req, gust_http_response *res, void *arg)
{
    char *text;
    size_t len;
    if (gust_http_body_read_all(req, NOTE_BYTES_MAX, &text, &len) < 0)
        return; /* the server says why */
    gust_mutex_lock(&wall.mutex);
    memcpy(wall.last.text, text, wall.last.len = len);
    wall.last.number++;
    gust_cond_broadcast(&wall.changed);
    gust_mutex_unlock(&wall.mutex);
    free(text);
    gust_http_status(res, 204);
}

/* Waits for one newer than *n, for a second at most.  1: it is in *n. */
static int next_note(note *n)
{
    const gust_time deadline = gust_after(GUST_SEC);
    int r = 0;
    gust_mutex_lock(&wall.mutex);
    while (r == 0 && wall.last.number <= n->number && !wall.stopped)
        r = gust_cond_wait(&wall.changed, &wall.mutex, deadline);
    if (r == 0 && !wall.stopped)
        *n = wall.last;
    r = wall.stopped ? -ESHUTDOWN : r == 0 ? 1 : r == -ETIMEDOUT ? 0 : r;
    gust_mutex_unlock(&wall.mutex);
    return r;
}

/* Ends when the client is gone: its context ends the wait, or the sending fails. */
static void stream(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_span id = gust_http_sse_last_id(req);
    note n = {.number = id.data ? atol(id.data) : 0};
    char text[24];
    int is_note, r = gust_http_sse_start(res);
    for (long ticks = 1; r == 0 && (is_note = next_note(&n)) >= 0;) {
        int len = snprintf(text, sizeof text, "%ld", is_note ? n.number : ticks++);
        const gust_http_sse_event tick = {NULL, "tick", {text, (size_t)len}};
        r = gust_http_sse_send(res, is_note ? &(gust_http_sse_event){text, "note", {n.text, n.len}}
                                            : &tick);
    }
}

/* Streams would not end by themselves. */
static void stop_streams(void *arg)
{
    gust_mutex_lock(&wall.mutex);
    wall.stopped = true;
    gust_cond_broadcast(&wall.changed);
    gust_mutex_unlock(&wall.mutex);
}

static int serve(void *arg)
{
    static const app_route routes[] = {
        {"GET /{$}", show_page}, {"GET /events", stream}, {"POST /notes", add_note}, {0}};
    return app_serve(&(app){{.on_drain = stop_streams}, routes});
}

int main(int argc, char **argv)
{
    return app_main(argv, app_options, serve);
}
