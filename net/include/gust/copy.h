/* Copying into a connection: from another one, and from a file.
 *
 * No byte is lost, whatever ends a copy.  Those that are counted in *ret_copied have
 * been taken over by dst, as by gust_conn_write.  Those of src that are not counted
 * are in its view, or have not been received: the next copy, read or fill of src goes
 * on with them.  After -ETIMEDOUT, -EAGAIN and -ECANCELED both conns are as usable as
 * before.
 *
 * A copy reads src and writes dst; meanwhile no other goroutine may read src (writing
 * it, and reading dst, is fine: a proxy is two copies). */
#ifndef GUST_COPY_H
#define GUST_COPY_H

#include <gust/net.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GUST_COPY_ALL UINT64_MAX

/* Copies until `limit` bytes are copied or the stream of src has ended; the bytes in
 * src's view come first.  Small pieces go through the conns' buffers; a stream that
 * keeps coming in large ones is moved by the kernel (splice through a pipe) where
 * that is cheaper.  *ret_copied is set in every case.
 * Returns 0; then *ret_copied < limit means the end of the stream, which is not passed
 * on to dst (gust_conn_shutdown).
 * Errors: as gust_conn_fill of src and gust_conn_write of dst.  If src's view holds
 * bytes it was dst's. */
int gust_conn_copy(gust_conn *dst, gust_conn *src, uint64_t limit, gust_time deadline,
                   uint64_t *ret_copied);

/* Copies up to `len` bytes of a regular file, from `offset` on; its own offset neither
 * matters nor moves.  Waits for the disk without holding up other goroutines.  What is
 * large and in the page cache is sent from there, without a copy: what is written over it
 * before the peer has it may be sent in its place.
 * *ret_copied is set in every case.
 * Returns 0; then *ret_copied < len means that the file has ended.
 * Errors: as gust_conn_write; -EINVAL if fd is no regular file; -EBADF, -EIO and what
 * pread(2) answers; -ENOMEM. */
int gust_conn_send_file(gust_conn *dst, int fd, uint64_t offset, uint64_t len, gust_time deadline,
                        uint64_t *ret_copied);

#ifdef __cplusplus
}
#endif
#endif
