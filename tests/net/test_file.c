/* Files on a disk: what the calls answer, with requests through the ring and without;
 * positions that several goroutines share; closing under them. */
#include <sys/mman.h>
#include <sys/resource.h>

#include "tests/net/files.h"

/* --- Opening ----------------------------------------------------------------------- */

FileTest(file, open_answers_as_open_does)
{
    gust_file *f = NULL;
    make_file("there", "x");
    CHECK_EQ(gust_file_open(in_dir("absent"), O_RDONLY, 0, SOON, &f), -ENOENT);
    CHECK_EQ(gust_file_open(in_dir("there"), O_RDWR | O_CREAT | O_EXCL, 0600, SOON, &f), -EEXIST);
    CHECK_EQ(gust_file_open(in_dir("there/x"), O_RDONLY, 0, SOON, &f), -ENOTDIR);
    CHECK_EQ(gust_file_open(test_dir, O_RDWR, 0, SOON, &f), -EISDIR);
    CHECK_EQ(gust_file_open("", O_RDONLY, 0, SOON, &f), -ENOENT);
    CHECK(f == NULL);
}

FileTest(file, descriptors_are_closed_on_exec_and_files_wait_for_the_disk)
{
    gust_file *f = open_file("new", O_RDWR | O_CREAT);
    CHECK(fcntl(gust_file_fd(f), F_GETFD) & FD_CLOEXEC);
    CHECK(!(fcntl(gust_file_fd(f), F_GETFL) & O_NONBLOCK));
    CHECK_EQ(gust_file_close(f), 0);
}

FileTest(file, mode_counts_where_a_file_is_made)
{
    gust_file *f = NULL;
    gust_file_info info;
    umask(0);
    CHECK_EQ(gust_file_open(in_dir("new"), O_WRONLY | O_CREAT, 0640, SOON, &f), 0);
    CHECK_EQ(gust_file_stat(f, SOON, &info), 0);
    CHECK_EQ(info.mode, S_IFREG | 0640);
    CHECK_EQ(gust_file_close(f), 0);
}

FileTest(file, a_directory_cannot_be_read)
{
    gust_file *f = NULL;
    char byte;
    CHECK_EQ(gust_file_open(test_dir, O_RDONLY | O_DIRECTORY, 0, SOON, &f), 0);
    CHECK_EQ(gust_file_read(f, &byte, 1, SOON), -EISDIR);
    CHECK_EQ(gust_file_close(f), 0);
}

/* A lease makes others wait until its holder has given it up.  Its holder is asked by a
 * signal, which this test does not need. */
FileTest(file, open_waits_for_a_lease_to_be_given_up)
{
    gust_file *f = NULL;
    make_file("leased", "x");
    signal(SIGIO, SIG_IGN);
    int fd = open(in_dir("leased"), O_RDONLY | O_CLOEXEC);
    if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
        CHECK_EQ(gust_file_open(in_dir("leased"), O_WRONLY, 0, gust_after(20 * GUST_MS), &f),
                 -ETIMEDOUT);
        CHECK_EQ(fcntl(fd, F_SETLEASE, F_UNLCK), 0);
        f = open_file("leased", O_WRONLY);
        CHECK_EQ(gust_file_close(f), 0);
    }
    close(fd);
}

/* --- Reading and writing ---------------------------------------------------------------- */

