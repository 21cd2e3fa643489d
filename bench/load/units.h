/* Numbers with units, for people: read and written. */
#ifndef GUST_LOAD_UNITS_H
#define GUST_LOAD_UNITS_H

#include <gust/base.h>

#define UNITS_TEXT_MAX 32

/* "1.23 ms": three digits, or four before the point.  Returns `text`. */
char *units_time(int64_t ns, char text[UNITS_TEXT_MAX]);

/* "1.23 MiB". */
char *units_bytes(double bytes, char text[UNITS_TEXT_MAX]);

/* "1 234 567". */
char *units_count(uint64_t n, char text[UNITS_TEXT_MAX]);

/* "10", "1.5s", "200ms", "50us", "2m", "1h" into nanoseconds, without a unit seconds.  False if
 * it is none, negative, or above `max_ns`. */
bool units_read_time(const char *text, int64_t max_ns, int64_t *ret_ns);

/* "64", "16k", "2m", "1g", in powers of 1024. */
bool units_read_size(const char *text, uint64_t max, uint64_t *ret_size);

#endif
