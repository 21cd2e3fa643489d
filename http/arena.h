/* Memory that lives as long as a request: taken piece by piece, released at once.
 *
 * An arena that nothing was taken from owns no memory. */
#ifndef GUST_HTTP_ARENA_H
#define GUST_HTTP_ARENA_H

#include <stddef.h>

struct arena_chunk;

struct http_arena {
    struct arena_chunk *newest; /* pieces are taken from this one; NULL: none yet */
};

/* Aligned for any type; NULL if memory is refused. */
void *gust__http_arena_take(struct http_arena *arena, size_t size);

/* Releases every piece.  The arena may be used again. */
void gust__http_arena_clear(struct http_arena *arena);

#endif
