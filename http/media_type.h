/* Media types of files. */
#ifndef GUST_HTTP_MEDIA_TYPE_H
#define GUST_HTTP_MEDIA_TYPE_H

#include <gust/http_files.h>

/* The longest extension that a type is looked up for. */
#define EXTENSION_MAX 15

/* The type of the name's extension in a table that is sorted by extensions, or NULL. */
const char *gust__http_type_find(const gust_http_type *types, size_t count, const char *name);

/* True of types whose content usually becomes much shorter: text, and what is written like
 * text.  Parameters do not count. */
bool gust__http_type_compresses(gust_span type);

#endif
