/* multipart/form-data from a source that delivers as it likes: whole, in pieces of every
 * size, byte by byte. */
#include "http/multipart.h"
#include "tests/harness/test.h"

#include <stdio.h>
#include <stdlib.h>

/* --- Source ----------------------------------------------------------------- */

struct source {
    const char *text;
    size_t len;
    size_t at;
    size_t step; /* bytes per read */
    int error;   /* in place of the end */
};

static ssize_t source_read(void *arg, void *buf, size_t len)
{
    struct source *s = arg;
    size_t n = s->len - s->at;

    n = n < s->step ? n : s->step;
    n = n < len ? n : len;
    cr_assert_gt(len, 0);
    if (n == 0)
        return s->error;
    memcpy(buf, s->text + s->at, n);
    s->at += n;
    return (ssize_t)n;
}

static gust_span span(const char *text)
{
    return (gust_span){text, strlen(text)};
}

static bool same(gust_span s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

/* Every part as "name|filename|type|content;", into `out`; the last result. */
static int read_parts(struct source *source, const gust_http_multipart_options *options,
                      size_t piece_max, char *out)
{
    gust_http_multipart *mp;
    gust_http_part part;
    char buf[64];
    ssize_t n = 0;

    *out = '\0';
    int r = gust__http_multipart_new(span("multipart/form-data; boundary=b-1"), options,
                                     source_read, source, &mp);
    cr_assert_eq(r, 0);
    cr_assert_eq(gust_http_part_read(mp, buf, sizeof(buf)), 0);
    while ((r = gust_http_multipart_next(mp, &part)) > 0) {
        out += sprintf(out, "%.*s|%.*s|%.*s|", (int)part.name.len, part.name.data,
                       (int)part.filename.len, part.filename.data, (int)part.content_type.len,
                       part.content_type.data);
        while ((n = gust_http_part_read(mp, buf, piece_max)) > 0) {
            memcpy(out, buf, (size_t)n);
            out += n;
        }
        if (n < 0)
            break;
        cr_assert_eq(gust_http_part_read(mp, buf, piece_max), 0);
        out += sprintf(out, ";");
    }
    if (n == 0)
        cr_assert_eq(gust_http_part_read(mp, buf, 1), r);
    r = n < 0 ? (int)n : r;
    cr_assert_eq(gust_http_multipart_next(mp, &part), r);
    gust_http_multipart_free(mp);
    return r;
}

static int read_text(const char *text, size_t step, char *out)
{
    struct source source = {.text = text, .len = strlen(text), .step = step};
    return read_parts(&source, NULL, 7, out);
}

/* --- What is read ------------------------------------------------------------- */

#define NAMED(name) "Content-Disposition: form-data; name=\"" name "\"\r\n\r\n"

static const struct {
    const char *name;
    const char *text;
    const char *expected;
} good[] = {
    {"two fields", "--b-1\r\n" NAMED("a") "1\r\n--b-1\r\n" NAMED("b") "2\r\n--b-1--\r\n",
     "a|||1;b|||2;"},
    {"no part", "--b-1--\r\n", ""},
    {"no line end at the end", "--b-1\r\n" NAMED("a") "1\r\n--b-1--", "a|||1;"},
    {"preamble and epilogue",
     "This is the preamble.\r\n--b-1\r\n" NAMED("a") "1\r\n--b-1--\r\nepilogue\r\n--b-1\r\n",
     "a|||1;"},
    {"padding", "--b-1 \t \r\n" NAMED("a") "1\r\n--b-1--  \r\n", "a|||1;"},
    {"empty content", "--b-1\r\n" NAMED("a") "\r\n--b-1\r\n" NAMED("b") "\r\n--b-1--",
     "a|||;b|||;"},
    {"one empty line for the content", "--b-1\r\n" NAMED("a") "--b-1\r\n" NAMED("b") "--b-1--",
     "a|||;b|||;"},
    {"file",
     "--b-1\r\ncontent-disposition: Form-Data; Name=f; filename=\"x y.txt\"\r\n"
     "Content-Type: text/plain; charset=utf-8\r\nX: y\r\n\r\nhello\r\n--b-1--\r\n",
     "f|x y.txt|text/plain; charset=utf-8|hello;"},
    {"directories and escapes",
     "--b-1\r\nContent-Disposition: form-data; name=\"a\\\"b\\\\\"; "
     "filename=\"C:\\dir\\f.txt\"\r\n\r\n"
     "\r\n--b-1\r\nContent-Disposition: form-data; name=c; filename=\"../../etc/passwd\"\r\n\r\n"
     "\r\n--b-1\r\nContent-Disposition: form-data; name=d; filename=\"..\"\r\n\r\n"
     "\r\n--b-1--\r\n",
     "a\"b\\|f.txt||;c|passwd||;d|||;"},
    {"what is nearly a boundary",
     "--b-1\r\n" NAMED("a") "\r\n\r--b-1\n--b-1\r\n-b-1\r\n--b-\r\n--b-2\r\n\r\n\r\n--b-1--\r\n",
     "a|||\r\n\r--b-1\n--b-1\r\n-b-1\r\n--b-\r\n--b-2\r\n\r\n;"},
};

Test(multipart, reads_the_same_in_pieces_of_every_size)
{
    char out[1024];

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        for (size_t step = 1; step <= strlen(good[i].text); step++) {
            cr_assert_eq(read_text(good[i].text, step, out), 0, "%s by %zu", good[i].name, step);
            cr_assert_str_eq(out, good[i].expected, "%s by %zu", good[i].name, step);
        }
}

static const struct {
    const char *name;
    const char *text;
} bad[] = {
    {"nothing", ""},
    {"no boundary", "hello"},
    {"line ends in LF", "--b-1\n" NAMED("a") "1\r\n--b-1--\r\n"},
    {"more behind the boundary", "--b-1\r\n" NAMED("a") "1\r\n--b-1x\r\n--b-1--\r\n"},
    {"more behind the last boundary", "--b-1\r\n" NAMED("a") "1\r\n--b-1--x"},
    {"one dash behind the boundary", "--b-1\r\n" NAMED("a") "1\r\n--b-1-\r\n"},
    {"CR alone behind the boundary", "--b-1\r" NAMED("a") "1\r\n--b-1--\r\n"},
    {"CR alone at the end", "--b-1\r\n" NAMED("a") "1\r\n--b-1--\r"},
    {"cut in the content", "--b-1\r\n" NAMED("a") "1\r\n--b-1"},
    {"cut in the header", "--b-1\r\nContent-Disposition: form-data; name=a\r\n"},
    {"cut after the header", "--b-1\r\n" NAMED("a")},
    {"no header", "--b-1\r\n\r\n1\r\n--b-1--\r\n"},
    {"no empty line", "--b-1\r\nContent-Disposition: form-data; name=a\r\n--b-1--\r\n"},
    {"no disposition", "--b-1\r\nContent-Type: text/plain\r\n\r\n1\r\n--b-1--\r\n"},
    {"other disposition", "--b-1\r\nContent-Disposition: file; name=a\r\n\r\n1\r\n--b-1--\r\n"},
    {"no name", "--b-1\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b-1--\r\n"},
    {"two names",
     "--b-1\r\nContent-Disposition: form-data; name=a; name=b\r\n\r\n1\r\n--b-1--\r\n"},
    {"two file names",
     "--b-1\r\nContent-Disposition: form-data; name=a; filename=b; filename=c\r\n\r\n1\r\n--b-1--"},
    {"open quote", "--b-1\r\nContent-Disposition: form-data; name=\"a\r\n\r\n1\r\n--b-1--\r\n"},
    {"two dispositions",
     "--b-1\r\nContent-Disposition: form-data; name=a\r\n" NAMED("b") "1\r\n--b-1--\r\n"},
    {"two types",
     "--b-1\r\nContent-Type: a/b\r\nContent-Type: a/c\r\n" NAMED("b") "1\r\n--b-1--\r\n"},
    {"folded field", "--b-1\r\nContent-Disposition: form-data;\r\n name=a\r\n\r\n1\r\n--b-1--"},
    {"control byte in a field", "--b-1\r\nX: \001\r\n" NAMED("a") "1\r\n--b-1--\r\n"},
    {"space before the colon", "--b-1\r\nX : y\r\n" NAMED("a") "1\r\n--b-1--\r\n"},
};

Test(multipart, refuses_what_is_malformed)
{
    char out[1024];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        for (size_t step = 1; step <= strlen(bad[i].text) + 1; step++)
            cr_assert_eq(read_text(bad[i].text, step, out), -EBADMSG, "%s by %zu", bad[i].name,
                         step);
}

/* --- Boundaries ---------------------------------------------------------------- */

#define SEVENTY "1234567890123456789012345678901234567890123456789012345678901234567890"

static const struct {
    const char *content_type;
    int result;
} types[] = {
    {"multipart/form-data; boundary=x", 0},
    {"Multipart/Form-Data;boundary=\"a '()+_,-./:=?b\" ; charset=utf-8;", 0},
    {"multipart/form-data; boundary=" SEVENTY, 0},
    {"multipart/form-data; boundary=" SEVENTY "1", -EBADMSG},
    {"multipart/form-data", -EBADMSG},
    {"multipart/form-data; boundary=", -EBADMSG},
    {"multipart/form-data; boundary=\"\"", -EBADMSG},
    {"multipart/form-data; boundary=\"x \"", -EBADMSG},
    {"multipart/form-data; boundary=\"x\\\"\"", -EBADMSG},
    {"multipart/form-data; boundary=x*", -EBADMSG},
    {"multipart/form-data; boundary=x; boundary=y", -EBADMSG},
    {"multipart/form-data; boundary=x y", -EBADMSG},
    {"multipart/form-data boundary=x", -ENOTSUP},
    {"multipart/mixed; boundary=x", -ENOTSUP},
    {"", -ENOTSUP},
};

Test(multipart, boundaries_are_those_of_rfc_2046)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        gust_http_multipart *mp = NULL;
        int r = gust__http_multipart_new(span(types[i].content_type), NULL, source_read, NULL, &mp);
        cr_assert_eq(r, types[i].result, "%s", types[i].content_type);
        cr_assert_eq(!mp, r < 0);
        gust_http_multipart_free(mp);
    }
}