FileTest(file, what_is_written_is_read)
{
    char buf[16] = "";
    gust_file *f = open_file("f", O_RDWR | O_CREAT);
    CHECK_EQ(gust_file_read(f, buf, sizeof buf, SOON), 0);
    CHECK_EQ(gust_file_write(f, "hello, ", 7, SOON), 7);
    CHECK_EQ(gust_file_write(f, "world", 5, SOON), 5);
    CHECK_EQ(gust_file_read(f, buf, sizeof buf, SOON), 0);
    CHECK_EQ(gust_file_seek(f, -5, SEEK_END, SOON), 7);
    CHECK_EQ(gust_file_read(f, buf, sizeof buf, SOON), 5);
    CHECK(memcmp(buf, "world", 5) == 0);
    CHECK_EQ(gust_file_seek(f, 0, SEEK_SET, SOON), 0);
    CHECK_EQ(gust_file_read(f, buf, 4, SOON), 4);
    CHECK_EQ(gust_file_read(f, buf, 0, SOON), 0);
    CHECK_EQ(gust_file_seek(f, 0, SEEK_CUR, SOON), 4);
    CHECK_EQ(gust_file_seek(f, -1, SEEK_SET, SOON), -EINVAL);
    CHECK_EQ(gust_file_seek(f, -5, SEEK_CUR, SOON), -EINVAL);
    CHECK_EQ(gust_file_seek(f, INT64_MAX, SEEK_CUR, SOON), -EOVERFLOW);
    CHECK_EQ(gust_file_seek(f, 0, 99, SOON), -EINVAL);
    CHECK_EQ(gust_file_seek(f, 1, SEEK_CUR, SOON), 5);
    CHECK_EQ(gust_file_read(f, buf, 1, SOON), 1);
    CHECK_EQ(buf[0], ',');
    CHECK_EQ(gust_file_seek(f, 4, SEEK_SET, SOON), 4);
    CHECK_EQ(gust_file_close(f), 0);
    check_content("f", "hello, world");
}

FileTest(file, offsets_leave_the_position_alone)
{
    char buf[8] = "";
    gust_file *f = open_file("f", O_RDWR | O_CREAT);
    CHECK_EQ(gust_file_write(f, "abcdef", 6, SOON), 6);
    CHECK_EQ(gust_file_pwrite(f, "XY", 2, 1, SOON), 2);
    CHECK_EQ(gust_file_pread(f, buf, sizeof buf, 0, SOON), 6);
    CHECK(memcmp(buf, "aXYdef", 6) == 0);
    CHECK_EQ(gust_file_pread(f, buf, 1, 6, SOON), 0);
    CHECK_EQ(gust_file_pread(f, buf, 0, 6, SOON), 0);
    CHECK_EQ(gust_file_pread(f, buf, 1, -1, SOON), -EINVAL);
    CHECK_EQ(gust_file_pwrite(f, buf, 1, -1, SOON), -EINVAL);
    CHECK_EQ(gust_file_write(f, "g", 1, SOON), 1);
    CHECK_EQ(gust_file_close(f), 0);
    check_content("f", "aXYdefg");
}

FileTest(file, append_goes_to_the_end)
{
    make_file("f", "abc");
    gust_file *f = open_file("f", O_WRONLY | O_APPEND);
    CHECK_EQ(gust_file_write(f, "d", 1, SOON), 1);
    CHECK_EQ(gust_file_seek(f, 0, SEEK_SET, SOON), 0);
    CHECK_EQ(gust_file_write(f, "e", 1, SOON), 1);
    CHECK_EQ(gust_file_close(f), 0);
    check_content("f", "abcde");
}

FileTest(file, the_wrong_direction_is_refused)
{
    char byte = 'x';
    make_file("f", "abc");
    gust_file *r = open_file("f", O_RDONLY), *w = open_file("f", O_WRONLY);
    CHECK_EQ(gust_file_write(r, &byte, 1, SOON), -EBADF);
    CHECK_EQ(gust_file_read(w, &byte, 1, SOON), -EBADF);
    CHECK_EQ(gust_file_truncate(r, 0, SOON), -EINVAL);
    CHECK_EQ(gust_file_close(r), 0);
    CHECK_EQ(gust_file_close(w), 0);
}

