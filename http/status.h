/* Status lines, ready to send. */
#ifndef GUST_HTTP_STATUS_H
#define GUST_HTTP_STATUS_H

#include <gust/base.h>

/* Room for every status line, with its CRLF. */
#define STATUS_LINE_MAX 48

/* Writes "HTTP/1.1 404 Not Found\r\n" and returns its length.  A code without a
 * name has an empty reason.  For codes from 100 to 999. */
size_t gust__http_status_line(int status, char line[STATUS_LINE_MAX]);

/* "Not Found"; empty for a code without a name. */
gust_span gust__http_reason(int status);

#endif
