/* Dates, entity tags and lists of them: the input is each of the fields. */
#include "tests/fuzz/targets.h"

#include <gust/http_conditions.h>

static void check_date(gust_span input)
{
    char text[GUST_HTTP_DATE_SIZE];
    int64_t seconds, again;

    if (gust_http_date_parse(input, &seconds) < 0 || gust_http_date_format(seconds, text) < 0)
        return;
    EXPECT(gust_http_date_parse((gust_span){text, strlen(text)}, &again) == 0);
    EXPECT(again == seconds);
}

static void check_etag(gust_span input)
{
    bool valid = gust_http_etag_valid(input);

    EXPECT(gust_http_etag_weak_equal(input, input) == valid);
    EXPECT(valid || !gust_http_etag_strong_equal(input, input));
}

void fuzz_conditions(gust_span input)
{
    const gust_http_version version = {
        .exists = true, .etag = {"\"x\"", 3}, .has_modified = true, .modified_s = 784111777};
    gust_http_conditions fields[] = {
        {.if_match = input},
        {.is_get = true, .if_none_match = input, .range = input, .if_range = input},
        {.is_get = true, .if_modified_since = input},
        {.if_unmodified_since = input},
    };

    check_date(input);
    check_etag(input);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        int status = gust_http_conditions_eval(&fields[i], &version);
        EXPECT(status == 200 || status == 304 || status == 412);
        gust_http_conditions_range(&fields[i], &version);
    }
}
