/* Parts of files. */
#include "tests/http/files_site.h"

#include <inttypes.h>

#define DIGITS "0123456789"

static void get_range(const struct files_site *s, const char *path, const char *range, int status,
                      const char *content_range, const char *body)
{
    char fields[2048];

    snprintf(fields, sizeof(fields), "Range: %s\r\n", range);
    struct reply r = files_get(s, path, fields);
    if (!span_is(reply_field(&r, "Content-Range"), content_range))
        gust_panic("%s: got\n%s\ninstead of %s", range, r.text, content_range);
    expect_body(r, range, status, body);
}

FilesTest(files_ranges, one_range_is_a_part)
{
    struct files_site s;

    tree_write("f", DIGITS);
    files_start(&s, &(gust_http_files_options){0});
    get_range(&s, "/f", "bytes=0-0", 206, "bytes 0-0/10", "0");
    get_range(&s, "/f", "bytes=0-9", 206, "bytes 0-9/10", DIGITS);
    get_range(&s, "/f", "bytes=9-9", 206, "bytes 9-9/10", "9");
    get_range(&s, "/f", "bytes=9-", 206, "bytes 9-9/10", "9");
    get_range(&s, "/f", "bytes=3-100", 206, "bytes 3-9/10", "3456789");
    get_range(&s, "/f", "bytes=-1", 206, "bytes 9-9/10", "9");
    get_range(&s, "/f", "bytes=-10", 206, "bytes 0-9/10", DIGITS);
    get_range(&s, "/f", "bytes=-11", 206, "bytes 0-9/10", DIGITS);
    get_range(&s, "/f", "bytes=20-30, 4-5", 206, "bytes 4-5/10", "45");
    get_range(&s, "/f", "bytes=3-2", 200, "", DIGITS);
    get_range(&s, "/f", "lines=1-2", 200, "", DIGITS);
    get_range(&s, "/f", "bytes=x", 200, "", DIGITS);
    files_stop(&s);
}

FilesTest(files_ranges, a_range_outside_cannot_be_had)
{
    struct files_site s;

    tree_write("f", DIGITS);
    tree_write("empty", "");
    files_start(&s, &(gust_http_files_options){.cache_control = "max-age=9"});
    get_range(&s, "/f", "bytes=10-", 416, "bytes */10", "Range Not Satisfiable\n");
    get_range(&s, "/f", "bytes=-0", 416, "bytes */10", "Range Not Satisfiable\n");
    get_range(&s, "/empty", "bytes=0-", 200, "", "");
    struct reply r = files_get(&s, "/f", "Range: bytes=10-\r\n");
    CHECK_EQ(reply_field(&r, "Cache-Control").len, 0);
    CHECK(span_is(reply_field(&r, "Content-Type"), "text/plain"));
    free(r.text);
    files_stop(&s);
}

FilesTest(files_ranges, head_has_none)
{
    struct files_site s;

    tree_write("f", DIGITS);
    files_start(&s, &(gust_http_files_options){0});
    struct reply r = site_request(&s.site, "HEAD", "/f", "Range: bytes=0-0\r\n");
    CHECK(span_is(reply_field(&r, "Content-Length"), "10"));
    expect_status(r, "HEAD", 200);
    files_stop(&s);
}

