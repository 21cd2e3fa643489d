/* Files from a directory: what is found, and what is answered. */
#include "tests/http/files_site.h"

#define DAY INT64_C(86400)
#define MODIFIED 784111777 /* Sun, 06 Nov 1994 08:49:37 GMT */

static void make_tree(void)
{
    tree_write("a.txt", "hello\n");
    tree_touch("a.txt", MODIFIED);
    tree_write("index.html", "<p>root</p>");
    tree_write("empty", "");
    tree_write(".hidden", "secret");
    tree_mkdir("sub");
    tree_write("sub/b c.json", "{}");
    tree_mkdir("sub/.git");
    tree_write("sub/.git/config", "secret");
    tree_mkdir("site");
    tree_write("site/index.html", "<p>site</p>");
}

/* --- What is sent --------------------------------------------------------------- */

FilesTest(files, a_file_is_sent_with_its_version)
{
    struct files_site s;
    struct stat st;
    char expected[1024];

    make_tree();
    files_start(&s, &(gust_http_files_options){.cache_control = "max-age=60"});
    CHECK_EQ(stat(in_tree("a.txt").text, &st), 0);
    snprintf(expected, sizeof(expected),
             "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n"
             "ETag: \"%llx-6-%llx\"\r\nCache-Control: max-age=60\r\n"
             "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
             "Content-Type: text/plain; charset=utf-8\r\n"
             "X-Content-Type-Options: nosniff\r\nAccept-Ranges: bytes\r\n\r\n",
             MODIFIED * 1000000000ULL, (unsigned long long)st.st_ino);
    expect_reply(site_request(&s.site, "HEAD", "/a.txt", ""), "HEAD", expected);
    strcat(expected, "hello\n");
    expect_reply(files_get(&s, "/a.txt", ""), "GET", expected);
    files_stop(&s);
}

FilesTest(files, names_are_decoded_and_paths_cleaned)
{
    struct files_site s;

    make_tree();
    files_start(&s, &(gust_http_files_options){0});
    expect_body(files_get(&s, "/sub/b%20c.json", ""), "an escape", 200, "{}");
    expect_body(files_get(&s, "/sub/../a.txt?x=1", ""), "dots and a query", 200, "hello\n");
    expect_body(files_get(&s, "//sub///b%20c.json", ""), "slashes", 200, "{}");
    expect_body(files_get(&s, "/../../a.txt", ""), "above the root", 200, "hello\n");
    expect_body(files_get(&s, "/empty", ""), "an empty file", 200, "");
    expect_status(files_get(&s, "/a%2", ""), "an escape cut short", 400);
    expect_status(files_get(&s, "/a.txt/", ""), "a file as a directory", 404);
    expect_status(files_get(&s, "/a.txt/b", ""), "a file as a directory", 404);
    expect_status(files_get(&s, "/missing", ""), "nothing", 404);
    expect_status(files_get(&s, "/missing/", ""), "nothing", 404);
    expect_status(files_get(&s, "/A.TXT", ""), "another case", 404);
    files_stop(&s);
}

FilesTest(files, long_names_are_not_found)
{
    struct files_site s;
    char path[6000];

    make_tree();
    files_start(&s, &(gust_http_files_options){0});
    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[257] = '\0'; /* NAME_MAX + 1 */
    expect_status(files_get(&s, path, ""), "a segment", 404);
    path[257] = 'a';
    for (size_t i = 100; i < sizeof(path); i += 100)
        path[i] = '/';
    path[sizeof(path) - 1] = '\0';
    expect_status(files_get(&s, path, ""), "a path", 404);
    files_stop(&s);
}

FilesTest(files, only_get_and_head_are_answered)
{
    struct files_site s;

    make_tree();
    files_start(&s, &(gust_http_files_options){0});
    struct reply r = site_request(&s.site, "DELETE", "/a.txt", "");
    CHECK(span_is(reply_field(&r, "Allow"), "GET, HEAD"));
    expect_status(r, "DELETE", 405);
    expect_status(site_request(&s.site, "POST", "/", "Content-Length: 0\r\n"), "POST", 405);
    expect_status(site_request(&s.site, "OPTIONS", "*", ""), "OPTIONS *", 405);
    files_stop(&s);
}

