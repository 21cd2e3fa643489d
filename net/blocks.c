#include "net/blocks.h"

#include <sanitizer/asan_interface.h> /* nothing in other builds */
#include <stdlib.h>

gust__blocks gust__blocks_all;

char *gust__block_get(void)
{
    gust__blocks *all = &gust__blocks_all;
    char *block = NULL;
    gust__lock_take(&all->lock, RANK_BLOCKS);
    if (all->count > 0)
        block = all->spare[--all->count];
    gust__lock_drop(&all->lock);
    if (!block)
        return malloc(GUST_CONN_WBUF);
    ASAN_UNPOISON_MEMORY_REGION(block, GUST_CONN_WBUF);
    return block;
}

void gust__block_put(char *block)
{
    gust__blocks *all = &gust__blocks_all;
    if (!block)
        return;
    ASAN_POISON_MEMORY_REGION(block, GUST_CONN_WBUF); /* a use after put is seen */
    gust__lock_take(&all->lock, RANK_BLOCKS);
    bool keep = all->count < GUST__BLOCKS_SPARE_MAX;
    if (keep)
        all->spare[all->count++] = block;
    gust__lock_drop(&all->lock);
    if (!keep)
        free(block); /* lifts the poison */
}
