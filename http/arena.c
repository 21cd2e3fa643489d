/* Memory that lives as long as a request. */
#include "http/arena.h"

#include "core/inject.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

/* With the allocator's header, a chunk of the smallest kind is 1 KiB. */
#define CHUNK_MIN (1024 - sizeof(struct arena_chunk) - sizeof(size_t))
#define CHUNK_MAX 65536

struct arena_chunk {
    struct arena_chunk *older;
    size_t used;
    size_t size;
    alignas(max_align_t) char bytes[];
};

static size_t round_up(size_t size)
{
    const size_t mask = alignof(max_align_t) - 1;

    return (size + mask) & ~mask;
}

/* Each chunk is twice as large as the one before it: so the number of chunks stays
 * small however much a request takes.  What is left of the older one is lost. */
static struct arena_chunk *add_chunk(struct http_arena *arena, size_t need)
{
    struct arena_chunk *older = arena->newest;
    size_t size = older ? older->size * 2 : CHUNK_MIN;

    if (size > CHUNK_MAX)
        size = CHUNK_MAX;
    if (size < need)
        size = need;
    struct arena_chunk *chunk = gust__malloc(sizeof(*chunk) + size);
    if (!chunk)
        return NULL;
    *chunk = (struct arena_chunk){.older = older, .size = size};
    arena->newest = chunk;
    return chunk;
}

void *gust__http_arena_take(struct http_arena *arena, size_t size)
{
    struct arena_chunk *chunk = arena->newest;

    if (size > SIZE_MAX / 2)
        return NULL;
    /* A piece of no bytes has an address of its own, too. */
    size_t need = round_up(size > 0 ? size : 1);
    if (!chunk || need > chunk->size - chunk->used)
        chunk = add_chunk(arena, need);
    if (!chunk)
        return NULL;
    void *piece = chunk->bytes + chunk->used;
    chunk->used += need;
    return piece;
}

void gust__http_arena_clear(struct http_arena *arena)
{
    struct arena_chunk *chunk = arena->newest;

    while (chunk) {
        struct arena_chunk *older = chunk->older;
        free(chunk);
        chunk = older;
    }
    arena->newest = NULL;
}
