/* Bodies out of files.
 *
 * What is small, as most files are, is read into the text behind the header, as if a
 * handler had written it.  Of a large one some bytes are, and the rest is net's to copy
 * (gust_conn_send_file).  What has to be chunked or filtered, or is in between, goes through a
 * buffer of the server's, piece by piece. */
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
#define COPIED_MIN ((uint64_t)32 << 10)

/* With most headers this fits into the response's own storage. */
#define FIRST_LEN ((size_t)512)

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

/* The first n bytes, behind the header in the text: nothing has changed if that fails.
 * Then both are sent. */
static int send_staged(gust_http_response *res, struct file_part *f, size_t n)
{
    struct http_text *t = &res->text;
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

/* One turn: what goes within the time that a piece has.  Returns -ETIMEDOUT only if that
 * was less than a piece: so a slow client gets it all, and one that has stopped is found
 * out after two turns at most. */
static int send_turn(gust_http_response *res, struct file_part *f)
{
    uint64_t piece = f->left < GUST_HTTP_WRITE_PIECE_MAX ? f->left : GUST_HTTP_WRITE_PIECE_MAX;
    gust_time deadline = gust__http_write_deadline(res->hc, (size_t)piece);
    uint64_t left = f->left, copied;
    int r = gust_conn_send_file(res->hc->conn, f->fd, f->at, left, deadline, &copied);

    advance(res, f, copied);
    if (r == 0 && copied < left)
        return -ENODATA;
    return r == -ETIMEDOUT && copied >= piece ? 0 : r;
}

static int send_rest(gust_http_response *res, struct file_part *f)
{
    bool changed = gust__http_watch_io_begin(res->req->watch);
    int r = 0;

    while (r == 0 && f->left > 0)
        r = send_turn(res, f);
    gust__http_watch_io_end(res->req->watch, changed);
    return r;
}

static bool is_copied(const gust_http_response *res, const struct file_part *f)
{
    return res->committed && f->left >= COPIED_MIN && res->framing != FRAMING_CHUNKED &&
           !res->filter_state;
}

/* What goes with the header.  Of a file that is copied it is little: enough to see that the
 * file can be read while another answer is still possible. */
static int send_first(gust_http_response *res, struct file_part *f)
{
    if (f->left <= STAGED_MAX)
        return send_staged(res, f, (size_t)f->left);
    return f->left >= COPIED_MIN + FIRST_LEN ? send_staged(res, f, FIRST_LEN) : 0;
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
    return r;
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
    if (!res->committed)
        r = first ? send_first(res, &f) : gust__http_commit(res, false);
    if (r == 0 && f.left > 0)
        r = is_copied(res, &f) ? send_rest(res, &f) : send_buffered(res, &f);
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
