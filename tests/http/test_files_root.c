/* Nothing outside of the root is reached: with openat2, and where a container refuses it. */
#include "tests/http/files_site.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* From here on openat2 is answered so, on all threads. */
static bool refuse_openat2(int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(*code), .filter = code};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
}

/* The root is a directory in the tree, with a secret beside it. */
static void make_tree(void)
{
    tree_mkdir("root");
    tree_mkdir("root/dir");
    tree_mkdir("root/dir/deep");
    tree_mkdir("outside");
    tree_write("secret", "secret");
    tree_write("outside/index.html", "secret");
    tree_write("root/a", "inside");
    tree_write("root/dir/b", "deeper");
    tree_write("root/dir/deep/index.html", "index");

    tree_link("../secret", "root/up");
    tree_link(in_tree("secret").text, "root/absolute");
    tree_link("../outside", "root/updir");
    tree_link("/proc/self/root", "root/proc");
    tree_link("/proc/self/cwd", "root/dir/proc");
    tree_link("../../secret", "root/dir/up");
    tree_link("loop", "root/loop");
    tree_link("a", "root/link");
    tree_link("dir", "root/linkdir");
    tree_link("../a", "root/dir/back");
    tree_link("missing", "root/dangling");
}

static void start_in_root(struct files_site *s, gust_http_files_options options)
{
    static struct tree_path root;

    root = in_tree("root");
    options.root = root.text;
    files_start(s, &options);
}

static void expect_no_escape(const struct files_site *s)
{
    static const char *const paths[] = {
        "/up",
        "/absolute",
        "/updir",
        "/updir/",
        "/updir/index.html",
        "/proc",
        "/proc/",
        "/proc/etc/passwd",
        "/dir/proc",
        "/dir/proc/",
        "/dir/up",
        "/loop",
        "/loop/",
        "/loop/a",
        "/dangling",
        "/dangling/",
        "/../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/%2e%2e%2fsecret",
        "/dir/../../secret",
        "/dir/..%2f..%2fsecret",
        "/dir/%2e%2e/%2e%2e/secret",
        "/..\\secret",
        "/..%5csecret",
        "/....//secret",
        "/.%00./secret",
        "/secret%00",
        "/a%00/../../secret",
        "/%c0%ae%c0%ae/secret",
        "/dir//..//..//secret",
        "/./../secret",
    };

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct reply r = files_get(s, paths[i], "");
        CHECK(!memmem(r.text, r.len, "secret\r\n", 8));
        expect_status(r, paths[i], 404);
    }
}

static void expect_files(const struct files_site *s)
{
    expect_body(files_get(s, "/a", ""), "a file", 200, "inside");
    expect_body(files_get(s, "/dir/b", ""), "a deeper one", 200, "deeper");
    expect_body(files_get(s, "/dir/deep/", ""), "an index", 200, "index");
    expect_status(files_get(s, "/dir/deep", ""), "a directory", 301);
    expect_status(files_get(s, "/dir/", ""), "a directory", 403);
    expect_status(files_get(s, "/none/b", ""), "nothing", 404);
    expect_status(files_get(s, "/a/b", ""), "below a file", 404);
}

FilesTest(files_root, links_that_stay_beneath_are_followed)
{
    struct files_site s;

    make_tree();
    start_in_root(&s, (gust_http_files_options){0});
    expect_files(&s);
    expect_no_escape(&s);
    expect_body(files_get(&s, "/link", ""), "a link", 200, "inside");
    expect_body(files_get(&s, "/linkdir/b", ""), "a link to a directory", 200, "deeper");
    expect_body(files_get(&s, "/dir/back", ""), "a link upwards", 200, "inside");
    files_stop(&s);
}

