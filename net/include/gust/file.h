/* Files: open, read, write, sync, stat, close, without stopping a P.
 *
 * What needs a disk goes through the io_uring, or where there is none is done by a
 * thread that has no P meanwhile.  What waits for another process (a pipe, a FIFO, a
 * terminal) waits as a connection does.
 *
 * Deadlines and cancellation (see <gust/net.h>) are obeyed in every wait for another
 * process or another goroutine.  Of a request to a disk they are looked at before it
 * begins, and again while it stands in a queue; once the kernel works at it, it is
 * waited for, because it uses the caller's memory.  A disk that hangs therefore hangs
 * the goroutine, and no other.
 * GUST_NOW: -EAGAIN unless it can be done without waiting.  That is so of what a pipe
 * has, and of what the kernel has in its cache where the file system can tell;
 * opening, syncing, stat and truncating always answer -EAGAIN.
 *
 * SIGPIPE is never raised. */
#ifndef GUST_FILE_H
#define GUST_FILE_H

#include <fcntl.h>
#include <gust/base.h>
#include <sys/stat.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An open file.  Counted: open gives the caller one reference, and every goroutine
 * that uses it on its own account holds one.
 *
 * Any number of goroutines may use it at once.  gust_file_read, write and seek move
 * one position, and so wait for each other: each moves it as if it were alone.  A pipe
 * or a terminal has none: there one goroutine may read while another writes, and
 * further readers or writers queue up. */
typedef struct gust_file gust_file;

/* Opens `path` as open(2) does; O_CLOEXEC is always set, and `mode` is for O_CREAT.
 *
 * A FIFO is waited for as with open(2), until somebody has it open for the other
 * direction; this is looked at every now and then, so up to 20 ms late.  With
 * O_NONBLOCK it is not waited for: nobody there to read is -ENXIO, and a reader
 * sees the end of the stream.  A terminal is opened without waiting for a carrier.
 * Once it is open, O_NONBLOCK makes no difference.
 * Errors: what open(2) answers, -ENOMEM; -ETIMEDOUT (-EAGAIN in its place if the
 * deadline was GUST_NOW), -ECANCELED: a file may have been created, or emptied, all
 * the same. */
int gust_file_open(const char *path, int flags, mode_t mode, gust_time deadline,
                   gust_file **ret_file);

/* Reads at most `len` bytes at the position, or at `offset`, which moves nothing.
 * Returns the count, 0 at the end of the file (or if len is 0); as read(2), it may be
 * less than is there.
 * Errors: -ETIMEDOUT (-EAGAIN in its place if the deadline was GUST_NOW), -ECANCELED:
 * nothing was read; -EBADF if the file is closed meanwhile; -ESPIPE if it has no
 * positions, -EINVAL if the offset is negative; what read(2) answers. */
ssize_t gust_file_read(gust_file *f, void *buf, size_t len, gust_time deadline);
ssize_t gust_file_pread(gust_file *f, void *buf, size_t len, int64_t offset, gust_time deadline);

/* Writes all `len` bytes at the position (O_APPEND: at the end), or at `offset`.
 * Returns len; less if something went wrong after a part of them was written, which
 * the next call will then say.  Errors: the same; what write(2) answers (-ENOSPC,
 * -EFBIG, -EPIPE ...); nothing was written then.  Written is not yet on the disk: see
 * gust_file_sync. */
ssize_t gust_file_write(gust_file *f, const void *buf, size_t len, gust_time deadline);
ssize_t gust_file_pwrite(gust_file *f, const void *buf, size_t len, int64_t offset,
                         gust_time deadline);

/* The same with `count` pieces of memory, filled or written from front to back as if
 * they were one.  A read takes as many pieces as the kernel at once (IOV_MAX, 1024; those
 * of no bytes in front do not count), and so may be short; a write writes them all,
 * though what others write may get between them if there are more.  On a stream of
 * records (a terminal, a device) each piece may be one.  The array is the caller's,
 * and unchanged.
 * Errors: the same; -EINVAL also if count is negative, or there are more than SSIZE_MAX
 * bytes. */
