/* Bodies out of files.
 *
 * What is small, as most files are, is read into the text behind the header, as if a
 * handler had written it.  Of others pieces are read into a buffer of the server's, and the
 * first one leaves together with the header.  What is left of a large one is net's to copy
 * (gust_conn_send_file), unless it has to be chunked or filtered. */
#include <gust/http_files.h>

#include <errno.h>
#include <gust/copy.h>
#include <gust/file.h>
#include <gust/sync.h>
#include <sys/stat.h>

#include "http/filter.h"
#include "http/response.h"
#include "http/watch.h"

/* Up to here a body is put behind the header. */
#define STAGED_MAX ((size_t)16384)

/* From here on it is worth net's preparations. */
#define COPIED_MIN ((uint64_t)256 << 10)

/* --- Reading --------------------------------------------------------------------- */

/* All of it: 0, or -ENODATA if the file has ended, and what pread(2) answers. */
static int read_all(int fd, char *buf, size_t len, uint64_t at)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = gust_fd_pread(fd, buf + got, len - got, (int64_t)(at + got));
        if (n <= 0)
            return n < 0 ? (int)n : -ENODATA;
        got += (size_t)n;
    }
    return 0;
}

/* --- Writing --------------------------------------------------------------------- */

struct file_part {
    int fd;
    uint64_t at;
    uint64_t left;
};

static void advance(gust_http_response *res, struct file_part *f, uint64_t n)
{
    f->at += n;
    f->left -= n;
    res->written += n;
}

/* All of the body, behind the header in the text: nothing has changed if that fails.  Then
 * both are sent. */
static int send_staged(gust_http_response *res, struct file_part *f)
{
    struct http_text *t = &res->text;
    size_t n = (size_t)f->left;
    int r = gust__http_text_reserve(t, n + 2);

    if (r == 0)
        r = read_all(f->fd, t->data + t->len + 2, n, f->at);
    if (r < 0)
        return r;
    (void)gust__http_end_header(res); /* there is room */
    t->len += n;
    gust__http_declare(res, f->left);
    advance(res, f, n);
    return gust__http_commit(res, res->declared && res->written == res->length);
}

/* In pieces, each with a time of its own. */
static int send_rest(gust_http_response *res, struct file_part *f)
{
    uint64_t copied;
    int r = 0;

    while (r == 0 && f->left > 0) {
        size_t n =
            f->left < GUST_HTTP_WRITE_PIECE_MAX ? (size_t)f->left : GUST_HTTP_WRITE_PIECE_MAX;
        bool changed = gust__http_watch_io_begin(res->req->watch);
        r = gust_conn_send_file(res->hc->conn, f->fd, f->at, n,
                                gust__http_write_deadline(res->hc, n), &copied);
        gust__http_watch_io_end(res->req->watch, changed);
        advance(res, f, copied);
        if (r == 0 && copied < n)
            r = -ENODATA;
    }
    return r;
}

static bool is_copied(const gust_http_response *res, const struct file_part *f)
{
    return f->left >= COPIED_MIN && res->framing != FRAMING_CHUNKED && !res->filter_state;
}

/* Reads the next piece and, if it is the first one, sends the header: an error before that
 * changes nothing. */
static int begin_piece(gust_http_response *res, const struct file_part *f, char *buf, size_t n)
{
    int r = read_all(f->fd, buf, n, f->at);

    if (r < 0 || res->committed)
        return r;
    gust__http_declare(res, f->left);
    return gust__http_commit(res, false);
}

static int send_pieces(gust_http_response *res, struct file_part *f, char *buf)
{
    int r = 0;

    while (r == 0 && f->left > 0) {
        size_t n = f->left < HTTP_BUFFER_SIZE ? (size_t)f->left : HTTP_BUFFER_SIZE;
        r = begin_piece(res, f, buf, n);
        if (r < 0)
            break;
        gust__http_filter_write(res, buf, n);
        advance(res, f, n);
        r = res->error;
        if (is_copied(res, f))
            break;
    }
    return r;
}

static int send_buffered(gust_http_response *res, struct file_part *f)
{
    gust_pool *pool = gust__http_buffers(res->hc);
    char *buf = gust_pool_get(pool);

    if (!buf)
        return -ENOMEM;
    int r = send_pieces(res, f, buf);
    gust_pool_put(pool, buf);
    return r < 0 || f->left == 0 ? r : send_rest(res, f);
}

/* Nothing is sent of it, or there is nothing: it is counted. */
static int count_only(gust_http_response *res, uint64_t len)
{
    int r = gust__http_end_header(res);

    if (r < 0)
        return r;
    gust__http_declare(res, res->written + len);
    res->written += len;
    return 0;
}

int gust__http_send_file(gust_http_response *res, int fd, uint64_t offset, uint64_t len)
{
    struct file_part f = {fd, offset, len};
    bool first = !res->committed && res->body_at == 0;
    int r = gust__http_admit(res, len);

    if (r < 0)
        return r;
    if (offset > INT64_MAX || len > INT64_MAX - offset)
        return -EINVAL;
    if (len == 0 || !gust__http_sends_body(res))
        return count_only(res, len);
    if (!res->committed && !first)
        r = gust__http_commit(res, false);
    if (r == 0)
        r = first && len <= STAGED_MAX ? send_staged(res, &f) : send_buffered(res, &f);
    /* Once the body has begun there is no way back: it is cut off. */
    if (r < 0 && res->committed && res->error == 0)
        res->error = r;
    return r;
}

int gust_http_send_file(gust_http_response *res, int fd, uint64_t offset, uint64_t len)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    return S_ISREG(st.st_mode) ? gust__http_send_file(res, fd, offset, len) : -EINVAL;
}
