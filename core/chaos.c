/* The seed, and the dice. */
#include "core/chaos.h"

#include <errno.h>
#include <stdlib.h>

#include "core/proc.h"

bool gust__chaos_on;
uint64_t gust__chaos_seed;

int gust__chaos_setup(void)
{
    const char *text = getenv("GUST_CHAOS");
    char *end;
    gust__chaos_on = false;
    if (!text || !*text)
        return 0;
    errno = 0;
    gust__chaos_seed = strtoull(text, &end, 10);
    if (errno || *end || *text == '-') {
        gust__log("GUST_CHAOS=%s: wants a number", text);
        return -EINVAL;
    }
    gust__chaos_on = true;
    return 0;
}

bool gust__chaos_draw(uint32_t of)
{
    return gust__m() && gust__rand() % of == 0;
}

void gust__chaos_print(void)
{
    if (gust__chaos_on)
        gust__log("chaos is on: GUST_CHAOS=%llu", (unsigned long long)gust__chaos_seed);
}