/* The kernel writes up to the limit, and only then says that it is one. */
FileTest(file, a_write_that_fails_half_way_says_how_far_it_came)
{
    struct rlimit former, small;
    gust_file *f = open_file("f", O_RDWR | O_CREAT);
    signal(SIGXFSZ, SIG_IGN);
    CHECK_EQ(getrlimit(RLIMIT_FSIZE, &former), 0);
    small = (struct rlimit){.rlim_cur = 4, .rlim_max = former.rlim_max};
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    CHECK_EQ(gust_file_write(f, "abcdef", 6, SOON), 4);
    CHECK_EQ(gust_file_write(f, "ef", 2, SOON), -EFBIG);
    CHECK_EQ(gust_file_pwrite(f, "EF", 2, 3, SOON), 1);
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &former), 0);
    CHECK_EQ(gust_file_close(f), 0);
    check_content("f", "abcE");
}

/* --- Stat, truncate, sync --------------------------------------------------------------- */

FileTest(file, stat_says_what_the_file_is)
{
    gust_file_info by_file, by_path;
    struct stat st;
    make_file("f", "12345");
    gust_file *f = open_file("f", O_RDONLY);
    CHECK_EQ(gust_file_stat(f, SOON, &by_file), 0);
    CHECK_EQ(gust_path_stat(in_dir("f"), SOON, &by_path), 0);
    CHECK_EQ(fstat(gust_file_fd(f), &st), 0);
    CHECK(memcmp(&by_file, &by_path, sizeof by_file) == 0);
    CHECK_EQ(by_file.size, 5);
    CHECK_EQ(by_file.mode, st.st_mode);
    CHECK_EQ(by_file.inode, st.st_ino);
    CHECK_EQ(by_file.device, st.st_dev);
    CHECK_EQ(by_file.links, 1);
    CHECK_EQ(by_file.uid, st.st_uid);
    CHECK_EQ(by_file.gid, st.st_gid);
    CHECK_EQ(by_file.blocks, st.st_blocks);
    CHECK_EQ(by_file.mtime_ns, st.st_mtim.tv_sec * GUST_SEC + st.st_mtim.tv_nsec);
    CHECK_EQ(by_file.ctime_ns, st.st_ctim.tv_sec * GUST_SEC + st.st_ctim.tv_nsec);
    CHECK_EQ(by_file.atime_ns, st.st_atim.tv_sec * GUST_SEC + st.st_atim.tv_nsec);
    CHECK_EQ(gust_file_close(f), 0);
    CHECK_EQ(gust_path_stat(in_dir("absent"), SOON, &by_path), -ENOENT);
    CHECK_EQ(by_path.size, 5);
}

FileTest(file, truncate_cuts_and_extends)
{
    char buf[8] = "";
    gust_file *f = open_file("f", O_RDWR | O_CREAT);
    CHECK_EQ(gust_file_write(f, "abcdef", 6, SOON), 6);
    CHECK_EQ(gust_file_truncate(f, 2, SOON), 0);
    CHECK_EQ(gust_file_truncate(f, 4, SOON), 0);
    CHECK_EQ(gust_file_pread(f, buf, sizeof buf, 0, SOON), 4);
    CHECK(memcmp(buf, "ab\0\0", 4) == 0);
    CHECK_EQ(gust_file_truncate(f, -1, SOON), -EINVAL);
    CHECK_EQ(gust_file_close(f), 0);
}

FileTest(file, sync_waits_for_the_disk)
{
    gust_file *f = open_file("f", O_RDWR | O_CREAT);
    CHECK_EQ(gust_file_write(f, "abc", 3, SOON), 3);
    CHECK_EQ(gust_file_datasync(f, SOON), 0);
    CHECK_EQ(gust_file_sync(f, SOON), 0);
    CHECK_EQ(gust_file_close(f), 0);
}

/* --- Entire files ------------------------------------------------------------------------ */