/* --- Limits --------------------------------------------------------------------- */

Test(multipart, the_number_of_parts_is_bounded)
{
    const char text[] = "--b-1\r\n" NAMED("a") "1\r\n--b-1\r\n" NAMED("b") "2\r\n--b-1--\r\n";
    char out[256];

    for (unsigned max = 1; max <= 2; max++) {
        struct source source = {.text = text, .len = sizeof(text) - 1, .step = 5};
        cr_assert_eq(read_parts(&source, &(gust_http_multipart_options){.parts_max = max}, 7, out),
                     max == 1 ? -EMSGSIZE : 0);
    }
}

Test(multipart, the_header_of_a_part_is_bounded)
{
    const char text[] = "--b-1\r\n" NAMED("a") "1\r\n--b-1--\r\n";
    size_t header = strlen(NAMED("a"));
    char out[256];

    for (size_t step = 1; step < sizeof(text); step++)
        for (size_t max = 1; max <= header; max++) {
            struct source source = {.text = text, .len = sizeof(text) - 1, .step = step};
            const gust_http_multipart_options o = {.part_header_bytes_max = max};
            cr_assert_eq(read_parts(&source, &o, 7, out), max < header ? -EMSGSIZE : 0, "%zu", max);
        }
    gust_http_multipart *mp;
    const gust_http_multipart_options o = {.part_header_bytes_max = 65537};
    cr_assert_eq(gust__http_multipart_new(span("multipart/form-data; boundary=b"), &o, source_read,
                                          NULL, &mp),
                 -EINVAL);
}