ssize_t gust_file_readv(gust_file *f, const struct iovec *iov, int count, gust_time deadline);
ssize_t gust_file_preadv(gust_file *f, const struct iovec *iov, int count, int64_t offset,
                         gust_time deadline);
ssize_t gust_file_writev(gust_file *f, const struct iovec *iov, int count, gust_time deadline);
ssize_t gust_file_pwritev(gust_file *f, const struct iovec *iov, int count, int64_t offset,
                          gust_time deadline);

/* Moves the position as lseek(2); returns the new one.  Errors: -EINVAL, -ESPIPE,
 * -EOVERFLOW, -EBADF; -ETIMEDOUT, -EAGAIN, -ECANCELED if somebody else is using it so long. */
int64_t gust_file_seek(gust_file *f, int64_t offset, int whence, gust_time deadline);

/* Waits until all that was written is on the disk, as fsync(2) and fdatasync(2).  An
 * error is told once and says that something is lost.  Errors: -EBADF, -ETIMEDOUT,
 * -EAGAIN, -ECANCELED; -EIO, -ENOSPC, -EINVAL (a pipe) ... */
int gust_file_sync(gust_file *f, gust_time deadline);
int gust_file_datasync(gust_file *f, gust_time deadline);

/* Cuts or extends the file to `len` bytes.  Errors: the same; -EINVAL, -EFBIG ... */
int gust_file_truncate(gust_file *f, int64_t len, gust_time deadline);

/* What stat(2) says.  Times are nanoseconds since 1970. */
typedef struct gust_file_info {
    uint64_t size;   /* bytes */
    uint64_t blocks; /* of 512 bytes */
    uint64_t inode;
    uint64_t device; /* dev_t */
    int64_t atime_ns;
    int64_t mtime_ns;
    int64_t ctime_ns;
    uint32_t mode; /* type and permissions: S_ISREG(mode) ... */
    uint32_t links;
    uint32_t uid;
    uint32_t gid;
} gust_file_info;

/* Of an open file, and of a path (links are followed).  Errors: -EBADF, -ETIMEDOUT,
 * -EAGAIN, -ECANCELED; what stat(2) answers.  *ret_info is untouched then. */
int gust_file_stat(gust_file *f, gust_time deadline, gust_file_info *ret_info);
int gust_path_stat(const char *path, gust_time deadline, gust_file_info *ret_info);

/* The descriptor, which stays the file's: valid as long as nobody closes that.  Of a
 * pipe or a terminal it is in non-blocking mode.  Its position is not the file's: to be
 * used with calls that take an offset. */
int gust_file_fd(const gust_file *f);

/* Closes the file for everyone and drops the caller's reference, whatever happens to
 * the caller's context.  Goroutines that wait for another process get -EBADF; requests
 * to the disk that are under way are waited for.  Returns what close(2) answers (the
 * file is closed all the same), or -EBADF if somebody else has closed it.  NULL is
 * accepted. */
int gust_file_close(gust_file *f);

gust_file *gust_file_ref(gust_file *f);

/* Drops a reference; the last one closes, and may wait for that.  NULL is accepted. */
void gust_file_unref(gust_file *f);

/* Reads an entire file, or all that a pipe brings until its end.  On success *ret_data
 * is the caller's to free(3), with a NUL behind its *ret_len bytes.  Errors: -EFBIG if
 * it has more than `limit` bytes; those of open and read; -ENOMEM. */
int gust_file_read_all(const char *path, size_t limit, gust_time deadline, char **ret_data,
                       size_t *ret_len);

/* Reads at most `len` bytes at `offset` of a regular file of which the caller has a
 * descriptor and no gust_file: the file is not looked after, nor the position moved.  What
 * is in the kernel's cache is read at once; for the rest the disk is waited for, without
 * holding up other goroutines, and without a deadline: a disk that hangs hangs the caller.
 * Returns the count, 0 at the end of the file; it may be less than is there.
 * Errors: -EINVAL if the offset is negative; what pread(2) answers. */
ssize_t gust_fd_pread(int fd, void *buf, size_t len, int64_t offset);

#ifdef __cplusplus
}
#endif
#endif
