/* Which bytes are escaped in HTML, and that all others stay, against a guard page. */
#include "http/html.h"
#include "tests/http/guard.h"

/* The pieces in a row. */
static const char *escaped(struct guard *g, const char *bytes, size_t len, char ret_html[128])
{
    gust_span text = {guard_put(g, bytes, len), len}, piece;
    size_t at = 0;

    while (gust__http_html_next(&text, &piece)) {
        cr_assert_gt(piece.len, 0);
        memcpy(ret_html + at, piece.data, piece.len);
        at += piece.len;
    }
    cr_assert_eq(text.len, 0);
    ret_html[at] = '\0';
    return ret_html;
}

Test(html, what_means_something_is_escaped)
{
    static const struct {
        const char *text, *html;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"&", "&amp;"},
        {"&amp;", "&amp;amp;"},
        {"<a href='x'>", "&lt;a href=&#39;x&#39;&gt;"},
        {"a\"b", "a&quot;b"},
        {"\"\"", "&quot;&quot;"},
        {"a&", "a&amp;"},
        {"\xc3\xa9<", "\xc3\xa9&lt;"},
    };
    struct guard g = guard_new(64);
    char html[128];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_assert_str_eq(escaped(&g, cases[i].text, strlen(cases[i].text), html), cases[i].html);
    guard_free(&g);
}

Test(html, every_other_byte_stands_for_itself)
{
    struct guard g = guard_new(64);
    char html[128];

    for (unsigned byte = 0; byte < 256; byte++) {
        char c = (char)byte;
        if (byte != 0 && strchr("&<>\"'", c))
            continue;
        escaped(&g, &c, 1, html);
        cr_assert_eq(html[0], c);
        cr_assert_eq(html[1], '\0');
    }
    guard_free(&g);
}
