/* Spare blocks: reused, and bounded. */
#include <string.h>

#include "core/blocks.h"
#include "core/proc.h"
#include "tests/harness/test.h"

#define MORE (GUST__BLOCKS_SPARE_MAX + 1)

static uint32_t spare(void)
{
    return gust__m()->p->blocks.count;
}

static int use_blocks(void *arg)
{
    (void)arg;
    char *blocks[MORE];
    for (int i = 0; i < MORE; i++)
        CHECK((blocks[i] = gust__block_get()) != NULL);
    CHECK_EQ(spare(), 0);
    for (int i = 0; i < MORE; i++) {
        memset(blocks[i], i, GUST__BLOCK_SIZE);
        gust__block_put(blocks[i]);
        CHECK_EQ(spare(), i < MORE - 1 ? i + 1 : GUST__BLOCKS_SPARE_MAX);
    }
    char *last = gust__block_get();
    CHECK(last == blocks[GUST__BLOCKS_SPARE_MAX - 1]);
    gust__block_put(last);
    gust__block_put(NULL);
    CHECK_EQ(spare(), GUST__BLOCKS_SPARE_MAX);
    return 0;
}

/* What is spare at the end is freed with the P: LeakSanitizer watches. */
Test(blocks, spare_ones_are_bounded_and_used_first)
{
    cr_assert_eq(gust_run(use_blocks, NULL), 0);
}

Test(blocks, without_a_p_come_from_malloc)
{
    char *block = gust__block_get();
    cr_assert(block != NULL);
    memset(block, 1, GUST__BLOCK_SIZE);
    gust__block_put(block);
}