FilesTest(files_ranges, only_of_the_version_that_the_client_has)
{
    struct files_site s;
    char fields[256];

    tree_write("f", DIGITS);
    tree_touch("f", 784111777);
    files_start(&s, &(gust_http_files_options){0});
    struct reply r = files_get(&s, "/f", "");
    gust_span etag = reply_field(&r, "ETag");
    snprintf(fields, sizeof(fields), "Range: bytes=0-1\r\nIf-Range: %.*s\r\n", (int)etag.len,
             etag.data);
    free(r.text);
    expect_body(files_get(&s, "/f", fields), "its tag", 206, "01");
    expect_body(files_get(&s, "/f", "Range: bytes=0-1\r\nIf-Range: \"x\"\r\n"), "another tag", 200,
                DIGITS);
    expect_body(
        files_get(&s, "/f", "Range: bytes=0-1\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
        "its date", 206, "01");
    expect_body(
        files_get(&s, "/f", "Range: bytes=0-1\r\nIf-Range: Sun, 06 Nov 1994 08:49:38 GMT\r\n"),
        "another date", 200, DIGITS);
    expect_status(files_get(&s, "/f", "Range: bytes=0-1\r\nIf-None-Match: *\r\n"), "*", 304);
    files_stop(&s);
}

/* --- Several ------------------------------------------------------------------------ */

#define TEXT_LEN 4000

static void make_text(void)
{
    char text[TEXT_LEN + 1];

    for (size_t i = 0; i < TEXT_LEN; i++)
        text[i] = DIGITS[i % 10];
    text[TEXT_LEN] = '\0';
    tree_write("t.txt", text);
}

static int ask_ranges(const struct files_site *s, const char *ranges)
{
    char fields[2048];

    snprintf(fields, sizeof(fields), "Range: bytes=%s\r\n", ranges);
    struct reply r = files_get(s, "/t.txt", fields);
    int status = reply_status(&r);
    if (status == 200)
        CHECK_EQ(reply_body(&r).len, TEXT_LEN);
    CHECK_EQ(reply_body(&r).len, strtoul(reply_field(&r, "Content-Length").data, NULL, 10));
    free(r.text);
    return status;
}

FilesTest(files_ranges, several_are_parts_of_one_body)
{
    struct files_site s;
    char expected[1024], boundary[64];

    make_text();
    files_start(&s, &(gust_http_files_options){0});
    struct reply r = files_get(&s, "/t.txt", "Range: bytes=0-4, 3995-, 9999-, -1\r\n");
    gust_span type = reply_field(&r, "Content-Type");
    CHECK_EQ(sscanf(type.data, "multipart/byteranges; boundary=%63[0-9a-f]\r", boundary), 1);
    snprintf(expected, sizeof(expected),
             "\r\n--%s\r\nContent-Type: text/plain; charset=utf-8\r\n"
             "Content-Range: bytes 0-4/4000\r\n\r\n01234"
             "\r\n--%s\r\nContent-Type: text/plain; charset=utf-8\r\n"
             "Content-Range: bytes 3995-3999/4000\r\n\r\n56789"
             "\r\n--%s\r\nContent-Type: text/plain; charset=utf-8\r\n"
             "Content-Range: bytes 3999-3999/4000\r\n\r\n9"
             "\r\n--%s--\r\n",
             boundary, boundary, boundary, boundary);
    CHECK_EQ(strtoul(reply_field(&r, "Content-Length").data, NULL, 10), strlen(expected));
    CHECK(reply_field(&r, "ETag").len > 0);
    expect_body(r, "three ranges", 206, expected);
    files_stop(&s);
}

FilesTest(files_ranges, boundaries_are_not_used_twice)
{
    struct files_site s;

    make_text();
    files_start(&s, &(gust_http_files_options){0});
    struct reply a = files_get(&s, "/t.txt", "Range: bytes=0-0,2-2\r\n");
    struct reply b = files_get(&s, "/t.txt", "Range: bytes=0-0,2-2\r\n");
    CHECK(memcmp(reply_field(&a, "Content-Type").data, reply_field(&b, "Content-Type").data, 70));
    free(a.text);
    free(b.text);
    files_stop(&s);
}

/* "0-0,2-2,..." */
static void ranges_of(unsigned count, char *text)
{
    text[0] = '\0';
    for (unsigned i = 0; i < count; i++)
        sprintf(text + strlen(text), "%s%u-%u", i ? "," : "", 2 * i, 2 * i);
}

FilesTest(files_ranges, too_many_are_answered_whole)
{
    struct files_site s;
    char ranges[1024];

    make_text();
    files_start(&s, &(gust_http_files_options){0});
    ranges_of(GUST_HTTP_FILES_RANGES_MAX, ranges);
    CHECK_EQ(ask_ranges(&s, ranges), 206);
    ranges_of(GUST_HTTP_FILES_RANGES_MAX + 1, ranges);
    CHECK_EQ(ask_ranges(&s, ranges), 200);
    files_stop(&s);
}

FilesTest(files_ranges, overlaps_beyond_two_are_answered_whole)
{
    struct files_site s;

    make_text();
    files_start(&s, &(gust_http_files_options){0});
    CHECK_EQ(ask_ranges(&s, "0-9,5-14,10-19"), 206);
    CHECK_EQ(ask_ranges(&s, "0-9,5-14,10-19,15-24"), 200);
    CHECK_EQ(ask_ranges(&s, "0-9,0-9,0-9"), 200);
    CHECK_EQ(ask_ranges(&s, "0-9,10-19,20-29,30-39"), 206); /* they only touch */
    files_stop(&s);
}

/* Each part has a header of its own. */
FilesTest(files_ranges, parts_are_never_longer_than_the_whole)
{
    struct files_site s;

    make_text();
    files_start(&s, &(gust_http_files_options){0});
    CHECK_EQ(ask_ranges(&s, "0-1,3-3500"), 206);
    CHECK_EQ(ask_ranges(&s, "0-1,3-3998"), 200);
    files_stop(&s);
}

/* --- Large ------------------------------------------------------------------------------ */

FilesTest(files_ranges, a_file_may_be_larger_than_four_gib)
{
    const int64_t size = (INT64_C(5) << 30) + 3;
    struct files_site s;

    tree_write("huge", "");
    CHECK_EQ(truncate(in_tree("huge").text, size), 0);
    int fd = open(in_tree("huge").text, O_WRONLY | O_CLOEXEC);
    CHECK_EQ(pwrite(fd, "end", 3, size - 3), 3);
    CHECK_EQ(pwrite(fd, "mid", 3, INT64_C(1) << 32), 3);
    close(fd);
    files_start(&s, &(gust_http_files_options){0});
    get_range(&s, "/huge", "bytes=-3", 206, "bytes 5368709120-5368709122/5368709123", "end");
    get_range(&s, "/huge", "bytes=4294967296-4294967298", 206,
              "bytes 4294967296-4294967298/5368709123", "mid");
    struct reply r = site_request(&s.site, "HEAD", "/huge", "");
    CHECK(span_is(reply_field(&r, "Content-Length"), "5368709123"));
    free(r.text);
    files_stop(&s);
}
