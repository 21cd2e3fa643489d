/* Spare write blocks: reused, and bounded. */
#include <stdlib.h>

#include "net/blocks.h"
#include "tests/harness/test.h"

#define MORE (GUST__BLOCKS_SPARE_MAX + 1)

Test(blocks, spare_ones_are_bounded_and_used_first)
{
    char *blocks[MORE];
    for (int i = 0; i < MORE; i++)
        cr_assert((blocks[i] = gust__block_get()) != NULL);
    cr_assert_eq(gust__blocks_all.count, 0);
    for (int i = 0; i < MORE; i++) {
        memset(blocks[i], i, GUST_CONN_WBUF);
        gust__block_put(blocks[i]);
        cr_assert_eq(gust__blocks_all.count,
                     (uint32_t)(i < MORE - 1 ? i + 1 : GUST__BLOCKS_SPARE_MAX));
    }
    for (int i = GUST__BLOCKS_SPARE_MAX; i-- > 0;) {
        char *block = gust__block_get();
        cr_assert_eq(block, blocks[i]);
        free(block);
    }
    cr_assert_eq(gust__blocks_all.count, 0);
    gust__block_put(NULL);
    cr_assert_eq(gust__blocks_all.count, 0);
}