FileTest(file, read_all_reads_up_to_its_limit)
{
    char *data = NULL;
    size_t len = 0;
    make_file("f", "12345");
    make_file("empty", "");
    check_content("empty", "");
    for (size_t limit = 5; limit <= 6; limit++) {
        CHECK_EQ(gust_file_read_all(in_dir("f"), limit, SOON, &data, &len), 0);
        CHECK_EQ(len, 5);
        CHECK_EQ(strlen(data), 5);
        free(data);
        data = NULL;
    }
    CHECK_EQ(gust_file_read_all(in_dir("empty"), 0, SOON, &data, &len), 0);
    CHECK_EQ(len, 0);
    free(data);
    data = NULL;
    CHECK_EQ(gust_file_read_all(in_dir("f"), 4, SOON, &data, &len), -EFBIG);
    CHECK_EQ(gust_file_read_all(in_dir("f"), 0, SOON, &data, &len), -EFBIG);
    CHECK_EQ(gust_file_read_all(in_dir("absent"), 10, SOON, &data, &len), -ENOENT);
    CHECK(data == NULL);
}

/* Files of /proc say that they are empty. */
FileTest(file, read_all_believes_no_size)
{
    char *data = NULL;
    size_t len = 0;
    CHECK_EQ(gust_file_read_all("/proc/self/smaps", SIZE_MAX, SOON, &data, &len), 0);
    CHECK(len > 4096);
    CHECK_EQ(strlen(data), len);
    free(data);
}

FileTest(file, large_files_survive)
{
    const size_t size = (3 << 20) + 17;
    char *buf = malloc(size), *data = NULL;
    size_t len = 0;
    stream_fill(buf, size, 0);
    gust_file *f = open_file("f", O_WRONLY | O_CREAT);
    CHECK_EQ(gust_file_write(f, buf, size, SOON), (ssize_t)size);
    CHECK_EQ(gust_file_close(f), 0);
    CHECK_EQ(gust_file_read_all(in_dir("f"), size, SOON, &data, &len), 0);
    CHECK_EQ(len, size);
    CHECK(memcmp(buf, data, size) == 0);
    free(data);
    free(buf);
}

/* --- Deadlines and cancellation ------------------------------------------------------------ */

static void check_refused(gust_time deadline, int error)
{
    gust_file *f = NULL;
    gust_file_info info;
    CHECK_EQ(gust_file_open(in_dir("f"), O_RDONLY, 0, deadline, &f), error);
    CHECK_EQ(gust_path_stat(in_dir("f"), deadline, &info), error);
    f = open_file("f", O_RDWR);
    CHECK_EQ(gust_file_sync(f, deadline), error);
    CHECK_EQ(gust_file_datasync(f, deadline), error);
    CHECK_EQ(gust_file_stat(f, deadline, &info), error);
    CHECK_EQ(gust_file_truncate(f, 0, deadline), error);
    CHECK_EQ(gust_file_close(f), 0);
}

FileTest(file, nothing_is_begun_after_the_deadline)
{
    make_file("f", "abc");
    check_refused(GUST_NOW, -EAGAIN);
    check_refused(1, -ETIMEDOUT);
    check_content("f", "abc");
}

/* What is in the cache can be read at once, if the file system can tell. */
FileTest(file, a_deadline_in_the_past_still_reads_the_cache)
{
    char buf[4];
    make_file("f", "abc");
    gust_file *f = open_file("f", O_RDWR);
    for (int i = 0; i < 2; i++) {
        ssize_t n = gust_file_read(f, buf, sizeof buf, i == 0 ? GUST_NOW : 1);
        CHECK(n == 3 || n == (i == 0 ? -EAGAIN : -ETIMEDOUT));
        CHECK(n < 0 || memcmp(buf, "abc", 3) == 0);
        CHECK_EQ(gust_file_seek(f, 0, SEEK_SET, SOON), 0);
        n = gust_file_pwrite(f, "abc", 3, 0, i == 0 ? GUST_NOW : 1);
        CHECK(n == 3 || n == (i == 0 ? -EAGAIN : -ETIMEDOUT));
    }
    CHECK_EQ(gust_file_close(f), 0);
}

