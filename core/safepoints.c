/* What code compiled with -fsanitize-coverage=trace-pc calls at the beginning of
 * every function and of every basic block: a safe point.  In an object of its own,
 * which only instrumented programs link (gust_add_safepoints in
 * cmake/GustSafepoints.cmake). */
#include <gust/runtime.h>

void __sanitizer_cov_trace_pc(void);

void __sanitizer_cov_trace_pc(void)
{
    gust_yield_if_needed();
}
