/* Static files when memory is refused: a client gets the file, an error, or the end of its
 * connection before the file's. */
#include "tests/http/files_site.h"
#include "tests/http/scenario.h"

#ifndef GUST_DEBUG

Test(files_inject, it_needs_a_debug_build)
{
    cr_skip_test("failures are ordered in builds with GUST_DEBUG only");
}

#else

#define LARGE 200000

/* A small one, a large one, several ranges, a listing, a redirect: each complete, cut off,
 * or refused with 503. */
static const char request[] =
    "GET /small HTTP/1.1\r\nHost: x\r\n\r\n"
    "GET /large HTTP/1.1\r\nHost: x\r\n\r\n"
    "GET /large HTTP/1.1\r\nHost: x\r\nRange: bytes=0-9,100000-180000\r\n\r\n"
    "GET /dir/ HTTP/1.1\r\nHost: x\r\n\r\n"
    "GET /dir HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/* What comes is no string: nothing ends it with a NUL. */
static size_t number_at(const char *p, const char *end)
{
    size_t value = 0;

    while (p < end && *p >= '0' && *p <= '9')
        value = 10 * value + (size_t)(*p++ - '0');
    return value;
}

/* Takes one response off, if all of it is there; false at the end. */
static bool next_reply(gust_span *got)
{
    const char *end = memmem(got->data, got->len, "\r\n\r\n", 4);

    if (!end)
        return false;
    size_t head = (size_t)(end - got->data) + 4;
    const char *length = memmem(got->data, head, "Content-Length: ", 16);
    CHECK(length != NULL);
    size_t total = head + number_at(length + 16, end);
    size_t status = number_at(got->data + 9, end);
    CHECK(status == 200 || status == 206 || status == 301 || status == 503);
    if (total > got->len)
        return false;
    *got = (gust_span){got->data + total, got->len - total};
    return true;
}

static void check_files(gust_span got)
{
    unsigned count = 0;

    while (next_reply(&got))
        count++;
    CHECK(count <= 5);
}

static int files_main(void *arg)
{
    struct scenario scenario = {
        .options = {.handler = gust_http_files_serve}, .request = request, .check = check_files};
    gust_http_files *files;
    (void)arg;
    if (!served(
            gust_http_files_new(&(gust_http_files_options){.root = tree, .listing = true}, &files)))
        return 0;
    scenario.options.arg = files;
    play(&scenario);
    gust_http_files_free(files);
    return 0;
}

static int assets_main(void *arg)
{
    static const gust_http_asset assets[] = {{"small", "small", 5, NULL}, {"dir/a", "a", 1, NULL}};
    static const gust_http_type type = {"x", "a/x"};
    struct scenario scenario = {
        .options = {.handler = gust_http_files_serve},
        .request = "GET /small HTTP/1.1\r\nHost: x\r\n\r\n"
                   "GET /dir HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        .check = check_files,
    };
    gust_http_files *files;
    (void)arg;
    if (!served(gust_http_files_new(
            &(gust_http_files_options){
                .assets = assets, .asset_count = 2, .types = &type, .type_count = 1},
            &files)))
        return 0;
    scenario.options.arg = files;
    play(&scenario);
    gust_http_files_free(files);
    return 0;
}

static void make_tree(void)
{
    static char large[LARGE];

    tree_make();
    memset(large, 'x', sizeof(large));
    tree_write("small", "small");
    tree_write_bytes("large", large, sizeof(large));
    tree_mkdir("dir");
    tree_write("dir/a", "");
}

Test(files_inject, memory_may_be_refused_for_files, .timeout = TEST_TIMEOUT_S)
{
    make_tree();
    fail_each(INJECT_MALLOC, 1, files_main);
    fail_each(INJECT_MALLOC, 3, files_main);
    tree_remove();
}

Test(files_inject, memory_may_be_refused_for_assets, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_MALLOC, 1, assets_main);
    fail_each(INJECT_MALLOC, 3, assets_main);
}

#endif
