/* From a name to an open file, beneath the root.
 *
 * openat2 resolves a name so that no step leads out of the root: no "..", no symbolic
 * link, no file system's magic.  It is asked first for what needs no disk; only if that is
 * not enough in a section that gives up the P.
 *
 * A container may refuse the call (ENOSYS, EPERM): that is found out when the root is
 * opened.  Then the name is walked step by step, and no link is followed: what a link
 * points to cannot be checked and opened in one go.
 *
 * Everything is opened without waiting, so that a FIFO stops nobody. */
#include <errno.h>
#include <fcntl.h>
#include <gust/runtime.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "http/files.h"

/* Newer than the headers of some: Linux 5.12. */
#ifndef RESOLVE_CACHED
#define RESOLVE_CACHED 0x20
#endif

/* How often a name is resolved anew because somebody has moved a directory of it. */
#define TRIES_MAX 8

/* --- openat2 --------------------------------------------------------------------- */

static int open_beneath(int root, const char *name, int flags, uint64_t resolve)
{
    const struct open_how how = {
        .flags = (uint64_t)flags,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | resolve,
    };
    long fd = syscall(SYS_openat2, root, name, &how, sizeof(how));

    return fd < 0 ? -errno : (int)fd;
}

static int open_waiting(int root, const char *name, int flags, uint64_t resolve)
{
    int fd = -EAGAIN;

    gust_blocking_begin();
    for (int i = 0; i < TRIES_MAX && (fd == -EAGAIN || fd == -EINTR); i++)
        fd = open_beneath(root, name, flags, resolve);
    gust_blocking_end();
    return fd;
}

/* -EAGAIN: it is not in the kernel's cache.  -EINVAL: the kernel cannot be asked so. */
static int open_at_once(int root, const char *name, int flags, uint64_t resolve)
{
    int fd = open_beneath(root, name, flags, resolve | RESOLVE_CACHED);

    return fd == -EAGAIN || fd == -EINVAL ? open_waiting(root, name, flags, resolve) : fd;
}

/* --- Step by step ------------------------------------------------------------------ */

/* The descriptor of the directory `dir` is the callee's, but for the root. */
static int step(const gust_http_files *files, int dir, const char *name, int flags)
{
    int fd = openat(dir, name, flags | O_NOFOLLOW);
    int r = fd < 0 ? -errno : fd;

    if (dir != files->root)
        close(dir);
    return r;
}

/* A slash at the end would have a link followed: it is left out, and O_DIRECTORY is among
 * the flags of who means one. */
static int walk(const gust_http_files *files, const char *name, int flags)
{
    char segment[NAME_MAX + 1];
    int dir = files->root;

    for (;;) {
        size_t len = strcspn(name, "/");
        if (len > NAME_MAX) {
            if (dir != files->root)
                close(dir);
            return -ENAMETOOLONG;
        }
        memcpy(segment, name, len);
        segment[len] = '\0';
        if (name[len] == '\0' || name[len + 1] == '\0')
            return step(files, dir, segment, flags);
        dir = step(files, dir, segment, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
            return dir;
        name += len + 1;
    }
}

static int open_by_steps(const gust_http_files *files, const char *name, int flags)
{
    gust_blocking_begin();
    int fd = walk(files, name, flags);
    gust_blocking_end();
    return fd;
}

/* --- Opening ------------------------------------------------------------------------- */

int gust__files_open_root(gust_http_files *files)
{
    int fd = open(files->options.root, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    int self = open_beneath(fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (self >= 0)
        close(self);
    files->by_steps = self < 0;
    files->root = fd;
    return 0;
}

int gust__files_open(const gust_http_files *files, const char *name, int flags)
{
    uint64_t resolve = files->options.no_symlinks ? RESOLVE_NO_SYMLINKS : 0;

    flags |= O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    if (name[0] == '\0')
        name = ".";
    return files->by_steps ? open_by_steps(files, name, flags)
                           : open_at_once(files->root, name, flags, resolve);
}

/* Announced to nobody: a blocking section hands what was queued to the ring, which costs
 * more than all the rest.  Only the last close of a file that was removed has much to do, and
 * then the P is retaken all the same. */
void gust__files_close(int fd)
{
    close(fd);
}

/* --- A regular file --------------------------------------------------------------------- */

static void make_etag(const uint64_t parts[3], char *p)
{
    for (size_t i = 0; i < 3; i++) {
        uint64_t part = parts[i];
        int digits = part ? (67 - __builtin_clzll(part)) / 4 : 1;
        *p++ = i ? '-' : '"';
        for (int at = digits; at-- > 0; part >>= 4)
            p[at] = "0123456789abcdef"[part & 15];
        p += digits;
    }
    *p++ = '"';
    *p = '\0';
}

/* Opening has brought the attributes, also over a network. */
static int read_attributes(int fd, struct files_found *ret_found)
{
    struct statx st = {0};

    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &st) < 0)
        return -errno;
    if (!S_ISREG(st.stx_mode))
        return S_ISDIR(st.stx_mode) ? -EISDIR : -ENOENT;
    int64_t mtime_ns = st.stx_mtime.tv_sec * GUST_SEC + st.stx_mtime.tv_nsec;
    *ret_found = (struct files_found){
        .fd = fd,
        .size = st.stx_size,
        .coding = CODING_IDENTITY,
        .has_modified = st.stx_mtime.tv_sec >= 0,
        .modified_s = st.stx_mtime.tv_sec,
    };
    make_etag((const uint64_t[]){(uint64_t)mtime_ns, st.stx_size, st.stx_ino}, ret_found->etag);
    return 0;
}

int gust__files_open_regular(const gust_http_files *files, const char *name,
                             struct files_found *ret_found)
{
    int fd = gust__files_open(files, name, O_RDONLY);

    if (fd < 0)
        return fd;
    int r = read_attributes(fd, ret_found);
    if (r < 0)
        gust__files_close(fd);
    return r;
}
