/* Reads of a file that is only a descriptor, out of the cache and not. */
#include <gust/file.h>

#include "core/inject.h"
#include "tests/net/net_test.h"

enum { FILE_LEN = 100000 };

static int file_open(void)
{
    static char buf[FILE_LEN];
    int fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    stream_fill(buf, sizeof buf, 0);
    CHECK_EQ(write(fd, buf, sizeof buf), sizeof buf);
    return fd;
}

static void check_ranges(int fd)
{
    static char buf[FILE_LEN];
    static const struct {
        int64_t at;
        size_t len;
        ssize_t got;
    } ranges[] = {
        {0, FILE_LEN, FILE_LEN}, {0, 0, 0},         {1, 1, 1},
        {4095, 4098, 4098},      {FILE_LEN, 1, 0},  {FILE_LEN - 1, 2, 1},
        {FILE_LEN + 1, 1, 0},    {INT64_MAX, 0, 0},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        ssize_t n = gust_fd_pread(fd, buf, ranges[i].len, ranges[i].at);
        CHECK_EQ(n, ranges[i].got);
        stream_check(buf, (size_t)n, (uint64_t)ranges[i].at);
    }
    CHECK_EQ(lseek(fd, 0, SEEK_CUR), FILE_LEN); /* as it was */
}

static void check_errors(void)
{
    char c;
    int fds[2], fd = file_open();
    CHECK_EQ(gust_fd_pread(-1, &c, 1, 0), -EBADF);
    CHECK_EQ(gust_fd_pread(fd, &c, 1, -1), -EINVAL);
    CHECK_EQ(pipe(fds), 0);
    CHECK_EQ(gust_fd_pread(fds[0], &c, 1, 0), -ESPIPE);
    close(fds[0]);
    close(fds[1]);
    close(fd);
}

NetTest(fd_pread, what_is_in_the_cache_is_read)
{
    int fd = file_open();
    check_ranges(fd);
    check_errors();
    close(fd);
}

/* Where the file system lets its pages be dropped; elsewhere this is the test above. */
NetTest(fd_pread, what_is_not_in_the_cache_is_waited_for)
{
    int fd = file_open();
    CHECK_EQ(fsync(fd), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
        check_ranges(fd);
    }
    close(fd);
}

#ifdef GUST_DEBUG

NetTest(fd_pread, what_cannot_be_read_at_once_is_read_all_the_same)
{
    int fd = file_open();
    gust__inject_arm(INJECT_READ_CACHED, 1, INJECT_FOR_EVER);
    check_ranges(fd);
    check_errors();
    CHECK(gust__inject_disarm() > 0);
    close(fd);
}

#endif
