/* Text inside of HTML. */
#ifndef GUST_HTTP_HTML_H
#define GUST_HTTP_HTML_H

#include <gust/http.h>

/* Takes the next piece of HTML off the start of the text: bytes that stand for
 * themselves, or one that is escaped, so that it means nothing in content and in quoted
 * attributes.  False at the end.  Pure. */
bool gust__http_html_next(gust_span *text, gust_span *ret_piece);

/* Writes the text escaped.  Errors: those of gust_http_write. */
int gust__http_html_write(gust_http_response *res, gust_span text);

#endif