FileTest(file, nothing_is_begun_under_a_cancelled_context)
{
    char byte = 'x';
    char *data = NULL;
    size_t len;
    gust_context *context = context_make(NULL);
    make_file("f", "abc");
    gust_file *f = open_file("f", O_RDWR), *g = NULL;
    gust_context_cancel(context, 0);
    gust_context_swap(context);
    CHECK_EQ(gust_file_open(in_dir("f"), O_RDONLY, 0, SOON, &g), -ECANCELED);
    CHECK_EQ(gust_file_read(f, &byte, 1, SOON), -ECANCELED);
    CHECK_EQ(gust_file_pread(f, &byte, 1, 0, SOON), -ECANCELED);
    CHECK_EQ(gust_file_write(f, &byte, 1, SOON), -ECANCELED);
    CHECK_EQ(gust_file_pwrite(f, &byte, 1, 0, SOON), -ECANCELED);
    CHECK_EQ(gust_file_sync(f, GUST_FOREVER), -ECANCELED);
    CHECK_EQ(gust_file_truncate(f, 0, GUST_FOREVER), -ECANCELED);
    CHECK_EQ(gust_file_read_all(in_dir("f"), 10, SOON, &data, &len), -ECANCELED);
    CHECK_EQ(gust_file_close(f), 0); /* all the same */
    gust_context_swap(NULL);
    gust_context_unref(context);
    check_content("f", "abc");
}

/* --- Shared positions ------------------------------------------------------------------------ */

enum { SHARERS = 8, RECORDS = 50, RECORD = 16 };

struct sharer {
    gust_file *file;
    int number;
    gust_waitgroup *done;
};

static void write_records(void *arg)
{
    struct sharer *s = arg;
    for (int i = 0; i < RECORDS; i++) {
        char record[64];
        snprintf(record, sizeof record, "%03d %03d        \n", s->number, i);
        CHECK_EQ(gust_file_write(s->file, record, RECORD, SOON), RECORD);
    }
    gust_waitgroup_done(s->done);
}

static void share(gust_file *f, void (*fn)(void *arg))
{
    struct sharer sharers[SHARERS];
    gust_waitgroup done = GUST_WAITGROUP_INIT;
    gust_waitgroup_add(&done, SHARERS);
    for (int i = 0; i < SHARERS; i++) {
        sharers[i] = (struct sharer){.file = f, .number = i, .done = &done};
        go(fn, &sharers[i]);
    }
    CHECK_EQ(gust_waitgroup_wait(&done, SOON), 0);
}

static _Atomic int seen[SHARERS][RECORDS];

static void read_records(void *arg)
{
    struct sharer *s = arg;
    char record[RECORD + 1] = "";
    int number, i;
    while (gust_file_read(s->file, record, RECORD, SOON) == RECORD) {
        CHECK_EQ(sscanf(record, "%d %d", &number, &i), 2);
        atomic_fetch_add(&seen[number][i], 1);
    }
    gust_waitgroup_done(s->done);
}

FileTest(file, a_shared_position_is_moved_by_one_at_a_time)
{
    gust_file *f = open_file("f", O_RDWR | O_CREAT);
    memset(seen, 0, sizeof seen);
    share(f, write_records);
    CHECK_EQ(gust_file_seek(f, 0, SEEK_CUR, SOON), SHARERS * RECORDS * RECORD);
    CHECK_EQ(gust_file_seek(f, 0, SEEK_SET, SOON), 0);
    share(f, read_records);
    for (int n = 0; n < SHARERS; n++)
        for (int i = 0; i < RECORDS; i++)
            CHECK_EQ(seen[n][i], 1);
    CHECK_EQ(gust_file_close(f), 0);
}