static void expect_no_links(const struct files_site *s)
{
    expect_files(s);
    expect_no_escape(s);
    expect_status(files_get(s, "/link", ""), "a link", 404);
    expect_status(files_get(s, "/linkdir/b", ""), "a link to a directory", 404);
    expect_status(files_get(s, "/linkdir/", ""), "a link to a directory", 404);
    expect_status(files_get(s, "/linkdir", ""), "a link to a directory", 404);
    expect_status(files_get(s, "/dir/back", ""), "a link upwards", 404);
}

FilesTest(files_root, links_may_be_refused)
{
    struct files_site s;

    make_tree();
    start_in_root(&s, (gust_http_files_options){.no_symlinks = true});
    expect_no_links(&s);
    files_stop(&s);
}

/* With listings as well: a name with a slash behind it is opened as a directory. */
static void serve_by_steps(int error)
{
    struct files_site s;

    if (!refuse_openat2(error))
        return; /* no filters here: it has been served by openat2 above */
    make_tree();
    CHECK_EQ(mkfifo(in_tree("root/fifo").text, 0666), 0);
    start_in_root(&s, (gust_http_files_options){0});
    expect_no_links(&s);
    expect_status(files_get(&s, "/fifo", ""), "a FIFO", 404);
    files_stop(&s);
    start_in_root(&s, (gust_http_files_options){.listing = true, .index = ""});
    expect_no_escape(&s);
    expect_status(files_get(&s, "/", ""), "the root", 200);
    expect_status(files_get(&s, "/dir/", ""), "a directory", 200);
    expect_status(files_get(&s, "/linkdir/", ""), "a link", 404);
    files_stop(&s);
}

FilesTest(files_root, a_kernel_without_openat2_is_walked)
{
    serve_by_steps(ENOSYS);
}

FilesTest(files_root, a_container_without_openat2_is_walked)
{
    serve_by_steps(EPERM);
}

FilesTest(files_root, walking_bounds_a_segment)
{
    struct files_site s;
    char path[300];

    if (!refuse_openat2(ENOSYS))
        return;
    make_tree();
    start_in_root(&s, (gust_http_files_options){0});
    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[256] = '\0';
    expect_status(files_get(&s, path, ""), "as long as may be", 404);
    path[256] = 'a';
    path[257] = '\0';
    expect_status(files_get(&s, path, ""), "longer", 404);
    strcpy(path + 257, "/b");
    expect_status(files_get(&s, path, ""), "longer, a directory", 404);
    files_stop(&s);
}

/* --- While somebody renames ------------------------------------------------------------ */

struct renamer {
    atomic_bool stop;
    gust_waitgroup done;
};

/* "swap" is a file of the root, and a link that leads out of it. */
static void rename_all_the_time(void *arg)
{
    struct renamer *r = arg;
    struct tree_path one = in_tree("root/swap"), other = in_tree("root/other");

    while (!atomic_load(&r->stop)) {
        CHECK_EQ(renameat2(AT_FDCWD, one.text, AT_FDCWD, other.text, RENAME_EXCHANGE), 0);
        gust_yield();
    }
    gust_waitgroup_done(&r->done);
}

static void race(void)
{
    struct renamer r = {.stop = false};
    struct files_site s;

    make_tree();
    tree_write("root/swap", "inside");
    tree_link("../secret", "root/other");
    start_in_root(&s, (gust_http_files_options){0});
    gust_waitgroup_add(&r.done, 1);
    CHECK_EQ(gust_go(rename_all_the_time, &r), 0);
    for (int i = 0; i < 200; i++) {
        struct reply got = files_get(&s, "/swap", "");
        int status = reply_status(&got);
        CHECK(status == 404 || (status == 200 && span_is(reply_body(&got), "inside")));
        free(got.text);
    }
    atomic_store(&r.stop, true);
    CHECK_EQ(gust_waitgroup_wait(&r.done, gust_after(SITE_WAIT_NS)), 0);
    files_stop(&s);
}

FilesTest(files_root, who_renames_gets_nobody_out)
{
    race();
}

FilesTest(files_root, who_renames_gets_nobody_out_by_steps_either)
{
    if (refuse_openat2(ENOSYS))
        race();
}
