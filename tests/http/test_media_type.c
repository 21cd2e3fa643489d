/* Types of files by their names. */
#include "http/media_type.h"
#include "tests/http/site.h"

static const struct {
    const char *name;
    const char *type;
} names[] = {
    {"index.html", "text/html; charset=utf-8"},
    {"INDEX.HTML", "text/html; charset=utf-8"},
    {"css/site.css", "text/css; charset=utf-8"},
    {"app.js", "text/javascript; charset=utf-8"},
    {"app.mjs", "text/javascript; charset=utf-8"},
    {"data.json", "application/json"},
    {"logo.svg", "image/svg+xml"},
    {"photo.JPeG", "image/jpeg"},
    {"a.b.png", "image/png"},
    {"mod.wasm", "application/wasm"},
    {"font.woff2", "font/woff2"},
    {"a.3gp", "video/3gpp"}, /* the first of the table, and the last */
    {"a.zst", "application/zstd"},

    {"README", NULL},
    {"html", NULL},
    {"a.html/b", NULL},
    {"a.unknown", NULL},
    {"a.", NULL},
    {"", NULL},
    {".", NULL},
    {"a.123456789012345", NULL},
    {"a.1234567890123456", NULL}, /* longer than is looked up */
};

Test(media_type, names_have_types_by_their_extensions)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *type = gust_http_file_type(names[i].name);
        cr_assert_eq(!type, !names[i].type, "%s", names[i].name);
        if (type)
            cr_assert_str_eq(type, names[i].type, "%s", names[i].name);
    }
}

Test(media_type, an_extension_may_be_as_long_as_is_said)
{
    const gust_http_type table[] = {{"123456789012345", "a/b"}, {"1234567890123456", "c/d"}};

    cr_assert_str_eq(gust__http_type_find(table, 2, "x.123456789012345"), "a/b");
    cr_assert_null(gust__http_type_find(table, 2, "x.1234567890123456"));
}

Test(media_type, text_compresses_and_pictures_do_not)
{
    static const char *const yes[] = {"text/plain",
                                      "text/html; charset=utf-8",
                                      "TEXT/CSS",
                                      "application/json",
                                      "application/ld+json; profile=x",
                                      "image/svg+xml",
                                      "application/xml",
                                      "application/wasm",
                                      "application/javascript"};
    static const char *const no[] = {"image/png",
                                     "",
                                     "application/octet-stream",
                                     "video/mp4",
                                     "application/gzip",
                                     "font/woff2",
                                     "texts/plain",
                                     "; json"};

    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        cr_assert(gust__http_type_compresses((gust_span){yes[i], strlen(yes[i])}), "%s", yes[i]);
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        cr_assert(!gust__http_type_compresses((gust_span){no[i], strlen(no[i])}), "%s", no[i]);
}