/* Who waits for the position obeys its deadline. */
FileTest(file, waiting_for_the_position_obeys_the_deadline)
{
    char byte;
    gust_file *f = open_file("f", O_RDWR | O_CREAT);
    gust_mutex_lock(&f->side[FILE_READ].mutex);
    CHECK_EQ(gust_file_read(f, &byte, 1, gust_after(GUST_MS)), -ETIMEDOUT);
    CHECK_EQ(gust_file_write(f, "x", 1, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_file_seek(f, 0, SEEK_SET, gust_after(GUST_MS)), -ETIMEDOUT);
    gust_mutex_unlock(&f->side[FILE_READ].mutex);
    CHECK_EQ(gust_file_close(f), 0);
}

/* --- Closing ----------------------------------------------------------------------------------- */

static void use_until_closed(void *arg)
{
    struct sharer *s = arg;
    char byte = 'x';
    ssize_t n;
    do
        n = s->number % 2 ? gust_file_pwrite(s->file, &byte, 1, s->number, SOON)
                          : gust_file_read(s->file, &byte, 1, SOON);
    while (n >= 0);
    CHECK_EQ(n, -EBADF);
    CHECK_EQ(gust_file_close(s->file), -EBADF);
    gust_waitgroup_done(s->done);
}

FileTest(file, close_waits_for_requests_under_way)
{
    struct sharer sharers[SHARERS];
    gust_waitgroup done = GUST_WAITGROUP_INIT;
    gust_file_info info;
    char byte;
    gust_file *f = open_file("f", O_RDWR | O_CREAT);
    gust_waitgroup_add(&done, SHARERS);
    for (int i = 0; i < SHARERS; i++) {
        sharers[i] = (struct sharer){.file = gust_file_ref(f), .number = i, .done = &done};
        go(use_until_closed, &sharers[i]);
    }
    gust_file_ref(f);
    CHECK_EQ(gust_file_close(f), 0);
    CHECK_EQ(gust_waitgroup_wait(&done, SOON), 0);
    CHECK_EQ(gust_file_read(f, &byte, 1, SOON), -EBADF);
    CHECK_EQ(gust_file_pread(f, &byte, 1, 0, SOON), -EBADF);
    CHECK_EQ(gust_file_write(f, &byte, 1, SOON), -EBADF);
    CHECK_EQ(gust_file_sync(f, SOON), -EBADF);
    CHECK_EQ(gust_file_stat(f, SOON, &info), -EBADF);
    CHECK_EQ(gust_file_seek(f, 0, SEEK_SET, SOON), -EBADF);
    CHECK_EQ(gust_file_close(f), -EBADF);
    CHECK_EQ(gust_file_close(NULL), 0);
}

FileTest(file, the_last_reference_closes)
{
    size_t fds = fd_count();
    gust_file *f = open_file("f", O_RDWR | O_CREAT);
    gust_file_ref(f);
    gust_file_unref(f);
    CHECK_EQ(gust_file_write(f, "x", 1, SOON), 1);
    gust_file_unref(f);
    gust_file_unref(NULL);
    AWAIT_SOON(fd_count() == fds);
}

/* --- The end of the runtime ---------------------------------------------------------------------- */

static gust_file *churned;
static _Atomic int turns;

static void churn(void *arg)
{
    char byte;
    (void)arg;
    for (;;) {
        CHECK_EQ(gust_file_pread(churned, &byte, 1, 0, GUST_FOREVER), 1);
        CHECK_EQ(gust_file_pwrite(churned, &byte, 1, 0, GUST_FOREVER), 1);
        CHECK_EQ(gust_file_sync(churned, GUST_FOREVER), 0);
        atomic_fetch_add(&turns, 1);
    }
}

static int leave_churning(void *arg)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", *(int *)arg);
    CHECK_EQ(gust_file_open(path, O_RDWR, 0, SOON, &churned), 0);
    atomic_store(&turns, 0);
    for (int i = 0; i < SHARERS; i++)
        go(churn, NULL);
    AWAIT_SOON(atomic_load(&turns) >= SHARERS);
    return 0;
}

/* In memory: a disk that is busy may take longer than the end waits for threads. */
Test(file, requests_under_way_do_not_hold_up_the_end)
{
    int memory = memfd_create("file", MFD_CLOEXEC);
    CHECK_EQ(write(memory, "x", 1), 1);
    for (int i = 0; i < 3; i++) {
        test_run(leave_churning, &memory);
        close(gust_file_fd(churned));
        free(churned); /* nobody is left who could use it */
    }
    close(memory);
}
