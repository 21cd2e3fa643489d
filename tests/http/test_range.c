/* Range fields, against a guard page. */
#include "tests/http/guard.h"

#include <gust/http_conditions.h>

#include <stdio.h>

#define IGNORED "ignored"
#define OUTSIDE "416"

static const struct {
    uint64_t length;
    const char *field;
    const char *expected; /* at+len, ... */
} fields[] = {
    /* RFC 9110, 14.1.2. */
    {10000, "bytes=0-499", "0+500 "},
    {10000, "bytes=500-999", "500+500 "},
    {10000, "bytes=-500", "9500+500 "},
    {10000, "bytes=9500-", "9500+500 "},
    {10000, "bytes=0-0,-1", "0+1 9999+1 "},
    {10000, "bytes= 0-999, 4500-5499, -1000", "0+1000 4500+1000 9000+1000 "},
    {10000, "bytes=500-600,601-999", "500+101 601+399 "},
    {10000, "bytes=500-700,601-999", "500+201 601+399 "},

    {10, "BYTES=0-", "0+10 "},
    {10, "bytes=0-99", "0+10 "},
    {10, "bytes=9-9", "9+1 "},
    {10, "bytes=-99", "0+10 "},
    {10, "bytes=,, 1-2 ,\t,3-4,", "1+2 3+2 "},
    {10, "bytes=10-20,5-6,99-", "5+2 "},
    {10, "bytes=0-18446744073709551615", "0+10 "},
    {10, "bytes=0-99999999999999999999999", "0+10 "},
    {10, "bytes=-99999999999999999999999", "0+10 "},
    {10, "bytes=000000000000000000000000001-2", "1+2 "},
    {UINT64_MAX, "bytes=18446744073709551613-", "18446744073709551613+2 "},

    {10, "bytes=10-", OUTSIDE},
    {10, "bytes=10-20,-0", OUTSIDE},
    {10, "bytes=-0", OUTSIDE},
    {10, "bytes=99999999999999999999999-", OUTSIDE},
    {10, "bytes=20000000000000000000-99999999999999999999", OUTSIDE},

    {0, "bytes=0-", IGNORED},
    {0, "bytes=-1", IGNORED},
    {10, "", IGNORED},
    {10, "bytes", IGNORED},
    {10, "bytes=", IGNORED},
    {10, "bytes=,", IGNORED},
    {10, "bytes =0-1", IGNORED},
    {10, "lines=0-1", IGNORED},
    {10, "bytes=-", IGNORED},
    {10, "bytes=--1", IGNORED},
    {10, "bytes=+1-2", IGNORED},
    {10, "bytes=1", IGNORED},
    {10, "bytes=2-1", IGNORED},
    {10, "bytes=1 -2", IGNORED},
    {10, "bytes=1- 2", IGNORED},
    {10, "bytes=1-2x", IGNORED},
    {10, "bytes=1-2-3", IGNORED},
    {10, "bytes=0x1-2", IGNORED},
    {10, "bytes=0-1;1-2", IGNORED},
    {10, "bytes=0-1,x", IGNORED},
    {10, "bytes=0-,0-", IGNORED},               /* more than there is */
    {10, "bytes=0-5,0-5", IGNORED},             /* more than there is */
    {10, "bytes=0-0,1-1,2-2,3-3,4-4", IGNORED}, /* one range too many */
};

Test(range, reads_those_of_rfc_9110)
{
    struct guard g = guard_new(64);
    gust_http_range ranges[4];

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        size_t len = strlen(fields[i].field);
        gust_span field = {guard_put(&g, fields[i].field, len), len};
        char out[128] = IGNORED, *p = out;
        int n = gust_http_ranges(field, fields[i].length, ranges, 4);
        if (n < 0) {
            cr_assert_eq(n, -ERANGE, "%s", fields[i].field);
            strcpy(out, OUTSIDE);
        }
        for (int k = 0; k < n; k++)
            p += sprintf(p, "%llu+%llu ", (unsigned long long)ranges[k].at,
                         (unsigned long long)ranges[k].len);
        cr_assert_str_eq(out, fields[i].expected, "%s: %s", fields[i].field, out);
    }
    guard_free(&g);
}
