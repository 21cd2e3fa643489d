/* Whatever the system refuses: files say so by a documented error, requests that the
 * ring does not know are done without it, and nothing leaks. */
#include "tests/core/failures.h"
#include "tests/net/files.h"

#ifndef GUST_DEBUG

Test(file_inject, it_needs_a_debug_build)
{
    cr_skip_test("failures are ordered in builds with GUST_DEBUG only");
}

#else

/* --- The ring does not know a request --------------------------------------------- */

static void use_everything(void)
{
    char buf[8] = "";
    gust_file_info info;
    gust_file *f = open_file("f", O_RDWR | O_CREAT);
    CHECK_EQ(gust_file_write(f, "abcdef", 6, SOON), 6);
    CHECK_EQ(gust_file_pread(f, buf, sizeof buf, 0, SOON), 6);
    CHECK_EQ(gust_file_sync(f, SOON), 0);
    CHECK_EQ(gust_file_truncate(f, 3, SOON), 0);
    CHECK_EQ(gust_file_stat(f, SOON, &info), 0);
    CHECK_EQ(info.size, 3);
    CHECK_EQ(gust_file_close(f), 0);
}

/* The nth request is the first that is refused: it is done all the same, and not tried
 * in the ring again. */
static int refuse_nth(void *arg)
{
    const int nth = *(int *)arg;
    static const gust__file_what order[] = {GUST__FILE_OPEN, GUST__FILE_WRITE,    GUST__FILE_READ,
                                            GUST__FILE_SYNC, GUST__FILE_TRUNCATE, GUST__FILE_STAT,
                                            GUST__FILE_CLOSE};
    dir_make();
    gust__file_refuse(0);
    gust__inject_arm(INJECT_URING_FILE, (uint64_t)nth, 1);
    use_everything();
    uint64_t failed = gust__inject_disarm();
    bool ring = strcmp(gust_netpoll_name(), "epoll") != 0;
    CHECK_EQ(failed, ring);
    CHECK_EQ(gust__file_refused(), ring ? 1U << order[nth - 1] : 0);
    gust__inject_arm(INJECT_URING_FILE, 1, INJECT_FOR_EVER);
    use_everything();
    failed = gust__inject_disarm();
    CHECK_EQ(failed, ring ? GUST__FILE_WHATS - 1 : 0);
    CHECK_EQ(gust__file_refused(), ring ? ALL_WHATS : 0);
    dir_remove();
    return 0;
}

Test(file_inject, what_the_ring_does_not_know_is_done_without)
{
    for (int nth = 1; nth <= GUST__FILE_WHATS; nth++)
        test_run(refuse_nth, &nth);
}

/* An -EINVAL that the system call gives too is the file's, not the ring's. */
static int ask_nonsense(void *arg)
{
    (void)arg;
    dir_make();
    gust__file_refuse(0);
    CHECK_EQ(mkfifo(in_dir("fifo"), 0600), 0);
    gust_file *f = open_file("fifo", O_RDWR);
    CHECK_EQ(gust_file_sync(f, SOON), -EINVAL);
    CHECK_EQ(gust__file_refused(), 0);
    CHECK_EQ(gust_file_close(f), 0);
    dir_remove();
    return 0;
}

Test(file_inject, nonsense_is_not_taken_for_ignorance)
{
    test_run(ask_nonsense, NULL);
}

/* --- Pipes ---------------------------------------------------------------------------- */

/* To see whether a FIFO has a writer takes a pipe. */
static int open_without_pipe(void *arg)
{
    gust_file *f = NULL;
    size_t fds = fd_count();
    (void)arg;
    gust__inject_arm(INJECT_PIPE, 1, 1);
    CHECK_EQ(gust_file_open(in_dir("fifo"), O_RDONLY, 0, SOON, &f), -EMFILE);
    CHECK_EQ(gust__inject_disarm(), 1);
    CHECK(!f);
    AWAIT_SOON(fd_count() == fds);
    return 0;
}

Test(file_inject, a_pipe_may_be_refused_to_an_open)
{
    dir_make();
    CHECK_EQ(mkfifo(in_dir("fifo"), 0600), 0);
    test_run(open_without_pipe, NULL);
    dir_remove();
}

/* --- Memory --------------------------------------------------------------------------- */

static int files_main(void *arg)
{
    char *data;
    size_t len, fds = fd_count();
    gust_file *f;
    (void)arg;
    if (served(gust_file_open(in_dir("f"), O_RDWR | O_CREAT, 0600, SOON, &f))) {
        CHECK_EQ(gust_file_write(f, "abc", 3, SOON), 3);
        CHECK_EQ(gust_file_close(f), 0);
    }
    if (served(gust_file_open(in_dir("fifo"), O_RDWR, 0, SOON, &f))) {
        served((int)gust_file_write(f, "abc", 3, SOON));
        CHECK_EQ(gust_file_close(f), 0);
    }
    if (served(gust_file_read_all("/proc/self/smaps", SIZE_MAX, SOON, &data, &len)))
        free(data);
    AWAIT_SOON(fd_count() == fds);
    return 0;
}

static void fail_files(gust__inject_kind kind, uint64_t times)
{
    dir_make();
    CHECK_EQ(mkfifo(in_dir("fifo"), 0600), 0);
    fail_each(kind, times, files_main);
    dir_remove();
}

Test(file_inject, memory_may_be_refused_anywhere, .timeout = TEST_TIMEOUT_S)
{
    fail_files(INJECT_MALLOC, 1);
    fail_files(INJECT_MALLOC, 3);
}

Test(file_inject, the_ring_and_threads_may_be_refused, .timeout = TEST_TIMEOUT_S)
{
    fail_files(INJECT_URING_ENTER, 2);
    fail_files(INJECT_THREAD, 1);
    fail_files(INJECT_EPOLL_ADD, 1);
}

#endif
