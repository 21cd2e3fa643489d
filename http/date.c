/* The Date field, made once a second for the whole process. */
#include "http/date.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

/* Howard Hinnant's days-to-civil for dates after 1970; gmtime_r would take the
 * time zone lock of libc. */
static void civil_from_days(unsigned days, unsigned *year, unsigned *month, unsigned *day)
{
    days += 719468; /* from 0000-03-01: leap days end the year */
    unsigned era = days / 146097;
    unsigned doe = days % 146097;
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;

    *day = doy - (153 * mp + 2) / 5 + 1;
    *month = mp < 10 ? mp + 3 : mp - 9;
    *year = yoe + era * 400 + (*month <= 2);
}

static void put_two(char *p, unsigned value)
{
    p[0] = (char)('0' + value / 10);
    p[1] = (char)('0' + value % 10);
}

void gust__http_date_format(time_t when, char text[HTTP_DATE_LEN])
{
    static const char weekdays[] = "ThuFriSatSunMonTueWed"; /* 1970 began on a Thursday */
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    unsigned days = (unsigned)(when / 86400);
    unsigned second = (unsigned)(when % 86400);
    unsigned year, month, day;

    civil_from_days(days, &year, &month, &day);
    memcpy(text, "Thu, 01 Jan 1970 00:00:00 GMT", HTTP_DATE_LEN);
    memcpy(text, weekdays + days % 7 * 3, 3);
    put_two(text + 5, day);
    memcpy(text + 8, months + (month - 1) * 3, 3);
    put_two(text + 12, year / 100);
    put_two(text + 14, year % 100);
    put_two(text + 17, second / 3600);
    put_two(text + 20, second / 60 % 60);
    put_two(text + 23, second % 60);
}

/* A seqlock around the text of one second: readers, one per response, write
 * nothing; the first one in a new second makes the text for the others, who
 * format their own meanwhile rather than wait.
 * Always: `sequence` is odd while a writer is at work. */
#define DATE_WORDS 4

static struct {
    atomic_uint sequence;
    _Atomic int64_t second;
    _Atomic uint64_t words[DATE_WORDS];
} cache;

_Static_assert(HTTP_DATE_LEN <= DATE_WORDS * sizeof(uint64_t), "the text fits its words");

static bool cache_read(int64_t second, char text[HTTP_DATE_LEN])
{
    uint64_t words[DATE_WORDS];

    /* Acquire: pairs with the release of an even number in cache_write, so the
     * words read below are those of this sequence or newer. */
    unsigned before = atomic_load_explicit(&cache.sequence, memory_order_acquire);
    if (before & 1 || atomic_load_explicit(&cache.second, memory_order_acquire) != second)
        return false;
    /* Acquire: keeps the second look at the sequence behind these loads; pairs
     * with the release stores of the words, which show the odd number first. */
    for (int i = 0; i < DATE_WORDS; i++)
        words[i] = atomic_load_explicit(&cache.words[i], memory_order_acquire);
    memcpy(text, words, HTTP_DATE_LEN);
    return atomic_load_explicit(&cache.sequence, memory_order_relaxed) == before;
}

static void cache_write(int64_t second, const char text[HTTP_DATE_LEN])
{
    uint64_t words[DATE_WORDS] = {0};
    unsigned before = atomic_load_explicit(&cache.sequence, memory_order_relaxed);

    memcpy(words, text, HTTP_DATE_LEN);
    /* Whoever makes the number odd is the one writer; the others leave it. */
    if (before & 1 ||
        !atomic_compare_exchange_strong_explicit(&cache.sequence, &before, before + 1,
                                                 memory_order_acquire, memory_order_relaxed))
        return;
    /* Release: a reader that sees one of these sees the odd number. */
    atomic_store_explicit(&cache.second, second, memory_order_release);
    for (int i = 0; i < DATE_WORDS; i++)
        atomic_store_explicit(&cache.words[i], words[i], memory_order_release);
    /* Release: publishes the text; pairs with the first load in cache_read. */
    atomic_store_explicit(&cache.sequence, before + 2, memory_order_release);
}

void gust__http_date_now(char text[HTTP_DATE_LEN])
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (cache_read(now.tv_sec, text))
        return;
    gust__http_date_format(now.tv_sec, text);
    cache_write(now.tv_sec, text);
}
