/* The fields of a head that was accepted. */
#ifndef GUST_TESTS_FUZZ_FIELDS_H
#define GUST_TESTS_FUZZ_FIELDS_H

#include "http/syntax.h"
#include "tests/fuzz/targets.h"

/* Checks each; returns how many there are. */
static inline unsigned check_fields(gust_span block)
{
    gust_http_field field;
    size_t cursor = 0;
    unsigned count = 0;

    while (gust__http_fields_next(block.data, block.len, &cursor, &field)) {
        EXPECT(field.name.len > 0 && span_inside(field.name, block));
        EXPECT(span_inside(field.value, block) && gust__http_value_valid(field.value));
        count++;
    }
    return count;
}

#endif