FilesTest(files, types_may_be_added)
{
    static const gust_http_type types[] = {{"zz", "a/z"}, {"txt", "text/mine"}, {"aa", "a/a"}};
    struct files_site s;

    make_tree();
    tree_write("x.AA", "");
    tree_write("x.zz", "");
    files_start(&s, &(gust_http_files_options){
                        .types = types, .type_count = 3, .default_type = "a/default"});
    static const char *const expected[][2] = {{"/a.txt", "text/mine"},
                                              {"/x.AA", "a/a"},
                                              {"/x.zz", "a/z"},
                                              {"/empty", "a/default"},
                                              {"/index.html", "text/html; charset=utf-8"}};
    for (size_t i = 0; i < 5; i++) {
        struct reply r = files_get(&s, expected[i][0], "");
        CHECK(span_is(reply_field(&r, "Content-Type"), expected[i][1]));
        free(r.text);
    }
    files_stop(&s);
}

FilesTest(files, a_date_ahead_of_ours_is_not_told)
{
    struct files_site s;

    make_tree();
    tree_touch("a.txt", time(NULL) + DAY);
    tree_touch("empty", -DAY);
    files_start(&s, &(gust_http_files_options){0});
    struct reply r = files_get(&s, "/a.txt", "");
    CHECK_EQ(reply_field(&r, "Last-Modified").len, 0);
    CHECK(reply_field(&r, "ETag").len > 0);
    free(r.text);
    r = files_get(&s, "/empty", "");
    CHECK_EQ(reply_field(&r, "Last-Modified").len, 0);
    free(r.text);
    files_stop(&s);
}

/* --- Directories -------------------------------------------------------------------- */

FilesTest(files, a_directory_is_its_index)
{
    struct files_site s;

    make_tree();
    tree_mkdir("odd");
    tree_mkdir("odd/index.html");
    files_start(&s, &(gust_http_files_options){0});
    expect_body(files_get(&s, "/", ""), "the root", 200, "<p>root</p>");
    expect_body(files_get(&s, "/site/", ""), "a directory", 200, "<p>site</p>");
    expect_status(files_get(&s, "/sub/", ""), "without an index", 403);
    expect_status(files_get(&s, "/odd/", ""), "the index is none", 403);
    struct reply r = files_get(&s, "/site?a=b", "");
    CHECK(span_is(reply_field(&r, "Location"), "/site/?a=b"));
    expect_status(r, "without a slash", 301);
    files_stop(&s);
}

/* "//host" in a Location would lead to another server. */
FilesTest(files, a_redirect_stays_on_the_server)
{
    struct files_site s;

    make_tree();
    tree_mkdir("evil.example");
    files_start(&s, &(gust_http_files_options){0});
    struct reply r = files_get(&s, "//evil.example", "");
    CHECK(span_is(reply_field(&r, "Location"), "/evil.example/"));
    expect_status(r, "two slashes", 301);
    r = files_get(&s, "/%5Cevil.example/..//evil.example", "");
    CHECK(span_is(reply_field(&r, "Location"), "/evil.example/"));
    expect_status(r, "a backslash", 301);
    files_stop(&s);
}

FilesTest(files, the_index_has_the_name_that_is_wanted)
{
    struct files_site s;

    make_tree();
    tree_write("sub/home.txt", "home");
    files_start(&s, &(gust_http_files_options){.index = "home.txt"});
    expect_body(files_get(&s, "/sub/", ""), "another name", 200, "home");
    expect_status(files_get(&s, "/site/", ""), "another name", 403);
    files_stop(&s);
    files_start(&s, &(gust_http_files_options){.index = ""});
    expect_status(files_get(&s, "/", ""), "none", 403);
    expect_status(files_get(&s, "/site/", ""), "none", 403);
    files_stop(&s);
}

/* --- What is not served ---------------------------------------------------------------- */

