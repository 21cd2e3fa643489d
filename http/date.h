/* The Date field (RFC 9110, 5.6.7), made once a second for the whole process. */
#ifndef GUST_HTTP_DATE_H
#define GUST_HTTP_DATE_H

#include <stdint.h>
#include <time.h>

/* "Sun, 06 Nov 1994 08:49:37 GMT", without a NUL. */
#define HTTP_DATE_LEN 29

/* Writes `when` in that form.  For times from 1970 to 9999. */
void gust__http_date_format(time_t when, char text[HTTP_DATE_LEN]);

/* Writes the current time in that form.  Any thread; never blocks. */
void gust__http_date_now(char text[HTTP_DATE_LEN]);

#endif
