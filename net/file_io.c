/* Requests of open files: where a disk is meant, one of core/file_op.h each.
 *
 * The position is kept here and not by the kernel: a write through the ring that fails
 * half way has moved the kernel's or not, and does not say (Linux 6.18 does not move it).
 * Left to the kernel is where an O_APPEND ends, and what cannot seek. */
#include <errno.h>
#include <gust/runtime.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/inject.h"
#include "core/waitq.h"
#include "net/file.h"

/* --- To a disk ------------------------------------------------------------------ */

/* Tried by a call that refuses to wait for the disk: what is in the cache can be read,
 * and some file systems can tell whether a write would wait. */
static ssize_t try_disk(const gust__file_req *req, gust_time deadline)
{
    ssize_t n;
    do
        n = req->what == GUST__FILE_READ
                ? preadv2(req->fd, req->iov, req->iov_count, req->offset, RWF_NOWAIT)
                : pwritev2(req->fd, req->iov, req->iov_count, req->offset, RWF_NOWAIT);
    while (n < 0 && errno == EINTR);
    int error = n < 0 ? errno : 0;
    if (error == EAGAIN || error == EOPNOTSUPP)
        return deadline == GUST_NOW ? -EAGAIN : -ETIMEDOUT;
    return error ? -error : n;
}

/* offset < 0: at the position. */
static ssize_t disk_once(const gust_file *f, gust__file_what what, const gust__pieces *pieces,
                         int64_t offset, gust_time deadline)
{
    gust__file_req req = {.what = what, .fd = f->fd.fd, .offset = offset};
    req.iov = gust__pieces_next(pieces, &req.iov_count);
    int refusal = wait_refused(gust_context_current(), deadline);
    if (refusal == -EAGAIN || refusal == -ETIMEDOUT)
        return try_disk(&req, deadline);
    return refusal ? refusal : gust__file_do(&req, deadline);
}

static ssize_t disk_read(const gust_file *f, const gust__pieces *pieces, int64_t offset,
                         gust_time deadline)
{
    return disk_once(f, GUST__FILE_READ, pieces, offset, deadline);
}

static ssize_t disk_write(const gust_file *f, gust__pieces *pieces, int64_t offset,
                          gust_time deadline)
{
    ssize_t done = 0;
    while (!gust__pieces_empty(pieces)) {
        int64_t at = offset < 0 ? offset : offset + done;
        ssize_t n = disk_once(f, GUST__FILE_WRITE, pieces, at, deadline);
        if (n <= 0)
            return done > 0 ? done : n;
        gust__pieces_drop(pieces, (size_t)n);
        done += n;
    }
    return done;
}

/* --- At the position ------------------------------------------------------------- */

static int64_t where(const gust_file *f)
{
    return f->positioned ? f->position : -1;
}

static ssize_t moved(gust_file *f, ssize_t n)
{
    if (n > 0)
        f->position += n;
    return n;
}

static ssize_t read_pieces(gust_file *f, const gust__pieces *pieces, gust_time deadline)
{
    if (gust__pieces_empty(pieces))
        return 0;
    int error = gust__file_enter_alone(f, FILE_READ, deadline);
    if (error)
        return error;
    ssize_t n = f->stream ? gust__stream_read(f, pieces, deadline)
                          : moved(f, disk_read(f, pieces, where(f), deadline));
    gust__file_leave_alone(f, FILE_READ);
    return n;
}

static ssize_t write_pieces(gust_file *f, gust__pieces *pieces, gust_time deadline)
{
    int error = gust__file_enter_alone(f, FILE_WRITE, deadline);
    if (error)
        return error;
    ssize_t n = f->stream ? gust__stream_write(f, pieces, deadline)
                          : moved(f, disk_write(f, pieces, where(f), deadline));
    gust__file_leave_alone(f, FILE_WRITE);
    return n;
}

ssize_t gust_file_read(gust_file *f, void *buf, size_t len, gust_time deadline)
{
    const gust__pieces pieces = gust__pieces_one(buf, len);
    return read_pieces(f, &pieces, deadline);
}

ssize_t gust_file_readv(gust_file *f, const struct iovec *iov, int count, gust_time deadline)
{
    gust__pieces pieces;
    int error = gust__pieces_init(&pieces, iov, count);
    return error ? error : read_pieces(f, &pieces, deadline);
}

ssize_t gust_file_write(gust_file *f, const void *buf, size_t len, gust_time deadline)
{
    gust__pieces pieces = gust__pieces_one(buf, len);
    return write_pieces(f, &pieces, deadline);
}

ssize_t gust_file_writev(gust_file *f, const struct iovec *iov, int count, gust_time deadline)
{
    gust__pieces pieces;
    int error = gust__pieces_init(&pieces, iov, count);
    return error ? error : write_pieces(f, &pieces, deadline);
}

/* SEEK_END and SEEK_DATA may ask a server or the disk. */
static int64_t seek_fd(int fd, int64_t offset, int whence)
{
    gust_blocking_begin();
    int64_t at = lseek(fd, offset, whence);
    int error = errno;
    gust_blocking_end();
    return at < 0 ? -error : at;
}