Test(multipart, padding_is_bounded)
{
    char text[1024], out[256];

    for (int padding = 128; padding <= 129; padding++) {
        sprintf(text, "--b-1%*s\r\n" NAMED("a") "1\r\n--b-1--", padding, "");
        cr_assert_eq(read_text(text, 1000, out), padding == 128 ? 0 : -EBADMSG);
    }
}

Test(multipart, an_error_of_the_source_is_passed_on)
{
    const char text[] = "--b-1\r\n" NAMED("a") "1\r\n--b-1--\r\nepilogue";
    char out[256];

    for (size_t len = 0; len < sizeof(text); len++) {
        struct source source = {.text = text, .len = len, .step = 3, .error = -ETIMEDOUT};
        cr_assert_eq(read_parts(&source, NULL, 7, out), -ETIMEDOUT, "%zu", len);
    }
}

/* --- More than a window ------------------------------------------------------------ */

#define LARGE 200000

/* Content full of what could begin a delimiter, which stands at every place of a window
 * in turn. */
Test(multipart, large_parts_pass_through)
{
    static char text[LARGE + 512];
    static const char half[] = "\r\n--b-\r";
    gust_http_multipart *mp;
    gust_http_part part;
    gust_span piece;
    ssize_t n;

    for (size_t size = LARGE; size < LARGE + 100; size++) {
        size_t at = (size_t)sprintf(text, "--b-1\r\n" NAMED("a"));
        size_t begin = at;
        for (size_t i = 0; i < size; i++)
            text[at++] = half[i % (sizeof(half) - 1)];
        at += (size_t)sprintf(text + at, "\r\n--b-1--");
        struct source source = {.text = text, .len = at, .step = 20000};
        gust__http_multipart_new(span("multipart/form-data; boundary=b-1"), NULL, source_read,
                                 &source, &mp);
        cr_assert_eq(gust_http_multipart_next(mp, &part), 1);
        size_t total = 0;
        while ((n = gust_http_part_next(mp, &piece)) > 0) {
            cr_assert_eq(memcmp(piece.data, text + begin + total, piece.len), 0);
            total += piece.len;
        }
        cr_assert_eq(n, 0);
        cr_assert_eq(total, size);
        cr_assert_eq(gust_http_multipart_next(mp, &part), 0);
        gust_http_multipart_free(mp);
    }
}