FilesTest(files, hidden_names_are_for_who_asked_for_them)
{
    struct files_site s;

    make_tree();
    files_start(&s, &(gust_http_files_options){0});
    expect_status(files_get(&s, "/.hidden", ""), "a file", 404);
    expect_status(files_get(&s, "/%2ehidden", ""), "encoded", 404);
    expect_status(files_get(&s, "/sub/.git/config", ""), "in a directory", 404);
    expect_status(files_get(&s, "/sub/.git/", ""), "the directory", 404);
    files_stop(&s);
    files_start(&s, &(gust_http_files_options){.hidden = true});
    expect_body(files_get(&s, "/.hidden", ""), "a file", 200, "secret");
    expect_body(files_get(&s, "/sub/.git/config", ""), "in a directory", 200, "secret");
    files_stop(&s);
}

FilesTest(files, what_is_no_file_stops_nobody)
{
    struct files_site s;

    make_tree();
    CHECK_EQ(mkfifo(in_tree("fifo").text, 0666), 0);
    CHECK_EQ(mknod(in_tree("socket").text, S_IFSOCK | 0666, 0), 0);
    tree_link("/dev/zero", "zero");
    files_start(&s, &(gust_http_files_options){0});
    expect_status(files_get(&s, "/fifo", ""), "a FIFO", 404);
    expect_status(files_get(&s, "/socket", ""), "a socket", 404);
    expect_status(files_get(&s, "/zero", ""), "a device", 404);
    files_stop(&s);
}

/* --- Conditions ---------------------------------------------------------------------- */

