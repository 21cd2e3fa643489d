/* Where a debugger finds the goroutines, without debug information: a table of
 * offsets and addresses, gust__debug_layout, which tools/gust-gdb.py reads.
 *
 * The order of its members is the protocol: new ones go to the end; who removes or
 * moves one, or changes what it means, raises the version, here and there. */
#include <stddef.h>

#include "core/proc.h"

#define LAYOUT_VERSION 1
#define NAMES_MAX 64

/* Filled when a runtime starts, from the functions that know the words; NULL ends. */
static const char *state_names[NAMES_MAX], *wait_names[NAMES_MAX];

struct gust__debug_layout {
    uint64_t version;
    const void *slabs; /* where the address of the first one lies; the same with allm */
    uint64_t slab_next, slab_gs, slab_count;
    uint64_t g_size, g_id, g_state, g_wait, g_system, g_name, g_fn, g_spawn_pc, g_sp;
    uint64_t g_stack_low, g_stack_size, g_since;
    uint64_t frame_fp, frame_pc; /* in what g_sp points to */
    const void *allm;
    uint64_t m_link, m_curg, m_tid;
    const void *state_names, *wait_names;
    const void *clock;
    uint64_t state_dead;
};

const struct gust__debug_layout gust__debug_layout = {
    .version = LAYOUT_VERSION,
    .slabs = &gust__slabs,
    .slab_next = offsetof(gust__slab, next),
    .slab_gs = offsetof(gust__slab, gs),
    .slab_count = GUST__SLAB_GS,
    .g_size = sizeof(G),
    .g_id = offsetof(G, id),
    .g_state = offsetof(G, state),
    .g_wait = offsetof(G, wait),
    .g_system = offsetof(G, system),
    .g_name = offsetof(G, name),
    .g_fn = offsetof(G, fn),
    .g_spawn_pc = offsetof(G, spawn_pc),
    .g_sp = offsetof(G, ctx.sp),
    .g_stack_low = offsetof(G, stack.low),
    .g_stack_size = offsetof(G, stack.size),
    .g_since = offsetof(G, since),
    .frame_fp = offsetof(gust__ctx_frame, fp),
    .frame_pc = offsetof(gust__ctx_frame, pc),
    .allm = &sched.allm,
    .m_link = offsetof(M, all_link),
    .m_curg = offsetof(M, curg),
    .m_tid = offsetof(M, tid),
    .state_names = state_names,
    .wait_names = wait_names,
    .clock = &sched.clock,
    .state_dead = G_DEAD,
};

void gust__layout_setup(void)
{
    for (int i = 0; i <= G_DEAD; i++)
        state_names[i] = gust__state_name((gust__gstate)i);
    for (int i = 0; i < NAMES_MAX - 1; i++)
        wait_names[i] = gust__wait_name((gust__wait)i); /* "?" after the last one */
}
