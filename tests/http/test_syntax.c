/* Bytes, numbers, hosts and lines, against a guard page. */
#include "http/syntax.h"
#include "tests/http/guard.h"

static bool value_byte(unsigned byte)
{
    return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
}

/* Every byte at every place of values around the word size. */
Test(syntax, values_have_no_control_bytes)
{
    struct guard g = guard_new(64);
    char text[20];

    for (size_t len = 1; len <= sizeof(text); len++)
        for (size_t at = 0; at < len; at++)
            for (unsigned byte = 0; byte < 256; byte++) {
                memset(text, at % 2 ? ' ' : '~', len);
                text[at] = (char)byte;
                gust_span s = {guard_put(&g, text, len), len};
                cr_assert_eq(gust__http_value_valid(s), value_byte(byte), "%u at %zu of %zu", byte,
                             at, len);
            }
    guard_free(&g);
}

Test(syntax, hexadecimal_digits_are_read_as_they_are_written)
{
    char digits[2];

    for (unsigned byte = 0; byte < 256; byte++) {
        cr_assert_eq(hex_put(digits, (uint8_t)byte), digits + 2);
        cr_assert_eq((unsigned)(hex_value(digits[0]) * 16 + hex_value(digits[1])), byte);
    }
    hex_put(digits, 0xaf);
    cr_assert_eq(memcmp(digits, "AF", 2), 0);
    cr_assert_eq(hex_value('f'), 15);
    for (unsigned c = 0; c < 256; c++)
        cr_assert_eq(hex_value((char)c) >= 0, c != 0 && strchr("0123456789abcdefABCDEF", (int)c));
}

Test(syntax, tokens_are_those_of_rfc_9110)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789"
                                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    for (unsigned byte = 1; byte < 256; byte++)
        cr_assert_eq(!(gust__http_chars[byte] & CH_TOKEN), !strchr(token, (int)byte), "%u", byte);
    cr_assert_eq(gust__http_chars[0], 0);
}

static bool number(const char *text, uint64_t *ret_value)
{
    return gust__http_number((gust_span){text, strlen(text)}, ret_value);
}

Test(syntax, numbers_are_digits_up_to_int64_max)
{
    uint64_t value = 7;

    cr_assert(number("0", &value) && value == 0);
    cr_assert(number("0042", &value) && value == 42);
    cr_assert(number("9223372036854775807", &value) && value == INT64_MAX);
    value = 7;
    cr_assert_not(number("9223372036854775808", &value));
    cr_assert_not(number("99999999999999999999", &value));
    cr_assert_not(number("", &value));
    cr_assert_not(number("+1", &value));
    cr_assert_not(number("1 ", &value));
    cr_assert_eq(value, 7);
}

static enum http_line lines_of(const char *text, size_t *ret_count)
{
    struct http_lines lines = {0};
    gust_span line;
    enum http_line r;

    *ret_count = 0;
    while ((r = gust__http_line_next(&lines, text, strlen(text), &line)) == LINE_OK)
        ++*ret_count;
    return r;
}

Test(syntax, lines_end_in_crlf)
{
    size_t count;

    cr_assert_eq(lines_of("", &count), LINE_MORE);
    cr_assert_eq(lines_of("a\r\n\r\nb\r", &count), LINE_MORE);
    cr_assert_eq(count, 2);
    cr_assert_eq(lines_of("a\r\n\n", &count), LINE_BAD);
    cr_assert_eq(count, 1);
    cr_assert_eq(lines_of("a\n", &count), LINE_BAD);
}

/* Its elements, each behind a '|'.  The list lies against an unreadable page. */
static const char *elements_of(struct guard *g, const char *text, char ret_elements[64])
{
    gust_span list = {guard_put(g, text, strlen(text)), strlen(text)};
    gust_span element;
    size_t at = 0;

    while (gust__http_list_next(&list, &element)) {
        ret_elements[at++] = '|';
        memcpy(ret_elements + at, element.data, element.len);
        at += element.len;
    }
    ret_elements[at] = '\0';
    return ret_elements;
}

Test(syntax, elements_of_a_list_are_between_commas)
{
    static const struct {
        const char *list, *elements;
    } cases[] = {
        {"", ""},
        {" ", ""},
        {",", ""},
        {" ,\t, ,", ""},
        {"a", "|a"},
        {"a,b", "|a|b"},
        {"\ta b ,, c\t,", "|a b|c"},
        {"a=\"b,c\",d", "|a=\"b,c\"|d"},
        {"a=\"b\\\",c\",d", "|a=\"b\\\",c\"|d"},
        {"a=\"b\\\\\",d", "|a=\"b\\\\\"|d"},
        {"a\\,b", "|a\\|b"},
        {"\"a,b", "|\"a,b"},
        {"\"a\\", "|\"a\\"},
        {"\"", "|\""},
    };
    struct guard g = guard_new(64);
    char elements[64];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_assert_str_eq(elements_of(&g, cases[i].list, elements), cases[i].elements);
    guard_free(&g);
}

static bool list_has(const char *list, const char *name)
{
    return gust__http_list_has((gust_span){list, strlen(list)}, name, strlen(name));
}

Test(syntax, a_list_has_whole_elements_of_any_case)
{
    cr_assert(list_has("keep-alive, Upgrade", "upgrade"));
    cr_assert(list_has("upgrade", "Upgrade"));
    cr_assert_not(list_has("upgrades, up", "upgrade"));
    cr_assert_not(list_has("private=\"a, no-transform\"", "no-transform"));
    cr_assert_not(list_has("", "a"));
    cr_assert_not(list_has(",,", ""));
}