FilesTest(files, who_has_it_is_told_so)
{
    struct files_site s;
    char fields[256], etag[64];

    make_tree();
    files_start(&s, &(gust_http_files_options){.cache_control = "no-cache"});
    struct reply r = files_get(&s, "/a.txt", "");
    gust_span tag = reply_field(&r, "ETag");
    snprintf(etag, sizeof(etag), "%.*s", (int)tag.len, tag.data);
    free(r.text);

    snprintf(fields, sizeof(fields), "If-None-Match: \"x\", W/%s\r\n", etag);
    r = files_get(&s, "/a.txt", fields);
    CHECK(span_is(reply_field(&r, "ETag"), etag));
    CHECK(span_is(reply_field(&r, "Cache-Control"), "no-cache"));
    CHECK_EQ(reply_field(&r, "Content-Type").len, 0);
    CHECK_EQ(reply_field(&r, "Content-Length").len, 0);
    expect_body(r, "its tag", 304, "");
    expect_status(files_get(&s, "/a.txt", "If-None-Match: \"x\"\r\n"), "another tag", 200);
    expect_status(files_get(&s, "/a.txt", "If-Match: \"x\"\r\n"), "another tag", 412);
    expect_status(files_get(&s, "/a.txt", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
                  "its date", 304);
    expect_status(files_get(&s, "/a.txt", "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n"),
                  "an older date", 200);
    files_stop(&s);
}

FilesTest(files, a_change_is_another_version)
{
    struct files_site s;
    struct reply before, after;

    make_tree();
    files_start(&s, &(gust_http_files_options){0});
    before = files_get(&s, "/a.txt", "");
    tree_write("a.txt", "HELLO\n");
    after = files_get(&s, "/a.txt", "");
    gust_span old = reply_field(&before, "ETag"), new = reply_field(&after, "ETag");
    CHECK(old.len != new.len || memcmp(old.data, new.data, old.len) != 0);
    free(before.text);
    expect_body(after, "changed", 200, "HELLO\n");
    files_stop(&s);
}

/* --- Under a router ------------------------------------------------------------------ */

static void get_routed(const char *pattern, const char *path, int status, const char *body)
{
    gust_http_router *router;
    gust_http_files *files;
    struct site site;

    CHECK_EQ(gust_http_files_new(&(gust_http_files_options){.root = tree}, &files), 0);
    CHECK_EQ(gust_http_router_new(&router), 0);
    CHECK_EQ(gust_http_router_handle(router, pattern, gust_http_files_serve, files), 0);
    site_start(&site, &(gust_http_server_options){gust_http_router_serve, .arg = router});
    struct reply r = site_request(&site, "GET", path, "");
    if (status == 301)
        CHECK(span_is(reply_field(&r, "Location"), body));
    if (body && status != 301)
        expect_body(r, path, status, body);
    else
        expect_status(r, path, status);
    site_stop(&site);
    gust_http_router_free(router);
    gust_http_files_free(files);
}

FilesTest(files, a_router_says_what_names_the_file)
{
    make_tree();
    get_routed("/static/{path...}", "/static/a.txt", 200, "hello\n");
    get_routed("/static/{path...}", "/static/sub/b%20c.json", 200, "{}");
    get_routed("/static/{path...}", "/static/", 200, "<p>root</p>");
    get_routed("/static/{path...}", "/static/site", 301, "/static/site/");
    get_routed("/static/{path...}", "/static/..%2fa.txt", 404, NULL);
    get_routed("GET /{user}/files/", "/me/files/a.txt", 200, "hello\n");
    get_routed("/{path...}", "/a.txt", 200, "hello\n");
    get_routed("/a.txt", "/a.txt", 200, "hello\n");
    get_routed("/{name}", "/a.txt", 200, "hello\n");
}

/* --- Codings ------------------------------------------------------------------------- */

static void check_coding(const struct files_site *s, const char *path, const char *accepts,
                         const char *coding, const char *body)
{
    char fields[256];

    snprintf(fields, sizeof(fields), "Accept-Encoding: %s\r\n", accepts);
    struct reply r = files_get(s, path, fields);
    CHECK(span_is(reply_field(&r, "Content-Encoding"), coding));
    CHECK(span_is(reply_field(&r, "Content-Type"), "text/plain; charset=utf-8"));
    CHECK(span_is(reply_field(&r, "Vary"), "Accept-Encoding"));
    expect_body(r, accepts, 200, body);
}

FilesTest(files, siblings_are_sent_to_who_takes_them)
{
    struct files_site s;

    make_tree();
    tree_write("a.txt.gz", "in gzip");
    tree_write("a.txt.br", "in br");
    tree_write("b.txt", "plain b");
    tree_write("b.txt.gz", "b in gzip");
    tree_mkdir("b.txt.br");
    files_start(&s, &(gust_http_files_options){.precompressed = true});
    check_coding(&s, "/a.txt", "gzip, br", "br", "in br");
    check_coding(&s, "/a.txt", "gzip, br;q=0.5", "gzip", "in gzip");
    check_coding(&s, "/a.txt", "br;q=0.5, identity", "", "hello\n");
    check_coding(&s, "/a.txt", "", "", "hello\n");
    check_coding(&s, "/a.txt", "identity;q=0, br;q=0", "", "hello\n");
    check_coding(&s, "/b.txt", "gzip, br", "gzip", "b in gzip");
    expect_status(files_get(&s, "/c.txt", "Accept-Encoding: gzip\r\n"), "nothing", 404);

    /* Each is a version of its own, and so are its ranges. */
    struct reply plain = files_get(&s, "/a.txt", "");
    struct reply gzip = files_get(&s, "/a.txt", "Accept-Encoding: gzip\r\n");
    gust_span a = reply_field(&plain, "ETag"), b = reply_field(&gzip, "ETag");
    CHECK(a.len != b.len || memcmp(a.data, b.data, a.len) != 0);
    free(plain.text);
    free(gzip.text);
    expect_body(files_get(&s, "/a.txt", "Accept-Encoding: gzip\r\nRange: bytes=3-\r\n"), "a range",
                206, "gzip");
    files_stop(&s);

    files_start(&s, &(gust_http_files_options){0});
    struct reply r = files_get(&s, "/a.txt", "Accept-Encoding: gzip\r\n");
    CHECK_EQ(reply_field(&r, "Vary").len, 0);
    expect_body(r, "not asked for", 200, "hello\n");
    files_stop(&s);
}

/* --- Listings -------------------------------------------------------------------------- */

FilesTest(files, a_listing_is_html_and_nothing_else)
{
    struct files_site s;

    tree_mkdir("sub");
    tree_mkdir("sub/dir");
    tree_write("sub/.hidden", "");
    tree_write("sub/<b>&\"'", "");
    tree_write("sub/javascript:x", "");
    tree_write("sub/a b?c#d%", "");
    files_start(&s, &(gust_http_files_options){.listing = true});
    struct reply r = files_get(&s, "/sub/", "");
    CHECK(span_is(reply_field(&r, "Content-Type"), "text/html; charset=utf-8"));
    expect_body(
        r, "a listing", 200,
        "<!DOCTYPE html>\n<html><head><title>/sub/</title></head>\n<body><h1>/sub/</h1>\n<ul>\n"
        "<li><a href=\"../\">../</a></li>\n"
        "<li><a href=\"./%3Cb%3E&amp;%22&#39;\">&lt;b&gt;&amp;&quot;&#39;</a></li>\n"
        "<li><a href=\"./a%20b%3Fc%23d%25\">a b?c#d%</a></li>\n"
        "<li><a href=\"./dir/\">dir/</a></li>\n"
        "<li><a href=\"./javascript:x\">javascript:x</a></li>\n"
        "</ul></body></html>\n");
    expect_status(files_get(&s, "/sub/dir/", ""), "an empty one", 200);
    expect_status(files_get(&s, "/none/", ""), "nothing", 404);
    files_stop(&s);
    files_start(&s, &(gust_http_files_options){.listing = true, .hidden = true});
    r = files_get(&s, "/sub/", "");
    CHECK(strstr(r.text, ">.hidden<") && !strstr(r.text, ">.<"));
    free(r.text);
    files_stop(&s);
}

static void make_many(unsigned n)
{
    char name[32];

    for (unsigned i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "many/%u", i);
        tree_write(name, "");
    }
}

