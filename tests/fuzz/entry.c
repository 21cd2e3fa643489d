/* The target FUZZ_TARGET for libFuzzer. */
#include "tests/fuzz/targets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FUZZ_TARGET((gust_span){(const char *)data, size});
    return 0;
}
