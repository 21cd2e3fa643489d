/* Files in memory: the same as those from a directory. */
#include "tests/http/files_site.h"

#include <errno.h>

static const gust_http_asset assets[] = {
    {"index.html", "<p>root</p>", 11, NULL},
    {"css/site.css", "body{}", 6, NULL},
    {"css/site.css.gz", "in gzip", 7, NULL},
    {"app", "0123456789", 10, "text/mine"},
    {"app.br", "in br", 5, "application/x-brotli"},
    {"css-old", "old", 3, NULL},
    {"docs/index.html", "docs", 4, NULL},
    {"empty", NULL, 0, NULL},
    {".hidden", "hidden", 6, NULL},
};

static const gust_http_files_options in_memory = {
    .assets = assets, .asset_count = sizeof(assets) / sizeof(assets[0])};

FilesTest(files_memory, assets_are_found_by_their_paths)
{
    struct files_site s;

    files_start(&s, &in_memory);
    expect_body(files_get(&s, "/", ""), "the index", 200, "<p>root</p>");
    expect_body(files_get(&s, "/css/site.css", ""), "a path", 200, "body{}");
    expect_body(files_get(&s, "/empty", ""), "empty", 200, "");
    expect_body(files_get(&s, "/docs/", ""), "an index", 200, "docs");
    expect_status(files_get(&s, "/docs", ""), "a directory", 301);
    expect_status(files_get(&s, "/css", ""), "a directory", 301);
    expect_status(files_get(&s, "/css/", ""), "no index", 403);
    expect_status(files_get(&s, "/cs", ""), "nothing", 404);
    expect_status(files_get(&s, "/zzz", ""), "nothing", 404);
    expect_status(files_get(&s, "/zzz/", ""), "nothing", 404);
    expect_status(files_get(&s, "/app/", ""), "a file as a directory", 404);
    expect_status(files_get(&s, "/.hidden", ""), "hidden", 404);
    expect_status(site_request(&s.site, "PUT", "/app", "Content-Length: 0\r\n"), "PUT", 405);
    files_stop(&s);
}

FilesTest(files_memory, versions_and_ranges_are_as_of_files)
{
    struct files_site s;

    files_start(&s, &in_memory);
    expect_reply(files_get(&s, "/app", ""), "GET",
                 "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n"
                 "ETag: \"50c0aafd8b4330b2-a\"\r\nContent-Type: text/mine\r\n"
                 "X-Content-Type-Options: nosniff\r\nAccept-Ranges: bytes\r\n\r\n0123456789");
    expect_status(files_get(&s, "/app", "If-None-Match: \"50c0aafd8b4330b2-a\"\r\n"), "its tag",
                  304);
    expect_body(files_get(&s, "/app", "Range: bytes=-3\r\n"), "a range", 206, "789");
    expect_status(files_get(&s, "/app", "Range: bytes=10-\r\n"), "outside", 416);
    files_stop(&s);
}

FilesTest(files_memory, siblings_have_the_type_of_what_they_encode)
{
    gust_http_files_options options = in_memory;
    struct files_site s;

    options.precompressed = true;
    files_start(&s, &options);
    struct reply r = files_get(&s, "/css/site.css", "Accept-Encoding: gzip\r\n");
    CHECK(span_is(reply_field(&r, "Content-Encoding"), "gzip"));
    CHECK(span_is(reply_field(&r, "Content-Type"), "text/css; charset=utf-8"));
    expect_body(r, "gzip", 200, "in gzip");
    r = files_get(&s, "/app", "Accept-Encoding: br\r\n");
    CHECK(span_is(reply_field(&r, "Content-Encoding"), "br"));
    CHECK(span_is(reply_field(&r, "Content-Type"), "text/mine"));
    expect_body(r, "br", 200, "in br");
    files_stop(&s);
}

FilesTest(files_memory, a_large_asset_arrives_whole)
{
    const size_t len = 3 << 20;
    char *data = malloc(len);
    struct files_site s;

    CHECK(data != NULL);
    for (size_t i = 0; i < len; i++)
        data[i] = (char)(i * 7 + (i >> 12));
    const gust_http_asset large = {"large", data, len, NULL};
    files_start(&s, &(gust_http_files_options){.assets = &large, .asset_count = 1});
    struct reply r = files_get(&s, "/large", "");
    CHECK(reply_body(&r).len == len && memcmp(reply_body(&r).data, data, len) == 0);
    free(r.text);
    files_stop(&s);
    free(data);
}

static int make_assets(const gust_http_asset *list, size_t count)
{
    gust_http_files *files = NULL;
    int r = gust_http_files_new(&(gust_http_files_options){.assets = list, .asset_count = count},
                                &files);

    gust_http_files_free(files);
    return r;
}

FilesTest(files_memory, assets_are_checked)
{
    const gust_http_asset twice[] = {{"a", "1", 1, NULL}, {"b", "", 0, NULL}, {"a", "2", 1, NULL}};
    const gust_http_asset bad[] = {{NULL, "", 0, NULL},
                                   {"", "", 0, NULL},
                                   {"/a", "", 0, NULL},
                                   {"a", NULL, 1, NULL},
                                   {"a", "", 0, "a\nb"}};

    CHECK_EQ(make_assets(twice, 2), 0);
    CHECK_EQ(make_assets(twice, 3), -EINVAL);
    CHECK_EQ(make_assets(twice, 0), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_EQ(make_assets(&bad[i], 1), -EINVAL);
}