FilesTest(files, a_listing_has_a_bound)
{
    struct files_site s;

    tree_mkdir("many");
    make_many(GUST_HTTP_FILES_LISTING_MAX);
    files_start(&s, &(gust_http_files_options){.listing = true});
    expect_status(files_get(&s, "/many/", ""), "as many as may be", 200);
    tree_write("many/one more", "");
    expect_status(files_get(&s, "/many/", ""), "one more", 503);
    files_stop(&s);
}

/* --- Options ---------------------------------------------------------------------------- */

static int make_with(const gust_http_files_options *options)
{
    gust_http_files *files = NULL;
    int r = gust_http_files_new(options, &files);

    CHECK_EQ(files != NULL, r == 0);
    gust_http_files_free(files);
    return r;
}

FilesTest(files, options_are_checked)
{
    static const gust_http_type upper = {"TXT", "text/plain"}, line = {"txt", "a/b\r\nX: y"};
    static const gust_http_asset asset = {.path = "a", .data = "a", .len = 1};

    tree_write("file", "");
    CHECK_EQ(make_with(NULL), -EINVAL);
    CHECK_EQ(make_with(&(gust_http_files_options){0}), -EINVAL);
    CHECK_EQ(
        make_with(&(gust_http_files_options){.root = tree, .assets = &asset, .asset_count = 1}),
        -EINVAL);
    CHECK_EQ(make_with(&(gust_http_files_options){.root = tree, .index = "a/b"}), -EINVAL);
    CHECK_EQ(make_with(&(gust_http_files_options){.root = tree, .cache_control = "a\nb"}), -EINVAL);
    CHECK_EQ(make_with(&(gust_http_files_options){.root = tree, .default_type = "a\nb"}), -EINVAL);
    CHECK_EQ(make_with(&(gust_http_files_options){.root = tree, .types = &upper, .type_count = 1}),
             -EINVAL);
    CHECK_EQ(make_with(&(gust_http_files_options){.root = tree, .types = &line, .type_count = 1}),
             -EINVAL);
    CHECK_EQ(make_with(&(gust_http_files_options){.root = in_tree("none").text}), -ENOENT);
    CHECK_EQ(make_with(&(gust_http_files_options){.root = in_tree("file").text}), -ENOTDIR);
    CHECK_EQ(make_with(&(gust_http_files_options){.root = tree}), 0);
    gust_http_files_free(NULL);
}