static int64_t seek_alone(gust_file *f, int64_t offset, int whence)
{
    if (f->positioned && whence == SEEK_CUR) {
        if (__builtin_add_overflow(offset, f->position, &offset))
            return -EOVERFLOW;
        whence = SEEK_SET;
    }
    int64_t at = seek_fd(f->fd.fd, offset, whence);
    if (at >= 0)
        f->position = at;
    return at;
}

int64_t gust_file_seek(gust_file *f, int64_t offset, int whence, gust_time deadline)
{
    if (f->stream)
        return -ESPIPE;
    int error = gust__file_enter_alone(f, FILE_READ, deadline);
    if (error)
        return error;
    int64_t at = seek_alone(f, offset, whence);
    gust__file_leave_alone(f, FILE_READ);
    return at;
}

/* --- At an offset ------------------------------------------------------------------ */

static int check_offset(const gust_file *f, int64_t offset)
{
    if (offset < 0)
        return -EINVAL;
    return f->stream ? -ESPIPE : 0;
}

static ssize_t pread_pieces(gust_file *f, const gust__pieces *pieces, int64_t offset,
                            gust_time deadline)
{
    int error = check_offset(f, offset);
    if (!error && !gust__pieces_empty(pieces))
        error = gust__file_enter(f);
    if (error || gust__pieces_empty(pieces))
        return error;
    ssize_t n = disk_read(f, pieces, offset, deadline);
    gust__file_leave(f);
    return n;
}

static ssize_t pwrite_pieces(gust_file *f, gust__pieces *pieces, int64_t offset, gust_time deadline)
{
    int error = check_offset(f, offset);
    if (!error)
        error = gust__file_enter(f);
    if (error)
        return error;
    ssize_t n = disk_write(f, pieces, offset, deadline);
    gust__file_leave(f);
    return n;
}

ssize_t gust_file_pread(gust_file *f, void *buf, size_t len, int64_t offset, gust_time deadline)
{
    const gust__pieces pieces = gust__pieces_one(buf, len);
    return pread_pieces(f, &pieces, offset, deadline);
}

ssize_t gust_file_preadv(gust_file *f, const struct iovec *iov, int count, int64_t offset,
                         gust_time deadline)
{
    gust__pieces pieces;
    int error = gust__pieces_init(&pieces, iov, count);
    return error ? error : pread_pieces(f, &pieces, offset, deadline);
}

ssize_t gust_file_pwrite(gust_file *f, const void *buf, size_t len, int64_t offset,
                         gust_time deadline)
{
    gust__pieces pieces = gust__pieces_one(buf, len);
    return pwrite_pieces(f, &pieces, offset, deadline);
}

ssize_t gust_file_pwritev(gust_file *f, const struct iovec *iov, int count, int64_t offset,
                          gust_time deadline)
{
    gust__pieces pieces;
    int error = gust__pieces_init(&pieces, iov, count);
    return error ? error : pwrite_pieces(f, &pieces, offset, deadline);
}

/* --- The rest ------------------------------------------------------------------------ */

static int do_request(gust_file *f, gust__file_req *req, gust_time deadline)
{
    int res = gust__file_enter(f);
    if (res)
        return res;
    req->fd = f->fd.fd;
    res = gust__file_do(req, deadline);
    gust__file_leave(f);
    return res;
}

int gust_file_sync(gust_file *f, gust_time deadline)
{
    gust__file_req req = {.what = GUST__FILE_SYNC};
    return do_request(f, &req, deadline);
}

int gust_file_datasync(gust_file *f, gust_time deadline)
{
    gust__file_req req = {.what = GUST__FILE_SYNC, .flags = GUST__FILE_DATA_ONLY};
    return do_request(f, &req, deadline);
}

int gust_file_truncate(gust_file *f, int64_t len, gust_time deadline)
{
    gust__file_req req = {.what = GUST__FILE_TRUNCATE, .offset = len};
    return len < 0 ? -EINVAL : do_request(f, &req, deadline);
}

static int64_t nanoseconds(struct statx_timestamp t)
{
    return t.tv_sec * GUST_SEC + t.tv_nsec;
}

static void fill_info(const struct statx *st, gust_file_info *info)
{
    *info = (gust_file_info){
        .size = st->stx_size,
        .blocks = st->stx_blocks,
        .inode = st->stx_ino,
        .device = makedev(st->stx_dev_major, st->stx_dev_minor),
        .atime_ns = nanoseconds(st->stx_atime),
        .mtime_ns = nanoseconds(st->stx_mtime),
        .ctime_ns = nanoseconds(st->stx_ctime),
        .mode = st->stx_mode,
        .links = st->stx_nlink,
        .uid = st->stx_uid,
        .gid = st->stx_gid,
    };
}

int gust_file_stat(gust_file *f, gust_time deadline, gust_file_info *ret_info)
{
    struct statx st = {0};
    gust__file_req req = {.what = GUST__FILE_STAT, .path = "", .flags = AT_EMPTY_PATH, .stat = &st};
    int error = do_request(f, &req, deadline);
    if (!error)
        fill_info(&st, ret_info);
    return error;
}

int gust_path_stat(const char *path, gust_time deadline, gust_file_info *ret_info)
{
    struct statx st = {0};
    gust__file_req req = {.what = GUST__FILE_STAT, .fd = AT_FDCWD, .path = path, .stat = &st};
    int error = gust__file_do(&req, deadline);
    if (!error)
        fill_info(&st, ret_info);
    return error;
}
