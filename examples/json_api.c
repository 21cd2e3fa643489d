/* A JSON API.  POST /notes with {"text": "..."} makes a note; GET /notes shows all of them,
 * GET and DELETE /notes/{id} are about one. */
#include <gust/http_json.h>
#include <gust/sync.h>

#include "examples/serve.h"

#define NOTE_BYTES_MAX 65536

typedef struct notes {
    gust_mutex mutex;
    json_t *by_id; /* an object; under the mutex, as what is in it */
    long next_id;
} notes;

static const char *id_of(gust_http_request *req, char id[24])
{
    gust_span value = gust_http_path_value(req, "id");
    snprintf(id, 24, "%.*s", (int)value.len, value.data ? value.data : "");
    return id;
}

static void list_notes(gust_http_request *req, gust_http_response *res, void *arg)
{
    notes *n = arg;
    gust_mutex_lock(&n->mutex);
    json_t *all = json_copy(n->by_id); /* notes do not change */
    gust_mutex_unlock(&n->mutex);
    gust_http_json_reply(res, 200, all);
    json_decref(all);
}

static void add_note(gust_http_request *req, gust_http_response *res, void *arg)
{
    notes *n = arg;
    json_t *note;
    char location[48];
    if (gust_http_json_read(req, res, NOTE_BYTES_MAX, &note) < 0)
        return; /* the client has been told */
    if (json_is_string(json_object_get(note, "text"))) {
        gust_mutex_lock(&n->mutex);
        snprintf(location, sizeof location, "/notes/%ld", ++n->next_id);
        json_object_set(n->by_id, location + strlen("/notes/"), note);
        gust_mutex_unlock(&n->mutex);
        gust_http_header(res, "Location", location);
        gust_http_json_reply(res, 201, note);
    } else {
        gust_http_json_error(res, 422, "a note needs a \"text\"");
    }
    json_decref(note);
}

static void show_note(gust_http_request *req, gust_http_response *res, void *arg)
{
    notes *n = arg;
    char id[24];
    gust_mutex_lock(&n->mutex);
    json_t *note = json_incref(json_object_get(n->by_id, id_of(req, id)));
    gust_mutex_unlock(&n->mutex);
    if (!note || gust_http_json_reply(res, 200, note) < 0)
        gust_http_json_error(res, 404, "there is no note %s", id);
    json_decref(note);
}

static void delete_note(gust_http_request *req, gust_http_response *res, void *arg)
{
    notes *n = arg;
    char id[24];
    gust_mutex_lock(&n->mutex);
    int r = json_object_del(n->by_id, id_of(req, id));
    gust_mutex_unlock(&n->mutex);
    if (r == 0)
        gust_http_status(res, 204);
    else
        gust_http_json_error(res, 404, "there is no note %s", id);
}

static int serve(void *arg)
{
    notes n = {.by_id = json_object()};
    const app_route routes[] = {{"GET /notes", list_notes, &n},
                                {"POST /notes", add_note, &n},
                                {"GET /notes/{id}", show_note, &n},
                                {"DELETE /notes/{id}", delete_note, &n},
                                {0}};
    int status = app_serve(&(app){.routes = routes});
    json_decref(n.by_id);
    return status;
}

int main(int argc, char **argv)
{
    return app_main(argv, app_options, serve);
}