Test(multipart, what_was_not_read_is_skipped)
{
    const char text[] =
        "--b-1\r\n" NAMED("a") "12345\r\n--b-1\r\nX-Sum: 7\r\n" NAMED("b") "678\r\n--b-1--\r\n";
    struct source source = {.text = text, .len = sizeof(text) - 1, .step = 9};
    gust_http_multipart *mp;
    gust_http_part part;
    char *data;
    size_t len;
    char byte;

    gust__http_multipart_new(span("multipart/form-data; boundary=b-1"), NULL, source_read, &source,
                             &mp);
    cr_assert_eq(gust_http_multipart_next(mp, &part), 1);
    cr_assert_eq(gust_http_part_read(mp, &byte, 1), 1);
    cr_assert_null(gust_http_part_header(mp, "X-Sum").data);
    cr_assert_eq(gust_http_multipart_next(mp, &part), 1);
    cr_assert(same(part.name, "b"));
    cr_assert(same(gust_http_part_header(mp, "x-sum"), "7"));
    cr_assert_eq(gust_http_part_read_all(mp, 3, &data, &len), 0);
    cr_assert_eq(len, 3);
    cr_assert_str_eq(data, "678");
    free(data);
    cr_assert_eq(gust_http_multipart_next(mp, &part), 0);
    gust_http_multipart_free(mp);
}
