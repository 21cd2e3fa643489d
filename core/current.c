/* What the running goroutine and its M are asked for by the other files, and small
 * answers about the runtime. */
#include "core/chaos.h"
#include "core/proc.h"

G *gust__g(void)
{
    M *m = gust__m();
    return m ? m->curg : NULL;
}

bool gust__has_p(void)
{
    M *m = gust__m();
    return m && m->p && atomic_load_explicit(&m->marks.depth, memory_order_relaxed) > 0;
}

gust_time gust__now_recent(void)
{
    return gust__m()->p->now;
}

uint64_t gust_goid(void)
{
    G *g = gust__g();
    return g ? g->id : 0;
}

int gust_maxprocs(void)
{
    return sched.nprocs;
}

const char *gust_netpoll_name(void)
{
    return gust__netpoll_name();
}

gust__poller *gust__poller_current(void)
{
    M *m = gust__m();
    return m && m->p ? m->p->poller : NULL;
}

_Atomic uint32_t *gust__g_select_done(G *g)
{
    return &g->select_done;
}

bool gust__can_spin(void)
{
    P *p = gust__m()->p;
    uint32_t idle = atomic_load_explicit(&sched.npidle, memory_order_relaxed) +
                    atomic_load_explicit(&sched.nmspinning, memory_order_relaxed);
    return sched.nprocs > 1 && idle + 1 < (uint32_t)sched.nprocs && gust__runq_empty(&p->runq);
}

/* splitmix64's finalizer: neighbouring seeds have nothing in common.  Never 0, which
 * gust__rand64 would not leave. */
uint64_t gust__rand_begin(int id)
{
    uint64_t x = gust__chaos_on ? gust__chaos_seed : (uint64_t)gust_now();
    x += (uint64_t)id * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (x ^ x >> 31) | 1;
}

/* Marsaglia's xorshift64: fast, never 0. */
uint64_t gust__rand64(void)
{
    M *m = gust__m();
    uint64_t x = m->rand;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return m->rand = x;
}

/* The upper half, whose bits are the better ones. */
uint32_t gust__rand(void)
{
    return (uint32_t)(gust__rand64() >> 32);
}
