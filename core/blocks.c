/* Spare blocks; what they are for is in core/blocks.h. */
#include "core/blocks.h"

#include <sanitizer/asan_interface.h> /* nothing in other builds */
#include <stdlib.h>

#include "core/inject.h"
#include "core/proc.h"

static gust__blocks *blocks_here(void)
{
    M *m = gust__m();
    return m && m->p ? &m->p->blocks : NULL;
}

char *gust__block_get(void)
{
    gust__blocks *here = blocks_here();
    if (!here || here->count == 0)
        return gust__malloc(GUST__BLOCK_SIZE);
    char *block = here->spare[--here->count];
    ASAN_UNPOISON_MEMORY_REGION(block, GUST__BLOCK_SIZE);
    return block;
}

void gust__block_put(char *block)
{
    gust__blocks *here = blocks_here();
    if (!block || !here || here->count == GUST__BLOCKS_SPARE_MAX) {
        free(block);
        return;
    }
    ASAN_POISON_MEMORY_REGION(block, GUST__BLOCK_SIZE); /* a use after put is seen */
    here->spare[here->count++] = block;
}

void gust__blocks_drain(gust__blocks *blocks)
{
    while (blocks->count > 0)
        free(blocks->spare[--blocks->count]); /* lifts the poison */
}
