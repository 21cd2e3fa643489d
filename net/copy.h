/* What copy.c, conn_splice.c and send_file.c share: pipes, and sends that know how far
 * they came. */
#ifndef GUST_NET_COPY_H
#define GUST_NET_COPY_H

#include <gust/copy.h>

/* A pipe lives as long as the copy that uses it.  Keeping them for the next one would
 * save two system calls for each stream, which is at least some 100 KiB long. */
typedef struct gust__pipe {
    int out; /* to read from; -1: there is none */
    int in;
} gust__pipe;

/* Errors: -EMFILE, -ENFILE; -ENOBUFS if the process has GUST__PIPES_MAX already. */
int gust__pipe_open(gust__pipe *pipe);
void gust__pipe_close(gust__pipe *pipe);

#define GUST__PIPES_MAX 1024

/* May this pair of conns be tried?  conn_splice.c says how it is done. */
bool gust__conn_splices(const gust_conn *dst, const gust_conn *src);

/* Up to len bytes from src's socket into an empty pipe, by the reader.  The
 * count, 0 at the end of the stream; errors as gust__conn_op_wait. */
int gust__conn_pull(gust_conn *src, const gust__pipe *pipe, size_t len, gust_time deadline);

/* `len` bytes of the pipe to dst's socket, by the writer, with `busy` set.
 * *sent counts those that are out of it, also after an error. */
int gust__conn_push(gust_conn *dst, const gust__pipe *pipe, size_t len, gust_time deadline,
                    size_t *sent);

/* Pages of a file that are in memory. */
typedef struct gust__pages {
    int fd;
    off_t at;
} gust__pages;

/* The same from there.  0 with less than len: the file has ended. */
int gust__conn_push_pages(gust_conn *dst, const gust__pages *pages, size_t len, gust_time deadline,
                          size_t *sent);

/* What an error of a call says: GUST__SPLICE_REFUSED, or the error itself. */
int gust__splice_refusal(int error);

/* Of all three: nothing is wrong, but these sockets are to be read and written. */
#define GUST__SPLICE_REFUSED (-EOPNOTSUPP)

/* Bytes in memory, or in a pipe or in pages if that is set. */
typedef struct gust__piece {
    const char *data;
    const gust__pipe *pipe;
    const gust__pages *pages;
    size_t len;
} gust__piece;

/* Sends a piece from where it lies, once what dst has buffered is out.  *ret_sent says
 * how much of it the kernel has taken, also after an error; if that was a deadline's or
 * a cancellation's, dst is as usable as before. */
int gust__conn_send_piece(gust_conn *dst, const gust__piece *piece, gust_time deadline,
                          size_t *ret_sent);

/* Below this splice is not worth its system calls; SIZE_MAX: it never is.  Tests set
 * it, before they copy. */
extern size_t gust__splice_min;

#endif
