/* Content codings that clients take. */
#include "http/accept_encoding.h"
#include "tests/http/guard.h"
#include "tests/http/site.h"

/* The order for what there is: b(r), g(zip), i(dentity). */
static const struct {
    const char *field;
    const char *order;
} cases[] = {
    /* RFC 9110, 12.5.3. */
    {"compress, gzip", "gi"},
    {"", "i"},
    {"*", "bgi"},
    {"compress;q=0.5, gzip;q=1.0", "gi"},
    {"gzip;q=1.0, identity; q=0.5, *;q=0", "gi"},

    {"gzip, deflate, br", "bgi"},
    {"gzip, deflate, br, zstd", "bgi"},
    {"gzip;q=1.0, br;q=0.9", "gbi"},
    {"gzip;q=0.001", "gi"},
    {"br;q=0, gzip", "gi"},
    {"br;q=0, *", "gi"},
    {"GZIP", "gi"},
    {"x-gzip", "gi"},
    {"gzip , br", "bgi"},
    {"\tgzip;q=0.5\t,,br ;\tq=0.4,", "gbi"},
    {"gzip;Q=1", "gi"},
    {"gzip;q=1.", "gi"},
    {"gzip;q=1.000", "gi"},
    {"gzip;q=0.000", "i"},

    /* Identity. */
    {"identity", "i"},
    {"identity;q=0", ""},
    {"identity;q=0, gzip", "g"},
    {"*;q=0", ""},
    {"*;q=0, gzip", "g"},
    {"*;q=0, identity", "i"},
    {"gzip;q=0.5, identity", "ig"},
    {"gzip;q=0.5, identity;q=0.5", "gi"},
    {"*;q=0.5, identity;q=0.1", "bgi"},

    /* Twice: the first one counts. */
    {"gzip;q=0, gzip", "i"},
    {"gzip, gzip;q=0", "gi"},

    /* Malformed members are as if they were not there. */
    {"gzip;q=1.001", "i"},
    {"gzip;q=2", "i"},
    {"gzip;q=-1", "i"},
    {"gzip;q=0.1234", "i"},
    {"gzip;q=", "i"},
    {"gzip;q=x, br", "bi"},
    {"gzip;level=1", "i"},
    {"gzip;", "gi"},
    {"gzip;;q=1", "i"},
    {"gzipped", "i"},
    {"gz ip", "i"},
    {";q=1", "i"},
    {"**", "i"},
};

static void order(const struct http_accept *a, unsigned offered, char text[CODINGS + 1])
{
    enum http_coding codings[CODINGS];
    unsigned count = gust__http_accept_order(a, offered, codings);

    for (unsigned i = 0; i < count; i++)
        text[i] = "bgi"[codings[i]];
    text[count] = '\0';
}

Test(accept_encoding, fields_say_what_is_preferred)
{
    struct guard g = guard_new(256);
    struct http_accept a;
    char text[CODINGS + 1];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t len = strlen(cases[i].field);
        gust__http_accept_init(&a);
        gust__http_accept_add(&a, (gust_span){guard_put(&g, cases[i].field, len), len});
        order(&a, 7, text);
        cr_assert_str_eq(text, cases[i].order, "'%s': %s", cases[i].field, text);
        cr_assert_eq(gust__http_accept_identity(&a), strchr(text, 'i') != NULL);
    }
    guard_free(&g);
}

Test(accept_encoding, only_what_is_offered_is_chosen)
{
    struct http_accept a;
    char text[CODINGS + 1];

    gust__http_accept_init(&a);
    gust__http_accept_add(&a, (gust_span){"gzip, br", 8});
    order(&a, 1U << CODING_GZIP | 1U << CODING_IDENTITY, text);
    cr_assert_str_eq(text, "gi");
    order(&a, 1U << CODING_IDENTITY, text);
    cr_assert_str_eq(text, "i");
    order(&a, 0, text);
    cr_assert_str_eq(text, "");
}

Test(accept_encoding, several_fields_are_one_list)
{
    struct http_accept a;
    char text[CODINGS + 1];

    gust__http_accept_init(&a);
    gust__http_accept_add(&a, (gust_span){"gzip;q=0.5", 10});
    gust__http_accept_add(&a, (gust_span){"br", 2});
    order(&a, 7, text);
    cr_assert_str_eq(text, "bgi");
}

Test(accept_encoding, names_are_those_of_the_registry)
{
    cr_assert_str_eq(gust__http_coding_name(CODING_BR), "br");
    cr_assert_str_eq(gust__http_coding_name(CODING_GZIP), "gzip");
    cr_assert_str_eq(gust__http_coding_name(CODING_IDENTITY), "identity");
}
